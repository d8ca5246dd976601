//! The search: trains trials side by side until the plan is done or the time is over.

use super::super::attempt::{wait, Attempt, Outcome, Trained};
use super::super::run::{Run, TrialOf};
use super::super::temp_file::TempFile;
use super::record::{SearchedData, Tune};
use super::request::Tuning;
use crate::error::Error;
use crate::pg::session::{Failure, Session};
use model::halving::{best, Results, Step, TrialRung};
use model::params::Metric;
use model::protocol::{mean, Cause, Spec};
use model::{Algorithm, ModelError, Params};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::time::Instant;

pub struct Search<'a> {
    tuning: &'a Tuning,
    session: &'a Session,
    pub tune: Tune,
    results: Results,
    under_way: Vec<Trial>,
    /// The runs that have begun and whose end is not recorded yet.
    open: Vec<Run>,
    /// The result of the best trial so far. The results of earlier calls no longer exist.
    kept: Option<(TrialRung, Trained)>,
    warned: BTreeSet<String>,
    last_error: Option<Error>,
}

/// A trial that is being trained.
struct Trial {
    step: Step,
    lane: usize,
    attempt: Attempt,
    /// Whether the trial's rows have been compared with those of the earlier trials.
    compared: bool,
}

impl<'a> Search<'a> {
    pub fn new(tuning: &'a Tuning, tune: Tune, session: &'a Session) -> Self {
        let of_earlier_calls = |metric| {
            let known = tune.trained.iter().filter(|(key, _)| tuning.plan.has(*key));
            known.map(|(key, value)| (*key, Some(gain(*value, metric)))).collect()
        };
        let results = tune.seen.as_ref().map_or_else(Results::new, |seen| of_earlier_calls(seen.metric));
        Self {
            tuning,
            session,
            tune,
            results,
            under_way: Vec::new(),
            open: Vec::new(),
            kept: None,
            warned: BTreeSet::new(),
            last_error: None,
        }
    }

    /// Trains until nothing is left to do; returns the best trial and its result.
    pub fn run(&mut self, data: &TempFile) -> Result<(TrialRung, Trained), Failure> {
        loop {
            if self.is_late() {
                self.stop_trials(|search, key| !search.results.contains_key(&key))?;
            }
            while let Some((step, lane)) = self.next() {
                self.start(step, lane, data)?;
            }
            if self.under_way.is_empty() {
                return Ok(self.kept.take().ok_or_else(|| self.why_nothing())?);
            }
            if !self.hear()? {
                wait(self.under_way.iter().map(|trial| &trial.attempt))?;
            }
        }
    }

    /// Ends all trainers, and returns what the caller has to record.
    pub fn abandon(self) -> (Tune, Vec<Run>) {
        (self.tune, self.open)
    }

    fn is_late(&self) -> bool {
        self.tuning.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The next training and the lane for it, if there are both.
    fn next(&self) -> Option<(Step, usize)> {
        let busy: Vec<usize> = self.under_way.iter().map(|trial| trial.lane).collect();
        let lane = (0..self.tuning.lanes.devices.len()).find(|lane| !busy.contains(lane))?;
        let keys: Vec<TrialRung> = self.under_way.iter().map(|trial| trial.step.key()).collect();
        let planned = match self.is_late() {
            true => None,
            false => self.tuning.plan.next(&self.results, &keys),
        };
        // The plan is done. If the best trial was trained by an earlier call, its weights no longer exist, so it is trained
        // again.
        let again = || best(&self.results).filter(|best| keys.is_empty() && !self.has_kept(*best));
        let step = planned.or_else(|| again().map(|key| self.tuning.plan.step(key)))?;
        Some((step, lane))
    }

    fn has_kept(&self, key: TrialRung) -> bool {
        self.kept.as_ref().is_some_and(|(kept, _)| *kept == key)
    }

    fn start(&mut self, step: Step, lane: usize, data: &TempFile) -> Result<(), Failure> {
        let device = self.tuning.lanes.devices[lane].clone();
        // Only the best is refit, at the end.
        let params = Params { device, refit: false, ..self.params(step.key())? };
        let request = &self.tuning.request;
        let trial = TrialOf { tune: self.tune.id, trial: step.trial as i32, rung: step.rung as i32 };
        let run = self.session.attempt(|| Run::start(request, &params, Some(trial), self.session))?;
        self.open.push(run);
        self.session.commit();
        let spec = Spec { params, ..request.spec.clone() };
        let attempt = self.session.attempt(|| Attempt::start(run, &spec, data, None))?;
        self.session.commit();
        self.under_way.push(Trial { step, lane, attempt, compared: false });
        Ok(())
    }

    /// The parameters of a trial at a rung.
    pub fn params(&self, key: TrialRung) -> Result<Params, Error> {
        let step = self.tuning.plan.step(key);
        let base = &self.tuning.request.spec.params;
        let mut changes = self.tuning.space.draw(base.seed, step.trial);
        changes.insert(self.budget_name().into(), json!(step.budget));
        changes.insert("threads".into(), json!(self.tune.threads));
        Ok(base.with(changes)?)
    }

    fn budget_name(&self) -> &'static str {
        match self.tuning.algorithm {
            Algorithm::BoostedTrees => "trees",
            _ => "epochs",
        }
    }

