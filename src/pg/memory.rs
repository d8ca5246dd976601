//! PostgreSQL's memory, and values of variable length that are allocated in it.

use allocator_api2::alloc::{AllocError, Allocator};
use pgrx::pg_sys;
use std::alloc::Layout;
use std::ffi::CStr;
use std::ptr::NonNull;

/// An allocator for PostgreSQL's memory. It allocates in the context that is current at the first request; when an
/// allocation grows, it stays in its context. What lies in a context goes when the context is reset, so nobody has to drop
/// it.
#[derive(Debug, Clone, Copy)]
pub struct Palloc;

// SAFETY: a palloc'd chunk stays in place and valid until it is freed or its context is reset. The only users are the
// states of aggregates, which do not survive a reset. Chunks are aligned to MAXALIGN, and larger alignments are refused.
unsafe impl Allocator for Palloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.align() > pg_sys::MAXIMUM_ALIGNOF as usize {
            return Err(AllocError);
        }
        // SAFETY: palloc raises an error if there is no memory; it never returns NULL.
        let chunk = unsafe { NonNull::new(pg_sys::palloc(layout.size().max(1)).cast::<u8>()) };
        chunk.map(|start| NonNull::slice_from_raw_parts(start, layout.size())).ok_or(AllocError)
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, _: Layout) {
        // SAFETY: `start` came from `allocate` or `grow`, and is not used afterwards, as the trait demands.
        unsafe { pg_sys::pfree(start.as_ptr().cast()) }
    }

    unsafe fn grow(&self, start: NonNull<u8>, _: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: as in `deallocate`; repalloc keeps the context and the alignment of the chunk.
        let chunk = unsafe { NonNull::new(pg_sys::repalloc(start.as_ptr().cast(), new.size()).cast::<u8>()) };
        chunk.map(|start| NonNull::slice_from_raw_parts(start, new.size())).ok_or(AllocError)
    }
}

/// Runs `work` while `context` is the current memory context. After an error Postgres sets the current context itself.
///
/// # Safety
/// `context` is a live memory context.
#[inline]
pub unsafe fn in_context<T>(context: pg_sys::MemoryContext, work: impl FnOnce() -> T) -> T {
    // SAFETY: a backend has one thread, and the context is live, as the caller says.
    let previous = unsafe { std::ptr::replace(&raw mut pg_sys::CurrentMemoryContext, context) };
    let result = work();
    // SAFETY: the context that was current before outlives this call.
    unsafe { pg_sys::CurrentMemoryContext = previous };
    result
}

/// Moves a value into the current memory context, which never drops it.
#[inline]
pub fn keep<T>(value: T) -> *mut T {
    const { assert!(std::mem::align_of::<T>() <= pg_sys::MAXIMUM_ALIGNOF as usize) };
    // SAFETY: palloc raises an error if there is no memory, and its alignment is enough for every T that the assertion lets
    // through.
    unsafe {
        let place = pg_sys::palloc(std::mem::size_of::<T>()).cast::<T>();
        place.write(value);
        place
    }
}

/// A new value of variable length, whose bytes `write` fills in.
#[inline]
pub fn varlena(length: usize, write: impl FnOnce(&mut [u8])) -> pg_sys::Datum {
    let total = length + pg_sys::VARHDRSZ;
    // SAFETY: `total` bytes are allocated, of which the header takes the first VARHDRSZ. They are zeroed, because a slice
    // of uninitialized bytes must not be made.
    unsafe {
        let value = pg_sys::palloc0(total).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(value, total as i32);
        write(std::slice::from_raw_parts_mut(value.cast::<u8>().add(pg_sys::VARHDRSZ), length));
        pg_sys::Datum::from(value)
    }
}

/// A copy of a value that is passed by reference, as it is stored: toasted or not.
///
/// # Safety
/// `datum` is a non-NULL value of a type of this length, as pg_type has it.
pub unsafe fn copied(datum: pg_sys::Datum, length: i16) -> pg_sys::Datum {
    let original: *const u8 = datum.cast_mut_ptr();
    // SAFETY: the value is live and has this many bytes, as its type says. So has the copy.
    unsafe {
        let bytes = match length {
            -2 => CStr::from_ptr(original.cast()).to_bytes_with_nul().len(),
            -1 => pgrx::varsize_any(original.cast()),
            fixed => fixed as usize,
        };
        let copy = pg_sys::palloc(bytes).cast::<u8>();
        copy.copy_from_nonoverlapping(original, bytes);
        pg_sys::Datum::from(copy)
    }
}

/// The bytes of a value of variable length: a text, a bytea, a sales summary. If the value is compressed or stored out of
/// line, the result is a copy that stays in the current memory context.
///
/// # Safety
/// `datum` is a non-NULL varlena that outlives the result.
#[inline]
pub unsafe fn bytes<'call>(datum: pg_sys::Datum) -> &'call [u8] {
    let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
    // SAFETY: the varlena is live, as the caller says. It is detoasted if its bytes are not in place.
    unsafe {
        let plain = if is_plain(original) { original } else { pg_sys::pg_detoast_datum_packed(original) };
        pgrx::varlena_to_byte_slice(plain)
    }
}

/// Whether the bytes of a varlena are in place: neither compressed nor stored out of line.
///
/// # Safety
/// `value` is a live varlena.
#[inline]
pub unsafe fn is_plain(value: *const pg_sys::varlena) -> bool {
    // SAFETY: only the header is read, which every varlena has.
    unsafe { !pgrx::varatt_is_1b_e(value) && !pgrx::varatt_is_4b_c(value) }
}
