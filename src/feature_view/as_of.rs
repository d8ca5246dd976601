//! `reco.features_as_of`: the newest feature row that was known at a moment, for each row of a spine.

use super::registry::FeatureView;
use crate::error::{or_raise, Error};
use crate::pg::call_site::{argument, state};
use crate::pg::changes;
use crate::pg::layout::{changed, RowType};
use crate::pg::moment::Moment;
use crate::pg::relations;
use crate::pg::tuples::{self, Composite};
use crate::pg::values::{self, Reader};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use std::ffi::CString;

/// See sql/feature_view.sql.
#[pg_extern(sql = false)]
fn features_as_of(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: Postgres calls this with the arguments that its SQL declares. The rows are in the tuple store.
    unsafe {
        let result = or_raise(ResultSet::begin(fcinfo));
        if let Some(spine) = argument(fcinfo, 1) {
            let at = values::name_argument(fcinfo, 2);
            let max_age = argument(fcinfo, 3);
            or_raise(max_age.map_or(Ok(()), |age| check_age(age)));
            or_raise(look_up(fcinfo, &Composite::of(spine), at, max_age, &result));
        }
    }
}

/// The state of a call site.
#[derive(Default)]
struct Call {
    lookup: Option<Lookup>,
}

/// A kept plan for spines of one type, as of one state of the relation cache.
struct Lookup {
    view: pg_sys::Oid,
    spine: RowType,
    at: Option<String>,
    generation: u64,
    moment: Moment,
    plan: pg_sys::SPIPlanPtr,
    /// Attribute numbers of the keys and of the moment in the spine.
    columns: Vec<i32>,
    /// How the moment, the last of these, is read.
    reader: Reader,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: kept in `prepare`, freed once.
            unsafe { pg_sys::SPI_freeplan(self.plan) };
        }
    }
}

/// # Safety
/// `fcinfo` is that of the running call.
unsafe fn look_up(
    fcinfo: pg_sys::FunctionCallInfo,
    spine: &Composite,
    at: Option<String>,
    max_age: Option<pg_sys::Datum>,
    result: &ResultSet,
) -> Result<(), Error> {
    let call = state::<Call>(fcinfo);
    let (view, row_type) = (result.view, spine.row_type());
    if let Some(known) = call.lookup.as_mut().filter(|known| known.spine.id == row_type) {
        // Of two rows of one statement nothing tells which definition they were made with.
        if !known.spine.is_unchanged() && known.moment == Moment::now() {
            return Err(changed(known.spine.name()));
        }
    }
    let fits = |known: &Lookup| {
        (known.view, known.spine.id, known.generation) == (view, row_type, changes::relations())
            && known.at == at
    };
    if !call.lookup.as_ref().is_some_and(fits) {
        call.lookup = Some(prepare(view, RowType::of(row_type), at)?);
    }
    let Some(lookup) = &call.lookup else { unreachable!("prepared above") };
    let mut tuple = spine.tuple();
    let mut values = Vec::with_capacity(lookup.columns.len() + 1);
    for column in &lookup.columns {
        let mut is_null = false;
        let value = pg_sys::heap_getattr(&mut tuple, *column, lookup.spine.descriptor, &mut is_null);
        if is_null {
            return Ok(());
        }
        values.push(value);
    }
    if let Some(moment) = values.last_mut() {
        *moment = within_reach(lookup.reader, *moment);
    }
    let nulls = format!("{}{}", " ".repeat(values.len()), if max_age.is_none() { "n" } else { " " });
    values.push(max_age.unwrap_or(pg_sys::Datum::from(0)));
    pg_sys::SPI_connect();
    pg_sys::SPI_execute_plan(lookup.plan, values.as_mut_ptr(), nulls.as_ptr().cast(), true, 1);
    if pg_sys::SPI_processed > 0 {
        let table = &*pg_sys::SPI_tuptable;
        let mut is_null = false;
        let row = pg_sys::SPI_getbinval(*table.vals, table.tupdesc, 1, &mut is_null);
        result.put(&Composite::of(row))?;
    }
    pg_sys::SPI_finish();
    Ok(())
}

