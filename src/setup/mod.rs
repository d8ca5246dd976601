//! `reco.check_setup()`.
//!
//! | file | what it looks at |
//! | --- | --- |
//! | `check_setup` | the function: all findings, one row each |
//! | `finding`     | a row |
//! | `server`      | versions, settings beside the machine |
//! | `catalog`     | whether what its rows refer to is there, and weights are what was stored |
//! | `trainer`     | the trainer, libtorch, processors, GPUs |

mod catalog;
mod check_setup;
mod finding;
mod server;
mod trainer;

pgrx::extension_sql_file!("../../sql/setup.sql", name = "setup", finalize);
