//! Catalog writes. They run with the rights of the extension's owner and under a fixed search path, after the caller's
//! right to the model has been checked.

use super::audit::Caller;
use super::rights::{self, Privilege};
use super::version_source::VersionSource;
use super::{change, history, weights};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use model::bytes::Bytes;
use model::protocol::Profile;
use pgrx::spi::SpiClient;
use pgrx::Uuid;
use serde_json::json;

/// A version that is to be stored.
pub struct NewVersion<'a> {
    pub model: &'a str,
    /// What was done, for the audit: trained, imported or calibrated.
    pub action: &'a str,
    /// The run that trained the version; `None` of others.
    pub run_id: Option<Uuid>,
    pub algorithm: &'a str,
    pub source: Option<&'a VersionSource>,
    pub keys: &'a [String],
    pub time_column: Option<&'a str>,
    pub label: Option<&'a str>,
    pub parameters: String,
    pub recipe: String,
    pub metrics: String,
    pub data: String,
    pub libraries: String,
    pub seconds: f64,
    pub artifact: &'a dyn Bytes,
    /// The artifact that was measured, if the other one was refit.
    pub measured: Option<&'a dyn Bytes>,
    /// What its training rows and its scores of the test rows are like; empty if that is not known.
    pub profiles: &'a [Profile],
    /// Whether the version becomes the champion even if there is one.
    pub promote: bool,
}

/// The ids of the stored weights of a version.
struct Weights {
    served: Uuid,
    measured: Option<Uuid>,
}

/// The number that a stored version got, and whether it is the champion.
pub struct StoredVersion {
    pub version: i32,
    pub champion: bool,
}

/// Refuses a caller who may not train the model, or who wants to promote the new version and may not. A model that does not
/// exist yet is anybody's.
pub fn check_may_train(model: &str, promote: bool) -> Result<(), Error> {
    let needed = if promote { Privilege::Manage } else { Privilege::Train };
    rights::check_unless_new(model, needed)
}

/// Stores the weights and the version. The version becomes the champion if it is the model's first one or the caller asks
/// for it.
pub fn store_version(new: &NewVersion) -> Result<StoredVersion, Error> {
    let caller = Caller::now();
    as_owner(|client| make_or_lock_model(client, new, &caller))?;
    // Only under the lock is it certain whose model it is, because another role may have made it first.
    check_may_train(new.model, new.promote)?;
    let weights = Weights {
        served: weights::store(new.artifact)?,
        measured: new.measured.map(weights::store).transpose()?,
    };
    as_owner(|client| {
        let version = next_version(client, new.model)?;
        insert_version(client, new, version, &weights, &caller.role)?;
        insert_profiles(client, new, version)?;
        let detail = json!({"algorithm": new.algorithm, "source": new.source.map(VersionSource::to_string), "run_id": new.run_id.map(|id| id.to_string())});
        caller.did(client, new.action, new.model, Some(version), detail)?;
        let champion = new.promote || version == 1;
        if champion {
            history::promote(client, &caller, new.model, version, None)?;
        }
        Ok(StoredVersion { version, champion })
    })
}

/// Makes the model if it is new, and locks it: whoever else changes it waits until this transaction has ended.
fn make_or_lock_model(client: &mut SpiClient, new: &NewVersion, caller: &Caller) -> Result<(), Error> {
    // The model begins with the run, or with the search of which the run is a trial.
    let insert = "INSERT INTO reco.model (model, owner, begun_at) \
                  SELECT $1, $2, COALESCE(pg_catalog.min(LEAST(r.started_at, t.started_at)), pg_catalog.now()) \
                  FROM reco.run AS r LEFT JOIN reco.tune AS t ON t.tune_id OPERATOR(pg_catalog.=) r.tune_id \
                  WHERE r.run_id OPERATOR(pg_catalog.=) $3 \
                  ON CONFLICT DO NOTHING";
    let row = [new.model.into(), caller.role.as_str().into(), new.run_id.into()];
    if !client.update(insert, None, &row)?.is_empty() {
        rights::changed()?;
    }
    change::lock(client, new.model)
}

fn next_version(client: &mut SpiClient, model: &str) -> Result<i32, Error> {
    let sql =
        "SELECT pg_catalog.max(v.version) FROM reco.version AS v WHERE v.model OPERATOR(pg_catalog.=) $1";
    let last = client.update(sql, Some(1), &[model.into()])?.first().get_one::<i32>()?.unwrap_or(0);
    last.checked_add(1).ok_or_else(|| {
        Error::Damaged(format!(
            "the versions of model \"{model}\" are damaged: {last} is the last there can be"
        ))
    })
}

fn insert_version(
    client: &mut SpiClient,
    new: &NewVersion,
    version: i32,
    weights: &Weights,
    caller: &str,
) -> Result<(), Error> {
    client.update(
        "INSERT INTO reco.version (model, version, artifact_id, run_id, algorithm, source_schema, source_name, keys, \
                                   time_column, label, parameters, recipe, metrics, data, libraries, seconds, trained_by, source_view, \
                                   measured_artifact_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::pg_catalog.jsonb, $12::pg_catalog.jsonb, \
                 $13::pg_catalog.jsonb, $14::pg_catalog.jsonb, $15::pg_catalog.jsonb, $16, $17, $18, $19)",
        None,
        &[
            new.model.into(),
            version.into(),
            weights.served.into(),
            new.run_id.into(),
            new.algorithm.into(),
            new.source.map(|source| source.name.schema.as_str()).into(),
            new.source.map(|source| source.name.name.as_str()).into(),
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
            new.source.and_then(|source| source.view).into(),
            weights.measured.into(),
        ],
    )?;
    Ok(())
}

fn insert_profiles(client: &mut SpiClient, new: &NewVersion, version: i32) -> Result<(), Error> {
    // A version of this number may have been deleted by hand.
    let delete = "DELETE FROM reco.version_histogram WHERE model OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) $2";
    client.update(delete, None, &[new.model.into(), version.into()])?;
    let insert = "INSERT INTO reco.version_histogram (model, version, position, column_name, histogram) \
                  VALUES ($1, $2, $3, $4, $5::pg_catalog.jsonb)";
    for (position, Profile { column, histogram }) in (0_i32..).zip(new.profiles) {
        let histogram = serde_json::to_string(histogram)?;
        let row = [
            new.model.into(),
            version.into(),
            position.into(),
            column.as_deref().into(),
            histogram.as_str().into(),
        ];
        client.update(insert, None, &row)?;
    }
    Ok(())
}

/// Gives a version what is stored of the columns of another one's training. Its scores are others.
pub fn copy_profiles(model: &str, from: i32, to: i32) -> Result<(), Error> {
    let copy = "INSERT INTO reco.version_histogram (model, version, position, column_name, histogram) \
                SELECT h.model, $3, h.position, h.column_name, h.histogram FROM reco.version_histogram AS h \
                WHERE h.model OPERATOR(pg_catalog.=) $1 AND h.version OPERATOR(pg_catalog.=) $2 \
                      AND h.column_name IS NOT NULL";
    as_owner(|client| {
        client.update(copy, None, &[model.into(), from.into(), to.into()]).map(drop).map_err(Error::from)
    })
}
