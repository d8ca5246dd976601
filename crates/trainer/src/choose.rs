//! Trains one algorithm after the other on the same rows and keeps the best.

use crate::blend::{self, Blended};
use crate::calibrate;
use crate::cut_offs::{self, Stretch};
use crate::error::TrainerError;
use crate::evaluate::{baseline, measure, Trained};
use crate::job::{Fit, Job};
use crate::learn::learn;
use crate::report::Reporter;
use crate::rows::split::{HeldOut, Split};
use model::params::Metric;
use model::protocol::{Candidate, CutOff, Event};
use model::quality::Quality;
use model::{Algorithm, Artifact, Task};
use std::io::Write;
use std::time::Instant;

/// What was chosen, and how good each algorithm is before earlier stretches of validation weeks.
pub struct Choice<'a> {
    pub best: Trained<'a>,
    pub cut_offs: Vec<CutOff>,
}

/// Trains the algorithms and returns the best by the mean of the metric over the validation rows of every cut-off, or the first if
/// they cannot be compared; where no metric is asked for, a blend of the least loss goes before it. If one of several fails, it is reported as a candidate with its error; if all of them fail, the last
/// error is returned. When the time is up, no further training is begun.
pub fn best<'a, W: Write>(
    algorithms: &[Algorithm],
    earlier: &[Split],
    job: &'a Job,
    reporter: &mut Reporter<W>,
) -> Result<Choice<'a>, TrainerError> {
    let baselines = job.split.held_out(|rows| Ok(baseline(job, rows)))?;
    let mut candidates = Candidates { all: Vec::new(), failure: None, several: algorithms.len() > 1 };
    let (blends, learned): (Vec<_>, Vec<_>) =
        algorithms.iter().partition(|algorithm| **algorithm == Algorithm::Blend);
    for algorithm in learned {
        candidates.add(algorithm, job, reporter, |_, reporter| {
            let began = Instant::now();
            let fit = learn(algorithm, job, reporter)?;
            trained(algorithm, fit, began.elapsed().as_secs_f64(), &baselines, job).map(Some)
        })?;
    }
    let mut stretches = cut_offs::roll(&candidates.all, earlier, job, reporter)?;
    candidates.take_cut_offs(&stretches);
    for algorithm in blends {
        candidates.add(algorithm, job, reporter, |others, _| {
            let Some(Blended { fit, earlier, seconds }) = blend(others, &stretches, job) else {
                return Ok(None);
            };
            let trained = trained(algorithm, fit, seconds, &baselines, job)?;
            cut_offs::add(&mut stretches, algorithm, earlier, &trained.fit, job)?;
            Ok(Some(trained))
        })?;
    }
    candidates.take_cut_offs(&stretches);
    candidates.choose(job)
}

fn nothing() -> TrainerError {
    TrainerError::internal("no algorithm was trained")
}

/// The algorithms that were tried so far.
struct Candidates<'a> {
    all: Vec<Trained<'a>>,
    failure: Option<TrainerError>,
    /// Whether there is something to compare.
    several: bool,
}

