//! Changes to a model: only those who may make them can, and one change waits for the other.

use super::audit::Caller;
use super::rights::{check, check_role, Privilege};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::two_versions::require_writable;
use pgrx::spi::SpiClient;
use std::ffi::CStr;

/// Runs SQL on a model with the rights of the extension's owner, for a caller who has the privilege. Whoever else changes
/// the model waits until this transaction has ended. `command` is the name of the call, for the error of a read-only
/// transaction.
pub fn change<T>(
    command: &CStr,
    model: &str,
    privilege: Privilege,
    run: impl FnOnce(&mut SpiClient, &Caller) -> Result<T, Error>,
) -> Result<T, Error> {
    require_writable(command);
    check(model, privilege)?;
    let caller = Caller::now();
    as_owner(|client| {
        lock(client, model)?;
        // The privilege may have been revoked while this call waited for the lock.
        check_role(caller.id, model, privilege)?;
        run(client, &caller)
    })
}

/// Locks a model by an update of its row. So a transaction with an older snapshot gets a serialization error, and does not
/// decide on what is no longer true.
pub fn lock(client: &mut SpiClient, model: &str) -> Result<(), Error> {
    let update = "UPDATE reco.model SET owner = owner WHERE model OPERATOR(pg_catalog.=) $1";
    match client.update(update, None, &[model.into()])?.len() {
        0 => Err(Error::UnknownModel(model.to_owned())),
        _ => Ok(()),
    }
}

/// Refuses a version that does not exist or is archived.
pub fn require_usable(client: &mut SpiClient, model: &str, version: i32) -> Result<(), Error> {
    let sql = "SELECT v.artifact_id IS NOT NULL FROM reco.version AS v \
               WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";
    let rows = client.update(sql, Some(1), &[model.into(), version.into()])?;
    if rows.is_empty() {
        return Err(Error::UnknownVersion { model: model.to_owned(), version });
    }
    match rows.first().get_one::<bool>()? {
        Some(true) => Ok(()),
        _ => Err(Error::Archived { model: model.to_owned(), version }),
    }
}
