use super::support::{artifact, auroc, champion, status, versions};
use integration::data::{ROWS, UNLABELLED};
use integration::{rows, value, Database, Training};
use postgres::Client;
use serde_json::Value;

#[test]
fn a_version_has_metrics_of_validation_and_test_beside_popularity() {
    let mut client = Database::trained().connect();
    let metrics: Value = value(&mut client, "SELECT metrics FROM reco.versions");
    for part in ["validation", "test"] {
        for who in ["model", "popularity"] {
            let of = &metrics[part][who];
            for name in ["auroc", "average_precision", "log_loss", "brier"] {
                assert!(of[name].is_f64(), "{part} {who} {name}: {of}");
            }
            assert!(of["rows"].as_u64() > of["positives"].as_u64(), "{of}");
            assert!(of["calibration"].as_array().is_some_and(|bins| !bins.is_empty()), "{of}");
        }
    }
    let test = |who: &str| metrics["test"][who]["auroc"].as_f64().unwrap();
    assert!(test("model") > 0.9, "{metrics}");
    assert!(test("model") > test("popularity") + 0.02, "{metrics}");
    assert!(metrics["parity"].as_f64().unwrap() <= 1e-5, "{metrics}");
}

/// A version whose served weights are those that were measured.
fn without_refit() -> Client {
    let mut client = Database::with_data().connect();
    Training::new("launch").param("\"refit\": false").call(&mut client);
    client
}

#[test]
fn scores_in_sql_have_the_stored_test_auroc() {
    let mut client = without_refit();
    let stored: f64 = value(&mut client, "SELECT test_auroc FROM reco.versions");
    let test_rows =
        "purchased IS NOT NULL AND week >= (SELECT (data ->> 'test_from')::date FROM reco.versions)";
    let computed = auroc(&mut client, "reco.predict('launch', f)", "launch_features", test_rows);
    assert!((stored - computed).abs() < 1e-9, "stored {stored}, computed {computed}");

    let of_popularity: f64 = value(&mut client, "SELECT test_auroc_popularity FROM reco.versions");
    assert!(stored > of_popularity);
}

#[test]
fn stored_log_loss_and_brier_score_are_those_of_the_scores() {
    let mut client = without_refit();
    let sql = "SELECT (v.metrics #>> '{test,model,log_loss}')::float8, (v.metrics #>> '{test,model,brier}')::float8, \
                      avg(-ln(CASE WHEN purchased THEN p ELSE 1 - p END)), avg((p - purchased::int) ^ 2), count(*), \
                      (v.metrics #>> '{test,model,rows}')::bigint \
               FROM reco.versions AS v, \
                    (SELECT *, reco.predict('launch', f) AS p FROM launch_features AS f) AS scored \
               WHERE purchased IS NOT NULL AND week >= (v.data ->> 'test_from')::date GROUP BY v.metrics";
    let row = client.query_one(sql, &[]).unwrap();
    let number = |n: usize| row.get::<_, f64>(n);
    assert!((number(0) - number(2)).abs() < 1e-6 && (number(1) - number(3)).abs() < 1e-6, "{row:?}");
    assert_eq!(row.get::<_, i64>(4), row.get::<_, i64>(5));
}

#[test]
fn the_catalog_says_who_trained_what_from_which_rows() {
    let mut client = Database::trained().connect();
    let sql = "SELECT trained_by = 'postgres' AND source = 'public.launch_features' \
                      AND keys = '{product_id,region}' AND time_column = 'week' AND label = 'purchased' \
                      AND algorithm = 'mlp' AND seconds > 0 AND trained_at <= now() \
                      AND aliases = '{champion}' FROM reco.versions";
    assert!(value::<bool>(&mut client, sql), "{:?}", rows(&mut client, "SELECT * FROM reco.versions"));

    let data: Value = value(&mut client, "SELECT data FROM reco.versions");
    assert_eq!(data["rows"], ROWS);
    assert_eq!(data["unlabelled"], UNLABELLED);
    let labelled: i64 = ["train", "validation", "test"].iter().map(|part| data[part].as_i64().unwrap()).sum();
    assert_eq!(labelled, ROWS - UNLABELLED);
    let positives: i64 = value(&mut client, "SELECT count(*) FROM launch_features WHERE purchased");
    assert_eq!(data["positives"], positives);
    // The rows without a label are no part of the range.
    assert_eq!((&data["time_from"], &data["time_to"]), (&"2024-01-01".into(), &"2024-06-10".into()));
    assert!(data["validation_from"].as_str() < data["test_from"].as_str(), "{data}");
    assert!(data["digest"].as_str().is_some_and(|digest| digest.len() == 32), "{data}");

    let params: Value = value(&mut client, "SELECT parameters FROM reco.versions");
    assert_eq!((&params["hidden"], &params["epochs"]), (&serde_json::json!([16]), &12.into()));
    assert_eq!(params["weight_decay"], 0.0, "defaults are stored too: {params}");
    let libraries: Value = value(&mut client, "SELECT libraries FROM reco.versions");
    for name in ["pg_recommend", "trainer", "libtorch", "device", "threads"] {
        assert!(!libraries[name].is_null(), "{libraries}");
    }
}

