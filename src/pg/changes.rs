//! Counters that grow with every invalidation of the relcache or of a syscache that this backend receives, so that what was
//! looked up can be kept until the catalogs change.

use crate::pg::guard;
use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{
    AUTHMEMROLEMEM, AUTHOID, DATABASEOID, NAMESPACEOID, SUBSCRIPTIONOID, SUBSCRIPTIONRELMAP,
};
use std::cell::Cell;
use std::thread::LocalKey;

thread_local! {
    static RELATIONS: Cell<u64> = const { Cell::new(0) };
    static ROLES: Cell<u64> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// The number of changes to relations, schemas and subscriptions so far. What was looked up about them under the same number is still
/// true.
#[inline]
pub fn relations() -> u64 {
    listen();
    RELATIONS.get()
}

/// The number of changes to roles, memberships and owners of databases so far. What was looked up about them under the same
/// number is still true.
#[inline]
pub fn roles() -> u64 {
    listen();
    ROLES.get()
}

/// # Safety
/// Only Postgres calls this, with the argument that [`register`] gave it.
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    grow(&RELATIONS);
}

/// # Safety
/// The same as for [`relation_changed`].
unsafe extern "C-unwind" fn schema_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    grow(&RELATIONS);
}

/// # Safety
/// The same as for [`relation_changed`].
unsafe extern "C-unwind" fn role_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    grow(&ROLES);
}

fn grow(number: &'static LocalKey<Cell<u64>>) {
    // SAFETY: the callers' frames own nothing, and C calls them.
    unsafe { guard::within(|| number.set(number.get() + 1)) }
}

#[inline]
fn listen() {
    if !LISTENING.get() {
        register();
    }
}

fn register() {
    let nothing = pg_sys::Datum::from(0);
    // SAFETY: the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), nothing);
        for cache in [NAMESPACEOID, SUBSCRIPTIONOID, SUBSCRIPTIONRELMAP] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(schema_changed), nothing);
        }
        for cache in [AUTHMEMROLEMEM, AUTHOID, DATABASEOID] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(role_changed), nothing);
        }
    }
    LISTENING.set(true);
}
