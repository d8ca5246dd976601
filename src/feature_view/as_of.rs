//! The function `reco.features_as_of`: for each row of a spine it finds the newest feature row that was known at the moment
//! of that row.

use super::registry::FeatureView;
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::changes;
use crate::pg::layout::{changed, RowType};
use crate::pg::moment::Moment;
use crate::pg::relations::{self, Relation};
use crate::pg::row_set::RowSet;
use crate::pg::tuples::{self, Composite};
use crate::pg::values::{self, as_base, Reader};
use model::protocol::MICROSECONDS_A_DAY;
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use std::ffi::CString;

/// Declared in sql/feature_view.sql.
#[pg_extern(sql = false)]
fn features_as_of(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    or_raise(find(unsafe { &Call::new(fcinfo) }));
}

/// (view, spine, at, max_age): the rows that are found go into the tuple store.
fn find(call: &Call) -> Result<(), Error> {
    let mut found = Found::begin(call)?;
    let Some(spine) = call.datum(1) else { return Ok(()) };
    call.interval(3).map_or(Ok(()), check_age)?;
    // SAFETY: the spine is a composite value, and it stays in place as long as the call runs.
    unsafe { look_up(call, &Composite::of(spine), &mut found) }
}

/// The state of a call site.
#[derive(Default)]
struct Kept {
    lookup: Option<Lookup>,
}

/// A plan that is kept for spines of one row type. It is valid until a relation changes.
struct Lookup {
    view: pg_sys::Oid,
    spine: RowType,
    at: Option<String>,
    generation: u64,
    moment: Moment,
    plan: pg_sys::SPIPlanPtr,
    /// The attribute numbers of the keys in the spine, and then that of the moment.
    columns: Vec<i32>,
    /// The reader of the moment.
    reader: Reader,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the plan was kept in `prepare`, and it is freed once.
            unsafe { pg_sys::SPI_freeplan(self.plan) };
        }
    }
}

