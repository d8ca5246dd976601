//! What is fitted to the quantiles of a column: boundaries of buckets, the robust scaler, the median.

use super::checks::{agree, agree_merged, argument, counts};
use super::quantiles::Quantiles;
use super::scale::RobustScaler;
use super::wire::{damaged, StateReader, StateWriter};
use crate::state::State;
use crate::FeatureError;

/// The most buckets that boundaries are fitted for.
pub const MAX_BUCKETS: i32 = 10_000;
/// The quantiles between which [`RobustScaler`] measures, unless others are asked for.
const QUARTILES: (f64, f64) = (0.25, 0.75);

/// The values of a column, and the options of what will be fitted to them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    quantiles: Quantiles,
    buckets: Option<i32>,
    range: Option<(f64, f64)>,
}

impl Values {
    /// Takes a value; NaN is left out, an infinite value is an error.
    #[inline]
    pub fn insert(&mut self, value: f64) -> Result<(), FeatureError> {
        if counts(value)? {
            self.quantiles.insert(value);
        }
        Ok(())
    }

    /// The number of buckets that [`Values::boundaries`] will be asked for: 2 to [`MAX_BUCKETS`].
    pub fn set_buckets(&mut self, buckets: i32) -> Result<(), FeatureError> {
        if !(2..=MAX_BUCKETS).contains(&buckets) {
            return Err(argument(
                format!("{buckets} is not a number of buckets"),
                format!("Ask for 2 to {MAX_BUCKETS}."),
            ));
        }
        agree(&mut self.buckets, buckets, "the number of buckets")
    }

    /// The quantiles between which [`Values::robust_scaler`] will measure.
    pub fn set_range(&mut self, lower: f64, upper: f64) -> Result<(), FeatureError> {
        if !(0.0 <= lower && lower < upper && upper <= 1.0) {
            return Err(argument(
                format!("{lower} and {upper} are no range of quantiles"),
                "Give two numbers between 0 and 1, the smaller one first: 0.25 and 0.75 for quartiles.",
            ));
        }
        agree(&mut self.range, (lower, upper), "the range of quantiles")
    }

    /// Quantiles at `ranks` from 0 to 1, `None` of no values; see [`Quantiles::at`].
    pub fn quantiles(&mut self, ranks: &[f64]) -> Option<Vec<f64>> {
        self.quantiles.at(ranks)
    }

    pub fn median(&mut self) -> Option<f64> {
        self.quantiles(&[0.5]).map(|found| found[0])
    }

    /// Median and distance between the quartiles, or between the quantiles of [`Values::set_range`].
    pub fn robust_scaler(&mut self) -> Result<Option<RobustScaler>, FeatureError> {
        let (lower, upper) = self.range.unwrap_or(QUARTILES);
        let Some(found) = self.quantiles(&[0.5, lower, upper]) else { return Ok(None) };
        let interquartile_range = found[2] - found[1];
        if interquartile_range.is_infinite() {
            return Err(super::scale::too_large());
        }
        Ok(Some(RobustScaler { median: found[0], interquartile_range }))
    }

    /// The boundaries between buckets of equally many values, strictly increasing. There are fewer than asked for where
    /// values repeat, and none for a constant column. Values below the first boundary are the first bucket.
    pub fn boundaries(&mut self) -> Option<Vec<f64>> {
        let buckets = self.buckets.unwrap_or(2);
        let ranks: Vec<f64> = (0..=buckets).map(|n| f64::from(n) / f64::from(buckets)).collect();
        let mut edges = self.quantiles(&ranks)?;
        // Minus zero and zero are one boundary.
        edges.dedup_by(|next, before| *next <= *before);
        edges.pop();
        Some(edges.into_iter().skip(1).collect())
    }
}

impl State for Values {
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        agree_merged(&mut self.buckets, &other.buckets, "the number of buckets")?;
        agree_merged(&mut self.range, &other.range, "the range of quantiles")?;
        self.quantiles.merge(&other.quantiles);
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = StateWriter::default();
        to.integer(self.buckets.unwrap_or(0) as u64);
        let (lower, upper) = self.range.unwrap_or((f64::NAN, f64::NAN));
        to.float(lower);
        to.float(upper);
        self.quantiles.write(&mut to);
        to.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut from = StateReader::new(bytes);
        let mut state = Self::default();
        match from.integer()? {
            0 => {}
            buckets => state.set_buckets(i32::try_from(buckets).map_err(|_| damaged("its buckets"))?)?,
        }
        let (lower, upper) = (from.float()?, from.float()?);
        if !lower.is_nan() {
            state.set_range(lower, upper)?;
        }
        state.quantiles = Quantiles::read(&mut from)?;
        from.end()?;
        Ok(state)
    }
}
