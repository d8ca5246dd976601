//! Reads the newest row of a key through a kept plan. This works for anything that can be queried, and with the caller's
//! rights and row security.

use super::row::{Binding, Inputs};
use super::source::{Key, Source};
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::changes;
use crate::pg::storage_age;
use crate::pg::tuples::{self, Deformed};
use crate::pg::values::day_after;
use model::recipe::Recipe;
use model::Scorer;
use pgrx::spi::quote_identifier;
use pgrx::Uuid;
use pgrx::{pg_sys, PgList};
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::rc::Rc;

/// How many plans a backend keeps at most.
const MOST_KEPT: usize = 32;

/// Access to the newest rows through a plan.
pub struct PlanAccess {
    plan: Rc<Plan>,
    model: String,
    /// The binding, with the types of the result's columns that it was made for. If the types change, the columns are bound
    /// again.
    binding: Option<(Vec<pg_sys::Oid>, Binding)>,
    deformed: Deformed,
    /// Whether the relations that the plan reads are known to be stored as the snapshot sees them.
    in_place: Cell<bool>,
}

impl PlanAccess {
    pub fn of(version: &VersionRow, recipe: &Recipe, key: Key, with_as_of: bool) -> Result<Self, Error> {
        Self::of_shard(version, recipe, key, with_as_of, None)
    }

    /// The same; the rows are those of a shard of the source, if one is given.
    pub fn of_shard(
        version: &VersionRow,
        recipe: &Recipe,
        key: Key,
        with_as_of: bool,
        shard: Option<pg_sys::Oid>,
    ) -> Result<Self, Error> {
        let id = PlanId { artifact_id: version.artifact_id, key, with_as_of, shard };
        let source = || Source::find_or_shard(version, shard);
        let plan = kept_plan(id, || newest_row_of(source, version, recipe, &[], (key, with_as_of)))?;
        let (model, deformed) = (version.model.clone(), Deformed::default());
        Ok(Self { plan, model, binding: None, deformed, in_place: Cell::new(false) })
    }

    /// Fills the inputs from the newest row of the key; `false` if the key has none.
    ///
    /// # Safety
    /// The values have the types that the plan was prepared for, and there is an active snapshot.
    pub unsafe fn fill(
        &mut self,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        scorer: &Scorer,
        inputs: &mut Inputs,
    ) -> Result<bool, Error> {
        // SAFETY: the values and the snapshot are as the caller says. The columns are bound for the descriptor of the row.
        unsafe {
            let plan = Rc::clone(&self.plan);
            let in_place = self.in_place.clone();
            let found = plan.newest(key, as_of, &in_place, |descriptor, tuple| {
                self.bind(descriptor, scorer.recipe())?;
                let attributes = self.deformed.take_apart(tuple, descriptor);
                match &self.binding {
                    Some((_, binding)) => binding.fill(attributes, scorer, inputs),
                    None => unreachable!("bound above"),
                }
            });
            self.in_place = in_place;
            Ok(found?.is_some())
        }
    }

    /// Calls `take` with the newest row of the key; `None` if there is none. The row has the recipe's columns.
    ///
    /// # Safety
    /// The values have the types that the plan was prepared for, and there is an active snapshot.
    pub unsafe fn newest<T>(
        &self,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        take: impl FnOnce(pg_sys::TupleDesc, pg_sys::HeapTuple) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // SAFETY: the values and the snapshot are as the caller says.
        unsafe { self.plan.newest(key, as_of, &self.in_place, take) }
    }

    /// # Safety
    /// `descriptor` is live.
    unsafe fn bind(&mut self, descriptor: pg_sys::TupleDesc, recipe: &Recipe) -> Result<(), Error> {
        // SAFETY: the descriptor is live, as the caller says.
        unsafe {
            let types = || tuples::attributes(descriptor).map(|(_, attribute)| attribute.atttypid);
            if !self.binding.as_ref().is_some_and(|(bound, _)| bound.iter().copied().eq(types())) {
                self.binding = Some((types().collect(), Binding::new(&self.model, recipe, descriptor)?));
            }
            Ok(())
        }
    }
}

/// A prepared query whose plan outlives the transaction.
struct Plan {
    pointer: pg_sys::SPIPlanPtr,
    query: KeyQuery,
}

impl Plan {
    /// Calls `take` with the first row; `None` if there is none.
    ///
    /// # Safety
    /// The values have the types that the plan was prepared for, and there is an active snapshot.
    unsafe fn newest<T>(
        &self,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        in_place: &Cell<bool>,
        take: impl FnOnce(pg_sys::TupleDesc, pg_sys::HeapTuple) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // SAFETY: the plan is kept, and it takes at most three values, of the types that the caller gives. The row is used
        // before SPI frees it.
        unsafe {
            let until = as_of.map_or(pg_sys::Datum::from(0), day_after);
            let mut values = [key[0], key[1], until];
            pg_sys::SPI_connect();
            pg_sys::SPI_execute_plan(self.pointer, values.as_mut_ptr(), std::ptr::null(), true, 1);
            if !in_place.replace(true) {
                // The check comes after the first run, because that run has taken the locks.
                self.check_storage()?;
            }
            let found = pg_sys::SPI_processed > 0;
            let taken = found.then(|| {
                let table = &*pg_sys::SPI_tuptable;
                take(table.tupdesc, *table.vals)
            });
            let taken = taken.transpose()?;
            pg_sys::SPI_finish();
            Ok(taken)
        }
    }

