//! The advisory lock that a backend holds on what it has under way, a training or a refresh: a row that says `running`
//! and whose lock is gone has lost its backend. See `reco.run_is_alive` in `sql/catalog.sql`.

use crate::acting_as::as_owner;
use crate::error::Error;
use crate::session::Session;
use pgrx::spi::SpiClient;
use pgrx::Uuid;

/// Takes the lock, as the extension's owner: the transaction's where all is one, else the session's, which is to be
/// released.
pub fn hold(client: &mut SpiClient, id: Uuid, session: &Session) -> Result<(), Error> {
    let lock = if session.is_atomic() { "pg_advisory_xact_lock" } else { "pg_advisory_lock" };
    let take = format!("SELECT pg_catalog.{lock}(reco.run_lock_key($1))");
    client.update(take.as_str(), None, &[id.into()])?;
    Ok(())
}

/// Lets go of the session's lock.
pub fn release(id: Uuid) -> Result<(), Error> {
    as_owner(|client| {
        let unlock = "SELECT pg_catalog.pg_advisory_unlock(reco.run_lock_key($1))";
        client.update(unlock, None, &[id.into()])?;
        Ok(())
    })
}
