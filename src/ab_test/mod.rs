//! A/B tests: a model's keys are split between versions. The arithmetic is in `crates/model/src/ab`, and the tables are in
//! `sql/ab_test.sql`.
//!
//! | file | holds |
//! | --- | --- |
//! | `arm`   | `reco.ab_arm` |
//! | `log`, `report` | `reco.log_recommendations`, `reco.ab_report` |
//! | `keys`  | joins logged keys with the rows of a version's source |
//! | `start` | `reco.start_ab_test` |
//! | `stop`  | `reco.stop_ab_test` |
//!
//! `scoring/arms.rs` says which arm a key falls to, and `catalog/in_use.rs` refuses what must not happen while a test runs.

mod arm;
mod keys;
mod log;
pub mod report;
mod start;
mod stop;

pgrx::extension_sql_file!("../../sql/ab_test.sql", name = "ab_test", requires = ["catalog_views"]);
