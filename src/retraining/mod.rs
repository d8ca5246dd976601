//! Keeps champions up to date: new versions are trained as the champion was, and judged against it on rows that neither was
//! trained on.
//!
//! | file | holds |
//! | --- | --- |
//! | `settings` | what a version was trained with, and the last day of its rows |
//! | `judge` | `reco.promote_if_better(…)`: champion and candidate on the same rows |
//! | `backtest` | `reco.backtest(…)`: past weeks, scored as they could have been then |
//! | `retrain` | `CALL reco.retrain(…)`: refresh, train, judge |

mod backtest;
pub mod judge;
mod retrain;
mod settings;

pgrx::extension_sql_file!("../../sql/retraining.sql", name = "retraining", requires = ["catalog"]);
