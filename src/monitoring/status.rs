//! The status of a model after its weeks were measured. Whoever listens is told when it changes.

use super::drift;
use super::plan::Plan;
use super::stored::{lock, metrics, on_test};
use crate::catalog::history;
use crate::catalog::read;
use crate::error::Error;
use crate::pg::acting_as::{as_owner, current_user};
use crate::pg::alarm::alarm;
use features::weeks::{iso_date, Week};
use model::drift::verdict::{reasons, status, Ages, Judged, Reason, Status};
use model::drift::Thresholds;
use model::stored::moment::Moment;
use model::Quality;
use pgrx::spi::SpiClient;
use serde_json::{json, Value};

/// How many judged weeks tell what drift a model bears: a quarter of a year.
const REMEMBERED: i64 = 13;

/// What a reason is about that lies in the source.
const SOURCE: &str = "source";

/// The status of a model with its reasons, stored; an alarm is told if it is another than before.
pub fn conclude(
    model: &str,
    plan: &Plan,
    complete: Option<Week>,
    thresholds: &Thresholds,
) -> Result<(Status, Vec<Reason>), Error> {
    let champion = as_owner(|client| history::champion(client, model))?;
    let (weeks, week_problem) =
        as_owner(|client| Ok((judged_weeks(client, model)?, newest_problem(client, model)?)))?;
    let weeks = weeks.into_iter().map(|judged| beside_test(model, judged)).collect::<Result<Vec<_>, _>>()?;
    let judged = weeks.first().cloned();
    let (drifted, most_important) = drift::weighed(model, &weeks, thresholds)?;
    let ages = Ages {
        features: plan.newest.map(|newest| weeks_behind(newest, complete)),
        champion: champion
            .zip(plan.newest)
            .and_then(|(version, newest)| unseen_weeks(model, version, newest)),
    };
    let mut found = reasons(thresholds, judged.as_ref(), &drifted, most_important, ages);
    let is_empty = champion.is_some() && plan.problem.is_none() && plan.newest.is_none();
    let empty = is_empty.then(|| "the source has no rows".to_owned());
    // What hinders the champion hinders the newest week as well, and is said once.
    let week_problem = week_problem.filter(|_| plan.problem.is_none());
    let problems = plan.problem.iter().cloned().chain(empty).chain(week_problem);
    let problems = problems.map(|words| Reason::new(Status::Alarm, SOURCE, words));
    found.splice(0..0, problems);
    if champion.is_none() {
        found.insert(0, Reason::new(Status::Alarm, "champion", "the model has no champion"));
    }
    let now = status(&found);
    let before = as_owner(|client| {
        lock(client, model)?;
        drift::store(client, model, &drifted, most_important, thresholds)?;
        store(client, model, now, &found, plan.newest, complete)
    })?;
    if before.as_deref() != Some(now.name()) && (before.is_some() || now != Status::Ok) {
        // Everybody can listen, so the reasons are named and not spelt out: their words have names of columns.
        let mut about: Vec<&str> = found.iter().map(|reason| reason.about.as_str()).collect();
        about.sort_unstable();
        about.dedup();
        alarm(&json!({
            "alarm": "model_status", "model": model, "status": now, "before": before,
            "week": judged.as_ref().map(|judged| &judged.week), "version": champion, "about": about,
        }))?;
    }
    Ok((now, found))
}

/// The newest weeks that were judged, the newest first.
fn judged_weeks(client: &mut SpiClient, model: &str) -> Result<Vec<Judged>, Error> {
    let sql =
        "SELECT pg_catalog.to_char(w.week, 'YYYY-MM-DD'), w.version, w.auroc, w.auroc_error, w.rmse, w.calibration_error, \
                      w.calibration_chance \
               FROM reco.monitored_week AS w \
               WHERE w.model OPERATOR(pg_catalog.=) $1 AND w.position OPERATOR(pg_catalog.=) 0 \
                 AND w.judged_at IS NOT NULL AND w.version IS NOT NULL ORDER BY w.week DESC LIMIT $2";
    let rows = client.update(sql, None, &[model.into(), REMEMBERED.into()])?;
    rows.map(|row| {
        Ok(Judged {
            week: row.get(1)?.unwrap_or_default(),
            version: row.get(2)?.ok_or_else(Error::damaged_row)?,
            auroc: row.get(3)?,
            auroc_error: row.get(4)?,
            rmse: row.get(5)?,
            calibration_error: row.get(6)?,
            calibration_chance: row.get(7)?,
            ..Judged::default()
        })
    })
    .collect()
}

