//! The lock that a backend holds while it trains, searches or refreshes. A row of the catalog that says `running` while its
//! lock is free has lost its backend. See `reco.run_is_alive` in `sql/catalog.sql`.

use crate::error::Error;
use crate::pg::catalog_lock::CatalogLock;
use crate::pg::session::{Failure, Session};
use pgrx::spi::SpiClient;
use pgrx::Uuid;

/// Marks the rows of a catalog table that have lost their backend as failed. `id` is the table's primary key; `did` is the
/// verb that says in the error what the backend did.
pub fn fail_lost(client: &mut SpiClient, table: &str, id: &str, did: &str) -> Result<(), Error> {
    let update = format!(
        "UPDATE reco.{table} SET status = 'failed', finished_at = pg_catalog.clock_timestamp(), \
                error = 'the server process that {did} it ended' \
         WHERE status OPERATOR(pg_catalog.=) 'running' AND NOT reco.run_is_alive({id})"
    );
    client.update(update.as_str(), None, &[])?;
    Ok(())
}

/// Takes the lock. In an atomic session the transaction holds it, else the session does, and [`end`] has to release it.
pub fn hold(id: Uuid, session: &Session) -> Result<(), Error> {
    CatalogLock::of_run(id)?.take(session);
    Ok(())
}

/// Releases the lock, once the end of the run is recorded.
pub fn end(id: Uuid, session: &Session) -> Result<(), Error> {
    CatalogLock::of_run(id)?.release(session);
    Ok(())
}

/// Records how the run ended, as far as that is possible after a failure. If it is not possible, the lock goes when the
/// failure is raised, and a row without its lock counts as failed.
pub fn end_after(
    failure: &Failure,
    session: &Session,
    write: impl FnOnce(&str, Option<&str>) -> Result<(), Error>,
) {
    let _ = session.attempt(|| match failure.is_cancel() {
        true => write("cancelled", None),
        false => write("failed", Some(&failure.message())),
    });
}
