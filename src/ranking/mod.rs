//! Many keys at once: their newest rows, scored in one pass over the source. The SQL is in sql/ranking.sql and sql/forecast.sql.
//!
//! | file | what |
//! | --- | --- |
//! | `top` | `reco.top_products(…)`, `reco.top_regions(…)` |
//! | `forecast` | what `reco.forecast(…)` adds up: probability and units of every product of a region |
//! | `newest` | the newest row of every product of a region, or of every region of a product |

mod forecast;
mod newest;
mod top;

pgrx::extension_sql_file!("../../sql/ranking.sql", name = "ranking", requires = ["catalog"]);
pgrx::extension_sql_file!("../../sql/forecast.sql", name = "forecast", requires = ["catalog"]);
