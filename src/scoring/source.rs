//! The relation that a version was trained on, as `recommend` finds it, and how its keys are compared.

use super::row::check_columns;
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::relations::{self, RelationName};
use crate::tuples;
use crate::values;
use model::recipe::{Family, Recipe};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The type of the product argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Bigint,
    Text,
}

impl Key {
    pub fn type_oid(self) -> pg_sys::Oid {
        match self {
            Self::Bigint => pg_sys::INT8OID,
            Self::Text => pg_sys::TEXTOID,
        }
    }

    fn sql_name(self) -> &'static str {
        match self {
            Self::Bigint => "bigint",
            Self::Text => "text",
        }
    }
}

/// The relation that a version was trained on, with its columns' attribute numbers and types.
pub struct Source {
    pub oid: pg_sys::Oid,
    /// What it is called now.
    pub name: RelationName,
    columns: Vec<(String, i16, pg_sys::Oid)>,
}

impl Source {
    pub fn find(version: &VersionRow) -> Result<Self, Error> {
        let (oid, _) = version.source.find(&version.model, pg_sys::AccessShareLock)?;
        Self::of(oid)
    }

    /// Refuses it if a column that the version reads is gone, or has another type: a query would name an alias of ours.
    pub fn check(&self, version: &VersionRow, recipe: &Recipe) -> Result<(), Error> {
        check_columns(&version.model, recipe, self.oid)?;
        version.keys.iter().try_for_each(|key| self.require(version, "key", key))?;
        version.time_column.iter().try_for_each(|time| self.require(version, "time", time))
    }

    /// Refuses it if a column is gone; `what` says what the column is to the version.
    pub fn require(&self, version: &VersionRow, what: &str, column: &str) -> Result<(), Error> {
        match self.type_of(column) {
            Some(_) => Ok(()),
            None => Err(missing(version, &self.name, what, column)),
        }
    }

    /// A relation, or a partition of one.
    pub fn of(oid: pg_sys::Oid) -> Result<Self, Error> {
        let column = |(_, a): (usize, &pg_sys::FormData_pg_attribute)| {
            (tuples::attribute_name(a), a.attnum, a.atttypid)
        };
        // SAFETY: the descriptor is live.
        let all = |descriptor| unsafe { tuples::attributes(descriptor).map(column).collect() };
        Ok(Self { oid, name: RelationName::of(oid)?, columns: relations::with_descriptor(oid, all)? })
    }

    /// A column's attribute number, from 1; 0 where there is no such column.
    pub fn position(&self, column: &str) -> i16 {
        self.columns.iter().find(|(name, ..)| name == column).map_or(0, |(_, position, _)| *position)
    }

    /// A column's type.
    pub fn type_of(&self, column: &str) -> Option<pg_sys::Oid> {
        self.columns.iter().find(|(name, ..)| name == column).map(|(.., oid)| *oid)
    }

    /// The number of columns if `SELECT *` gives a table's rows as they lie there and the current user may read all of it;
    /// `None` for views, where a column was dropped, and for who may read some columns only.
    pub fn rows_as_stored(&self) -> Option<usize> {
        // SAFETY: catalog look-ups.
        let (kind, allowed) = unsafe {
            let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
            let allowed = pg_sys::pg_class_aclcheck(self.oid, pg_sys::GetUserId(), select);
            (pg_sys::get_rel_relkind(self.oid) as u8, allowed == pg_sys::AclResult::ACLCHECK_OK)
        };
        let count = self.columns.len();
        let dense = self.columns.iter().all(|(_, position, _)| *position as usize <= count);
        (matches!(kind, b'r' | b'm' | b'p') && allowed && dense).then_some(count)
    }

    /// What kind of type a column has; `None` where there is no such column, or its type is of no kind.
    pub fn family(&self, column: &str) -> Option<Family> {
        self.type_of(column).and_then(values::reader_of).map(|(family, _)| family)
    }

    /// `column = $n` in a form that an index on the column can answer.
    pub fn equals(
        &self,
        version: &VersionRow,
        column: &str,
        n: usize,
        argument: Key,
    ) -> Result<String, Error> {
        let Some((_, _, found)) = self.columns.iter().find(|(name, ..)| name == column) else {
            return Err(missing(version, &self.name, "key", column));
        };
        // SAFETY: catalog look-ups of a column's type.
        let (base, is_enum) = unsafe {
            let base = pg_sys::getBaseType(*found);
            (base, pg_sys::type_is_enum(base))
        };
        let family = values::reader_of(base).map(|(family, _)| family);
        let fits = match argument {
            Key::Bigint => family == Some(Family::Number),
            Key::Text => family == Some(Family::Text),
        };
        if !fits {
            return Err(Error::InvalidArgument(
                format!(
                    "{column} is {} in {}, but {} was given",
                    values::type_name(base, -1),
                    self.name,
                    argument.sql_name()
                ),
                Some("recommend takes the product as bigint or as text, and the region as text.".into()),
            ));
        }
        let sql_type = values::sql_type(base, -1);
        // A key that is no value of the column's type has no row; it is no error.
        let value = match base {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID | pg_sys::TEXTOID | pg_sys::VARCHAROID => {
                format!("${n}")
            }
            pg_sys::UUIDOID => format!(
                "(CASE WHEN ${n} OPERATOR(pg_catalog.~) '^([0-9A-Fa-f]{{4}}-?){{7}}[0-9A-Fa-f]{{4}}$' \
                 THEN ${n}::pg_catalog.uuid END)"
            ),
            _ if is_enum => format!(
                "(SELECT v FROM pg_catalog.unnest(pg_catalog.enum_range(NULL::{sql_type})) AS v \
                 WHERE v::pg_catalog.text OPERATOR(pg_catalog.=) ${n})"
            ),
            _ => format!("${n}::{sql_type}"),
        };
        let column = values::as_base(format!("t.{}", quote_identifier(column)), *found);
        Ok(format!("{column} OPERATOR(pg_catalog.=) {value}"))
    }
}

/// The error of a column that a version reads and its source no longer has.
pub fn missing(version: &VersionRow, source: &RelationName, what: &str, column: &str) -> Error {
    let model = &version.model;
    Error::UndefinedColumn {
        message: format!("{what} column \"{column}\" of model \"{model}\" does not exist in {source}"),
        hint: format!("Give the column its name again, or train \"{model}\" again."),
    }
}