/// # Safety
/// The datum that the spine was made of is live.
unsafe fn look_up(call: &Call, spine: &Composite, found: &mut Found) -> Result<(), Error> {
    let (at, max_age) = (call.name(2), call.datum(3));
    let kept = call.site::<Kept>();
    // SAFETY: the datum is live, as the caller says.
    let (view, row_type) = (found.view, unsafe { spine.row_type() });
    if let Some(known) = kept.lookup.as_mut().filter(|known| known.spine.id == row_type) {
        // If the row type has changed during the statement, nothing tells with which definition a row was made.
        // SAFETY: the spine is a value of this type.
        if !unsafe { known.spine.is_unchanged() } && known.moment == Moment::now() {
            return Err(changed(known.spine.name()));
        }
    }
    let fits = |known: &Lookup| {
        (known.view, known.spine.id, known.generation) == (view, row_type, changes::relations())
            && known.at == at
    };
    if !kept.lookup.as_ref().is_some_and(fits) {
        // SAFETY: `Found::begin` has locked the view, and the spine is a value of its row type.
        kept.lookup = Some(unsafe { prepare(view, RowType::of(row_type), at) }?);
    }
    let Some(lookup) = &kept.lookup else { unreachable!("prepared above") };
    // SAFETY: the datum is live, as the caller says, and the tuple is used only in this function.
    let mut tuple = unsafe { spine.tuple() };
    let mut values = Vec::with_capacity(lookup.columns.len() + 1);
    for column in &lookup.columns {
        let mut is_null = false;
        // SAFETY: the descriptor is that of the spine's type, which has this column.
        let value =
            unsafe { pg_sys::heap_getattr(&mut tuple, *column, lookup.spine.descriptor, &mut is_null) };
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
    // SAFETY: the plan is kept, and it has one value and one flag for each of its parameters. The row is copied before SPI
    // frees it.
    unsafe {
        pg_sys::SPI_connect();
        pg_sys::SPI_execute_plan(lookup.plan, values.as_mut_ptr(), nulls.as_ptr().cast(), true, 1);
        if pg_sys::SPI_processed > 0 {
            let table = &*pg_sys::SPI_tuptable;
            let mut is_null = false;
            let row = pg_sys::SPI_getbinval(*table.vals, table.tupdesc, 1, &mut is_null);
            found.put(&Composite::of(row))?;
        }
        pg_sys::SPI_finish();
    }
    Ok(())
}

/// # Safety
/// The view is locked, and `spine` is the type of a composite value that exists.
unsafe fn prepare(relation: pg_sys::Oid, spine: RowType, at: Option<String>) -> Result<Lookup, Error> {
    let (generation, now) = (changes::relations(), Moment::now());
    let view = FeatureView::get(relation)?;
    // SAFETY: the row type owns its descriptor, and both outlive the iterator.
    let found: Vec<_> = unsafe { tuples::attributes(spine.descriptor) }
        .map(|(_, attribute)| (tuples::attribute_name(attribute), attribute.attnum, attribute.atttypid))
        .collect();
    let missing = |message| Error::UndefinedColumn {
        message,
        hint: relations::columns_hint(found.iter().map(|(name, ..)| name.as_str())),
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
    let text =
        CString::new(query(&view, &types)?).map_err(|_| Error::invalid("a name contains a zero byte"))?;
    // SAFETY: there is one type for each parameter, and the text outlives the call; a failure is raised as an error.
    let plan = unsafe {
        pg_sys::SPI_connect();
        let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
        pg_sys::SPI_keepplan(plan);
        pg_sys::SPI_finish();
        plan
    };
    let columns = chosen.iter().map(|(_, number, _)| i32::from(*number)).collect();
    Ok(Lookup { view: relation, spine, at, generation, moment: now, plan, columns, reader })
}

/// The days and the microseconds since 2000-01-01 from which a week can be subtracted, in any time zone. Timestamps end in
/// the year 294276.
const NEAR_DAYS: std::ops::RangeInclusive<i32> = -2_451_535..=106_751_980;
const NEAR_MOMENTS: std::ops::RangeInclusive<i64> =
    -2_451_535 * MICROSECONDS_A_DAY..=106_751_980 * MICROSECONDS_A_DAY;

/// The largest `max_age` in years, and the first moment from which so many years can be subtracted.
const OLDEST_YEARS: i64 = 1000;
const OLDEST_FROM: &str = "'3000-01-01 BC'::pg_catalog.timestamp";

/// Refuses an age that is negative, or so large that subtracting it leads beyond the first of all moments.
fn check_age(age: &pg_sys::Interval) -> Result<(), Error> {
    let pg_sys::Interval { time, day, month } = *age;
    let days = 31 * i128::from(month) + i128::from(day);
    let age = days * i128::from(MICROSECONDS_A_DAY) + i128::from(time);
    match (0..=i128::from(OLDEST_YEARS) * 372 * i128::from(MICROSECONDS_A_DAY)).contains(&age) {
        true => Ok(()),
        false => Err(Error::InvalidArgument(
            format!("max_age is an interval from 0 to {OLDEST_YEARS} years"),
            Some("Leave it out, or NULL, for rows of any age.".into()),
        )),
    }
}

/// The moment, or an infinite one in place of a moment that is too far off to calculate with.
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

/// The query for one row of the spine, whose columns have these types. A row of week w is known when the week is over, on
/// the Monday after it.
fn query(view: &FeatureView, types: &[pg_sys::Oid]) -> Result<String, Error> {
    let time = format!("v.{}", quote_identifier(&view.time_column));
    let columns = Relation::of(view.oid)?;
    let same_key = |(n, key): (usize, &String)| {
        let found = columns.require(key, "key")?.type_oid;
        let stored = as_base(format!("v.{}", quote_identifier(key)), found);
        let wanted = as_base(format!("${}", n + 1), types[n]);
        Ok(format!("{stored} OPERATOR(pg_catalog.=) {wanted} AND "))
    };
    let keys = view.keys.iter().enumerate().map(same_key).collect::<Result<String, Error>>()?;
    let n = view.keys.len();
    let known = format!("(${}::pg_catalog.timestamp OPERATOR(pg_catalog.-) INTERVAL '7 days')", n + 1);
    let age = format!("${}", n + 2);
    Ok(format!(
        "SELECT v.*::{view} FROM {view} AS v WHERE {keys}{time} OPERATOR(pg_catalog.<=) {known} \
         AND ({age} IS NULL OR {known} OPERATOR(pg_catalog.<) {OLDEST_FROM} OR {time} OPERATOR(pg_catalog.>=) ({known} OPERATOR(pg_catalog.-) {age})) \
         ORDER BY {time} DESC LIMIT 1",
        view = view.name,
    ))
}

/// The rows that a call returns.
struct Found {
    view: pg_sys::Oid,
    row_type: pg_sys::Oid,
    rows: RowSet,
}

impl Found {
    fn begin(call: &Call) -> Result<Self, Error> {
        let row_type = call.argument_type(0);
        // SAFETY: this is a catalog look-up, which any OID may be given to.
        let view = unsafe { pg_sys::get_typ_typrelid(row_type) };
        if view == pg_sys::InvalidOid {
            return Err(Error::InvalidArgument(
                "view must be a NULL of a feature view's row type".into(),
                Some("For example: reco.features_as_of(NULL::launch_features, spine)".into()),
            ));
        }
        // The rows must have the columns that the call's result declares, so nobody can alter the view from here on.
        relations::lock(view, pg_sys::AccessShareLock)?;
        Ok(Self { view, row_type, rows: RowSet::of_type(call, row_type)? })
    }

    /// # Safety
    /// The datum that the row was made of is live.
    unsafe fn put(&mut self, row: &Composite) -> Result<(), Error> {
        // SAFETY: the datum is live, as the caller says; a row of another type is refused.
        unsafe {
            if row.row_type().0 != self.row_type {
                return Err(changed(values::type_name(self.row_type, -1)));
            }
            self.rows.put_tuple(row.tuple());
        }
        Ok(())
    }
}
