//! The procedures `reco.train(…)` and `reco.tune(…)`, and the function `reco.export_training_set(…)`.
//!
//! | file | step |
//! | --- | --- |
//! | `request`   | checks the arguments and finds label and features among the source's columns |
//! | `view_inputs` | which columns of a feature view are inputs where the caller names none |
//! | `keys`      | finds keys and time among them, and which key is the product |
//! | `run`       | the row of `reco.run` and its metrics, visible while it trains |
//! | `read`      | the source's rows into an Arrow file |
//! | `temp_file` | that file, and the ones for spec and weights: Postgres's own temporary files |
//! | `trainer`   | the process, what it says, and how it ended |
//! | `attempt`   | a run with its trainer: epochs on their way to catalog and client, and the result; a training without a run |
//! | `store`     | the result as a version |
//! | `train`     | the procedure `train`, step by step |
//! | `export_set` | the function `export_training_set`: what a network would read, for a training elsewhere |
//! | `tune/`     | the procedure `tune`: many runs, of which the best becomes a version |

pub mod attempt;
mod export_set;
mod keys;
pub mod read;
pub mod request;
mod run;
mod store;
pub mod temp_file;
pub mod train;
pub mod trainer;
mod tune;
mod view_inputs;

pgrx::extension_sql_file!("../../sql/training.sql", name = "training", requires = ["catalog"]);
