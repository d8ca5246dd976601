//! Catalog writes. They happen with the rights of the extension's owner, under a fixed search path, after the
//! caller's right to the model has been checked.

use super::CHAMPION;
use crate::acting_as::{as_owner, current_user};
use crate::error::Error;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use pgrx::Uuid;

/// A version to be stored.
pub struct NewVersion<'a> {
    pub model: &'a str,
    pub run_id: Uuid,
    pub algorithm: &'a str,
    pub source: &'a str,
    pub keys: &'a [String],
    pub time_column: Option<&'a str>,
    pub label: &'a str,
    pub parameters: String,
    pub recipe: String,
    pub metrics: String,
    pub data: String,
    pub libraries: String,
    pub seconds: f64,
    pub artifact: &'a [u8],
    /// Make it the champion even if there is one.
    pub promote: bool,
}

/// The number a stored version got, and whether it is the champion.
pub struct Stored {
    pub version: i32,
    pub champion: bool,
}

/// Refuses a caller who is not a member of the role that owns the model. A model that does not exist yet is anyone's.
pub fn check_may_train(model: &str) -> Result<(), Error> {
    let owner = as_owner(|client| {
        let sql = "SELECT pg_catalog.to_regrole(pg_catalog.quote_ident(m.owner))::pg_catalog.oid \
                   FROM reco.model AS m WHERE m.model OPERATOR(pg_catalog.=) $1";
        let rows = client.select(sql, Some(1), &[model.into()])?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(rows.first().get_one::<pg_sys::Oid>()?.unwrap_or(pg_sys::InvalidOid)))
    })?;
    // SAFETY: plain look-ups of the session's user; an owner that is gone (invalid) leaves superusers.
    let allowed = owner.is_none_or(|owner| unsafe {
        pg_sys::superuser()
            || (owner != pg_sys::InvalidOid && pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner))
    });
    if allowed {
        return Ok(());
    }
    Err(Error::Privilege {
        message: format!("permission denied to train model \"{model}\""),
        hint: Some(
            "It belongs to another role; choose another name, or become a member of its owner.".into(),
        ),
    })
}

/// Stores weights and version, and makes it the champion if it is the model's first or asked to be.
pub fn store_version(new: &NewVersion) -> Result<Stored, Error> {
    let caller = current_user();
    lock_model(new.model, &caller)?;
    // Only now is it known whose model it is: another role may have been first.
    check_may_train(new.model)?;
    as_owner(|client| {
        let version = next_version(client, new.model)?;
        let artifact_id = store_artifact(client, new.artifact)?;
        insert_version(client, new, version, artifact_id, &caller)?;
        let champion = set_champion(client, new, version, &caller)?;
        Ok(Stored { version, champion })
    })
}

/// Makes the model if it is new. Whoever else trains it waits until this transaction has ended.
fn lock_model(model: &str, caller: &str) -> Result<(), Error> {
    as_owner(|client| {
        client.update(
            "INSERT INTO reco.model (model, owner) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            None,
            &[model.into(), caller.into()],
        )?;
        client.update(
            "SELECT FROM reco.model AS m WHERE m.model OPERATOR(pg_catalog.=) $1 FOR UPDATE",
            None,
            &[model.into()],
        )?;
        Ok(())
    })
}

fn next_version(client: &mut SpiClient, model: &str) -> Result<i32, Error> {
    let sql = "SELECT 1 + COALESCE(pg_catalog.max(v.version), 0) FROM reco.version AS v \
               WHERE v.model OPERATOR(pg_catalog.=) $1";
    let next = client.update(sql, Some(1), &[model.into()])?.first().get_one::<i32>()?;
    Ok(next.unwrap_or(1))
}

fn store_artifact(client: &mut SpiClient, bytes: &[u8]) -> Result<Uuid, Error> {
    let sql = "INSERT INTO reco.artifact (artifact_id, body) \
               VALUES (pg_catalog.gen_random_uuid(), $1) RETURNING artifact_id";
    let id = client.update(sql, Some(1), &[bytes.into()])?.first().get_one::<Uuid>()?;
    id.ok_or_else(|| Error::invalid("the weights could not be stored"))
}

fn insert_version(
    client: &mut SpiClient,
    new: &NewVersion,
    version: i32,
    artifact_id: Uuid,
    caller: &str,
) -> Result<(), Error> {
    client.update(
        "INSERT INTO reco.version (model, version, artifact_id, run_id, algorithm, source, keys, time_column, \
                                   label, parameters, recipe, metrics, data, libraries, seconds, trained_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::pg_catalog.jsonb, $11::pg_catalog.jsonb, \
                 $12::pg_catalog.jsonb, $13::pg_catalog.jsonb, $14::pg_catalog.jsonb, $15, $16)",
        None,
        &[
            new.model.into(),
            version.into(),
            artifact_id.into(),
            new.run_id.into(),
            new.algorithm.into(),
            new.source.into(),
            new.keys.to_vec().into(),
            new.time_column.into(),
            new.label.into(),
            new.parameters.as_str().into(),
            new.recipe.as_str().into(),
            new.metrics.as_str().into(),
            new.data.as_str().into(),
            new.libraries.as_str().into(),
            new.seconds.into(),
            caller.into(),
        ],
    )?;
    Ok(())
}

fn set_champion(client: &mut SpiClient, new: &NewVersion, version: i32, caller: &str) -> Result<bool, Error> {
    let sql = if new.promote {
        "INSERT INTO reco.alias (model, alias, version, set_by) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (model, alias) DO UPDATE \
         SET version = excluded.version, set_by = excluded.set_by, set_at = pg_catalog.now()"
    } else {
        "INSERT INTO reco.alias (model, alias, version, set_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
    };
    let args = [new.model.into(), CHAMPION.into(), version.into(), caller.into()];
    Ok(!client.update(sql, None, &args)?.is_empty())
}
