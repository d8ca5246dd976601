//! Feature functions and aggregates: the glue between SQL and `crates/features`. Their SQL is in `sql/features.sql`, and
//! that of the encoders in `sql/encoders.sql`.
//!
//! | file | SQL |
//! | --- | --- |
//! | `sales_summary`, `sale_arguments` | the aggregates `sales_summary` and `rollup` |
//! | `sales_summary_type` | the type: input, output, and what a summary says |
//! | `trailing` | the window function `trailing_weeks` |
//! | `series`, `week` | `decayed_sum`, `decayed_avg`, `trend`; `week` |
//! | `encoders/` | the encoders and the aggregates that fit them |
//! | `state` | states of `crates/features`, used as the states of aggregates |

mod encoders;
mod sale_arguments;
mod sales_summary;
mod sales_summary_type;
mod series;
mod state;
mod trailing;
mod week;

use pgrx::prelude::*;

extension_sql_file!("../../sql/features.sql", name = "features", requires = ["catalog"]);
