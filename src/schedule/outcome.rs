//! What follows from the end of an attempt: the record, and when the schedule is tried next.

use super::kind::Subject;
use super::plan::Ours;
use super::time::{now, stored};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::alarm::alarm;
use crate::pg::tell::tell;
use pgrx::spi::SpiClient;
use pgrx::{PgLogLevel, Uuid};
use schedule::{retry_after, Calendar};
use serde_json::json;

/// How an attempt ended.
pub enum Outcome {
    Succeeded,
    Failed {
        error: String,
        sqlstate: Option<String>,
    },
    /// A person ended it, so it is not tried again before its next regular time.
    Cancelled {
        error: String,
    },
}

impl Outcome {
    pub fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), sqlstate: None }
    }

    fn status(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Succeeded => None,
            Self::Failed { error, .. } | Self::Cancelled { error } => Some(error),
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Failed { sqlstate, .. } => sqlstate.as_deref(),
            _ => None,
        }
    }
}

/// Records the end of an attempt, and what follows for its schedule. Of an attempt whose end is recorded it does nothing.
pub fn record(run: Uuid, outcome: &Outcome) -> Result<(), Error> {
    let ended = as_owner(|client| {
        let sql = "UPDATE reco.schedule_run SET status = $2, error = $3, sqlstate = $4, \
                          finished_at = pg_catalog.clock_timestamp() \
                   WHERE run_id OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) 'running'";
        let row = [run.into(), outcome.status().into(), outcome.error().into(), outcome.sqlstate().into()];
        if client.update(sql, None, &row)?.is_empty() {
            return Ok(None);
        }
        let Some(row) = Row::of_run(client, run)? else { return Ok(None) };
        let next = row.next(outcome)?;
        row.store(client, outcome, &next)?;
        Ok(Some((row, next)))
    })?;
    let Some((row, next)) = ended else { return Ok(()) };
    tell_log(&row, outcome, &next);
    match (outcome, next.is_retry) {
        (Outcome::Failed { .. }, false) => alarm(&json!({
            "alarm": "schedule_failed", "kind": row.subject.kind.name(), "subject": row.subject.name, "owner": row.owner,
            "attempts": row.attempt + 1, "failures": next.failures, "sqlstate": outcome.sqlstate(),
        })),
        _ => Ok(()),
    }
}

/// The schedule of an attempt.
struct Row {
    subject: Subject,
    owner: String,
    expression: String,
    time_zone: String,
    retries: i32,
    /// In microseconds.
    retry_delay: i64,
    attempt: i32,
    failures: i32,
}

/// What comes after the attempt.
struct Next {
    /// The moment; none where the expression names no more.
    at: Option<i64>,
    /// Whether it is tried again before its regular time.
    is_retry: bool,
    failures: i32,
}

impl Row {
    fn of_run(client: &mut SpiClient, run: Uuid) -> Result<Option<Self>, Error> {
        let sql = "SELECT kind, subject, name, owner::pg_catalog.text, expression, time_zone, retries, retry_delay, attempt, failures \
                   FROM reco.schedule WHERE run_id OPERATOR(pg_catalog.=) $1 FOR UPDATE";
        let rows = client.update(sql, Some(1), &[run.into()])?;
        if rows.is_empty() {
            return Ok(None);
        }
        let row = rows.first();
        let text = |n| row.get::<String>(n);
        let needed = |n| text(n)?.ok_or_else(Error::damaged_row);
        let number = |n| row.get::<i32>(n).map(|number| number.unwrap_or(0));
        let delay = row.get::<pgrx::datum::Interval>(8)?.ok_or_else(Error::damaged_row)?;
        Ok(Some(Self {
            subject: Subject::of_columns(text(1)?, text(2)?, text(3)?)?,
            owner: needed(4)?,
            expression: needed(5)?,
            time_zone: needed(6)?,
            retries: number(7)?,
            retry_delay: i64::try_from(delay.as_micros()).unwrap_or(i64::MAX),
            attempt: number(9)?,
            failures: number(10)?,
        }))
    }

