//! The function `reco.report(model, version, time_limit)`.

use super::parts::part;
use super::{lists, measured, monitored, tests};
use crate::error::Error;
use crate::models::card::{read_card, version_or_champion};
use crate::pg::acting_as::{current_user, with_fixed_words};
use crate::pg::call::{text, Call};
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::{given, microseconds};
use pgrx::Spi;
use report::{page, Report};
use std::time::{Duration, Instant};

sql_function!(report, make);

/// (model, version, time_limit)
fn make(call: &Call) -> Returned {
    let model = given(call.text(0), "model")?;
    let deadline = deadline(call)?;
    let version = version_or_champion_of(&model, call.integer(1))?;
    let card = with_fixed_words(|| read_card(&model, Some(version)))?;
    let at = with_fixed_words(|| {
        Spi::connect(|client| {
            let now = "SELECT pg_catalog.to_char(pg_catalog.now(), 'YYYY-MM-DD HH24:MI')";
            client.select(now, Some(1), &[])?.first().get::<String>(1)?.ok_or_else(Error::damaged_row)
        })
    })?;
    let report = Report {
        at,
        reader: current_user(),
        leaderboard: part("The leaderboard", || lists::leaderboard(&model)),
        promotions: part("The history", || lists::promotions(&model)),
        tests: part("The A/B tests", || tests::tests(&model, deadline)),
        measured: part("What the version is worth on its test rows", || {
            measured::measured(&model, version, card.data.as_ref(), deadline)
        }),
        monitored: part("What monitoring has found", || monitored::monitored(&model)),
        card,
    };
    Ok(Some(text(page(&report).as_bytes())))
}

/// The version, once it is known that the caller may ask for it.
fn version_or_champion_of(model: &str, version: Option<i32>) -> Result<i32, Error> {
    crate::catalog::rights::check(model, crate::catalog::rights::Privilege::Score)?;
    version_or_champion(model, version)
}

fn deadline(call: &Call) -> Result<Instant, Error> {
    let limit = given(call.interval(2), "time_limit")?;
    let limit = u64::try_from(microseconds(limit)).ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| Error::invalid("time_limit must be longer than nothing"))?;
    // A limit beyond what a clock can count is none.
    const MOST: u64 = 1_000_000 * 86_400 * 365;
    Ok(Instant::now() + Duration::from_micros(limit.min(MOST)))
}
