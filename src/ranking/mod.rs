//! Ranking and forecasts of many keys: their newest rows are scored in one pass over the source. The SQL is in
//! sql/ranking.sql.
//!
//! | file | holds |
//! | --- | --- |
//! | `top` | `reco.top_products(…)`, `reco.top_regions(…)` |
//! | `forecast` | what `reco.forecast(…)` adds up: the probability and the units of every product of a region |
//! | `scores` | the newest row of every key, scored in batches |
//! | `newest` | the newest row of every product of a region, or of every region of a product |
//! | `query` | the query for these rows, and the positions of key and time in them |

mod forecast;
mod newest;
mod query;
mod scores;
mod top;

pgrx::extension_sql_file!("../../sql/ranking.sql", name = "ranking", requires = ["catalog"]);
