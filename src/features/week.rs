//! `reco.week(…)`: the Monday of a moment's week.

use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::sql_function::{sql_function, Returned};
use features::weeks::Week;
use pgrx::pg_sys;

sql_function!(week_of_date, |call| week_of_date(call));
sql_function!(week_of_timestamp, |call| week_of_timestamp(call));

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// # Safety
/// The call's only argument is a date.
unsafe fn week_of_date(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    argument(fcinfo, 0).map(|date| monday(i64::from(date.value() as i32))).transpose()
}

/// # Safety
/// The call's only argument is a timestamp.
unsafe fn week_of_timestamp(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let day = |moment| match moment {
        i64::MIN | i64::MAX => moment,
        moment => moment.div_euclid(MICROSECONDS_A_DAY),
    };
    argument(fcinfo, 0).map(|moment| monday(day(moment.value() as i64))).transpose()
}

/// The days that PostgreSQL's dates and timestamps can have; the infinite ones are far outside.
const DAYS: std::ops::Range<i64> = -2_451_545..2_147_483_494;

#[inline]
fn monday(day: i64) -> Result<pg_sys::Datum, Error> {
    match i32::try_from(day) {
        Ok(known) if DAYS.contains(&day) => Ok(pg_sys::Datum::from(Week::of_day(known).monday())),
        _ => Err(Error::invalid("an infinite moment has no week")),
    }
}
