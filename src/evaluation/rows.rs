//! What is returned: a row, an array of rows, or a set of them.

use super::measure::Part;
use crate::pg::row_set::{altered, tuple, RowSet};
use crate::pg::sql_function::Returned;
use pgrx::{pg_sys, IntoDatum};

/// The fields of a row, in the order in which sql/evaluation.sql declares them.
pub type Fields = Vec<Option<pg_sys::Datum>>;

/// A value of the row type that the function returns.
///
/// # Safety
/// `fcinfo` is that of a running call of a function that returns such a row.
pub unsafe fn row(fcinfo: pg_sys::FunctionCallInfo, fields: &Fields) -> Returned {
    let mut descriptor = std::ptr::null_mut();
    let class = pg_sys::get_call_result_type(fcinfo, std::ptr::null_mut(), &mut descriptor);
    if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE {
        return Err(altered());
    }
    let tuple = tuple(descriptor, fields)?;
    Ok(Some(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)))
}

/// A value of the array type that the function returns.
///
/// # Safety
/// `fcinfo` is that of a running call of a function that returns an array of such rows.
pub unsafe fn array(fcinfo: pg_sys::FunctionCallInfo, rows: &[Fields]) -> Returned {
    let element = pg_sys::get_element_type(pg_sys::get_func_rettype((*(*fcinfo).flinfo).fn_oid));
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

/// The rows of all parts as the function's result set, each behind the column and the value that it was sliced by.
///
/// # Safety
/// `fcinfo` is that of a running call of a function that returns a set of (text, text, and these fields).
pub unsafe fn set(fcinfo: pg_sys::FunctionCallInfo, parts: &[Part<Vec<Fields>>]) -> Returned {
    let mut rows = RowSet::begin(fcinfo)?;
    for part in parts {
        let place = [part.by.as_deref().into_datum(), part.slice.as_deref().into_datum()];
        for fields in &part.measured {
            rows.put(&[&place[..], fields].concat())?;
        }
    }
    Ok(None)
}
