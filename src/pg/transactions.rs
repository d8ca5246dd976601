//! A counter that grows when a transaction ends and when a subtransaction is rolled back. What was seen before may be gone
//! then, although the snapshot looks the same.

use crate::pg::ends::{self, Ended};
use crate::pg::{guard, open_scans};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::c_void;

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// The counter's current value.
#[inline]
pub fn generation() -> u64 {
    GENERATION.get()
}

/// Registers the callbacks for the ends of transactions. This is called once, when the library is loaded.
pub fn listen() {
    // SAFETY: the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction), std::ptr::null_mut());
    }
}

/// # Safety
/// Only Postgres calls this.
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
        // SAFETY: this frame owns nothing, and C calls it.
        unsafe {
            guard::within(|| {
                forget_from(0);
                ends::tell(match event {
                    XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => Ended::WithError,
                    _ => Ended::Well,
                });
            })
        };
    }
}

/// # Safety
/// Only Postgres calls this.
unsafe extern "C-unwind" fn subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _this: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // SAFETY: this frame owns nothing, and C calls it. The subtransaction that is rolled back is the innermost one, so
        // the current nesting level is its level.
        unsafe { guard::within(|| forget_from(pg_sys::GetCurrentTransactionNestLevel())) };
    }
}

/// Forgets what was seen at this nesting level of subtransactions or deeper.
fn forget_from(level: i32) {
    GENERATION.set(GENERATION.get() + 1);
    open_scans::forget_from(level);
}
