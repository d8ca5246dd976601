//! Reads the newest row of a key straight from an index. No executor is started for a key, and the table and the index are
//! opened once for all keys of a query ([`crate::pg::open_scans`]).
//!
//! This is done only where a query would read the same: the source is a plain table or a materialized view, its rows are in it
//! and not in shards of Citus, each column is stored, it has a btree index that begins with product, region and time, the caller has SELECT on the whole table, and no
//! row security applies to the caller. All other cases go through a plan ([`super::key_plan`]).

use super::row::{Binding, Inputs};
use super::source::Key;
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::call_site::OwnContext;
use crate::pg::distributed::is_distributed;
use crate::pg::open_scans::{with_scan, Indexed};
use crate::pg::relations::{may_select, Opened, Relation};
use crate::pg::tuples;
use crate::pg::tuples::Attributes;
use crate::pg::values::day_after;
use model::recipe::Recipe;
use model::Scorer;
use pgrx::{pg_sys, PgList};
use std::cell::Cell;

/// An index that leads to the newest row of a key.
pub struct IndexPath {
    table: pg_sys::Oid,
    index: pg_sys::Oid,
    product: KeyColumn,
    region: KeyColumn,
    time: Option<TimeColumn>,
    binding: Binding,
    /// The slot that takes the rows. It is empty while a probe uses the slot, and stays so after a probe that failed.
    slot: Cell<Option<Slot>>,
}

/// The call site that reads, and the moment at which the path was found.
#[derive(Clone, Copy)]
pub struct Place {
    /// The memory context of the call site.
    pub call_site: pg_sys::MemoryContext,
    /// The number of relation changes (`changes::relations`) at which the path was found.
    pub found_at: u64,
}

/// The result of a probe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The inputs are filled from the newest row.
    Row,
    /// The key has no row.
    Nothing,
    /// The path may be out of date, and has to be found again.
    Stale,
}

struct Slot {
    pointer: *mut pg_sys::TupleTableSlot,
    _memory: OwnContext,
}

/// A key column of the index that is compared for equality.
#[derive(Clone, Copy)]
struct KeyColumn {
    /// The column's position in the index, from 1.
    position: i16,
    type_oid: pg_sys::Oid,
    collation: pg_sys::Oid,
    equals: pg_sys::RegProcedure,
}

#[derive(Clone, Copy)]
struct TimeColumn {
    position: i16,
    /// The function of the operator `time < date`.
    earlier: pg_sys::RegProcedure,
    newest_first: pg_sys::ScanDirection::Type,
}

impl IndexPath {
    /// The index path to a version's rows; `None` if there is no usable index.
    ///
    /// # Safety
    /// There is an active snapshot.
    pub unsafe fn find(
        version: &VersionRow,
        recipe: &Recipe,
        key: Key,
        source: &Relation,
    ) -> Result<Option<Self>, Error> {
        // SAFETY: the table is open and locked while its indexes are looked at.
        unsafe {
            let [product, region] = version.keys.as_slice() else { return Ok(None) };
            let table = Opened::of(source.oid)?;
            let class = table.class();
            // A materialized view that was never filled is left to the query, which raises the right error.
            let plain = matches!(class.relkind as u8, b'r' | b'm')
                && !class.relhassubclass
                && class.relispopulated
                && !is_distributed(source.oid)
                && !table.computes_columns();
            let mut found = None;
            if plain {
                let wanted = WantedIndex {
                    product: source.position(product),
                    region: source.position(region),
                    time: version.time_column.as_ref().map(|time| source.position(time)),
                    key,
                };
                let indexes = PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(table.relation()));
                found = indexes.iter_oid().find_map(|index| wanted.match_index(index, table.descriptor()));
            }
            Ok(match found {
                Some((index, product, region, time)) => {
                    let binding = Binding::new(&version.model, recipe, table.descriptor())?;
                    Some(Self {
                        table: source.oid,
                        index,
                        product,
                        region,
                        time,
                        binding,
                        slot: Cell::new(None),
                    })
                }
                None => None,
            })
        }
    }

    pub fn table(&self) -> pg_sys::Oid {
        self.table
    }

    /// Fills the inputs from the newest row of the key.
    ///
    /// # Safety
    /// The values have the types that the path was found for, and there is an active snapshot.
    pub unsafe fn fill(
        &self,
        place: Place,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        scorer: &Scorer,
        inputs: &mut Inputs,
    ) -> Result<Found, Error> {
        // SAFETY: the values and the snapshot are as the caller says. The binding was made for the descriptor of the table,
        // and the table has not changed since: `with_scan` checks that.
        unsafe {
            let take = |attributes: Attributes| self.binding.fill(attributes, scorer, inputs);
            Ok(match self.probe(place, key, as_of, take) {
                None => Found::Stale,
                Some(None) => Found::Nothing,
                Some(Some(filled)) => {
                    filled?;
                    Found::Row
                }
            })
        }
    }

    /// Calls `take` with the newest row of the key, if there is one. The outer `None` says that the path may be out of
    /// date.
    ///
    /// # Safety
    /// The same as for [`Self::fill`].
    unsafe fn probe<T>(
        &self,
        place: Place,
        [product, region]: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        take: impl FnOnce(Attributes) -> T,
    ) -> Option<Option<T>> {
        // SAFETY: the scan keys are for columns of the index, in its order, and their number is the same in every call. The
        // slot has the table's columns, and holds the row while `take` reads it.
        unsafe {
            let Some(product) = self.product.convert(product) else { return Some(None) };
            let mut keys = [pg_sys::ScanKeyData::default(); 3];
            // The scan keys are in the order of the index, in which product and region can stand in either order.
            keys[self.product.position as usize - 1] = self.product.scan_key(product);
            keys[self.region.position as usize - 1] = self.region.scan_key(region);
            let mut count = 2;
            if let Some(time) = self.time {
                keys[2] = time.scan_key(as_of);
                count = 3;
            }
            let indexed = Indexed { table: self.table, index: self.index, found_at: place.found_at };
            with_scan(place.call_site, indexed, count, |open| {
                let kept = self.slot.take().unwrap_or_else(|| Slot::new(open.table));
                let slot = kept.pointer;
                let direction =
                    self.time.map_or(pg_sys::ScanDirection::ForwardScanDirection, |time| time.newest_first);
                let found = open.first(&mut keys[..count as usize], direction, slot).then(|| {
                    let width = self.binding.width();
                    pg_sys::slot_getsomeattrs_int(slot, width as i32);
                    take(Attributes {
                        values: std::slice::from_raw_parts((*slot).tts_values, width),
                        nulls: std::slice::from_raw_parts((*slot).tts_isnull, width),
                    })
                });
                pg_sys::ExecClearTuple(slot);
                self.slot.set(Some(kept));
                found
            })
        }
    }
}

