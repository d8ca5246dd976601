//! The lock that a backend holds on what it has under way, a training, a search or a refresh: a row that says `running` and
//! whose lock is gone has lost its backend. See `reco.run_is_alive` in `sql/catalog.sql`.

use crate::error::Error;
use crate::pg::catalog_lock::CatalogLock;
use crate::pg::session::{Failure, Session};
use pgrx::spi::SpiClient;
use pgrx::Uuid;

/// Marks rows of a catalog table that have lost their backend as failed. `id` is the table's primary key, `did` says what the
/// backend did with it.
pub fn fail_lost(client: &mut SpiClient, table: &str, id: &str, did: &str) -> Result<(), Error> {
    let update = format!(
        "UPDATE reco.{table} SET status = 'failed', finished_at = pg_catalog.clock_timestamp(), \
                error = 'the server process that {did} it ended' \
         WHERE status OPERATOR(pg_catalog.=) 'running' AND NOT reco.run_is_alive({id})"
    );
    client.update(update.as_str(), None, &[])?;
    Ok(())
}

/// Takes the lock: the transaction's where all is one, else the session's, which is to be released.
pub fn hold(id: Uuid, session: &Session) -> Result<(), Error> {
    CatalogLock::of_run(id)?.take(session);
    Ok(())
}

/// Lets go of the lock once the end is written down.
pub fn end(id: Uuid, session: &Session) -> Result<(), Error> {
    CatalogLock::of_run(id)?.release(session);
    Ok(())
}

/// Writes down how it ended, as well as that can be done after a failure. Where it cannot, the lock goes when the failure is
/// raised, and without it the row counts as failed.
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
