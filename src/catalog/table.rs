//! Reads rows of the catalog's tables by their primary keys, without the executor.
//!
//! The place (the TID) where a row was found last is remembered, and the next look-up reads that place first. If the heap
//! tuple there has the key and the snapshot sees it, it is the row, because a snapshot never sees two rows with one key.
//! Otherwise the index is searched. So a remembered place may be wrong without harm, and no message has to say that a row moved.

use super::columns::{self, CatalogColumn};
use super::row::CatalogRow;
use crate::error::Error;
use crate::pg::catalog_place;
use crate::pg::changes;
use crate::pg::memory::bytes;
use crate::pg::relations::Opened;
use pgrx::pg_sys;
use pgrx::{FromDatum, IntoDatum, Uuid};
use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A value that a column of the primary key is compared with.
#[derive(Hash)]
pub enum KeyValue<'a> {
    Text(&'a str),
    Int4(i32),
    Uuid(Uuid),
}

impl KeyValue<'_> {
    /// Whether the column has this value in the row.
    fn is_in(&self, row: &CatalogRow, column: i32) -> bool {
        // SAFETY: the column is of the key's type.
        row.at(column).is_some_and(|found| unsafe {
            match self {
                Self::Text(text) => bytes(found) == text.as_bytes(),
                Self::Int4(number) => i32::from_datum(found, false) == Some(*number),
                Self::Uuid(id) => Uuid::from_datum(found, false) == Some(*id),
            }
        })
    }

    fn scan_key(&self, column: i16) -> pg_sys::ScanKeyData {
        let (equals, value, collation) = match self {
            Self::Text(text) => (pg_sys::F_TEXTEQ, text.into_datum(), pg_sys::C_COLLATION_OID),
            Self::Int4(number) => (pg_sys::F_INT4EQ, number.into_datum(), pg_sys::InvalidOid),
            Self::Uuid(id) => (pg_sys::F_UUID_EQ, id.into_datum(), pg_sys::InvalidOid),
        };
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: `key` lives through the call, and the function is the btree equality of the column's type.
        unsafe {
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                column,
                pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                pg_sys::InvalidOid,
                collation,
                pg_sys::Oid::from(equals),
                value.unwrap_or(pg_sys::Datum::from(0)),
            );
        }
        key
    }
}

/// The catalog tables that scoring reads.
#[derive(Clone, Copy, Hash)]
pub enum Catalog {
    Model,
    Alias,
    Version,
    Artifact,
    Chunk,
    Privilege,
    Test,
    Arm,
}

/// Which rows a scan finds.
#[derive(Clone, Copy)]
pub enum RowsFound {
    /// The rows that the running statement sees.
    ByStatement,
    /// The rows that are committed by now, and the transaction's own.
    Now,
}

