//! Tuple descriptors, whose layout differs between PostgreSQL's major versions.

use pgrx::pg_sys;
use std::ffi::CStr;

/// The n-th attribute, from 0.
///
/// # Safety
/// `descriptor` is live and has more than `n` attributes.
pub unsafe fn attribute<'d>(descriptor: pg_sys::TupleDesc, n: usize) -> &'d pg_sys::FormData_pg_attribute {
    #[cfg(feature = "pg18")]
    return &*pg_sys::TupleDescAttr(descriptor, n as i32);
    #[cfg(not(feature = "pg18"))]
    &*(*descriptor).attrs.as_ptr().add(n)
}

/// The attributes that are not dropped, with their positions from 0.
///
/// # Safety
/// `descriptor` outlives the iterator.
pub unsafe fn attributes<'d>(
    descriptor: pg_sys::TupleDesc,
) -> impl Iterator<Item = (usize, &'d pg_sys::FormData_pg_attribute)> {
    let all = (0..(*descriptor).natts as usize).map(move |n| (n, attribute(descriptor, n)));
    all.filter(|(_, attribute)| !attribute.attisdropped)
}

/// An attribute's name.
pub fn attribute_name(attribute: &pg_sys::FormData_pg_attribute) -> String {
    // SAFETY: a name is NUL-terminated.
    unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) }.to_string_lossy().into_owned()
}
