//! The functions `reco.model_card`, `reco.model_card_text` and `reco.describe_model`.

use crate::catalog::change::change;
use crate::catalog::read;
use crate::catalog::rights::{self, Privilege};
use crate::catalog::stored::{self, Of};
use crate::catalog::version_source::VersionSource;
use crate::catalog::CHAMPION;
use crate::error::{or_raise, Error};
use crate::pg::acting_as::as_owner;
use crate::pg::relations;
use crate::pg::values::{given, note};
use model::card::{self, Card, Reads};
use pgrx::datum::Date;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::JsonB;
use serde_json::json;

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn model_card(model: Option<&str>, version: Option<i32>) -> JsonB {
    let json = || Ok(serde_json::to_value(read_card(given(model, "model")?, version)?)?);
    JsonB(or_raise(json()))
}

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn model_card_text(model: Option<&str>, version: Option<i32>) -> String {
    let text = || Ok(read_card(given(model, "model")?, version)?.markdown());
    or_raise(text())
}

/// The card of a version, or of the champion, as far as the caller may see it.
pub fn read_card(model: &str, version: Option<i32>) -> Result<Card, Error> {
    rights::check(model, Privilege::Score)?;
    let trains = rights::may(model, Privilege::Train)?;
    let version = version_or_champion(model, version)?;
    let of = Of { model, version };
    as_owner(|client| {
        let rows = client.select(QUERY, Some(1), &[model.into(), version.into()])?;
        if rows.is_empty() {
            return Err(Error::UnknownVersion { model: model.to_owned(), version });
        }
        let row = rows.first();
        let text = |n| row.get::<String>(n)?.ok_or_else(Error::damaged_row);
        let mut card: Card =
            serde_json::from_str(&text(1)?).map_err(|_| of.damaged("seconds", "it is no number"))?;
        card.keys = of.read("keys", &text(2)?, stored::keys)?;
        card.libraries = of.read("libraries", &text(6)?, stored::object)?.into();
        let metrics = of.read("metrics", &text(3)?, stored::metrics)?;
        let data = of.read("data", &text(4)?, stored::data)?;
        let today = row.get::<Date>(8)?.ok_or_else(Error::damaged_row)?.to_pg_epoch_days();
        card.data_age_days = data.time_to.map(|to| i64::from(today) - i64::from(to.day));
        card.metrics = metrics.all;
        let hidden = if trains { &["importance", "best_epoch", "parity"][..] } else { &HIDDEN };
        card.metrics.retain(|name, _| !hidden.contains(&name.as_str()));
        if trains {
            let recipe = of.read("recipe", &text(7)?, stored::recipe)?;
            card.columns = Some(card::columns(&recipe, &metrics.importance));
            let parameters = text(5)?;
            of.read("parameters", &parameters, stored::parameters)?;
            card.parameters = Some(of.read("parameters", &parameters, stored::object)?.into());
            card.data = Some(data.all);
        }
        let source = VersionSource::of_columns(row.get(9)?, row.get(10)?, row.get(11)?);
        let found = source.if_there(model, pg_sys::NoLock)?;
        card.reads = found.map(|(relation, _)| reads(relation)).transpose()?;
        card.limits = card.limits();
        Ok(card)
    })
}

/// The metrics that are hidden from callers who may not train the model.
const HIDDEN: [&str; 4] = ["importance", "best_epoch", "parity", "by"];

fn reads(relation: pg_sys::Oid) -> Result<Reads, Error> {
    let owner = relations::role_name(relations::owner(relation)?);
    Ok(Reads { owner, kind: relations::kind(relation).into() })
}

/// The version that was asked for, or else the champion's.
pub fn version_or_champion(model: &str, version: Option<i32>) -> Result<i32, Error> {
    match version {
        Some(version) => Ok(version),
        None => Ok(read::version_of_alias(model, CHAMPION)?.version),
    }
}

/// Reads a card except the parts that are computed. What may be damaged comes in columns of its own, as text: keys,
/// metrics, data, parameters, libraries, recipe. The day and the relation that the version reads follow.
const QUERY: &str = "
SELECT pg_catalog.jsonb_build_object(
           'model', m.model, 'version', v.version, 'algorithm', v.algorithm, 'owner', m.owner, 'purpose', m.purpose,
           'status', CASE WHEN v.artifact_id IS NULL THEN 'archived' WHEN v.run_id IS NOT NULL THEN 'trained'
                          WHEN v.data OPERATOR(pg_catalog.?) 'calibration' THEN 'calibrated' ELSE 'imported' END,
           'aliases', ARRAY(SELECT a.alias FROM reco.alias AS a
                            WHERE a.model OPERATOR(pg_catalog.=) v.model AND a.version OPERATOR(pg_catalog.=) v.version
                            ORDER BY a.alias),
           'label', v.label, 'source', COALESCE((SELECT reco.feature_view_name(f.view_id, f.table_schema, f.table_name, f.created_by)
                                                 FROM reco.feature_view AS f
                                                 WHERE f.view_id OPERATOR(pg_catalog.=) v.source_view),
                                                reco.relation_name(v.source_schema, v.source_name)), 'keys', '[]'::pg_catalog.jsonb,
           'time_column', v.time_column, 'metrics', '{}'::pg_catalog.jsonb, 'limits', '[]'::pg_catalog.jsonb,
           'run_id', v.run_id, 'trained_by', v.trained_by, 'trained_at', v.trained_at, 'seconds', v.seconds,
           'libraries', '{}'::pg_catalog.jsonb,
           'history', ARRAY(
               SELECT pg_catalog.jsonb_build_object('action', p.action, 'from', p.from_version, 'to', p.to_version,
                                                    'why', p.why, 'by', p.moved_by, 'at', p.moved_at)
               FROM reco.promotion AS p WHERE p.model OPERATOR(pg_catalog.=) v.model ORDER BY p.step DESC LIMIT 20)
       )::pg_catalog.text,
       pg_catalog.array_to_json(v.keys)::pg_catalog.text, v.metrics::pg_catalog.text, v.data::pg_catalog.text,
       v.parameters::pg_catalog.text, v.libraries::pg_catalog.text, v.recipe::pg_catalog.text,
       CURRENT_DATE, v.source_schema, v.source_name, v.source_view
FROM reco.version AS v JOIN reco.model AS m ON m.model OPERATOR(pg_catalog.=) v.model
WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";

/// Declared in sql/models.sql.
#[pg_extern(sql = false)]
fn describe_model(model: Option<&str>, purpose: Option<&str>) {
    let describe = || {
        let (model, purpose) = (given(model, "model")?, note(purpose, "purpose")?);
        change(c"reco.describe_model()", model, Privilege::Manage, |client, caller| {
            let update = "UPDATE reco.model SET purpose = $2 WHERE model OPERATOR(pg_catalog.=) $1";
            client.update(update, None, &[model.into(), purpose.into()])?;
            caller.did(client, "described", model, None, json!({ "purpose": purpose }))
        })
    };
    or_raise(describe());
}
