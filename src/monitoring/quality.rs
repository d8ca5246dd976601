//! How good a version was on the rows of a week, of all regions and of each: what `reco.evaluate` says of the same rows, and how
//! its probabilities lie beside the outcomes.

use crate::error::Error;
use crate::evaluation::measure::{measure_with, Part};
use crate::evaluation::subject::{Subject, Weeks};
use crate::scoring::call::Resolved;
use model::calibration::Platt;
use model::tally::Tally;
use model::Quality;
use pgrx::pg_sys;

/// Most regions that are kept of a week: those with the most rows.
const MOST_REGIONS: usize = 100;

pub struct Measured {
    /// `None` of all rows together.
    pub region: Option<String>,
    pub quality: Quality,
    /// The line of outcomes: see [`Platt::of_outcomes`].
    pub line: Option<Platt>,
}

/// All rows, then the largest regions by name; empty where no row has a label. Rows without a region are in no region.
pub fn of_week(
    resolved: &mut Resolved,
    source: pg_sys::Oid,
    region: Option<&str>,
    weeks: Weeks,
) -> Result<Vec<Measured>, Error> {
    let by = region.map(str::to_owned);
    let subject =
        Subject { model: None, version: None, source, label: None, by, weeks, by_day: false, deadline: None };
    let conclude = |tally: &mut Tally<_>| {
        let quality = tally.quality()?;
        let line = match tally {
            Tally::Binary(ranking) => Platt::of_outcomes(ranking.sorted()),
            Tally::Regression(_) => None,
        };
        Some((quality, line))
    };
    let parts = measure_with(resolved, &subject, conclude)?.parts.into_iter();
    let measured = |part: Part<(Quality, Option<Platt>)>| {
        let (quality, line) = part.measured;
        (part.by, Measured { region: part.slice, quality, line })
    };
    let (mut all, mut regions) = (Vec::new(), Vec::new());
    for (by, measured) in parts.map(measured) {
        match (by, &measured.region) {
            (None, _) => all.push(measured),
            (Some(_), Some(_)) => regions.push(measured),
            (Some(_), None) => {}
        }
    }
    regions.sort_by(|a, b| rows(&b.quality).cmp(&rows(&a.quality)).then_with(|| a.region.cmp(&b.region)));
    regions.truncate(MOST_REGIONS);
    regions.sort_by(|a, b| a.region.cmp(&b.region));
    all.append(&mut regions);
    Ok(all)
}

pub fn rows(quality: &Quality) -> u64 {
    match quality {
        Quality::Binary(metrics) => metrics.rows,
        Quality::Regression(metrics) => metrics.rows,
    }
}
