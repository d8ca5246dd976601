//! Tables that are copies of another server's, kept by logical replication.
//!
//! What is written into such a table by hand is not written on the other server. And what the other server has changed since the
//! subscription was disabled, or while the first copy is under way, is not here.

use crate::pg::system_rows::{each_with_oid, oid_in};
use pgrx::pg_sys;

/// How a table is kept, if another server's table is copied into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// What is changed there arrives here.
    Kept,
    /// The rows that were there when the subscription began are still being copied.
    Begun,
    /// The subscription is disabled.
    Stopped,
}

// These numbers are from pg_subscription.h and pg_subscription_rel.h, of which pgrx has no bindings.
const SUBSCRIPTION: u32 = 6100;
const SUBSCRIPTION_BY_OID: u32 = 6114;
const OF_RELATION: u32 = 6102;
const OF_RELATION_BY_RELATION: u32 = 6117;
const OF_RELATION_SUBSCRIPTION: i16 = 1;
const OF_RELATION_RELATION: i16 = 2;
const OF_RELATION_STATE: i16 = 3;

/// How a table is kept; `None` if it is no copy of another server's.
pub fn copied(table: pg_sys::Oid) -> Option<Copied> {
    let [of_relation, by_relation] = [OF_RELATION, OF_RELATION_BY_RELATION].map(pg_sys::Oid::from);
    let mut found = Vec::new();
    // SAFETY: all columns that are read are never NULL, the state is a "char", and the index begins with the column that it is
    // used for.
    unsafe {
        each_with_oid(
            (of_relation, by_relation, OF_RELATION_RELATION),
            table,
            std::ptr::null_mut(),
            &mut |row, descriptor| {
                let mut is_null = false;
                let state = pg_sys::heap_getattr(row, OF_RELATION_STATE.into(), descriptor, &mut is_null);
                found.push((oid_in(row, descriptor, OF_RELATION_SUBSCRIPTION), state.value() as u8));
            },
        );
    }
    let each = found.into_iter().map(|(subscription, state)| match state {
        _ if !is_enabled(subscription) => Copied::Stopped,
        b'r' | b's' => Copied::Kept,
        _ => Copied::Begun,
    });
    // Of several, one that brings what is changed is enough.
    each.min_by_key(|copied| *copied as u8)
}

fn is_enabled(subscription: pg_sys::Oid) -> bool {
    let [table, by_oid] = [SUBSCRIPTION, SUBSCRIPTION_BY_OID].map(pg_sys::Oid::from);
    let mut enabled = false;
    // SAFETY: the first column is the OID, by which the index is. The column that is looked up by its name is a boolean that is
    // never NULL.
    unsafe {
        let column = pg_sys::get_attnum(table, c"subenabled".as_ptr());
        each_with_oid((table, by_oid, 1), subscription, std::ptr::null_mut(), &mut |row, descriptor| {
            let mut is_null = false;
            enabled = pg_sys::heap_getattr(row, column.into(), descriptor, &mut is_null).value() as u8 != 0;
        });
    }
    enabled
}
