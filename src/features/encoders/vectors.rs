//! Numbers to several numbers.

use super::arrays::{float_array, floats};
use super::call::Call;
use super::sql_functions;
use crate::pg::sql_function::Returned;
use features::encode;

fn polynomial_expand(call: &Call) -> Returned {
    let (Some(values), Some(degree)) = (call.datum(0), call.integer(1)) else { return Ok(None) };
    // SAFETY: the argument is a double precision[].
    let terms = encode::polynomial_expand(&unsafe { floats(values) }, degree)?;
    Ok(Some(float_array(&terms)))
}

fn normalize(call: &Call) -> Returned {
    let (Some(values), Some(p)) = (call.datum(0), call.float(1)) else { return Ok(None) };
    // SAFETY: the argument is a double precision[].
    Ok(Some(float_array(&encode::normalize(&unsafe { floats(values) }, p)?)))
}

fn cyclic_encode(call: &Call) -> Returned {
    let (Some(value), Some(period)) = (call.float(0), call.float(1)) else { return Ok(None) };
    Ok(Some(float_array(&encode::cyclic_encode(value, period)?)))
}

sql_functions!(polynomial_expand, normalize, cyclic_encode);
