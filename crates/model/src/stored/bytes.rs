//! Bytes that may lie in memory or in a file, read a piece at a time.

use std::io;

/// So many are asked for at once where any number would do.
pub const PIECE: usize = 1 << 20;

/// Bytes of one length that do not change.
pub trait Bytes {
    fn size(&self) -> io::Result<usize>;

    /// Those from `at` on, exactly `length` of them, in place or in `room`. An error where there are not so many.
    fn piece<'a>(&'a self, at: usize, length: usize, room: &'a mut Vec<u8>) -> io::Result<&'a [u8]>;
}

impl Bytes for &[u8] {
    fn size(&self) -> io::Result<usize> {
        Ok(self.len())
    }

    fn piece<'a>(&'a self, at: usize, length: usize, _: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        self.get(at..).and_then(|rest| rest.get(..length)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
