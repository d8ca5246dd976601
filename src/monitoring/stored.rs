//! What is kept of a week: rows of `reco.monitored_week` and `reco.monitored_column`, in place of those that were there.

use super::drifted::Drifted;
use super::plan::Todo;
use super::quality::{rows, Measured};
use super::reigns::Served;
use super::shown::{AllShown, Shown};
use crate::catalog::read;
use crate::catalog::stored::{self, Of};
use crate::error::Error;
use crate::pg::acting_as::{as_owner, current_user};
use features::weeks::{iso_date, Week};
use model::Quality;
use pgrx::spi::SpiClient;
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A week of a model, and what is said of it.
pub struct Context {
    pub model: String,
    week: Week,
    served: Served,
    labelled: i64,
    unlabelled: i64,
    by: String,
    problem: Option<String>,
    notes: Vec<String>,
}

impl Context {
    pub fn new(model: &str, todo: &Todo) -> Result<Self, Error> {
        Ok(Self {
            model: model.to_owned(),
            week: todo.week,
            served: todo.served,
            labelled: todo.labelled,
            unlabelled: todo.unlabelled,
            by: current_user(),
            problem: None,
            notes: Vec::new(),
        })
    }

    /// Says what hinders the week from being judged.
    pub fn problem(&mut self, words: impl Into<String>) {
        self.problem = Some(words.into());
    }

