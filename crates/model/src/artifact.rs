//! A model version as bytes.
use crate::calibration::Platt;
use crate::network::Network;
use crate::recipe::Recipe;

/// A model version: everything scoring needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// `mlp`.
    pub algorithm: String,
    pub recipe: Recipe,
    pub network: Network,
    pub calibration: Platt,
}
