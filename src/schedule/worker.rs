//! An attempt: a background worker that connects as the schedule's owner, runs the procedure, records how it ended, and
//! starts what has waited for it.

use super::kind::{Kind, Subject};
use super::launch::{decide_all, launch, Job};
use super::outcome::{can_record, record, Outcome};
use super::plan::give_back;
use crate::error::Error;
use crate::monitoring::status::source_problem;
use crate::pg::acting_as::as_owner;
use crate::pg::session::Failure;
use crate::pg::tell::tell;
use crate::pg::{background, guard};
use pgrx::prelude::*;
use pgrx::{pg_sys, PgLogLevel, Uuid};
use std::cell::Cell;
use std::ffi::c_int;

/// The most characters of an error that are kept.
const LONGEST_ERROR: usize = 2000;

thread_local! {
    /// The attempt whose end is not recorded yet.
    static UNDER_WAY: Cell<Option<Uuid>> = const { Cell::new(None) };
}

/// The worker's function, which the server finds by [`FUNCTION`](super::launch::FUNCTION). The process ends when it returns.
#[pg_guard]
#[no_mangle]
pub extern "C-unwind" fn pg_recommend_run_scheduled(_argument: pg_sys::Datum) {
    let job = Job::of_this_worker();
    background::connect(job.database, job.role);
    background::at_exit(record_termination);
    if let Err(failure) = run(job.run) {
        failure.raise();
    }
}

fn run(run: Uuid) -> Result<(), Failure> {
    let Some(work) = background::in_transaction(|| Work::begin(run))? else { return Ok(()) };
    UNDER_WAY.set(Some(run));
    let outcome = match background::in_transaction(|| work.statement()) {
        Ok(sql) => work.perform(&sql),
        Err(failure) => failed(&failure),
    };
    background::in_transaction(|| record(run, &outcome))?;
    UNDER_WAY.set(None);
    start_others()
}

/// Starts what is due by now: what has waited for this attempt, above all.
fn start_others() -> Result<(), Failure> {
    let refused = launch(background::in_transaction(decide_all)?);
    background::in_transaction(|| refused.iter().try_for_each(give_back))
}

struct Work {
    subject: Subject,
    arguments: serde_json::Value,
    /// In milliseconds.
    timeout: i32,
}

impl Work {
    /// Notes that the worker has begun. `None` if nobody waits for it any more: it came too late, or its schedule is ended.
    fn begin(run: Uuid) -> Result<Option<Self>, Error> {
        let begun = as_owner(|client| {
            let sql = "UPDATE reco.schedule_run AS r SET pid = a.pid, worker_start = a.backend_start \
                       FROM pg_catalog.pg_stat_activity AS a \
                       WHERE r.run_id OPERATOR(pg_catalog.=) $1 AND r.status OPERATOR(pg_catalog.=) 'running' \
                         AND a.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()";
            if client.update(sql, None, &[run.into()])?.is_empty() {
                return Ok(None);
            }
            let sql = "SELECT kind, subject, name, arguments, timeout FROM reco.schedule WHERE run_id OPERATOR(pg_catalog.=) $1";
            let rows = client.update(sql, Some(1), &[run.into()])?;
            if rows.is_empty() {
                return Ok(Some(None));
            }
            let row = rows.first();
            let text = |n| row.get::<String>(n);
            let arguments = row.get::<pgrx::JsonB>(4)?.ok_or_else(Error::damaged_row)?.0;
            let timeout = row.get::<pgrx::datum::Interval>(5)?.ok_or_else(Error::damaged_row)?;
            let timeout = i32::try_from(timeout.as_micros() / 1000).unwrap_or(i32::MAX).max(1);
            let subject = Subject::of_columns(text(1)?, text(2)?, text(3)?)?;
            Ok(Some(Some(Self { subject, arguments, timeout })))
        })?;
        match begun {
            Some(None) => {
                let error = "its schedule was ended before it began".to_owned();
                record(run, &Outcome::Cancelled { error })?;
                Ok(None)
            }
            begun => Ok(begun.flatten()),
        }
    }

    fn statement(&self) -> Result<String, Error> {
        self.subject.statement(&self.arguments)
    }

    fn perform(&self, sql: &str) -> Outcome {
        tell(PgLogLevel::DEBUG1, format!("schedule: {sql}"));
        match background::run(sql, self.timeout) {
            Ok(()) => self.conclude(),
            Err(failed) if failed.timed_out && failed.failure.is_cancel() => Outcome::Failed {
                error: format!("it took longer than its timeout of {} s", f64::from(self.timeout) / 1000.0),
                sqlstate: Some(failed.failure.sqlstate()),
            },
            Err(failed) if failed.failure.is_cancel() => {
                Outcome::Cancelled { error: "somebody cancelled its statement".into() }
            }
            Err(ended) => failed(&ended.failure),
        }
    }

    /// How an attempt ended whose procedure did. Monitoring stores as an alarm, and as no error, that the source is gone; who
    /// reads schedules is to learn it, too.
    fn conclude(&self) -> Outcome {
        if self.subject.kind != Kind::Monitoring {
            return Outcome::Succeeded;
        }
        match background::in_transaction(|| source_problem(&self.subject.key)) {
            Ok(None) => Outcome::Succeeded,
            Ok(Some(problem)) => Outcome::failed(problem),
            Err(failure) => failed(&failure),
        }
    }
}

fn failed(failure: &Failure) -> Outcome {
    let error = failure.message().chars().take(LONGEST_ERROR).collect();
    Outcome::Failed { error, sqlstate: Some(failure.sqlstate()) }
}

/// Records that somebody ended the worker in the middle of its attempt. An attempt that ends with the whole server is not
/// recorded: it counts as lost once the server is back, and is repeated.
///
/// # Safety
/// Only Postgres calls this, at the end of the process.
unsafe extern "C-unwind" fn record_termination(_code: c_int, _argument: pg_sys::Datum) {
    let end = || {
        let Some(run) = UNDER_WAY.take() else { return };
        if !background::is_terminated() || background::server_is_stopping() {
            return;
        }
        // SAFETY: the statement under way is given up, and nothing of it is used any more.
        unsafe { pg_sys::AbortOutOfAnyTransaction() };
        let error = "somebody ended its background worker".to_owned();
        // The result is ignored: an attempt that could not be recorded counts as lost.
        // Nothing is waited for here, since nothing could interrupt the wait.
        let _ = background::in_transaction(|| match can_record(run)? {
            true => record(run, &Outcome::Cancelled { error }),
            false => Ok(()),
        });
    };
    // SAFETY: this frame owns nothing, and C calls it.
    unsafe { guard::within(end) };
}