    /// # Safety
    /// The plan has run in this statement, so the relations that it reads are locked; there is an active snapshot.
    unsafe fn check_storage(&self) -> Result<(), Error> {
        // SAFETY: a kept plan has sources, and the relations are locked, as the caller says.
        unsafe {
            let sources =
                PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(self.pointer));
            // A source names no partitions. A generic plan does, but there is none where a setting forbids it.
            for source in sources.iter_ptr() {
                for relation in PgList::<pg_sys::Oid>::from_pg((*source).relationOids).iter_oid() {
                    storage_age::check(storage_age::with_children(relation))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: `prepare` has kept the plan, and it is freed once.
            unsafe { pg_sys::SPI_freeplan(self.pointer) };
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct PlanId {
    artifact_id: Uuid,
    key: Key,
    with_as_of: bool,
    shard: Option<pg_sys::Oid>,
}

/// A plan whose query was right at one number of relation changes. Postgres makes a new plan from the same text after a
/// change, but the text names the columns and types from before.
struct KnownPlan {
    id: PlanId,
    as_of: u64,
    plan: Rc<Plan>,
}

thread_local! {
    static PLANS: RefCell<Vec<KnownPlan>> = const { RefCell::new(Vec::new()) };
}

fn kept_plan(id: PlanId, query: impl FnOnce() -> Result<KeyQuery, Error>) -> Result<Rc<Plan>, Error> {
    let find = || {
        PLANS.with_borrow(|plans| {
            plans.iter().find(|known| known.id == id).map(|known| (known.as_of, Rc::clone(&known.plan)))
        })
    };
    let known = find();
    if let Some((as_of, plan)) = &known {
        if *as_of == changes::relations() {
            return Ok(Rc::clone(plan));
        }
    }
    let as_of = changes::relations();
    let query = query()?;
    let plan = match known {
        Some((_, plan)) if plan.query == query => plan,
        _ => Rc::new(query.prepare()?),
    };
    PLANS.with_borrow_mut(|plans| {
        plans.retain(|known| known.id != id);
        if plans.len() == MOST_KEPT {
            plans.remove(0);
        }
        plans.push(KnownPlan { id, as_of, plan: Rc::clone(&plan) });
    });
    Ok(plan)
}

/// A query for the newest row of a key.
#[derive(PartialEq, Eq)]
pub struct KeyQuery {
    pub text: String,
    /// The types of the product, the region and, if the query takes one, the day after the as-of date. That day is the
    /// bound, so the as-of date counts to its end, for a timestamp too.
    pub argument_types: Vec<pg_sys::Oid>,
}

impl KeyQuery {
    fn prepare(mut self) -> Result<Plan, Error> {
        let text =
            CString::new(self.text.as_str()).map_err(|_| Error::invalid("a name contains a zero byte"))?;
        // SAFETY: the text and the types live through the calls; a failure is raised as an error.
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
            Ok(Plan { pointer: plan, query: self })
        }
    }
}

/// The recipe's columns as SQL, of a source that the query calls t.
pub fn recipe_columns(recipe: &Recipe) -> Vec<String> {
    recipe.columns.iter().map(|column| format!("t.{}", quote_identifier(&column.name))).collect()
}

/// The query for the newest row of a key: the recipe's columns, and then `more`, of a source that the query calls t.
pub fn newest_row(
    version: &VersionRow,
    recipe: &Recipe,
    more: &[String],
    key: Key,
    with_as_of: bool,
) -> Result<KeyQuery, Error> {
    newest_row_of(|| Source::find(version), version, recipe, more, (key, with_as_of))
}

/// The same of another relation with the columns of the version's source, such as a shard of it.
fn newest_row_of(
    source: impl FnOnce() -> Result<Source, Error>,
    version: &VersionRow,
    recipe: &Recipe,
    more: &[String],
    (key, with_as_of): (Key, bool),
) -> Result<KeyQuery, Error> {
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
    let source = source()?;
    source.check(version, recipe)?;
    let columns: Vec<String> = recipe_columns(recipe).into_iter().chain(more.iter().cloned()).collect();
    let mut text = format!(
        "SELECT {} FROM {} AS t WHERE {} AND {}",
        columns.join(", "),
        source.relation.name,
        source.equals(version, product, "$1", key)?,
        source.equals_written(version, region, "$2")?
    );
    let mut argument_types = vec![key.type_oid(), pg_sys::TEXTOID];
    match &version.time_column {
        Some(time) => {
            let time = quote_identifier(time);
            if with_as_of {
                text += &format!(" AND t.{time} OPERATOR(pg_catalog.<) $3");
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
    Ok(KeyQuery { text, argument_types })
}
