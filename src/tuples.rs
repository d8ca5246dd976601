//! Tuple descriptors, whose layout differs between PostgreSQL's major versions, and composite values.

use crate::call_site::is_plain;
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

/// A composite value out of its storage; a copy is freed when dropped.
pub struct Composite {
    header: pg_sys::HeapTupleHeader,
    copied: bool,
}

impl Composite {
    /// # Safety
    /// `datum` is a non-NULL composite value.
    #[inline]
    pub unsafe fn of(datum: pg_sys::Datum) -> Self {
        let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
        if is_plain(original) && !pgrx::varatt_is_1b(original) {
            return Self { header: original.cast(), copied: false };
        }
        Self { header: pg_sys::pg_detoast_datum(original).cast(), copied: true }
    }

    /// The type and its modifier.
    ///
    /// # Safety
    /// The value it was made of is still there.
    #[inline]
    pub unsafe fn row_type(&self) -> (pg_sys::Oid, i32) {
        let fields = &(*self.header).t_choice.t_datum;
        (fields.datum_typeid, fields.datum_typmod)
    }

    /// As a tuple.
    ///
    /// # Safety
    /// As for [`Self::row_type`], and for as long as the tuple is used.
    #[inline]
    pub unsafe fn tuple(&self) -> pg_sys::HeapTupleData {
        pg_sys::HeapTupleData {
            t_len: pgrx::varsize_4b(self.header.cast()) as u32,
            t_data: self.header,
            ..Default::default()
        }
    }
}

impl Drop for Composite {
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            // SAFETY: palloc'd by the detoasting.
            unsafe { pg_sys::pfree(self.header.cast()) };
        }
    }
}
