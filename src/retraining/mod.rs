//! Champions that are kept up to date: judged against new versions on rows that neither was trained on, and retrained.
//!
//! | file | what |
//! | --- | --- |
//! | `settings` | what a version was trained with, and up to when |
//! | `judge` | `reco.promote_if_better(…)`: champion and candidate on the same rows |
//! | `backtest` | `reco.backtest(…)`: past weeks, as they could have been scored then |
//! | `retrain` | `CALL reco.retrain(…)`: refresh, train, judge |

mod backtest;
mod judge;
mod retrain;
mod settings;

pgrx::extension_sql_file!("../../sql/retraining.sql", name = "retraining", requires = ["catalog"]);