    pub fn hindered(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    pub fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    pub fn week(&self) -> Result<String, Error> {
        iso_date(self.week.monday()).ok_or_else(|| Error::Overflow("a week"))
    }
}

/// Stores a week. Whoever drops the model waits, or the week finds that it is gone.
pub fn store(
    context: &Context,
    measured: Vec<Measured>,
    drifted: Vec<Drifted>,
    shown: AllShown,
) -> Result<(), Error> {
    let version = context.served.version();
    let test = version.map(|version| metrics(&context.model, version)).transpose()?;
    let known = known_regions(&context.model, context.week, test.as_ref())?;
    let week = context.week()?;
    let mut lines: Vec<Value> = Vec::new();
    lines.push(line(context, &week, 0, measured.first(), test.as_ref()));
    for (position, part) in measured.iter().enumerate().skip(1) {
        let mut line = line(context, &week, position, Some(part), test.as_ref());
        if let (Some(known), Some(region)) = (&known, &part.region) {
            line["new_region"] = json!(!known.contains(region));
        }
        lines.push(line);
    }
    for line in &mut lines {
        add_shown(line, &shown);
    }
    let importance: BTreeMap<String, f64> = match version {
        Some(version) => read::importance(&context.model, version).unwrap_or_default().into_iter().collect(),
        None => BTreeMap::new(),
    };
    let columns: Vec<Value> = drifted.iter().map(|one| column(context, &week, one, &importance)).collect();
    as_owner(|client| {
        lock(client, &context.model)?;
        for (table, rows) in [("monitored_week", lines), ("monitored_column", columns)] {
            let delete = format!(
                "DELETE FROM reco.{table} WHERE model OPERATOR(pg_catalog.=) $1 \
                 AND week OPERATOR(pg_catalog.=) $2::pg_catalog.date"
            );
            client.update(&delete, None, &[context.model.as_str().into(), week.as_str().into()])?;
            let insert = format!(
                "INSERT INTO reco.{table} SELECT r.* \
                 FROM pg_catalog.jsonb_populate_recordset(NULL::reco.{table}, $1::pg_catalog.jsonb) AS r"
            );
            client.update(&insert, None, &[Value::Array(rows).to_string().into()])?;
        }
        Ok(())
    })
}

/// Keeps the model from being dropped until the transaction ends.
pub fn lock(client: &mut SpiClient, model: &str) -> Result<(), Error> {
    let lock = "SELECT FROM reco.model WHERE model OPERATOR(pg_catalog.=) $1 FOR SHARE";
    match client.update(lock, Some(1), &[model.into()])?.is_empty() {
        true => Err(Error::UnknownModel(model.to_owned())),
        false => Ok(()),
    }
}

/// The metrics of a version, as far as they can be read.
pub fn metrics(model: &str, version: i32) -> Result<Map<String, Value>, Error> {
    let sql = "SELECT v.metrics::pg_catalog.text FROM reco.version AS v \
               WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";
    let text = as_owner(|client| {
        let rows = client.update(sql, Some(1), &[model.into(), version.into()])?;
        match rows.is_empty() {
            true => Err(Error::UnknownVersion { model: model.to_owned(), version }),
            false => Ok(rows.first().get_one::<String>()?.unwrap_or_default()),
        }
    })?;
    Ok(Of { model, version }.read("metrics", &text, stored::metrics)?.all)
}

/// The quality on the test rows, if there were any.
pub fn on_test(metrics: &Map<String, Value>) -> Option<Quality> {
    let quality = metrics.get("test")?.get("model")?.clone();
    serde_json::from_value(quality).ok()
}

/// The regions that the version was measured on, or that an earlier week had; `None` if none are known.
fn known_regions(
    model: &str,
    week: Week,
    metrics: Option<&Map<String, Value>>,
) -> Result<Option<BTreeSet<String>>, Error> {
    let by = metrics.and_then(|metrics| metrics.get("by")).and_then(Value::as_object);
    let mut known: BTreeSet<String> = by
        .into_iter()
        .flat_map(|by| by.values())
        .filter_map(Value::as_object)
        .flat_map(|groups| groups.keys().cloned())
        .collect();
    let sql = "SELECT DISTINCT w.region FROM reco.monitored_week AS w \
               WHERE w.model OPERATOR(pg_catalog.=) $1 AND w.week OPERATOR(pg_catalog.<) $2::pg_catalog.date \
                 AND w.region IS NOT NULL";
    let before = iso_date(week.monday()).unwrap_or_default();
    as_owner(|client| {
        for row in client.update(sql, None, &[model.into(), before.as_str().into()])? {
            known.extend(row.get::<String>(1)?);
        }
        Ok((!known.is_empty()).then_some(known))
    })
}

/// A row of `reco.monitored_week`.
fn line(
    context: &Context,
    week: &str,
    position: usize,
    measured: Option<&Measured>,
    test: Option<&Map<String, Value>>,
) -> Value {
    let is_all = position == 0;
    let labelled = measured.map_or(context.labelled, |part| rows(&part.quality) as i64);
    let unlabelled = is_all.then_some(context.unlabelled);
    let judged_at = measured.map(|_| NOW);
    let mut line = json!({
        "model": context.model, "week": week, "position": position,
        "region": measured.and_then(|part| part.region.as_deref()),
        "version": context.served.version(), "served": matches!(context.served, Served::By(_)),
        "rows": labelled, "unlabelled": unlabelled,
        "problem": context.problem.as_deref().filter(|_| is_all),
        "note": Some(context.notes.join("; ")).filter(|notes| is_all && !notes.is_empty()),
        "measured_by": context.by, "measured_at": NOW, "judged_at": judged_at,
    });
    let test = test.filter(|_| is_all).and_then(on_test);
    match measured.map(|part| &part.quality) {
        Some(Quality::Binary(metrics)) => {
            let part = measured.and_then(|part| part.line);
            line["positives"] = json!(metrics.positives);
            line["mean_label"] = json!(metrics.positives as f64 / metrics.rows as f64);
            line["mean_score"] = json!(metrics.mean_score());
            line["auroc"] = json!(metrics.auroc);
            line["auroc_error"] = json!(metrics.auroc_error());
            line["average_precision"] = json!(metrics.average_precision);
            line["log_loss"] = json!(metrics.log_loss);
            line["brier"] = json!(metrics.brier);
            line["calibration_error"] = json!(metrics.calibration_error());
            line["calibration_chance"] = json!(metrics.calibration_error_by_chance());
            line["calibration_slope"] = json!(part.map(|line| line.slope));
            line["calibration_intercept"] = json!(part.map(|line| line.offset));
            if let Some(Quality::Binary(test)) = test {
                line["test_calibration_error"] = json!(test.calibration_error());
            }
        }
        Some(Quality::Regression(metrics)) => {
            line["mean_label"] = json!(metrics.mean_label);
            line["mean_score"] = json!(metrics.mean_prediction);
            line["rmse"] = json!(metrics.rmse);
            line["mae"] = json!(metrics.mae);
        }
        None => {}
    }
    line
}

/// What a timestamp reads as the time of the transaction.
const NOW: &str = "now";

fn add_shown(line: &mut Value, shown: &AllShown) {
    let Some((all, regions)) = shown else { return };
    let counts = match line["region"].as_str() {
        None => Some(all),
        Some(region) => regions.get(region),
    };
    if let Some(Shown { shown, outcomes, bought }) = counts {
        line["shown"] = json!(shown);
        line["outcomes"] = json!(outcomes);
        line["bought"] = json!(bought);
    }
}

/// A row of `reco.monitored_column`.
fn column(context: &Context, week: &str, one: &Drifted, importance: &BTreeMap<String, f64>) -> Value {
    let (trained, drift) = (&one.profile.histogram, one.drift.clone().unwrap_or_default());
    let name = one.profile.column.as_ref();
    json!({
        "model": context.model, "week": week, "position": one.profile.position, "column_name": name,
        "version": context.served.version(), "rows": one.rows,
        "importance": name.and_then(|name| importance.get(name)),
        "psi": drift.psi, "psi_chance": drift.chance, "jensen_shannon": drift.jensen_shannon,
        "nulls": drift.nulls, "nulls_trained": trained.null_share(),
        "unseen": drift.unseen, "unseen_trained": trained.unseen(),
        "lowest": drift.range.map(|range| range.0), "highest": drift.range.map(|range| range.1),
        "lowest_trained": trained.range.map(|range| range.0), "highest_trained": trained.range.map(|range| range.1),
        "outside": drift.outside, "note": one.note,
    })
}
