//! Checks that what the catalog's rows refer to exists, because no foreign key does that (see sql/catalog.sql), and that
//! their values are valid.

use super::finding::Finding;
use super::server::size;
use crate::catalog::read::VersionRow;
use crate::catalog::stored::{self, Of};
use crate::catalog::weights;
use crate::error::{or_raise, Error};
use crate::feature_view::registry::StoredView;
use pgrx::spi::{Spi, SpiClient};
use std::time::{Duration, Instant};

const ITEM: &str = "catalog";
/// How many faults are listed one by one.
const MOST_TOLD: usize = 20;
const HINT: &str = "Restore what is missing or damaged from a backup; or, as a superuser, delete the rows that refer to what is missing, and \
                    train again what lost its weights or its values.";

/// Queries for rows that refer to something that does not exist, or to themselves. Each result is a fault in words.
const FAULTS: [&str; 17] = [
    "SELECT pg_catalog.format('version %s of model \"%s\" has no model', v.version, v.model) FROM reco.version AS v \
     WHERE NOT EXISTS (SELECT FROM reco.model AS m WHERE m.model OPERATOR(pg_catalog.=) v.model)",
    "SELECT pg_catalog.format('alias \"%s\" of model \"%s\" stands for version %s, which has no weights or is missing', \
                              a.alias, a.model, a.version) FROM reco.alias AS a \
     WHERE NOT EXISTS (SELECT FROM reco.version AS v WHERE v.model OPERATOR(pg_catalog.=) a.model \
                       AND v.version OPERATOR(pg_catalog.=) a.version AND v.artifact_id IS NOT NULL)",
    "SELECT pg_catalog.format('the weights of version %s of model \"%s\" have no row', v.version, v.model) \
     FROM reco.version AS v, LATERAL (VALUES (v.artifact_id), (v.measured_artifact_id)) AS w (artifact_id) \
     WHERE w.artifact_id IS NOT NULL AND NOT EXISTS \
         (SELECT FROM reco.artifact AS a WHERE a.artifact_id OPERATOR(pg_catalog.=) w.artifact_id)",
    "SELECT pg_catalog.format('the weights %s belong to no version', a.artifact_id) FROM reco.artifact AS a \
     WHERE NOT EXISTS (SELECT FROM reco.version AS v WHERE v.artifact_id OPERATOR(pg_catalog.=) a.artifact_id \
                       OR v.measured_artifact_id OPERATOR(pg_catalog.=) a.artifact_id)",
    "SELECT DISTINCT pg_catalog.format('chunks of the weights %s have no row of these', c.artifact_id) \
     FROM reco.artifact_chunk AS c \
     WHERE NOT EXISTS (SELECT FROM reco.artifact AS a WHERE a.artifact_id OPERATOR(pg_catalog.=) c.artifact_id)",
    "SELECT DISTINCT pg_catalog.format('%s of model \"%s\" have no model', l.what, l.model) \
     FROM (SELECT 'privileges', model FROM reco.model_privilege UNION ALL SELECT 'promotions', model FROM reco.promotion \
           UNION ALL SELECT 'A/B tests', model FROM reco.ab_test UNION ALL SELECT 'aliases', model FROM reco.alias) \
          AS l (what, model) \
     WHERE NOT EXISTS (SELECT FROM reco.model AS m WHERE m.model OPERATOR(pg_catalog.=) l.model)",
    "SELECT pg_catalog.format('model \"%s\" takes part in the A/B test \"%s\", which is missing', a.model, a.ab_test) \
     FROM reco.alias AS a WHERE a.ab_test IS NOT NULL \
         AND NOT EXISTS (SELECT FROM reco.ab_test AS t WHERE t.test OPERATOR(pg_catalog.=) a.ab_test)",
    "SELECT DISTINCT pg_catalog.format('%s of the A/B test \"%s\" have no test', l.what, l.test) \
     FROM (SELECT 'arms', test FROM reco.ab_arm UNION ALL SELECT DISTINCT 'recommendations', test FROM reco.recommendation) \
          AS l (what, test) \
     WHERE NOT EXISTS (SELECT FROM reco.ab_test AS t WHERE t.test OPERATOR(pg_catalog.=) l.test)",
    "SELECT pg_catalog.format('the A/B test \"%s\" has fewer than two arms', t.test) FROM reco.ab_test AS t \
     WHERE (SELECT pg_catalog.count(*) FROM reco.ab_arm AS a WHERE a.test OPERATOR(pg_catalog.=) t.test) \
           OPERATOR(pg_catalog.<) 2",
    "SELECT pg_catalog.format('arm \"%s\" of the A/B test \"%s\" is version %s of model \"%s\", which is missing', \
                              a.arm, a.test, a.version, t.model) \
     FROM reco.ab_arm AS a JOIN reco.ab_test AS t ON t.test OPERATOR(pg_catalog.=) a.test \
     WHERE NOT EXISTS (SELECT FROM reco.version AS v WHERE v.model OPERATOR(pg_catalog.=) t.model \
                       AND v.version OPERATOR(pg_catalog.=) a.version)",
    "SELECT DISTINCT pg_catalog.format('%s have no run %s', l.what, l.run_id) \
     FROM (SELECT 'metrics', run_id FROM reco.run_metric UNION ALL SELECT 'candidates', run_id FROM reco.run_candidate) \
          AS l (what, run_id) \
     WHERE NOT EXISTS (SELECT FROM reco.run AS r WHERE r.run_id OPERATOR(pg_catalog.=) l.run_id)",
    "SELECT DISTINCT pg_catalog.format('runs are trials of the tuning %s, which is missing', r.tune_id) FROM reco.run AS r \
     WHERE r.tune_id IS NOT NULL \
         AND NOT EXISTS (SELECT FROM reco.tune AS t WHERE t.tune_id OPERATOR(pg_catalog.=) r.tune_id)",
    "SELECT DISTINCT pg_catalog.format('weeks are stored of the feature view %s, which is missing', w.view_id) \
     FROM reco.feature_week AS w \
     WHERE NOT EXISTS (SELECT FROM reco.feature_view AS f WHERE f.view_id OPERATOR(pg_catalog.=) w.view_id)",
    "SELECT pg_catalog.format('an input of the feature view %s is missing: %s', \
                              reco.feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by), i.view_id) \
     FROM reco.feature_view AS v CROSS JOIN LATERAL pg_catalog.unnest(v.inputs) AS i (view_id) \
     WHERE NOT EXISTS (SELECT FROM reco.feature_view AS f WHERE f.view_id OPERATOR(pg_catalog.=) i.view_id)",
    "WITH RECURSIVE below (top, view_id) AS ( \
         SELECT v.view_id, i.view_id FROM reco.feature_view AS v, pg_catalog.unnest(v.inputs) AS i (view_id) \
         UNION \
         SELECT b.top, i.view_id FROM below AS b JOIN reco.feature_view AS v ON v.view_id OPERATOR(pg_catalog.=) b.view_id, \
              pg_catalog.unnest(v.inputs) AS i (view_id)) \
     SELECT pg_catalog.format('the feature view %s is an input of itself', \
                              reco.feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by)) \
     FROM below AS b JOIN reco.feature_view AS v ON v.view_id OPERATOR(pg_catalog.=) b.view_id \
     WHERE b.view_id OPERATOR(pg_catalog.=) b.top",
    "SELECT pg_catalog.format('the history of model \"%s\" is damaged: step %s goes back to step %s', p.model, p.step, p.back) \
     FROM reco.promotion AS p WHERE p.back OPERATOR(pg_catalog.>=) p.step",
    "SELECT pg_catalog.format('column \"seconds\" of version %s of model \"%s\" is damaged: it is no number', v.version, v.model) \
     FROM reco.version AS v WHERE v.seconds OPERATOR(pg_catalog.>=) 'Infinity' OR v.seconds OPERATOR(pg_catalog.<) 0",
];

