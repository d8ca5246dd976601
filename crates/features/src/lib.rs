//! Feature arithmetic, away from Postgres: sums that can be merged, sketches, decay, trends, encoders.

pub mod bytes;
pub mod compensated;
pub mod customers;
pub mod decay;
pub mod decimal;
pub mod encode;
pub mod error;
pub mod series;
pub mod stored;
pub mod summary;
pub mod text;
pub mod trailing;
pub mod trend;
pub mod weeks;

pub use error::FeatureError;
