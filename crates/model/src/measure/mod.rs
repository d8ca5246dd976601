//! How good scores are, and how they become probabilities that can be trusted.
//!
//! | file | holds |
//! | --- | --- |
//! | `ranking` | scores beside their outcomes, in order |
//! | `metrics` | AUROC, average precision, log loss, Brier score, calibration bins |
//! | `charts` | ROC curve, confusion matrix, lift |
//! | `lists` | precision and recall among the k best of each region and week |
//! | `quality` | errors of quantities; one measure of a model, whatever its task |
//! | `tally` | rows measured as they are scored |
//! | `calibration`, `isotonic` | logits into calibrated probabilities |
//! | `recalibration` | either of them anew, from rows that were not learned from |

pub mod calibration;
pub mod charts;
pub mod isotonic;
pub mod lists;
pub mod metrics;
pub mod quality;
pub mod ranking;
pub mod recalibration;
pub mod tally;
