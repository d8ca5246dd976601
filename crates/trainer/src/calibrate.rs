//! How a predictor's numbers become probabilities or quantities.

mod quantiles;

use crate::job::{Fit, Job};
use model::calibration::Platt;
use model::isotonic::Isotonic;
use model::output::Shifts;
use model::params::CalibrationChoice;
use model::recalibration::{held_out_loss, Method};
use model::{metrics, Output, Predictor, Task};

/// The output of a model. Probabilities and quantiles are calibrated on the validation rows, whose outputs are given, if
/// these rows suffice.
pub fn output(fit: &Fit, outputs: &[f64], job: &Job) -> Output {
    let rows = job.stopping_rows();
    match job.task {
        Task::Binary => {
            let labels = job.table.labels.positive(rows);
            // Either all validation rows or none.
            let logits = &outputs[..rows.len()];
            calibration(job.params.calibration, logits, &labels, later_half(job, rows).as_deref())
        }
        Task::Regression => {
            let unshifted = quantity(fit, job, Shifts::default());
            match (job.params.calibration, &fit.predictor) {
                (CalibrationChoice::None, _) | (_, Predictor::Rates(_)) => unshifted,
                _ => quantity(fit, job, quantiles::shifts(&unshifted, outputs, &job.table.labels.of(rows))),
            }
        }
    }
}

/// The output of what was fitted again on all rows: calibrated as the measured fit is.
pub fn again(measured: &Output, fit: &Fit, job: &Job) -> Output {
    match measured {
        Output::Quantity { shifts, .. } => quantity(fit, job, *shifts),
        Output::Platt(_) | Output::Isotonic(_) | Output::Probability | Output::Mean => measured.clone(),
    }
}

/// A quantity that was never below 0 will not be predicted below 0.
fn quantity(fit: &Fit, job: &Job, shifts: Shifts) -> Output {
    let labels = job.table.labels.of(&job.split.train);
    let never_negative = labels.iter().all(|label| *label >= 0.0);
    let (scale, mean) = fit.units;
    Output::Quantity { mean, scale, least: never_negative.then_some(0.0), shifts }
}

/// Which of the rows belong to the later half of their times; `None` if there are no two times, or no split by time.
pub fn later_half(job: &Job, rows: &[u32]) -> Option<Vec<bool>> {
    let (_, times) = job.table.times.as_ref().filter(|_| job.split.by_time)?;
    let of_rows = || rows.iter().map(|row| times[*row as usize]);
    let mut distinct: Vec<i64> = of_rows().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let first = *distinct.get(distinct.len().div_ceil(2))?;
    Some(of_rows().map(|time| time >= first).collect())
}

/// `later` says which rows belong to the later half of the calibration set, if it can be told.
fn calibration(choice: CalibrationChoice, logits: &[f64], labels: &[bool], later: Option<&[bool]>) -> Output {
    let platt = || Output::Platt(Platt::fit(logits, labels));
    match choice {
        CalibrationChoice::None => Output::Platt(Platt::IDENTITY),
        CalibrationChoice::Platt => platt(),
        CalibrationChoice::Isotonic => Isotonic::fit(logits, labels).map_or_else(platt, Output::Isotonic),
        CalibrationChoice::Auto => automatic(logits, labels, later),
    }
}

/// How much of Platt's line is tried, between none of it and all.
const SHARES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Isotonic calibration where it is better, else as much of Platt's as carries over: what is fitted on the earlier half of the
/// rows is measured on the later half. Outcomes drift from week to week, and a calibration that only follows the weeks that
/// it was fitted on makes the weeks to come worse.
fn automatic(logits: &[f64], labels: &[bool], later: Option<&[bool]>) -> Output {
    let isotonic = || calibration(CalibrationChoice::Isotonic, logits, labels, None);
    let Some(later) = later else {
        return match isotonic_is_better(logits, labels) {
            true => isotonic(),
            false => Output::Platt(Platt::fit(logits, labels)),
        };
    };
    let half = |wanted: bool| -> (Vec<f64>, Vec<bool>) {
        let rows = logits.iter().zip(labels).zip(later).filter(|(_, later)| **later == wanted);
        rows.map(|((logit, label), _)| (*logit, *label)).unzip()
    };
    let (earlier, later) = (half(false), half(true));
    let loss = |output: &Output| {
        let scores: Vec<f64> = later.0.iter().map(|logit| output.of(*logit)).collect();
        metrics::log_loss(&scores, &later.1).unwrap_or(f64::INFINITY)
    };
    let line = Platt::fit(&earlier.0, &earlier.1);
    let losses = SHARES.map(|share| loss(&Output::Platt(shrunk(line, share))));
    // Of equal ones the largest share, which is the usual calibration.
    let best = (0..SHARES.len()).rev().min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap_or(0);
    let isotonic_carries_over = || {
        let fitted = Isotonic::fit(&earlier.0, &earlier.1).map(Output::Isotonic);
        fitted.is_some_and(|fitted| loss(&fitted) < losses[best])
    };
    match isotonic_is_better(logits, labels) && isotonic_carries_over() {
        true => isotonic(),
        false => Output::Platt(shrunk(Platt::fit(logits, labels), SHARES[best])),
    }
}