/// Checks all rows, and then reads weights until the time limit is over.
pub fn findings(limit: Duration) -> Vec<Finding> {
    let began = Instant::now();
    if let Err(Error::NotHere { message, hint }) = crate::catalog::read::check_here() {
        return vec![Finding::bad(ITEM, message, &hint)];
    }
    or_raise(Spi::connect(|client| {
        if !may_read(client)? {
            return Ok(vec![Finding::good(
                ITEM,
                "not looked at: its tables are for superusers and the database's owner",
            )]);
        }
        let mut faults = Vec::new();
        for query in FAULTS {
            for row in client.select(query, None, &[])? {
                faults.extend(row.get::<String>(1)?);
            }
        }
        values_of_versions(client, &mut faults)?;
        values_of_feature_views(client, &mut faults)?;
        let mut read = Read::default();
        for (model, version) in versions(client)? {
            read.of += 1;
            if began.elapsed() < limit {
                match crate::catalog::read::version(&model, version) {
                    Ok(version) => read.weights(&version, &mut faults),
                    // The faults of this version's row were already found.
                    Err(_) => read.versions += 1,
                }
            }
        }
        Ok(vec![told(faults, &read)])
    }))
}

/// How many weights were read and checked against their digests.
#[derive(Default)]
struct Read {
    of: usize,
    versions: usize,
    bytes: u64,
}

impl Read {
    fn weights(&mut self, version: &VersionRow, faults: &mut Vec<String>) {
        match weights::read(version) {
            Ok(bytes) => self.bytes += bytes.len() as u64,
            Err(error) => faults.push(error.to_string()),
        }
        self.versions += 1;
    }
}