impl Catalog {
    const COUNT: usize = Self::Arm as usize + 1;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Model,
        Self::Alias,
        Self::Version,
        Self::Artifact,
        Self::Chunk,
        Self::Privilege,
        Self::Test,
        Self::Arm,
    ];

    /// The names of the table and of its primary key, and the columns that are read.
    fn definition(self) -> (&'static CStr, &'static CStr, &'static [CatalogColumn]) {
        match self {
            Self::Model => (c"model", c"model_pkey", columns::model::ALL),
            Self::Alias => (c"alias", c"alias_pkey", columns::alias::ALL),
            Self::Version => (c"version", c"version_pkey", columns::version::ALL),
            Self::Artifact => (c"artifact", c"artifact_pkey", columns::artifact::ALL),
            Self::Chunk => (c"artifact_chunk", c"artifact_chunk_pkey", columns::chunk::ALL),
            Self::Privilege => (c"model_privilege", c"model_privilege_pkey", columns::privilege::ALL),
            Self::Test => (c"ab_test", c"ab_test_pkey", columns::test::ALL),
            Self::Arm => (c"ab_arm", c"ab_arm_pkey", columns::arm::ALL),
        }
    }

    /// The OIDs of the table and of its primary key's index. They are looked up again after a change to any relation. It is an
    /// error if the table's rows are not on this server.
    pub fn find(self) -> Result<(pg_sys::Oid, pg_sys::Oid), Error> {
        thread_local! {
            static FOUND: Cell<[Option<(u64, pg_sys::Oid, pg_sys::Oid)>; Catalog::COUNT]> =
                const { Cell::new([None; Catalog::COUNT]) };
        }
        let mut found = FOUND.get();
        let generation = changes::relations();
        if let Some((_, table, index)) = found[self as usize].filter(|known| known.0 == generation) {
            return Ok((table, index));
        }
        let (name, key, columns) = self.definition();
        // SAFETY: these are catalog look-ups by NUL-terminated names.
        let (table, index) = unsafe {
            let schema = pg_sys::get_namespace_oid(c"reco".as_ptr(), true);
            (
                pg_sys::get_relname_relid(name.as_ptr(), schema),
                pg_sys::get_relname_relid(key.as_ptr(), schema),
            )
        };
        if table == pg_sys::InvalidOid || index == pg_sys::InvalidOid {
            return Err(Error::NotInstalled);
        }
        columns::check(table, name, columns)?;
        catalog_place::check_readable(table)?;
        found[self as usize] = Some((generation, table, index));
        FOUND.set(found);
        Ok((table, index))
    }
}

/// A catalog table that is open for reading.
pub struct Table {
    catalog: Catalog,
    opened: Opened,
    index: pg_sys::Oid,
}

impl Table {
    pub fn open(catalog: Catalog) -> Result<Self, Error> {
        loop {
            let (table, index) = catalog.find()?;
            let opened = Opened::if_there(table, pg_sys::AccessShareLock).ok_or(Error::NotInstalled)?;
            // Taking the lock brings earlier invalidations. A REINDEX, for example, makes another index.
            if catalog.find()? == (table, index) {
                return Ok(Self { catalog, opened, index });
            }
        }
    }

    /// Calls `read` with the row that has this primary key; `None` if there is none.
    pub fn find<T>(self, keys: &[KeyValue], read: impl FnOnce(&CatalogRow) -> T) -> Option<T> {
        let place = Place::of(self.catalog, keys);
        if let Some(fetched) = place.remembered().and_then(|place| Fetched::from(&self, place)) {
            let row = fetched.row();
            if (1..).zip(keys).all(|(column, key)| key.is_in(&row, column)) {
                return Some(read(&row));
            }
        }
        let mut scan = Scan::begin(&self, keys, RowsFound::ByStatement);
        scan.next().map(|row| {
            place.remember(row.place());
            read(&row)
        })
    }

    /// Calls `read` with every row whose primary key begins with these keys.
    pub fn all<T>(
        self,
        keys: &[KeyValue],
        seen: RowsFound,
        mut read: impl FnMut(&CatalogRow) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut scan = Scan::begin(&self, keys, seen);
        let mut rows = Vec::new();
        while let Some(row) = scan.next() {
            rows.push(read(&row)?);
        }
        Ok(rows)
    }
}

/// The slot in which the place of a row is remembered. The same few rows are asked for again and again. If two of them
/// share a slot, each look-up of the other one has to search the index, which costs time but is correct.
struct Place {
    hash: u64,
}

impl Place {
    const REMEMBERED: usize = 64;

    fn of(catalog: Catalog, keys: &[KeyValue]) -> Self {
        let mut hasher = DefaultHasher::new();
        (catalog, keys).hash(&mut hasher);
        Self { hash: hasher.finish() }
    }

    fn remembered(&self) -> Option<pg_sys::ItemPointerData> {
        PLACES
            .with_borrow(|places| places[self.slot()])
            .filter(|(hash, _)| *hash == self.hash)
            .map(|(_, place)| place)
    }

    fn remember(&self, place: pg_sys::ItemPointerData) {
        PLACES.with_borrow_mut(|places| places[self.slot()] = Some((self.hash, place)));
    }

