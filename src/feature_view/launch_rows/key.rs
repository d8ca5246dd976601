//! Ids of products.

use crate::error::Error;
use crate::pg::comparison::Comparison;
use crate::pg::memory::copied;
use crate::pg::relations::Column;
use pgrx::pg_sys;

/// How ids are compared and stored.
pub struct IdType {
    pub comparison: Comparison,
    by_value: bool,
    length: i16,
}

impl IdType {
    pub fn of(column: &Column) -> Result<Self, Error> {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: this is a look-up of a type that a column has.
        unsafe { pg_sys::get_typlenbyval(column.type_oid, &mut length, &mut by_value) };
        Ok(Self { comparison: Comparison::of(column.type_oid, column.collation)?, by_value, length })
    }

    /// A copy in the current memory context.
    ///
    /// # Safety
    /// `id` is a value of the column.
    pub unsafe fn copied(&self, id: pg_sys::Datum) -> pg_sys::Datum {
        match self.by_value {
            true => id,
            // SAFETY: the id has the column's type, as the caller says.
            false => unsafe { copied(id, self.length) },
        }
    }
}
