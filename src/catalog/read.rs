//! Catalog reads of the scoring path, by primary key, under the statement's snapshot.
//!
//! They see exactly what the statement sees, work on a standby, in a parallel worker and in a read-only
//! transaction, and need no privilege of the caller on the tables: the weights are not the caller's to read.

use crate::error::Error;
use crate::relation_changes::generation;
use model::protocol::Importance;
use pgrx::pg_sys;
use pgrx::{FromDatum, Uuid};
use std::cell::Cell;
use std::ffi::CStr;

/// Where scoring finds a version's weights and rows.
#[derive(Debug, Clone)]
pub struct VersionRow {
    pub model: String,
    pub number: i32,
    pub artifact_id: Uuid,
    /// Qualified, quoted name of the relation; empty where the version was imported without one.
    pub source: String,
    pub keys: Vec<String>,
    pub time_column: Option<String>,
    pub label: Option<String>,
}

// Column numbers in sql/catalog.sql.
mod columns {
    pub const ALIAS_VERSION: i32 = 3;
    pub const ALIAS_TEST: i32 = 6;
    pub const VERSION_ARTIFACT: i32 = 3;
    pub const VERSION_SOURCE: i32 = 6;
    pub const VERSION_KEYS: i32 = 7;
    pub const VERSION_TIME: i32 = 8;
    pub const VERSION_LABEL: i32 = 9;
    pub const VERSION_METRICS: i32 = 12;
    pub const ARTIFACT_BODY: i32 = 2;
    pub const ARTIFACT_DIGEST: i32 = 3;
    pub const MODEL_NAME: i32 = 1;
    pub const MODEL_OWNER: i32 = 2;
    pub const PRIVILEGE_GRANTEE: i32 = 2;
    pub const PRIVILEGE_NAME: i32 = 3;
    pub const TEST_MODEL: i32 = 2;
    pub const TEST_UNIT: i32 = 3;
    pub const TEST_REGIONS: i32 = 4;
    pub const TEST_SALT: i32 = 5;
    pub const ARM_NAME: i32 = 3;
    pub const ARM_VERSION: i32 = 4;
    pub const ARM_SHARE: i32 = 5;
}

/// What an alias stands for.
pub struct AliasRow {
    pub version: i32,
    pub artifact_id: Uuid,
    /// The A/B test that the model takes part in; only of a champion.
    pub test: Option<String>,
}

/// The version that `alias` of `model` stands for.
pub fn version_of_alias(model: &str, alias: &str) -> Result<AliasRow, Error> {
    let found = Table::open(Catalog::Alias)?.find(&[Key::text(model), Key::text(alias)], |row| {
        Ok::<_, Error>((row.required(columns::ALIAS_VERSION)?, row.value(columns::ALIAS_TEST)))
    });
    match found {
        Some(found) => {
            let (version, test) = found?;
            let artifact_id = of_version(model, version, |row| artifact_of(row, model, version))?;
            Ok(AliasRow { version, artifact_id, test })
        }
        None if model_exists(model)? => Err(Error::NoChampion(model.to_owned())),
        None => Err(Error::UnknownModel(model.to_owned())),
    }
}

/// One version of a model.
pub fn version(model: &str, version: i32) -> Result<VersionRow, Error> {
    of_version(model, version, |row| {
        Ok(VersionRow {
            model: model.to_owned(),
            number: version,
            artifact_id: artifact_of(row, model, version)?,
            source: row.value(columns::VERSION_SOURCE).unwrap_or_default(),
            keys: row.required(columns::VERSION_KEYS)?,
            time_column: row.value(columns::VERSION_TIME),
            label: row.value(columns::VERSION_LABEL),
        })
    })
}

/// An A/B test.
pub struct TestRow {
    pub model: String,
    pub unit: String,
    /// All where there are none.
    pub regions: Option<Vec<String>>,
    pub salt: String,
}

/// An arm of an A/B test.
pub struct ArmRow {
    pub name: String,
    pub version: i32,
    pub share: f64,
}

