//! The function `reco.ab_report`: what a test has shown and how it turned out, by arm and region. The log is read with the
//! rights of the extension's owner. An entry counts only if the caller may see the source's row that it stands for, and the
//! outcome is read from that row. The arithmetic is in `crates/model/src/ab`.

use super::keys::Keyed;
use crate::catalog::read;
use crate::catalog::rights::{self, Privilege};
use crate::error::{or_raise, Error};
use crate::pg::acting_as::as_owner;
use crate::pg::values::{given, EPOCH};
use crate::scoring::arms::Test;
use model::ab::{mismatch, Exposure, Lift, Summary, Unit};
use model::recipe::Family;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use std::collections::{BTreeSet, HashMap};

/// How many rows of the log are read at a time.
const BATCH: i64 = 20_000;
/// The largest number of rows that a report reads, which take less than a gigabyte of memory.
const MOST_ROWS: usize = 1 << 24;
/// If the p-value of the split is below this, the report warns that the split is off.
const OFF: f64 = 0.001;

/// Declared in sql/ab_test.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx wants the columns here.
fn ab_report(
    name: Option<&str>,
    confidence: Option<f64>,
) -> TableIterator<
    'static,
    (
        name!(region, Option<String>),
        name!(arm, String),
        name!(version, i32),
        name!(share, f64),
        name!(units, i64),
        name!(exposures, i64),
        name!(outcomes, i64),
        name!(purchases, i64),
        name!(rate, Option<f64>),
        name!(mean_score, Option<f64>),
        name!(auroc, Option<f64>),
        name!(lift, Option<f64>),
        name!(lift_low, Option<f64>),
        name!(lift_high, Option<f64>),
        name!(p_value, Option<f64>),
        name!(always_low, Option<f64>),
        name!(always_high, Option<f64>),
        name!(always_p_value, Option<f64>),
        name!(split_p_value, Option<f64>),
        name!(warning, Option<String>),
    ),
> {
    let report = || {
        let (name, confidence) = (given(name, "name")?, given(confidence, "confidence")?);
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(Error::invalid(format!("confidence lies between 0 and 1, not at {confidence}")));
        }
        let test = Test::read(name)?;
        rights::check(&test.model, Privilege::Score)?;
        let shown = Shown::read(name, &test)?;
        let regions: BTreeSet<&str> =
            shown.exposures.iter().flatten().map(|(region, _)| &*shown.regions[*region]).collect();
        let places = [None].into_iter().chain(regions.into_iter().map(Some));
        let lines = places.flat_map(|region| lines(&test, &shown, region, confidence));
        Ok(lines.collect::<Vec<_>>())
    };
    TableIterator::new(or_raise(report()))
}

/// The columns of a line of the report.
type Line = (
    Option<String>,
    String,
    i32,
    f64,
    i64,
    i64,
    i64,
    i64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<String>,
);

/// One line for each arm, for one region or, without a region, for all of them.
fn lines(test: &Test, shown: &Shown, region: Option<&str>, confidence: f64) -> Vec<Line> {
    let is_here = |number: usize| region.is_none_or(|region| &*shown.regions[number] == region);
    let summaries: Vec<Summary> = shown
        .exposures
        .iter()
        .map(|arm| Summary::of(arm.iter().filter(|(number, _)| is_here(*number)).map(|(_, one)| *one)))
        .collect();
    let units: Vec<u64> = summaries.iter().map(|summary| summary.units).collect();
    let shares: Vec<f64> = test.arms.iter().map(|arm| arm.share).collect();
    // The split is tested for all regions together, because a region is only one unit where the units are regions.
    let split = region.is_none().then(|| mismatch::p_value(&units, &shares));
    let line = |(n, arm): (usize, &read::ArmRow)| {
        let summary = &summaries[n];
        let lift =
            if n == 0 { None } else { Lift::of(&summary.outcomes, &summaries[0].outcomes, confidence) };
        let (once, always) = (lift.map(|lift| lift.once), lift.map(|lift| lift.always));
        let outcomes = &summary.outcomes;
        (
            region.map(str::to_owned),
            arm.name.clone(),
            arm.version,
            arm.share,
            summary.units as i64,
            summary.exposures as i64,
            outcomes.rows as i64,
            outcomes.purchases as i64,
            outcomes.rate(),
            summary.mean_score,
            summary.auroc,
            lift.map(|lift| lift.lift),
            once.map(|once| once.low),
            once.map(|once| once.high),
            once.map(|once| once.p_value),
            always.map(|always| always.low),
            always.map(|always| always.high),
            always.map(|always| always.p_value),
            split,
            split.filter(|split| *split < OFF).map(|_| warning(&units)),
        )
    };
    test.arms.iter().enumerate().map(line).collect()
}

