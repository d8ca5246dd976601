//! Exponential decay: a value that is one half-life old counts half, one of two half-lives a quarter.
//!
//! The weight of a value is 2^(-age / half-life), the law of radioactive decay; with weights 1, a, a², … of equidistant
//! values the average is the exponentially weighted moving average (Roberts, "Control chart tests based on geometric
//! moving averages", Technometrics 1, 1959).

use crate::compensated::Sum;
use crate::series::{damaged, not_finite, number, word, words};
use crate::state::State;
use crate::FeatureError;

/// Values by age at one moment. Moments and durations are microseconds, moments since 2000-01-01.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decayed {
    as_of: i64,
    half_life: i64,
    values: u64,
    weighted: Sum,
    weights: Sum,
}

impl Decayed {
    pub fn new(as_of: i64, half_life: i64) -> Result<Self, FeatureError> {
        if half_life <= 0 {
            return Err(FeatureError::Argument { message: "half_life must be positive".into(), hint: None });
        }
        if infinite(as_of) {
            return Err(not_finite("as_of"));
        }
        Ok(Self { as_of, half_life, values: 0, weighted: Sum::ZERO, weights: Sum::ZERO })
    }

    /// Refuses a moment or half-life that differs from the first.
    #[inline]
    pub fn expect(&self, as_of: i64, half_life: i64) -> Result<(), FeatureError> {
        if (as_of, half_life) == (self.as_of, self.half_life) {
            return Ok(());
        }
        Err(FeatureError::Argument {
            message: "as_of and half_life must be the same in all rows of a group".into(),
            hint: Some("Group by them, or give them as constants.".into()),
        })
    }

    /// Adds a value of a moment. A value after `as_of` was not known then and is ignored.
    #[inline]
    pub fn add(&mut self, value: f64, at: i64) -> Result<(), FeatureError> {
        if !value.is_finite() {
            return Err(not_finite("value"));
        }
        if infinite(at) {
            return Err(not_finite("at"));
        }
        if at > self.as_of {
            return Ok(());
        }
        let age = self.as_of.abs_diff(at) as f64;
        let weight = (-age / self.half_life as f64).exp2();
        self.weighted.add(value * weight)?;
        self.weights.add(weight)?;
        self.values += 1;
        Ok(())
    }

    /// `None` where there was no value.
    pub fn sum(&self) -> Option<f64> {
        (self.values > 0).then(|| self.weighted.value())
    }

    /// Sum over weights; `None` also where all values are so old that their weights are zero.
    pub fn average(&self) -> Option<f64> {
        self.sum().map(|sum| sum / self.weights.value()).filter(|average| average.is_finite())
    }
}

fn infinite(moment: i64) -> bool {
    moment == i64::MIN || moment == i64::MAX
}

impl State for Decayed {
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        self.expect(other.as_of, other.half_life)?;
        self.weighted.merge(&other.weighted)?;
        self.weights.merge(&other.weights)?;
        self.values = self.values.saturating_add(other.values);
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let ((weighted, weighted_rest), (weights, weights_rest)) =
            (self.weighted.parts(), self.weights.parts());
        let sums = [weighted, weighted_rest, weights, weights_rest].map(word);
        let words = [self.as_of, self.half_life, self.values as i64];
        words.iter().chain(&sums).flat_map(|word| word.to_le_bytes()).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let [as_of, half_life, values, sums @ ..] = words::<7>(bytes)?;
        let [weighted, weighted_rest, weights, weights_rest] = sums.map(number);
        let mut state = Self::new(as_of, half_life)?;
        state.values = u64::try_from(values).map_err(|_| damaged())?;
        state.weighted = Sum::from_parts(weighted, weighted_rest).ok_or_else(damaged)?;
        state.weights = Sum::from_parts(weights, weights_rest).ok_or_else(damaged)?;
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000_000;

    fn of(values: &[(f64, i64)]) -> Decayed {
        let mut state = Decayed::new(1000 * DAY, 7 * DAY).unwrap();
        values.iter().for_each(|(value, at)| state.add(*value, *at).unwrap());
        state
    }

    #[test]
    fn a_value_of_one_half_life_counts_half_and_one_after_as_of_not_at_all() {
        let state = of(&[(10.0, 1000 * DAY), (4.0, 993 * DAY), (4.0, 986 * DAY), (99.0, 1000 * DAY + 1)]);
        assert_eq!(state.sum(), Some(10.0 + 2.0 + 1.0));
        assert_eq!(state.average(), Some(13.0 / 1.75));
    }

    #[test]
    fn without_values_there_is_nothing() {
        assert_eq!(of(&[]).sum(), None);
        assert_eq!(of(&[(1.0, 1001 * DAY)]).average(), None);
    }

    #[test]
    fn an_average_whose_weights_vanish_is_unknown() {
        let state = of(&[(1.0, i64::MIN + 1)]);
        assert_eq!((state.sum(), state.average()), (Some(0.0), None));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(
            Decayed::new(0, 0).is_err() && Decayed::new(0, -1).is_err() && Decayed::new(i64::MAX, 1).is_err()
        );
        let mut state = of(&[]);
        for (value, at) in [(f64::NAN, 0), (f64::INFINITY, 0), (1.0, i64::MIN), (1.0, i64::MAX)] {
            assert!(state.add(value, at).is_err());
        }
        assert!(state.expect(1000 * DAY, DAY).is_err() && state.expect(0, 7 * DAY).is_err());
        assert!(state.merge(&Decayed::new(0, 7 * DAY).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn merging_parts_is_adding_everything(
            values in prop::collection::vec((-1e9..1e9, 0..1001 * DAY), 0..40),
            cut in 0..40usize,
        ) {
            let cut = cut.min(values.len());
            let mut merged = of(&values[..cut]);
            merged.merge(&Decayed::from_bytes(&of(&values[cut..]).to_bytes()).unwrap()).unwrap();
            prop_assert_eq!(merged.values, of(&values).values);
            match (merged.sum(), of(&values).sum()) {
                (Some(one), Some(other)) => prop_assert!((one - other).abs() <= 1e-12 * other.abs()),
                (one, other) => prop_assert_eq!(one, other),
            }
        }

        #[test]
        fn garbage_is_an_error_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(state) = Decayed::from_bytes(&bytes) {
                let _ = (state.sum(), state.average());
            }
        }
    }
}