/// An A/B test and its arms, the control first.
pub fn ab_test(name: &str) -> Result<(TestRow, Vec<ArmRow>), Error> {
    let test = Table::open(Catalog::Test)?.find(&[Key::text(name)], |row| {
        Ok::<_, Error>(TestRow {
            model: row.required(columns::TEST_MODEL)?,
            unit: row.required(columns::TEST_UNIT)?,
            regions: row.value(columns::TEST_REGIONS),
            salt: row.required(columns::TEST_SALT)?,
        })
    });
    let test = test.ok_or_else(|| Error::UnknownTest(name.to_owned()))??;
    let arms = Table::open(Catalog::Arm)?.all(&[Key::text(name)], Seen::ByStatement, |row| {
        Ok(ArmRow {
            name: row.required(columns::ARM_NAME)?,
            version: row.required(columns::ARM_VERSION)?,
            share: row.required(columns::ARM_SHARE)?,
        })
    })?;
    Ok((test, arms))
}

/// What a version owes to each of its columns, as its training has found (see [`model::protocol::Importance`]); empty where
/// that is not known.
pub fn importance(model: &str, version: i32) -> Result<Vec<(String, f64)>, Error> {
    let metrics = of_version(model, version, |row| Ok(row.value::<pgrx::JsonB>(columns::VERSION_METRICS)))?;
    let listed = metrics.and_then(|pgrx::JsonB(metrics)| metrics.get("importance").cloned());
    let columns: Vec<Importance> = listed.map(serde_json::from_value).transpose()?.unwrap_or_default();
    Ok(columns.into_iter().map(|Importance { column, loss }| (column, loss)).collect())
}

/// The id of a version's weights, which are gone once it is archived.
fn artifact_of(row: &CatalogRow, model: &str, version: i32) -> Result<Uuid, Error> {
    row.value(columns::VERSION_ARTIFACT).ok_or_else(|| Error::Archived { model: model.to_owned(), version })
}

fn of_version<T>(
    model: &str,
    version: i32,
    read: impl FnOnce(&CatalogRow) -> Result<T, Error>,
) -> Result<T, Error> {
    match Table::open(Catalog::Version)?.find(&[Key::text(model), Key::int4(version)], read) {
        Some(found) => found,
        None if model_exists(model)? => Err(Error::UnknownVersion { model: model.to_owned(), version }),
        None => Err(Error::UnknownModel(model.to_owned())),
    }
}

/// The weights of a version, as `use_bytes` makes of them.
pub fn with_artifact<T>(
    artifact_id: Uuid,
    use_bytes: impl FnOnce(&[u8]) -> Result<T, Error>,
) -> Result<T, Error> {
    of_artifact(artifact_id, |row| use_bytes(row.bytes(columns::ARTIFACT_BODY)?.as_slice()))
}

/// What can be said of weights without reading them: their SHA-256, and how many bytes they are.
pub fn artifact_summary(artifact_id: Uuid) -> Result<([u8; 32], usize), Error> {
    of_artifact(artifact_id, |row| {
        let digest = row.bytes(columns::ARTIFACT_DIGEST)?.as_slice().try_into().map_err(|_| damaged())?;
        let body = row.datum(columns::ARTIFACT_BODY).ok_or_else(damaged)?;
        // SAFETY: a bytea that is not NULL; only its header is read.
        Ok((digest, unsafe { pg_sys::toast_raw_datum_size(body) }))
    })
}

fn of_artifact<T>(artifact_id: Uuid, read: impl FnOnce(&CatalogRow) -> Result<T, Error>) -> Result<T, Error> {
    Table::open(Catalog::Artifact)?.find(&[Key::uuid(artifact_id)], read).unwrap_or_else(|| {
        Err(Error::invalid(format!("the weights {artifact_id} are missing from the catalog")))
    })
}

/// The name of every model.
pub fn model_names() -> Result<Vec<String>, Error> {
    Table::open(Catalog::Model)?.all(&[], Seen::ByStatement, |row| row.required(columns::MODEL_NAME))
}

/// The role that owns a model now, whatever the statement's snapshot.
pub fn model_owner(model: &str) -> Result<Option<String>, Error> {
    let mut owners = Table::open(Catalog::Model)?
        .all(&[Key::text(model)], Seen::Now, |row| row.name(columns::MODEL_OWNER))?;
    Ok(owners.pop())
}

