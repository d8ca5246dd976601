//! The version of the catalog in this database, which need not be the library's: the files are replaced before
//! `ALTER EXTENSION pg_recommend UPDATE` runs, a session keeps the library that it has loaded, and a standby has its primary's
//! catalog. What is done then is in `two_versions`.

use crate::pg::relations::Opened;
use pgrx::{pg_sys, FromDatum};
use std::cmp::Ordering;

/// The version of the library.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// The version of the catalog in this database, as of now; `None` where the extension is not installed. It works wherever
/// a scan of a system catalog does: on a standby, and in a parallel worker.
pub fn catalog_version() -> Option<String> {
    let table = Opened::if_there(pg_sys::ExtensionRelationId, pg_sys::AccessShareLock)?;
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: the key is a NUL-terminated name, as `nameeq` takes it, and lives as long as the program. The scan is begun
    // and ended here, with the newest snapshot, and the row is read before it ends.
    unsafe {
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_extname as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::Oid::from(pg_sys::F_NAMEEQ),
            pg_sys::Datum::from(c"pg_recommend".as_ptr()),
        );
        let index = pg_sys::Oid::from(pg_sys::ExtensionNameIndexId);
        let relation = table.relation();
        let scan = pg_sys::systable_beginscan(relation, index, true, std::ptr::null_mut(), 1, &mut key);
        let row = pg_sys::systable_getnext(scan);
        let version = (!row.is_null()).then(|| {
            let (column, mut is_null) = (pg_sys::Anum_pg_extension_extversion as i32, false);
            let version = pg_sys::heap_getattr(row, column, table.descriptor(), &mut is_null);
            String::from_datum(version, is_null).unwrap_or_default()
        });
        pg_sys::systable_endscan(scan);
        version
    }
}

/// The version of the catalog, if it is not the library's.
pub fn other_version() -> Option<String> {
    catalog_version().filter(|version| version != LIBRARY)
}

/// What brings library and catalog together.
pub fn remedy(catalog: &str) -> String {
    // SAFETY: the call only reads the state of the server.
    let is_standby = unsafe { pg_sys::RecoveryInProgress() };
    match numbers(catalog).zip(numbers(LIBRARY)).map(|(catalog, library)| catalog.cmp(&library)) {
        Some(Ordering::Less) if is_standby => {
            "Run ALTER EXTENSION pg_recommend UPDATE on the primary, in this database.".into()
        }
        Some(Ordering::Less) => "Run ALTER EXTENSION pg_recommend UPDATE in this database.".into(),
        _ => format!(
            "Install pg_recommend {catalog} on this server if that was not done yet, and connect again: a session keeps the \
             library that it has loaded, and a preloaded one is loaded when the server starts."
        ),
    }
}

/// The numbers of a version, such as 0.2.0; `None` of what is none.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}