#[test]
fn a_training_takes_at_most_a_thread_for_each_core() {
    let mut client = Database::with_data().connect();
    let cores = std::thread::available_parallelism().unwrap().get();
    client.batch_execute("SET reco.training_threads = 1024").unwrap();
    for threads in ["0", "1024"] {
        let model = format!("with_{threads}");
        Training::new(&model).param(&format!(r#""epochs": 1, "threads": {threads}"#)).call(&mut client);
        let used =
            format!("SELECT (libraries ->> 'threads')::bigint FROM reco.versions WHERE model = '{model}'");
        assert_eq!(value::<i64>(&mut client, &used), cores as i64, "{threads} asked for");
    }
    let tune = "CALL reco.tune('tuned', 'launch_features', 'purchased', trials => 2, params => '{\"epochs\": 1, \"threads\": 1024}')";
    client.batch_execute(tune).unwrap();
    let used = "SELECT DISTINCT threads::bigint FROM reco.tune";
    assert_eq!(value::<i64>(&mut client, used), cores as i64);
}

#[test]
fn a_run_succeeds_and_keeps_its_epochs() {
    let mut client = Database::trained().connect();
    assert_eq!(status(&mut client, "launch"), "succeeded");
    let sql = "SELECT r.version = 1 AND r.error IS NULL AND r.finished_at >= r.started_at AND r.started_by = 'postgres' \
                      AND v.run_id = r.run_id FROM reco.runs AS r, reco.versions AS v";
    assert!(value::<bool>(&mut client, sql));
    let sql = "SELECT count(*) BETWEEN 1 AND 12 AND min(epoch) = 1 AND max(epoch) = count(*) \
                      AND max(epoch) >= (SELECT (metrics ->> 'best_epoch')::int FROM reco.versions) \
                      AND bool_and(train_loss > 0 AND validation_loss > 0 AND validation_auroc > 0.5) \
               FROM reco.run_metrics WHERE model = 'launch'";
    assert!(value::<bool>(&mut client, sql), "{:?}", rows(&mut client, "SELECT * FROM reco.run_metrics"));
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.training_progress"), 0);
}

#[test]
fn the_first_version_is_champion_and_a_later_one_only_when_asked() {
    let mut client = Database::trained().connect();
    assert_eq!(champion(&mut client, "launch"), Some(1));
    Training::new("launch").param(r#""seed": 2"#).call(&mut client);
    assert_eq!(champion(&mut client, "launch"), Some(1));
    Training::new("launch").param(r#""seed": 3"#).with("promote => true").call(&mut client);
    assert_eq!(champion(&mut client, "launch"), Some(3));
    assert_eq!(versions(&mut client, "launch"), [1, 2, 3]);
    let aliases = rows(&mut client, "SELECT model, alias, version, set_by FROM reco.aliases");
    assert_eq!(aliases, ["(launch,champion,3,postgres)"]);
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let mut client = Database::trained().connect();
    Training::new("launch").call(&mut client);
    Training::new("launch").param(r#""seed": 7"#).call(&mut client);
    let weights: Vec<_> = (1..=3).map(|version| artifact(&mut client, "launch", version)).collect();
    assert!(weights[0] == weights[1], "the same seed, data and threads");
    assert!(weights[0] != weights[2], "another seed");
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE shuffled AS SELECT * FROM launch_features ORDER BY chance('order ' || product_id || region || week);
             ALTER TABLE shuffled ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    Training::new("shuffled").source("shuffled").call(&mut client);
    assert!(artifact(&mut client, "shuffled", 1) == artifact(&mut client, "launch", 1));
    let digests: i64 = value(&mut client, "SELECT count(DISTINCT data ->> 'digest') FROM reco.versions");
    assert_eq!(digests, 1);
}

#[test]
fn one_changed_value_changes_the_digest() {
    let mut client = Database::trained().connect();
    let change = "UPDATE launch_features SET clicks = clicks + 1 WHERE (product_id, region, week) = (1, 'r0', '2024-01-01')";
    client.batch_execute(change).unwrap();
    Training::new("launch").param(r#""epochs": 1"#).call(&mut client);
    let digests: i64 = value(&mut client, "SELECT count(DISTINCT data ->> 'digest') FROM reco.versions");
    assert_eq!(digests, 2);
}

#[test]
fn the_extended_protocol_trains_too() {
    let mut client = Database::with_data().connect();
    client.execute(&Training::new("launch").sql(), &[]).unwrap();
    assert_eq!(versions(&mut client, "launch"), [1]);
}

#[test]
fn the_client_is_told_what_happens() {
    let database = Database::with_data();
    let (mut client, heard) = database.listen();
    Training::new("launch").call(&mut client);
    let heard = heard.lock().unwrap();
    for expected in [
        "6000 rows of public.launch_features read",
        "240 of 6000 rows have no label",
        "version 1 trained",
        "champion",
    ] {
        assert!(heard.iter().any(|notice| notice.contains(expected)), "no {expected:?} in {heard:?}");
    }
}

#[test]
fn a_column_that_tells_the_label_is_named_to_the_client() {
    let database = Database::with_data();
    let (mut client, said) = database.listen();
    client
        .batch_execute(
            "CREATE VIEW leaky AS SELECT *, CASE WHEN purchased THEN week + 10 END AS paid_on FROM launch_features",
        )
        .unwrap();
    Training::new("launch").source("leaky").call(&mut client);
    let said = said.lock().unwrap();
    let warnings: Vec<&String> = said.iter().filter(|text| text.starts_with("WARNING")).collect();
    assert_eq!(
        warnings,
        [
            "WARNING: Column \"paid_on\" alone tells the label: is it known before the outcome?",
            "WARNING: Column \"paid_on\" is later than the time of its row in 100 % of the rows: is it known by then?",
        ]
    );
}
