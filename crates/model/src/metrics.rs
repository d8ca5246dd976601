//! Metrics.
use serde::{Deserialize, Serialize};

/// One bin of the calibration table: scores in `[lower, upper)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    pub lower: f64,
    pub upper: f64,
    pub rows: u64,
    pub mean_score: f64,
    pub positive_rate: f64,
}

/// How good scores are on one set of rows. AUROC and average precision are `None` where one class is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub rows: u64,
    pub positives: u64,
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
    pub log_loss: f64,
    pub brier: f64,
    pub calibration: Vec<CalibrationBin>,
}
