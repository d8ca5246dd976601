//! The newest feature row of a key, read with the caller's rights and row security: straight from an index where
//! that is possible ([`super::index_probe`]), through a kept plan otherwise.

use super::call::OwnContext;
use super::index_probe::{caller_may_read, IndexPath};
use super::row::{Attributes, Binding, Deformed, Inputs};
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::tuples;
use crate::values;
use model::recipe::{Family, Recipe};
use model::Scorer;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use pgrx::Uuid;
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::rc::Rc;

/// The type of the product argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Bigint,
    Text,
}

impl Key {
    fn type_oid(self) -> pg_sys::Oid {
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

/// Reads the newest row of one version's source, for the length of a statement.
pub struct NewestRow {
    with_as_of: bool,
    access: Access,
}

enum Access {
    Index { path: Rc<IndexPath>, slot: *mut pg_sys::TupleTableSlot, _memory: OwnContext },
    Plan(PlanAccess),
}

impl NewestRow {
    /// # Safety
    /// Called with an active snapshot, which is that of every later call.
    pub unsafe fn of(
        version: &VersionRow,
        recipe: &Recipe,
        key: Key,
        with_as_of: bool,
    ) -> Result<Self, Error> {
        let id = (version.artifact_id, key);
        let path = index_path(id, version, recipe)?.filter(|path| caller_may_read(path.table()));
        let access = match path {
            Some(path) if version.time_column.is_some() || !with_as_of => {
                let (memory, slot) = OwnContext::holding(|| path.slot());
                Access::Index { path, slot, _memory: memory }
            }
            _ => Access::Plan(PlanAccess::of(version, recipe, key, with_as_of)?),
        };
        Ok(Self { with_as_of, access })
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
            Access::Index { path, slot, .. } => {
                let take = |attributes: Attributes| path.binding().fill(attributes, scorer, inputs);
                path.probe(key, as_of, *slot, take).transpose().map(|found| found.is_some())
            }
            Access::Plan(plan) => plan.fill(key, as_of, scorer, inputs),
        }
    }
}

/// An index path, or that there is none, as of one state of the relation cache.
struct KnownPath {
    id: (Uuid, Key),
    generation: u64,
    path: Option<Rc<IndexPath>>,
}

thread_local! {
    static PATHS: RefCell<Vec<KnownPath>> = const { RefCell::new(Vec::new()) };
    /// Grows with every change to a relation that this backend hears of.
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// Paths and plans that a backend keeps at most.
const MOST_KEPT: usize = 32;

unsafe fn index_path(
    id: (Uuid, Key),
    version: &VersionRow,
    recipe: &Recipe,
) -> Result<Option<Rc<IndexPath>>, Error> {
    listen();
    let find = || {
        PATHS.with_borrow(|paths| {
            let known = paths.iter().find(|known| known.id == id && known.generation == GENERATION.get());
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
    let generation = GENERATION.get();
    let path = IndexPath::find(version, recipe, id.1, &source)?.map(Rc::new);
    PATHS.with_borrow_mut(|paths| {
        paths.retain(|known| known.id != id);
        if paths.len() == MOST_KEPT {
            paths.remove(0);
        }
        paths.push(KnownPath { id, generation, path: path.clone() });
    });
    Ok(path)
}

/// Asks to be told of changes to relations, once in a backend's life.
fn listen() {
    #[pg_guard]
    unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
        GENERATION.set(GENERATION.get() + 1);
    }
    if !LISTENING.replace(true) {
        // SAFETY: the callback lives as long as the library, which is never unloaded.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0)) };
    }
}

/// Reads through a plan.
struct PlanAccess {
    plan: Rc<Plan>,
    model: String,
    /// The types of the result's columns, which must stay those that they were bound for.
    binding: Option<(Vec<pg_sys::Oid>, Binding)>,
    deformed: Deformed,
}

impl PlanAccess {
    fn of(version: &VersionRow, recipe: &Recipe, key: Key, with_as_of: bool) -> Result<Self, Error> {
        let id = PlanId { artifact_id: version.artifact_id, key, with_as_of };
        let plan = kept_plan(id, || query(version, recipe, key, with_as_of))?;
        Ok(Self { plan, model: version.model.clone(), binding: None, deformed: Deformed::default() })
    }

    unsafe fn fill(
        &mut self,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        scorer: &Scorer,
        inputs: &mut Inputs,
    ) -> Result<bool, Error> {
        let mut values = [key[0], key[1], as_of.unwrap_or(pg_sys::Datum::from(0))];
        pg_sys::SPI_connect();
        pg_sys::SPI_execute_plan(self.plan.pointer, values.as_mut_ptr(), std::ptr::null(), true, 1);
        let found = pg_sys::SPI_processed > 0;
        if found {
            let table = &*pg_sys::SPI_tuptable;
            self.bind(table.tupdesc, scorer.recipe())?;
            let attributes = self.deformed.take_apart(*table.vals, table.tupdesc);
            if let Some((_, binding)) = &self.binding {
                binding.fill(attributes, scorer, inputs)?;
            }
        }
        pg_sys::SPI_finish();
        Ok(found)
    }

    unsafe fn bind(&mut self, descriptor: pg_sys::TupleDesc, recipe: &Recipe) -> Result<(), Error> {
        let types = || tuples::attributes(descriptor).map(|(_, attribute)| attribute.atttypid);
        if !self.binding.as_ref().is_some_and(|(bound, _)| bound.iter().copied().eq(types())) {
            self.binding = Some((types().collect(), Binding::new(&self.model, recipe, descriptor)?));
        }
        Ok(())
    }
}

/// A prepared query that outlives the transaction.
struct Plan {
    pointer: pg_sys::SPIPlanPtr,
}

impl Drop for Plan {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: kept by `prepare`, freed once.
            unsafe { pg_sys::SPI_freeplan(self.pointer) };
        }
    }
}

#[derive(PartialEq, Eq)]
struct PlanId {
    artifact_id: Uuid,
    key: Key,
    with_as_of: bool,
}

thread_local! {
    static PLANS: RefCell<Vec<(PlanId, Rc<Plan>)>> = const { RefCell::new(Vec::new()) };
}

fn kept_plan(id: PlanId, query: impl FnOnce() -> Result<Query, Error>) -> Result<Rc<Plan>, Error> {
    let known = PLANS
        .with_borrow(|plans| plans.iter().find(|(known, _)| *known == id).map(|(_, plan)| Rc::clone(plan)));
    if let Some(plan) = known {
        return Ok(plan);
    }
    let plan = Rc::new(query()?.prepare()?);
    PLANS.with_borrow_mut(|plans| {
        if plans.len() == MOST_KEPT {
            plans.remove(0);
        }
        plans.push((id, Rc::clone(&plan)));
    });
    Ok(plan)
}

struct Query {
    text: String,
    argument_types: Vec<pg_sys::Oid>,
}

impl Query {
    fn prepare(mut self) -> Result<Plan, Error> {
        let text = CString::new(self.text).map_err(|_| Error::invalid("a name contains a zero byte"))?;
        // SAFETY: text and types live through the calls; trouble is raised as an error.
        unsafe {
            pg_sys::SPI_connect();
            let plan = pg_sys::SPI_prepare_cursor(
                text.as_ptr(),
                self.argument_types.len() as i32,
                self.argument_types.as_mut_ptr(),
                pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
            );
            pg_sys::SPI_keepplan(plan);
            pg_sys::SPI_finish();
            Ok(Plan { pointer: plan })
        }
    }
}

fn query(version: &VersionRow, recipe: &Recipe, key: Key, with_as_of: bool) -> Result<Query, Error> {
    let [product, region] = version.keys.as_slice() else {
        return Err(Error::InvalidArgument(
            format!(
                "model \"{}\" has the keys ({}), not a product and a region",
                version.model,
                version.keys.join(", ")
            ),
            Some("Score its rows with reco.predict(model, row).".into()),
        ));
    };
    let source = Source::find(version)?;
    let columns: Vec<_> = recipe.columns.iter().map(|c| format!("t.{}", quote_identifier(&c.name))).collect();
    let mut text = format!(
        "SELECT {} FROM {} AS t WHERE {} AND {}",
        columns.join(", "),
        version.source,
        source.equals(version, product, 1, key)?,
        source.equals(version, region, 2, Key::Text)?
    );
    let mut argument_types = vec![key.type_oid(), pg_sys::TEXTOID];
    match &version.time_column {
        Some(time) => {
            let time = quote_identifier(time);
            if with_as_of {
                // To the end of that day, for a timestamp too.
                text += &format!(" AND t.{time} OPERATOR(pg_catalog.<) ($3 OPERATOR(pg_catalog.+) 1)");
                argument_types.push(pg_sys::DATEOID);
            }
            text += &format!(" AND t.{time} IS NOT NULL ORDER BY t.{time} DESC LIMIT 1");
        }
        None if with_as_of => {
            return Err(Error::invalid(format!(
                "model \"{}\" has no time column, so as_of has no meaning",
                version.model
            )))
        }
        None => text += " LIMIT 1",
    }
    Ok(Query { text, argument_types })
}

/// The relation that a version was trained on, with its columns' attribute numbers and types.
pub struct Source {
    pub oid: pg_sys::Oid,
    columns: Vec<(String, i16, pg_sys::Oid)>,
}

impl Source {
    fn find(version: &VersionRow) -> Result<Self, Error> {
        let gone = || Error::SourceGone(version.source.clone(), version.model.clone());
        let name = pgrx::rust_str_to_text_p(&version.source);
        // SAFETY: a name look-up, then the relation is opened and closed under a lock kept to the statement's end.
        unsafe {
            let names = pg_sys::textToQualifiedNameList(name.into_pg());
            let range = pg_sys::makeRangeVarFromNameList(names);
            let lock = pg_sys::AccessShareLock as i32;
            let missing_ok = pg_sys::RVROption::RVR_MISSING_OK;
            let oid = pg_sys::RangeVarGetRelidExtended(range, lock, missing_ok, None, std::ptr::null_mut());
            if oid == pg_sys::InvalidOid {
                return Err(gone());
            }
            let relation = pg_sys::relation_open(oid, pg_sys::NoLock as i32);
            let columns = tuples::attributes((*relation).rd_att)
                .map(|(_, attribute)| {
                    (tuples::attribute_name(attribute), attribute.attnum, attribute.atttypid)
                })
                .collect();
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
            Ok(Self { oid, columns })
        }
    }

    /// A column's attribute number, from 1; 0 where there is no such column.
    pub fn position(&self, column: &str) -> i16 {
        self.columns.iter().find(|(name, ..)| name == column).map_or(0, |(_, position, _)| *position)
    }

    /// `column = $n` in a form that an index on the column can answer.
    fn equals(&self, version: &VersionRow, column: &str, n: usize, argument: Key) -> Result<String, Error> {
        let Some((_, _, found)) = self.columns.iter().find(|(name, ..)| name == column) else {
            return Err(Error::UndefinedColumn {
                message: format!("key column \"{column}\" does not exist in {}", version.source),
                hint: format!("Train \"{}\" again.", version.model),
            });
        };
        // SAFETY: catalog look-ups of a column's type.
        let (base, is_enum) = unsafe {
            let base = pg_sys::getBaseType(*found);
            (base, pg_sys::type_is_enum(base))
        };
        let type_name = values::type_name(base, -1);
        let family = values::reader_of(base).map(|(family, _)| family);
        let fits = match argument {
            Key::Bigint => family == Some(Family::Number),
            Key::Text => family == Some(Family::Text),
        };
        if !fits {
            return Err(Error::InvalidArgument(
                format!(
                    "{column} is {type_name} in {}, but {} was given",
                    version.source,
                    argument.sql_name()
                ),
                Some("recommend takes the product as bigint or as text, and the region as text.".into()),
            ));
        }
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
                "(SELECT v FROM pg_catalog.unnest(pg_catalog.enum_range(NULL::{type_name})) AS v \
                 WHERE v::pg_catalog.text OPERATOR(pg_catalog.=) ${n})"
            ),
            _ => format!("${n}::{type_name}"),
        };
        Ok(format!("t.{} OPERATOR(pg_catalog.=) {value}", quote_identifier(column)))
    }
}
