//! The procedure `reco.train`, step by step.

use super::read::read_source;
use super::request::{Arguments, Request};
use super::run::{EpochMetric, Run};
use super::temp_file::TempFile;
use super::trainer::{reported, unasked, News, Trainer};
use crate::catalog::write::{check_may_train, store_version, NewVersion, Stored};
use crate::error::{or_raise, Error};
use crate::session::{refuse_read_only, Failure, Session};
use crate::values::{self, given};
use model::params::Metric;
use model::protocol::{Candidate, DataSummary, Evaluation, Event, Importance};
use model::{Algorithm, Artifact, Quality, Task};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::json;
use std::time::{Duration, Instant};

/// Trains a new version of a model; see sql/comments.sql.
#[pg_extern(sql = "
CREATE PROCEDURE train(
    model       text,
    source      regclass,
    label       name    DEFAULT NULL,
    algorithm   text    DEFAULT 'mlp',
    params      jsonb   DEFAULT '{}',
    keys        name[]  DEFAULT NULL,
    time_column name    DEFAULT NULL,
    promote     boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn train(fcinfo: pg_sys::FunctionCallInfo) {
    refuse_read_only(c"CALL reco.train()");
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    let (session, arguments) = unsafe { (Session::begin(fcinfo), or_raise(arguments(fcinfo))) };
    let request = or_raise(Request::new(arguments));
    or_raise(check_may_train(&request.spec.model));
    run_to_the_end(&request, &session);
    session.end();
}

/// Reads the arguments.
///
/// # Safety
/// `fcinfo` is that of the running procedure.
unsafe fn arguments(fcinfo: pg_sys::FunctionCallInfo) -> Result<Arguments, Error> {
    let text = |n| pgrx::pg_getarg::<String>(fcinfo, n);
    let name = |n| values::name_argument(fcinfo, n);
    let keys = pgrx::pg_getarg_datum(fcinfo, 5).map(|datum| values::names(datum)).transpose()?;
    Ok(Arguments {
        model: given(text(0), "model")?,
        source: given(pgrx::pg_getarg(fcinfo, 1), "source")?,
        label: name(2),
        algorithm: given(text(3), "algorithm")?,
        params: given(pgrx::pg_getarg::<pgrx::JsonB>(fcinfo, 4), "params")?.0.to_string(),
        keys,
        time_column: name(6),
        promote: given(pgrx::pg_getarg(fcinfo, 7), "promote")?,
    })
}

/// Records the run, trains, and records how it ended before an error goes on its way.
fn run_to_the_end(request: &Request, session: &Session) {
    let began = Instant::now();
    let parameters = or_raise(serde_json::to_string(&request.spec.params).map_err(Error::from));
    let run = or_raise(Run::start(request, &parameters, session));
    session.commit();
    match train_and_store(request, session, &run, began, parameters) {
        Ok(()) => session.commit(),
        Err(failure) => record_and_raise(failure, session, &run),
    }
}

fn record_and_raise(failure: Failure, session: &Session, run: &Run) -> ! {
    session.record_and_raise(failure, |failure| {
        let write = || match failure.is_cancel() {
            true => run.cancel(session),
            false => run.fail(&failure.message(), session),
        };
        if session.attempt(write).is_err() {
            // Without its lock the run counts as failed; nothing more can be done for it.
            let _ = session.attempt(|| run.unlock());
        }
        session.commit();
    })
}

fn train_and_store(
    request: &Request,
    session: &Session,
    run: &Run,
    began: Instant,
    parameters: String,
) -> Result<(), Failure> {
    let (data, rows) = session.attempt(|| read_source(request))?;
    // From here on no snapshot is held.
    session.commit();
    let seconds = began.elapsed().as_secs_f64();
    notice!("{}: {rows} rows of {} read in {seconds:.1} s", request.spec.model, request.source);

    let spec = TempFile::with_content(&serde_json::to_vec(&request.spec).map_err(Error::from)?)?;
    let output = TempFile::create();
    let mut trainer = Trainer::start(&spec, &data, &output)?;
    let Some(outcome) = follow(&mut trainer, request, session, run)? else {
        return Err(trainer.cause_of_death().into());
    };
    drop((trainer, data, spec));
    let artifact = output.read_all(LARGEST_ARTIFACT)?;
    let stored = session.attempt(|| {
        let stored = store(request, run, &outcome, &artifact, began, parameters)?;
        run.succeed(stored.version, session)?;
        Ok(stored)
    })?;
    announce(request, &outcome, &stored, began);
    Ok(())
}

/// A bytea holds less than 1 GiB.
const LARGEST_ARTIFACT: usize = (1 << 30) - (1 << 16);

/// What a trainer that finished has said.
#[derive(Default)]
struct Outcome {
    data: DataSummary,
    libraries: serde_json::Value,
    validation: Option<Evaluation>,
    test: Option<Evaluation>,
    algorithm: Option<Algorithm>,
    best_epoch: u32,
    parity: f64,
    importance: Vec<Importance>,
    finished: bool,
}

/// How long a wait for news lasts, and how often epochs are written and told.
const PATIENCE: Duration = Duration::from_millis(100);
const BETWEEN_COMMITS: Duration = Duration::from_millis(200);
const BETWEEN_NOTICES: Duration = Duration::from_secs(2);

/// Listens until the trainer has finished (`None` if it ended without that), and passes its epochs on.
fn follow(
    trainer: &mut Trainer,
    request: &Request,
    session: &Session,
    run: &Run,
) -> Result<Option<Outcome>, Failure> {
    let mut outcome = Outcome::default();
    let mut progress = Progress::new(&request.spec.model);
    loop {
        match trainer.next(PATIENCE)? {
            News::Event(event) => outcome.take(*event, &mut progress)?,
            News::None => {}
            News::End => {
                progress.write(run, session)?;
                return Ok(outcome.finished.then_some(outcome));
            }
        }
        if progress.is_due() {
            progress.write(run, session)?;
        }
    }
}

impl Outcome {
    fn take(&mut self, event: Event, progress: &mut Progress) -> Result<(), Error> {
        match event {
            Event::Started { trainer, libtorch, device, threads } => {
                let extension = env!("CARGO_PKG_VERSION");
                self.libraries = json!({
                    "pg_recommend": extension, "trainer": trainer, "libtorch": libtorch,
                    "device": device, "threads": threads,
                });
            }
            Event::Data(data) => self.data = data,
            Event::Warning { message } => warning!("{message}"),
            Event::Setup(_) => return Err(unasked()),
            Event::Epoch {
                algorithm,
                epoch,
                epochs,
                train_loss,
                validation_loss,
                validation_auroc,
                seconds,
            } => {
                let metric = EpochMetric {
                    algorithm,
                    epoch: epoch as i32,
                    train_loss,
                    validation_loss,
                    validation_auroc,
                    seconds,
                };
                progress.add(metric, epochs);
            }
            Event::Candidate(candidate) => progress.candidates.push(candidate),
            Event::Finished { algorithm, validation, test, best_epoch, parity, importance, .. } => {
                (self.validation, self.test, self.best_epoch, self.parity) =
                    (validation, test, best_epoch, parity);
                (self.algorithm, self.importance) = (Some(algorithm), importance);
                self.finished = true;
            }
            Event::Error { cause, message, detail, hint } => {
                return Err(reported(cause, message, detail, hint));
            }
        }
        Ok(())
    }
}

/// Epochs on their way to the catalog and to the client.
struct Progress<'a> {
    model: &'a str,
    pending: Vec<EpochMetric>,
    /// Algorithms that are done, of several.
    candidates: Vec<Candidate>,
    written: Instant,
    told: Instant,
}

