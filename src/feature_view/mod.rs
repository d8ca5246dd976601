//! Feature views: weekly, point-in-time rows that a query defines and `CALL reco.refresh_features(…)` keeps current.
//!
//! | file | holds |
//! | --- | --- |
//! | `registry` | what the catalog knows about a view, and the weeks that it has stored |
//! | `create`   | `reco.create_feature_view`: checks the definition, makes the partitioned table |
//! | `launch`   | `reco.create_launch_features`: the retail template; its queries are in `launch/` |
//! | `refresh`  | `reco.refresh_features`: which weeks, in which order, and the record of it |
//! | `record`   | a row for each refresh, with how it ended |
//! | `storage`  | computes runs of weeks into partitions |
//! | `bulk_insert` | writes a query's rows into a new partition |
//! | `as_of`    | `reco.features_as_of`: the newest row known at a moment |
//! | `remove`   | `reco.drop_feature_view` |

mod as_of;
#[cfg(not(feature = "pg13"))]
mod bulk_insert;
mod create;
mod launch;
mod record;
pub mod refresh;
pub mod registry;
mod remove;
mod storage;

pgrx::extension_sql_file!("../../sql/feature_view.sql", name = "feature_view", requires = ["catalog"]);
