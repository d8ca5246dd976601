//! One run at work: a trainer, what it says, and what it leaves. Also a training without a run.

use super::run::{EpochMetric, Run};
use super::temp_file::TempFile;
use super::trainer::{check_version, reported, unasked, wait_for_any, News, Output, Trainer};
use crate::error::Error;
use crate::pg::extension::LIBRARY;
use crate::pg::session::{Failure, Session};
use model::bytes::Bytes;
use model::params::Metric;
use model::protocol::{
    ByGroup, Candidate, CutOff, DataSummary, Evaluation, Event, Importance, Profile, Spec,
};
use model::{Algorithm, Artifact, Quality, Task};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A training under way.
pub struct Attempt {
    pub run: Run,
    trainer: Trainer,
    output: Output,
    /// The file with the spec is deleted when this value is dropped. It is kept because the trainer may not have read it
    /// yet.
    _spec: TempFile,
    outcome: Outcome,
    progress: Progress,
}

/// What the trainer's events have said so far.
#[derive(Default)]
pub struct Outcome {
    /// The summary of the rows; `None` until the trainer has read them.
    pub data: Option<DataSummary>,
    pub libraries: serde_json::Value,
    pub validation: Option<Evaluation>,
    pub test: Option<Evaluation>,
    /// The quality on held-out rows, by region.
    pub by: ByGroup,
    pub algorithm: Option<Algorithm>,
    pub best_epoch: u32,
    pub parity: f64,
    pub importance: Vec<Importance>,
    /// What the training rows and the scores of the test rows are like.
    pub profiles: Vec<Profile>,
    /// The rows that the model learned from in its refit, if there was one.
    pub refit_rows: Option<u64>,
    /// What rolling validation says of each algorithm that was tried.
    pub cut_offs: Vec<CutOff>,
    /// What the model's algorithms took of their parameters that are null.
    pub defaults: BTreeMap<Algorithm, BTreeMap<String, Value>>,
    finished: bool,
}

/// The result of a training that succeeded.
pub struct Trained {
    pub run: Run,
    pub outcome: Outcome,
    output: Output,
}

/// How long a wait for news lasts, how often epochs are committed, and how often they are told to the client.
pub const PATIENCE: Duration = Duration::from_millis(100);
const BETWEEN_COMMITS: Duration = Duration::from_millis(200);
const BETWEEN_NOTICES: Duration = Duration::from_secs(2);

impl Attempt {
    /// Starts the trainer on `data`, which has to live as long as this value. If `told_as` is given, the client is told of
    /// the epochs under this name.
    pub fn start(run: Run, spec: &Spec, data: &TempFile, told_as: Option<&str>) -> Result<Self, Error> {
        let spec = TempFile::with_content("what is to be trained", &serde_json::to_vec(spec)?)?;
        let output = Output::create();
        let trainer = Trainer::start(&spec, data, &output)?;
        let progress = Progress::new(told_as);
        Ok(Self { run, trainer, output, _spec: spec, outcome: Outcome::default(), progress })
    }

    /// Takes the events that the trainer has sent so far, without waiting, and passes its epochs on. Warnings go to `warn`.
    /// Returns `true` once the trainer has closed its output.
    pub fn hear(&mut self, session: &Session, warn: &mut dyn FnMut(&str)) -> Result<bool, Failure> {
        loop {
            match self.trainer.news()? {
                News::Event(event) => self.outcome.take(*event, &mut self.progress, warn)?,
                News::None => {
                    if self.progress.is_due() {
                        self.progress.write(&self.run, session)?;
                    }
                    return Ok(false);
                }
                News::End => {
                    self.progress.write(&self.run, session)?;
                    return Ok(true);
                }
            }
            if self.progress.is_due() {
                self.progress.write(&self.run, session)?;
            }
        }
    }

    /// The summary of the rows, once the trainer has read them.
    pub fn data(&self) -> Option<&DataSummary> {
        self.outcome.data.as_ref()
    }

