//! Feature views: a query defines weekly, point-in-time rows, and `CALL reco.refresh_features(…)` keeps them up to date.
//!
//! | file | holds |
//! | --- | --- |
//! | `registry` | what the catalog knows about a view, and the weeks that it has stored |
//! | `create`   | `reco.create_feature_view`: checks the definition, makes the partitioned table |
//! | `launch`   | `reco.create_launch_features`: the retail template; its queries are in `launch/` |
//! | `refresh`  | `reco.refresh_features`: which weeks are computed, in which order |
//! | `check`    | the query that looks for what is wrong with the data, before a refresh |
//! | `record`   | the row in `reco.feature_refresh` for each refresh, with how it ended |
//! | `engine`, `launch_rows` | how the library computes the rows of new products without the view's definition, and how it is handed what it needs |
//! | `target`   | a run of weeks that is to be computed: its partition, its query, its counts |
//! | `storage`  | computes runs of weeks into partitions |
//! | `sharded`  | computes them into a view that Citus has distributed |
//! | `bulk_insert` | writes rows into a new partition |
//! | `as_of`    | `reco.features_as_of`: the newest row that was known at a moment |
//! | `remove`   | `reco.drop_feature_view` |

mod as_of;
mod bulk_insert;
mod check;
mod create;
pub mod engine;
mod launch;
mod launch_rows;
mod record;
pub mod refresh;
pub mod registry;
mod remove;
mod sharded;
mod storage;
mod target;

pgrx::extension_sql_file!("../../sql/feature_view.sql", name = "feature_view", requires = ["catalog"]);