    fn next(&self, outcome: &Outcome) -> Result<Next, Error> {
        let now = now();
        let is_retry = matches!(outcome, Outcome::Failed { .. }) && self.attempt < self.retries;
        let failures = match outcome {
            Outcome::Succeeded => 0,
            Outcome::Failed { .. } if !is_retry => self.failures.saturating_add(1),
            _ => self.failures,
        };
        let at = match is_retry {
            true => Some(now.saturating_add(retry_after(self.retry_delay, self.attempt as u32 + 1))),
            // What was missed meanwhile is not made up for.
            false => Calendar::new(&self.expression, &self.time_zone, now)
                .ok()
                .and_then(|calendar| calendar.next(now)),
        };
        Ok(Next { at, is_retry, failures })
    }

    fn store(&self, client: &mut SpiClient, outcome: &Outcome, next: &Next) -> Result<(), Error> {
        let sql = "UPDATE reco.schedule SET run_id = NULL, waits_for = NULL, last_run = pg_catalog.clock_timestamp(), \
                          last_outcome = $3, attempt = $4, failures = $5, next_run = coalesce($6, next_run), \
                          paused_at = CASE WHEN $6 IS NULL THEN coalesce(paused_at, pg_catalog.now()) ELSE paused_at END, \
                          pause_reason = CASE WHEN $6 IS NULL THEN 'its schedule or its time zone is not understood' \
                                              ELSE pause_reason END \
                   WHERE kind OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) $2";
        let row = [
            self.subject.kind.name().into(),
            self.subject.key.as_str().into(),
            outcome.status().into(),
            (if next.is_retry { self.attempt + 1 } else { 0 }).into(),
            next.failures.into(),
            next.at.map(stored).transpose()?.into(),
        ];
        client.update(sql, None, &row)?;
        Ok(())
    }
}

/// Says in the server's log what a DBA would look for there.
fn tell_log(row: &Row, outcome: &Outcome, next: &Next) {
    let what = row.subject.describe();
    match outcome {
        Outcome::Succeeded => {}
        Outcome::Cancelled { error } => {
            tell(PgLogLevel::LOG, format!("schedule: {what} was cancelled: {error}"))
        }
        Outcome::Failed { error, .. } if next.is_retry => {
            let left = row.retries - row.attempt;
            tell(
                PgLogLevel::LOG,
                format!("schedule: {what} failed, and is tried again, {left} times at most: {error}"),
            );
        }
        Outcome::Failed { error, .. } => {
            let (attempts, streak) = (row.attempt + 1, next.failures);
            warn!("schedule: {what} failed for good after {attempts} attempts, {streak} times in a row: {error}");
        }
    }
}

/// Marks attempts as failed whose worker is gone: with the server, or killed alone. Of schedules that somebody is changing that
/// is left to the next call.
pub fn fail_lost(ours: &Ours) -> Result<(), Error> {
    let lost = as_owner(|client| {
        let sql = "SELECT r.run_id, r.kind, r.subject, r.name, EXISTS ( \
                       SELECT FROM reco.schedule AS s WHERE s.run_id OPERATOR(pg_catalog.=) r.run_id) \
                   FROM reco.schedule_run AS r \
                   WHERE r.status OPERATOR(pg_catalog.=) 'running' \
                     AND NOT reco.schedule_run_is_alive(r.started_at, r.pid, r.worker_start)";
        let rows = client.update(sql, None, &[])?;
        let lost = rows.map(|row| {
            let run = row.get::<Uuid>(1)?.ok_or_else(Error::damaged_row)?;
            let subject = Subject::of_columns(row.get(2)?, row.get(3)?, row.get(4)?)?;
            Ok((run, ours.has(&subject) || !row.get::<bool>(5)?.unwrap_or(false)))
        });
        lost.collect::<Result<Vec<_>, Error>>()
    })?;
    let why = Outcome::failed("the background worker ended without a word: it was killed, or the server was");
    lost.into_iter().filter(|(_, is_free)| *is_free).try_for_each(|(run, _)| record(run, &why))
}

/// Whether nobody else is changing the schedule of an attempt, so that its end can be recorded without waiting.
pub fn can_record(run: Uuid) -> Result<bool, Error> {
    as_owner(|client| {
        let locked =
            "SELECT FROM reco.schedule WHERE run_id OPERATOR(pg_catalog.=) $1 FOR UPDATE SKIP LOCKED";
        let there = "SELECT FROM reco.schedule WHERE run_id OPERATOR(pg_catalog.=) $1";
        Ok(!client.update(locked, None, &[run.into()])?.is_empty()
            || client.update(there, None, &[run.into()])?.is_empty())
    })
}
