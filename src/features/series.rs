//! The aggregates over a series of values: `reco.decayed_sum(…)`, `reco.decayed_avg(…)` and `reco.trend(…)`.

use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::memory::{aggregate_context, bytes, in_context, keep, varlena};
use crate::pg::sql_function::{sql_function, Returned};
use features::decay::Decayed;
use features::series::Series;
use features::trend::Trend;
use features::FeatureError;
use pgrx::{pg_sys, IntoDatum};

sql_function!(decayed_step, |fcinfo| decayed_step(fcinfo));
sql_function!(decayed_combine, |fcinfo| combine::<Decayed>(fcinfo));
sql_function!(decayed_serialize, |fcinfo| serialize::<Decayed>(fcinfo));
sql_function!(decayed_deserialize, |fcinfo| { deserialize::<Decayed>(fcinfo) });
sql_function!(decayed_sum, |fcinfo| finish(fcinfo, Decayed::sum));
sql_function!(decayed_avg, |fcinfo| finish(fcinfo, Decayed::average));
sql_function!(trend_step, |fcinfo| trend_step(fcinfo));
sql_function!(trend_combine, |fcinfo| combine::<Trend>(fcinfo));
sql_function!(trend_serialize, |fcinfo| serialize::<Trend>(fcinfo));
sql_function!(trend_deserialize, |fcinfo| { deserialize::<Trend>(fcinfo) });
sql_function!(trend_final, |fcinfo| finish(fcinfo, Trend::slope));

/// (state, value, at, as_of, half_life): a row with a NULL is not counted.
unsafe fn decayed_step(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let given = (argument(fcinfo, 1), argument(fcinfo, 2), argument(fcinfo, 3), argument(fcinfo, 4));
    let (Some(value), Some(at), Some(as_of), Some(half_life)) = given else { return Ok(argument(fcinfo, 0)) };
    let as_of = as_of.value() as i64;
    let half_life = microseconds(&*half_life.cast_mut_ptr::<pg_sys::Interval>())?;
    let state = state_or(fcinfo, || Decayed::new(as_of, half_life))?;
    (*state).expect(as_of, half_life)?;
    (*state).add(f64::from_bits(value.value() as u64), at.value() as i64)?;
    Ok(Some(pg_sys::Datum::from(state)))
}

/// The length of an interval; a month has 30 days, a day 24 hours, as where Postgres compares intervals.
fn microseconds(interval: &pg_sys::Interval) -> Result<i64, Error> {
    const DAY: i128 = 86_400_000_000;
    let days = i128::from(interval.month) * 30 + i128::from(interval.day);
    let too_long = |_| FeatureError::Range { message: "half_life is too long".into(), hint: None };
    Ok(i64::try_from(days * DAY + i128::from(interval.time)).map_err(too_long)?)
}

/// (state, value, week): a row with a NULL is not counted.
unsafe fn trend_step(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let (Some(value), Some(week)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
        return Ok(argument(fcinfo, 0));
    };
    let state = state_or(fcinfo, || Ok(Trend::default()))?;
    (*state).add(f64::from_bits(value.value() as u64), week.value() as i32)?;
    Ok(Some(pg_sys::Datum::from(state)))
}

/// # Safety
/// Argument `n` of the call is a state of this type.
#[inline]
unsafe fn state<S: Series>(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<*mut S> {
    argument(fcinfo, n).map(|datum| datum.cast_mut_ptr())
}

/// The state that is argument 0; where there is none yet, a new one in the aggregate's context.
///
/// # Safety
/// As for [`state`].
#[inline]
unsafe fn state_or<S: Series>(
    fcinfo: pg_sys::FunctionCallInfo,
    new: impl FnOnce() -> Result<S, FeatureError>,
) -> Result<*mut S, Error> {
    match state(fcinfo, 0) {
        Some(state) => Ok(state),
        None => {
            let new = new()?;
            Ok(in_context(aggregate_context(fcinfo)?, || keep(new)))
        }
    }
}

/// (state, state): a lone second state lies in a context of its own, and is copied.
unsafe fn combine<S: Series>(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(other) = state::<S>(fcinfo, 1) else { return Ok(argument(fcinfo, 0)) };
    let merged = match state::<S>(fcinfo, 0) {
        Some(state) => {
            (*state).merge(&*other)?;
            state
        }
        None => in_context(aggregate_context(fcinfo)?, || keep(*other)),
    };
    Ok(Some(pg_sys::Datum::from(merged)))
}

/// (state)
unsafe fn serialize<S: Series>(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    Ok(state::<S>(fcinfo, 0).map(|state| {
        let written = (*state).to_bytes();
        varlena(written.len(), |out| out.copy_from_slice(&written))
    }))
}

/// (bytea, internal)
unsafe fn deserialize<S: Series>(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(datum) = argument(fcinfo, 0) else { return Ok(None) };
    Ok(Some(pg_sys::Datum::from(keep(S::from_bytes(bytes(datum))?))))
}

/// (state)
unsafe fn finish<S: Series>(
    fcinfo: pg_sys::FunctionCallInfo,
    read: impl FnOnce(&S) -> Option<f64>,
) -> Returned {
    Ok(state::<S>(fcinfo, 0).and_then(|state| read(&*state)).and_then(IntoDatum::into_datum))
}
