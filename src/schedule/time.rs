//! Moments and lengths of time of PostgreSQL, as `crates/schedule` counts them: microseconds, moments from 1970 on.

use crate::error::Error;
use crate::pg::values::microseconds;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use schedule::SECOND;

/// From 1970, from which moments are counted here, to 2000, from which PostgreSQL counts them.
const SHIFT: i64 = 10_957 * 24 * 3600 * SECOND;

/// The present moment.
pub fn now() -> i64 {
    // SAFETY: the call reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }.saturating_add(SHIFT)
}

pub fn moment(stored: Option<TimestampWithTimeZone>) -> Result<i64, Error> {
    let stored = stored.ok_or_else(Error::damaged_row)?;
    Ok(pg_sys::TimestampTz::from(stored).saturating_add(SHIFT))
}

/// What PostgreSQL stores for a moment.
pub fn stored(moment: i64) -> Result<TimestampWithTimeZone, Error> {
    TimestampWithTimeZone::try_from(moment.saturating_sub(SHIFT)).map_err(|_| Error::damaged_row())
}

/// The moment as the value that a function returns.
pub fn datum(moment: i64) -> pg_sys::Datum {
    pg_sys::Datum::from(moment.saturating_sub(SHIFT))
}

/// The length of an interval argument; an error if it lies outside of the bounds.
pub fn length(interval: &pg_sys::Interval, name: &str, bounds: (i64, i64, &str)) -> Result<i64, Error> {
    let (least, most, words) = bounds;
    match i64::try_from(microseconds(interval)) {
        Ok(length) if (least..=most).contains(&length) => Ok(length),
        _ => Err(Error::invalid(format!("{name} is {words}"))),
    }
}
