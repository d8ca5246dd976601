//! Encoders: scalar functions over values, and the aggregates that are fitted to a column. Their arithmetic is in
//! `crates/features/src/encode`, and their SQL in `sql/encoders.sql`.
//!
//! | file | holds |
//! | --- | --- |
//! | `arrays` | SQL arrays to slices and back |
//! | `kept` | an argument decoded once for all rows that bring the same |
//! | `fitting` | the fitting aggregates |
//! | `numbers`, `texts` | the scalar functions |

mod arrays;
mod fitting;
mod kept;
mod numbers;
mod texts;

pgrx::extension_sql_file!("../../../sql/encoders.sql", name = "encoders", requires = ["catalog"]);
