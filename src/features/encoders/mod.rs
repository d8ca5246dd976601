//! Encoders: scalar functions over values, and the aggregates that are fitted to a column. Their arithmetic is in
//! `crates/features/src/encode`, and their SQL in `sql/encoders.sql`.
//!
//! | file | holds |
//! | --- | --- |
//! | `arrays` | conversions of SQL arrays to slices and back |
//! | `kept` | an argument that is decoded once for all rows that have the same |
//! | `fitting` | the aggregates that are fitted |
//! | `scaling`, `texts`, `vectors` | the scalar functions |

mod arrays;
mod fitting;
mod kept;
mod scaling;
mod texts;
mod vectors;

pgrx::extension_sql_file!("../../../sql/encoders.sql", name = "encoders", requires = ["catalog"]);
