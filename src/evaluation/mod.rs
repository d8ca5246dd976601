//! Measures how good scores are: aggregates measure the scores of any query, and functions measure a version of a model on
//! the rows of any relation. The arithmetic is in `crates/model` (`ranking`, `metrics`, `charts`, `quality`), the SQL in
//! `sql/evaluation.sql`.
//!
//! | file | holds |
//! | --- | --- |
//! | `subject` | what is measured: a version, the rows of a relation, their labels and slices |
//! | `measure` | reads, scores and tallies these rows |
//! | `evaluate` | `reco.evaluate(…)`: all metrics |
//! | `charts` | `reco.roc_curve(…)`, `confusion_matrix`, `calibration`, `lift`: the functions, and their rows |
//! | `rows` | what these return |
//! | `state` | what the aggregates have in common |
//! | `sums` | the aggregates that add up: log loss, Brier score, errors of quantities |
//! | `scores` | the aggregates that keep every score: AUROC, average precision, charts |

mod charts;
pub mod evaluate;
pub mod measure;
mod rows;
mod scores;
mod state;
pub mod subject;
mod sums;

pgrx::extension_sql_file!("../../sql/evaluation.sql", name = "evaluation", requires = ["catalog"]);

/// The largest number of rows whose scores one state or one call keeps. They take 512 MB.
pub const MAX_ROWS: usize = 1 << 26;

/// The error for more than [`MAX_ROWS`] rows.
pub fn too_many_rows() -> crate::error::Error {
    crate::error::Error::Limit {
        message: format!("there are more than {MAX_ROWS} rows to be ranked"),
        hint: "Measure a sample of them, or a part at a time: fewer weeks, one region.".into(),
    }
}
