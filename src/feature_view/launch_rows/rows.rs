//! The rows of a cursor, one after the other.

use crate::error::Error;
use crate::pg::cursor::{Cursor, Fetched};
use crate::pg::tuples::{Attributes, Deformed};
use pgrx::pg_sys;

pub struct Rows {
    cursor: Cursor,
    fetched: Option<Fetched>,
    next: usize,
    deformed: Deformed,
}

impl Rows {
    pub fn of(cursor: Cursor) -> Self {
        Self { cursor, fetched: None, next: 0, deformed: Deformed::default() }
    }

    pub fn descriptor(&self) -> pg_sys::TupleDesc {
        self.cursor.descriptor()
    }

    /// Goes on to the next row, if there is one.
    pub fn advance(&mut self) {
        if self.fetched.as_ref().is_none_or(|fetched| self.next == fetched.len()) {
            self.fetched = None;
            (self.fetched, self.next) = (self.cursor.fetch(), 0);
        }
        let Some(fetched) = &self.fetched else { return };
        // SAFETY: there are more than `next` rows, and they have this descriptor.
        unsafe { self.deformed.take_apart(fetched.tuple(self.next), fetched.descriptor()) };
        self.next += 1;
    }

    /// The row that was gone on to last.
    pub fn row(&self) -> Attributes<'_> {
        self.deformed.last()
    }

    /// The value in a column of that row. It is an error if it is NULL.
    pub fn needed(&self, column: usize) -> Result<pg_sys::Datum, Error> {
        let row = self.row();
        match row.nulls[column] {
            true => Err(Error::invalid("weekly sales, or the products, have a NULL where none can be")),
            false => Ok(row.values[column]),
        }
    }

    /// The value in a column of that row, as [`Self::needed`]; `None` after the last row.
    pub fn if_there(&self, column: usize) -> Result<Option<pg_sys::Datum>, Error> {
        self.fetched.as_ref().map(|_| self.needed(column)).transpose()
    }

    /// Goes back to before the first row.
    pub fn set_back(&mut self) {
        self.fetched = None;
        self.cursor.set_back();
    }
}
