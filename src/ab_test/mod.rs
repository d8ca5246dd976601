//! A/B tests: a split of a model's keys between versions. The arithmetic is in `crates/model/src/ab`, the tables are in
//! `sql/ab_test.sql`.
//!
//! | file | holds |
//! | --- | --- |
//! | `arm`   | `reco.ab_arm` |
//! | `log`, `report` | `reco.log_recommendations`, `reco.ab_report` |
//! | `keys`  | logged keys beside the rows of a version's source |
//! | `start` | `reco.start_ab_test` |
//! | `stop`  | `reco.stop_ab_test` |
//!
//! Which arm a key falls to is in `scoring/arms.rs`; what a running test forbids is in `catalog/in_use.rs`.

mod arm;
mod keys;
mod log;
mod report;
mod start;
mod stop;

pgrx::extension_sql_file!("../../sql/ab_test.sql", name = "ab_test", requires = ["catalog_views"]);