    /// Takes the events that the trials have sent; returns `true` if another trial may be started.
    fn hear(&mut self) -> Result<bool, Failure> {
        let before = self.under_way.len();
        for n in (0..before).rev() {
            let (trial, warned) = (&mut self.under_way[n], &mut self.warned);
            let mut warn_once = |message: &str| {
                if warned.insert(message.to_owned()) {
                    warn!("{message}");
                }
            };
            let heard = trial.attempt.hear(self.session, &mut warn_once);
            if !self.has_the_same_rows(n)? {
                self.start_over()?;
                return Ok(true);
            }
            match heard {
                Ok(false) => {}
                Ok(true) => self.end(n, Attempt::finish)?,
                Err(Failure::Ours(error)) => self.end(n, |_| Err(error))?,
                Err(failure) => return Err(failure),
            }
        }
        Ok(self.under_way.len() < before)
    }

    /// Compares the rows of a trial that has just read them with the rows that the search has seen.
    fn has_the_same_rows(&mut self, n: usize) -> Result<bool, Failure> {
        let trial = &mut self.under_way[n];
        let Some(data) = trial.attempt.data().filter(|_| !trial.compared) else { return Ok(true) };
        let metric = self.tuning.request.spec.params.metric.or(data.task.map(Metric::default_for));
        let metric = metric.ok_or_else(|| Error::invalid("the trainer did not say what the task is"))?;
        let seen = SearchedData { digest: data.digest.clone(), metric };
        trial.compared = true;
        if let Some(before) = &self.tune.seen {
            return Ok(*before == seen);
        }
        self.session.attempt(|| self.tune.saw(seen))?;
        self.session.commit();
        Ok(true)
    }

    /// Ends the search that was taken up, because its trials had other rows, and begins a new one.
    fn start_over(&mut self) -> Result<(), Failure> {
        let model = self.tuning.model();
        say!("{model}: the rows have changed since that tuning: a new one begins");
        self.stop_trials(|_, _| true)?;
        self.tune = self.session.attempt(|| {
            self.tune.fail("the rows have changed", self.session)?;
            Tune::start(self.tuning, self.session)
        })?;
        self.session.commit();
        self.results.clear();
        self.kept = None;
        Ok(())
    }

    /// Takes a trial out of the list and records its result. An error that is the trial's own does not end the other
    /// trials.
    fn end(
        &mut self,
        n: usize,
        result: impl FnOnce(Attempt) -> Result<Trained, Error>,
    ) -> Result<(), Failure> {
        let Trial { step, attempt, .. } = self.under_way.swap_remove(n);
        let run = attempt.run;
        match result(attempt) {
            Ok(trained) => self.judge(step, trained)?,
            Err(error @ Error::Trainer { cause: Cause::Diverged | Cause::Trainer, .. }) => {
                self.fail(step, run, error)?
            }
            Err(error) => return Err(error.into()),
        }
        self.open.retain(|open| open.id != run.id);
        self.session.commit();
        Ok(())
    }

