//! An argument that is decoded once and used again for every row that has the same: a vocabulary, boundaries or a fitted
//! scaler.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::moment::Moment;
use pgrx::pg_sys;

/// How the argument of a later row is recognized as the same.
#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    /// The argument is a literal of the query, so it is the same in every call.
    Constant,
    /// The value is stored out of line. The same TOAST pointer means the same bytes as long as the snapshot is the same.
    Stored([u8; STORED], Moment),
    Bytes(Vec<u8>),
}

/// The size of a TOAST pointer with its header.
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
    /// The n-th argument as `decode` reads it. It is a value of variable length, and `datum` is that value.
    #[inline]
    pub fn get(
        &mut self,
        call: &Call,
        n: usize,
        datum: pg_sys::Datum,
        decode: impl FnOnce() -> Result<T, Error>,
    ) -> Result<&T, Error> {
        let varlena: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: the n-th argument is a varlena, which is live during the call.
        let recognized = unsafe { self.recognizes(varlena) };
        if !recognized {
            self.value = None;
            // SAFETY: the n-th argument is a varlena, which is live during the call.
            self.known = unsafe { Known::of(call, n, varlena) };
            self.value = Some(decode()?);
        }
        self.value.as_ref().ok_or_else(|| Error::invalid("an argument was not decoded"))
    }

    /// # Safety
    /// The argument is a live varlena.
    #[inline]
    unsafe fn recognizes(&self, argument: *mut pg_sys::varlena) -> bool {
        if self.value.is_none() {
            return false;
        }
        match &self.known {
            Known::Nothing => false,
            Known::Constant => true,
            // SAFETY: the argument is a live varlena, as the caller says.
            Known::Stored(pointer, moment) => unsafe {
                stored(argument).is_some_and(|now| now == *pointer) && *moment == Moment::now()
            },
            // SAFETY: the argument is a live varlena, as the caller says.
            Known::Bytes(bytes) => unsafe { Plain::of(argument) }.bytes() == bytes.as_slice(),
        }
    }
}

impl Known {
    /// # Safety
    /// The n-th argument is this live varlena.
    unsafe fn of(call: &Call, n: usize, argument: *mut pg_sys::varlena) -> Self {
        if call.is_constant(n) {
            return Self::Constant;
        }
        // SAFETY: the argument is a live varlena, as the caller says.
        unsafe {
            match stored(argument) {
                Some(pointer) => Self::Stored(pointer, Moment::now()),
                None => Self::Bytes(Plain::of(argument).bytes().to_vec()),
            }
        }
    }
}

/// The TOAST pointer, if the value is stored out of line.
///
/// # Safety
/// `value` is a live varlena.
#[inline]
unsafe fn stored(value: *const pg_sys::varlena) -> Option<[u8; STORED]> {
    let bytes = value.cast::<u8>();
    // SAFETY: the value is live, as the caller says. Its header says which kind of varlena it is, and one of this kind has
    // STORED bytes.
    unsafe {
        (pgrx::varatt_is_1b_e(value) && *bytes.add(1) == STORED_TAG).then(|| *bytes.cast::<[u8; STORED]>())
    }
}

/// A varlena whose bytes are in one piece. It is the value itself, which may be compressed or have a short header, or a
/// flat copy of a value that is stored elsewhere.
struct Plain {
    value: *mut pg_sys::varlena,
    copied: bool,
}

impl Plain {
    /// # Safety
    /// `value` is a live varlena that outlives the result.
    #[inline]
    unsafe fn of(value: *mut pg_sys::varlena) -> Self {
        // SAFETY: the value is a live varlena, as the caller says.
        unsafe {
            match pgrx::varatt_is_1b_e(value) {
                true => Self { value: pg_sys::pg_detoast_datum(value), copied: true },
                false => Self { value, copied: false },
            }
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the varlena is live and in one piece, so it has as many bytes as its header says.
        unsafe { std::slice::from_raw_parts(self.value.cast::<u8>(), pgrx::varsize_any(self.value)) }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            // SAFETY: detoasting palloc'd the copy, and it is freed once.
            unsafe { pg_sys::pfree(self.value.cast()) };
        }
    }
}
