//! Platt scaling.
use serde::{Deserialize, Serialize};

/// `probability = sigmoid(slope * logit + offset)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    pub slope: f64,
    pub offset: f64,
}
