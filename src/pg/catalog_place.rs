//! Whether the catalog's rows are on this server, and may be changed here.
//!
//! Scoring reads the catalog's tables without queries, and so their heaps on this server. The rows are elsewhere where Citus has
//! distributed the tables. On a worker of Citus the tables are empty, or hold what was left in them, unless they are copies of the
//! coordinator's. Old rows are no answer: who may score with what may have changed since.

use crate::error::Error;
use crate::pg::copied::{copied, Copied};
use crate::pg::distributed::{is_distributed, is_worker};
use crate::pg::relations::qualified_name;
use pgrx::pg_sys;

/// Refuses to read a table of the catalog whose rows are not here, or not up to date.
pub fn check_readable(table: pg_sys::Oid) -> Result<(), Error> {
    let name = || qualified_name(table);
    if is_distributed(table) {
        return Err(not_here(
            format!("Citus keeps the rows of {} in shards, which scoring does not read", name()?),
            "Restore a dump of this database into one whose catalog stays local: Citus takes no table of an extension back. Workers \
             get the catalog by logical replication: see the page \"Citus\" of the documentation."
                .into(),
        ));
    }
    match copied(table) {
        Some(Copied::Kept) => Ok(()),
        Some(Copied::Begun) => Err(not_here(
            format!("{} is still being copied to this server", name()?),
            "Wait until pg_subscription_rel says that the table is ready, and call again.".into(),
        )),
        Some(Copied::Stopped) => Err(not_here(
            format!("the subscription that keeps {} on this server is disabled", name()?),
            "Enable it with ALTER SUBSCRIPTION; the server's log says why it was disabled. To go on with what is here, drop it.".into(),
        )),
        None if is_worker() => Err(not_here(
            format!("this server is a worker of Citus, and {} is not kept up to date here", name()?),
            "Let it subscribe to the coordinator's catalog: see the page \"Citus\" of the documentation.".into(),
        )),
        None => Ok(()),
    }
}

/// Refuses a command that changes the catalog where its rows are another server's, or are not read here.
pub fn check_writable(command: &str, table: pg_sys::Oid) -> Result<(), Error> {
    check_readable(table)?;
    match copied(table) {
        None => Ok(()),
        Some(_) => Err(not_here(
            format!("{command} changes the catalog, and this server has a copy of another server's"),
            "Call it on the server that publishes the catalog.".into(),
        )),
    }
}

fn not_here(message: String, hint: String) -> Error {
    Error::NotHere { message, hint }
}
