//! A number that grows with every change to a role, a membership or the owner of a database that this backend hears of, so
//! that what was found out about roles can be kept until then.

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{AUTHMEMROLEMEM, AUTHOID, DATABASEOID};
use pgrx::prelude::*;
use std::cell::Cell;

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// The number as of now. What was looked up under the same number is still true.
#[inline]
pub fn generation() -> u64 {
    if !LISTENING.get() {
        listen();
    }
    GENERATION.get()
}

#[pg_guard]
unsafe extern "C-unwind" fn role_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    GENERATION.set(GENERATION.get() + 1);
}

fn listen() {
    for cache in [AUTHMEMROLEMEM, AUTHOID, DATABASEOID] {
        // SAFETY: the callback lives as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(role_changed), pg_sys::Datum::from(0));
        }
    }
    LISTENING.set(true);
}
