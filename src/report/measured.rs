//! What the version is worth on its test rows, which are read and scored now, with the caller's rights.

use super::baseline::baseline;
use super::days::Days;
use super::parts::part;
use crate::catalog::read;
use crate::error::Error;
use crate::evaluation::measure::{measure_with, Part as Sliced};
use crate::evaluation::subject::{Subject, Weeks};
use crate::scoring::call::Resolved;
use model::tally::Tally;
use model::Quality;
use pgrx::pg_sys;
use report::{Curves, First, Measured, Slice};
use serde_json::{Map, Value};
use std::time::Instant;

/// How many weeks, the newest ones, and how many regions are shown.
const MOST_WEEKS: usize = 52;
const MOST_REGIONS: usize = 20;

/// `data` is what the card says of the rows that the version was trained on, which only those who may train it see.
pub fn measured(
    model: &str,
    version: i32,
    data: Option<&Map<String, Value>>,
    deadline: Instant,
) -> Result<Measured, Error> {
    let data = data.ok_or_else(|| {
        Error::invalid("which rows it was tested on is shown to those who may train the model")
    })?;
    let (days, [from, to]) = Days::of(data)?;
    let row = read::version(model, version)?;
    let (source, _) = row.source.find(model, pg_sys::NoLock)?;
    let mut resolved = Resolved::measuring(Some(model), Some(version), Some(days.from))?;
    let subject = |by: Option<&String>, by_day| Subject {
        model: None,
        version: None,
        source,
        label: None,
        by: by.cloned(),
        weeks: Weeks { from: Some(days.from), until: Some(days.until) },
        by_day,
        deadline: Some(deadline),
    };
    let by_week = measure_with(&mut resolved, &subject(row.time_column.as_ref(), true), |tally| {
        let curves = match tally {
            Tally::Binary(ranking) => Some(Curves::of(ranking.sorted())),
            Tally::Regression(_) => None,
        };
        Some((tally.quality()?, curves))
    })?;
    let mut parts = by_week.parts.into_iter();
    let all =
        parts.next().ok_or_else(|| Error::invalid("none of its test rows is in the source any more"))?;
    let (quality, curves) = all.measured;
    let weeks = parts.map(|week| Slice { name: week.slice, quality: week.measured.0 });
    let weeks = newest(weeks.collect());
    let regions = row.keys.get(1).map(|column| {
        let regions = part("Its worth by region", || {
            let measured =
                measure_with(&mut resolved, &subject(Some(column), false), |tally| tally.quality())?;
            Ok(largest(measured.parts))
        });
        (column.clone(), regions)
    });
    let popularity = part("Popularity", || match curves {
        Some(_) => baseline(&row, source, &days, deadline),
        None => Err(Error::invalid("it is compared with probabilities only")),
    });
    Ok(Measured { from, to, quality, curves, popularity, weeks: Ok(weeks), regions })
}

fn newest(mut weeks: Vec<Slice>) -> First<Slice> {
    let all = weeks.len();
    weeks.drain(..all.saturating_sub(MOST_WEEKS));
    First { rows: weeks, all: all as u64 }
}

/// The slices with most rows, those first.
fn largest(parts: Vec<Sliced<Quality>>) -> First<Slice> {
    let slices = parts.into_iter().filter(|part| part.by.is_some());
    let mut regions: Vec<Slice> =
        slices.map(|part| Slice { name: part.slice, quality: part.measured }).collect();
    regions.sort_by_key(|region| std::cmp::Reverse(rows(&region.quality)));
    let all = regions.len() as u64;
    regions.truncate(MOST_REGIONS);
    First { rows: regions, all }
}

fn rows(quality: &Quality) -> u64 {
    match quality {
        Quality::Binary(m) => m.rows,
        Quality::Regression(m) => m.rows,
    }
}
