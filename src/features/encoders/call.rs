//! A running call of one of the functions that sql/encoders.sql declares.

use crate::error::Error;
use crate::pg::call_site::{argument, state, text_bytes};
use crate::pg::sql_function::Returned;
use pgrx::pg_sys;

/// The arguments are of the types that the function's SQL declares: each reader below is used for its own type only.
pub struct Call {
    pub fcinfo: pg_sys::FunctionCallInfo,
}

impl Call {
    /// # Safety
    /// `fcinfo` is that of the running call of a function that sql/encoders.sql declares.
    #[inline]
    pub unsafe fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self { fcinfo }
    }

    pub fn arguments(&self) -> usize {
        // SAFETY: the call is running.
        unsafe { (*self.fcinfo).nargs as usize }
    }

    #[inline]
    pub fn datum(&self, n: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the SQL declares more than n arguments.
        unsafe { argument(self.fcinfo, n) }
    }

    #[inline]
    pub fn float(&self, n: usize) -> Option<f64> {
        self.datum(n).map(|datum| f64::from_bits(datum.value() as u64))
    }

    #[inline]
    pub fn integer(&self, n: usize) -> Option<i32> {
        self.datum(n).map(|datum| datum.value() as i32)
    }

    #[inline]
    pub fn bigint(&self, n: usize) -> Option<i64> {
        self.datum(n).map(|datum| datum.value() as i64)
    }

    /// The bytes of a text argument, which live as long as the call.
    #[inline]
    pub fn text(&self, n: usize) -> Option<&[u8]> {
        // SAFETY: the argument is a text; a detoasted copy stays in the call's memory context.
        self.datum(n).map(|datum| unsafe { text_bytes(datum) })
    }

    /// What this call site keeps between calls. Each function asks for one type only.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub fn site<T: Default>(&self) -> &mut T {
        // SAFETY: one type a function, and one function a call site.
        unsafe { state(self.fcinfo) }
    }
}

#[inline]
pub fn float(value: f64) -> pg_sys::Datum {
    pg_sys::Datum::from(value.to_bits() as usize)
}

#[inline]
pub fn integer(value: i32) -> pg_sys::Datum {
    pg_sys::Datum::from(value)
}

pub fn text(value: &[u8]) -> pg_sys::Datum {
    // SAFETY: copies the bytes into the current memory context.
    unsafe { pg_sys::cstring_to_text_with_len(value.as_ptr().cast(), value.len() as i32) }.into()
}

/// A value of the function's composite result type, whose fields are all double precision.
pub fn composite<const N: usize>(call: &Call, fields: [f64; N]) -> Returned {
    // SAFETY: the SQL declares a composite result with N fields; everything is palloc'd in the call's context.
    unsafe {
        let mut descriptor = std::ptr::null_mut();
        let class = pg_sys::get_call_result_type(call.fcinfo, std::ptr::null_mut(), &mut descriptor);
        if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE || (*descriptor).natts != N as i32 {
            return Err(Error::invalid("the type of a fitted encoder has been altered"));
        }
        let mut values = fields.map(float);
        let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), [false; N].as_mut_ptr());
        Ok(Some(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)))
    }
}
