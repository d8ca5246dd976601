//! Joins logged keys, which are texts, with the rows of a version's source.

use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::values::type_name;
use crate::scoring::source::Source;
use model::recipe::Family;
use pgrx::spi::quote_identifier;

/// A version's source, which queries call t, with SQL that compares its keys with the columns product_id and region of u.
pub struct Keyed {
    pub source: Source,
    /// The time column, as `t.time`.
    pub time: String,
    /// The condition that a row of t has the key that stands in u.
    pub same_key: String,
    /// The product and the region of a row of t, as texts.
    pub texts: [String; 2],
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
        let column = source.require(version, "time", time)?;
        if source.relation.family(time) != Some(Family::Date) {
            return Err(Error::WrongType {
                column: time.clone(),
                relation: Some(source.relation.name.to_string()),
                model: version.model.clone(),
                found: type_name(column.type_oid, column.type_modifier),
                expected: "a date, by which the rows of an A/B test are told apart".into(),
            });
        }
        let same_key = format!(
            "{} AND {}",
            source.equals_written(version, product, "u.product_id")?,
            source.equals_written(version, region, "u.region")?
        );
        let texts = [product, region].map(|column| source.key_text(column));
        Ok(Self { source, time: format!("t.{}", quote_identifier(time)), same_key, texts })
    }
}
