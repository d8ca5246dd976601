//! Logged keys, which are text, beside the rows of a version's source.

use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::scoring::source::Source;
use pgrx::spi::quote_identifier;

/// The source of a version, called t in SQL, and its keys beside the columns product_id and region of u.
pub struct Keyed {
    pub source: Source,
    /// `t.time`
    pub time: String,
    /// The row of t is of the key in u.
    pub same_key: String,
}

impl Keyed {
    pub fn of(version: &VersionRow) -> Result<Self, Error> {
        let ([product, region], Some(time)) = (version.keys.as_slice(), &version.time_column) else {
            return Err(Error::Damaged(format!(
                "version {} of model \"{}\" is damaged: an arm of an A/B test has two keys and a time column",
                version.number, version.model
            )));
        };
        let source = Source::find(version)?;
        source.require(version, "time", time)?;
        let same_key = format!(
            "{} AND {}",
            source.equals_written(version, product, "u.product_id")?,
            source.equals_written(version, region, "u.region")?
        );
        Ok(Self { source, time: format!("t.{}", quote_identifier(time)), same_key })
    }
}
