//! The functions `reco.grant_model`, `reco.revoke_model` and `reco.set_model_owner`.

use crate::catalog::change::change;
use crate::catalog::rights::{self, Privilege, PUBLIC};
use crate::error::{or_raise, Error};
use crate::pg::call::Call;
use crate::pg::relations;
use crate::pg::values::given;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::json;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn grant_model(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: Postgres calls this with the arguments that its SQL declares.
    or_raise(
        arguments(unsafe { &Call::new(fcinfo) })
            .and_then(|(model, role, privilege)| grant(&model, &role, privilege)),
    );
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn revoke_model(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: as in `grant_model`.
    or_raise(
        arguments(unsafe { &Call::new(fcinfo) })
            .and_then(|(model, role, privilege)| revoke(&model, &role, privilege)),
    );
}

fn arguments(call: &Call) -> Result<(String, String, Privilege), Error> {
    let model = given(call.text(0), "model")?;
    let role = given(call.name(1), "role")?;
    let privilege = given(call.text(2), "privilege")?;
    Ok((model, role, Privilege::from_name(&privilege)?))
}

fn grant(model: &str, role: &str, privilege: Privilege) -> Result<(), Error> {
    if role != PUBLIC && relations::role(role).is_none() {
        return Err(Error::UnknownRole(role.to_owned()));
    }
    change(c"reco.grant_model()", model, Privilege::Manage, |client, caller| {
        rights::changed()?;
        // If the caller's grants count for others (see `rights::vouches`), an existing grant by another role becomes the
        // caller's own. So a grant that a stranger made before does not stand in its way.
        let insert = "INSERT INTO reco.model_privilege AS p (model, grantee, privilege, granted_by) \
                      VALUES ($1, $2, $3, $4) ON CONFLICT (model, grantee, privilege) DO UPDATE \
                      SET granted_by = excluded.granted_by, granted_at = excluded.granted_at \
                      WHERE $5 AND p.granted_by OPERATOR(pg_catalog.<>) excluded.granted_by";
        let row = [
            model.into(),
            role.into(),
            privilege.name().into(),
            caller.role.as_str().into(),
            rights::vouches(caller.id).into(),
        ];
        if client.update(insert, None, &row)?.is_empty() {
            return Ok(());
        }
        caller.did(client, "granted", model, None, json!({"role": role, "privilege": privilege.name()}))
    })
}

fn revoke(model: &str, role: &str, privilege: Privilege) -> Result<(), Error> {
    change(c"reco.revoke_model()", model, Privilege::Manage, |client, caller| {
        rights::changed()?;
        for includes in privilege.and_above() {
            let delete = "DELETE FROM reco.model_privilege \
                          WHERE model OPERATOR(pg_catalog.=) $1 AND grantee OPERATOR(pg_catalog.=) $2 \
                            AND privilege OPERATOR(pg_catalog.=) $3";
            let row = [model.into(), role.into(), includes.name().into()];
            if !client.update(delete, None, &row)?.is_empty() {
                let detail = json!({"role": role, "privilege": includes.name()});
                caller.did(client, "revoked", model, None, detail)?;
            }
        }
        Ok(())
    })
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn set_model_owner(fcinfo: pg_sys::FunctionCallInfo) {
    // SAFETY: as in `grant_model`.
    let call = unsafe { Call::new(fcinfo) };
    let set = || set_owner(&given(call.text(0), "model")?, &given(call.name(1), "owner")?);
    or_raise(set());
}

fn set_owner(model: &str, owner: &str) -> Result<(), Error> {
    let role = relations::role(owner).ok_or_else(|| Error::UnknownRole(owner.to_owned()))?;
    change(c"reco.set_model_owner()", model, Privilege::Manage, |client, caller| {
        // SAFETY: this is a look-up of two roles that exist.
        if !unsafe { pg_sys::is_member_of_role(caller.id, role) } {
            return Err(Error::Privilege {
                message: format!("permission denied to give model \"{model}\" to role \"{owner}\""),
                hint: Some("One gives a model to roles that one is a member of.".into()),
            });
        }
        rights::changed()?;
        let update = "UPDATE reco.model SET owner = $2 WHERE model OPERATOR(pg_catalog.=) $1";
        client.update(update, None, &[model.into(), owner.into()])?;
        caller.did(client, "owner_set", model, None, json!({ "owner": owner }))
    })
}
