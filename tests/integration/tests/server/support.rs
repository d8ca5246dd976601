//! Questions that several of the files ask.

use integration::{value, wait_until};
use postgres::Client;

/// Area under the ROC curve of a score of the training table's rows, by ranks, ties in the middle.
pub fn auroc(client: &mut Client, score: &str, from: &str, condition: &str) -> f64 {
    let sql = format!(
        "WITH scored AS (SELECT purchased AS label, {score} AS score FROM {from} AS f WHERE {condition}),
              ranked AS (SELECT label, rank() OVER (ORDER BY score)
                                       + (count(*) OVER (PARTITION BY score) - 1) / 2.0 AS place FROM scored),
              total AS (SELECT sum(place) FILTER (WHERE label) AS places,
                               count(*) FILTER (WHERE label) AS positives,
                               count(*) FILTER (WHERE NOT label) AS negatives FROM ranked)
         SELECT ((places - positives * (positives + 1) / 2.0) / (positives * negatives))::float8 FROM total"
    );
    value(client, &sql)
}

/// The weights, which only a superuser can read.
pub fn artifact(client: &mut Client, model: &str, version: i32) -> Vec<u8> {
    let sql = format!(
        "SELECT string_agg(c.body, '' ORDER BY c.position) \
         FROM reco.artifact_chunk AS c JOIN reco.version AS v USING (artifact_id) \
         WHERE v.model = '{model}' AND v.version = {version}"
    );
    value(client, &sql)
}

/// The stored state of the model's newest run, not what the view makes of it.
pub fn stored_status(client: &mut Client, model: &str) -> String {
    newest_run(client, "reco.run", model)
}

/// The state of the model's newest run as users see it.
pub fn status(client: &mut Client, model: &str) -> String {
    newest_run(client, "reco.runs", model)
}

/// Empty before there is one: who waits for a run may look before it has begun.
fn newest_run(client: &mut Client, relation: &str, model: &str) -> String {
    let newest =
        format!("SELECT status FROM {relation} WHERE model = '{model}' ORDER BY started_at DESC LIMIT 1");
    value::<Option<String>>(client, &format!("SELECT ({newest})")).unwrap_or_default()
}

/// Waits until the model's newest run has this state.
pub fn wait_for_status(client: &mut Client, model: &str, expected: &str) {
    wait_until(&format!("the run is {expected}"), || status(client, model) == expected);
}

/// Waits until the session of this process waits for a lock.
pub fn wait_for_lock(observer: &mut Client, backend: i32) {
    let waits = format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {backend}");
    wait_until("the session waits for a lock", || value::<Option<bool>>(observer, &waits) == Some(true));
}

/// The model's versions.
pub fn versions(client: &mut Client, model: &str) -> Vec<i32> {
    let sql = "SELECT version FROM reco.versions WHERE model = $1 ORDER BY version";
    client.query(sql, &[&model]).expect("the view is readable").iter().map(|row| row.get(0)).collect()
}

pub fn champion(client: &mut Client, model: &str) -> Option<i32> {
    value(client, &format!("SELECT champion FROM reco.models WHERE model = '{model}'"))
}

/// The sum of the model's scores of the training table, added in the order of the key.
pub fn sum_of_scores(client: &mut Client, model: &str) -> f64 {
    value(client, &format!("SELECT sum(reco.predict('{model}', f) ORDER BY product_id, region, week) FROM launch_features AS f"))
}

/// Locks that a session holds on what it has under way; a training holds one while it runs. And advisory ones, of which none
/// is ours.
pub fn locks_held(observer: &mut Client, backend: i32) -> i64 {
    let ours = "locktype = 'object' AND classid IN ('reco.run'::regclass, 'reco.model'::regclass)";
    let sql = format!(
        "SELECT count(*) FROM pg_locks WHERE (locktype = 'advisory' OR {ours}) AND granted AND pid = {backend}"
    );
    value(observer, &sql)
}