impl<'a> Candidates<'a> {
    /// Trains one more, and tells how good it is; `train` gives `None` if there is nothing to train.
    fn add<W: Write>(
        &mut self,
        algorithm: Algorithm,
        job: &Job,
        reporter: &mut Reporter<W>,
        train: impl FnOnce(&[Trained<'a>], &mut Reporter<W>) -> Result<Option<Trained<'a>>, TrainerError>,
    ) -> Result<(), TrainerError> {
        if !self.all.is_empty() && job.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return reporter.warn(format!("{algorithm} was not tried: the time budget is used up."));
        }
        let began = Instant::now();
        let trained = match train(&self.all, reporter) {
            Err(error @ TrainerError::HungUp) => return Err(error),
            trained => trained.transpose(),
        };
        let Some(trained) = trained else { return Ok(()) };
        if self.several {
            reporter.send(&Event::Candidate(candidate(algorithm, &trained, began)))?;
        }
        match trained {
            Ok(trained) => self.all.push(trained),
            Err(error) => self.failure = Some(error),
        }
        Ok(())
    }

    /// Notes how good each is before the earlier stretches of validation weeks.
    fn take_cut_offs(&mut self, stretches: &[Stretch]) {
        for trained in &mut self.all {
            let of_stretch =
                |stretch: &Stretch| Some(stretch.of(trained.artifact.algorithm)?.cut_off.clone());
            trained.cut_offs = stretches.iter().filter_map(of_stretch).collect();
        }
    }

    fn choose(mut self, job: &Job) -> Result<Choice<'a>, TrainerError> {
        let cut_offs = self.all.iter().flat_map(|trained| trained.cut_offs.clone()).collect();
        let best = best_of(&self.all, cut_offs::metric(job), |_| true);
        match steady_blend(&self.all, job).or(best) {
            Some(best) => Ok(Choice { best: self.all.swap_remove(best), cut_offs }),
            None => Err(self.failure.unwrap_or_else(nothing)),
        }
    }
}

/// The blend, where no metric is asked for and its log loss is the least. Average precision leans on few rows at the top, so that one
/// of its parts can be ahead by chance; loss and ranking together say more (decision 34).
fn steady_blend(all: &[Trained], job: &Job) -> Option<usize> {
    if job.params.metric.is_some() || job.task != Task::Binary {
        return None;
    }
    best_of(all, Metric::LogLoss, |_| true).filter(|best| all[*best].artifact.algorithm == Algorithm::Blend)
}

/// The position of the best model among those whose algorithm is wanted.
fn best_of(all: &[Trained], metric: Metric, is_wanted: impl Fn(Algorithm) -> bool) -> Option<usize> {
    let mut best: Option<(usize, Option<f64>)> = None;
    for (n, trained) in all.iter().enumerate().filter(|(_, trained)| is_wanted(trained.artifact.algorithm)) {
        let ours = trained.mean(metric);
        let is_better = match (ours, best) {
            (_, None) | (Some(_), Some((_, None))) => true,
            (Some(ours), Some((_, Some(theirs)))) => metric.prefers(ours, theirs),
            (None, Some(_)) => false,
        };
        if is_better {
            best = Some((n, ours));
        }
    }
    best.map(|(n, _)| n)
}

/// A blend of the networks, the best of them first, and the trees.
fn blend<'a>(others: &[Trained<'a>], stretches: &[Stretch], job: &'a Job) -> Option<Blended<'a>> {
    let best = best_of(others, cut_offs::metric(job), Algorithm::is_network)?;
    let forest = best_of(others, cut_offs::metric(job), |algorithm| algorithm == Algorithm::BoostedTrees)?;
    let is_other = |n: &usize| *n != best && others[*n].artifact.algorithm.is_network();
    let networks = [best].into_iter().chain((0..others.len()).filter(is_other));
    let networks: Vec<&Trained> = networks.map(|n| &others[n]).collect();
    blend::fit(&networks, &others[forest], stretches, job)
}

/// A fit, measured as it will be served.
fn trained<'a>(
    algorithm: Algorithm,
    fit: Fit<'a>,
    seconds: f64,
    baselines: &HeldOut<Option<Quality>>,
    job: &'a Job,
) -> Result<Trained<'a>, TrainerError> {
    let outputs = job.split.held_out(|rows| fit.reference.outputs(rows))?;
    let artifact = Artifact {
        algorithm,
        recipe: fit.recipe.clone(),
        predictor: fit.predictor.clone(),
        output: calibrate::output(&fit, &outputs.validation, job),
    };
    let measured = measure(&artifact, &fit, &outputs, baselines, job)?;
    Ok(Trained { artifact, fit, outputs, measured, seconds, cut_offs: Vec::new() })
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
