//! Drift: whether the rows of a week are still like those that a version was trained on, and what follows from it.
//!
//! | file | holds |
//! | --- | --- |
//! | `histogram` | the values of a column in training: a few counts |
//! | `edges` | where the bins of numbers lie |
//! | `counts` | the values of a week, counted by the same bins |
//! | `distance` | the population stability index, the Jensen–Shannon distance, what chance makes of them |
//! | `thresholds` | from which figures on a model is to be looked at |
//! | `verdict` | the status of a model, with its reasons in words |

pub mod counts;
pub mod distance;
pub mod edges;
pub mod histogram;
pub mod thresholds;
pub mod verdict;

pub use counts::{Counts, Drift};
pub use histogram::{Bins, Histogram};
pub use thresholds::Thresholds;
