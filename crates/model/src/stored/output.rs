//! What a predictor's numbers become: a calibrated probability, or a quantity in the label's units.

use crate::algorithm::{Task, QUANTILES};
use crate::error::ModelError;
use crate::measure::calibration::Platt;
use crate::measure::isotonic::Isotonic;
use serde::{Deserialize, Serialize};

/// [`Output::slope`] takes two values that are closer than this as one, since their difference would be mostly
/// rounding.
const NEAR: f64 = 1e-6;

/// How the numbers that come out of a predictor are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// One logit; `sigmoid(slope * logit + offset)` is the probability.
    Platt(Platt),
    /// One logit, and the probabilities at some logits.
    Isotonic(Isotonic),
    /// The number is the probability.
    Probability,
    /// The number is the quantity; there are no quantiles.
    Mean,
    /// The mean and the quantiles, `mean + scale * output`, none below `least`.
    Quantity {
        mean: f64,
        scale: f64,
        least: Option<f64>,
        /// What is added to each quantile, so that as many calibration rows lie below it as its name says.
        #[serde(default, skip_serializing_if = "Shifts::are_none")]
        shifts: Shifts,
    },
}

/// What is added to each of the [`QUANTILES`], in the label's units.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shifts(pub [f64; QUANTILES.len()]);

impl Shifts {
    fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Output {
    pub fn task(&self) -> Task {
        match self {
            Self::Platt(_) | Self::Isotonic(_) | Self::Probability => Task::Binary,
            Self::Quantity { .. } | Self::Mean => Task::Regression,
        }
    }

    /// Numbers that the predictor puts out.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Mean => 1,
            _ => self.task().outputs(),
        }
    }

    /// The slope and the offset that the predictor's numbers are put through first. They can be folded into it.
    pub fn line(&self) -> (f64, f64) {
        match *self {
            Self::Platt(Platt { slope, offset }) => (slope, offset),
            Self::Isotonic(_) | Self::Probability | Self::Mean => (1.0, 0.0),
            Self::Quantity { mean, scale, .. } => (scale, mean),
        }
    }

    /// What a number becomes that has been put through [`Output::line`].
    #[inline]
    pub fn finish(&self, value: f64) -> f64 {
        match self {
            Self::Platt(_) => crate::measure::calibration::sigmoid(value),
            Self::Isotonic(isotonic) => isotonic.probability(value),
            Self::Quantity { least: Some(least), .. } => value.max(*least),
            Self::Probability => value.clamp(0.0, 1.0),
            Self::Quantity { least: None, .. } | Self::Mean => value,
        }
    }

    /// The quantiles, ascending, from numbers that [`Output::finish`] has returned. What is not a number stays so.
    pub fn quantiles(&self, finished: [f64; QUANTILES.len()]) -> [f64; QUANTILES.len()] {
        let mut quantiles = finished;
        if let Self::Quantity { least, shifts, .. } = self {
            for (quantile, shift) in quantiles.iter_mut().zip(shifts.0) {
                let shifted = *quantile + shift;
                *quantile = least.filter(|least| shifted < *least).unwrap_or(shifted);
            }
        }
        quantiles.sort_unstable_by(f64::total_cmp);
        quantiles
    }

    /// How much [`Output::finish`] rises for each unit of the value, on average between two values; at a value where they
    /// are the same, or nearly.
    pub fn slope(&self, from: f64, to: f64) -> f64 {
        let near = NEAR * from.abs().max(1.0);
        let (from, to) = match (to - from).abs() < near {
            true => (from - near, from + near),
            false => (from, to),
        };
        (self.finish(to) - self.finish(from)) / (to - from)
    }

    /// What a predictor's number becomes.
    pub fn of(&self, number: f64) -> f64 {
        let (slope, offset) = self.line();
        self.finish(slope * number + offset)
    }

    /// Checks every bound.
    pub fn check(&self) -> Result<(), ModelError> {
        match self {
            Self::Platt(platt) if platt.is_valid() => Ok(()),
            Self::Platt(_) => {
                Err(ModelError::artifact("the calibration is not a positive slope and a finite offset"))
            }
            Self::Isotonic(isotonic) => isotonic.check(),
            Self::Probability | Self::Mean => Ok(()),
            Self::Quantity { mean, scale, least, shifts } => {
                let fits = mean.is_finite() && scale.is_finite() && *scale > 0.0;
                let bounds = least.iter().chain(&shifts.0);
                match fits && bounds.copied().all(f64::is_finite) {
                    true => Ok(()),
                    false => Err(ModelError::artifact("the units of its output")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(shifts: [f64; 3]) -> Output {
        Output::Quantity { mean: 0.0, scale: 1.0, least: Some(0.0), shifts: Shifts(shifts) }
    }

    #[test]
    fn quantiles_are_shifted_sorted_and_not_below_the_least() {
        assert_eq!(shifted([-2.0, 0.0, 0.5]).quantiles([1.0, 4.0, 3.0]), [0.0, 3.5, 4.0]);
    }

    #[test]
    fn shifts_that_are_no_numbers_are_refused() {
        assert!(shifted([-1.0, 0.0, 1.0]).check().is_ok());
        assert!(shifted([0.0, f64::NAN, 0.0]).check().is_err());
        assert!(shifted([0.0, 0.0, f64::INFINITY]).check().is_err());
    }
}
