//! The newest feature row of a key, read with the caller's rights and row security: straight from an index where
//! that is possible ([`super::index_probe`]), through a kept plan ([`super::key_plan`]) otherwise.

use super::index_probe::caller_may_read;
use super::key_plan::PlanAccess;
use super::partitions::NewestFirst;
use super::row::Inputs;
use super::source::{Key, Source};
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::relation_changes::generation;
use model::recipe::Recipe;
use model::Scorer;
use pgrx::pg_sys;
use pgrx::Uuid;
use std::cell::RefCell;
use std::rc::Rc;

/// Reads the newest row of one version's source, for the length of a statement.
pub struct NewestRow {
    /// The memory of the call site that reads.
    call_site: pg_sys::MemoryContext,
    with_as_of: bool,
    access: Access,
}

enum Access {
    Index(Rc<NewestFirst>),
    Plan(PlanAccess),
}

impl NewestRow {
    /// # Safety
    /// Called with an active snapshot, which is that of every later call.
    pub unsafe fn of(
        call_site: pg_sys::MemoryContext,
        version: &VersionRow,
        recipe: &Recipe,
        key: Key,
        with_as_of: bool,
    ) -> Result<Self, Error> {
        let id = (version.artifact_id, key);
        let path = index_path(id, version, recipe)?.filter(|path| caller_may_read(path.table()));
        let access = match path {
            Some(path) if version.time_column.is_some() || !with_as_of => Access::Index(path),
            _ => Access::Plan(PlanAccess::of(version, recipe, key, with_as_of)?),
        };
        Ok(Self { call_site, with_as_of, access })
    }

    /// Whether this can answer a call with, or without, an as-of date.
    #[inline]
    pub fn serves(&self, with_as_of: bool) -> bool {
        self.with_as_of == with_as_of
    }

    /// Fills the inputs from the newest row of the key; false where the key has none.
    ///
    /// # Safety
    /// The values are of the types that this was made for.
    pub unsafe fn fill(
        &mut self,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        scorer: &Scorer,
        inputs: &mut Inputs,
    ) -> Result<bool, Error> {
        match &mut self.access {
            Access::Index(path) => path.fill(self.call_site, key, as_of, scorer, inputs),
            Access::Plan(plan) => plan.fill(key, as_of, scorer, inputs),
        }
    }
}

/// An index path, or that there is none, as of one state of the relation cache.
struct KnownPath {
    id: (Uuid, Key),
    generation: u64,
    path: Option<Rc<NewestFirst>>,
}

thread_local! {
    static PATHS: RefCell<Vec<KnownPath>> = const { RefCell::new(Vec::new()) };
}

/// Paths that a backend keeps at most.
const MOST_KEPT: usize = 32;

unsafe fn index_path(
    id: (Uuid, Key),
    version: &VersionRow,
    recipe: &Recipe,
) -> Result<Option<Rc<NewestFirst>>, Error> {
    let find = || {
        PATHS.with_borrow(|paths| {
            let known = paths.iter().find(|known| known.id == id && known.generation == generation());
            known.map(|known| known.path.clone())
        })
    };
    if let Some(path) = find() {
        // Once locked, table and index stay; what happened to them before is heard of now.
        if let Some(path) = &path {
            pg_sys::LockRelationOid(path.table(), pg_sys::AccessShareLock as i32);
        }
        if find().is_some() {
            return Ok(path);
        }
    }
    let source = Source::find(version)?;
    source.check(version, recipe)?;
    let generation = generation();
    let path = NewestFirst::find(version, recipe, id.1, &source)?.map(Rc::new);
    PATHS.with_borrow_mut(|paths| {
        paths.retain(|known| known.id != id);
        if paths.len() == MOST_KEPT {
            paths.remove(0);
        }
        paths.push(KnownPath { id, generation, path: path.clone() });
    });
    Ok(path)
}
