//! Values of products, carried along until the rows of the products are written.

use super::rows::Rows;
use crate::pg::memory::{copied, in_context};
use crate::pg::tuples;
use pgrx::{pg_sys, PgMemoryContexts};

/// How values of a column are stored: by value or not, and their length.
#[derive(Clone, Copy)]
struct Storage {
    by_value: bool,
    length: i16,
}

/// Values of consecutive products. The first of each is its id.
pub struct Carried {
    memory: PgMemoryContexts,
    first: u32,
    /// The columns of the query that hold the values.
    columns: Vec<(usize, Storage)>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Carried {
    /// For the values in these columns of the query.
    pub fn of(rows: &Rows, columns: impl Iterator<Item = usize>) -> Self {
        let storage = |column| {
            // SAFETY: the query is open and has this column.
            let attribute = unsafe { tuples::attribute(rows.descriptor(), column) };
            (column, Storage { by_value: attribute.attbyval, length: attribute.attlen })
        };
        Self {
            memory: PgMemoryContexts::new("values of new products"),
            first: 0,
            columns: columns.map(storage).collect(),
            values: Vec::new(),
            nulls: Vec::new(),
        }
    }

    /// Drops all values. The next product has this ordinal.
    pub fn start(&mut self, first: u32) {
        // SAFETY: the context is ours, and what lies in it is forgotten here.
        unsafe { self.memory.reset() };
        self.first = first;
        self.values.clear();
        self.nulls.clear();
    }

    /// Adds the product in the row of the query.
    pub fn add(&mut self, rows: &Rows) {
        let row = rows.row();
        for (column, storage) in &self.columns {
            let (value, is_null) = (row.values[*column], row.nulls[*column]);
            let kept = match is_null || storage.by_value {
                true => value,
                // SAFETY: the value is one of the column's type, and the context is live.
                false => unsafe { in_context(self.memory.value(), || copied(value, storage.length)) },
            };
            self.values.push(kept);
            self.nulls.push(is_null);
        }
    }

    /// Adds a product of which only the id is known, which outlives this.
    pub fn add_id(&mut self, id: pg_sys::Datum) {
        let others = self.columns.len() - 1;
        self.values.push(id);
        self.values.extend(std::iter::repeat_n(pg_sys::Datum::null(), others));
        self.nulls.push(false);
        self.nulls.extend(std::iter::repeat_n(true, others));
    }

    /// The values of a product and their NULL flags.
    #[inline]
    pub fn of_product(&self, ordinal: u32) -> (&[pg_sys::Datum], &[bool]) {
        let width = self.columns.len();
        let start = (ordinal - self.first) as usize * width;
        (&self.values[start..start + width], &self.nulls[start..start + width])
    }
}
