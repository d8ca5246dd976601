//! What is due, what it waits for, and what starts now.

use super::kind::{Kind, Subject};
use super::obstacle::able_owner;
use super::time::{moment, now};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::alarm::alarm;
use crate::pg::catalog_lock::CatalogLock;
use crate::settings;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use pgrx::{pg_sys, Uuid};
use schedule::{decide, Calendar, Decision, State, Task};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// An attempt that is recorded and whose worker is to be started.
pub struct Claimed {
    pub run: Uuid,
    pub role: pg_sys::Oid,
    pub subject: Subject,
}

/// The schedules whose rows this transaction has locked, by kind and subject.
///
/// Rows that another transaction has changed are left alone until the next call: whoever keeps such a transaction open must not
/// keep the schedules of others from running.
pub struct Ours(HashSet<(String, String)>);

impl Ours {
    /// Waits until nobody else decides what starts, and locks what nobody else has locked.
    pub fn lock() -> Result<Self, Error> {
        CatalogLock::of_schedules()?.take_for_transaction();
        as_owner(|client| {
            let sql = "SELECT kind, subject FROM reco.schedule FOR UPDATE SKIP LOCKED";
            let rows = client.update(sql, None, &[])?;
            let keys = rows.map(|row| {
                let key = row.get::<String>(1)?.zip(row.get::<String>(2)?);
                key.ok_or_else(Error::damaged_row)
            });
            Ok(Self(keys.collect::<Result<_, Error>>()?))
        })
    }

    pub fn has(&self, subject: &Subject) -> bool {
        self.0.contains(&(subject.kind.name().to_owned(), subject.key.clone()))
    }
}

/// Records an attempt for each schedule that starts now, pauses those that cannot run, and says of the others that are due
/// what they wait for.
pub fn claim(ours: &Ours) -> Result<Vec<Claimed>, Error> {
    let (mut schedules, now) = (scheduled(ours)?, now());
    let mut roles = vec![None; schedules.len()];
    for (n, schedule) in schedules.iter_mut().enumerate().filter(|(_, schedule)| schedule.is_due(now)) {
        match able_owner(&schedule.subject, &schedule.owner) {
            Ok(role) => roles[n] = Some(role),
            Err(why) => {
                pause(schedule, &why)?;
                schedule.paused = true;
            }
        }
    }
    let (tasks, busy) = tasks(&schedules, now)?;
    let mut claimed = Vec::new();
    for n in busy {
        wait(&schedules[n], "another session, which retrains the model")?;
    }
    for (n, decision) in decide(&tasks, now, settings::max_scheduled_runs()) {
        let schedule = &schedules[n];
        let waits_for = match decision {
            Decision::Start => {
                if let Some(role) = roles[n] {
                    claimed.push(start(schedule, role)?);
                }
                continue;
            }
            Decision::WaitsFor(other) | Decision::TakesTurns(other) => schedules[other].subject.describe(),
            Decision::NoRoom => "a free place: as many run as reco.max_scheduled_runs allows".to_owned(),
        };
        wait(schedule, &waits_for)?;
    }
    Ok(claimed)
}

/// A schedule, or an attempt that goes on although its schedule was ended or replaced.
struct Scheduled {
    subject: Subject,
    owner: String,
    expression: String,
    time_zone: String,
    next_run: i64,
    attempt: i32,
    running: bool,
    /// Nothing of it starts: it is paused, or somebody is changing it.
    paused: bool,
}

impl Scheduled {
    fn is_due(&self, now: i64) -> bool {
        !self.running && !self.paused && self.next_run <= now
    }

    fn state(&self, now: i64) -> State {
        match () {
            () if self.running => State::Running,
            () if self.is_due(now) => State::Due(self.next_run),
            () if self.attempt > 0 && !self.paused => State::Retrying,
            () => State::Idle,
        }
    }
}

fn scheduled(ours: &Ours) -> Result<Vec<Scheduled>, Error> {
    as_owner(|client| {
        let sql = "SELECT s.kind, s.subject, s.name, s.owner::pg_catalog.text, s.expression, s.time_zone, s.next_run, s.attempt, \
                          EXISTS (SELECT FROM reco.schedule_run AS r WHERE r.run_id OPERATOR(pg_catalog.=) s.run_id \
                                     AND r.status OPERATOR(pg_catalog.=) 'running'), \
                          s.paused_at IS NOT NULL \
                   FROM reco.schedule AS s \
                   UNION ALL \
                   SELECT r.kind, r.subject, r.name, r.owner::pg_catalog.text, '', '', r.due_at, 0, true, false \
                   FROM reco.schedule_run AS r \
                   WHERE r.status OPERATOR(pg_catalog.=) 'running' AND NOT EXISTS ( \
                       SELECT FROM reco.schedule AS s WHERE s.run_id OPERATOR(pg_catalog.=) r.run_id)";
        let rows = client.update(sql, None, &[])?;
        rows.map(|row| {
            let text = |n| row.get::<String>(n);
            let needed = |n| text(n)?.ok_or_else(Error::damaged_row);
            let is = |n| row.get::<bool>(n).map(|value| value.unwrap_or(false));
            let subject = Subject::of_columns(text(1)?, text(2)?, text(3)?)?;
            let paused = is(10)? || !ours.has(&subject);
            Ok(Scheduled {
                subject,
                owner: needed(4)?,
                expression: needed(5)?,
                time_zone: needed(6)?,
                next_run: moment(row.get::<TimestampWithTimeZone>(7)?)?,
                attempt: row.get::<i32>(8)?.unwrap_or(0),
                running: is(9)?,
                paused,
            })
        })
        .collect()
    })
}

