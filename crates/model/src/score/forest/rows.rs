//! Rows that a forest scores together.

use std::ops::Range;

/// So many rows, one behind the other: of each its numbers, and of each its codes.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    count: usize,
    numbers: &'a [f64],
    codes: &'a [u32],
    /// How many numbers a row has, and how many codes.
    widths: (usize, usize),
}

impl<'a> Rows<'a> {
    /// Rows of which each has the same share of the numbers and of the codes.
    pub fn new(count: usize, numbers: &'a [f64], codes: &'a [u32]) -> Self {
        let of_row = |length: usize| length.checked_div(count).unwrap_or(0);
        Self { count, numbers, codes, widths: (of_row(numbers.len()), of_row(codes.len())) }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The numbers and the codes of a row.
    pub fn get(&self, row: usize) -> (&'a [f64], &'a [u32]) {
        let Self { numbers, codes, .. } = self.part(row..row + 1);
        (numbers, codes)
    }

    /// The number of each row at a position; NaN if they have none there.
    pub fn column(&self, position: usize) -> impl Iterator<Item = f64> + '_ {
        let (width, _) = self.widths;
        let of_row = move |row| match position < width {
            true => self.numbers[row * width + position],
            false => f64::NAN,
        };
        (0..self.count).map(of_row)
    }

    /// Neighbouring rows.
    pub fn part(&self, rows: Range<usize>) -> Self {
        let within = |width: usize| rows.start * width..rows.end * width;
        let (numbers, codes) = self.widths;
        let (numbers, codes) = (&self.numbers[within(numbers)], &self.codes[within(codes)]);
        Self { count: rows.len(), numbers, codes, ..*self }
    }
}
