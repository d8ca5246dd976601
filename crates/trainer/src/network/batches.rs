//! Cuts the rows of an epoch into batches, and a batch that reaches beyond the end of a pool into pieces.

use std::ops::Range;

/// A batch, or the part of it that lies in one pool.
#[derive(Debug, PartialEq)]
pub struct BatchPiece {
    /// The piece's rows, by their positions in the pool.
    pub rows: Range<i64>,
    /// The number of rows of the whole batch.
    pub batch_rows: i64,
    pub is_first: bool,
    pub is_last: bool,
}

/// The number of chunks of this size that hold so many rows.
pub fn chunks(rows: i64, size: i64) -> i64 {
    (rows + size - 1) / size
}

/// The batches, and parts of batches, in the next `count` rows of an epoch. The epoch has `all` rows, of which `done`
/// have been taken.
pub fn pieces(done: i64, count: i64, batch: i64, all: i64) -> Vec<BatchPiece> {
    let end = done + count;
    let piece = |n: i64| {
        let (first, last) = (n * batch, ((n + 1) * batch).min(all));
        BatchPiece {
            rows: first.max(done) - done..last.min(end) - done,
            batch_rows: last - first,
            is_first: first >= done,
            is_last: last <= end,
        }
    };
    (done / batch..chunks(end, batch)).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_reaches_into_the_next_pool_is_taken_in_pieces() {
        let piece = |rows: Range<i64>, batch_rows, is_first, is_last| BatchPiece {
            rows,
            batch_rows,
            is_first,
            is_last,
        };
        let (first, second) = (pieces(0, 25, 10, 43), pieces(25, 18, 10, 43));
        assert_eq!(first[..2], [piece(0..10, 10, true, true), piece(10..20, 10, true, true)]);
        assert_eq!(first[2..], [piece(20..25, 10, true, false)]);
        let expected =
            [piece(0..5, 10, false, true), piece(5..15, 10, true, true), piece(15..18, 3, true, true)];
        assert_eq!(second, expected);
        assert_eq!(pieces(10, 5, 30, 30), [piece(0..5, 30, false, false)]);
    }
}
