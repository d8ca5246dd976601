//! The encoders that turn numbers into several numbers.

use super::arrays::{float_array, floats};
use crate::pg::call::Call;
use crate::pg::sql_function::{sql_function, Returned};
use features::encode;

sql_function!(polynomial_expand, polynomial_expand);
sql_function!(normalize, normalize);
sql_function!(cyclic_encode, cyclic_encode);

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
