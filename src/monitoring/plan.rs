//! Which weeks the champions' sources have, and which of them are to be measured.

use super::drifted;
use super::reigns::{Reigns, Served};
use crate::catalog::read::{self, VersionRow};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::relations::Relation;
use crate::pg::values::EPOCH;
use crate::scoring::call::Resolved;
use features::weeks::{Week, MOST_WEEKS_REPLAYED};
use model::drift::Thresholds;
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// The weeks that were asked for, as days of their Mondays; and whether those that were judged are judged again.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub from: Option<Week>,
    pub to: Option<Week>,
    pub again: bool,
}

/// A week that is to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Todo {
    pub week: Week,
    pub served: Served,
    /// Rows with a label, and without one.
    pub labelled: i64,
    pub unlabelled: i64,
    /// Whether the outcome is known, so that it can be judged.
    pub is_known: bool,
    /// Whether it was judged before, so that something would be lost if it could not be judged any more.
    pub was_judged: bool,
}

/// What there is to do, and what was found on the way.
#[derive(Default)]
pub struct Plan {
    pub todo: Vec<Todo>,
    /// The newest week of the champion's source.
    pub newest: Option<Week>,
    /// Weeks whose outcome is not known.
    pub waiting: usize,
    /// What hinders the champion.
    pub problem: Option<String>,
}

/// What decides which weeks are to be measured.
struct Known<'a> {
    reigns: Reigns,
    done: BTreeMap<Week, Done>,
    asked: Asked,
    thresholds: &'a Thresholds,
}

/// The rows of a week, and those of them that have a label.
#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    all: i64,
    labelled: i64,
}

type Weeks = BTreeMap<Week, Rows>;

/// Sources that were counted, each by its time column and its label, since most versions have the same.
type Counted = HashMap<(pg_sys::Oid, Option<String>, Option<String>), Result<Rc<Weeks>, String>>;

impl Plan {
    pub fn make(model: &str, asked: Asked, thresholds: &Thresholds) -> Result<Self, Error> {
        let known = Known { reigns: Reigns::read(model)?, done: done(model)?, asked, thresholds };
        let champion = as_owner(|client| crate::catalog::history::champion(client, model))?;
        let (mut plan, mut counted) = (Self::default(), Counted::new());
        for version in known.reigns.versions() {
            let is_champion = champion == Some(version);
            let weeks = match weeks_of(model, version, &mut counted)? {
                Ok(weeks) => weeks,
                Err(problem) => {
                    plan.problem = Some(problem).filter(|_| is_champion).or(plan.problem.take());
                    continue;
                }
            };
            if is_champion {
                plan.newest = weeks.keys().next_back().copied();
                plan.problem = unreadable(model, version)?;
            }
            let unseen_from = read::measured_from(model, version).unwrap_or(None);
            plan.add(version, &weeks, unseen_from, &known);
        }
        plan.todo.sort_by_key(|todo| todo.week);
        // The newest of them: far more than anybody looks at.
        let surplus = plan.todo.len().saturating_sub(MOST_WEEKS_REPLAYED as usize);
        plan.todo.drain(..surplus);
        Ok(plan)
    }

    /// Adds the weeks that a version served, or that the first champion stands in for.
    fn add(&mut self, version: i32, weeks: &Weeks, unseen_from: Option<i32>, known: &Known) {
        let Known { reigns, done, asked, thresholds } = known;
        let last_labelled = weeks.iter().filter(|(_, rows)| rows.labelled > 0).map(|(week, _)| *week).max();
        for (week, rows) in weeks {
            let served = reigns.at_end_of(*week);
            let is_seen = unseen_from.is_none_or(|from| week.monday() < from);
            let is_ours = match served {
                Served::By(by) => by == version,
                Served::Before(by) => by == version && !is_seen,
                // Said once, by the first version that has the week.
                Served::Nobody => self.todo.iter().all(|todo| todo.week != *week),
            };
            let is_asked =
                asked.from.is_none_or(|from| *week >= from) && asked.to.is_none_or(|to| *week <= to);
            if !is_ours || !is_asked {
                continue;
            }
            let share = rows.labelled as f64 / rows.all.max(1) as f64;
            // Rows that never get a label must not hold their week up for ever.
            let is_over = last_labelled.is_some_and(|last| last > *week);
            let is_known =
                rows.labelled > 0 && (share >= thresholds.least_labelled.unwrap_or(0.0) || is_over);
            self.waiting += usize::from(!is_known);
            let is_done = match done.get(week) {
                None => false,
                Some(Done { judged: true, .. }) => !asked.again,
                // One that waits is measured again if another version serves it by now.
                Some(Done { version, rows: measured, .. }) => {
                    !is_known && !asked.again && *version == served.version() && *measured == rows.all
                }
            };
            if !is_done {
                let Rows { all, labelled } = *rows;
                let unlabelled = all - labelled;
                let was_judged = done.get(week).is_some_and(|done| done.judged);
                self.todo.push(Todo { week: *week, served, labelled, unlabelled, is_known, was_judged });
            }
        }
    }
}

