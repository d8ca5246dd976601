//! The function `reco.check_setup()`.
//!
//! | file | holds |
//! | --- | --- |
//! | `check_setup` | the function: all findings, one row for each |
//! | `finding`     | one row |
//! | `server`      | the versions, and settings compared with the machine |
//! | `catalog`     | whether what the catalog's rows refer to exists, and whether the weights are what was stored |
//! | `schedules`   | whether anybody calls `reco.run_due()` |
//! | `shards`      | whether foreign servers compute on their own rows |
//! | `lake`        | the object-storage process |
//! | `trainer`     | the trainer, libtorch, processors, GPUs |

mod catalog;
mod check_setup;
mod finding;
mod lake;
mod schedules;
mod server;
mod shards;
mod trainer;

pgrx::extension_sql_file!("../../sql/setup.sql", name = "setup", finalize);