impl<'a> Progress<'a> {
    fn new(model: &'a str) -> Self {
        Self {
            model,
            pending: Vec::new(),
            candidates: Vec::new(),
            written: Instant::now(),
            told: Instant::now(),
        }
    }

    fn add(&mut self, metric: EpochMetric, epochs: u32) {
        if self.told.elapsed() >= BETWEEN_NOTICES {
            let validation = metric.validation_loss.map_or(String::new(), |v| format!(", validation {v:.4}"));
            notice!(
                "{}: {} {} of {epochs}, loss {:.4}{validation}",
                self.model,
                if metric.algorithm == Algorithm::BoostedTrees { "tree" } else { "epoch" },
                metric.epoch,
                metric.train_loss
            );
            self.told = Instant::now();
        }
        self.pending.push(metric);
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
        self.candidates.drain(..).for_each(|candidate| tell(self.model, &candidate));
        self.pending.clear();
        self.written = Instant::now();
        Ok(())
    }
}

/// Says what one of several algorithms came to.
fn tell(model: &str, candidate: &Candidate) {
    let Candidate { algorithm, seconds, .. } = candidate;
    match (&candidate.error, &candidate.validation) {
        (Some(error), _) => notice!("{model}: {algorithm} failed: {error}"),
        (None, Some(quality)) => {
            let metric = if quality.task() == Task::Binary { Metric::Auroc } else { Metric::Rmse };
            let value = quality.value(metric).map_or("none".into(), |value| format!("{value:.4}"));
            notice!("{model}: {algorithm} in {seconds:.1} s, validation {} {value}", metric.name());
        }
        (None, None) => notice!("{model}: {algorithm} in {seconds:.1} s"),
    }
}