/// The schedules as the order of them is decided on, and those that are due but whose model another session retrains.
fn tasks(schedules: &[Scheduled], now: i64) -> Result<(Vec<Task>, Vec<usize>), Error> {
    let reads = Reads::known()?;
    let (mut tasks, mut busy) = (Vec::new(), Vec::new());
    for (n, schedule) in schedules.iter().enumerate() {
        let subject = &schedule.subject;
        let mut state = schedule.state(now);
        let retrains = subject.kind == Kind::Retraining && matches!(state, State::Due(_));
        if retrains && !CatalogLock::of_retraining(&subject.key)?.is_free() {
            // It is about to be done, but nothing of it can start.
            state = State::Retrying;
            busy.push(n);
        }
        let views = reads.of(subject);
        let is_needed = |other: &Subject| match (subject.kind, other.kind) {
            (_, Kind::Refresh) => views.contains(other.key.as_str()),
            (Kind::Monitoring, Kind::Retraining) => subject.key == other.key,
            _ => false,
        };
        let places = 0..schedules.len();
        // What is of one model or of one view shares the place of the first of them.
        let same = |other: &Scheduled| {
            other.subject.key == subject.key
                && (other.subject.kind == Kind::Refresh) == (subject.kind == Kind::Refresh)
        };
        tasks.push(Task {
            state,
            needs: places.filter(|other| *other != n && is_needed(&schedules[*other].subject)).collect(),
            subject: schedules.iter().position(same).unwrap_or(n),
            next_regular: match state {
                State::Due(since) => Calendar::new(&schedule.expression, &schedule.time_zone, since)
                    .ok()
                    .and_then(|calendar| calendar.next(since)),
                _ => None,
            },
        });
    }
    Ok((tasks, busy))
}

/// Which feature views models and other feature views read.
struct Reads {
    /// The inputs of a view, both as ids.
    inputs: HashMap<String, Vec<String>>,
    /// The view that the champion of a model reads.
    sources: HashMap<String, String>,
}

impl Reads {
    fn known() -> Result<Self, Error> {
        as_owner(|client| {
            let sql =
                "SELECT v.view_id::pg_catalog.text, pg_catalog.array_to_json(v.inputs)::pg_catalog.text \
                       FROM reco.feature_view AS v";
            let mut inputs = HashMap::new();
            for row in client.update(sql, None, &[])? {
                if let (Some(view), Some(list)) = (row.get::<String>(1)?, row.get::<String>(2)?) {
                    // A list that is damaged is told by the refresh.
                    inputs.insert(view, serde_json::from_str(&list).unwrap_or_default());
                }
            }
            let sql = "SELECT v.model, v.source_view::pg_catalog.text \
                       FROM reco.alias AS a JOIN reco.version AS v ON v.model OPERATOR(pg_catalog.=) a.model \
                        AND v.version OPERATOR(pg_catalog.=) a.version \
                       WHERE a.alias OPERATOR(pg_catalog.=) 'champion' AND v.source_view IS NOT NULL \
                         AND v.model OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT s.subject FROM reco.schedule AS s))";
            let mut sources = HashMap::new();
            for row in client.update(sql, None, &[])? {
                if let (Some(model), Some(view)) = (row.get::<String>(1)?, row.get::<String>(2)?) {
                    sources.insert(model, view);
                }
            }
            Ok(Self { inputs, sources })
        })
    }

    /// The ids of all views that are read for a subject, the views that these are computed from included.
    fn of(&self, subject: &Subject) -> HashSet<&str> {
        let mut found = HashSet::new();
        let mut open: Vec<&String> = match subject.kind {
            Kind::Refresh => self.inputs.get(&subject.key).into_iter().flatten().collect(),
            Kind::Retraining | Kind::Monitoring => self.sources.get(&subject.key).into_iter().collect(),
        };
        while let Some(view) = open.pop() {
            if found.insert(view.as_str()) {
                open.extend(self.inputs.get(view).into_iter().flatten());
            }
        }
        found
    }
}

