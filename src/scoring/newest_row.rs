//! Reads the newest feature row of a key, with the caller's rights and row security. It is read straight from an index
//! where that is possible ([`super::index_probe`]), and otherwise through a kept plan ([`super::key_plan`]). In a query on shards
//! of Citus it is read from the shard that has the key ([`super::shard_rows`]).

use super::index_probe::{caller_may_read, Found, Place};
use super::key_plan::PlanAccess;
use super::model_cache::Decoded;
use super::partitions::NewestFirst;
use super::row::Inputs;
use super::shard_rows::ShardRows;
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

/// Access to the newest rows of one version's source, for as long as a statement runs.
pub struct NewestRow {
    sought: Sought,
    rows: Rows,
}

/// Where the rows are.
enum Rows {
    Here(Access),
    Shards(ShardRows<Access>),
}

/// What is asked for, by whom.
#[derive(Clone, Copy)]
struct Sought {
    /// The memory context of the call site that reads.
    call_site: pg_sys::MemoryContext,
    key: Key,
    with_as_of: bool,
    /// The shard of the source that has the rows; `None` if they are the source's own.
    shard: Option<pg_sys::Oid>,
}

/// Access to the newest rows of one relation.
enum Access {
    Index(IndexAccess),
    Plan(PlanAccess),
}

struct IndexAccess {
    path: Rc<NewestFirst>,
    /// The same as [`Place::found_at`].
    found_at: u64,
    /// The same as the argument of [`NewestFirst::fill`].
    in_place: usize,
}

impl NewestRow {
    /// # Safety
    /// There is an active snapshot, and every later call has the same one.
    pub unsafe fn of(
        call_site: pg_sys::MemoryContext,
        decoded: &Decoded,
        key: Key,
        with_as_of: bool,
    ) -> Result<Self, Error> {
        let sought = Sought { call_site, key, with_as_of, shard: None };
        let rows = match ShardRows::needed(&decoded.version)? {
            Some(shards) => Rows::Shards(shards),
            // SAFETY: the snapshot is active, as the caller says.
            None => Rows::Here(unsafe { Access::of(sought, decoded)? }),
        };
        Ok(Self { sought, rows })
    }

    /// Whether this access can answer a call with an as-of date, or one without.
    #[inline]
    pub fn serves(&self, with_as_of: bool) -> bool {
        self.sought.with_as_of == with_as_of
    }

    /// Fills the inputs from the newest row of the key; `false` if the key has none.
    ///
    /// # Safety
    /// The values have the types that this access was made for, and the snapshot is that of [`Self::of`].
    pub unsafe fn fill(
        &mut self,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        decoded: &Decoded,
        inputs: &mut Inputs,
    ) -> Result<bool, Error> {
        // SAFETY: the values and the snapshot are as the caller says.
        unsafe {
            let (sought, access) = match &mut self.rows {
                Rows::Here(access) => (self.sought, access),
                Rows::Shards(shards) => {
                    let shard = shards.with(key, self.sought.key)?;
                    let sought = Sought { shard: Some(shard), ..self.sought };
                    (sought, shards.access(shard, || Access::of(sought, decoded))?)
                }
            };
            access.fill(sought, key, as_of, decoded, inputs)
        }
    }
}

/// How often a path is looked for again for one key. The second look-up happens with all tables of the path locked, so its
/// path stays right, unless the statement itself goes on to alter the tables.
const MOST_ATTEMPTS: usize = 3;

/// A path, if there is one, and the number of relation changes at which it was found.
type Path = (Option<Rc<NewestFirst>>, u64);

impl Access {
    /// # Safety
    /// There is an active snapshot.
    unsafe fn of(sought: Sought, decoded: &Decoded) -> Result<Self, Error> {
        // SAFETY: the snapshot is active, as the caller says.
        unsafe { Self::found(sought, decoded, false) }
    }

