//! Whether a model is still as good as it was: its weeks are judged once their outcomes are known, the drift of its inputs is
//! measured, and whoever listens is told when its status changes. The arithmetic is in `crates/model/src/drift` and
//! `crates/model/src/measure`, the SQL in `sql/monitoring.sql`.
//!
//! | file | holds |
//! | --- | --- |
//! | `monitor` | `CALL reco.monitor(…)`: week after week, then the status |
//! | `reigns` | which version was champion when |
//! | `plan` | which weeks there are, and which are to be measured |
//! | `week` | one week, measured |
//! | `quality` | how good the version was on its rows, by region |
//! | `drifted` | how far its rows are from those of training |
//! | `shown` | what A/B tests have shown in it, and what was bought |
//! | `stored` | what is kept of it |
//! | `status` | the status of the model, and the alarm |
//! | `drift` | what the drift of the newest week means for the status |
//! | `settings` | `reco.set_monitoring(…)`: thresholds |

mod drift;
mod drifted;
mod monitor;
mod plan;
mod quality;
mod reigns;
mod settings;
mod shown;
pub mod status;
mod stored;
mod week;

pgrx::extension_sql_file!(
    "../../sql/monitoring.sql",
    name = "monitoring",
    requires = ["catalog_views", "ab_test"]
);
