//! A row of features.

use super::columns::COLUMNS;
use crate::weeks::Week;

/// A new product in a region, as known at the end of a week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub product: u32,
    pub region: u32,
    pub week: Week,
    /// Of the columns in [`COLUMNS`].
    pub values: Values,
    /// The label; `None` while the week that it looks at is not over.
    pub purchased: Option<bool>,
}

/// Rows, and the features of each that are of plans.
#[derive(Debug, Default)]
pub struct NewRows {
    rows: Vec<Row>,
    planned: Vec<Option<f32>>,
}

impl NewRows {
    pub fn clear(&mut self) {
        self.rows.clear();
        self.planned.clear();
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Each row with its features that are of plans, table by table and column by column.
    pub fn iter(&self) -> impl Iterator<Item = (&Row, &[Option<f32>])> {
        let width = self.planned.len() / self.rows.len().max(1);
        let rows = self.rows.iter().enumerate();
        rows.map(move |(n, row)| (row, &self.planned[n * width..(n + 1) * width]))
    }

    /// Adds a row. `plan` adds its features that are of plans, as many as to every row.
    pub(super) fn push(&mut self, row: Row, plan: impl FnOnce(&mut Vec<Option<f32>>)) {
        self.rows.push(row);
        plan(&mut self.planned);
    }
}

/// Numbers, some of which are not known (NULL).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    numbers: [f32; COLUMNS.len()],
    /// Bit n is set where number n is known.
    known: u64,
}

const _: () = assert!(COLUMNS.len() <= u64::BITS as usize);

impl Values {
    pub fn get(&self, column: usize) -> Option<f32> {
        self.numbers.get(column).copied().filter(|_| self.known >> column & 1 != 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = Option<f32>> + '_ {
        self.numbers
            .iter()
            .enumerate()
            .map(|(column, number)| Some(*number).filter(|_| self.known >> column & 1 != 0))
    }
}

/// Values that are written in the order of the columns.
pub(super) struct Written {
    values: Values,
    next: usize,
}

impl Written {
    pub fn none() -> Self {
        Self { values: Values { numbers: [0.0; COLUMNS.len()], known: 0 }, next: 0 }
    }

    #[inline]
    pub fn put(&mut self, numbers: impl IntoIterator<Item = f32>) {
        numbers.into_iter().for_each(|number| self.put_known(Some(number)));
    }

    #[inline]
    pub fn put_known(&mut self, number: Option<f32>) {
        if let Some(number) = number {
            self.values.numbers[self.next] = number;
            self.values.known |= 1 << self.next;
        }
        self.next += 1;
    }

    pub fn finish(self) -> Values {
        debug_assert_eq!(self.next, COLUMNS.len());
        self.values
    }
}