/// What is stored of a week.
struct Done {
    judged: bool,
    version: Option<i32>,
    rows: i64,
}

fn done(model: &str) -> Result<BTreeMap<Week, Done>, Error> {
    let sql = format!(
        "SELECT w.week OPERATOR(pg_catalog.-) {EPOCH}, w.judged_at IS NOT NULL, w.version, \
                w.rows OPERATOR(pg_catalog.+) COALESCE(w.unlabelled, 0) \
         FROM reco.monitored_week AS w WHERE w.model OPERATOR(pg_catalog.=) $1 AND w.position OPERATOR(pg_catalog.=) 0 \
           AND pg_catalog.isfinite(w.week)"
    );
    as_owner(|client| {
        let mut done = BTreeMap::new();
        for row in client.update(&sql, None, &[model.into()])? {
            let Some(day) = row.get::<i32>(1)? else { continue };
            let judged = row.get(2)?.unwrap_or(false);
            let rows = row.get(4)?.unwrap_or(0);
            done.insert(Week::of_day(day), Done { judged, version: row.get(3)?, rows });
        }
        Ok(done)
    })
}

/// The weeks of a version's source, or in words why there are none.
fn weeks_of(model: &str, number: i32, counted: &mut Counted) -> Result<Result<Rc<Weeks>, String>, Error> {
    let version = match read::version(model, number) {
        Err(error @ (Error::Archived { .. } | Error::UnknownVersion { .. })) => {
            return Ok(Err(error.message()))
        }
        version => version?,
    };
    if version.source.is_empty() {
        return Ok(Err(format!("version {number} has no source: it was imported without one")));
    }
    let found = match version.source.if_there(model, pg_sys::AccessShareLock) {
        Err(error @ Error::SourceReplaced(..)) => return Ok(Err(error.message())),
        found => found?,
    };
    let Some((source, _)) = found else {
        return Ok(Err(format!("the source {} of version {number} does not exist", version.source)));
    };
    let key = (source, version.time_column.clone(), version.label.clone());
    if let Some(weeks) = counted.get(&key) {
        return Ok(weeks.clone());
    }
    let weeks = count(&Relation::of(source)?, &version)?.map(Rc::new);
    counted.insert(key, weeks.clone());
    Ok(weeks)
}

/// Which columns of a version cannot be read from its source, in words; `None` if all can.
fn unreadable(model: &str, version: i32) -> Result<Option<String>, Error> {
    let resolved = match Resolved::new(Some(model), Some(version)) {
        Err(error @ Error::Archived { .. }) => return Ok(Some(error.message())),
        resolved => resolved?,
    };
    let (source, _) = resolved.decoded.version.source.find(model, pg_sys::AccessShareLock)?;
    let relation = Relation::of(source)?;
    let columns = resolved.decoded.scorer.recipe().columns.iter();
    let found = columns.filter_map(|column| Some((&column.name, drifted::problem(&relation, column)?)));
    let words: Vec<String> =
        found.map(|(name, why)| format!("column \"{name}\" cannot be read: {why}")).collect();
    Ok(words.first().map(|first| match words.len() {
        1 => first.clone(),
        all => format!("{first}; {} more cannot be read", all - 1),
    }))
}

/// Counts rows and labels by week, with the caller's rights.
fn count(source: &Relation, version: &VersionRow) -> Result<Result<Weeks, String>, Error> {
    let Some(time) = &version.time_column else {
        return Ok(Err(format!("version {} has no time column, so it has no weeks", version.number)));
    };
    let day = match source.family(time) {
        Some(Family::Date) => format!("t.{}", quote_identifier(time)),
        Some(Family::Timestamp) => {
            format!("t.{}::pg_catalog.timestamp::pg_catalog.date", quote_identifier(time))
        }
        _ => return Ok(Err(format!("{} has no column \"{time}\" with a date", source.name))),
    };
    let label = match &version.label {
        Some(label) if source.column(label).is_none() => {
            return Ok(Err(format!("column \"{label}\", the label, is missing from {}", source.name)));
        }
        Some(label) => format!("pg_catalog.count(t.{})", quote_identifier(label)),
        None => "0::pg_catalog.int8".into(),
    };
    let sql = format!(
        "SELECT {day} OPERATOR(pg_catalog.-) {EPOCH}, pg_catalog.count(*), {label} FROM {} AS t \
         WHERE pg_catalog.isfinite(t.{}) GROUP BY 1",
        source.name,
        quote_identifier(time)
    );
    Spi::connect(|client| {
        let mut weeks = Weeks::new();
        for row in client.select(&sql, None, &[])? {
            let Some(day) = row.get::<i32>(1)? else { continue };
            let rows = weeks.entry(Week::of_day(day)).or_default();
            rows.all += row.get::<i64>(2)?.unwrap_or(0);
            rows.labelled += row.get::<i64>(3)?.unwrap_or(0);
        }
        Ok(Ok(weeks))
    })
}
