//! Logged keys, which are text, beside the rows of a version's source.

use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::relations::{self, RelationName};
use crate::values;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The source of a version, called t in SQL, and its keys beside the columns product_id and region of u.
pub struct Keyed {
    pub source: RelationName,
    pub columns: Vec<(String, pg_sys::Oid)>,
    /// `t.time`
    pub time: String,
    /// The row of t is of the key in u.
    pub same_key: String,
}

impl Keyed {
    pub fn of(version: &VersionRow) -> Result<Self, Error> {
        let gone = || Error::SourceGone(version.source.to_string(), version.model.clone());
        let columns = relations::columns(version.source.find().ok_or_else(gone)?);
        let ([product, region], Some(time)) = (version.keys.as_slice(), &version.time_column) else {
            return Err(Error::damaged_row());
        };
        let equals = |column: &String, key: &str| {
            let (_, found) = columns.iter().find(|(name, _)| name == column).ok_or_else(gone)?;
            // SAFETY: a catalog look-up of a column's type.
            let base = unsafe { pg_sys::getBaseType(*found) };
            let (column, type_name) = (quote_identifier(column), values::type_name(base, -1));
            Ok::<_, Error>(format!("t.{column} OPERATOR(pg_catalog.=) u.{key}::{type_name}"))
        };
        let same_key = format!("{} AND {}", equals(product, "product_id")?, equals(region, "region")?);
        let time = format!("t.{}", quote_identifier(time));
        Ok(Self { source: version.source.clone(), columns, time, same_key })
    }
}
