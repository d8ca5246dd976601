//! Feature functions and aggregates: the glue of `crates/features`. Their SQL is in the file of the same name in `sql/`.
//!
//! | file | SQL |
//! | --- | --- |
//! | `sales_summary`, `sale_arguments`, `rollup` | the aggregates `sales_summary` and `rollup` |
//! | `sales_summary_type`, `accessors` | the type: input, output, and what a summary says |
//! | `trailing` | the window function `trailing_weeks` |
//! | `series`, `week` | `decayed_sum`, `decayed_avg`, `trend`; `week` |
//! | `encoders/` | the encoders and the aggregates that fit them |
//! | `state` | states of `crates/features` as those of aggregates |

mod accessors;
mod encoders;
mod rollup;
mod sale_arguments;
mod sales_summary;
mod sales_summary_type;
mod series;
mod state;
mod trailing;
mod week;

use pgrx::prelude::*;

extension_sql_file!("../../sql/sales_summary.sql", name = "sales_summary", requires = ["catalog"]);
extension_sql_file!("../../sql/series.sql", name = "series", requires = ["catalog"]);
extension_sql_file!("../../sql/week.sql", name = "week", requires = ["catalog"]);
