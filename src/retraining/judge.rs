//! The function `reco.promote_if_better(model, version, …)`: it measures champion and candidate on the same rows.

use super::settings::{champion, day, list_length, Contender};
use crate::catalog::change::change;
use crate::catalog::history;
use crate::catalog::metric;
use crate::catalog::rights::{check, Privilege};
use crate::error::{or_raise, Error};
use crate::evaluation::evaluate::{evaluate_lists, evaluate_with};
use crate::evaluation::subject::{Subject, Weeks};
use crate::pg::two_versions::require_writable;
use crate::pg::values::given;
use crate::scoring::call::Resolved;
use model::params::Metric;
use model::Quality;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

/// The result of the comparison of a candidate with the champion.
pub struct Verdict {
    pub metric: Metric,
    pub champion_version: i32,
    pub champion: f64,
    pub candidate: f64,
    pub rows: u64,
    /// Whether the candidate is better by at least the gain that was asked for.
    pub is_better: bool,
}

impl Verdict {
    /// By how much the candidate is better. It is below 0 if the candidate is worse.
    pub fn gain(&self) -> f64 {
        match self.metric.is_gain() {
            true => self.candidate - self.champion,
            false => self.champion - self.candidate,
        }
    }

    /// The verdict in words.
    pub fn describe(&self) -> String {
        let Self { metric, champion_version, champion, candidate, rows, .. } = self;
        format!(
            "{} {candidate:.4}, {champion:.4} of version {champion_version}, on the same {rows} rows",
            metric.name()
        )
    }
}

/// The metric that decides, and by how much a candidate has to be better.
pub struct Bar {
    /// The metric; `None` means the default metric of the task.
    pub metric: Option<Metric>,
    pub min_gain: f64,
}

impl Bar {
    pub fn new(metric: Option<String>, min_gain: Option<f64>) -> Result<Self, Error> {
        let min_gain = given(min_gain, "min_gain")?;
        if !(min_gain.is_finite() && min_gain >= 0.0) {
            return Err(Error::invalid("min_gain is a finite number, 0 or more"));
        }
        Ok(Self { metric: metric.map(|name| metric::named(&name)).transpose()?, min_gain })
    }
}

/// Declared in sql/retraining.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn promote_if_better(
    model: Option<&str>,
    version: Option<i32>,
    metric: Option<String>,
    min_gain: Option<f64>,
) -> TableIterator<
    'static,
    (
        name!(promoted, bool),
        name!(judged_by, String),
        name!(champion_version, i32),
        name!(champion, f64),
        name!(candidate, f64),
        name!(gain, f64),
        name!(rows, i64),
    ),
> {
    require_writable(c"reco.promote_if_better()");
    let judged = || {
        let (model, version) = (given(model, "model")?, given(version, "version")?);
        check(model, Privilege::Manage)?;
        let verdict = judge(model, version, &Bar::new(metric, min_gain)?)?;
        let promoted = promote(model, version, &verdict)?;
        Ok((promoted, verdict))
    };
    let (promoted, verdict) = or_raise(judged());
    let Verdict { metric, champion_version, champion, candidate, rows, .. } = verdict;
    let judged_by = serde_json::to_value(metric).ok().and_then(|name| name.as_str().map(str::to_owned));
    TableIterator::once((
        promoted,
        judged_by.unwrap_or_default(),
        champion_version,
        champion,
        candidate,
        verdict.gain(),
        rows as i64,
    ))
}

/// Makes the candidate the champion if it is better; returns `true` if it did.
pub fn promote(model: &str, version: i32, verdict: &Verdict) -> Result<bool, Error> {
    if !verdict.is_better {
        return Ok(false);
    }
    change(c"reco.promote_if_better()", model, Privilege::Manage, |client, caller| {
        if history::champion(client, model)? != Some(verdict.champion_version) {
            return Err(Error::InUse {
                message: format!(
                    "another version of model \"{model}\" became the champion while this one was judged"
                ),
                hint: "Call it again: the versions are compared anew.".into(),
            });
        }
        let why = format!("better: {}", verdict.describe());
        history::promote(client, caller, model, version, Some(&why))
    })?;
    Ok(true)
}

