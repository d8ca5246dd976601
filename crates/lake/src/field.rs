//! Fields of binary COPY: a length of four bytes, and the value as its type receives it.

/// Appends the field of a row. The error says in words what is wrong with the value.
pub type Put<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<(), String> + 'a>;

/// A field that is NULL.
pub const NULL_FIELD: [u8; 4] = (-1_i32).to_be_bytes();

/// Appends a field with these bytes.
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    let length = i32::try_from(bytes.len()).map_err(|_| "is longer than 2 GB".to_owned())?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}
