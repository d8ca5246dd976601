//! What the aggregates over a series of values have in common.

use crate::bytes::ByteReader;
use crate::FeatureError;

/// `N` numbers of 64 bits, and nothing else.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> Result<[i64; N], FeatureError> {
    let mut reader = ByteReader(bytes);
    let mut words = [0; N];
    for word in &mut words {
        *word = reader.int64()?;
    }
    if !reader.is_empty() {
        return Err(FeatureError::Binary("the state of an aggregate is too long".into()));
    }
    Ok(words)
}

pub(crate) fn word(number: f64) -> i64 {
    number.to_bits() as i64
}

pub(crate) fn number(word: i64) -> f64 {
    f64::from_bits(word as u64)
}

pub(crate) fn damaged() -> FeatureError {
    FeatureError::Binary("the state of an aggregate is damaged".into())
}

pub(crate) fn not_finite(name: &str) -> FeatureError {
    FeatureError::Range {
        message: format!("{name} is NaN or infinite"),
        hint: Some("Leave out such rows with FILTER (WHERE …).".into()),
    }
}
