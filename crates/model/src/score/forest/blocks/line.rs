//! What many rows have of one thing.

/// Rows that are scored together: as many as a batch has.
pub(crate) use crate::score::tiles::ROWS;

/// A byte for each row.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Line(pub [u8; ROWS]);

impl Line {
    pub const ZERO: Self = Self([0; ROWS]);
}