/// The line so far on the way from none to the whole of it.
fn shrunk(line: Platt, share: f64) -> Platt {
    Platt { slope: 1.0 + share * (line.slope - 1.0), offset: share * line.offset }
}

/// Whether isotonic calibration has a lower log loss than Platt's, each fitted on one half of the rows and measured on
/// the other, for both halves. It needs enough rows of the rarer outcome.
fn isotonic_is_better(logits: &[f64], labels: &[bool]) -> bool {
    let positives = labels.iter().filter(|label| **label).count();
    if positives.min(labels.len() - positives) < Method::Isotonic.fewest() {
        return false;
    }
    let by_platt = held_out_loss(logits, labels, |x, y| Some(Output::Platt(Platt::fit(x, y))));
    let by_isotonic = held_out_loss(logits, labels, |x, y| Isotonic::fit(x, y).map(Output::Isotonic));
    by_isotonic.zip(by_platt).is_some_and(|(isotonic, platt)| isotonic < platt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::hash::mix;
    use model::calibration::sigmoid;

    /// Rows whose true probability is `truth` of their logit.
    fn drawn(truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<bool>) {
        drawn_from(0, truth)
    }

    /// Others, from another number on.
    fn drawn_from(first: u64, truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<bool>) {
        let row = |i: u64| {
            let logit = (mix(i) % 6000) as f64 / 1000.0 - 3.0;
            (logit, (mix(!i) as f64 / 2f64.powi(64)) < truth(logit))
        };
        (first..first + 20_000).map(row).unzip()
    }

    #[test]
    fn the_shape_of_the_miscalibration_decides() {
        let (logits, labels) = drawn(|logit| sigmoid(0.5 * logit - 1.0));
        let platt = calibration(CalibrationChoice::Auto, &logits, &labels, None);
        assert!(matches!(platt, Output::Platt(_)), "{platt:?}");
        let (logits, labels) = drawn(|logit| if logit < 1.0 { 0.1 } else { 0.6 });
        let isotonic = calibration(CalibrationChoice::Auto, &logits, &labels, None);
        assert!(matches!(isotonic, Output::Isotonic(_)), "{isotonic:?}");
        assert!((isotonic.of(-1.0) - 0.1).abs() < 0.02 && (isotonic.of(2.0) - 0.6).abs() < 0.04);
    }

    #[test]
    fn few_rows_are_not_calibrated_by_steps() {
        let (logits, labels) = drawn(|logit| if logit < 1.0 { 0.1 } else { 0.6 });
        let few = calibration(CalibrationChoice::Auto, &logits[..300], &labels[..300], None);
        assert!(matches!(few, Output::Platt(_)));
    }

    #[test]
    fn what_does_not_carry_over_to_the_later_half_is_left_out() {
        let auto = |earlier: fn(f64) -> f64, later: fn(f64) -> f64| {
            let ((mut logits, mut labels), (more, their_labels)) =
                (drawn(earlier), drawn_from(20_000, later));
            let is_later: Vec<bool> = (0..logits.len() + more.len()).map(|row| row >= logits.len()).collect();
            logits.extend(more);
            labels.extend(their_labels);
            match calibration(CalibrationChoice::Auto, &logits, &labels, Some(&is_later)) {
                Output::Platt(platt) => platt,
                other => panic!("{other:?}"),
            }
        };
        // More was bought in the first weeks alone.
        assert_eq!(auto(|logit| sigmoid(logit + 1.0), sigmoid), Platt::IDENTITY);
        let carries_over = |logit: f64| sigmoid(0.5 * logit - 1.0);
        let whole = auto(carries_over, carries_over);
        assert!((whole.slope - 0.5).abs() < 0.05 && (whole.offset + 1.0).abs() < 0.05, "{whole:?}");
        // Half of what the first weeks say is true of the later ones.
        let half = auto(|logit| sigmoid(logit + 2.0), |logit| sigmoid(logit + 1.0));
        assert!((half.slope - 1.0).abs() < 0.05 && (0.6..1.0).contains(&half.offset), "{half:?}");
    }

    #[test]
    fn steps_that_only_the_first_weeks_have_are_not_taken() {
        let step = |logit: f64| if logit < 1.0 { 0.1 } else { 0.6 };
        let ((mut logits, mut labels), (more, their_labels)) = (drawn(step), drawn_from(20_000, step));
        let is_later: Vec<bool> = (0..2 * logits.len()).map(|row| row >= logits.len()).collect();
        logits.extend(more);
        labels.extend(their_labels);
        let auto = |logits: &[f64], labels: &[bool]| {
            calibration(CalibrationChoice::Auto, logits, labels, Some(&is_later))
        };
        assert!(matches!(auto(&logits, &labels), Output::Isotonic(_)));
        let other = drawn_from(20_000, sigmoid).1;
        labels.truncate(other.len());
        labels.extend(other);
        assert!(matches!(auto(&logits, &labels), Output::Platt(_)));
    }
}