fn warning(units: &[u64]) -> String {
    let units: Vec<String> = units.iter().map(u64::to_string).collect();
    format!(
        "the split is off: the arms have {} units, which their shares do not explain; something loses or adds rows of \
         one arm, so do not trust the comparison",
        units.join(", ")
    )
}

/// Everything that was shown and that the caller may see.
struct Shown {
    regions: Vec<String>,
    /// For each arm: the number of the region, and the exposure with its outcome.
    exposures: Vec<Vec<(usize, Exposure)>>,
}

/// A row of the log.
pub struct Logged {
    pub arm: usize,
    /// The week, in days since 2000-01-01.
    pub week: i32,
    pub region: String,
    pub product: String,
    pub own: String,
    pub score: f64,
}

/// Gives each text a number.
#[derive(Default)]
struct Numbers(HashMap<String, usize>);

impl Numbers {
    fn of(&mut self, text: String) -> usize {
        let next = self.0.len();
        *self.0.entry(text).or_insert(next)
    }
}

impl Shown {
    fn read(name: &str, test: &Test) -> Result<Self, Error> {
        let queries = test.arms.iter().map(|arm| outcome_query(&test.model, arm.version));
        let queries = queries.collect::<Result<Vec<_>, _>>()?;
        let (mut regions, mut units) = (Numbers::default(), Numbers::default());
        let mut exposures: Vec<Vec<(usize, Exposure)>> = test.arms.iter().map(|_| Vec::new()).collect();
        let (mut after, mut rows) = (None, 0);
        loop {
            let page = page(name, after.as_ref())?;
            rows += page.len();
            if rows > MOST_ROWS {
                return Err(Error::Limit {
                    message: format!("the test has shown more than {MOST_ROWS} keys"),
                    hint: "Stop it, and start the next one with a smaller share or in fewer regions.".into(),
                });
            }
            for (arm, query) in queries.iter().enumerate() {
                let logged: Vec<&Logged> = page.iter().filter(|row| row.arm == arm).collect();
                for (n, purchased) in outcomes(query, &logged)? {
                    let row = logged[n];
                    let unit = units.of(unit_of(test.unit(), row));
                    let exposure = Exposure { unit, score: row.score, purchased };
                    exposures[arm].push((regions.of(row.region.clone()), exposure));
                }
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        let mut names: Vec<(String, usize)> = regions.0.into_iter().collect();
        names.sort_by_key(|(_, number)| *number);
        Ok(Self { regions: names.into_iter().map(|(name, _)| name).collect(), exposures })
    }
}

/// The text that identifies a row's unit.
fn unit_of(unit: Unit, row: &Logged) -> String {
    match unit {
        Unit::Region => row.region.clone(),
        Unit::Product => row.product.clone(),
        // The length of the first text tells where it ends and the second begins.
        Unit::Pair => format!("{} {}{}", row.product.len(), row.product, row.region),
        Unit::Key => row.own.clone(),
    }
}

/// The next rows of the log, in the order of its primary key, after the row `after`.
fn page(name: &str, after: Option<&Logged>) -> Result<Vec<Logged>, Error> {
    let sql = format!(
        "SELECT a.position, CASE WHEN pg_catalog.isfinite(r.week) \
                                       THEN r.week OPERATOR(pg_catalog.-) {EPOCH} END, \
                      r.region, r.product_id, r.ab_key, r.score \
               FROM reco.recommendation AS r JOIN reco.ab_arm AS a \
                    ON a.test OPERATOR(pg_catalog.=) r.test AND a.arm OPERATOR(pg_catalog.=) r.arm \
               WHERE r.test OPERATOR(pg_catalog.=) $1 \
                 AND (r.week, r.region, r.product_id, r.ab_key) OPERATOR(pg_catalog.>) \
                     (COALESCE({EPOCH} OPERATOR(pg_catalog.+) $2, '-infinity'), $3, $4, $5) \
               ORDER BY r.week, r.region, r.product_id, r.ab_key LIMIT $6"
    );
    let text = |of: fn(&Logged) -> &str| after.map_or("", of);
    as_owner(|client| {
        let row = [
            name.into(),
            after.map(|row| row.week).into(),
            text(|row| &row.region).into(),
            text(|row| &row.product).into(),
            text(|row| &row.own).into(),
            BATCH.into(),
        ];
        let damaged =
            || Error::Damaged(format!("what the A/B test \"{name}\" has shown is damaged: a week is none"));
        let found = client.select(&sql, None, &row)?;
        let logged = found.map(|row| {
            Ok(Logged {
                arm: row
                    .get::<i32>(1)?
                    .map(|position| position.wrapping_sub(1) as usize)
                    .ok_or_else(damaged)?,
                week: row.get(2)?.ok_or_else(damaged)?,
                region: row.get(3)?.ok_or_else(damaged)?,
                product: row.get(4)?.ok_or_else(damaged)?,
                own: row.get(5)?.ok_or_else(damaged)?,
                score: row.get(6)?.ok_or_else(damaged)?,
            })
        });
        logged.collect()
    })
}

/// The query for the outcomes of keys: for each key whose row the caller may see, its number, from 1, and its label.
pub fn outcome_query(model: &str, number: i32) -> Result<String, Error> {
    let version = read::version(model, number)?;
    let Keyed { source, time, same_key, .. } = Keyed::of(&version)?;
    let relation = &source.relation;
    let label = version.label.as_deref();
    let value = match label.and_then(|name| Some((name, relation.family(name)?))) {
        Some((name, Family::Boolean)) => {
            format!("t.{}::pg_catalog.int4::pg_catalog.float8", quote_identifier(name))
        }
        Some((name, Family::Number)) => format!("t.{}::pg_catalog.float8", quote_identifier(name)),
        _ => {
            return Err(Error::UndefinedColumn {
                message: format!("{} has no column with the label of model \"{model}\"", relation.name),
                hint: "The outcomes of a test are read from the source of each arm's version: give the column its name \
                       again."
                    .into(),
            })
        }
    };
    Ok(format!(
        "SELECT u.n, pg_catalog.max({value}) FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), \
         pg_catalog.unnest($3)) WITH ORDINALITY AS u (product_id, region, day, n) JOIN {} AS t ON {same_key} \
         AND {time} OPERATOR(pg_catalog.=) ({EPOCH} OPERATOR(pg_catalog.+) u.day) GROUP BY u.n",
        relation.name
    ))
}

/// The outcomes of rows of the log, as the caller may see them; `None` while an outcome is not known.
pub fn outcomes(query: &str, logged: &[&Logged]) -> Result<Vec<(usize, Option<bool>)>, Error> {
    if logged.is_empty() {
        return Ok(Vec::new());
    }
    Spi::connect(|client| {
        let parameters = [
            logged.iter().map(|row| row.product.clone()).collect::<Vec<_>>().into(),
            logged.iter().map(|row| row.region.clone()).collect::<Vec<_>>().into(),
            logged.iter().map(|row| row.week).collect::<Vec<_>>().into(),
        ];
        let mut found = Vec::with_capacity(logged.len());
        for row in client.select(query, None, &parameters)? {
            let Some(n) = row.get::<i64>(1)? else { continue };
            found.push((n as usize - 1, row.get::<f64>(2)?.map(|label| label > 0.0)));
        }
        Ok(found)
    })
}