/// Who was granted which privilege on a model, as of now, whatever the statement's snapshot: a backend that remembers the
/// answer hears of the changes that come after.
pub fn model_grants(model: &str) -> Result<Vec<(String, String)>, Error> {
    Table::open(Catalog::Privilege)?.all(&[Key::text(model)], Seen::Now, |row| {
        Ok((row.name(columns::PRIVILEGE_GRANTEE)?, row.required(columns::PRIVILEGE_NAME)?))
    })
}

/// The table of the privileges.
pub fn privilege_table() -> Result<pg_sys::Oid, Error> {
    Ok(Catalog::Privilege.find()?.0)
}

fn model_exists(model: &str) -> Result<bool, Error> {
    Ok(Table::open(Catalog::Model)?.find(&[Key::text(model)], |_| ()).is_some())
}

/// A value that a primary key column is compared with.
enum Key {
    Text(pg_sys::Datum),
    Other { equals: pg_sys::Oid, value: pg_sys::Datum },
}

impl Key {
    fn text(value: &str) -> Self {
        Self::Text(pg_sys::Datum::from(pgrx::rust_str_to_text_p(value).into_pg()))
    }

    fn int4(value: i32) -> Self {
        Self::Other { equals: pg_sys::Oid::from(pg_sys::F_INT4EQ), value: pg_sys::Datum::from(value) }
    }

    fn uuid(value: Uuid) -> Self {
        let datum = pgrx::IntoDatum::into_datum(value).unwrap_or(pg_sys::Datum::from(0));
        Self::Other { equals: pg_sys::Oid::from(pg_sys::F_UUID_EQ), value: datum }
    }

    fn scan_key(&self, column: i16) -> pg_sys::ScanKeyData {
        let (equals, value, collation) = match self {
            Self::Text(value) => (pg_sys::Oid::from(pg_sys::F_TEXTEQ), *value, pg_sys::C_COLLATION_OID),
            Self::Other { equals, value } => (*equals, *value, pg_sys::InvalidOid),
        };
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: `key` lives through the call; the functions are btree equality of the column's type.
        unsafe {
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                column,
                pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                pg_sys::InvalidOid,
                collation,
                equals,
                value,
            );
        }
        key
    }
}

/// The tables that scoring reads.
#[derive(Clone, Copy)]
enum Catalog {
    Model,
    Alias,
    Version,
    Artifact,
    Privilege,
    Test,
    Arm,
}

/// Which rows a scan finds.
#[derive(Clone, Copy)]
enum Seen {
    /// Those that the running statement sees.
    ByStatement,
    /// Those that are committed by now, and the transaction's own.
    Now,
}

impl Catalog {
    /// The names of the table and of its primary key.
    fn names(self) -> (&'static CStr, &'static CStr) {
        match self {
            Self::Model => (c"model", c"model_pkey"),
            Self::Alias => (c"alias", c"alias_pkey"),
            Self::Version => (c"version", c"version_pkey"),
            Self::Artifact => (c"artifact", c"artifact_pkey"),
            Self::Privilege => (c"model_privilege", c"model_privilege_pkey"),
            Self::Test => (c"ab_test", c"ab_test_pkey"),
            Self::Arm => (c"ab_arm", c"ab_arm_pkey"),
        }
    }

    /// Table and primary key, looked up again after a change to any relation.
    fn find(self) -> Result<(pg_sys::Oid, pg_sys::Oid), Error> {
        thread_local! {
            static FOUND: Cell<[Option<(u64, pg_sys::Oid, pg_sys::Oid)>; 7]> = const { Cell::new([None; 7]) };
        }
        let mut found = FOUND.get();
        let generation = generation();
        if let Some((_, table, index)) = found[self as usize].filter(|known| known.0 == generation) {
            return Ok((table, index));
        }
        let (name, key) = self.names();
        // SAFETY: catalog look-ups by NUL-terminated names.
        let (table, index) = unsafe {
            let schema = pg_sys::get_namespace_oid(c"reco".as_ptr(), true);
            (
                pg_sys::get_relname_relid(name.as_ptr(), schema),
                pg_sys::get_relname_relid(key.as_ptr(), schema),
            )
        };
        if table == pg_sys::InvalidOid || index == pg_sys::InvalidOid {
            return Err(Error::invalid("the extension pg_recommend is not installed in this database"));
        }
        found[self as usize] = Some((generation, table, index));
        FOUND.set(found);
        Ok((table, index))
    }
}

