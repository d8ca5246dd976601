//! The relation that a version reads. It is the relation that has the recorded name, but a feature view is found by its
//! mark, whatever its table is called now.

use crate::error::Error;
use crate::feature_view::registry::{has_mark, table_of, FeatureView};
use crate::pg::acting_as::as_owner;
use crate::pg::relations::RelationName;
use pgrx::{pg_sys, Uuid};
use std::fmt;

/// The relation that a version was trained on.
#[derive(Debug, Clone, Default)]
pub struct VersionSource {
    /// The name that the relation had then; empty if the version was imported without a relation.
    pub name: RelationName,
    /// The feature view that the relation was, if it was one.
    pub view: Option<Uuid>,
}

impl VersionSource {
    pub fn of_columns(schema: Option<String>, name: Option<String>, view: Option<Uuid>) -> Self {
        Self { name: RelationName::of_columns(schema, name).unwrap_or_default(), view }
    }

    pub fn is_empty(&self) -> bool {
        self.name.is_empty()
    }

    /// The relation, under a lock that is held to the end of the transaction, and its name now.
    pub fn find(&self, model: &str, lock: u32) -> Result<(pg_sys::Oid, RelationName), Error> {
        if self.is_empty() {
            return Err(Error::NoSource(model.to_owned()));
        }
        self.if_there(model, lock)?.ok_or_else(|| Error::SourceGone(self.to_string(), model.to_owned()))
    }

    /// Does the same as [`Self::find`], but returns `None` if the relation is gone or there never was one.
    pub fn if_there(&self, model: &str, lock: u32) -> Result<Option<(pg_sys::Oid, RelationName)>, Error> {
        if let Some(view) = self.view {
            if let Some((Some(table), _)) = table_of(view)? {
                return found_again(table, lock).map(Some);
            }
        }
        let Some(found) = self.name.find_locked(lock) else { return Ok(None) };
        match self.view {
            Some(view) if !stands_in(view, found)? => {
                Err(Error::SourceReplaced(self.to_string(), model.to_owned()))
            }
            _ => Ok(Some((found, self.name.clone()))),
        }
    }
}

/// Finds the table by its current name, so that Postgres checks that the caller may look it up.
fn found_again(table: pg_sys::Oid, lock: u32) -> Result<(pg_sys::Oid, RelationName), Error> {
    let name = RelationName::of(table)?;
    if name.find_locked(lock) == Some(table) {
        return Ok((table, name));
    }
    // While the lock was waited for, the table was renamed, which is worth another try, or dropped.
    match RelationName::of(table) {
        Ok(_) => Err(Error::Changed(format!("{name} was renamed"))),
        Err(_) => Err(Error::NoRelation { name: Some(name.to_string()), oid: table.to_u32() }),
    }
}

/// Whether a relation is the view's table although the view's author no longer exists, or the table of a view that was
/// created anew under the same name.
fn stands_in(view: Uuid, relation: pg_sys::Oid) -> Result<bool, Error> {
    Ok(as_owner(|client| has_mark(client, relation, view))? || FeatureView::find(relation)?.is_some())
}

impl PartialEq for VersionSource {
    /// Two sources that are the same feature view are equal, whatever its table is called. Otherwise the names decide,
    /// because a view that was created anew has the same name.
    fn eq(&self, other: &Self) -> bool {
        match (self.view, other.view) {
            (Some(one), Some(another)) if one == another => true,
            (one, another) => one.is_some() == another.is_some() && self.name == other.name,
        }
    }
}

impl Eq for VersionSource {}

impl fmt::Display for VersionSource {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.name.fmt(to)
    }
}
