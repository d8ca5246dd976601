//! Checks that a relation is stored as the statement's snapshot knows it.
//!
//! A statement of SQL locks its relations first and takes its snapshot afterwards. A function locks the relations that it
//! reads when the statement's snapshot exists already. While it waits for such a lock, the relation may be rewritten by
//! `ALTER TABLE`, truncated, or dropped and made again. Then the snapshot sees none of the rows that are stored now, and
//! the function would answer that there are none. So this file raises an error, which asks for another try. Where all
//! statements of a transaction share one snapshot, a SELECT sees no more rows than we do, and nothing is refused.
//!
//! What foreign tables show is no matter of storage here; [`crate::pg::foreign`] says where they may be read.

use crate::error::Error;
use crate::pg::foreign;
use crate::pg::relations;
use crate::pg::system_rows::{each_with_oid, oid_in};
use pgrx::pg_sys;
use std::collections::BTreeSet;

/// Refuses relations whose storage was replaced after the active snapshot was taken, because the snapshot cannot see the
/// new rows, and foreign tables that this process cannot see as its transaction does.
///
/// # Safety
/// There is an active snapshot, and the caller holds locks on the relations.
pub unsafe fn check(relations: impl IntoIterator<Item = pg_sys::Oid>) -> Result<(), Error> {
    let relations: Vec<_> = relations.into_iter().collect();
    foreign::check(&relations)?;
    // SAFETY: the isolation level is a variable of this process; the rest is as the caller says.
    unsafe {
        if pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 {
            return Ok(());
        }
        match relations.into_iter().find(|relation| !is_as_seen(*relation)) {
            None => Ok(()),
            Some(relation) => Err(Error::Changed(format!(
                "{} was written anew while this statement waited for it",
                relations::qualified_name(relation)?
            ))),
        }
    }
}

/// A relation and all that inherit from it, such as its partitions.
///
/// # Safety
/// The caller holds a lock on the relation.
pub unsafe fn with_children(relation: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut all = vec![relation];
    let mut n = 0;
    while n < all.len() {
        // SAFETY: with a NULL snapshot Postgres uses the newest.
        let children = unsafe { children(all[n], std::ptr::null_mut()) };
        all.extend(children.into_iter().map(pg_sys::Oid::from));
        n += 1;
    }
    all
}

/// The relations that a running query reads.
///
/// # Safety
/// The query is NULL or started.
pub unsafe fn relations_of(query: *mut pg_sys::QueryDesc) -> Vec<pg_sys::Oid> {
    if query.is_null() {
        return Vec::new();
    }
    // SAFETY: a query that is started has a live plan, whose field is a list of OIDs, or NULL if there is none.
    unsafe { pgrx::PgList::<pg_sys::Oid>::from_pg((*(*query).plannedstmt).relationOids).iter_oid().collect() }
}

/// # Safety
/// The same as for [`check`].
unsafe fn is_as_seen(relation: pg_sys::Oid) -> bool {
    // SAFETY: the row of the syscache is released after its last use; there is an active snapshot, as the caller says.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(relation));
        if row.is_null() {
            return true;
        }
        let is_old = is_seen(row);
        let file = file_of(row);
        let is_partition = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_class>()).relispartition;
        pg_sys::ReleaseSysCache(row);
        if is_old {
            return true;
        }
        match file_seen(relation) {
            Some(seen) => seen == file,
            // A new partition takes no row away, unless it replaces one that was dropped.
            None => is_partition && siblings_are_there(relation),
        }
    }
}

/// Whether the snapshot sees the transaction that wrote the row as committed. The answer is no for the current transaction,
/// because it can rewrite the relation after the snapshot was taken.
///
/// # Safety
/// `row` is a live row of pg_class, and there is an active snapshot.
unsafe fn is_seen(row: pg_sys::HeapTuple) -> bool {
    // SAFETY: the tuple is live and the snapshot is active, as the caller says.
    unsafe {
        let header = &*(*row).t_data;
        if u32::from(header.t_infomask) & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_FROZEN {
            return true;
        }
        let writer = header.t_choice.t_heap.t_xmin;
        !pg_sys::XidInMVCCSnapshot(writer, pg_sys::GetActiveSnapshot())
            && !pg_sys::TransactionIdIsCurrentTransactionId(writer)
    }
}

/// # Safety
/// `row` is a live row of pg_class.
unsafe fn file_of(row: pg_sys::HeapTuple) -> pg_sys::Oid {
    // SAFETY: the row is live and one of pg_class, as the caller says.
    unsafe { (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_class>()).relfilenode }
}

/// The number of the relation's file as the snapshot sees it; `None` if the snapshot sees no such relation.
///
/// # Safety
/// There is an active snapshot.
unsafe fn file_seen(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let mut found = None;
    // SAFETY: the columns are those of pg_class, the index is the one on its OID, and there is an active snapshot, as the
    // caller says.
    unsafe {
        let by_oid = (pg_sys::RelationRelationId, pg_sys::Oid::from(pg_sys::ClassOidIndexId), 1);
        let snapshot = pg_sys::GetActiveSnapshot();
        each_with_oid(by_oid, relation, snapshot, &mut |row, _| found = Some(file_of(row)));
    }
    found
}

// These numbers are from pg_inherits.h, of which pgrx has only a part.
const INHERITS: u32 = 2611;
const INHERITS_BY_CHILD: u32 = 2680;
const INHERITS_BY_PARENT: u32 = 2187;
const CHILD: i16 = 1;
const PARENT: i16 = 2;

/// Whether all partitions that the snapshot sees beside this one still exist.
///
/// # Safety
/// There is an active snapshot.
unsafe fn siblings_are_there(partition: pg_sys::Oid) -> bool {
    let [inherits, by_child] = [INHERITS, INHERITS_BY_CHILD].map(pg_sys::Oid::from);
    // SAFETY: both columns of pg_inherits are OIDs and never NULL, and the index begins with the column that it is used for.
    // With a NULL snapshot Postgres uses the newest.
    unsafe {
        let mut parent = pg_sys::InvalidOid;
        each_with_oid(
            (inherits, by_child, CHILD),
            partition,
            std::ptr::null_mut(),
            &mut |row, descriptor| {
                parent = oid_in(row, descriptor, PARENT);
            },
        );
        children(parent, pg_sys::GetActiveSnapshot()).is_subset(&children(parent, std::ptr::null_mut()))
    }
}

/// The OIDs of the relations that inherit from this one, as the snapshot sees them; NULL is the newest.
///
/// # Safety
/// The snapshot is NULL or lives through the call.
unsafe fn children(parent: pg_sys::Oid, snapshot: pg_sys::Snapshot) -> BTreeSet<u32> {
    let [inherits, by_parent] = [INHERITS, INHERITS_BY_PARENT].map(pg_sys::Oid::from);
    let mut children = BTreeSet::new();
    // SAFETY: both columns of pg_inherits are OIDs and never NULL, and the index begins with the column that it is used for;
    // the snapshot is as the caller says.
    unsafe {
        each_with_oid((inherits, by_parent, PARENT), parent, snapshot, &mut |row, descriptor| {
            children.insert(oid_in(row, descriptor, CHILD).to_u32());
        });
    }
    children
}
