//! Numbers to a number: by a fitted scaler, by boundaries, by what is missing; and to several.

use super::arrays::{float_array, floats};
use super::kept::Kept;
use crate::error::Error;
use crate::pg::call::{float, integer, Call};
use crate::pg::sql_function::{sql_function, Returned};
use features::encode::{
    self, bucketize as bucket, Boundaries, MaxAbsScaler, MinMaxScaler, RobustScaler, Scaler, StandardScaler,
};
use features::FeatureError;
use pgrx::pg_sys;

sql_function!(standard_scale, standard_scale);
sql_function!(min_max_scale, min_max_scale);
sql_function!(max_abs_scale, max_abs_scale);
sql_function!(robust_scale, robust_scale);
sql_function!(bucketize, bucketize);
sql_function!(impute_number, impute_number);
sql_function!(impute_text, impute_text);
sql_function!(polynomial_expand, polynomial_expand);
sql_function!(normalize, normalize);
sql_function!(cyclic_encode, cyclic_encode);

/// Scales the first argument with the second one, a composite value of N numbers.
#[inline]
fn scale<const N: usize>(call: &Call, fitted: fn([f64; N]) -> Result<Scaler, FeatureError>) -> Returned {
    let (Some(value), Some(params)) = (call.float(0), call.datum(1)) else { return Ok(None) };
    // SAFETY: the second argument is a composite value of N double precision fields, as the SQL declares.
    let decode = || Ok(fitted(unsafe { fields(params) }?)?);
    let scaler = call.site::<Kept<Scaler>>().get(call, 1, params, decode)?;
    Ok(Some(float(scaler.scale(value)?)))
}

fn standard_scale(call: &Call) -> Returned {
    scale(call, |[mean, scale]| StandardScaler { mean, scale }.try_into())
}

fn min_max_scale(call: &Call) -> Returned {
    scale(call, |[minimum, maximum]| MinMaxScaler { minimum, maximum }.try_into())
}

fn max_abs_scale(call: &Call) -> Returned {
    scale(call, |[max_abs]| MaxAbsScaler { max_abs }.try_into())
}

fn robust_scale(call: &Call) -> Returned {
    scale(call, |[median, interquartile_range]| RobustScaler { median, interquartile_range }.try_into())
}

/// The double precision fields of a composite value. If one of them is NULL, all are NaN.
///
/// # Safety
/// `datum` is a non-NULL value of a composite type of N double precision fields.
unsafe fn fields<const N: usize>(datum: pg_sys::Datum) -> Result<[f64; N], Error> {
    // SAFETY: the value is a live composite value, as the caller says, and its header says how it is laid out. Without
    // NULLs the numbers follow the header, which ends where they are aligned; the code checks that all of them lie within
    // the value.
    unsafe {
        let header = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let offset = usize::from((*header).t_hoff);
        let size = pgrx::varsize_4b(header.cast());
        let count = u32::from((*header).t_infomask2) & pg_sys::HEAP_NATTS_MASK;
        if u32::from((*header).t_infomask) & pg_sys::HEAP_HASNULL != 0 {
            return Ok([f64::NAN; N]);
        }
        if count as usize != N || size < offset + N * std::mem::size_of::<f64>() {
            return Err(Error::invalid("the type of a fitted encoder has been altered"));
        }
        Ok(*header.cast::<u8>().add(offset).cast::<[f64; N]>())
    }
}

fn bucketize(call: &Call) -> Returned {
    let (Some(value), Some(boundaries)) = (call.float(0), call.datum(1)) else { return Ok(None) };
    let decode = || Ok(Boundaries::new(floats(call, 1).unwrap_or_default())?);
    let boundaries = call.site::<Kept<Boundaries>>().get(call, 1, boundaries, decode)?;
    Ok(bucket(value, boundaries).map(integer))
}

fn impute_number(call: &Call) -> Returned {
    Ok(call.float(0).filter(|value| !value.is_nan()).or_else(|| call.float(1)).map(float))
}

fn impute_text(call: &Call) -> Returned {
    Ok(call.datum(0).or_else(|| call.datum(1)))
}

fn polynomial_expand(call: &Call) -> Returned {
    let (Some(values), Some(degree)) = (floats(call, 0), call.integer(1)) else { return Ok(None) };
    let terms = encode::polynomial_expand(&values, degree)?;
    Ok(Some(float_array(&terms)))
}

fn normalize(call: &Call) -> Returned {
    let (Some(values), Some(p)) = (floats(call, 0), call.float(1)) else { return Ok(None) };
    Ok(Some(float_array(&encode::normalize(&values, p)?)))
}

fn cyclic_encode(call: &Call) -> Returned {
    let (Some(value), Some(period)) = (call.float(0), call.float(1)) else { return Ok(None) };
    Ok(Some(float_array(&encode::cyclic_encode(value, period)?)))
}
