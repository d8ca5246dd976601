//! The trend of a weekly series: the slope of the least-squares line through it.
//!
//! Means and centered co-moments are updated and merged by the formulas of Chan, Golub and LeVeque ("Updating formulae
//! and a pairwise algorithm for computing sample variances", Stanford STAN-CS-79-773, 1979), for covariances as in
//! Pébay (Sandia SAND2008-6212, 2008). No large number is subtracted from another of about the same size, which would
//! lose digits.

use crate::series::{damaged, not_finite, number, word, words};
use crate::state::State;
use crate::FeatureError;

const DAYS_PER_WEEK: f64 = 7.0;

/// Values by date.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trend {
    values: u64,
    mean_week: f64,
    mean_value: f64,
    /// Sum of the squared distances from the mean week.
    spread: f64,
    /// Sum of the products of the distances from both means.
    joint: f64,
}

impl Trend {
    /// Adds the value of a date, in days.
    #[inline]
    pub fn add(&mut self, value: f64, day: i32) -> Result<(), FeatureError> {
        if !value.is_finite() {
            return Err(not_finite("value"));
        }
        if day == i32::MIN || day == i32::MAX {
            return Err(not_finite("week"));
        }
        let week = f64::from(day) / DAYS_PER_WEEK;
        self.merge(&Self { values: 1, mean_week: week, mean_value: value, spread: 0.0, joint: 0.0 })
    }

    /// Change of the value per week; `None` with fewer than two different dates.
    pub fn slope(&self) -> Option<f64> {
        Some(self.joint / self.spread).filter(|slope| slope.is_finite())
    }

    fn is_finite(&self) -> bool {
        [self.mean_week, self.mean_value, self.spread, self.joint].iter().all(|number| number.is_finite())
    }
}

impl State for Trend {
    #[inline]
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        if self.values == 0 {
            *self = *other;
            return Ok(());
        }
        let values = self.values.saturating_add(other.values);
        let part = other.values as f64 / values as f64;
        let (weeks, change) = (other.mean_week - self.mean_week, other.mean_value - self.mean_value);
        let between = weeks * (self.values as f64 * part);
        let merged = Self {
            values,
            mean_week: self.mean_week + weeks * part,
            mean_value: self.mean_value + change * part,
            spread: self.spread + other.spread + weeks * between,
            joint: self.joint + other.joint + change * between,
        };
        if !merged.is_finite() {
            return Err(FeatureError::Range {
                message: "the values are too large for a trend in double precision".into(),
                hint: None,
            });
        }
        *self = merged;
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.mean_week, self.mean_value, self.spread, self.joint].map(word);
        std::iter::once(self.values as i64).chain(numbers).flat_map(i64::to_le_bytes).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let [values, numbers @ ..] = words::<5>(bytes)?;
        let values = u64::try_from(values).map_err(|_| damaged())?;
        let [mean_week, mean_value, spread, joint] = numbers.map(number);
        let state = Self { values, mean_week, mean_value, spread, joint };
        if !state.is_finite() || spread < 0.0 {
            return Err(damaged());
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[(f64, i32)]) -> Trend {
        let mut state = Trend::default();
        values.iter().for_each(|(value, day)| state.add(*value, *day).unwrap());
        state
    }

    /// Least squares in two passes.
    fn reference(values: &[(f64, i32)]) -> f64 {
        let count = values.len() as f64;
        let mean_value = values.iter().map(|(value, _)| value).sum::<f64>() / count;
        let mean_day = values.iter().map(|(_, day)| f64::from(*day)).sum::<f64>() / count;
        let sums = values.iter().fold((0.0, 0.0), |(joint, spread), (value, day)| {
            let days = f64::from(*day) - mean_day;
            (joint + days * (value - mean_value), spread + days * days)
        });
        sums.0 / sums.1 * DAYS_PER_WEEK
    }

    #[test]
    fn a_line_has_its_slope() {
        assert_eq!(of(&[(5.0, 7), (7.0, 14), (13.0, 35)]).slope(), Some(2.0));
    }

    #[test]
    fn one_date_has_no_trend() {
        assert_eq!(of(&[]).slope(), None);
        assert_eq!(of(&[(1.0, 9000), (5.0, 9000), (2.5, 9000)]).slope(), None);
    }

    #[test]
    fn a_large_level_does_not_hide_a_small_slope() {
        let values: Vec<_> = (0..52).map(|week| (1e12 + f64::from(week) * 0.5, 9000 + 7 * week)).collect();
        assert!((of(&values).slope().unwrap() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (value, day) in [(f64::NAN, 0), (f64::NEG_INFINITY, 0), (1.0, i32::MIN), (1.0, i32::MAX)] {
            assert!(Trend::default().add(value, day).is_err());
        }
        let mut state = of(&[(f64::MAX, 0)]);
        assert!(state.add(-f64::MAX, 7).is_err());
    }

    proptest! {
        #[test]
        fn slopes_agree_with_two_passes_however_they_are_merged(
            values in prop::collection::vec((-1e6..1e6, 8000..10_000i32), 2..60),
            cut in 0..60usize,
        ) {
            let cut = cut.min(values.len());
            let mut merged = of(&values[..cut]);
            merged.merge(&Trend::from_bytes(&of(&values[cut..]).to_bytes()).unwrap()).unwrap();
            if values.iter().any(|(_, day)| *day != values[0].1) {
                let expected = reference(&values);
                let near = |slope: f64| (slope - expected).abs() <= 1e-9 * (1e6 + expected.abs());
                prop_assert!(near(merged.slope().unwrap()) && near(of(&values).slope().unwrap()));
            }
        }

        #[test]
        fn garbage_is_an_error_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(mut state) = Trend::from_bytes(&bytes) {
                let copy = state;
                let _ = (state.merge(&copy), state.slope());
            }
        }
    }
}
