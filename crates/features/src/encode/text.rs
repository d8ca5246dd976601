//! Features made of texts that are texts themselves: feature crosses and n-grams.

use super::checks::{argument, limit};
use crate::FeatureError;

/// Stands between the values of a cross.
const SEPARATOR: u8 = b'|';
const ESCAPE: u8 = b'\\';
/// The most n-grams that a call makes.
pub const MAX_NGRAMS: usize = 1_000_000;
/// The most bytes that a call writes to make n-grams, unfinished ones included.
pub const MAX_BYTES: usize = 64 << 20;
/// The most tokens of an n-gram.
pub const MAX_SIZE: i32 = 100;

/// The values one after the other, with `|` between them. A backslash stands before a `|` or a backslash of a value, so
/// that different values never give the same cross.
pub fn feature_cross<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut cross = Vec::new();
    for (n, value) in values.enumerate() {
        if n > 0 {
            cross.push(SEPARATOR);
        }
        for byte in value {
            // In UTF-8, neither byte can be part of another character.
            if matches!(*byte, SEPARATOR | ESCAPE) {
                cross.push(ESCAPE);
            }
            cross.push(*byte);
        }
    }
    cross
}

/// Runs of `from_size` to `to_size` tokens, the separator between them: by their first token, then by length. None
/// holds a missing token.
pub fn ngrams(
    tokens: &[Option<&[u8]>],
    from_size: i32,
    to_size: i32,
    separator: &[u8],
) -> Result<Vec<Vec<u8>>, FeatureError> {
    if from_size < 1 || to_size < from_size || to_size > MAX_SIZE {
        return Err(argument(
            format!("there are no n-grams of {from_size} to {to_size} tokens"),
            format!("from_size is at least 1, to_size at least from_size and at most {MAX_SIZE}."),
        ));
    }
    let (from_size, to_size) = (from_size as usize, to_size as usize);
    let (mut found, mut bytes) = (Vec::new(), 0);
    for start in 0..tokens.len() {
        let mut ngram: Vec<u8> = Vec::new();
        for (size, token) in (1..=to_size).zip(&tokens[start..]) {
            let Some(token) = token else { break };
            if size > 1 {
                ngram.extend_from_slice(separator);
            }
            ngram.extend_from_slice(token);
            bytes += separator.len() + token.len();
            if size >= from_size {
                bytes += ngram.len();
                found.push(ngram.clone());
            }
            if found.len() > MAX_NGRAMS || bytes > MAX_BYTES {
                return Err(too_many());
            }
        }
    }
    Ok(found)
}

fn too_many() -> FeatureError {
    limit(
        format!("there are more than {MAX_NGRAMS} n-grams, or they take more than {} MiB", MAX_BYTES >> 20),
        "Take fewer tokens or a smaller to_size.",
    )
}
