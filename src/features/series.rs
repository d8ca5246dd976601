//! The aggregates over a series of values: `reco.decayed_sum(…)`, `reco.decayed_avg(…)` and `reco.trend(…)`.

use crate::error::Error;
use crate::pg::aggregate::{combine, deserialize, finished, serialize, step, step_or, unchanged};
use crate::pg::call::{float, Call};
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::microseconds;
use features::decay::Decayed;
use features::trend::Trend;
use features::FeatureError;
use pgrx::pg_sys;

sql_function!(decayed_step, decayed_step);
sql_function!(decayed_combine, combine::<Decayed>);
sql_function!(decayed_serialize, serialize::<Decayed>);
sql_function!(decayed_deserialize, deserialize::<Decayed>);
sql_function!(decayed_sum, decayed_sum);
sql_function!(decayed_avg, decayed_avg);
sql_function!(trend_step, trend_step);
sql_function!(trend_combine, combine::<Trend>);
sql_function!(trend_serialize, serialize::<Trend>);
sql_function!(trend_deserialize, deserialize::<Trend>);
sql_function!(trend_final, trend_final);

/// (state, value, at, as_of, half_life): a row with a NULL is not counted.
fn decayed_step(call: &Call) -> Returned {
    let given = (call.float(1), call.timestamp(2), call.timestamp(3), call.interval(4));
    let (Some(value), Some(at), Some(as_of), Some(half_life)) = given else { return unchanged(call) };
    let half_life = length(half_life)?;
    let new = || Ok(Decayed::new(as_of, half_life)?);
    step_or(call, new, |state| {
        state.expect(as_of, half_life)?;
        Ok(state.add(value, at)?)
    })
}

fn length(interval: &pg_sys::Interval) -> Result<i64, Error> {
    let too_long = |_| FeatureError::Range { message: "half_life is too long".into(), hint: None };
    Ok(i64::try_from(microseconds(interval)).map_err(too_long)?)
}

fn decayed_sum(call: &Call) -> Returned {
    Ok(finished::<Decayed>(call)?.and_then(|state| state.sum()).map(float))
}

fn decayed_avg(call: &Call) -> Returned {
    Ok(finished::<Decayed>(call)?.and_then(|state| state.average()).map(float))
}

/// (state, value, week): a row with a NULL is not counted.
fn trend_step(call: &Call) -> Returned {
    let (Some(value), Some(week)) = (call.float(1), call.date(2)) else { return unchanged(call) };
    step(call, |state: &mut Trend| Ok(state.add(value, week)?))
}

fn trend_final(call: &Call) -> Returned {
    Ok(finished::<Trend>(call)?.and_then(|state| state.slope()).map(float))
}
