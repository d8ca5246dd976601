//! The function `reco.week(…)`: the Monday of the week that a moment lies in.

use crate::error::Error;
use crate::pg::call::{integer, Call};
use crate::pg::sql_function::{sql_function, Returned};
use features::weeks::Week;
use model::protocol::MICROSECONDS_A_DAY;
use pgrx::pg_sys;

sql_function!(week_of_date, week_of_date);
sql_function!(week_of_timestamp, week_of_timestamp);

/// (date)
fn week_of_date(call: &Call) -> Returned {
    call.date(0).map(|date| monday(i64::from(date))).transpose()
}

/// (timestamp)
fn week_of_timestamp(call: &Call) -> Returned {
    let day = |moment: i64| match moment {
        i64::MIN | i64::MAX => moment,
        moment => moment.div_euclid(MICROSECONDS_A_DAY),
    };
    call.timestamp(0).map(|moment| monday(day(moment))).transpose()
}

/// The days that PostgreSQL's dates and timestamps can have. The values for infinity are far outside of this range.
const DAYS: std::ops::Range<i64> = -2_451_545..2_147_483_494;

#[inline]
fn monday(day: i64) -> Result<pg_sys::Datum, Error> {
    match i32::try_from(day) {
        Ok(known) if DAYS.contains(&day) => Ok(integer(Week::of_day(known).monday())),
        _ => Err(Error::invalid("an infinite moment has no week")),
    }
}