fn told(mut faults: Vec<String>, read: &Read) -> Finding {
    if faults.is_empty() {
        let of = if read.versions < read.of { format!(" of {}", read.of) } else { String::new() };
        return Finding::good(
            ITEM,
            format!(
                "whole; the weights of {}{of} versions, {}, are what was stored",
                read.versions,
                size(read.bytes)
            ),
        );
    }
    let several = faults.len();
    faults.truncate(MOST_TOLD);
    if several > MOST_TOLD {
        faults.push(format!("and {} more", several - MOST_TOLD));
    }
    Finding::bad(ITEM, faults.join("\n"), HINT)
}

/// Whether the caller may read the catalog's tables.
fn may_read(client: &SpiClient) -> Result<bool, Error> {
    let sql = "SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')) \
               FROM pg_catalog.pg_extension AS e \
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) ANY (e.extconfig) \
               WHERE e.extname OPERATOR(pg_catalog.=) 'pg_recommend'";
    Ok(client.select(sql, Some(1), &[])?.first().get_one::<bool>()?.unwrap_or(false))
}

/// The versions that have weights.
fn versions(client: &SpiClient) -> Result<Vec<(String, i32)>, Error> {
    let sql = "SELECT v.model, v.version FROM reco.version AS v \
               JOIN reco.artifact AS a ON a.artifact_id OPERATOR(pg_catalog.=) v.artifact_id ORDER BY 1, 2";
    let rows = client.select(sql, None, &[])?;
    let named = rows.map(|row| Ok((row.get::<String>(1)?, row.get::<i32>(2)?)));
    let named = named.collect::<Result<Vec<_>, Error>>()?;
    Ok(named.into_iter().filter_map(|(model, version)| model.zip(version)).collect())
}

/// Checks the values of every version that are JSON or arrays.
fn values_of_versions(client: &SpiClient, faults: &mut Vec<String>) -> Result<(), Error> {
    let sql = "SELECT v.model, v.version, pg_catalog.array_to_json(v.keys)::pg_catalog.text, \
                      v.metrics::pg_catalog.text, v.data::pg_catalog.text, v.parameters::pg_catalog.text, \
                      v.recipe::pg_catalog.text, v.libraries::pg_catalog.text \
               FROM reco.version AS v ORDER BY 1, 2";
    for row in client.select(sql, None, &[])? {
        pgrx::check_for_interrupts!();
        let (Some(model), Some(version)) = (row.get::<String>(1)?, row.get::<i32>(2)?) else { continue };
        let of = Of { model: &model, version };
        let text = |n| row.get::<String>(n).map(|text| text.unwrap_or_default());
        let looked_at = [
            of.read("keys", &text(3)?, stored::keys).map(drop),
            of.read("metrics", &text(4)?, stored::metrics).map(drop),
            of.read("data", &text(5)?, stored::data).map(drop),
            of.read("parameters", &text(6)?, stored::parameters).map(drop),
            of.read("recipe", &text(7)?, stored::recipe).map(drop),
            of.read("libraries", &text(8)?, stored::object).map(drop),
        ];
        faults.extend(looked_at.into_iter().filter_map(Result::err).map(|error| error.to_string()));
    }
    Ok(())
}

/// Checks the same values of every feature view.
fn values_of_feature_views(client: &SpiClient, faults: &mut Vec<String>) -> Result<(), Error> {
    let sql = "SELECT reco.feature_view_name(v.view_id, v.table_schema, v.table_name, v.created_by), \
                      pg_catalog.array_to_json(v.keys)::pg_catalog.text, \
                      pg_catalog.array_to_json(v.inputs)::pg_catalog.text, v.settings::pg_catalog.text, \
                      v.partition_by, v.lookback, v.horizon, pg_catalog.array_to_json(v.planned)::pg_catalog.text, \
                      v.engine::pg_catalog.text \
               FROM reco.feature_view AS v ORDER BY 1";
    for row in client.select(sql, None, &[])? {
        let text = |n| row.get::<String>(n).map(|text| text.unwrap_or_default());
        let number = |n| row.get::<i32>(n).map(|number| number.unwrap_or(-1));
        let (name, keys, inputs, settings) = (text(1)?, text(2)?, text(3)?, text(4)?);
        let engine = row.get::<String>(9)?;
        let stored = StoredView {
            name: &name,
            keys: &keys,
            planned: &text(8)?,
            inputs: &inputs,
            settings: &settings,
            partition_by: &text(5)?,
            engine: engine.as_deref(),
            weeks: [number(6)?, number(7)?],
        };
        faults.extend(stored.values().err().map(|error| error.to_string()));
    }
    Ok(())
}
