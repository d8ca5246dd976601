//! `CALL reco.train(…)`.
//!
//! | file | step |
//! | --- | --- |
//! | `request`   | checks the arguments and finds label, keys, time and features among the source's columns |
//! | `run`       | the row of `reco.run` and its metrics, visible while it trains |
//! | `read`      | the source's rows into an Arrow file |
//! | `temp_file` | that file, and the ones for spec and weights: Postgres's own temporary files |
//! | `trainer`   | the process, what it says, and how it ended |
//! | `train`     | the procedure, step by step |

mod read;
mod request;
mod run;
mod temp_file;
mod train;
pub mod trainer;
