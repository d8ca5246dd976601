//! A row of a catalog table: its columns as values.

use super::columns::CatalogColumn;
use crate::error::Error;
use crate::pg::values;
use pgrx::{pg_sys, FromDatum};
use std::ffi::CStr;

/// As long as the scan or the page that it lies in is held.
pub struct CatalogRow {
    pub(super) tuple: pg_sys::HeapTuple,
    pub(super) descriptor: pg_sys::TupleDesc,
}

impl CatalogRow {
    pub fn place(&self) -> pg_sys::ItemPointerData {
        // SAFETY: the tuple is valid as long as the row.
        unsafe { (*self.tuple).t_self }
    }

    pub fn datum(&self, column: CatalogColumn) -> Option<pg_sys::Datum> {
        self.at(column.number)
    }

    /// The column with this number.
    pub fn at(&self, number: i32) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: the tuple has this descriptor, and the table the columns that are asked for, as was checked when it was looked up.
        let datum = unsafe { pg_sys::heap_getattr(self.tuple, number, self.descriptor, &mut is_null) };
        (!is_null).then_some(datum)
    }

    pub fn value<T: FromDatum>(&self, column: CatalogColumn) -> Option<T> {
        // SAFETY: `T` is the column's type.
        self.datum(column).and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    pub fn required<T: FromDatum>(&self, column: CatalogColumn) -> Result<T, Error> {
        self.value(column).ok_or_else(Error::damaged_row)
    }

    /// Of a column of type name.
    pub fn name(&self, column: CatalogColumn) -> Result<String, Error> {
        let name: &CStr = self.required(column)?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// Of a column of type text[].
    pub fn texts(&self, column: CatalogColumn) -> Result<Option<Vec<String>>, Error> {
        // SAFETY: the column is a text[].
        let texts = self.datum(column).map(|datum| unsafe { values::texts(datum) });
        match texts {
            Some(None) => Err(Error::Damaged("an array has NULLs or several dimensions".into())),
            texts => Ok(texts.flatten()),
        }
    }

    /// Of a column of type jsonb.
    pub fn json(&self, column: CatalogColumn) -> Result<String, Error> {
        let datum = self.datum(column).ok_or_else(Error::damaged_row)?;
        // SAFETY: the column is a jsonb.
        Ok(unsafe { values::json_text(datum) })
    }

    pub fn bytes(&self, column: CatalogColumn) -> Result<Bytes, Error> {
        let datum = self.datum(column).ok_or_else(Error::damaged_row)?;
        let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: the column is a bytea.
        let plain = unsafe { pg_sys::pg_detoast_datum_packed(original) };
        Ok(Bytes { plain, copied: plain != original })
    }
}

/// A bytea out of its storage; the copy is freed when dropped.
pub struct Bytes {
    plain: *mut pg_sys::varlena,
    copied: bool,
}

impl Bytes {
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: a detoasted varlena that lives as long as `self`.
        unsafe { pgrx::varlena_to_byte_slice(self.plain) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            // SAFETY: palloc'd by the detoasting.
            unsafe { pg_sys::pfree(self.plain.cast()) };
        }
    }
}
