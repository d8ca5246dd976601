//! Writes `reco.audit`: who did what to which model.

use crate::error::Error;
use crate::pg::acting_as::current_user;
use crate::pg::relations;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use serde_json::Value;

/// The user who calls. It is looked up before the call takes on the rights of another role.
pub struct Caller {
    pub id: pg_sys::Oid,
    /// The current role's name.
    pub role: String,
    login: String,
}

impl Caller {
    pub fn now() -> Self {
        // SAFETY: these calls only read variables of this process.
        let (id, login) = unsafe { (pg_sys::GetUserId(), relations::role_name(pg_sys::GetSessionUserId())) };
        Self { id, role: current_user(), login }
    }

    /// Adds a row to the audit. `client` has the rights of the extension's owner.
    pub fn did(
        &self,
        client: &mut SpiClient,
        action: &str,
        model: &str,
        version: Option<i32>,
        detail: Value,
    ) -> Result<(), Error> {
        client.update(
            "INSERT INTO reco.audit_event (event_id, at, login, role, action, model, version, detail) \
             VALUES (pg_catalog.gen_random_uuid(), pg_catalog.clock_timestamp(), $1, $2, $3, $4, $5, \
                     $6::pg_catalog.jsonb)",
            None,
            &[
                self.login.as_str().into(),
                self.role.as_str().into(),
                action.into(),
                model.into(),
                version.into(),
                detail.to_string().into(),
            ],
        )?;
        Ok(())
    }
}
