//! Who asks, and under which snapshot.

use crate::pg::transactions;
use pgrx::pg_sys;

/// The current user and the active snapshot. Both stay the same for the length of a statement. PL/pgSQL evaluates many
/// expressions with the same call site, and a promotion or a change of role between them must be seen.
#[derive(PartialEq, Eq)]
pub struct Moment {
    user: pg_sys::Oid,
    row_security: bool,
    xmin: u32,
    xmax: u32,
    running: u32,
    running_subtransactions: i32,
    command: u32,
    /// A snapshot does not tell that a subtransaction was rolled back since.
    transactions: u64,
}

impl Moment {
    #[inline]
    pub fn now() -> Self {
        // SAFETY: a function is never called without an active snapshot and a current user.
        unsafe {
            let snapshot = &*pg_sys::GetActiveSnapshot();
            Self {
                user: pg_sys::GetUserId(),
                row_security: pg_sys::row_security,
                xmin: snapshot.xmin.into_inner(),
                xmax: snapshot.xmax.into_inner(),
                running: snapshot.xcnt,
                running_subtransactions: snapshot.subxcnt,
                command: snapshot.curcid,
                transactions: transactions::generation(),
            }
        }
    }
}
