//! Feature functions and aggregates: the glue of `crates/features`.

mod accessors;
mod encoders;
mod hash;
mod memory;
mod rollup;
mod sales_summary;
mod sales_summary_type;
mod series;
mod sql_function;

use pgrx::prelude::*;

extension_sql_file!("../../sql/sales_summary.sql", name = "sales_summary", requires = ["catalog"]);
extension_sql_file!("../../sql/series.sql", name = "series", requires = ["catalog"]);
