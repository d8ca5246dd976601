//! Trains one algorithm after the other on the same rows and keeps the best.

use crate::calibrate;
use crate::error::TrainerError;
use crate::evaluate::{baseline, measure, Trained};
use crate::job::{Fit, Job};
use crate::report::Reporter;
use crate::rows::split::HeldOut;
use crate::{blend, network, popularity, trees};
use model::params::Metric;
use model::protocol::{Candidate, Event};
use model::quality::Quality;
use model::{Algorithm, Artifact};
use std::io::Write;
use std::time::Instant;

/// Trains the algorithms and returns the best by the metric on validation rows, or the first if they cannot be
/// compared. If one of several fails, it is reported as a candidate with its error; if all of them fail, the last error
/// is returned. When the time is up, no further training is begun.
pub fn best<'a, W: Write>(
    algorithms: &[Algorithm],
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Trained<'a>, TrainerError> {
    let baselines = job.split.held_out(|rows| Ok(baseline(job, rows)))?;
    if let [only] = algorithms {
        return train(*only, &[], &baselines, job, reporter)?.ok_or_else(nothing);
    }
    let mut all: Vec<Trained> = Vec::new();
    let mut failure = None;
    for algorithm in algorithms {
        if !all.is_empty() && job.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            reporter.warn(format!("{algorithm} was not tried: the time budget is used up."))?;
            continue;
        }
        let began = Instant::now();
        let trained = match train(*algorithm, &all, &baselines, job, reporter) {
            Err(error @ TrainerError::HungUp) => return Err(error),
            Ok(None) => continue,
            trained => trained.and_then(|trained| trained.ok_or_else(nothing)),
        };
        reporter.send(&Event::Candidate(candidate(*algorithm, &trained, began)))?;
        match trained {
            Ok(trained) => all.push(trained),
            Err(error) => failure = Some(error),
        }
    }
    match best_of(&all, job, |_| true) {
        Some(best) => Ok(all.swap_remove(best)),
        None => Err(failure.unwrap_or_else(nothing)),
    }
}

fn nothing() -> TrainerError {
    TrainerError::internal("no algorithm was trained")
}

/// The position of the best model among those whose algorithm is wanted.
fn best_of(all: &[Trained], job: &Job, is_wanted: impl Fn(Algorithm) -> bool) -> Option<usize> {
    let metric = job.params.metric.unwrap_or(Metric::default_for(job.task));
    let mut best: Option<usize> = None;
    for (n, trained) in all.iter().enumerate().filter(|(_, trained)| is_wanted(trained.artifact.algorithm)) {
        let is_better = match (trained.validation(), best) {
            (_, None) => true,
            (Some(ours), Some(best)) => ours.beats(all[best].validation(), metric),
            (None, Some(_)) => false,
        };
        if is_better {
            best = Some(n);
        }
    }
    best
}

/// A blend of the best network and the best forest that were trained, and how long these took.
fn blend<'a>(others: &[Trained<'a>], job: &'a Job) -> Option<(Fit<'a>, f64)> {
    let networks = best_of(others, job, Algorithm::is_network)?;
    let forest = best_of(others, job, |algorithm| algorithm == Algorithm::BoostedTrees)?;
    let (networks, forest) = (&others[networks], &others[forest]);
    Some((blend::fit(networks, forest, job)?, networks.seconds + forest.seconds))
}

/// Trains one algorithm on the training rows.
pub fn learn<'a, W: Write>(
    algorithm: Algorithm,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Fit<'a>, TrainerError> {
    match algorithm {
        Algorithm::Popularity => popularity::fit(job),
        Algorithm::BoostedTrees => trees::fit(job, reporter),
        Algorithm::Logistic | Algorithm::Mlp | Algorithm::DeepCross => network::fit(algorithm, job, reporter),
        Algorithm::Blend => Err(TrainerError::internal("a blend is made of what others have learned")),
    }
}

/// Trains one algorithm; `None` if there is nothing that could be blended.
fn train<'a, W: Write>(
    algorithm: Algorithm,
    others: &[Trained<'a>],
    baselines: &HeldOut<Option<Quality>>,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Option<Trained<'a>>, TrainerError> {
    let began = Instant::now();
    let (fit, seconds) = match algorithm {
        Algorithm::Blend => match blend(others, job) {
            Some(blended) => blended,
            None => return Ok(None),
        },
        _ => (learn(algorithm, job, reporter)?, began.elapsed().as_secs_f64()),
    };
    let outputs = job.split.held_out(|rows| fit.reference.outputs(rows))?;
    let artifact = Artifact {
        algorithm,
        recipe: fit.recipe.clone(),
        predictor: fit.predictor.clone(),
        output: calibrate::output(&fit, &outputs.validation, job),
    };
    let measured = measure(&artifact, &fit, &outputs, baselines, job)?;
    Ok(Some(Trained { artifact, fit, outputs, measured, seconds }))
}

fn candidate(algorithm: Algorithm, trained: &Result<Trained, TrainerError>, began: Instant) -> Candidate {
    let seconds = began.elapsed().as_secs_f64();
    match trained {
        Ok(Trained { fit, measured, .. }) => Candidate {
            algorithm,
            validation: measured.validation.as_ref().map(|evaluation| evaluation.model.clone()),
            test: measured.test.as_ref().map(|evaluation| evaluation.model.clone()),
            best_epoch: fit.best_epoch(),
            parameters: fit.parameters as u64,
            seconds,
            error: None,
        },
        Err(error) => Candidate {
            algorithm,
            validation: None,
            test: None,
            best_epoch: 0,
            parameters: 0,
            seconds,
            error: Some(error.to_string()),
        },
    }
}
