//! Models, versions, aliases and runs. The tables and views are in `sql/catalog.sql`.
//!
//! Reading is for scoring and goes straight to the primary keys ([`read`]); writing is for training and goes
//! through SQL with the rights of the extension's owner ([`write`]).

pub mod read;
pub mod write;

/// The alias whose version scores.
pub const CHAMPION: &str = "champion";
