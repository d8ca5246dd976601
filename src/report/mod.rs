//! `reco.report`: a model as one page. The page is drawn by `crates/report`; this folder gathers what stands in it, each part
//! with the caller's rights and in a savepoint of its own, so that a part that fails leaves the others as they are.
//!
//! | file | holds |
//! | --- | --- |
//! | `page` | the function |
//! | `parts` | a part in its savepoint |
//! | `lists` | leaderboard, promotions |
//! | `tests` | A/B tests |
//! | `measured` | the version on its test rows |
//! | `monitored` | what monitoring has found |
//! | `days` | the days of the test rows |
//! | `baseline` | popularity on the same rows |

mod baseline;
mod days;
mod lists;
mod measured;
mod monitored;
mod page;
mod parts;
mod tests;

pgrx::extension_sql_file!(
    "../../sql/report.sql",
    name = "report",
    requires = ["models", "ab_test", "evaluation", "monitoring"]
);
