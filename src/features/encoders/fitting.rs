//! The aggregates that are fitted to a column. Each has a step, which is called for every row, and a final function.

use super::arrays::{float_array, text_array, texts};
use crate::pg::aggregate::{combine, deserialize, finished, serialize, step};
use crate::pg::call::{float, text, Call};
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::given;
use features::encode::vocabulary::DEFAULT_SIZE;
use features::encode::{Imputer, Statistics, Values, VocabularyFit};

sql_function!(column_statistics_step, column_statistics_step);
sql_function!(column_statistics_combine, combine::<Statistics>);
sql_function!(column_statistics_serialize, serialize::<Statistics>);
sql_function!(column_statistics_deserialize, deserialize::<Statistics>);
sql_function!(standard_scaler_final, standard_scaler_final);
sql_function!(min_max_scaler_final, min_max_scaler_final);
sql_function!(max_abs_scaler_final, max_abs_scaler_final);
sql_function!(column_values_step, column_values_step);
sql_function!(column_values_step_buckets, column_values_step_buckets);
sql_function!(column_values_step_range, column_values_step_range);
sql_function!(column_values_combine, combine::<Values>);
sql_function!(column_values_serialize, serialize::<Values>);
sql_function!(column_values_deserialize, deserialize::<Values>);
sql_function!(robust_scaler_final, robust_scaler_final);
sql_function!(quantile_boundaries_final, quantile_boundaries_final);
sql_function!(vocabulary_step, vocabulary_step);
sql_function!(vocabulary_array_step, vocabulary_array_step);
sql_function!(vocabulary_combine, combine::<VocabularyFit>);
sql_function!(vocabulary_serialize, serialize::<VocabularyFit>);
sql_function!(vocabulary_deserialize, deserialize::<VocabularyFit>);
sql_function!(vocabulary_final, vocabulary_final);
sql_function!(text_imputer_final, text_imputer_final);
sql_function!(imputer_step, imputer_step);
sql_function!(imputer_combine, combine::<Imputer>);
sql_function!(imputer_serialize, serialize::<Imputer>);
sql_function!(imputer_deserialize, deserialize::<Imputer>);
sql_function!(imputer_final, imputer_final);

fn column_statistics_step(call: &Call) -> Returned {
    step(call, |state: &mut Statistics| Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?))
}

/// A value of the row type that the function returns. All its fields are double precision.
fn numbers<const N: usize>(call: &Call, fields: [f64; N]) -> Returned {
    call.composite(&fields.map(|field| Some(float(field))))
}

fn standard_scaler_final(call: &Call) -> Returned {
    let Some(state) = finished::<Statistics>(call)? else { return Ok(None) };
    match state.standard_scaler()? {
        Some(fitted) => numbers(call, [fitted.mean, fitted.scale]),
        None => Ok(None),
    }
}

fn min_max_scaler_final(call: &Call) -> Returned {
    match finished::<Statistics>(call)?.map_or(Ok(None), |state| state.min_max_scaler())? {
        Some(fitted) => numbers(call, [fitted.minimum, fitted.maximum]),
        None => Ok(None),
    }
}

fn max_abs_scaler_final(call: &Call) -> Returned {
    match finished::<Statistics>(call)?.and_then(|state| state.max_abs_scaler()) {
        Some(fitted) => numbers(call, [fitted.max_abs]),
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

fn robust_scaler_final(call: &Call) -> Returned {
    let Some(state) = finished::<Values>(call)? else { return Ok(None) };
    match state.robust_scaler()? {
        Some(fitted) => numbers(call, [fitted.median, fitted.interquartile_range]),
        None => Ok(None),
    }
}

fn quantile_boundaries_final(call: &Call) -> Returned {
    let found = finished::<Values>(call)?.and_then(|state| state.boundaries());
    Ok(found.map(|boundaries| float_array(&boundaries)))
}

/// Reads the bounds of the vocabulary, if the call has them behind the value: the least count and the largest size.
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
        Ok(call.bytes(1).map_or(Ok(()), |value| state.insert(value))?)
    })
}

fn vocabulary_array_step(call: &Call) -> Returned {
    step(call, |state: &mut VocabularyFit| {
        set_bounds(call, state)?;
        let Some(values) = texts(call, 1) else { return Ok(()) };
        Ok(values.into_iter().flatten().try_for_each(|value| state.insert(value))?)
    })
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
        let strategy = given(call.bytes(2), "the strategy")?;
        state.set_strategy(String::from_utf8_lossy(strategy).parse()?)?;
        Ok(call.float(1).map_or(Ok(()), |value| state.insert(value))?)
    })
}

fn imputer_final(call: &Call) -> Returned {
    let Some(state) = finished::<Imputer>(call)? else { return Ok(None) };
    Ok(state.fill()?.map(float))
}
