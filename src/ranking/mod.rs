//! The best of many keys: their newest rows, scored in one pass over the source. The SQL is in sql/ranking.sql.
//!
//! | file | what |
//! | --- | --- |
//! | `top` | `reco.top_products(…)`, `reco.top_regions(…)` |
//! | `newest` | the newest row of every product of a region, or of every region of a product, scored |
//! | `query` | the query for these rows, and where key and time stand in them |

mod newest;
mod query;
mod top;

pgrx::extension_sql_file!("../../sql/ranking.sql", name = "ranking", requires = ["catalog"]);