    fn judge(&mut self, step: Step, trained: Trained) -> Result<(), Failure> {
        let metric = self.tune.seen.as_ref().map(|seen| seen.metric);
        let Outcome { validation, cut_offs, .. } = &trained.outcome;
        let value = metric.and_then(|metric| Some((metric, mean(validation.as_ref(), cut_offs, metric)?)));
        let (metric, value) = value.ok_or_else(|| Error::from(unjudgeable()))?;
        self.session.attempt(|| trained.run.succeed(None, Some(value), self.session))?;
        self.results.insert(step.key(), Some(gain(value, metric)));
        if best(&self.results) == Some(step.key()) {
            self.kept = Some((step.key(), trained));
        }
        self.tell(step, metric, value);
        Ok(())
    }

    fn fail(&mut self, step: Step, run: Run, error: Error) -> Result<(), Failure> {
        let model = self.tuning.model();
        warn!("{model}: trial {} failed: {error}", step.trial);
        self.session.attempt(|| run.fail(&error.to_string(), self.session))?;
        self.results.insert(step.key(), None);
        self.last_error = Some(error);
        Ok(())
    }

    /// Ends those trials under way that `stops` selects, without a result.
    fn stop_trials(&mut self, stops: impl Fn(&Self, TrialRung) -> bool) -> Result<(), Failure> {
        let all = std::mem::take(&mut self.under_way);
        let (stopped, going): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|trial| stops(self, trial.step.key()));
        self.under_way = going;
        for trial in stopped {
            let run = trial.attempt.run;
            drop(trial);
            self.session.attempt(|| run.cancel(self.session))?;
            self.open.retain(|open| open.id != run.id);
        }
        self.session.commit();
        Ok(())
    }

    fn why_nothing(&mut self) -> Error {
        self.last_error.take().unwrap_or_else(|| {
            Error::InvalidArgument(
                "no trial ended within time_budget".into(),
                Some("Allow more time, or set fewer epochs (or trees) in params.".into()),
            )
        })
    }

    /// Tells the client how good a trial is, and which is the best.
    fn tell(&self, step: Step, metric: Metric, value: f64) {
        let (done, all) = (self.results.len(), self.tuning.plan.trainings());
        let best = best(&self.results).map(|(trial, _)| trial);
        let best = match best == Some(step.trial) {
            true => "the best so far".to_owned(),
            false => format!("the best is trial {}", best.unwrap_or_default()),
        };
        say!(
            "{}: training {done} of {all}: trial {} ({}), {} {}: {} {value:.4}, {best}",
            self.tuning.model(),
            step.trial,
            self.drawn(step.trial),
            step.budget,
            self.budget_name(),
            metric.name(),
        );
    }

    /// Tells the client which trial has become the version.
    pub fn tell_winner(&self, key: TrialRung) {
        let Step { trial, budget, .. } = self.tuning.plan.step(key);
        let (model, trials) = (self.tuning.model(), self.tuning.trials);
        say!(
            "{model}: the best of {trials} trials is {trial} ({}), {budget} {}",
            self.drawn(trial),
            self.budget_name()
        );
    }

    fn drawn(&self, trial: u32) -> String {
        let drawn = self.tuning.space.draw(self.tuning.request.spec.params.seed, trial);
        match drawn.is_empty() {
            true => "the defaults".to_owned(),
            false => Value::Object(drawn).to_string(),
        }
    }
}

/// The value of a metric as a number of which more is better.
fn gain(value: f64, metric: Metric) -> f64 {
    if metric.is_gain() {
        value
    } else {
        -value
    }
}

fn unjudgeable() -> ModelError {
    ModelError::data(
        "the trials cannot be compared: their metric is not defined on the validation rows",
        "The validation rows must have different outcomes: raise \"validation_share\", or choose another metric.",
    )
}
