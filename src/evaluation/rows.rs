//! What is returned: a row, an array of rows, or a set of them.

use super::measure::Part;
use crate::error::Error;
use crate::features::sql_function::Returned;
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
    let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
    let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
    if info.is_null() || (*info).allowedModes as u32 & materialize == 0 {
        return Err(Error::invalid("this function is called where no set of rows can be taken"));
    }
    let mut descriptor = std::ptr::null_mut();
    let previous = pg_sys::MemoryContextSwitchTo((*(*info).econtext).ecxt_per_query_memory);
    let class = pg_sys::get_call_result_type(fcinfo, std::ptr::null_mut(), &mut descriptor);
    if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE {
        return Err(altered());
    }
    let store = pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem);
    pg_sys::MemoryContextSwitchTo(previous);
    for part in parts {
        let place = [part.by.as_deref().into_datum(), part.slice.as_deref().into_datum()];
        for fields in &part.measured {
            let tuple = tuple(descriptor, &[&place[..], fields].concat())?;
            pg_sys::tuplestore_puttuple(store, tuple);
            pg_sys::heap_freetuple(tuple);
        }
    }
    (*info).returnMode = materialize;
    (*info).setResult = store;
    (*info).setDesc = descriptor;
    Ok(None)
}

unsafe fn tuple(
    descriptor: pg_sys::TupleDesc,
    fields: &[Option<pg_sys::Datum>],
) -> Result<pg_sys::HeapTuple, Error> {
    if (*descriptor).natts as usize != fields.len() {
        return Err(altered());
    }
    let mut values: Vec<_> = fields.iter().map(|field| field.unwrap_or(pg_sys::Datum::null())).collect();
    let mut nulls: Vec<_> = fields.iter().map(Option::is_none).collect();
    Ok(pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr()))
}

fn altered() -> Error {
    Error::invalid("a type of the extension pg_recommend has been altered")
}