/// # Safety
/// The view is locked, and there is a row of the spine.
unsafe fn prepare(relation: pg_sys::Oid, spine: RowType, at: Option<String>) -> Result<Lookup, Error> {
    let (generation, now) = (changes::relations(), Moment::now());
    let view = FeatureView::get(relation)?;
    let found: Vec<_> = tuples::attributes(spine.descriptor)
        .map(|(_, attribute)| (tuples::attribute_name(attribute), attribute.attnum, attribute.atttypid))
        .collect();
    let missing = |message| Error::UndefinedColumn {
        message,
        hint: format!(
            "Its columns are: {}.",
            found.iter().map(|c| c.0.as_str()).collect::<Vec<_>>().join(", ")
        ),
    };
    let mut chosen = Vec::new();
    for key in &view.keys {
        let column = found.iter().find(|(name, ..)| name == key);
        chosen
            .push(column.ok_or_else(|| missing(format!("key column \"{key}\" is missing from the spine")))?);
    }
    let is_moment = |oid| matches!(values::reader_of(oid), Some((Family::Date | Family::Timestamp, _)));
    let moments: Vec<_> = found.iter().filter(|(.., oid)| is_moment(*oid)).collect();
    let moment = match &at {
        Some(name) => moments
            .iter()
            .find(|(found, ..)| found == name)
            .copied()
            .ok_or_else(|| missing(format!("the spine has no date or timestamp \"{name}\"")))?,
        None => match moments.as_slice() {
            [only] => only,
            [] => return Err(missing("the spine has no date or timestamp".into())),
            several => {
                let names: Vec<_> = several.iter().map(|(name, ..)| name.as_str()).collect();
                return Err(Error::InvalidArgument(
                    format!("the spine has several dates and timestamps: {}", names.join(", ")),
                    Some("Name the one that counts: at => '…'.".into()),
                ));
            }
        },
    };
    chosen.push(moment);
    let Some((_, reader)) = values::reader_of(moment.2) else { unreachable!("a date or a timestamp") };
    let mut types: Vec<_> = chosen.iter().map(|(.., oid)| *oid).collect();
    types.push(pg_sys::INTERVALOID);
    let text = CString::new(query(&view)).map_err(|_| Error::invalid("a name contains a zero byte"))?;
    pg_sys::SPI_connect();
    let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
    pg_sys::SPI_keepplan(plan);
    pg_sys::SPI_finish();
    let columns = chosen.iter().map(|(_, number, _)| i32::from(*number)).collect();
    Ok(Lookup { view: relation, spine, at, generation, moment: now, plan, columns, reader })
}

/// Days and microseconds from 2000-01-01 that a week can be taken from, in any time zone: a timestamp ends in the year 294276.
const NEAR_DAYS: std::ops::RangeInclusive<i32> = -2_451_535..=106_751_980;
const NEAR_MOMENTS: std::ops::RangeInclusive<i64> = -2_451_535 * DAY..=106_751_980 * DAY;
const DAY: i64 = 86_400_000_000;

/// The oldest that a row may be asked to be; and the moment from which on one can be reckoned back so far.
const OLDEST_YEARS: i64 = 1000;
const OLDEST_FROM: &str = "'3000-01-01 BC'::pg_catalog.timestamp";

/// Refuses an age that is none, or that leads beyond the first of all moments.
///
/// # Safety
/// `age` is a non-NULL interval.
unsafe fn check_age(age: pg_sys::Datum) -> Result<(), Error> {
    let pg_sys::Interval { time, day, month } = *age.cast_mut_ptr::<pg_sys::Interval>();
    let days = 31 * i128::from(month) + i128::from(day);
    let age = days * i128::from(DAY) + i128::from(time);
    match (0..=i128::from(OLDEST_YEARS) * 372 * i128::from(DAY)).contains(&age) {
        true => Ok(()),
        false => Err(Error::InvalidArgument(
            format!("max_age is an interval from 0 to {OLDEST_YEARS} years"),
            Some("Leave it out, or NULL, for rows of any age.".into()),
        )),
    }
}

