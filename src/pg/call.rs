//! A running call of a function that SQL declares: its arguments, the state that its call site keeps, and its results.

use crate::error::Error;
use crate::pg::call_site::{argument, state};
use crate::pg::memory::bytes;
use crate::pg::tuples::{altered, tuple};
use crate::pg::values;
use pgrx::{is_a, pg_sys, FromDatum};
use std::ffi::CStr;

/// What a function returns to SQL; `None` is NULL.
pub type Returned = Result<Option<pg_sys::Datum>, Error>;

/// A handle of the running call, with a reader for each SQL type. The readers are sound because of the function's SQL:
/// Postgres calls the function only with values of the types that `CREATE FUNCTION` declares, and the function asks each
/// reader for an argument of the reader's own type only. The same holds for the value that the function returns.
pub struct Call {
    info: pg_sys::FunctionCallInfo,
}

impl Call {
    /// # Safety
    /// `info` is that of the running call, and the handle is not used after the call. The function reads its arguments as
    /// the types that its SQL declares.
    #[inline]
    pub unsafe fn new(info: pg_sys::FunctionCallInfo) -> Self {
        Self { info }
    }

    /// The call as Postgres's own functions take it.
    #[inline]
    pub fn info(&self) -> pg_sys::FunctionCallInfo {
        self.info
    }

    /// How many arguments the call has.
    pub fn arguments(&self) -> usize {
        // SAFETY: the call is running, so `info` is live.
        unsafe { (*self.info).nargs as usize }
    }

