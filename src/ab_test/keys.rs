//! Logged keys, which are text, beside the rows of a version's source.

use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::relations::{self, RelationName};
use crate::scoring::source::missing;
use crate::values;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The source of a version, called t in SQL, and its keys beside the columns product_id and region of u.
pub struct Keyed {
    pub oid: pg_sys::Oid,
    pub source: RelationName,
    pub columns: Vec<(String, pg_sys::Oid)>,
    /// `t.time`
    pub time: String,
    /// The row of t is of the key in u.
    pub same_key: String,
}

impl Keyed {
    pub fn of(version: &VersionRow) -> Result<Self, Error> {
        let (found, name) = version.source.find(&version.model, pg_sys::NoLock)?;
        let columns = relations::columns(found)?;
        let ([product, region], Some(time)) = (version.keys.as_slice(), &version.time_column) else {
            return Err(Error::damaged_row());
        };
        let equals = |column: &String, key: &str| {
            let known = columns.iter().find(|(known, _)| known == column);
            let (_, found) = known.ok_or_else(|| missing(version, &name, "key", column))?;
            // SAFETY: a catalog look-up of a column's type.
            let base = unsafe { pg_sys::getBaseType(*found) };
            let column = values::as_base(format!("t.{}", quote_identifier(column)), *found);
            let sql_type = values::sql_type(base, -1);
            Ok::<_, Error>(format!("{column} OPERATOR(pg_catalog.=) u.{key}::{sql_type}"))
        };
        let same_key = format!("{} AND {}", equals(product, "product_id")?, equals(region, "region")?);
        if !columns.iter().any(|(known, _)| known == time) {
            return Err(missing(version, &name, "time", time));
        }
        let time = format!("t.{}", quote_identifier(time));
        Ok(Self { oid: found, source: name, columns, time, same_key })
    }
}