/// Why a model could not be monitored as it should be when that was tried last, if it could not.
pub fn source_problem(model: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT pg_catalog.max(m.reasons::pg_catalog.text) FROM reco.monitored_model AS m \
               WHERE m.model OPERATOR(pg_catalog.=) $1";
    let reasons =
        as_owner(|client| Ok(client.update(sql, Some(1), &[model.into()])?.first().get_one::<String>()?))?;
    let reasons: Vec<Reason> = reasons.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(reasons.into_iter().find(|reason| reason.about == SOURCE).map(|reason| reason.words))
}

/// What hindered the newest week.
fn newest_problem(client: &mut SpiClient, model: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT w.problem FROM reco.monitored_week AS w \
               WHERE w.model OPERATOR(pg_catalog.=) $1 AND w.position OPERATOR(pg_catalog.=) 0 ORDER BY w.week DESC";
    let rows = client.update(sql, Some(1), &[model.into()])?;
    match rows.is_empty() {
        true => Ok(None),
        false => Ok(rows.first().get_one()?),
    }
}

fn beside_test(model: &str, judged: Judged) -> Result<Judged, Error> {
    Ok(match on_test(&metrics(model, judged.version)?) {
        Some(Quality::Binary(test)) => Judged { test_auroc: test.auroc, ..judged },
        Some(Quality::Regression(test)) => Judged { test_rmse: Some(test.rmse), ..judged },
        None => judged,
    })
}

/// How many weeks the newest of the source is behind what its view could have, or behind the last that is over in UTC.
fn weeks_behind(newest: Week, complete: Option<Week>) -> i64 {
    let last = complete.unwrap_or_else(|| {
        // SAFETY: the call only reads the time of the transaction.
        let now = unsafe { pgrx::pg_sys::GetCurrentTransactionStartTimestamp() };
        Week::of_day(now.div_euclid(model::protocol::MICROSECONDS_A_DAY) as i32).plus(-1)
    });
    i64::from(last.since(newest)).max(0)
}

/// How many weeks of the source are later than the newest row that the version has learned from.
fn unseen_weeks(model: &str, version: i32, newest: Week) -> Option<i64> {
    let seen: Moment = read::last_seen(model, version).ok().flatten()?;
    Some(i64::from(newest.since(Week::of_day(seen.day))).max(0))
}

/// Stores the status and returns the one from before.
fn store(
    client: &mut SpiClient,
    model: &str,
    now: Status,
    reasons: &[Reason],
    newest: Option<Week>,
    complete: Option<Week>,
) -> Result<Option<String>, Error> {
    let sql = "SELECT pg_catalog.max(m.status) FROM reco.monitored_model AS m WHERE m.model OPERATOR(pg_catalog.=) $1";
    let before: Option<String> = client.update(sql, Some(1), &[model.into()])?.first().get_one()?;
    let reasons: Value = serde_json::to_value(reasons)?;
    let day = |week: Option<Week>| week.and_then(|week| iso_date(week.monday()));
    client.update(
        "INSERT INTO reco.monitored_model AS m \
             (model, settings, status, reasons, since, newest_week, complete_week, monitored_by, monitored_at) \
         VALUES ($1, '{}', $2, $3::pg_catalog.jsonb, pg_catalog.clock_timestamp(), $4::pg_catalog.date, \
                 $5::pg_catalog.date, $6, pg_catalog.clock_timestamp()) \
         ON CONFLICT (model) DO UPDATE SET status = excluded.status, reasons = excluded.reasons, \
             since = CASE WHEN m.status OPERATOR(pg_catalog.=) excluded.status THEN m.since ELSE excluded.since END, \
             newest_week = excluded.newest_week, complete_week = excluded.complete_week, \
             monitored_by = excluded.monitored_by, monitored_at = excluded.monitored_at",
        None,
        &[
            model.into(),
            now.name().into(),
            reasons.to_string().into(),
            day(newest).into(),
            day(complete).into(),
            current_user().into(),
        ],
    )?;
    Ok(before)
}
