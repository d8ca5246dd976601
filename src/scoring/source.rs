//! The relation that a version was trained on, as `recommend` finds it, and how its keys are compared.

use super::row::check_columns;
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::relations::{may_select, Column, Relation, RelationName};
use crate::pg::values;
use model::recipe::{Family, Recipe};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The type in which the caller gives the product. The region is always a text.
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

/// The relation that a version was trained on.
pub struct Source {
    pub relation: Relation,
}

impl Source {
    /// The relation, or a shard of it.
    pub fn find_or_shard(version: &VersionRow, shard: Option<pg_sys::Oid>) -> Result<Self, Error> {
        match shard {
            Some(shard) => Ok(Self { relation: Relation::of(shard)? }),
            None => Self::find(version),
        }
    }

    pub fn find(version: &VersionRow) -> Result<Self, Error> {
        let (found, _) = version.source.find(&version.model, pg_sys::AccessShareLock)?;
        Ok(Self { relation: Relation::of(found)? })
    }

    /// Refuses the source if a column that the version reads is gone or has another type. Without this check the
    /// query's own error would name our alias of the table, and not the source.
    pub fn check(&self, version: &VersionRow, recipe: &Recipe) -> Result<(), Error> {
        check_columns(&version.model, recipe, self.relation.oid)?;
        version.keys.iter().try_for_each(|key| self.require(version, "key", key).map(drop))?;
        version.time_column.iter().try_for_each(|time| self.require(version, "time", time).map(drop))
    }

    /// A column that the version reads. `what` says in the error what the column is for.
    pub fn require(&self, version: &VersionRow, what: &str, column: &str) -> Result<&Column, Error> {
        self.relation.column(column).ok_or_else(|| missing(version, &self.relation.name, what, column))
    }

    /// The number of columns, if `SELECT *` returns the rows as they are stored and the current user may read all of them.
    /// It is `None` for a view, for a table with a dropped column, and for a user who may read only some columns.
    pub fn rows_as_stored(&self) -> Option<usize> {
        let Relation { oid, columns, .. } = &self.relation;
        // SAFETY: this is a catalog look-up, which any OID may be given to.
        let kind = unsafe { pg_sys::get_rel_relkind(*oid) } as u8;
        let dense = columns.iter().all(|column| column.number as usize <= columns.len());
        (matches!(kind, b'r' | b'm' | b'p') && may_select(*oid) && dense).then_some(columns.len())
    }

    /// SQL for `column = value` in a form that an index on the column can answer. `value` is SQL of the type that `given`
    /// says. A value that the column's type cannot have equals nothing, and is no error.
    pub fn equals(
        &self,
        version: &VersionRow,
        column: &str,
        value: &str,
        given: Key,
    ) -> Result<String, Error> {
        let found = self.require(version, "key", column)?.type_oid;
        let family = values::reader_of(found).map(|(family, _)| family);
        let fits = match given {
            Key::Bigint => family == Some(Family::Number),
            Key::Text => family == Some(Family::Text),
        };
        // SAFETY: this is a catalog look-up of a column's type.
        let base = unsafe { pg_sys::getBaseType(found) };
        if !fits {
            return Err(Error::InvalidArgument(
                format!(
                    "{column} is {} in {}, but {} was given",
                    values::type_name(base, -1),
                    version.source,
                    given.sql_name()
                ),
                Some("recommend takes the product as bigint, or as text where the column is a text, an enum or a uuid.".into()),
            ));
        }
        match given {
            Key::Bigint => {
                Ok(format!("{} OPERATOR(pg_catalog.=) {}", of_source(column, found), number_as(base, value)))
            }
            Key::Text => self.equals_written(version, column, value),
        }
    }

    /// Does the same as [`Self::equals`] for a text that holds a value of any type, because regions are given as texts, and
    /// logged keys too.
    pub fn equals_written(&self, version: &VersionRow, column: &str, value: &str) -> Result<String, Error> {
        let found = self.require(version, "key", column)?.type_oid;
        // SAFETY: this is a catalog look-up of a column's type.
        let base = unsafe { pg_sys::getBaseType(found) };
        Ok(format!("{} OPERATOR(pg_catalog.=) {}", of_source(column, found), text_as(base, value)))
    }

