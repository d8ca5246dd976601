//! Feature arithmetic, away from Postgres.
//!
//! | file | holds |
//! | --- | --- |
//! | `summary` | totals, customers and period of any number of sale lines, which can be merged |
//! | `compensated` | sums that keep their rounding errors |
//! | `customers` | distinct customers: counted exactly while they are few, by HyperLogLog beyond that |
//! | `stored`, `text`, `bytes` | a summary's stored form and its text form, every bound checked |
//! | `launch` | the rows of new products, from weekly sales |
//! | `trailing` | a window of weeks that slides over summaries |
//! | `decay`, `trend`, `series` | exponential decay, least-squares slopes |
//! | `state` | what an aggregate keeps between rows |
//! | `encode` | encoders, and what they are fitted with |
//! | `weeks` | which weeks a refresh computes, and which partition holds them |
//! | `decimal` | decimal numbers as double precision |

pub mod bytes;
pub mod compensated;
pub mod customers;
pub mod decay;
pub mod decimal;
pub mod encode;
pub mod error;
pub mod launch;
mod series;
pub mod state;
pub mod stored;
pub mod summary;
pub mod text;
pub mod trailing;
pub mod trend;
pub mod weeks;

pub use error::FeatureError;
