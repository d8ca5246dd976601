//! Champions that are kept up to date: judged against new versions on rows that neither was trained on, and retrained.
//!
//! | file | what |
//! | --- | --- |
//! | `settings` | what a version was trained with, and up to when |
//! | `judge` | `reco.promote_if_better(…)`: champion and candidate on the same rows |
//! | `retrain` | `CALL reco.retrain(…)`: refresh, train, judge |

mod judge;
mod retrain;
mod settings;

pgrx::extension_sql_file!(
    "../../sql/retraining.sql",
    name = "retraining",
    requires = ["catalog", judge::promote_if_better, retrain::retrain]
);
