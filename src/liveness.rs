//! The advisory lock that a backend holds on what it has under way, a training, a search or a refresh: a row that says
//! `running` and whose lock is gone has lost its backend. See `reco.run_is_alive` in `sql/catalog.sql`.

use crate::acting_as::as_owner;
use crate::error::Error;
use crate::session::{Failure, Session};
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

/// Takes the lock, as the extension's owner: the transaction's where all is one, else the session's, which is to be
/// released.
pub fn hold(client: &mut SpiClient, id: Uuid, session: &Session) -> Result<(), Error> {
    let lock = if session.is_atomic() { "pg_advisory_xact_lock" } else { "pg_advisory_lock" };
    let take = format!("SELECT pg_catalog.{lock}(reco.run_lock_key($1))");
    client.update(take.as_str(), None, &[id.into()])?;
    Ok(())
}

/// Lets go of the lock once the end is written down. The transaction's own goes with the transaction.
pub fn end(id: Uuid, session: &Session) -> Result<(), Error> {
    if session.is_atomic() {
        return Ok(());
    }
    release(id)
}

/// Writes down how it ended, as well as that can be done after a failure.
pub fn end_after(
    id: Uuid,
    failure: &Failure,
    session: &Session,
    write: impl FnOnce(&str, Option<&str>) -> Result<(), Error>,
) {
    let write = || match failure.is_cancel() {
        true => write("cancelled", None),
        false => write("failed", Some(&failure.message())),
    };
    if session.attempt(write).is_err() {
        // Without its lock it counts as failed; nothing more can be done for it.
        let _ = session.attempt(|| release(id));
    }
}

/// Lets go of the session's lock.
pub fn release(id: Uuid) -> Result<(), Error> {
    as_owner(|client| {
        let unlock = "SELECT pg_catalog.pg_advisory_unlock(reco.run_lock_key($1))";
        client.update(unlock, None, &[id.into()])?;
        Ok(())
    })
}
