//! Tables whose rows lie elsewhere. Citus keeps the rows of a distributed table, a reference table or a local table that it
//! manages in shards, which are other tables, on this server or on others. The table that has the name is an empty shell, or
//! still holds what was in it before. A query of it is planned by Citus and finds the rows; a scan of its heap or its indexes
//! does not. So whoever reads a heap or an index without a query asks here first.
//!
//! Citus lists such tables in `pg_catalog.pg_dist_partition`. In a database without Citus there is no table of this name, and
//! the answer takes a look into a cache of this process.

use crate::pg::relations::Opened;
use crate::pg::system_rows::each_with_oid;
use pgrx::pg_sys;
use std::ffi::CStr;

/// Whether Citus keeps the relation's rows in shards.
pub fn is_distributed(relation: pg_sys::Oid) -> bool {
    let Some((listed, index)) =
        table_and_index(c"pg_dist_partition", c"pg_dist_partition_logical_relid_index")
    else {
        return false;
    };
    let mut found = false;
    // SAFETY: the index begins with the OID of the table, which is the first column.
    unsafe {
        each_with_oid((listed, index, 1), relation, std::ptr::null_mut(), &mut |_, _| found = true);
    }
    found
}

/// Whether this server is one on which Citus keeps shards for another, its coordinator.
pub fn is_worker() -> bool {
    let Some(local_group) = in_pg_catalog(c"pg_dist_local_group") else { return false };
    let Some(opened) = Opened::if_there(local_group, pg_sys::AccessShareLock) else { return false };
    // SAFETY: the table is open while it is scanned, and its only column is an integer that is never NULL. With a NULL
    // snapshot Postgres uses the newest.
    unsafe {
        let relation = opened.relation();
        let none = pg_sys::InvalidOid;
        let scan =
            pg_sys::systable_beginscan(relation, none, false, std::ptr::null_mut(), 0, std::ptr::null_mut());
        let row = pg_sys::systable_getnext(scan);
        let mut is_null = false;
        let group = (!row.is_null()).then(|| pg_sys::heap_getattr(row, 1, opened.descriptor(), &mut is_null));
        pg_sys::systable_endscan(scan);
        group.is_some_and(|group| group.value() as i32 != COORDINATOR)
    }
}

/// The group of the coordinator's server.
const COORDINATOR: i32 = 0;

fn table_and_index(table: &CStr, index: &CStr) -> Option<(pg_sys::Oid, pg_sys::Oid)> {
    in_pg_catalog(table).zip(in_pg_catalog(index))
}

/// The relation of this name in `pg_catalog`, where only superusers can make one.
fn in_pg_catalog(name: &CStr) -> Option<pg_sys::Oid> {
    let schema = pg_sys::Oid::from(pg_sys::PG_CATALOG_NAMESPACE);
    // SAFETY: this is a catalog look-up by a NUL-terminated name.
    let found = unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema) };
    (found != pg_sys::InvalidOid).then_some(found)
}