    /// The result of a trainer that has closed its output.
    pub fn finish(self) -> Result<Trained, Error> {
        match self.outcome.finished {
            true => Ok(Trained { run: self.run, outcome: self.outcome, output: self.output }),
            false => Err(self.trainer.cause_of_death()),
        }
    }
}

/// Waits until one of the trainers has sent something, for [`PATIENCE`] at most.
pub fn wait<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Result<(), Error> {
    wait_for_any(attempts.map(|attempt| &attempt.trainer), PATIENCE)
}

impl Trained {
    /// The artifact, in the file that the trainer has written.
    pub fn artifact(&self) -> &dyn Bytes {
        &self.output.served
    }

    /// The artifact that was measured, if the other one was refit.
    pub fn measured(&self) -> Option<&dyn Bytes> {
        self.outcome.refit_rows.map(|_| &self.output.measured as &dyn Bytes)
    }
}

impl Outcome {
    /// What rolling validation says of an algorithm, the newest stretch first.
    pub fn cut_offs_of(&self, algorithm: Algorithm) -> Vec<CutOff> {
        self.cut_offs.iter().filter(|cut_off| cut_off.algorithm == algorithm).cloned().collect()
    }

    fn take(
        &mut self,
        event: Event,
        progress: &mut Progress,
        warn: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        match event {
            Event::Started { trainer, libtorch, device, threads } => {
                check_version(&trainer)?;
                self.libraries = json!({
                    "pg_recommend": LIBRARY, "trainer": trainer, "libtorch": libtorch,
                    "device": device, "threads": threads,
                });
            }
            Event::Data(data) => self.data = Some(data),
            Event::Warning { message } => warn(&message),
            Event::Setup(_) | Event::Converted { .. } | Event::Preparing { .. } | Event::Prepared => {
                return Err(unasked());
            }
            Event::Epoch {
                algorithm,
                epoch,
                epochs,
                train_loss,
                validation_loss,
                validation_auroc,
                seconds,
                refit,
            } => {
                let metric = EpochMetric {
                    algorithm,
                    epoch: epoch as i32,
                    train_loss,
                    validation_loss,
                    validation_auroc,
                    seconds,
                };
                progress.add(metric, epochs, refit);
            }
            Event::Candidate(candidate) => progress.candidates.push(candidate),
            Event::CutOff(cut_off) => progress.tell_cut_off(&cut_off),
            Event::Finished {
                algorithm,
                validation,
                test,
                by,
                best_epoch,
                parity,
                importance,
                profiles,
                refit_rows,
                cut_offs,
                defaults,
                ..
            } => {
                (self.validation, self.test, self.by) = (validation, test, by);
                (self.best_epoch, self.parity) = (best_epoch, parity);
                (self.algorithm, self.importance) = (Some(algorithm), importance);
                (self.profiles, self.refit_rows) = (profiles, refit_rows);
                (self.cut_offs, self.defaults) = (cut_offs, defaults);
                self.finished = true;
            }
            Event::Error { cause, message, detail, hint } => {
                return Err(reported(cause, message, detail, hint));
            }
        }
        Ok(())
    }
}

/// The epochs that are to be written to the catalog and told to the client.
struct Progress {
    told_as: Option<String>,
    pending: Vec<EpochMetric>,
    /// The algorithms that are done, when several are trained.
    candidates: Vec<Candidate>,
    written: Instant,
    told: Instant,
}

impl Progress {
    fn new(told_as: Option<&str>) -> Self {
        Self {
            told_as: told_as.map(str::to_owned),
            pending: Vec::new(),
            candidates: Vec::new(),
            written: Instant::now(),
            told: Instant::now(),
        }
    }

    /// An epoch of the refit is told, but not kept: it has no validation loss.
    fn add(&mut self, metric: EpochMetric, epochs: u32, refit: bool) {
        if let Some(name) = self.told_as.as_ref().filter(|_| self.told.elapsed() >= BETWEEN_NOTICES) {
            let validation = metric.validation_loss.map_or(String::new(), |v| format!(", validation {v:.4}"));
            say!(
                "{name}: {}{} {} of {epochs}, loss {:.4}{validation}",
                if refit { "refit, " } else { "" },
                if metric.algorithm == Algorithm::BoostedTrees { "tree" } else { "epoch" },
                metric.epoch,
                metric.train_loss
            );
            self.told = Instant::now();
        }
        if !refit {
            self.pending.push(metric);
        }
    }

