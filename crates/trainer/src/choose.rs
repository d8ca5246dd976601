//! Trains one algorithm after the other on the same rows and keeps the best.

use crate::calibrate;
use crate::error::TrainerError;
use crate::evaluate::{measure, Measured};
use crate::job::{Fit, Job};
use crate::report::Reporter;
use crate::{network, popularity};
use model::params::Metric;
use model::protocol::Candidate;
use model::quality::Quality;
use model::{Algorithm, Artifact, ModelError};
use std::io::Write;
use std::time::Instant;

/// A trained model, measured.
pub struct Trained<'a> {
    pub artifact: Artifact,
    pub fit: Fit<'a>,
    pub measured: Measured,
}

/// The best of the algorithms by the metric on validation rows; the first of those that cannot be compared. Of several, one
/// that fails is told as a candidate with its error; if all do, the last error is this function's. When the time is up, no
/// further one is begun.
pub fn best<'a, W: Write>(
    algorithms: &[Algorithm],
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Trained<'a>, TrainerError> {
    let metric = job.params.metric.unwrap_or(Metric::default_for(job.task));
    if let [only] = algorithms {
        return train(*only, job, reporter);
    }
    let mut best: Option<Trained> = None;
    let mut failure = None;
    for algorithm in algorithms {
        if best.is_some() && job.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            reporter.warn(format!("{algorithm} was not tried: the time budget is used up."))?;
            continue;
        }
        let began = Instant::now();
        let trained = match train(*algorithm, job, reporter) {
            Err(error @ TrainerError::HungUp) => return Err(error),
            trained => trained,
        };
        reporter.send(&model::protocol::Event::Candidate(candidate(*algorithm, &trained, began)))?;
        match trained {
            Err(error) => failure = Some(error),
            Ok(trained) => {
                let is_better = match (validation(&trained), best.as_ref()) {
                    (_, None) => true,
                    (Some(ours), Some(best)) => ours.beats(validation(best), metric),
                    (None, Some(_)) => false,
                };
                if is_better {
                    best = Some(trained);
                }
            }
        }
    }
    best.ok_or_else(|| failure.unwrap_or_else(|| TrainerError::internal("no algorithm was trained")))
}

fn validation<'a>(trained: &'a Trained) -> Option<&'a Quality> {
    trained.measured.validation.as_ref().map(|evaluation| &evaluation.model)
}

fn train<'a, W: Write>(
    algorithm: Algorithm,
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Trained<'a>, TrainerError> {
    let fit = match algorithm {
        Algorithm::Popularity => popularity::fit(job)?,
        Algorithm::BoostedTrees if job.table.stored.is_some() => {
            return Err(job.table.must_be_in_memory(algorithm))
        }
        Algorithm::BoostedTrees => return Err(ModelError::artifact("boosted trees").into()),
        Algorithm::Logistic | Algorithm::Mlp | Algorithm::DeepCross => {
            network::fit(algorithm, job, reporter)?
        }
    };
    let artifact = Artifact {
        algorithm,
        recipe: fit.recipe.clone(),
        predictor: fit.predictor.clone(),
        output: calibrate::output(&fit, job)?,
    };
    let measured = measure(&artifact, &*fit.reference, job)?;
    Ok(Trained { artifact, fit, measured })
}

fn candidate(algorithm: Algorithm, trained: &Result<Trained, TrainerError>, began: Instant) -> Candidate {
    let seconds = began.elapsed().as_secs_f64();
    match trained {
        Ok(Trained { fit, measured, .. }) => Candidate {
            algorithm,
            validation: measured.validation.as_ref().map(|evaluation| evaluation.model.clone()),
            test: measured.test.as_ref().map(|evaluation| evaluation.model.clone()),
            best_epoch: fit.best_epoch,
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
