//! New products by region and week: the rows that `src/feature_view/launch/features.sql` defines, in two passes over the
//! weekly sales.
//!
//! The first pass ([`Gathering`]) notes when each product was first sold, since when each region trades, what categories
//! sold, and what became of earlier launches. From it comes the [`Market`], which the second pass ([`NewProducts`]) looks
//! things up in while a product's weeks go by. Both take whole products, in the same order, so that one scan of the weekly
//! sales by product serves each; the second needs fewer of them.
//!
//! | file | holds |
//! | --- | --- |
//! | `setting` | what is computed: weeks, lengths, what was known |
//! | `chunk` | weekly sales of some products, as they are handed over |
//! | `gathering` | the first pass |
//! | `categories` | categories by region and week |
//! | `cohorts` | launches by category and week, and what they sold in their first weeks |
//! | `market` | what new products are compared with |
//! | `new_products` | the second pass |
//! | `series` | a product's sales over 1, 4, 13 weeks, for all weeks of its launch |
//! | `planned` | what is planned, and what became of earlier plans |
//! | `distinct` | distinct customers over windows that slide |
//! | `columns`, `row` | the features by name, and a row of them |
//! | `real` | numbers as PostgreSQL casts them to `real` |
//! | `worker` | a thread that works on one thing after the other |
//!
//! # Equal to the SQL
//!
//! Every feature is rounded where the SQL casts it, so the rows are the same to the last bit, save for sums of numbers that
//! are no multiples of a power of two. These are [compensated](crate::compensated) here. Summaries add up like that in SQL
//! too, in another order: the results can only differ where a sum of some 32 digits is a tie. `trend`, `returned_13w` and
//! `category_launch_quantity` and the lifts of plans equal sums of the same numbers by `reco.sales_summary`; a plain `sum` of
//! doubles depends on the order of rows, and comes within its own error.
//!
//! # Memory
//!
//! The first pass holds a summary for each category, region and week that has sales: 120 bytes, and 8 for each distinct
//! customer, with room to grow, or 4096. So it takes at most `categories × regions × (weeks + 3) × 4.3 kB`, and no more than
//! a few times what the weekly sales of these weeks take in the table. Whoever cannot spare that computes fewer weeks at a
//! time: any division into runs of weeks gives the same rows. What remains is 40 bytes for each category, region and week
//! and 12 for each product. Plans take 48 bytes more for each share in each of these and in each region and week. The second
//! pass holds the sales and the plans of one product.

mod categories;
mod chunk;
mod cohorts;
mod columns;
mod distinct;
mod gathering;
mod market;
mod new_products;
mod planned;
mod real;
mod row;
mod series;
mod setting;
mod worker;

pub use chunk::{Chunk, PlannedWeek, WeeklySales};
pub use columns::COLUMNS;
pub use gathering::Gathering;
pub use market::Market;
pub use new_products::NewProducts;
pub use planned::{Planned, Plans};
pub use row::{NewRows, Row, Values};
pub use setting::{Setting, HORIZON, MONTH, QUARTER, YEAR};
pub use worker::Worker;