    fn tell_cut_off(&self, cut_off: &CutOff) {
        let Some(name) = &self.told_as else { return };
        let CutOff { algorithm, validation_from, validation, seconds } = cut_off;
        let from = validation_from.as_ref().map_or(String::new(), |from| format!(" from {from} on"));
        say!("{name}: {algorithm} in {seconds:.1} s, validation{from} {}", shown(validation));
    }

    /// Lets go of what nobody is told and no run keeps.
    fn forget(&mut self) {
        self.pending.clear();
        self.candidates.clear();
    }

    fn is_due(&self) -> bool {
        !(self.pending.is_empty() && self.candidates.is_empty()) && self.written.elapsed() >= BETWEEN_COMMITS
    }

    fn write(&mut self, run: &Run, session: &Session) -> Result<(), Failure> {
        session.attempt(|| {
            run.add_metrics(&self.pending)?;
            self.candidates.iter().try_for_each(|candidate| run.add_candidate(candidate))
        })?;
        session.commit();
        for candidate in self.candidates.drain(..) {
            if let Some(name) = &self.told_as {
                tell(name, &candidate);
            }
        }
        self.pending.clear();
        self.written = Instant::now();
        Ok(())
    }
}

/// Tells the client how good one of several algorithms is.
fn tell(model: &str, candidate: &Candidate) {
    let Candidate { algorithm, seconds, .. } = candidate;
    match (&candidate.error, &candidate.validation) {
        (Some(error), _) => say!("{model}: {algorithm} failed: {error}"),
        (None, Some(quality)) => {
            say!("{model}: {algorithm} in {seconds:.1} s, validation {}", shown(quality));
        }
        (None, None) => say!("{model}: {algorithm} in {seconds:.1} s"),
    }
}

/// The metric that says most of a quality, with its value.
fn shown(quality: &Quality) -> String {
    let metric = if quality.task() == Task::Binary { Metric::Auroc } else { Metric::Rmse };
    let value = quality.value(metric).map_or("none".into(), |value| format!("{value:.4}"));
    format!("{} {value}", metric.name())
}

/// What a trainer makes of these rows: a training whose result is not stored, without a run. A cancel is [`Error::Interrupted`].
pub fn fit(spec: &Spec, data: &TempFile) -> Result<Artifact, Error> {
    let (_, output) = train(spec, data)?;
    Ok(Artifact::from_pieces(&output.served)?)
}

/// Trains once more what was trained without a refit, with one: the same seed gives the same measured fit.
pub fn refit(trained: Trained, spec: &Spec, data: &TempFile) -> Result<Trained, Error> {
    let (again, output) = train(spec, data)?;
    let Outcome { refit_rows, profiles, parity, .. } = again;
    let outcome = Outcome { refit_rows, profiles, parity, ..trained.outcome };
    Ok(Trained { outcome, output, ..trained })
}

/// Runs a trainer to its end, without a run in the catalog.
fn train(spec: &Spec, data: &TempFile) -> Result<(Outcome, Output), Error> {
    let spec = TempFile::with_content("what is to be trained", &serde_json::to_vec(spec)?)?;
    let output = Output::create();
    let mut trainer = Trainer::start(&spec, data, &output)?;
    let (mut outcome, mut progress) = (Outcome::default(), Progress::new(None));
    loop {
        match trainer.news()? {
            News::Event(event) => {
                outcome.take(*event, &mut progress, &mut |message| warn!("{message}"))?;
                progress.forget();
            }
            News::None => wait_for_any(std::iter::once(&trainer), PATIENCE)?,
            News::End if outcome.finished => return Ok((outcome, output)),
            News::End => return Err(trainer.cause_of_death()),
        }
    }
}
