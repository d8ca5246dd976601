//! Values compared as a btree index compares them.

use crate::error::Error;
use crate::pg::memory::is_plain;
use pgrx::pg_sys;
use std::cmp::Ordering;

/// Compares values of one type under one collation.
pub struct Comparison {
    of_type: *mut pg_sys::TypeCacheEntry,
    collation: pg_sys::Oid,
}

impl Comparison {
    pub fn of(type_oid: pg_sys::Oid, collation: pg_sys::Oid) -> Result<Self, Error> {
        // SAFETY: this is a look-up of a type that a column has. Its result is never freed.
        let of_type = unsafe { pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_CMP_PROC_FINFO as i32) };
        // SAFETY: the look-up returns an entry, or raises an error.
        match unsafe { (*of_type).cmp_proc_finfo.fn_oid } {
            pg_sys::InvalidOid => Err(Error::invalid("a key has a type without an order")),
            _ => Ok(Self { of_type, collation }),
        }
    }

    /// # Safety
    /// Both are non-NULL values of the type.
    pub unsafe fn compare(&self, one: pg_sys::Datum, other: pg_sys::Datum) -> Ordering {
        // SAFETY: the function compares values of the type, as these are.
        let order = unsafe {
            let function = &raw mut (*self.of_type).cmp_proc_finfo;
            pg_sys::FunctionCall2Coll(function, self.collation, one, other)
        };
        (order.value() as i32).cmp(&0)
    }

    /// Whether both are equal. It is told at once where they are stored the same way.
    ///
    /// # Safety
    /// Both are non-NULL values of the type.
    #[inline]
    pub unsafe fn is_equal(&self, one: pg_sys::Datum, other: pg_sys::Datum) -> bool {
        // SAFETY: the entry is never freed, and the values are of its type, as the caller says.
        unsafe {
            let is_same = match ((*self.of_type).typbyval, (*self.of_type).typlen) {
                (true, _) => one == other,
                (false, -1) => is_stored_the_same(one.cast_mut_ptr(), other.cast_mut_ptr()),
                _ => false,
            };
            is_same || self.compare(one, other) == Ordering::Equal
        }
    }
}

/// # Safety
/// Both are live varlenas.
unsafe fn is_stored_the_same(one: *const pg_sys::varlena, other: *const pg_sys::varlena) -> bool {
    // SAFETY: the varlenas are live, as the caller says, and their bytes are read only where they are in place.
    unsafe {
        is_plain(one)
            && is_plain(other)
            && pgrx::varlena_to_byte_slice(one) == pgrx::varlena_to_byte_slice(other)
    }
}