    /// The n-th argument, from 0; `None` where it is NULL.
    #[inline]
    pub fn datum(&self, n: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the call is running, and its SQL declares more than n arguments.
        unsafe { argument(self.info, n) }
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

    #[inline]
    pub fn boolean(&self, n: usize) -> Option<bool> {
        self.datum(n).map(|datum| datum.value() as u8 != 0)
    }

    /// Days since 2000-01-01.
    #[inline]
    pub fn date(&self, n: usize) -> Option<i32> {
        self.integer(n)
    }

    /// Microseconds since 2000-01-01.
    #[inline]
    pub fn timestamp(&self, n: usize) -> Option<i64> {
        self.bigint(n)
    }

    #[inline]
    pub fn interval(&self, n: usize) -> Option<&pg_sys::Interval> {
        // SAFETY: the argument is an interval, which is passed by reference and stays in place as long as the call runs.
        self.datum(n).map(|datum| unsafe { &*datum.cast_mut_ptr::<pg_sys::Interval>() })
    }

    /// The argument is an oid, a regclass or a regproc.
    pub fn oid(&self, n: usize) -> Option<pg_sys::Oid> {
        self.datum(n).map(|datum| pg_sys::Oid::from_u32(datum.value() as u32))
    }

    /// The bytes of an argument of variable length, such as a text or a bytea.
    #[inline]
    pub fn bytes(&self, n: usize) -> Option<&[u8]> {
        // SAFETY: the argument is a varlena; a detoasted copy stays in the memory context in which the call runs.
        self.datum(n).map(|datum| unsafe { bytes(datum) })
    }

    /// The argument is a text.
    pub fn text(&self, n: usize) -> Option<String> {
        self.bytes(n).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The argument is a name or a cstring.
    pub fn name(&self, n: usize) -> Option<String> {
        // SAFETY: the argument is a NUL-terminated string.
        let name = |datum: pg_sys::Datum| unsafe { CStr::from_ptr(datum.cast_mut_ptr()) };
        self.datum(n).map(|datum| name(datum).to_string_lossy().into_owned())
    }

    /// The argument is an array of names; it is an error if one of them is NULL.
    pub fn names(&self, n: usize) -> Result<Option<Vec<String>>, Error> {
        // SAFETY: the argument is a name[].
        self.datum(n).map(|datum| unsafe { values::names(datum) }).transpose()
    }

    /// The argument is an array of texts or of oids: `T` is a vector of them, each of which may be NULL.
    pub fn array<T: FromDatum>(&self, n: usize) -> Option<T> {
        // SAFETY: the argument is an array whose elements have the type that `T` reads.
        self.datum(n).and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    /// The size of an argument of variable length in bytes, found without detoasting it.
    pub fn size(&self, n: usize) -> Option<usize> {
        // SAFETY: the argument is a varlena.
        self.datum(n).map(|datum| unsafe { pg_sys::toast_raw_datum_size(datum) })
    }

    /// The argument is a `jsonb`; `name` is what errors call it.
    pub fn json(&self, n: usize, name: &str) -> Result<Option<serde_json::Value>, Error> {
        // SAFETY: the argument is a jsonb.
        let text = self.datum(n).map(|datum| unsafe { values::json_text(datum) });
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| Error::invalid(format!("{name} has a number that is out of range, or is too deep")))
    }

    /// The type of the n-th argument as the query writes it; the invalid OID where it is not known.
    pub fn argument_type(&self, n: usize) -> pg_sys::Oid {
        // SAFETY: the call is running, and the expression of its call site lives as long.
        unsafe { pg_sys::get_fn_expr_argtype((*self.info).flinfo, n as i32) }
    }

    /// Whether the n-th argument is a literal of the query. A parameter is no literal, because PL/pgSQL changes its value.
    pub fn is_constant(&self, n: usize) -> bool {
        // SAFETY: as in `argument_type`; the element is read only after the list's length is checked.
        unsafe {
            let expression = (*(*self.info).flinfo).fn_expr;
            if expression.is_null() || !is_a(expression, pg_sys::NodeTag::T_FuncExpr) {
                return false;
            }
            let arguments = (*expression.cast::<pg_sys::FuncExpr>()).args;
            if arguments.is_null() || n >= (*arguments).length as usize {
                return false;
            }
            let argument = (*(*arguments).elements.add(n)).ptr_value.cast::<pg_sys::Node>();
            is_a(argument, pg_sys::NodeTag::T_Const)
        }
    }

    #[inline]
    pub fn collation(&self) -> pg_sys::Oid {
        // SAFETY: the call is running, so `info` is live.
        unsafe { (*self.info).fncollation }
    }

    /// The state that this call site keeps between calls. Each function asks for one type only, and once in a call.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub fn site<T: Default>(&self) -> &mut T {
        // SAFETY: a function always asks for the same type and a call site has one function, so the kept state has the type
        // `T`. It is borrowed once in a call.
        unsafe { state(self.info) }
    }

    /// The memory context of the call site, which lives as long as the state that it keeps.
    pub fn memory(&self) -> pg_sys::MemoryContext {
        // SAFETY: the call is running, so `info` is live.
        unsafe { (*(*self.info).flinfo).fn_mcxt }
    }

    /// The type that the function returns.
    pub fn result_type(&self) -> pg_sys::Oid {
        // SAFETY: the call is running, so `info` is live.
        unsafe { pg_sys::get_func_rettype((*(*self.info).flinfo).fn_oid) }
    }

    /// The columns of the row type that the function returns. The descriptor is allocated in the current memory context.
    pub fn result_columns(&self) -> Result<pg_sys::TupleDesc, Error> {
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: the call is running, and the out-pointer lives through it.
        let class = unsafe { pg_sys::get_call_result_type(self.info, std::ptr::null_mut(), &mut descriptor) };
        match class {
            pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE => Ok(descriptor),
            _ => Err(altered()),
        }
    }

    /// A value of the row type that the function returns.
    pub fn composite(&self, fields: &[Option<pg_sys::Datum>]) -> Returned {
        // SAFETY: the descriptor was just made, and the fields have the types that the SQL declares.
        unsafe {
            let tuple = tuple(self.result_columns()?, fields)?;
            Ok(Some(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)))
        }
    }
}

/// A double precision.
#[inline]
pub fn float(value: f64) -> pg_sys::Datum {
    pg_sys::Datum::from(value.to_bits() as usize)
}

#[inline]
pub fn integer(value: i32) -> pg_sys::Datum {
    pg_sys::Datum::from(value)
}

/// A text, or a bytea, which has the same layout.
pub fn text(value: &[u8]) -> pg_sys::Datum {
    // SAFETY: Postgres copies the bytes, as many as the slice has, into the current memory context.
    unsafe { pg_sys::cstring_to_text_with_len(value.as_ptr().cast(), value.len() as i32) }.into()
}

/// A cstring, which is what the output function of a type returns. `value` holds no zero byte.
pub fn cstring(value: &str) -> pg_sys::Datum {
    // SAFETY: the allocation has room for the text and for the zero byte that ends it.
    unsafe {
        let written = pg_sys::palloc(value.len() + 1).cast::<u8>();
        written.copy_from_nonoverlapping(value.as_ptr(), value.len());
        written.add(value.len()).write(0);
        pg_sys::Datum::from(written)
    }
}
