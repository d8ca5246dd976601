//! Scoring in SQL. `predict` scores a row that it is given, `recommend` the newest row of a key.
//!
//! A call resolves its model once a statement ([`call`]), takes the decoded model from the backend's cache
//! ([`model_cache`]), and reads the row's columns by name ([`row`]); `recommend` finds the row first
//! ([`newest_row`]), straight from an index ([`index_probe`]), of each partition where there are some ([`partitions`]), or by a query ([`key_plan`]).

mod call;
mod index_probe;
mod key_plan;
mod model_cache;
mod newest_row;
mod partitions;
mod predict;
mod recommend;
mod row;
mod source;

pub use row::check_columns;
