//! The procedures `reco.train(…)` and `reco.tune(…)`.
//!
//! | file | step |
//! | --- | --- |
//! | `request`   | checks the arguments and finds label, keys, time and features among the source's columns |
//! | `run`       | the row of `reco.run` and its metrics, which others can see while it trains |
//! | `read`      | writes the source's rows into an Arrow file |
//! | `temp_file` | that file, and the ones for spec and artifact: Postgres's own temporary files |
//! | `trainer`   | the trainer process: how it is started, what it sends, and how it ended |
//! | `attempt`   | a run with its trainer: epochs go to the catalog and the client, then comes the result |
//! | `fit`       | a training whose result is not stored |
//! | `store`     | makes the result a version |
//! | `train`     | the procedure `train`, step by step |
//! | `tune/`     | the procedure `tune`: many runs, of which the best becomes a version |

mod attempt;
pub mod fit;
pub mod read;
pub mod request;
mod run;
mod store;
mod temp_file;
pub mod train;
pub mod trainer;
mod tune;

pgrx::extension_sql_file!("../../sql/training.sql", name = "training", requires = ["catalog"]);
