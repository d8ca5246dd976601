//! What keeps a schedule from running until a person has acted: its role, its subject or a right is gone.

use super::kind::{gone, Kind, Subject};
use crate::catalog::rights::{check_role, Privilege};
use crate::error::Error;
use crate::feature_view::registry::table_of;
use crate::pg::acting_as::as_owner;
use crate::pg::background::NEEDS_LOGIN;
use crate::pg::relations;
use pgrx::pg_sys;

/// The role that a schedule runs as, if it can run at all. The error says why it cannot.
pub fn able_owner(subject: &Subject, owner: &str) -> Result<pg_sys::Oid, Error> {
    let role = relations::role(owner).ok_or_else(|| Error::UnknownRole(owner.to_owned()))?;
    check_connection(role, owner)?;
    match subject.kind {
        Kind::Refresh => check_view(subject, role, owner)?,
        Kind::Retraining | Kind::Monitoring => {
            // A superuser has every privilege, also on what does not exist.
            if !exists(&subject.key)? {
                return Err(Error::UnknownModel(subject.key.clone()));
            }
            check_role(role, &subject.key, Privilege::Train).map_err(|refusal| named(refusal, owner))?;
        }
    }
    Ok(role)
}

/// A refusal that says who is refused: it is read by others than that role.
fn named(refusal: Error, role: &str) -> Error {
    match refusal {
        Error::Privilege { message, hint } => {
            Error::Privilege { message: format!("role \"{role}\": {message}"), hint }
        }
        other => other,
    }
}

fn exists(model: &str) -> Result<bool, Error> {
    as_owner(|client| {
        let sql = "SELECT FROM reco.model WHERE model OPERATOR(pg_catalog.=) $1";
        Ok(!client.update(sql, Some(1), &[model.into()])?.is_empty())
    })
}

/// A worker connects as the role, so it needs what a client needs.
fn check_connection(role: pg_sys::Oid, name: &str) -> Result<(), Error> {
    let [can_log_in, may_connect, may_use] = as_owner(|client| {
        let sql = "SELECT (SELECT r.rolcanlogin FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) $1), \
                          pg_catalog.has_database_privilege($1, pg_catalog.current_database(), 'CONNECT'), \
                          pg_catalog.has_schema_privilege($1, 'reco', 'USAGE')";
        let row = client.update(sql, Some(1), &[role.into()])?.first();
        let is = |n| row.get::<bool>(n).map(|value| value.unwrap_or(false));
        Ok([is(1)?, is(2)?, is(3)?])
    })?;
    let refused =
        |message: String, hint: &str| Err(Error::Privilege { message, hint: Some(hint.to_owned()) });
    if NEEDS_LOGIN && !can_log_in {
        return refused(
            format!("role \"{name}\" cannot log in, so nothing can run as it"),
            "ALTER ROLE … LOGIN lets it, or another role schedules this. It needs no password.",
        );
    }
    if !may_connect {
        return refused(
            format!("role \"{name}\" may not connect to this database, so nothing can run as it"),
            "GRANT CONNECT ON DATABASE … TO … lets it.",
        );
    }
    if !may_use {
        return refused(
            format!("role \"{name}\" may not use the schema reco"),
            "GRANT USAGE ON SCHEMA reco TO … lets it.",
        );
    }
    Ok(())
}

fn check_view(subject: &Subject, role: pg_sys::Oid, name: &str) -> Result<(), Error> {
    let Some((Some(table), _)) = table_of(subject.view()?)? else { return Err(gone(&subject.name)) };
    // From the catalog: whoever has locked the table must not keep the schedules of others from being decided on.
    let owner = as_owner(|client| {
        let sql = "SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1";
        let rows = client.select(sql, Some(1), &[table.into()])?;
        if rows.is_empty() {
            return Err(gone(&subject.name));
        }
        rows.first().get_one::<pg_sys::Oid>()?.ok_or_else(Error::damaged_row)
    })?;
    // SAFETY: these are look-ups of roles that exist.
    match unsafe { pg_sys::superuser_arg(role) || pg_sys::has_privs_of_role(role, owner) } {
        true => Ok(()),
        false => Err(Error::Privilege {
            message: format!(
                "role \"{name}\" does not own feature view {}",
                relations::qualified_name(table)?
            ),
            hint: Some("Its owner, or a member of that role, can schedule it.".into()),
        }),
    }
}
