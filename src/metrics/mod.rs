//! What a monitoring system reads: the view `reco.metrics`, and the counters of scoring that it shows.
//!
//! The counters lie in shared memory, if the library is preloaded ([`counters`]). A process counts for itself while a
//! statement runs, and adds its sums to the shared ones when the statement is over ([`tally`]): what a row pays is an addition
//! in its own memory. [`samples`] shows the sums in SQL; all other metrics are queries over the catalog, in sql/metrics.sql.

mod counters;
mod samples;
pub mod tally;

use crate::pg::{ends, shared_memory};

/// Called once, when the library is loaded.
pub fn begin() {
    shared_memory::ask_for(&counters::REGION);
    ends::listen(tally::end);
}

pgrx::extension_sql_file!(
    "../../sql/metrics.sql",
    name = "metrics",
    requires = ["catalog", "catalog_views", "ab_test", "feature_view", "schedule", "monitoring"]
);
