//! Feature functions and aggregates: the glue of `crates/features`.

mod accessors;
mod encoders;
mod memory;
mod rollup;
mod sale_arguments;
mod sales_summary;
mod sales_summary_type;
mod series;
mod sql_function;
mod trailing;
mod week;

use pgrx::prelude::*;

extension_sql_file!("../../sql/sales_summary.sql", name = "sales_summary", requires = ["catalog"]);
extension_sql_file!("../../sql/series.sql", name = "series", requires = ["catalog"]);
extension_sql_file!("../../sql/week.sql", name = "week", requires = ["catalog"]);
