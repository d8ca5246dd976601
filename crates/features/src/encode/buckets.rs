//! Buckets: of a number by boundaries, of a text by hash.

use super::checks::argument;
use crate::FeatureError;
use twox_hash::XxHash64;

/// Boundaries that have been checked once, for many values.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundaries(Vec<f64>);

impl Boundaries {
    /// Checks the boundaries: they must be finite and strictly increasing; there may be none.
    pub fn new(boundaries: Vec<f64>) -> Result<Self, FeatureError> {
        let increasing = boundaries.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || !boundaries.iter().all(|boundary| boundary.is_finite()) {
            return Err(argument(
                "boundaries must be finite and strictly increasing",
                "Sort them and remove repeated ones, or fit them with reco.quantile_boundaries(…).",
            ));
        }
        Ok(Self(boundaries))
    }
}

/// The number of the value's bucket, from 1 to the number of boundaries and one more. A value equal to a boundary
/// belongs to the bucket above it. `None` of NaN.
#[inline]
pub fn bucketize(value: f64, boundaries: &Boundaries) -> Option<i32> {
    if value.is_nan() {
        return None;
    }
    Some(boundaries.0.partition_point(|boundary| *boundary <= value) as i32 + 1)
}

/// XXH64 with seed 0 of the text's bytes, modulo the number of buckets: 0 to `buckets` - 1.
pub fn hash_bucket(value: &[u8], buckets: i32) -> Result<i32, FeatureError> {
    if buckets < 1 {
        return Err(argument(format!("{buckets} is not a number of buckets"), "Ask for at least 1."));
    }
    // The remainder is below `buckets`, which is an i32.
    Ok((XxHash64::oneshot(0, value) % buckets as u64) as i32)
}
