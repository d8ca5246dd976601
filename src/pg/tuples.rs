//! Tuple descriptors, whose layout differs between PostgreSQL's major versions, and composite values.

use crate::error::Error;
use crate::pg::memory::is_plain;
use pgrx::pg_sys;
use std::ffi::CStr;

/// The n-th attribute, from 0.
///
/// # Safety
/// `descriptor` is live and has more than `n` attributes.
pub unsafe fn attribute<'d>(descriptor: pg_sys::TupleDesc, n: usize) -> &'d pg_sys::FormData_pg_attribute {
    // SAFETY: the descriptor is live and has more than `n` attributes, as the caller says.
    #[cfg(feature = "pg18")]
    return unsafe { &*pg_sys::TupleDescAttr(descriptor, n as i32) };
    // SAFETY: the descriptor is live and has more than `n` attributes, as the caller says; the attributes follow the
    // descriptor.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        &*(*descriptor).attrs.as_ptr().add(n)
    }
}

/// The attributes that are not dropped, with their positions from 0.
///
/// # Safety
/// `descriptor` is live, and outlives the iterator and the attributes that it yields.
pub unsafe fn attributes<'d>(
    descriptor: pg_sys::TupleDesc,
) -> impl Iterator<Item = (usize, &'d pg_sys::FormData_pg_attribute)> {
    // SAFETY: the descriptor is live, as the caller says.
    let count = unsafe { (*descriptor).natts } as usize;
    // SAFETY: the descriptor outlives the iterator, as the caller says, and it has `count` attributes.
    let all = (0..count).map(move |n| (n, unsafe { attribute(descriptor, n) }));
    all.filter(|(_, attribute)| !attribute.attisdropped)
}

/// An attribute's name.
pub fn attribute_name(attribute: &pg_sys::FormData_pg_attribute) -> String {
    // SAFETY: the name of an attribute is NUL-terminated.
    unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) }.to_string_lossy().into_owned()
}

/// The values of a row: one value and one NULL flag for each attribute.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    pub values: &'a [pg_sys::Datum],
    pub nulls: &'a [bool],
}

/// Buffers for the values of tuples, which are used again for each tuple.
#[derive(Default)]
pub struct Deformed {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Deformed {
    /// # Safety
    /// `tuple` and `descriptor` are live, and the tuple has this descriptor.
    pub unsafe fn take_apart(
        &mut self,
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
    ) -> Attributes<'_> {
        // SAFETY: the descriptor is live, as the caller says.
        let width = unsafe { (*descriptor).natts } as usize;
        self.values.resize(width, pg_sys::Datum::from(0));
        self.nulls.resize(width, true);
        // SAFETY: the tuple has this descriptor, as the caller says, and the buffers have room for each attribute.
        unsafe {
            pg_sys::heap_deform_tuple(tuple, descriptor, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
        }
        self.last()
    }

    /// The values of the tuple that was taken apart last.
    pub fn last(&self) -> Attributes<'_> {
        Attributes { values: &self.values, nulls: &self.nulls }
    }
}

impl Attributes<'_> {
    /// A `real` attribute; NaN where it is NULL.
    #[inline]
    pub fn single(&self, attribute: usize) -> f32 {
        let value = f32::from_bits(self.values[attribute].value() as u32);
        if self.nulls[attribute] {
            f32::NAN
        } else {
            value
        }
    }
}

/// A new tuple of these fields.
///
/// # Safety
/// The descriptor is live, and the fields have the types of its columns.
pub unsafe fn tuple(
    descriptor: pg_sys::TupleDesc,
    fields: &[Option<pg_sys::Datum>],
) -> Result<pg_sys::HeapTuple, Error> {
    // SAFETY: the descriptor is live and the values have its types, as the caller says; `parts` checks that there are as
    // many values as columns.
    unsafe {
        let (mut values, mut nulls) = parts(descriptor, fields)?;
        Ok(pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr()))
    }
}

/// The fields as values and NULL flags. It is an error if there are not as many fields as columns.
///
/// # Safety
/// The descriptor is live.
pub unsafe fn parts(
    descriptor: pg_sys::TupleDesc,
    fields: &[Option<pg_sys::Datum>],
) -> Result<(Vec<pg_sys::Datum>, Vec<bool>), Error> {
    // SAFETY: the descriptor is live, as the caller says.
    if unsafe { (*descriptor).natts } as usize != fields.len() {
        return Err(altered());
    }
    Ok(fields.iter().map(|field| (field.unwrap_or(pg_sys::Datum::null()), field.is_none())).unzip())
}

/// The error for a type whose declaration in SQL is no longer the one that the extension installed.
pub fn altered() -> Error {
    Error::Altered
}

/// A composite value, detoasted. If that made a copy, the copy is freed when this value is dropped.
pub struct Composite {
    header: pg_sys::HeapTupleHeader,
    copied: bool,
}

impl Composite {
    /// # Safety
    /// `datum` is a non-NULL composite value, and outlives the result.
    #[inline]
    pub unsafe fn of(datum: pg_sys::Datum) -> Self {
        let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: the value is live, as the caller says, and a composite value is a varlena.
        unsafe {
            if is_plain(original) && !pgrx::varatt_is_1b(original) {
                return Self { header: original.cast(), copied: false };
            }
            Self { header: pg_sys::pg_detoast_datum(original).cast(), copied: true }
        }
    }

    /// The OID of the value's row type, and the type modifier.
    ///
    /// # Safety
    /// The datum that this value was made of is still live.
    #[inline]
    pub unsafe fn row_type(&self) -> (pg_sys::Oid, i32) {
        // SAFETY: the header is live, as the caller says. The header of a composite value holds its type, where the header
        // of a stored heap tuple holds transaction ids.
        let fields = unsafe { &(*self.header).t_choice.t_datum };
        (fields.datum_typeid, fields.datum_typmod)
    }

    /// The value as a heap tuple, which points to it.
    ///
    /// # Safety
    /// The datum that this value was made of, and `self`, live as long as the tuple is used.
    #[inline]
    pub unsafe fn tuple(&self) -> pg_sys::HeapTupleData {
        pg_sys::HeapTupleData {
            // SAFETY: `of` has made sure that the value is in place and has a header of four bytes.
            t_len: unsafe { pgrx::varsize_4b(self.header.cast()) } as u32,
            t_data: self.header,
            ..Default::default()
        }
    }
}

impl Drop for Composite {
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            // SAFETY: detoasting palloc'd the copy, and it is freed once.
            unsafe { pg_sys::pfree(self.header.cast()) };
        }
    }
}
