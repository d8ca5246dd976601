//! Feature arithmetic, away from Postgres: sums that can be merged, sketches, decay, trends, encoders.

pub mod encode;
pub mod error;

pub use error::FeatureError;
