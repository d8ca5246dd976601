//! A database in which something of everything was made by the library that is installed, and what is asked of it.

use crate::views;
use integration::{data, rows, Training, Tuning};
use postgres::Client;

/// A view whose label follows from what is planned.
const PLANNED: &str = "
SELECT reco.create_feature_view('planned', $$
    SELECT f.product_id, f.region, f.week, f.sales_1w, f.households, chance('display ' || k.key) < 0.3 AS planned_display,
           CASE WHEN f.purchased IS NOT NULL
                THEN chance('bought ' || k.key) < CASE WHEN chance('display ' || k.key) < 0.3 THEN 0.7 ELSE 0.2 END END AS bought
    FROM launch_features AS f CROSS JOIN LATERAL (SELECT format('%s %s %s', f.product_id, f.region, f.week)) AS k (key)
    WHERE f.week BETWEEN $1 AND $2 $$,
    keys => '{product_id,region}', label => 'bought', partition_by => 'quarter', planned => '{planned_display}',
    available => 'SELECT min(week), max(week) + 7 FROM launch_features');
CALL reco.refresh_features('planned')";

/// Models of every algorithm and calibration, of a probability.
const MODELS: [(&str, &str, &str); 6] = [
    ("popular", "popularity", r#"{"threads": 1}"#),
    ("logistic", "logistic", r#"{"epochs": 6, "learning_rate": 0.01, "calibration": "none", "threads": 1}"#),
    (
        "trees",
        "boosted_trees",
        r#"{"trees": 30, "learning_rate": 0.1, "calibration": "isotonic", "threads": 1}"#,
    ),
    (
        "net",
        "mlp",
        r#"{"hidden": [16, 8], "epochs": 6, "learning_rate": 0.01, "batch_norm": true, "members": 2, "calibration": "platt", "threads": 1}"#,
    ),
    ("crossed", "deep_cross", r#"{"epochs": 6, "learning_rate": 0.01, "crosses": 1, "threads": 1}"#),
    ("blend", "auto", r#"{"epochs": 4, "learning_rate": 0.01, "trees": 20, "hidden": [16], "threads": 1}"#),
];

/// Its weights take more than one chunk of 16 MB.
const LARGE: &str = r#"{"hidden": [2100, 2100], "epochs": 1, "importance": false, "threads": 1}"#;

/// Who uses it, and what a database's owner may have set.
const PEOPLE: &str = "
CREATE ROLE analyst LOGIN; CREATE ROLE planner LOGIN;
GRANT USAGE ON SCHEMA reco TO analyst, planner;
GRANT SELECT ON launch_features, planned, demand TO analyst, planner;
GRANT SELECT ON reco.version TO planner;
ALTER DEFAULT PRIVILEGES IN SCHEMA reco GRANT SELECT ON TABLES TO planner;
SELECT reco.grant_model('net', 'analyst', 'score'); SELECT reco.grant_model('trees', 'planner', 'manage');
CREATE VIEW of_models AS SELECT model, champion FROM reco.models;
GRANT SELECT ON of_models TO analyst";

const UNDER_WAY: &str = r#"
SELECT reco.set_alias('net', 'candidate', 2); SELECT reco.rollback('net');
SELECT reco.archive_version('net', 3);
SELECT reco.start_ab_test('running', 'trees', '[{"arm": "a", "version": 1, "share": 0.4}, {"arm": "b", "version": 2, "share": 0.6}]');
SELECT reco.log_recommendations('{1,2,3,4,5}'::bigint[], '{r1,r1,r1,r2,r2}', 'trees');
SELECT reco.set_monitoring('net', '{"psi_alarm": 0.3}');
UPDATE reco.promotion SET moved_at = '2024-01-01 UTC' WHERE model = 'net' AND step = 1;
CALL reco.monitor('net', from_week => '2024-05-06');
SELECT reco.schedule_retraining('net', '0 4 * * mon', time_zone => 'Europe/Berlin', min_gain => 0.001);
SELECT reco.schedule_refresh('planned', '0 3 * * *', retries => 1);
SELECT reco.schedule_monitoring('net', '0 5 * * mon');
UPDATE reco.schedule SET next_run = now() WHERE kind = 'refresh';
CALL reco.run_due(wait => true)"#;

fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
}

/// Makes it in a database of a cluster of its own, with the catalog of this version.
pub fn make(client: &mut Client, version: &str) {
    run(client, &format!("CREATE EXTENSION pg_recommend VERSION '{version}'"));
    data::create(client);
    views::create(client, "");
    views::refresh(client, "'demand', to_week => '2024-02-19'");
    run(client, PLANNED);
    for (model, algorithm, params) in MODELS {
        Training::new(model).params(params).with(&format!("algorithm => '{algorithm}'")).call(client);
    }
    for seed in [2, 3] {
        Training::new("net").param(&format!(r#""seed": {seed}"#)).with("promote => true").call(client);
    }
    Training::new("trees")
        .params(r#"{"trees": 10, "threads": 1}"#)
        .with("algorithm => 'boosted_trees'")
        .call(client);
    let quantity = r#"{"trees": 30, "exclude": ["purchased"], "threads": 1}"#;
    Training::new("units")
        .label("households")
        .params(quantity)
        .with("algorithm => 'boosted_trees'")
        .call(client);
    Training::new("planned").source("planned").label("bought").call(client);
    Training::new("demand")
        .source("demand")
        .label("bought")
        .params(r#"{"hidden": [4], "epochs": 2, "threads": 1}"#)
        .call(client);
    Training::new("large").params(LARGE).call(client);
    Tuning::new("tuned").source("numeric_features").trials(3).call(client);
    run(client, PEOPLE);
    for statement in UNDER_WAY.split(";\n") {
        run(client, statement);
    }
    let chunks: i64 = integration::value(client, "SELECT max(position + 1)::bigint FROM reco.artifact_chunk");
    assert!(chunks > 1, "the large model fits into one chunk");
}

/// What is asked with scores, each with columns that every version has.
const SCORES: [&str; 14] = [
    "SELECT m.model, f.product_id, f.region, f.week, reco.predict(m.model, f) AS score
     FROM unnest('{popular,logistic,trees,net,crossed,blend,units}'::text[]) AS m (model), launch_features AS f
     WHERE f.week >= '2024-06-03' ORDER BY 1, 2, 3, 4",
    "SELECT product_id, reco.predict('large', f) AS score FROM launch_features AS f
     WHERE week = '2024-06-17' AND region = 'r1' AND product_id < 4 ORDER BY 1",
    "SELECT m, p, reco.recommend(p, r, m) AS score FROM unnest('{popular,logistic,trees,net,crossed,blend,units,planned}'::text[]) AS m,
            generate_series(1::bigint, 20) AS p, unnest('{r0,r1,r2}'::text[]) AS r ORDER BY m, p, r",
    "SELECT p, r, reco.ab_arm('running', p, r) AS arm FROM generate_series(1::bigint, 60) AS p, unnest('{r0,r1}'::text[]) AS r ORDER BY 1, 2",
    "SELECT p, reco.recommend(p, 'r1', 'planned', plan => '{\"display\": true}') AS score FROM generate_series(1::bigint, 20) AS p ORDER BY 1",
    "SELECT product_id, score FROM reco.top_products('r1', 10, 'net')",
    "SELECT region, score FROM reco.top_regions(1, 4, 'trees')",
    "SELECT product_id, reco.predict_quantiles('units', f) AS quantiles FROM launch_features AS f WHERE week = '2024-06-17' ORDER BY region, 1",
    "SELECT column_name, value, contribution, score FROM reco.explain(1, 'r1', 'blend')",
    "SELECT product_id, probability, units, units_p10 FROM reco.forecast_products('r1', 'net', 'units')",
    "SELECT slice, rows, auroc, log_loss FROM reco.evaluate('net', 'launch_features', by => 'region')",
    "SELECT region, arm, version, share, exposures, mean_score FROM reco.ab_report('running') ORDER BY 1, 2",
    "SELECT (f).* FROM (SELECT reco.features_as_of(NULL::demand, s) AS f FROM demand AS s) AS f ORDER BY 1, 2, 3",
    "SELECT reco.model_card_text(m, 1) FROM unnest('{net,trees,planned}'::text[]) AS m",
];

/// Views whose rows do not go by the clock.
const VIEWS: [&str; 20] = [
    "ab_arms",
    "ab_tests",
    "aliases",
    "audit",
    "drift",
    "feature_refreshes",
    "feature_views",
    "model_privileges",
    "models",
    "monitoring",
    "promotions",
    "recommendations",
    "run_candidates",
    "run_metrics",
    "runs",
    "schedule_runs",
    "schedules",
    "trials",
    "tunes",
    "versions",
];

/// Questions, which later versions are asked too: of each view the columns that it has here.
pub struct Questions(Vec<String>);

impl Questions {
    pub fn of(client: &mut Client) -> Self {
        let columns = "SELECT string_agg(format('v.%I', attname), ', ' ORDER BY attnum) FROM pg_attribute \
                       WHERE attrelid = ('reco.' || $1)::regclass AND attnum > 0";
        let of_view = |view: &&str| {
            let columns: String = client.query_one(columns, &[view]).unwrap().get(0);
            format!("SELECT {columns} FROM reco.{view} AS v ORDER BY v::text COLLATE \"C\"")
        };
        let views: Vec<String> = VIEWS.iter().map(of_view).collect();
        Self(SCORES.iter().map(|sql| (*sql).to_owned()).chain(views).collect())
    }

    /// The answers: numbers with every digit, so that equal texts are equal bits.
    pub fn asked(&self, client: &mut Client) -> Vec<(String, Vec<String>)> {
        self.0.iter().map(|sql| (sql.clone(), rows(client, sql))).collect()
    }

    /// The same, of the scores alone.
    pub fn scores(&self, client: &mut Client) -> Vec<(String, Vec<String>)> {
        self.0[..SCORES.len()].iter().map(|sql| (sql.clone(), rows(client, sql))).collect()
    }
}

#[track_caller]
pub fn expect_same(before: &[(String, Vec<String>)], after: &[(String, Vec<String>)], when: &str) {
    assert_eq!(before.len(), after.len());
    for ((sql, before), (_, after)) in before.iter().zip(after) {
        assert_eq!(before, after, "{when}: {sql}");
    }
}

/// That everything goes on: trains, refreshes, monitors, runs what is due, ends the test, rolls back.
pub fn goes_on(client: &mut Client) {
    run(client, "CALL reco.retrain('logistic')");
    Training::new("net").param(r#""seed": 7"#).with("promote => true").call(client);
    run(client, "CALL reco.monitor('net')");
    run(client, "SELECT reco.rollback('net')");
    views::refresh(client, "'demand'");
    assert_eq!(views::contents(client, "demand"), views::built_anew(client));
    run(client, "CALL reco.refresh_features('planned', lookback => 1)");
    run(client, "SELECT reco.log_recommendations('{7}'::bigint[], '{r1}', 'trees')");
    run(client, "SELECT reco.stop_ab_test('running', 'b')");
    run(client, "UPDATE reco.schedule SET next_run = now() WHERE kind = 'refresh'");
    run(client, "CALL reco.run_due(wait => true)");
    let outcomes = rows(client, "SELECT status FROM reco.schedule_runs");
    assert_eq!(outcomes, ["(succeeded)", "(succeeded)"]);
    run(client, "CALL reco.train('whole_new', 'planned', params => '{\"epochs\": 1}')");
    let faults =
        rows(client, "SELECT item, detail FROM reco.check_setup() WHERE NOT ok AND item <> 'schedules'");
    assert_eq!(faults, Vec::<String>::new());
}