/// Updates the schedule's row where a condition holds: changes and condition may use a value as the third parameter.
fn update(
    client: &mut SpiClient,
    schedule: &Scheduled,
    changes: &str,
    condition: &str,
    value: &str,
) -> Result<(), Error> {
    let sql = format!(
        "UPDATE reco.schedule SET {changes} \
         WHERE kind OPERATOR(pg_catalog.=) $1 AND subject OPERATOR(pg_catalog.=) $2 AND {condition}"
    );
    let Subject { kind, key, .. } = &schedule.subject;
    client.update(sql.as_str(), None, &[kind.name().into(), key.as_str().into(), value.into()])?;
    Ok(())
}

/// Notes what a schedule waits for. A row that says so already is not written again every minute.
fn wait(schedule: &Scheduled, waits_for: &str) -> Result<(), Error> {
    let changes = "waits_for = $3";
    as_owner(|client| update(client, schedule, changes, "waits_for IS DISTINCT FROM $3", waits_for))
}

/// Pauses a schedule that cannot run until somebody has acted.
fn pause(schedule: &Scheduled, why: &Error) -> Result<(), Error> {
    let (what, why) = (schedule.subject.describe(), why.message());
    as_owner(|client| {
        let changes = "paused_at = pg_catalog.now(), pause_reason = $3, waits_for = NULL";
        update(client, schedule, changes, "true", &why)
    })?;
    warn!("schedule: {what} is paused: {why}");
    alarm(&json!({
        "alarm": "schedule_paused", "kind": schedule.subject.kind.name(), "subject": schedule.subject.name,
        "owner": schedule.owner, "reason": why,
    }))
}

fn start(schedule: &Scheduled, role: pg_sys::Oid) -> Result<Claimed, Error> {
    let run = as_owner(|client| {
        let sql = "WITH run AS ( \
                       INSERT INTO reco.schedule_run (run_id, kind, subject, name, owner, attempt, due_at, status) \
                       SELECT pg_catalog.gen_random_uuid(), s.kind, s.subject, s.name, s.owner, \
                              s.attempt OPERATOR(pg_catalog.+) 1, s.next_run, 'running' \
                       FROM reco.schedule AS s \
                       WHERE s.kind OPERATOR(pg_catalog.=) $1 AND s.subject OPERATOR(pg_catalog.=) $2 \
                       RETURNING run_id) \
                   UPDATE reco.schedule AS s SET run_id = run.run_id, waits_for = NULL FROM run \
                   WHERE s.kind OPERATOR(pg_catalog.=) $1 AND s.subject OPERATOR(pg_catalog.=) $2 RETURNING s.run_id";
        let Subject { kind, key, .. } = &schedule.subject;
        let rows = client.update(sql, Some(1), &[kind.name().into(), key.as_str().into()])?;
        rows.first().get_one::<Uuid>()?.ok_or_else(Error::damaged_row)
    })?;
    Ok(Claimed { run, role, subject: schedule.subject.clone() })
}

/// Takes back an attempt whose worker could not be started. It does not count, and is tried a minute later.
pub fn give_back(claimed: &Claimed) -> Result<(), Error> {
    let what = claimed.subject.describe();
    warn!("schedule: {what} is tried again in a minute: the server has no background worker left (max_worker_processes)");
    as_owner(|client| {
        client.update(
            "WITH gone AS (DELETE FROM reco.schedule_run WHERE run_id OPERATOR(pg_catalog.=) $1) \
             UPDATE reco.schedule SET run_id = NULL, waits_for = 'a background worker: the server has none left (max_worker_processes)', \
                    next_run = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '1 minute'::pg_catalog.interval \
             WHERE run_id OPERATOR(pg_catalog.=) $1",
            None,
            &[claimed.run.into()],
        )?;
        Ok(())
    })
}

/// Forgets attempts that are older than the setting says, and notes that somebody has called.
pub fn keep_books(caller: &str) -> Result<(), Error> {
    let days = f64::from(settings::max_schedule_history());
    as_owner(|client| {
        client.update(
            "DELETE FROM reco.schedule_run WHERE finished_at OPERATOR(pg_catalog.<) \
                 (pg_catalog.now() OPERATOR(pg_catalog.-) ($1 OPERATOR(pg_catalog.*) '1 day'::pg_catalog.interval))",
            None,
            &[days.into()],
        )?;
        client.update(
            "INSERT INTO reco.schedule_call AS c (called_at, called_by) \
             SELECT pg_catalog.clock_timestamp(), $1 WHERE EXISTS (SELECT FROM reco.schedule) \
             ON CONFLICT (one) DO UPDATE SET called_at = excluded.called_at, called_by = excluded.called_by",
            None,
            &[caller.into()],
        )?;
        Ok(())
    })
}

/// Whether an attempt runs.
pub fn something_runs() -> Result<bool, Error> {
    as_owner(|client| {
        let sql = "SELECT FROM reco.schedule_run WHERE status OPERATOR(pg_catalog.=) 'running'";
        Ok(!client.update(sql, Some(1), &[])?.is_empty())
    })
}
