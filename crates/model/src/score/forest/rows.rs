//! Rows that a forest scores together.

/// So many rows, one behind the other: of each its numbers, and of each its codes.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    numbers: &'a [f64],
    codes: &'a [u32],
    /// How many numbers a row has, and how many codes.
    widths: (usize, usize),
}

impl<'a> Rows<'a> {
    /// Rows of which each has the same share of the numbers and of the codes.
    pub fn new(count: usize, numbers: &'a [f64], codes: &'a [u32]) -> Self {
        let of_row = |length: usize| length.checked_div(count).unwrap_or(0);
        Self { numbers, codes, widths: (of_row(numbers.len()), of_row(codes.len())) }
    }

    /// The numbers and the codes of a row.
    pub fn get(&self, row: usize) -> (&'a [f64], &'a [u32]) {
        let within = |width: usize| row * width..(row + 1) * width;
        let (numbers, codes) = self.widths;
        (&self.numbers[within(numbers)], &self.codes[within(codes)])
    }
}