/// Measures champion and candidate on the rows that neither was trained on, as far as the caller may read them.
pub fn judge(model: &str, version: i32, bar: &Bar) -> Result<Verdict, Error> {
    let champion_version = champion(model)?;
    let [champion, candidate] = [Contender::read(model, champion_version)?, Contender::read(model, version)?];
    comparable(model, (champion_version, &champion), (version, &candidate))?;
    let from = unseen(model, (champion_version, &champion), (version, &candidate))?;
    let (source, _) = champion.source.find(model, pg_sys::NoLock)?;
    // Lists of one length for both: the one that the newer was trained for.
    let k = match bar.metric {
        Some(Metric::PrecisionAtK) => Some(list_length(model, version)?),
        _ => None,
    };
    let measured = |version| {
        let subject = Subject {
            model: None,
            version: None,
            source,
            label: champion.label.clone(),
            by: None,
            weeks: Weeks { from: Some(from), until: None },
            by_day: false,
            deadline: None,
        };
        let mut resolved = Resolved::measuring(Some(model), Some(version), Some(from))?;
        let measured = match k {
            Some(k) => evaluate_lists(&mut resolved, &subject, k)?,
            None => evaluate_with(&mut resolved, &subject)?.into_iter().next().map(|part| part.measured),
        };
        measured.ok_or_else(|| no_rows(&champion, from))
    };
    let (before, after) = (measured(champion_version)?, measured(version)?);
    if before.task() != after.task() {
        return Err(incomparable(model, champion_version, version, "tasks"));
    }
    let metric = bar.metric.unwrap_or(Metric::default_for(after.task()));
    let value = |quality: &Quality| quality.value(metric).ok_or_else(|| undefined(metric, &after, from));
    let mut verdict = Verdict {
        metric,
        champion_version,
        champion: value(&before)?,
        candidate: value(&after)?,
        rows: rows(&after),
        is_better: false,
    };
    verdict.is_better = verdict.gain() > 0.0 && verdict.gain() >= bar.min_gain;
    Ok(verdict)
}

fn rows(quality: &Quality) -> u64 {
    match quality {
        Quality::Binary(m) => m.rows,
        Quality::Regression(m) => m.rows,
    }
}

type Numbered<'a> = (i32, &'a Contender);

fn comparable(model: &str, (a, first): Numbered, (b, second): Numbered) -> Result<(), Error> {
    let differs = [
        (first.source != second.source, "sources"),
        (first.label != second.label, "labels"),
        (first.time_column != second.time_column, "time columns"),
    ];
    match differs.into_iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(incomparable(model, a, b, what)),
        None => Ok(()),
    }
}

fn incomparable(model: &str, a: i32, b: i32, what: &str) -> Error {
    Error::InvalidArgument(
        format!("versions {a} and {b} of model \"{model}\" have different {what}"),
        Some("Compare them with reco.evaluate(…), and promote with reco.promote(…).".into()),
    )
}

/// The first day from which on neither version has seen a row.
fn unseen(model: &str, champion: Numbered, candidate: Numbered) -> Result<i32, Error> {
    let of = |(version, contender): Numbered| {
        let known = contender.unseen_from.filter(|_| contender.time_column.is_some());
        known.ok_or_else(|| {
            Error::InvalidArgument(
                format!("it is not known up to when version {version} of model \"{model}\" was trained"),
                Some(
                    "It was imported, or has no time column. Compare with reco.evaluate(…) on rows that neither has seen."
                        .into(),
                ),
            )
        })
    };
    Ok(of(champion)?.max(of(candidate)?))
}

fn no_rows(contender: &Contender, from: i32) -> Error {
    Error::Data {
        message: format!(
            "no row of {} from {} on, which neither version was trained on, has a label",
            contender.source,
            day(from)
        ),
        hint: "Wait until outcomes are known, or train with a test_share above 0.".into(),
    }
}

fn undefined(metric: Metric, quality: &Quality, from: i32) -> Error {
    Error::Data {
        message: format!(
            "{} of the {} rows from {} on is not defined",
            metric.name(),
            rows(quality),
            day(from)
        ),
        hint: match metric.task() == quality.task() {
            true => {
                "Their labels are all the same, or the version has no quantiles: name another metric.".into()
            }
            false => "It is a metric of another task: name one of the model's own.".into(),
        },
    }
}
