//! `reco.model_card`, `reco.model_card_text` and `reco.describe_model`.

use crate::catalog::change::change;
use crate::catalog::read;
use crate::catalog::rights::{self, Privilege};
use crate::catalog::CHAMPION;
use crate::error::{or_raise, Error};
use crate::pg::acting_as::as_owner;
use crate::pg::relations::{self, RelationName};
use crate::pg::values::given;
use model::card::{self, Card, Reads};
use model::protocol::Importance;
use model::Recipe;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::JsonB;
use serde::Deserialize;
use serde_json::json;

/// See sql/models.sql.
#[pg_extern(sql = false)]
fn model_card(model: Option<&str>, version: Option<i32>) -> JsonB {
    let json = || Ok(serde_json::to_value(read_card(given(model, "model")?, version)?)?);
    JsonB(or_raise(json()))
}

/// See sql/models.sql.
#[pg_extern(sql = false)]
fn model_card_text(model: Option<&str>, version: Option<i32>) -> String {
    let text = || Ok(read_card(given(model, "model")?, version)?.markdown());
    or_raise(text())
}

/// What the catalog has besides that goes into a card.
#[derive(Deserialize)]
struct Hidden {
    recipe: Recipe,
    importance: Option<Vec<Importance>>,
}

fn read_card(model: &str, version: Option<i32>) -> Result<Card, Error> {
    rights::check(model, Privilege::Score)?;
    let trains = rights::may(model, Privilege::Train)?;
    let version = version_or_champion(model, version)?;
    let (mut card, hidden) = as_owner(|client| {
        let rows = client.select(QUERY, Some(1), &[model.into(), version.into(), trains.into()])?;
        if rows.is_empty() {
            return Err(Error::UnknownVersion { model: model.to_owned(), version });
        }
        let row = rows.first();
        let shown = row.get::<JsonB>(1)?.ok_or_else(Error::damaged_row)?;
        let mut card: Card = serde_json::from_value(shown.0)?;
        let source = RelationName::of_columns(row.get(3)?, row.get(4)?);
        card.reads = source.and_then(|source| source.find()).map(reads).transpose()?;
        Ok((card, row.get::<JsonB>(2)?))
    })?;
    if let Some(JsonB(hidden)) = hidden {
        let hidden: Hidden = serde_json::from_value(hidden)?;
        card.columns = Some(card::columns(&hidden.recipe, &hidden.importance.unwrap_or_default()));
    }
    card.limits = card.limits();
    Ok(card)
}

fn reads(relation: pg_sys::Oid) -> Result<Reads, Error> {
    let owner = relations::role_name(relations::owner(relation)?);
    Ok(Reads { owner, kind: relations::kind(relation).into() })
}

/// The version that was asked for, or the champion.
pub fn version_or_champion(model: &str, version: Option<i32>) -> Result<i32, Error> {
    match version {
        Some(version) => Ok(version),
        None => Ok(read::version_of_alias(model, CHAMPION)?.version),
    }
}

/// All of a card but what is computed; what only those see who may train; the relation that it reads.
const QUERY: &str = "
SELECT pg_catalog.jsonb_build_object(
           'model', m.model, 'version', v.version, 'algorithm', v.algorithm, 'owner', m.owner, 'purpose', m.purpose,
           'status', CASE WHEN v.artifact_id IS NULL THEN 'archived' WHEN v.run_id IS NULL THEN 'imported'
                          ELSE 'trained' END,
           'aliases', ARRAY(SELECT a.alias FROM reco.alias AS a
                            WHERE a.model OPERATOR(pg_catalog.=) v.model AND a.version OPERATOR(pg_catalog.=) v.version
                            ORDER BY a.alias),
           'label', v.label, 'source', reco.relation_name(v.source_schema, v.source_name), 'keys', v.keys, 'time_column', v.time_column,
           'metrics', v.metrics OPERATOR(pg_catalog.-) CASE WHEN $3 THEN '{importance,best_epoch,parity}'
                                                            ELSE '{importance,best_epoch,parity,by}' END::pg_catalog.text[],
           'data_age_days', CURRENT_DATE OPERATOR(pg_catalog.-)
                            pg_catalog.left(v.data OPERATOR(pg_catalog.->>) 'time_to', 10)::pg_catalog.date,
           'limits', '[]'::pg_catalog.jsonb,
           'run_id', v.run_id, 'trained_by', v.trained_by, 'trained_at', v.trained_at, 'seconds', v.seconds,
           'libraries', v.libraries,
           'history', ARRAY(
               SELECT pg_catalog.jsonb_build_object('action', p.action, 'from', p.from_version, 'to', p.to_version,
                                                    'why', p.why, 'by', p.moved_by, 'at', p.moved_at)
               FROM reco.promotion AS p WHERE p.model OPERATOR(pg_catalog.=) v.model ORDER BY p.step DESC LIMIT 20)
       ) OPERATOR(pg_catalog.||)
       CASE WHEN $3 THEN pg_catalog.jsonb_build_object('data', v.data, 'parameters', v.parameters)
            ELSE '{}'::pg_catalog.jsonb END,
       CASE WHEN $3 THEN pg_catalog.jsonb_build_object(
           'recipe', v.recipe, 'importance', v.metrics OPERATOR(pg_catalog.->) 'importance') END,
       v.source_schema, v.source_name
FROM reco.version AS v JOIN reco.model AS m ON m.model OPERATOR(pg_catalog.=) v.model
WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";

/// See sql/models.sql.
#[pg_extern(sql = false)]
fn describe_model(model: Option<&str>, purpose: Option<&str>) {
    let describe = || {
        let model = given(model, "model")?;
        change(c"reco.describe_model()", model, Privilege::Manage, |client, caller| {
            let update = "UPDATE reco.model SET purpose = $2 WHERE model OPERATOR(pg_catalog.=) $1";
            client.update(update, None, &[model.into(), purpose.into()])?;
            caller.did(client, "described", model, None, json!({ "purpose": purpose }))
        })
    };
    or_raise(describe());
}
