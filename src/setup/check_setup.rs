//! The function `reco.check_setup`.

use super::{catalog, lake, schedules, server, shards, trainer};
use crate::pg::extension;
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use std::time::Duration;

/// Lists what is installed and what a training would run on; declared in sql/setup.sql.
#[pg_extern(sql = false)]
fn check_setup(
    time_limit: Interval,
) -> TableIterator<'static, (name!(item, String), name!(ok, bool), name!(detail, String))> {
    let limit = Duration::from_micros(time_limit.as_micros().clamp(0, i64::MAX.into()) as u64);
    let mut findings = server::installation();
    findings.extend(trainer::findings(limit));
    findings.push(lake::finding());
    findings.extend(server::settings());
    findings.extend(shards::findings());
    // The rows of another version are not judged by what this one knows.
    if extension::other_version().is_none() {
        findings.extend(catalog::findings(limit));
        findings.push(schedules::finding());
    }
    TableIterator::new(
        findings.into_iter().map(|finding| (finding.item.to_owned(), finding.ok, finding.detail)),
    )
}