    /// `anew`: whether the path is looked for although one is known.
    ///
    /// # Safety
    /// There is an active snapshot.
    unsafe fn found(
        Sought { key, with_as_of, shard, .. }: Sought,
        Decoded { version, scorer, .. }: &Decoded,
        anew: bool,
    ) -> Result<Self, Error> {
        // SAFETY: the snapshot is active, as the caller says.
        unsafe {
            let recipe = scorer.recipe();
            let id = PathId { artifact_id: version.artifact_id, key, user: pg_sys::GetUserId(), shard };
            let (path, found_at) = match anew {
                // The tables of the path are locked. So changes from now on are of other tables, or this statement makes
                // them itself.
                true => (find_path(id, version, recipe)?, changes::relations()),
                false => known_path(id, version, recipe)?,
            };
            Ok(match path.filter(|path| caller_may_read(path.table())) {
                Some(path) if version.time_column.is_some() || !with_as_of => {
                    Self::Index(IndexAccess { path, found_at, in_place: 0 })
                }
                _ => Self::Plan(PlanAccess::of_shard(version, recipe, key, with_as_of, shard)?),
            })
        }
    }

    /// Does what [`NewestRow::fill`] does.
    ///
    /// # Safety
    /// The same as for [`NewestRow::fill`]; `sought` is what this access was made for.
    unsafe fn fill(
        &mut self,
        sought: Sought,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        decoded: &Decoded,
        inputs: &mut Inputs,
    ) -> Result<bool, Error> {
        // SAFETY: the values and the snapshot are as the caller says.
        unsafe {
            let Decoded { version, scorer, .. } = decoded;
            for _ in 0..MOST_ATTEMPTS {
                let Self::Index(IndexAccess { path, found_at, in_place }) = self else { break };
                let place = Place { call_site: sought.call_site, found_at: *found_at };
                match path.fill(place, key, as_of, scorer, (&mut *inputs, in_place))? {
                    Found::Row => return Ok(true),
                    Found::Nothing => return Ok(false),
                    Found::Stale => *self = Self::found(sought, decoded, true)?,
                }
            }
            match self {
                Self::Index(_) => Err(changed(&version.source)),
                Self::Plan(plan) => plan.fill(key, as_of, scorer, inputs),
            }
        }
    }
}

/// The version whose rows a path leads to, how its product is given, and the user who found the path: another user may not
/// be allowed to look up the name in its schema.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PathId {
    artifact_id: Uuid,
    key: Key,
    user: pg_sys::Oid,
    /// The same as [`Sought::shard`].
    shard: Option<pg_sys::Oid>,
}

/// A path that was found, or that there is none, at one number of changes to relations and to roles.
struct KnownPath {
    id: PathId,
    as_of: (u64, u64),
    path: Option<Rc<NewestFirst>>,
}

thread_local! {
    static PATHS: RefCell<Vec<KnownPath>> = const { RefCell::new(Vec::new()) };
}

/// How many paths a backend keeps at most.
const MOST_KEPT: usize = 32;

fn generations() -> (u64, u64) {
    (changes::relations(), changes::roles())
}

/// The path that this backend knows, if no relation and no role has changed since it was found. Otherwise it is looked for
/// now.
///
/// # Safety
/// There is an active snapshot.
unsafe fn known_path(id: PathId, version: &VersionRow, recipe: &Recipe) -> Result<Path, Error> {
    // SAFETY: the snapshot is active, as the caller says; any OID may be locked.
    unsafe {
        let known = || {
            PATHS.with_borrow(|paths| {
                let known = paths.iter().find(|known| known.id == id && known.as_of == generations());
                known.map(|known| (known.path.clone(), known.as_of.0))
            })
        };
        if let Some((path, _)) = known() {
            // Taking the lock brings the invalidations of what happened before.
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

/// Finds the path, while all its tables are locked, and remembers it.
///
/// # Safety
/// There is an active snapshot.
unsafe fn find_path(
    id: PathId,
    version: &VersionRow,
    recipe: &Recipe,
) -> Result<Option<Rc<NewestFirst>>, Error> {
    // SAFETY: the snapshot is active, as the caller says.
    unsafe {
        let source = Source::find_or_shard(version, id.shard)?;
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
