//! Scoring in SQL. `predict` scores a row that it is given, and `recommend` scores the newest row of a key.
//!
//! A call resolves its model once in a statement ([`call`]), takes the decoded model from the backend's cache
//! ([`model_cache`]; large models are mapped files, [`shared_models`]), and reads the row's columns by name ([`row`]).
//! `recommend` finds the row first ([`newest_row`]): straight from an index ([`index_probe`], `pg/open_scans.rs`), from the
//! index of each partition if the source has partitions ([`partitions`]), or by a query ([`key_plan`]). In a query on shards of Citus the
//! rows are those of the shard that has the key ([`shard_rows`]).
//!
//! While an A/B test runs, [`arms`] says which version scores a key.
//!
//! A plan takes the place of a row's planned columns before the row is scored ([`what_if`]); [`plan_seen`] says whether the
//! version knows rows like that.
//!
//! [`explain`] says how much each column contributes to a score, and [`similar_launches`] which earlier launches were most
//! like a product. Both read rows as values and as text ([`reading`]).

pub mod arms;
pub mod call;
mod explain;
mod first_sales;
mod index_probe;
pub mod key_plan;
pub mod model_cache;
mod newest_row;
mod partitions;
mod plan_seen;
mod predict;
mod reading;
mod recommend;
pub mod row;
mod shard_rows;
pub mod shared_models;
mod similar_launches;
pub mod source;
pub mod what_if;

pub use row::check_columns;

pgrx::extension_sql_file!("../../sql/scoring.sql", name = "scoring", requires = ["catalog"]);