    fn slot(&self) -> usize {
        self.hash as usize % Self::REMEMBERED
    }
}

thread_local! {
    static PLACES: RefCell<[Option<(u64, pg_sys::ItemPointerData)>; Place::REMEMBERED]> =
        const { RefCell::new([None; Place::REMEMBERED]) };
}

/// A row that was read at a remembered place. Its page stays pinned until this value is dropped.
struct Fetched {
    tuple: pg_sys::HeapTupleData,
    descriptor: pg_sys::TupleDesc,
    buffer: pg_sys::Buffer,
}

impl Fetched {
    /// The row that the running statement sees at this place, if there is one.
    fn from(table: &Table, place: pg_sys::ItemPointerData) -> Option<Self> {
        let relation = table.opened.relation();
        let mut tuple = pg_sys::HeapTupleData { t_self: place, ..Default::default() };
        let mut buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
        // SAFETY: the heap is open and cannot shrink under our lock, the place is checked to be within it, and there is an
        // active snapshot. Whatever stands at the place now, the snapshot decides whether it is a row.
        let found = unsafe {
            let (block, _) = pgrx::itemptr::item_pointer_get_both(place);
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
            block < blocks && heap_fetch(relation, pg_sys::GetActiveSnapshot(), &mut tuple, &mut buffer)
        };
        found.then(|| Self { tuple, descriptor: table.opened.descriptor(), buffer })
    }

    fn row(&self) -> CatalogRow {
        CatalogRow { tuple: (&raw const self.tuple).cast_mut(), descriptor: self.descriptor }
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the transaction unpins the page.
        if !std::thread::panicking() {
            // SAFETY: `from` has pinned the page, and it is unpinned once.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) };
        }
    }
}

/// Reads the heap tuple at the tuple's place, and pins its page. If the snapshot sees no row there, it returns `false` and
/// pins nothing.
///
/// # Safety
/// `relation` is open, the tuple names a place in it, and the snapshot is registered or active.
unsafe fn heap_fetch(
    relation: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    tuple: &mut pg_sys::HeapTupleData,
    buffer: &mut pg_sys::Buffer,
) -> bool {
    // SAFETY: relation, place and snapshot are as the caller says; the page that is pinned is the caller's to release.
    unsafe { pg_sys::heap_fetch(relation, snapshot, tuple, buffer, false) }
}

struct Scan<'table> {
    table: &'table Table,
    scan: pg_sys::SysScanDesc,
}

impl<'table> Scan<'table> {
    /// Begins a scan in the order of the primary key. Without keys there is no order: a small table is read faster without its
    /// index.
    fn begin(table: &'table Table, keys: &[KeyValue], seen: RowsFound) -> Self {
        let mut scan_keys: Vec<_> = (1..).zip(keys).map(|(column, key)| key.scan_key(column)).collect();
        // SAFETY: the scan copies the keys. The snapshot outlives the scan, which ends in the function that began it. With
        // a NULL snapshot Postgres takes the newest one.
        let scan = unsafe {
            let snapshot = match seen {
                RowsFound::ByStatement => pg_sys::GetActiveSnapshot(),
                RowsFound::Now => std::ptr::null_mut(),
            };
            pg_sys::systable_beginscan(
                table.opened.relation(),
                table.index,
                !scan_keys.is_empty(),
                snapshot,
                scan_keys.len() as i32,
                scan_keys.as_mut_ptr(),
            )
        };
        Self { table, scan }
    }

    fn next(&mut self) -> Option<CatalogRow> {
        // SAFETY: the scan is open, and the tuple stays valid until the next call.
        let tuple = unsafe { pg_sys::systable_getnext(self.scan) };
        let descriptor = self.table.opened.descriptor();
        (!tuple.is_null()).then_some(CatalogRow { tuple, descriptor })
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the scan was begun in `begin`, and it is ended once.
            unsafe { pg_sys::systable_endscan(self.scan) };
        }
    }
}