impl Slot {
    /// A slot for rows of the table.
    ///
    /// # Safety
    /// `table` is open.
    unsafe fn new(table: pg_sys::Relation) -> Self {
        // SAFETY: the table is open, as the caller says. The slot has a copy of the table's descriptor, and both live in
        // the context that the result owns.
        unsafe {
            let (memory, pointer) = OwnContext::holding(|| {
                let descriptor = pg_sys::CreateTupleDescCopyConstr((*table).rd_att);
                pg_sys::MakeSingleTupleTableSlot(descriptor, pg_sys::table_slot_callbacks(table))
            });
            Self { pointer, _memory: memory }
        }
    }
}

/// Whether the caller may read every column and every row of the table, and no hook wants to see which tables are read.
pub fn caller_may_read(table: pg_sys::Oid) -> bool {
    // SAFETY: this reads a variable of this process, and looks up what row security means for the current user.
    unsafe {
        (&raw const pg_sys::ExecutorCheckPerms_hook).read().is_none()
            && may_select(table)
            && pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true)
                != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    }
}

impl KeyColumn {
    /// The argument as a value of the column's type; `None` if no value of that type equals it.
    fn convert(&self, value: pg_sys::Datum) -> Option<pg_sys::Datum> {
        let number = value.value() as i64;
        match self.type_oid {
            pg_sys::INT2OID => i16::try_from(number).ok().map(pg_sys::Datum::from),
            pg_sys::INT4OID => i32::try_from(number).ok().map(pg_sys::Datum::from),
            _ => Some(value),
        }
    }

    fn scan_key(&self, value: pg_sys::Datum) -> pg_sys::ScanKeyData {
        let strategy = pg_sys::BTEqualStrategyNumber;
        scan_key(0, self.position, strategy, pg_sys::InvalidOid, self.collation, self.equals, value)
    }
}

impl TimeColumn {
    /// The condition on the time: before the end of the day `as_of`, or not NULL if there is no such day.
    fn scan_key(&self, as_of: Option<pg_sys::Datum>) -> pg_sys::ScanKeyData {
        let none = pg_sys::InvalidOid;
        match as_of {
            Some(date) => {
                let strategy = pg_sys::BTLessStrategyNumber;
                scan_key(0, self.position, strategy, pg_sys::DATEOID, none, self.earlier, day_after(date))
            }
            None => {
                let flags = pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNOTNULL;
                scan_key(flags as i32, self.position, 0, none, none, none, pg_sys::Datum::from(0))
            }
        }
    }
}

fn scan_key(
    flags: i32,
    position: i16,
    strategy: u32,
    subtype: pg_sys::Oid,
    collation: pg_sys::Oid,
    function: pg_sys::RegProcedure,
    value: pg_sys::Datum,
) -> pg_sys::ScanKeyData {
    let mut key = pg_sys::ScanKeyData::default();
    let strategy = strategy as pg_sys::StrategyNumber;
    // SAFETY: the call looks the function up and fills the key, which is ours. It stores the value without reading it.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            &mut key, flags, position, strategy, subtype, collation, function, value,
        );
    }
    key
}

