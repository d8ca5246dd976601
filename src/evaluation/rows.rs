//! Converts rows to what a function returns: an array of rows, or a set of them.

use super::measure::Part;
use crate::pg::call::Call;
use crate::pg::row_set::RowSet;
use crate::pg::sql_function::Returned;
use crate::pg::tuples::{altered, tuple};
use pgrx::{pg_sys, IntoDatum};

/// The fields of a row, in the order in which sql/evaluation.sql declares them.
pub type Fields = Vec<Option<pg_sys::Datum>>;

/// A value of the array type that the function returns.
pub fn array(call: &Call, rows: &[Fields]) -> Returned {
    // SAFETY: these are catalog look-ups of the type that the running function returns. The rows have its element type, as
    // the SQL declares, and they are copied into the array.
    unsafe {
        let element = pg_sys::get_element_type(call.result_type());
        if element == pg_sys::InvalidOid {
            return Err(altered());
        }
        let descriptor = pg_sys::lookup_rowtype_tupdesc_copy(element, -1);
        let mut elements = Vec::with_capacity(rows.len());
        for fields in rows {
            let tuple = tuple(descriptor, fields)?;
            elements.push(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data));
        }
        let align = b'd' as std::ffi::c_char;
        let count = elements.len() as i32;
        Ok(Some(pg_sys::construct_array(elements.as_mut_ptr(), count, element, -1, false, align).into()))
    }
}

/// The rows of all parts, as the function's result set. Each row begins with two texts, the column and the value that it
/// was sliced by, and its own fields follow.
pub fn set(call: &Call, parts: &[Part<Vec<Fields>>]) -> Returned {
    let mut rows = RowSet::begin(call)?;
    for part in parts {
        let place = [part.by.as_deref().into_datum(), part.slice.as_deref().into_datum()];
        for fields in &part.measured {
            rows.put(&[&place[..], fields].concat())?;
        }
    }
    Ok(None)
}