/// A moment, or the infinite one in place of one that is too far off to be reckoned with.
fn within_reach(reader: Reader, moment: pg_sys::Datum) -> pg_sys::Datum {
    match reader {
        Reader::Date => match moment.value() as i32 {
            day if NEAR_DAYS.contains(&day) => moment,
            day => pg_sys::Datum::from(if day < 0 { i32::MIN } else { i32::MAX }),
        },
        _ => match moment.value() as i64 {
            at if NEAR_MOMENTS.contains(&at) => moment,
            at => pg_sys::Datum::from(if at < 0 { i64::MIN } else { i64::MAX }),
        },
    }
}

/// A row of week w is known when the week is over, on the Monday after.
fn query(view: &FeatureView) -> String {
    let time = format!("v.{}", quote_identifier(&view.time_column));
    let keys = view
        .keys
        .iter()
        .enumerate()
        .map(|(n, key)| format!("v.{} OPERATOR(pg_catalog.=) ${} AND ", quote_identifier(key), n + 1));
    let n = view.keys.len();
    let known = format!("(${}::pg_catalog.timestamp OPERATOR(pg_catalog.-) INTERVAL '7 days')", n + 1);
    let age = format!("${}", n + 2);
    format!(
        "SELECT v.*::{view} FROM {view} AS v WHERE {keys}{time} OPERATOR(pg_catalog.<=) {known} \
         AND ({age} IS NULL OR {known} OPERATOR(pg_catalog.<) {OLDEST_FROM} OR {time} OPERATOR(pg_catalog.>=) ({known} OPERATOR(pg_catalog.-) {age})) \
         ORDER BY {time} DESC LIMIT 1",
        view = view.name,
        keys = keys.collect::<String>()
    )
}

/// The rows that a call returns, in a tuple store.
struct ResultSet {
    view: pg_sys::Oid,
    row_type: pg_sys::Oid,
    store: *mut pg_sys::Tuplestorestate,
}

impl ResultSet {
    /// # Safety
    /// `fcinfo` is that of the running call.
    unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self, Error> {
        let info = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
        if info.is_null() || (*info).allowedModes as u32 & materialize == 0 {
            return Err(Error::invalid("features_as_of is called where no set of rows can be taken"));
        }
        let row_type = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 0);
        let view = pg_sys::get_typ_typrelid(row_type);
        if view == pg_sys::InvalidOid {
            return Err(Error::InvalidArgument(
                "view must be a NULL of a feature view's row type".into(),
                Some("For example: reco.features_as_of(NULL::launch_features, spine)".into()),
            ));
        }
        // The rows are to have the columns that they are said to have: from here on nobody can alter the view.
        relations::lock(view, pg_sys::AccessShareLock)?;
        let previous = pg_sys::MemoryContextSwitchTo((*(*info).econtext).ecxt_per_query_memory);
        let descriptor = pg_sys::lookup_rowtype_tupdesc_copy(row_type, -1);
        let store = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
        pg_sys::MemoryContextSwitchTo(previous);
        (*info).returnMode = materialize;
        (*info).setResult = store;
        (*info).setDesc = descriptor;
        Ok(Self { view, row_type, store })
    }

    unsafe fn put(&self, row: &Composite) -> Result<(), Error> {
        if row.row_type().0 != self.row_type {
            return Err(changed(values::type_name(self.row_type, -1)));
        }
        let mut tuple = row.tuple();
        pg_sys::tuplestore_puttuple(self.store, &mut tuple);
        Ok(())
    }
}
