//! PostgreSQL's memory, and values of variable length in it.

use allocator_api2::alloc::{AllocError, Allocator};
use pgrx::pg_sys;
use std::alloc::Layout;
use std::ptr::NonNull;

/// Postgres's memory, of whichever context is current when room is first asked for; more room for the same thing comes
/// from where it lies. What a context owns is gone when it is reset: nobody need drop it.
#[derive(Debug, Clone, Copy)]
pub struct Palloc;

// SAFETY: palloc'd chunks stay in place and valid until freed or until their context is reset, which the states of
// aggregates, the only users, do not survive. Chunks are aligned to MAXALIGN, and no larger alignment is given out.
unsafe impl Allocator for Palloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.align() > pg_sys::MAXIMUM_ALIGNOF as usize {
            return Err(AllocError);
        }
        // SAFETY: palloc raises an error where there is no memory; it never returns NULL.
        let chunk = unsafe { NonNull::new(pg_sys::palloc(layout.size().max(1)).cast::<u8>()) };
        chunk.map(|start| NonNull::slice_from_raw_parts(start, layout.size())).ok_or(AllocError)
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, _: Layout) {
        // SAFETY: `start` came from `allocate` or `grow`.
        unsafe { pg_sys::pfree(start.as_ptr().cast()) }
    }

    unsafe fn grow(&self, start: NonNull<u8>, _: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as in `deallocate`; repalloc keeps the chunk's context and its alignment.
        let chunk = unsafe { NonNull::new(pg_sys::repalloc(start.as_ptr().cast(), new.size()).cast::<u8>()) };
        chunk.map(|start| NonNull::slice_from_raw_parts(start, new.size())).ok_or(AllocError)
    }
}

/// Runs `work` with what it pallocs going to `context`. An error resets the current context by itself.
///
/// # Safety
/// `context` is a live memory context.
#[inline]
pub unsafe fn in_context<T>(context: pg_sys::MemoryContext, work: impl FnOnce() -> T) -> T {
    // SAFETY: a backend has one thread; the caller answers for `context`.
    let previous = unsafe { std::ptr::replace(&raw mut pg_sys::CurrentMemoryContext, context) };
    let result = work();
    // SAFETY: what was current before outlives this call.
    unsafe { pg_sys::CurrentMemoryContext = previous };
    result
}

/// Moves a value into the current context, which does not drop it.
#[inline]
pub fn keep<T>(value: T) -> *mut T {
    const { assert!(std::mem::align_of::<T>() <= pg_sys::MAXIMUM_ALIGNOF as usize) };
    // SAFETY: palloc raises an error where there is no memory, and aligns for any T that gets here.
    unsafe {
        let place = pg_sys::palloc(std::mem::size_of::<T>()).cast::<T>();
        place.write(value);
        place
    }
}

/// A new value of variable length, filled by `write`.
#[inline]
pub fn varlena(length: usize, write: impl FnOnce(&mut [u8])) -> pg_sys::Datum {
    let total = length + pg_sys::VARHDRSZ;
    // SAFETY: `total` bytes are allocated; the header takes the first VARHDRSZ of them. They are zeroed because a slice
    // of what was never written must not be made.
    unsafe {
        let value = pg_sys::palloc0(total).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(value, total as i32);
        write(std::slice::from_raw_parts_mut(value.cast::<u8>().add(pg_sys::VARHDRSZ), length));
        pg_sys::Datum::from(value)
    }
}

/// The bytes of a value of variable length: text, bytea, a sales summary. A copy, where they are compressed or elsewhere, is
/// left to the current context.
///
/// # Safety
/// `datum` is a non-NULL varlena that outlives the result.
#[inline]
pub unsafe fn bytes<'call>(datum: pg_sys::Datum) -> &'call [u8] {
    let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
    // SAFETY: a live varlena, as the caller says; detoasted where its bytes are not in place.
    unsafe {
        let plain = if is_plain(original) { original } else { pg_sys::pg_detoast_datum_packed(original) };
        pgrx::varlena_to_byte_slice(plain)
    }
}

/// Whether a varlena's bytes are in place: neither compressed nor stored elsewhere.
///
/// # Safety
/// `value` is a live varlena.
#[inline]
pub unsafe fn is_plain(value: *const pg_sys::varlena) -> bool {
    // SAFETY: its header is read, which every varlena has.
    unsafe { !pgrx::varatt_is_1b_e(value) && !pgrx::varatt_is_4b_c(value) }
}
