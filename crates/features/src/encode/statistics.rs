//! Count, mean, variance and extremes of a column in one pass, merged exactly.

use super::checks::{counts, range};
use super::scale::{MaxAbsScaler, MinMaxScaler, StandardScaler};
use super::wire::{StateReader, StateWriter};
use crate::state::State;
use crate::FeatureError;

/// Moments by Welford's update (Technometrics 4, 1962), merged by the formula of Chan, Golub and LeVeque
/// (Updating formulae and a pairwise algorithm for computing sample variances, 1979).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    count: u64,
    mean: f64,
    /// The rounding error of the mean, kept so that the variance of a column far from zero is not lost.
    rest: f64,
    /// The sum of squared distances to the mean.
    squares: f64,
    minimum: f64,
    maximum: f64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            count: 0,
            mean: 0.0,
            rest: 0.0,
            squares: 0.0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
        }
    }
}

impl Statistics {
    /// Takes a value; NaN is left out, an infinite value is an error.
    #[inline]
    pub fn insert(&mut self, value: f64) -> Result<(), FeatureError> {
        if !counts(value)? {
            return Ok(());
        }
        self.count += 1;
        let distance = value - self.mean - self.rest;
        self.move_mean(distance / self.count as f64);
        self.squares += distance * (value - self.mean - self.rest);
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        Ok(())
    }

    /// Knuth's two-sum: mean and rest together are the old mean and the step, without rounding.
    #[inline]
    fn move_mean(&mut self, step: f64) {
        let step = step + self.rest;
        let moved = self.mean + step;
        let taken = moved - self.mean;
        self.rest = (self.mean - (moved - taken)) + (step - taken);
        self.mean = moved;
    }

    /// The arithmetic mean; `None` of no values.
    pub fn mean(&self) -> Result<Option<f64>, FeatureError> {
        if self.count == 0 {
            return Ok(None);
        }
        finite(self.mean).map(Some)
    }

    /// Mean and population standard deviation, which is 0 where the column is constant up to rounding.
    pub fn standard_scaler(&self) -> Result<Option<StandardScaler>, FeatureError> {
        let Some(mean) = self.mean()? else { return Ok(None) };
        let variance = finite(self.squares)? / self.count as f64;
        let scale = if self.is_constant(variance) { 0.0 } else { variance.sqrt() };
        Ok(Some(StandardScaler { mean, scale }))
    }

    /// Whether the variance is smaller than the error bound of its computation (Chan, Golub and LeVeque, The American
    /// Statistician 37, 1983), as scikit-learn judges it.
    fn is_constant(&self, variance: f64) -> bool {
        let rounding = self.count as f64 * f64::EPSILON;
        variance <= rounding * variance + (rounding * self.mean).powi(2)
    }

    /// Minimum and maximum; `None` of no values.
    pub fn min_max_scaler(&self) -> Result<Option<MinMaxScaler>, FeatureError> {
        if self.count > 0 && (self.maximum - self.minimum).is_infinite() {
            return Err(range(
                "the values are too far apart for their range",
                "Divide them by a constant first.",
            ));
        }
        Ok((self.count > 0).then_some(MinMaxScaler { minimum: self.minimum, maximum: self.maximum }))
    }

    /// The largest absolute value; `None` of no values.
    pub fn max_abs_scaler(&self) -> Option<MaxAbsScaler> {
        (self.count > 0).then_some(MaxAbsScaler { max_abs: self.minimum.abs().max(self.maximum.abs()) })
    }
}

fn finite(value: f64) -> Result<f64, FeatureError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(range("the values are too large for their mean and variance", "Divide them by a constant first."))
}

impl State for Statistics {
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        if other.count == 0 {
            return Ok(());
        }
        if self.count == 0 {
            *self = *other;
            return Ok(());
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let total = mine + theirs;
        let distance = (other.mean - self.mean) + (other.rest - self.rest);
        self.move_mean(distance * (theirs / total));
        self.squares += other.squares + distance * distance * (mine * theirs / total);
        self.count += other.count;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = StateWriter::default();
        to.integer(self.count);
        let floats = [self.mean, self.rest, self.squares, self.minimum, self.maximum];
        floats.into_iter().for_each(|value| to.float(value));
        to.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut from = StateReader::new(bytes);
        let state = Self {
            count: from.integer()?,
            mean: from.float()?,
            rest: from.float()?,
            squares: from.float()?,
            minimum: from.float()?,
            maximum: from.float()?,
        };
        from.end()?;
        Ok(state)
    }
}
