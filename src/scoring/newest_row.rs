//! The newest feature row of a key, read with the caller's rights and row security: straight from an index where
//! that is possible ([`super::index_probe`]), through a kept plan ([`super::key_plan`]) otherwise.

use super::index_probe::{caller_may_read, Found, Place};
use super::key_plan::PlanAccess;
use super::model_cache::Decoded;
use super::partitions::NewestFirst;
use super::row::Inputs;
use super::source::{Key, Source};
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::changes;
use crate::pg::layout::changed;
use model::recipe::Recipe;
use pgrx::pg_sys;
use pgrx::Uuid;
use std::cell::RefCell;
use std::rc::Rc;

/// Reads the newest row of one version's source, for the length of a statement.
pub struct NewestRow {
    /// The memory of the call site that reads.
    call_site: pg_sys::MemoryContext,
    key: Key,
    with_as_of: bool,
    access: Access,
}

enum Access {
    Index(IndexAccess),
    Plan(PlanAccess),
}

struct IndexAccess {
    path: Rc<NewestFirst>,
    /// See [`Place`].
    found_at: u64,
    /// See [`NewestFirst::fill`].
    in_place: usize,
}

impl NewestRow {
    /// # Safety
    /// Called with an active snapshot, which is that of every later call.
    pub unsafe fn of(
        call_site: pg_sys::MemoryContext,
        Decoded { version, scorer, .. }: &Decoded,
        key: Key,
        with_as_of: bool,
    ) -> Result<Self, Error> {
        // SAFETY: what the caller promises.
        unsafe {
            let access = Access::of(version, scorer.recipe(), key, with_as_of, false)?;
            Ok(Self { call_site, key, with_as_of, access })
        }
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
        decoded: &Decoded,
        inputs: &mut Inputs,
    ) -> Result<bool, Error> {
        // SAFETY: what the caller promises.
        unsafe {
            let Decoded { version, scorer, .. } = decoded;
            for _ in 0..MOST_ATTEMPTS {
                let Access::Index(IndexAccess { path, found_at, in_place }) = &mut self.access else { break };
                let place = Place { call_site: self.call_site, found_at: *found_at };
                match path.fill(place, key, as_of, scorer, (&mut *inputs, in_place))? {
                    Found::Row => return Ok(true),
                    Found::Nothing => return Ok(false),
                    Found::Stale => {
                        self.access = Access::of(version, scorer.recipe(), self.key, self.with_as_of, true)?;
                    }
                }
            }
            match &mut self.access {
                Access::Index(_) => Err(changed(&version.source)),
                Access::Plan(plan) => plan.fill(key, as_of, scorer, inputs),
            }
        }
    }
}

/// How often a path is found anew for one key. With all its tables locked it is found for good, unless the statement itself
/// goes on to alter them.
const MOST_ATTEMPTS: usize = 3;

/// A path, if there is one, and the state of the relation cache in which it is one.
type Path = (Option<Rc<NewestFirst>>, u64);

impl Access {
    /// # Safety
    /// Called with an active snapshot.
    unsafe fn of(
        version: &VersionRow,
        recipe: &Recipe,
        key: Key,
        with_as_of: bool,
        anew: bool,
    ) -> Result<Self, Error> {
        // SAFETY: what the caller promises.
        unsafe {
            let id = PathId { artifact_id: version.artifact_id, key, user: pg_sys::GetUserId() };
            let (path, found_at) = match anew {
                // Its tables are locked: what is heard of from now on are other tables, or this statement's own doing.
                true => (find_path(id, version, recipe)?, changes::relations()),
                false => known_path(id, version, recipe)?,
            };
            Ok(match path.filter(|path| caller_may_read(path.table())) {
                Some(path) if version.time_column.is_some() || !with_as_of => {
                    Self::Index(IndexAccess { path, found_at, in_place: 0 })
                }
                _ => Self::Plan(PlanAccess::of(version, recipe, key, with_as_of)?),
            })
        }
    }
}

/// Whose rows a path leads to, and who found it: a name can be looked up where its schema may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PathId {
    artifact_id: Uuid,
    key: Key,
    user: pg_sys::Oid,
}

/// An index path, or that there is none, as of one state of relations and roles.
struct KnownPath {
    id: PathId,
    as_of: (u64, u64),
    path: Option<Rc<NewestFirst>>,
}

thread_local! {
    static PATHS: RefCell<Vec<KnownPath>> = const { RefCell::new(Vec::new()) };
}

/// Paths that a backend keeps at most.
const MOST_KEPT: usize = 32;

fn generations() -> (u64, u64) {
    (changes::relations(), changes::roles())
}

/// The path that this backend knows, if nothing has happened since it was found; else it is found now.
///
/// # Safety
/// Called with an active snapshot.
unsafe fn known_path(id: PathId, version: &VersionRow, recipe: &Recipe) -> Result<Path, Error> {
    // SAFETY: what the caller promises.
    unsafe {
        let known = || {
            PATHS.with_borrow(|paths| {
                let known = paths.iter().find(|known| known.id == id && known.as_of == generations());
                known.map(|known| (known.path.clone(), known.as_of.0))
            })
        };
        if let Some((path, _)) = known() {
            // With the lock comes the news of what happened before.
            if let Some(path) = &path {
                pg_sys::LockRelationOid(path.table(), pg_sys::AccessShareLock as i32);
            }
            if let Some(path) = known() {
                return Ok(path);
            }
        }
        Ok((find_path(id, version, recipe)?, changes::relations()))
    }
}

/// Finds the path, with all its tables locked, and remembers it.
///
/// # Safety
/// Called with an active snapshot.
unsafe fn find_path(
    id: PathId,
    version: &VersionRow,
    recipe: &Recipe,
) -> Result<Option<Rc<NewestFirst>>, Error> {
    // SAFETY: what the caller promises.
    unsafe {
        let source = Source::find(version)?;
        source.check(version, recipe)?;
        let as_of = generations();
        let path = NewestFirst::find(version, recipe, id.key, &source.relation)?.map(Rc::new);
        PATHS.with_borrow_mut(|paths| {
            paths.retain(|known| known.id != id);
            if paths.len() == MOST_KEPT {
                paths.remove(0);
            }
            paths.push(KnownPath { id, as_of, path: path.clone() });
        });
        Ok(path)
    }
}
