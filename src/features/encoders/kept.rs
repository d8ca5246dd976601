//! An argument that is decoded once and then used for every row that brings the same: a vocabulary, boundaries, a
//! fitted scaler.

use super::call::Call;
use crate::error::Error;
use crate::pg::moment::Moment;
use pgrx::{is_a, pg_sys};

/// How the argument of the next row is recognized.
#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    /// Written into the query: the same in every call.
    Constant,
    /// Kept outside its row: the same pointer means the same bytes as long as the snapshot is the same.
    Stored([u8; STORED], Moment),
    Bytes(Vec<u8>),
}

/// Bytes of a pointer to a value that is stored outside its row.
const STORED: usize = 2 + std::mem::size_of::<pg_sys::varatt_external>();
const STORED_TAG: u8 = pg_sys::vartag_external::VARTAG_ONDISK as u8;

pub struct Kept<T> {
    known: Known,
    value: Option<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { known: Known::Nothing, value: None }
    }
}

impl<T> Kept<T> {
    /// The n-th argument, `datum`, as `decode` reads it from its plain form.
    #[inline]
    pub fn get(
        &mut self,
        call: &Call,
        n: usize,
        datum: pg_sys::Datum,
        decode: impl FnOnce(pg_sys::Datum) -> Result<T, Error>,
    ) -> Result<&T, Error> {
        // SAFETY: the n-th argument is a varlena.
        let recognized = unsafe { self.recognizes(datum) };
        if !recognized {
            self.value = None;
            // SAFETY: as above.
            self.value = Some(unsafe { self.decode(call, n, datum, decode) }?);
        }
        self.value.as_ref().ok_or_else(|| Error::invalid("an argument was not decoded"))
    }

    #[inline]
    unsafe fn recognizes(&self, datum: pg_sys::Datum) -> bool {
        if self.value.is_none() {
            return false;
        }
        match &self.known {
            Known::Nothing => false,
            Known::Constant => true,
            Known::Stored(pointer, moment) => {
                stored(datum.cast_mut_ptr()).is_some_and(|now| now == *pointer) && *moment == Moment::now()
            }
            Known::Bytes(bytes) => Plain::of(datum).bytes() == bytes.as_slice(),
        }
    }

    unsafe fn decode(
        &mut self,
        call: &Call,
        n: usize,
        datum: pg_sys::Datum,
        decode: impl FnOnce(pg_sys::Datum) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.known = if is_constant(call.fcinfo, n) {
            Known::Constant
        } else if let Some(pointer) = stored(datum.cast_mut_ptr()) {
            Known::Stored(pointer, Moment::now())
        } else {
            Known::Bytes(Plain::of(datum).bytes().to_vec())
        };
        decode(datum)
    }
}

/// The pointer to a value stored outside its row, if it is one.
#[inline]
unsafe fn stored(value: *const pg_sys::varlena) -> Option<[u8; STORED]> {
    let bytes = value.cast::<u8>();
    (pgrx::varatt_is_1b_e(value) && *bytes.add(1) == STORED_TAG).then(|| *bytes.cast::<[u8; STORED]>())
}

/// Whether the n-th argument is a literal of the query. A parameter is not: PL/pgSQL changes what it holds.
unsafe fn is_constant(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> bool {
    let expression = (*(*fcinfo).flinfo).fn_expr;
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

/// A varlena whose bytes are in one piece: as it is, perhaps compressed or with a short header, or a flat copy of one
/// that is elsewhere.
struct Plain {
    value: *mut pg_sys::varlena,
    copied: bool,
}

impl Plain {
    #[inline]
    unsafe fn of(datum: pg_sys::Datum) -> Self {
        let value: *mut pg_sys::varlena = datum.cast_mut_ptr();
        if pgrx::varatt_is_1b_e(value) {
            return Self { value: pg_sys::pg_detoast_datum(value), copied: true };
        }
        Self { value, copied: false }
    }

    #[inline]
    unsafe fn bytes(&self) -> &[u8] {
        std::slice::from_raw_parts(self.value.cast::<u8>(), pgrx::varsize_any(self.value))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            // SAFETY: palloc'd by the detoasting.
            unsafe { pg_sys::pfree(self.value.cast()) };
        }
    }
}
