//! The user who asks and the snapshot under which the question is asked, as one value that can be compared.

use crate::pg::transactions;
use pgrx::pg_sys;

/// The current user and the active snapshot. Both stay the same during a statement. PL/pgSQL evaluates many expressions at
/// the same call site, and a promotion or a change of role between two of them must be seen.
#[derive(PartialEq, Eq)]
pub struct Moment {
    user: pg_sys::Oid,
    row_security: bool,
    xmin: u32,
    xmax: u32,
    running: u32,
    running_subtransactions: i32,
    command: u32,
    /// The generation of transactions: a snapshot does not change when a subtransaction is rolled back, but this number
    /// does.
    transactions: u64,
}

impl Moment {
    #[inline]
    pub fn now() -> Self {
        // SAFETY: Postgres never calls a function without an active snapshot and a current user.
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
