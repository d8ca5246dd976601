//! Rows of system tables that have no cache of their own, by an OID that they hold.

use pgrx::pg_sys;

/// # Safety
/// `row` is live and has this descriptor, and the column holds an OID.
pub unsafe fn oid_in(row: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc, column: i16) -> pg_sys::Oid {
    let mut is_null = false;
    // SAFETY: the row is live and has this descriptor, as the caller says.
    let value = unsafe { pg_sys::heap_getattr(row, column.into(), descriptor, &mut is_null) };
    pg_sys::Oid::from(value.value() as u32)
}

/// Calls `take` for each row of a system table that has this OID in `column`. With a NULL snapshot Postgres uses the newest.
///
/// # Safety
/// `index` is an index of `table` that begins with `column`, and the snapshot is NULL or lives through the call.
pub unsafe fn each_with_oid(
    (table, index, column): (pg_sys::Oid, pg_sys::Oid, i16),
    oid: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    take: &mut dyn FnMut(pg_sys::HeapTuple, pg_sys::TupleDesc),
) {
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: the table, the index and the column belong together, as the caller says. Scan and table are closed below, or
    // by the abort after an error.
    unsafe {
        let strategy = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
        let equals = pg_sys::Oid::from(pg_sys::F_OIDEQ);
        pg_sys::ScanKeyInit(&mut key, column, strategy, equals, pg_sys::Datum::from(oid));
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::systable_beginscan(relation, index, true, snapshot, 1, &mut key);
        loop {
            let row = pg_sys::systable_getnext(scan);
            if row.is_null() {
                break;
            }
            take(row, (*relation).rd_att);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
}
