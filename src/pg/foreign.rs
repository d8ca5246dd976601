//! Refuses foreign tables in parallel workers.
//!
//! A worker has connections of its own to foreign servers. So it reads under another snapshot than its leader, and sees
//! nothing of what the leader's transaction has written there: a key could seem to have no row. PostgreSQL plans no scan of
//! a foreign table in a worker, but a function that runs a query of its own may be called in one.

use crate::error::Error;
use crate::pg::relations::{kind_of, qualified_name, FOREIGN_TABLE};
use pgrx::pg_sys;

/// Refuses the relations if this process is a parallel worker and one of them is a foreign table.
pub fn check(relations: &[pg_sys::Oid]) -> Result<(), Error> {
    // SAFETY: this is a variable of this process.
    if unsafe { pg_sys::ParallelWorkerNumber } < 0 {
        return Ok(());
    }
    match relations.iter().find(|relation| kind_of(**relation) == FOREIGN_TABLE) {
        None => Ok(()),
        Some(foreign) => Err(Error::ForeignInWorker(qualified_name(*foreign)?)),
    }
}