fn store(
    request: &Request,
    run: &Run,
    outcome: &Outcome,
    bytes: &[u8],
    began: Instant,
    parameters: String,
) -> Result<Stored, Error> {
    // Nothing is stored that could not be scored with.
    let artifact = Artifact::from_bytes(bytes)?;
    let metrics = json!({
        "validation": outcome.validation, "test": outcome.test,
        "best_epoch": outcome.best_epoch, "parity": outcome.parity, "importance": outcome.importance,
    });
    let mut data = serde_json::to_value(&outcome.data)?;
    data["definition"] = json!(request.definition);
    store_version(&NewVersion {
        model: &request.spec.model,
        run_id: run.id,
        algorithm: artifact.algorithm.name(),
        source: &request.source,
        keys: &request.keys,
        time_column: request.time_column.as_deref(),
        label: &request.label,
        parameters,
        recipe: serde_json::to_string(&artifact.recipe)?,
        metrics: metrics.to_string(),
        data: data.to_string(),
        libraries: outcome.libraries.to_string(),
        seconds: began.elapsed().as_secs_f64(),
        artifact: bytes,
        promote: request.promote,
    })
}

fn announce(request: &Request, outcome: &Outcome, stored: &Stored, began: Instant) {
    let model = &request.spec.model;
    let measured = |evaluation: &Evaluation| {
        let metric = if evaluation.model.task() == Task::Binary { Metric::Auroc } else { Metric::Rmse };
        let shown = |quality: &Quality| {
            quality.value(metric).map_or("none".to_owned(), |value| format!("{value:.3}"))
        };
        let (ours, baseline) = (shown(&evaluation.model), shown(&evaluation.popularity));
        format!(", test {} {ours} (popularity: {baseline})", metric.name())
    };
    let data = &outcome.data;
    if data.unlabelled > 0 {
        notice!("{model}: {} of {} rows have no label and were not used", data.unlabelled, data.rows);
    }
    let test = outcome.test.as_ref().map_or(String::new(), measured);
    let champion = if stored.champion { ", champion" } else { "" };
    let seconds = began.elapsed().as_secs_f64();
    let best = match request.spec.algorithms.len() {
        1 => String::new(),
        _ => outcome.algorithm.map_or(String::new(), |algorithm| format!(", {algorithm}")),
    };
    notice!("{model}: version {}{best} trained in {seconds:.1} s{test}{champion}", stored.version);
}