/// The attribute numbers, from 1, of the columns that the index must have, and how the product is given.
struct WantedIndex {
    product: i16,
    region: i16,
    time: Option<i16>,
    key: Key,
}

type Match = (pg_sys::Oid, KeyColumn, KeyColumn, Option<TimeColumn>);

impl WantedIndex {
    /// # Safety
    /// `table` is the descriptor of the open table, and `oid` was one of its indexes.
    unsafe fn match_index(&self, oid: pg_sys::Oid, table: pg_sys::TupleDesc) -> Option<Match> {
        // SAFETY: the index is open as long as `index` lives, and the descriptor is that of its table, as the caller says.
        unsafe {
            // An index that is being dropped concurrently may be gone.
            let index = Opened::if_there(oid, pg_sys::AccessShareLock)?;
            let found = self.match_opened(index.relation(), table);
            found.map(|(product, region, time)| (oid, product, region, time))
        }
    }

    /// # Safety
    /// `index` is an open index of the table with this descriptor.
    unsafe fn match_opened(
        &self,
        index: pg_sys::Relation,
        table: pg_sys::TupleDesc,
    ) -> Option<(KeyColumn, KeyColumn, Option<TimeColumn>)> {
        // SAFETY: the index is open, as the caller says, and an index has as many key columns as its row of pg_index says.
        unsafe {
            let form = &*(*index).rd_index;
            let usable = form.indisvalid
                && form.indisready
                && !form.indcheckxmin
                && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
                && pg_sys::RelationGetIndexExpressions(index).is_null()
                && pg_sys::RelationGetIndexPredicate(index).is_null();
            let columns = form.indkey.values.as_slice(form.indnkeyatts as usize);
            let keys_first = columns.len() >= 2
                && columns[..2].contains(&self.product)
                && columns[..2].contains(&self.region)
                && (self.time.is_none() || columns.get(2) == self.time.as_ref());
            if !usable || !keys_first {
                return None;
            }
            let place = |attribute| columns[..2].iter().position(|column| *column == attribute);
            let product = key_column(index, place(self.product)?, table, self.product)?;
            let region = key_column(index, place(self.region)?, table, self.region)?;
            let numbers = [pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID];
            let product_fits = match self.key {
                Key::Bigint => numbers.contains(&product.type_oid),
                Key::Text => product.type_oid == pg_sys::TEXTOID,
            };
            if !product_fits || region.type_oid != pg_sys::TEXTOID {
                return None;
            }
            let time = match self.time {
                Some(_) => Some(time_column(index)?),
                None => None,
            };
            Some((product, region, time))
        }
    }
}

/// # Safety
/// `index` is open and has more than `place` key columns, `table` is the descriptor of its table, and `attribute` is the
/// number of one of the table's columns.
unsafe fn key_column(
    index: pg_sys::Relation,
    place: usize,
    table: pg_sys::TupleDesc,
    attribute: i16,
) -> Option<KeyColumn> {
    // SAFETY: index, place and attribute are as the caller says.
    unsafe {
        let type_oid = *(*index).rd_opcintype.add(place);
        let equals = operator_function(index, place, type_oid, pg_sys::BTEqualStrategyNumber)?;
        let collation = *(*index).rd_indcollation.add(place);
        if collation != tuples::attribute(table, attribute as usize - 1).attcollation {
            return None;
        }
        Some(KeyColumn { position: place as i16 + 1, type_oid, collation, equals })
    }
}

/// The time column, which is the third column of the index.
///
/// # Safety
/// `index` is open and has three key columns.
unsafe fn time_column(index: pg_sys::Relation) -> Option<TimeColumn> {
    // SAFETY: the index has three key columns, as the caller says.
    unsafe {
        let place = 2;
        let earlier = operator_function(index, place, pg_sys::DATEOID, pg_sys::BTLessStrategyNumber)?;
        let descending = *(*index).rd_indoption.add(place) & pg_sys::INDOPTION_DESC as i16 != 0;
        let newest_first = if descending {
            pg_sys::ScanDirection::ForwardScanDirection
        } else {
            pg_sys::ScanDirection::BackwardScanDirection
        };
        Some(TimeColumn { position: place as i16 + 1, earlier, newest_first })
    }
}

/// # Safety
/// `index` is open and has more than `place` key columns.
unsafe fn operator_function(
    index: pg_sys::Relation,
    place: usize,
    right_type: pg_sys::Oid,
    strategy: u32,
) -> Option<pg_sys::RegProcedure> {
    // SAFETY: the index has more than `place` key columns, as the caller says.
    unsafe {
        let family = *(*index).rd_opfamily.add(place);
        let left_type = *(*index).rd_opcintype.add(place);
        let operator = pg_sys::get_opfamily_member(family, left_type, right_type, strategy as i16);
        (operator != pg_sys::InvalidOid).then(|| pg_sys::get_opcode(operator))
    }
}
