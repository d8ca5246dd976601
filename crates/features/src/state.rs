//! What an aggregate keeps between rows.

use crate::FeatureError;

/// A state, the same in whatever order it is put together, but for the last bits: parts of it are made by parallel workers.
pub trait State: Clone {
    /// Takes in what another process has seen.
    fn merge(&mut self, other: &Self) -> Result<(), FeatureError>;

    /// The bytes that [`State::from_bytes`] reads.
    fn to_bytes(&self) -> Vec<u8>;

    fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError>;
}