    /// SQL for `column = ANY (array)`, which compares as [`Self::equals`] does. An array of another type than text is cast.
    pub fn is_any_of(&self, column: &str, array: &str, array_type: pg_sys::Oid) -> String {
        let found = self.relation.type_of(column).unwrap_or(pg_sys::InvalidOid);
        // SAFETY: this is a catalog look-up of a column's type.
        let base = unsafe { pg_sys::getBaseType(found) };
        let array = match array_type {
            pg_sys::TEXTARRAYOID if !matches!(base, pg_sys::TEXTOID | pg_sys::VARCHAROID) => {
                format!(
                    "(ARRAY(SELECT {} FROM pg_catalog.unnest({array}) AS c (key)))",
                    text_as(base, "c.key")
                )
            }
            _ => format!("({array}::{}[])", values::sql_type(base, -1)),
        };
        format!("{} OPERATOR(pg_catalog.=) ANY {array}", of_source(column, found))
    }

    /// SQL for a key as text. Equal keys are equal texts, however many zeros after the point they are stored with.
    pub fn key_text(&self, column: &str) -> String {
        let found = self.relation.type_of(column).unwrap_or(pg_sys::InvalidOid);
        values::as_text(&of_source(column, found), found)
    }
}

/// A column of the source, which queries call t, as a value of its base type.
fn of_source(column: &str, type_oid: pg_sys::Oid) -> String {
    values::as_base(format!("t.{}", quote_identifier(column)), type_oid)
}

/// A bigint as SQL that can be compared with a column of this base type.
fn number_as(base: pg_sys::Oid, value: &str) -> String {
    match base {
        // The comparison operators of these types take each other's values.
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => value.to_owned(),
        // As a real, the number would be rounded, and could equal another.
        pg_sys::FLOAT4OID => format!("{value}::pg_catalog.float8"),
        _ => format!("{value}::{}", values::sql_type(base, -1)),
    }
}

/// A text as a value of this base type. For types where it can be told beforehand, a text that is no such value becomes
/// NULL.
pub fn text_as(base: pg_sys::Oid, value: &str) -> String {
    let sql_type = values::sql_type(base, -1);
    let matching = |pattern: &str, sql_type: &str| {
        format!("(CASE WHEN {value} OPERATOR(pg_catalog.~) '{pattern}' THEN {value}::{sql_type} END)")
    };
    // SAFETY: this is a catalog look-up of a type.
    let is_enum = unsafe { pg_sys::type_is_enum(base) };
    match base {
        pg_sys::TEXTOID | pg_sys::VARCHAROID => value.to_owned(),
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => {
            // The digits are counted first, because a text that is no number cannot be compared with the bounds.
            let bound = |operator: &str, bound: i64| {
                format!("{value}::pg_catalog.numeric OPERATOR(pg_catalog.{operator}) '{bound}'::pg_catalog.numeric")
            };
            format!(
                "(CASE WHEN {value} OPERATOR(pg_catalog.~) '^[+-]?[0-9]{{1,30}}$' THEN \
                      CASE WHEN {} AND {} THEN {value}::pg_catalog.int8 END END)",
                bound(">=", i64::MIN),
                bound("<=", i64::MAX)
            )
        }
        pg_sys::FLOAT4OID | pg_sys::FLOAT8OID | pg_sys::NUMERICOID => matching(
            "^[+-]?([0-9]{1,30}([.][0-9]{1,30})?|[0-9]([.][0-9]{1,30})?e[+-]?[0-2]?[0-9])$",
            &sql_type,
        ),
        pg_sys::UUIDOID => matching("^([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}$", &sql_type),
        _ if is_enum => format!(
            "(SELECT v FROM pg_catalog.unnest(pg_catalog.enum_range(NULL::{sql_type})) AS v \
             WHERE v::pg_catalog.text OPERATOR(pg_catalog.=) {value})"
        ),
        _ => format!("{value}::{sql_type}"),
    }
}

/// The error for a column that a version reads and its source no longer has.
pub fn missing(version: &VersionRow, source: &RelationName, what: &str, column: &str) -> Error {
    let model = &version.model;
    Error::UndefinedColumn {
        message: format!("{what} column \"{column}\" of model \"{model}\" does not exist in {source}"),
        hint: format!("Give the column its name again, or train \"{model}\" again."),
    }
}
