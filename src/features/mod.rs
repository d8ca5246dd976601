//! Feature functions and aggregates: the glue of `crates/features`.

mod accessors;
mod hash;
mod memory;
mod rollup;
mod sales_summary;
mod sales_summary_type;
mod sql_function;

use pgrx::prelude::*;

extension_sql_file!("../../sql/sales_summary.sql", name = "sales_summary", requires = ["catalog"]);
