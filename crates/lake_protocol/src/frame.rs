//! Frames: a kind of one byte, a length of four bytes (little-endian), and as many bytes. Both directions use them.

/// The bytes before those of a frame.
pub const HEADER: usize = 5;
/// A message: JSON.
pub const MESSAGE: u8 = b'M';
/// A piece of the rows. To the backend: a part of a stream as `COPY … (FORMAT binary)` reads it, cut anywhere. From the
/// backend: whole rows, each field a length of four bytes (big-endian, -1 for NULL) and its value as its type sends it.
pub const ROWS: u8 = b'R';
/// The end of the rows that a backend sends. Without it nothing that was written may be seen.
pub const END: u8 = b'E';

/// A longer message is none. It has room for the names of 100,000 files.
pub const LONGEST_MESSAGE: usize = 64 << 20;
/// A longer piece of rows is none. A row with values of a gigabyte each does not fit, which is said where it is made.
pub const LONGEST_ROWS: usize = 1 << 30;

/// The header of a frame.
pub fn header(kind: u8, length: usize) -> [u8; HEADER] {
    let [a, b, c, d] = (length as u32).to_le_bytes();
    [kind, a, b, c, d]
}

/// The kind and the length that a header says; `None` if it is no header.
pub fn parse(header: [u8; HEADER]) -> Option<(u8, usize)> {
    let [kind, a, b, c, d] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let most = match kind {
        MESSAGE => LONGEST_MESSAGE,
        ROWS => LONGEST_ROWS,
        END => 0,
        _ => return None,
    };
    (length <= most).then_some((kind, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_what_is_none_is_refused() {
        assert_eq!(parse(header(ROWS, 70_000)), Some((ROWS, 70_000)));
        assert_eq!(parse(header(MESSAGE, LONGEST_MESSAGE + 1)), None);
        assert_eq!(parse(header(END, 1)), None);
        assert_eq!(parse(*b"hello"), None);
    }
}