/// A catalog table opened for reading; closed when dropped.
struct Table {
    relation: pg_sys::Relation,
    index: pg_sys::Oid,
}

impl Table {
    fn open(catalog: Catalog) -> Result<Self, Error> {
        let (table, index) = catalog.find()?;
        // SAFETY: opened under a lock that is held to the statement's end.
        let relation = unsafe { pg_sys::table_open(table, pg_sys::AccessShareLock as i32) };
        Ok(Self { relation, index })
    }

    /// What `read` makes of the row with this primary key.
    fn find<T>(self, keys: &[Key], read: impl FnOnce(&CatalogRow) -> T) -> Option<T> {
        let mut scan = Scan::begin(&self, keys, Seen::ByStatement);
        scan.next().map(|row| read(&row))
    }

    /// What `read` makes of every row whose primary key begins with these keys.
    fn all<T>(
        self,
        keys: &[Key],
        seen: Seen,
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

impl Drop for Table {
    fn drop(&mut self) {
        // While an error unwinds, the transaction's abort closes the relation.
        if !std::thread::panicking() {
            // SAFETY: opened in `open`, closed once.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) };
        }
    }
}

struct Scan<'table> {
    table: &'table Table,
    scan: pg_sys::SysScanDesc,
}

impl<'table> Scan<'table> {
    fn begin(table: &'table Table, keys: &[Key], seen: Seen) -> Self {
        let mut scan_keys: Vec<_> = (1..).zip(keys).map(|(column, key)| key.scan_key(column)).collect();
        // SAFETY: the scan copies the keys; the snapshot outlives the scan, which is one function call long. Without one
        // Postgres takes the newest for a table such as this.
        let scan = unsafe {
            let snapshot = match seen {
                Seen::ByStatement => pg_sys::GetActiveSnapshot(),
                Seen::Now => std::ptr::null_mut(),
            };
            pg_sys::systable_beginscan(
                table.relation,
                table.index,
                true,
                snapshot,
                scan_keys.len() as i32,
                scan_keys.as_mut_ptr(),
            )
        };
        Self { table, scan }
    }

    fn next(&mut self) -> Option<CatalogRow> {
        // SAFETY: the scan is open; the tuple stays valid until the next call.
        let tuple = unsafe { pg_sys::systable_getnext(self.scan) };
        // SAFETY: an open relation has a descriptor.
        let descriptor = unsafe { (*self.table.relation).rd_att };
        (!tuple.is_null()).then_some(CatalogRow { tuple, descriptor })
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun in `begin`, ended once.
            unsafe { pg_sys::systable_endscan(self.scan) };
        }
    }
}

struct CatalogRow {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl CatalogRow {
    fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: the column numbers are those of the table's definition.
        let datum = unsafe { pg_sys::heap_getattr(self.tuple, column, self.descriptor, &mut is_null) };
        (!is_null).then_some(datum)
    }

    fn value<T: FromDatum>(&self, column: i32) -> Option<T> {
        // SAFETY: `T` is the column's type.
        self.datum(column).and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    fn required<T: FromDatum>(&self, column: i32) -> Result<T, Error> {
        self.value(column).ok_or_else(damaged)
    }

    /// Of a column of type name.
    fn name(&self, column: i32) -> Result<String, Error> {
        let name: &CStr = self.required(column)?;
        Ok(name.to_string_lossy().into_owned())
    }

    fn bytes(&self, column: i32) -> Result<Bytes, Error> {
        let datum = self.datum(column).ok_or_else(damaged)?;
        let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: the column is a bytea.
        let plain = unsafe { pg_sys::pg_detoast_datum_packed(original) };
        Ok(Bytes { plain, copied: plain != original })
    }
}

fn damaged() -> Error {
    Error::invalid("a row of the catalog is damaged")
}

/// A bytea out of its storage; the copy is freed when dropped.
struct Bytes {
    plain: *mut pg_sys::varlena,
    copied: bool,
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        // SAFETY: a detoasted varlena that lives as long as `self`.
        unsafe { pgrx::varlena_to_byte_slice(self.plain) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            // SAFETY: palloc'd by the detoasting.
            unsafe { pg_sys::pfree(self.plain.cast()) };
        }
    }
}
