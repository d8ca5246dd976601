//! A number that grows when a transaction ends and when a subtransaction is rolled back: what was seen before may be gone then,
//! though the snapshot looks the same.

use crate::pg::{guard, open_scans};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::c_void;

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// The number as of now.
#[inline]
pub fn generation() -> u64 {
    GENERATION.get()
}

/// Listens to transactions. Called once, when the library is loaded.
pub fn listen() {
    // SAFETY: the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction), std::ptr::null_mut());
    }
}

/// # Safety
/// Called by Postgres.
unsafe extern "C-unwind" fn transaction(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::*;
    let ended = [
        XACT_EVENT_COMMIT,
        XACT_EVENT_PARALLEL_COMMIT,
        XACT_EVENT_ABORT,
        XACT_EVENT_PARALLEL_ABORT,
        XACT_EVENT_PREPARE,
    ];
    if ended.contains(&event) {
        // SAFETY: this frame owns nothing.
        unsafe { guard::within(|| forget_from(0)) };
    }
}

/// # Safety
/// Called by Postgres.
unsafe extern "C-unwind" fn subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _this: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // SAFETY: this frame owns nothing; a plain look-up. The subtransaction that is rolled back is the innermost.
        unsafe { guard::within(|| forget_from(pg_sys::GetCurrentTransactionNestLevel())) };
    }
}

/// What was seen at this depth of subtransactions, or deeper, is forgotten.
fn forget_from(level: i32) {
    GENERATION.set(GENERATION.get() + 1);
    open_scans::forget_from(level);
}
