//! What monitoring has found of a model, as its views show it to the caller.

use super::lists::first;
use super::parts::part;
use crate::catalog::rights::{may, Privilege};
use crate::error::Error;
use crate::pg::acting_as::with_fixed_words;
use pgrx::Spi;
use report::{Drift, DriftedColumn, First, Health, JudgedWeek, Monitored, Reason};
use serde_json::Value;

/// How many reasons, weeks and columns are shown.
const MOST_REASONS: usize = 30;
const MOST_WEEKS: i64 = 52;
const MOST_COLUMNS: i64 = 20;

pub fn monitored(model: &str) -> Result<Monitored, Error> {
    let health = health(model)?;
    Ok(Monitored {
        weeks: part("Its judged weeks", || weeks(model)),
        drift: match may(model, Privilege::Train)? {
            true => part("Its drift", || drift(model)),
            false => Err("Drift is shown to those who may train the model.".into()),
        },
        health,
    })
}

/// `None` if the model was never monitored.
fn health(model: &str) -> Result<Option<Health>, Error> {
    let sql =
        "SELECT status, reasons::pg_catalog.text, since::pg_catalog.text, weeks_judged, weeks_waiting, \
                      features_weeks_behind::pg_catalog.int8, champion_age_weeks::pg_catalog.int8, \
                      monitored_by::pg_catalog.text, monitored_at::pg_catalog.text \
               FROM reco.health WHERE model OPERATOR(pg_catalog.=) $1 AND monitored_at IS NOT NULL";
    with_fixed_words(|| {
        Spi::connect(|client| {
            let rows = client.select(sql, Some(1), &[model.into()])?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            Ok(Some(Health {
                status: row.get(1)?.unwrap_or_default(),
                reasons: row.get::<String>(2)?.map(|reasons| listed(&reasons)),
                since: row.get(3)?,
                weeks_judged: row.get(4)?.unwrap_or_default(),
                weeks_waiting: row.get(5)?.unwrap_or_default(),
                features_weeks_behind: row.get(6)?,
                champion_age_weeks: row.get(7)?,
                monitored_by: row.get(8)?,
                monitored_at: row.get(9)?,
            }))
        })
    })
}

fn listed(reasons: &str) -> First<Reason> {
    let reasons: Vec<Value> = serde_json::from_str(reasons).unwrap_or_default();
    let text = |reason: &Value, name: &str| reason[name].as_str().unwrap_or_default().to_owned();
    let shown = reasons.iter().take(MOST_REASONS);
    let rows = shown.map(|one| Reason { level: text(one, "level"), words: text(one, "words") });
    First { rows: rows.collect(), all: reasons.len() as u64 }
}

fn weeks(model: &str) -> Result<First<JudgedWeek>, Error> {
    let query =
        "SELECT pg_catalog.count(*) OVER (), week::pg_catalog.text, version, rows, mean_label, auroc, test_auroc,
                        rmse, test_rmse, calibration_error, test_calibration_error, note
                 FROM reco.monitoring
                 WHERE model OPERATOR(pg_catalog.=) $1 AND NOT is_region AND judged_at IS NOT NULL
                 ORDER BY week DESC LIMIT $2";
    let mut weeks = first(query, model, MOST_WEEKS, |row| {
        Ok(JudgedWeek {
            week: row.get(2)?.unwrap_or_default(),
            version: row.get(3)?,
            rows: row.get::<i64>(4)?.unwrap_or_default() as u64,
            mean_label: row.get(5)?,
            auroc: row.get(6)?,
            test_auroc: row.get(7)?,
            rmse: row.get(8)?,
            test_rmse: row.get(9)?,
            calibration_error: row.get(10)?,
            test_calibration_error: row.get(11)?,
            note: row.get(12)?,
        })
    })?;
    weeks.rows.reverse();
    Ok(weeks)
}

/// Of the newest week that has any.
fn drift(model: &str) -> Result<Option<Drift>, Error> {
    let query =
        "SELECT pg_catalog.count(*) OVER (), week::pg_catalog.text, version, column_name, importance, psi, psi_usual,
                        psi_chance, jensen_shannon, nulls, nulls_trained, unseen, outside, level, note
                 FROM reco.drift
                 WHERE model OPERATOR(pg_catalog.=) $1
                   AND week OPERATOR(pg_catalog.=) (SELECT pg_catalog.max(n.week) FROM reco.drift AS n
                                                    WHERE n.model OPERATOR(pg_catalog.=) $1)
                 ORDER BY level IS NULL, level, NOT is_score, psi OPERATOR(pg_catalog.*) GREATEST(importance, 0) DESC NULLS LAST, psi DESC NULLS LAST, column_name
                 LIMIT $2";
    let found = first(query, model, MOST_COLUMNS, |row| {
        let week: String = row.get(2)?.unwrap_or_default();
        let version: i32 = row.get(3)?.unwrap_or_default();
        let column = DriftedColumn {
            name: row.get(4)?,
            importance: row.get(5)?,
            psi: row.get(6)?,
            usual: row.get(7)?,
            chance: row.get(8)?,
            jensen_shannon: row.get(9)?,
            nulls: row.get(10)?,
            nulls_trained: row.get(11)?,
            unseen: row.get(12)?,
            outside: row.get(13)?,
            level: row.get(14)?,
            note: row.get(15)?,
        };
        Ok((week, version, column))
    })?;
    let of = found.rows.first().map(|(week, version, _)| (week.clone(), *version));
    Ok(of.map(|(week, version)| {
        let rows = found.rows.into_iter().map(|(_, _, column)| column).collect();
        Drift { week, version, columns: First { rows, all: found.all } }
    }))
}
