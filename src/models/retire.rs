//! The functions `reco.archive_version` and `reco.drop_model`.

use crate::catalog::change::{change, require_usable};
use crate::catalog::in_use;
use crate::catalog::rights::{self, Privilege};
use crate::error::{or_raise, Error};
use crate::pg::values::given;
use crate::scoring::shared_models;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::json;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn archive_version(model: Option<&str>, version: Option<i32>) {
    let archive = || {
        let (model, version) = (given(model, "model")?, given(version, "version")?);
        change(c"reco.archive_version()", model, Privilege::Manage, |client, caller| {
            require_usable(client, model, version)?;
            refuse_named(client, model, version)?;
            in_use::refuse_arm(client, model, version)?;
            remove_shared(client, model, Some(version))?;
            client.update(
                "WITH archived AS (SELECT w.artifact_id FROM reco.version AS v, \
                                       LATERAL (VALUES (v.artifact_id), (v.measured_artifact_id)) AS w (artifact_id) \
                                   WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2), \
                      emptied AS (DELETE FROM reco.artifact_chunk AS c USING archived AS o \
                                  WHERE c.artifact_id OPERATOR(pg_catalog.=) o.artifact_id), \
                      gone AS (DELETE FROM reco.artifact AS a USING archived AS o \
                               WHERE a.artifact_id OPERATOR(pg_catalog.=) o.artifact_id) \
                 UPDATE reco.version AS v SET artifact_id = NULL, measured_artifact_id = NULL \
                 WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2",
                None,
                &[model.into(), version.into()],
            )?;
            caller.did(client, "archived", model, Some(version), json!({}))
        })
    };
    or_raise(archive());
}

/// Deletes the files through which backends share the weights of a version, or of all versions if none is named.
fn remove_shared(client: &mut SpiClient, model: &str, version: Option<i32>) -> Result<(), Error> {
    let sql = "SELECT a.digest FROM reco.artifact AS a \
               JOIN reco.version AS v ON a.artifact_id OPERATOR(pg_catalog.=) v.artifact_id \
                    OR a.artifact_id OPERATOR(pg_catalog.=) v.measured_artifact_id \
               WHERE v.model OPERATOR(pg_catalog.=) $1 \
                 AND ($2 IS NULL OR v.version OPERATOR(pg_catalog.=) $2)";
    for row in client.update(sql, None, &[model.into(), version.into()])? {
        let digest = row.get::<Vec<u8>>(1)?.unwrap_or_default();
        digest[..].try_into().iter().for_each(shared_models::remove);
    }
    Ok(())
}

/// Refuses a version that an alias stands for.
fn refuse_named(client: &mut SpiClient, model: &str, version: i32) -> Result<(), Error> {
    let sql = "SELECT pg_catalog.string_agg(alias, ', ' ORDER BY alias) FROM reco.alias \
               WHERE model OPERATOR(pg_catalog.=) $1 AND version OPERATOR(pg_catalog.=) $2";
    let names = client.update(sql, Some(1), &[model.into(), version.into()])?.first().get_one::<String>()?;
    names.map_or(Ok(()), |names| {
        Err(Error::InUse {
            message: format!("version {version} of model \"{model}\" is in use: it is the {names}"),
            hint: "Let the alias stand for another version first: reco.set_alias(…), reco.drop_alias(…)."
                .into(),
        })
    })
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn drop_model(model: Option<&str>, force: Option<bool>) {
    let drop = || {
        let (model, force) = (given(model, "model")?, given(force, "force")?);
        change(c"reco.drop_model()", model, Privilege::Manage, |client, caller| {
            if !force {
                refuse_in_use(client, model)?;
            }
            rights::changed()?;
            remove_shared(client, model, None)?;
            for delete in DELETE_BELONGINGS {
                client.update(delete, None, &[model.into()])?;
            }
            let versions = client.update(DELETE_VERSIONS, None, &[model.into()])?.len();
            client.update(DELETE_MODEL, None, &[model.into()])?;
            caller.did(client, "dropped", model, None, json!({ "versions": versions }))
        })
    };
    or_raise(drop());
}

/// All that a model has but its versions, its runs and its audit: what refers to something before that, since nothing else
/// deletes it. Its A/B tests are locked first, so that what is logged meanwhile is waited for, or finds that the test is gone.
const DELETE_BELONGINGS: [&str; 13] = [
    "SELECT FROM reco.ab_test WHERE model OPERATOR(pg_catalog.=) $1 FOR UPDATE",
    "DELETE FROM reco.recommendation WHERE test IN \
         (SELECT t.test FROM reco.ab_test AS t WHERE t.model OPERATOR(pg_catalog.=) $1)",
    "DELETE FROM reco.ab_arm WHERE test IN \
         (SELECT t.test FROM reco.ab_test AS t WHERE t.model OPERATOR(pg_catalog.=) $1)",
    "DELETE FROM reco.ab_test WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.alias WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.promotion WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.version_histogram WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.monitored_week WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.monitored_column WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.monitored_model WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.model_privilege WHERE model OPERATOR(pg_catalog.=) $1",
    "DELETE FROM reco.artifact_chunk WHERE artifact_id IN \
         (SELECT pg_catalog.unnest(ARRAY[v.artifact_id, v.measured_artifact_id]) FROM reco.version AS v \
          WHERE v.model OPERATOR(pg_catalog.=) $1)",
    "DELETE FROM reco.artifact WHERE artifact_id IN \
         (SELECT pg_catalog.unnest(ARRAY[v.artifact_id, v.measured_artifact_id]) FROM reco.version AS v \
          WHERE v.model OPERATOR(pg_catalog.=) $1)",
];
const DELETE_VERSIONS: &str = "DELETE FROM reco.version WHERE model OPERATOR(pg_catalog.=) $1";
const DELETE_MODEL: &str = "DELETE FROM reco.model WHERE model OPERATOR(pg_catalog.=) $1";

/// Refuses a model that has aliases, because somebody scores with it.
fn refuse_in_use(client: &mut SpiClient, model: &str) -> Result<(), Error> {
    let sql = "SELECT pg_catalog.string_agg(alias, ', ' ORDER BY alias) FROM reco.alias \
               WHERE model OPERATOR(pg_catalog.=) $1";
    let names = client.update(sql, Some(1), &[model.into()])?.first().get_one::<String>()?;
    names.map_or(Ok(()), |names| {
        Err(Error::InUse {
            message: format!("model \"{model}\" is in use: it has the aliases {names}"),
            hint: "Drop them first with reco.drop_alias(…), or all at once with force => true.".into(),
        })
    })
}
