//! How a predictor's numbers become probabilities or quantities.

use crate::job::{Fit, Job};
use crate::rows::hash::mix;
use model::calibration::{sigmoid, Platt};
use model::isotonic::Isotonic;
use model::params::CalibrationChoice;
use model::{metrics, Output, Task};

/// Isotonic calibration is tried if the calibration set, which is the validation rows, has at least this many rows of
/// the rarer outcome.
const FEWEST: usize = 200;

/// The output of a model. Probabilities are calibrated on the validation rows, whose logits are given, if these rows
/// suffice. A quantity that was never below 0 will not be predicted below 0.
pub fn output(fit: &Fit, logits: &[f64], job: &Job) -> Output {
    match job.task {
        Task::Binary => {
            let rows = job.stopping_rows();
            // Either all validation rows or none.
            calibration(job.params.calibration, &logits[..rows.len()], &job.table.labels.positive(rows))
        }
        Task::Regression => {
            let labels = job.table.labels.of(&job.split.train);
            let never_negative = labels.iter().all(|label| *label >= 0.0);
            let (scale, mean) = fit.units;
            Output::Quantity { mean, scale, least: never_negative.then_some(0.0) }
        }
    }
}

fn calibration(choice: CalibrationChoice, logits: &[f64], labels: &[bool]) -> Output {
    let platt = || Output::Platt(Platt::fit(logits, labels));
    match choice {
        CalibrationChoice::None => Output::Platt(Platt::IDENTITY),
        CalibrationChoice::Platt => platt(),
        CalibrationChoice::Isotonic => Isotonic::fit(logits, labels).map_or_else(platt, Output::Isotonic),
        CalibrationChoice::Auto if isotonic_is_better(logits, labels) => {
            calibration(CalibrationChoice::Isotonic, logits, labels)
        }
        CalibrationChoice::Auto => platt(),
    }
}

/// Whether isotonic calibration has a lower log loss than Platt's, each fitted on one half of the rows and measured on
/// the other, for both halves.
fn isotonic_is_better(logits: &[f64], labels: &[bool]) -> bool {
    let positives = labels.iter().filter(|label| **label).count();
    if positives.min(labels.len() - positives) < FEWEST {
        return false;
    }
    let half = |first: bool| -> (Vec<f64>, Vec<bool>) {
        let rows = (0_u64..).zip(logits.iter().zip(labels));
        rows.filter(|(row, _)| (mix(*row) & 1 == 0) == first)
            .map(|(_, (logit, label))| (*logit, *label))
            .unzip()
    };
    let halves = [half(true), half(false)];
    let (mut by_platt, mut by_isotonic) = (0.0, 0.0);
    for (fitted, measured) in [(&halves[0], &halves[1]), (&halves[1], &halves[0])] {
        let Some(isotonic) = Isotonic::fit(&fitted.0, &fitted.1) else { return false };
        let platt = Platt::fit(&fitted.0, &fitted.1);
        let loss = |probability: &dyn Fn(f64) -> f64| {
            let scores: Vec<f64> = measured.0.iter().map(|logit| probability(*logit)).collect();
            metrics::log_loss(&scores, &measured.1).unwrap_or(0.0)
        };
        by_platt += loss(&|logit| sigmoid(platt.slope * logit + platt.offset));
        by_isotonic += loss(&|logit| isotonic.probability(logit));
    }
    by_isotonic < by_platt
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose true probability is `truth` of their logit.
    fn drawn(truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<bool>) {
        let row = |i: u64| {
            let logit = (mix(i) % 6000) as f64 / 1000.0 - 3.0;
            (logit, (mix(!i) as f64 / 2f64.powi(64)) < truth(logit))
        };
        (0..20_000).map(row).unzip()
    }

    #[test]
    fn the_shape_of_the_miscalibration_decides() {
        let (logits, labels) = drawn(|logit| sigmoid(0.5 * logit - 1.0));
        let platt = calibration(CalibrationChoice::Auto, &logits, &labels);
        assert!(matches!(platt, Output::Platt(_)), "{platt:?}");
        let (logits, labels) = drawn(|logit| if logit < 1.0 { 0.1 } else { 0.6 });
        let isotonic = calibration(CalibrationChoice::Auto, &logits, &labels);
        assert!(matches!(isotonic, Output::Isotonic(_)), "{isotonic:?}");
        assert!((isotonic.of(-1.0) - 0.1).abs() < 0.02 && (isotonic.of(2.0) - 0.6).abs() < 0.04);
    }

    #[test]
    fn few_rows_are_not_calibrated_by_steps() {
        let (logits, labels) = drawn(|logit| if logit < 1.0 { 0.1 } else { 0.6 });
        let few = calibration(CalibrationChoice::Auto, &logits[..300], &labels[..300]);
        assert!(matches!(few, Output::Platt(_)));
    }
}
