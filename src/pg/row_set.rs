//! The set of rows that a function returns, in a tuple store: within `work_mem`, beyond it in a temporary file.

use crate::error::Error;
use pgrx::pg_sys;

/// The result of a call; Postgres frees it.
pub struct RowSet {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl RowSet {
    /// An empty set, as the call's result.
    ///
    /// # Safety
    /// `fcinfo` is that of a running call of a function that returns a set of rows. The set is used within the call.
    pub unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self, Error> {
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
        (*info).returnMode = materialize;
        (*info).setResult = store;
        (*info).setDesc = descriptor;
        Ok(Self { store, descriptor })
    }

    /// Adds a copy of a row.
    ///
    /// # Safety
    /// The values are of the types that the function declares.
    pub unsafe fn put(&mut self, fields: &[Option<pg_sys::Datum>]) -> Result<(), Error> {
        let (mut values, mut nulls) = parts(self.descriptor, fields)?;
        pg_sys::tuplestore_putvalues(self.store, self.descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        Ok(())
    }
}

/// A row.
///
/// # Safety
/// The descriptor is live, and the values are of the types of its columns.
pub unsafe fn tuple(
    descriptor: pg_sys::TupleDesc,
    fields: &[Option<pg_sys::Datum>],
) -> Result<pg_sys::HeapTuple, Error> {
    let (mut values, mut nulls) = parts(descriptor, fields)?;
    Ok(pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr()))
}

/// Values and NULL flags, as many as there are columns.
unsafe fn parts(
    descriptor: pg_sys::TupleDesc,
    fields: &[Option<pg_sys::Datum>],
) -> Result<(Vec<pg_sys::Datum>, Vec<bool>), Error> {
    if (*descriptor).natts as usize != fields.len() {
        return Err(altered());
    }
    Ok(fields.iter().map(|field| (field.unwrap_or(pg_sys::Datum::null()), field.is_none())).unzip())
}

/// The error for a declaration in SQL that is not the one that was installed.
pub fn altered() -> Error {
    Error::invalid("a type of the extension pg_recommend has been altered")
}
