//! Several queries that see the same.

use crate::error::Error;
use pgrx::pg_sys;

/// Runs `read` under a new snapshot, which sees what the statement has done so far. Queries that only read use it.
pub fn with_one_snapshot<T>(read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // SAFETY: a transaction is open. The snapshot is popped below; after an error the abort pops it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
    let result = read();
    // SAFETY: the snapshot was pushed above, and whatever `read` has pushed is popped.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}
