//! How a model is changed: by those who may, one after the other.

use super::audit::Caller;
use super::rights::{check, check_role, Privilege};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::session::refuse_read_only;
use pgrx::spi::SpiClient;
use std::ffi::CStr;

/// Runs SQL on a model with the rights of the extension's owner, for a caller who has the privilege. Whoever else changes
/// the model waits until this transaction has ended. `command` is what was called, for where nothing may be written.
pub fn change<T>(
    command: &CStr,
    model: &str,
    privilege: Privilege,
    run: impl FnOnce(&mut SpiClient, &Caller) -> Result<T, Error>,
) -> Result<T, Error> {
    refuse_read_only(command);
    check(model, privilege)?;
    let caller = Caller::now();
    as_owner(|client| {
        lock(client, model)?;
        // It may have been taken back while this waited.
        check_role(caller.id, model, privilege)?;
        run(client, &caller)
    })
}

/// Locks a model by a change of its row, so that a transaction with an older snapshot is refused, and does not decide by
/// what is no longer so.
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
