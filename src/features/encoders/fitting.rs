//! The aggregates that are fitted to a column. Each is a step for every row, and a final function.

use super::aggregate::{combine, deserialize, finished, serialize, step};
use super::arrays::{float_array, text_array, texts};
use super::call::{composite, float, text, Call};
use super::sql_functions;
use crate::pg::sql_function::Returned;
use crate::pg::values::given;
use features::encode::vocabulary::DEFAULT_SIZE;
use features::encode::{Imputer, Statistics, Values, VocabularyFit};

fn column_statistics_step(call: &Call) -> Returned {
    step(call, |state: &mut Statistics| Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?))
}

fn column_statistics_combine(call: &Call) -> Returned {
    combine::<Statistics>(call)
}

fn column_statistics_serialize(call: &Call) -> Returned {
    serialize::<Statistics>(call)
}

fn column_statistics_deserialize(call: &Call) -> Returned {
    deserialize::<Statistics>(call)
}

fn standard_scaler_final(call: &Call) -> Returned {
    let Some(state) = finished::<Statistics>(call)? else { return Ok(None) };
    match state.standard_scaler()? {
        Some(fitted) => composite(call, [fitted.mean, fitted.scale]),
        None => Ok(None),
    }
}

fn min_max_scaler_final(call: &Call) -> Returned {
    match finished::<Statistics>(call)?.and_then(|state| state.min_max_scaler()) {
        Some(fitted) => composite(call, [fitted.minimum, fitted.maximum]),
        None => Ok(None),
    }
}

fn max_abs_scaler_final(call: &Call) -> Returned {
    match finished::<Statistics>(call)?.and_then(|state| state.max_abs_scaler()) {
        Some(fitted) => composite(call, [fitted.max_abs]),
        None => Ok(None),
    }
}

fn column_values_step(call: &Call) -> Returned {
    step(call, |state: &mut Values| Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?))
}

fn column_values_step_buckets(call: &Call) -> Returned {
    step(call, |state: &mut Values| {
        state.set_buckets(given(call.integer(2), "the number of buckets")?)?;
        Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?)
    })
}

fn column_values_step_range(call: &Call) -> Returned {
    step(call, |state: &mut Values| {
        let name = "the range of quantiles";
        state.set_range(given(call.float(2), name)?, given(call.float(3), name)?)?;
        Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?)
    })
}

fn column_values_combine(call: &Call) -> Returned {
    combine::<Values>(call)
}

fn column_values_serialize(call: &Call) -> Returned {
    serialize::<Values>(call)
}

fn column_values_deserialize(call: &Call) -> Returned {
    deserialize::<Values>(call)
}

fn robust_scaler_final(call: &Call) -> Returned {
    let Some(state) = finished::<Values>(call)? else { return Ok(None) };
    match state.robust_scaler()? {
        Some(fitted) => composite(call, [fitted.median, fitted.interquartile_range]),
        None => Ok(None),
    }
}

fn quantile_boundaries_final(call: &Call) -> Returned {
    let found = finished::<Values>(call)?.and_then(|state| state.boundaries());
    Ok(found.map(|boundaries| float_array(&boundaries)))
}

/// What the arguments behind the value say about the vocabulary: least count, most values.
fn set_bounds(call: &Call, state: &mut VocabularyFit) -> Result<(), crate::error::Error> {
    let arguments = call.arguments();
    if arguments > 2 {
        let min_count = given(call.bigint(2), "min_count")?;
        let max_size = if arguments > 3 { given(call.integer(3), "max_size")? } else { DEFAULT_SIZE };
        state.set_bounds(min_count, max_size)?;
    }
    Ok(())
}

fn vocabulary_step(call: &Call) -> Returned {
    step(call, |state: &mut VocabularyFit| {
        set_bounds(call, state)?;
        Ok(call.text(1).map_or(Ok(()), |value| state.insert(value))?)
    })
}

fn vocabulary_array_step(call: &Call) -> Returned {
    step(call, |state: &mut VocabularyFit| {
        set_bounds(call, state)?;
        let Some(array) = call.datum(1) else { return Ok(()) };
        // SAFETY: the argument is a text[].
        let values = unsafe { texts(array) };
        Ok(values.into_iter().flatten().try_for_each(|value| state.insert(value))?)
    })
}

fn vocabulary_combine(call: &Call) -> Returned {
    combine::<VocabularyFit>(call)
}

fn vocabulary_serialize(call: &Call) -> Returned {
    serialize::<VocabularyFit>(call)
}

fn vocabulary_deserialize(call: &Call) -> Returned {
    deserialize::<VocabularyFit>(call)
}

fn vocabulary_final(call: &Call) -> Returned {
    let Some(state) = finished::<VocabularyFit>(call)? else { return Ok(None) };
    Ok(state.values().map(|values| text_array(values.into_iter())))
}

fn text_imputer_final(call: &Call) -> Returned {
    let Some(state) = finished::<VocabularyFit>(call)? else { return Ok(None) };
    Ok(state.most_frequent().map(text))
}

fn imputer_step(call: &Call) -> Returned {
    step(call, |state: &mut Imputer| {
        let strategy = given(call.text(2), "the strategy")?;
        state.set_strategy(String::from_utf8_lossy(strategy).parse()?)?;
        Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?)
    })
}

fn imputer_combine(call: &Call) -> Returned {
    combine::<Imputer>(call)
}

fn imputer_serialize(call: &Call) -> Returned {
    serialize::<Imputer>(call)
}

fn imputer_deserialize(call: &Call) -> Returned {
    deserialize::<Imputer>(call)
}

fn imputer_final(call: &Call) -> Returned {
    let Some(state) = finished::<Imputer>(call)? else { return Ok(None) };
    Ok(state.fill()?.map(float))
}

sql_functions!(
    column_statistics_step,
    column_statistics_combine,
    column_statistics_serialize,
    column_statistics_deserialize,
    standard_scaler_final,
    min_max_scaler_final,
    max_abs_scaler_final,
    column_values_step,
    column_values_step_buckets,
    column_values_step_range,
    column_values_combine,
    column_values_serialize,
    column_values_deserialize,
    robust_scaler_final,
    quantile_boundaries_final,
    vocabulary_step,
    vocabulary_array_step,
    vocabulary_combine,
    vocabulary_serialize,
    vocabulary_deserialize,
    vocabulary_final,
    text_imputer_final,
    imputer_step,
    imputer_combine,
    imputer_serialize,
    imputer_deserialize,
    imputer_final,
);
