//! Rolling validation: what the newest validation weeks compare is trained again on shorter histories, and each time measured on
//! the weeks that follow. What is best over several stretches of weeks owes less to the luck of one.

use crate::calibrate;
use crate::error::TrainerError;
use crate::evaluate::{Served, Trained};
use crate::job::{Fit, Job};
use crate::learn::learn;
use crate::prepare::Encoder;
use crate::report::Reporter;
use crate::rows::split::Split;
use model::params::Metric;
use model::protocol::{CutOff, Event};
use model::{Algorithm, Output};
use std::io::Write;
use std::time::Instant;

/// An earlier stretch of validation weeks, and what each algorithm predicts of them.
pub struct Stretch<'a> {
    pub split: &'a Split,
    pub predicted: Vec<Predicted>,
}

/// What an algorithm predicts of the validation rows of a stretch.
pub struct Predicted {
    pub algorithm: Algorithm,
    /// The training library's outputs.
    pub outputs: Vec<f64>,
    pub output: Output,
    pub cut_off: CutOff,
}

impl Stretch<'_> {
    pub fn of(&self, algorithm: Algorithm) -> Option<&Predicted> {
        self.predicted.iter().find(|predicted| predicted.algorithm == algorithm)
    }
}

impl Predicted {
    /// `outputs` are those of the validation rows of `job`.
    fn new(
        algorithm: Algorithm,
        outputs: Vec<f64>,
        fit: &Fit,
        job: &Job,
        seconds: f64,
    ) -> Result<Self, TrainerError> {
        let output = calibrate::output(fit, &outputs, job);
        let rows = &job.split.validation;
        let validation = Served::of(&outputs, &output).quality_with_lists(job, rows);
        let validation_from = job.table.written(job.split.validation_from);
        match validation.filter(|quality| quality.value(metric(job)).is_some()) {
            Some(validation) => {
                let validation = validation.without_tables();
                let cut_off = CutOff { algorithm, validation_from, validation, seconds };
                Ok(Self { algorithm, outputs, output, cut_off })
            }
            None => Err(unmeasured()),
        }
    }
}

fn unmeasured() -> TrainerError {
    TrainerError::data("the rows before the next one, or its own, have one outcome only", "")
}

/// What candidates are compared by.
pub fn metric(job: &Job) -> Metric {
    job.params.metric.unwrap_or(Metric::default_for(job.task))
}

/// Trains once more, before each of the earlier stretches of validation weeks, what was trained before the newest. A stretch that
/// one of the algorithms cannot be measured on is left out with those before it, and the user is told, so that all are compared by
/// the same rows.
pub fn roll<'a, W: Write>(
    trained: &[Trained],
    earlier: &'a [Split],
    job: &Job,
    reporter: &mut Reporter<W>,
) -> Result<Vec<Stretch<'a>>, TrainerError> {
    let algorithms: Vec<Algorithm> = trained.iter().map(|trained| trained.artifact.algorithm).collect();
    let mut stretches = Vec::new();
    for split in earlier {
        match predict(&algorithms, split, job, reporter) {
            Ok(predicted) => stretches.push(Stretch { split, predicted }),
            Err(TrainerError::HungUp) => return Err(TrainerError::HungUp),
            Err(error) => {
                reporter.warn(format!(
                    "Rolling validation ends after cut-off {}: {error}.",
                    stretches.len() + 1
                ))?;
                return Ok(stretches);
            }
        }
    }
    if stretches.len() + 1 < job.params.cut_offs {
        reporter.warn(format!(
            "There are rows for {} cut-offs, not for {}: before those there is nothing to train on.",
            stretches.len() + 1,
            job.params.cut_offs
        ))?;
    }
    Ok(stretches)
}

fn predict<W: Write>(
    algorithms: &[Algorithm],
    split: &Split,
    newest: &Job,
    reporter: &mut Reporter<W>,
) -> Result<Vec<Predicted>, TrainerError> {
    if !newest.table.labels.differ(&split.train) {
        return Err(unmeasured());
    }
    let grain = newest.encoder.grain;
    let encoder = Encoder::fit(newest.table, &split.train, newest.params, grain, newest.threads)?;
    let job = Job { split, encoder: &encoder, ..*newest };
    let mut all = Vec::new();
    for algorithm in algorithms {
        let began = Instant::now();
        let fit = learn(*algorithm, &job, &mut Reporter::silent())?;
        if job.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(TrainerError::data("the time budget is used up", ""));
        }
        let outputs = fit.reference.outputs(&split.validation)?;
        let predicted = Predicted::new(*algorithm, outputs, &fit, &job, began.elapsed().as_secs_f64())?;
        reporter.send(&Event::CutOff(predicted.cut_off.clone()))?;
        all.push(predicted);
    }
    Ok(all)
}

/// Adds what a blend of the others puts out for each stretch.
pub fn add(
    stretches: &mut [Stretch],
    algorithm: Algorithm,
    outputs: Vec<Vec<f64>>,
    fit: &Fit,
    newest: &Job,
) -> Result<(), TrainerError> {
    for (stretch, outputs) in stretches.iter_mut().zip(outputs) {
        let job = Job { split: stretch.split, ..*newest };
        stretch.predicted.push(Predicted::new(algorithm, outputs, fit, &job, 0.0)?);
    }
    Ok(())
}
