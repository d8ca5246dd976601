//! Feature arithmetic, away from Postgres: sums that can be merged, sketches, decay, trends, encoders.

pub mod error;
pub mod weeks;

pub use error::FeatureError;
