use super::support::auroc;
use integration::{value, Database, Training};
use postgres::Client;
use serde_json::Value;

/// So that the served weights are those that were measured.
const NO_REFIT: &str = "\"refit\": false";
const PARAMS: &str = r#"{"threads": 1}"#;

fn train(client: &mut Client, algorithm: &str, training: Training) -> Value {
    training.with(&format!("algorithm => '{algorithm}'")).call(client);
    value(client, "SELECT metrics FROM reco.versions ORDER BY version DESC LIMIT 1")
}

fn number(metrics: &Value, path: &str) -> f64 {
    metrics.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} of {metrics}"))
}

#[test]
fn every_algorithm_scores_in_sql_what_was_measured_in_training() {
    for (algorithm, params, at_least) in [
        ("logistic", r#"{"epochs": 10, "learning_rate": 0.01, "l1": 0.001, "threads": 1}"#, 0.85),
        ("deep_cross", r#"{"epochs": 8, "learning_rate": 0.01, "crosses": 1, "threads": 1}"#, 0.9),
        (
            "mlp",
            r#"{"hidden": [16, 8], "epochs": 8, "learning_rate": 0.01, "batch_norm": true, "members": 2}"#,
            0.9,
        ),
        ("boosted_trees", r#"{"trees": 40, "learning_rate": 0.1, "threads": 1}"#, 0.9),
        ("popularity", PARAMS, 0.5),
    ] {
        let mut client = Database::with_data().connect();
        let metrics = train(&mut client, algorithm, Training::new("launch").params(params).param(NO_REFIT));
        let stored = number(&metrics, "/test/model/auroc");
        assert!(stored > at_least, "{algorithm}: {stored}");
        assert!(number(&metrics, "/parity") <= 1e-5, "{algorithm}");
        let test_rows =
            "purchased IS NOT NULL AND week >= (SELECT (data ->> 'test_from')::date FROM reco.versions)";
        let computed = auroc(&mut client, "reco.predict('launch', f)", "launch_features", test_rows);
        assert!((stored - computed).abs() < 1e-9, "{algorithm}: stored {stored}, computed {computed}");
        let by_key: bool = value(
            &mut client,
            "SELECT bool_and(reco.recommend(product_id, region) = reco.predict('launch', f)) FROM launch_features f \
             WHERE week = (SELECT max(week) FROM launch_features)",
        );
        assert!(by_key, "{algorithm}");
        let importance = metrics["importance"].as_array().unwrap();
        assert!(!importance.is_empty(), "{algorithm}");
    }
}

#[test]
fn auto_keeps_the_best_and_shows_all() {
    let mut client = Database::with_data().connect();
    let params = r#"{"epochs": 6, "learning_rate": 0.01, "trees": 40, "hidden": [16], "threads": 1}"#;
    train(&mut client, "auto", Training::new("launch").params(params));
    let sql = "SELECT algorithm, version IS NOT NULL, average_precision FROM reco.leaderboard('launch')";
    let board = client.query(sql, &[]).unwrap();
    let algorithms: Vec<String> = board.iter().map(|row| row.get(0)).collect();
    for expected in ["popularity", "logistic", "boosted_trees", "mlp", "deep_cross", "blend"] {
        assert!(algorithms.iter().any(|algorithm| algorithm == expected), "{algorithms:?}");
    }
    let kept: Vec<bool> = board.iter().map(|row| row.get(1)).collect();
    assert_eq!(kept, [true, false, false, false, false, false], "the best comes first: {algorithms:?}");
    let precision: Vec<f64> = board.iter().map(|row| row.get(2)).collect();
    assert!(precision.windows(2).all(|pair| pair[0] >= pair[1]), "{precision:?}");
    let winner: String = value(&mut client, "SELECT algorithm FROM reco.versions");
    assert_eq!(winner, algorithms[0]);
    let scored: bool = value(
        &mut client,
        "SELECT bool_and(reco.predict('launch', f) BETWEEN 0 AND 1) FROM launch_features f",
    );
    assert!(scored);
}

#[test]
fn of_auto_only_those_are_tried_that_keep_to_a_direction() {
    let mut client = Database::with_data().connect();
    let training = Training::new("launch").params(r#"{"trees": 20, "threads": 1, "decreasing": ["price"]}"#);
    train(&mut client, "auto", training);
    let tried = "SELECT string_agg(algorithm, ',' ORDER BY algorithm) FROM reco.leaderboard('launch')";
    assert_eq!(value::<String>(&mut client, tried), "boosted_trees,popularity");
    let rises = "SELECT count(*) FROM launch_features AS f, LATERAL (SELECT reco.predict('launch', f) AS score) AS plain
                 WHERE reco.predict('launch', jsonb_populate_record(f, jsonb_build_object('price', price + 0.5))) > score + 1e-9";
    assert_eq!(value::<i64>(&mut client, rises), 0);
}

#[test]
fn a_quantity_is_predicted_with_its_quantiles() {
    for (algorithm, params) in [
        (
            "mlp",
            r#"{"hidden": [16], "epochs": 10, "learning_rate": 0.01, "exclude": ["purchased"], "threads": 1}"#,
        ),
        ("boosted_trees", r#"{"trees": 40, "learning_rate": 0.1, "exclude": ["purchased"], "threads": 1}"#),
    ] {
        let mut client = Database::with_data().connect();
        let training = Training::new("launch").label("households").params(params).param(NO_REFIT);
        let metrics = train(&mut client, algorithm, training);
        for name in ["rmse", "mae", "r2", "pinball", "coverage"] {
            number(&metrics, &format!("/test/model/{name}"));
        }
        let test_from = "(SELECT (data ->> 'test_from')::date FROM reco.versions)";
        let rmse: f64 = value(
            &mut client,
            &format!(
                "SELECT sqrt(avg((households - reco.predict('launch', f)) ^ 2)) FROM launch_features f \
                 WHERE households IS NOT NULL AND week >= {test_from}"
            ),
        );
        let stored = number(&metrics, "/test/model/rmse");
        assert!((rmse / stored - 1.0).abs() < 1e-6, "{algorithm}: stored {stored}, computed {rmse}");
        let ordered: bool = value(
            &mut client,
            "SELECT bool_and(q[1] <= q[2] AND q[2] <= q[3] AND q[1] >= 0 AND array_length(q, 1) = 3) \
             FROM (SELECT reco.predict_quantiles('launch', f) AS q FROM launch_features f) AS all_rows",
        );
        assert!(ordered, "{algorithm}");
    }
}

#[test]
fn a_probability_has_no_quantiles() {
    let mut client = Database::trained().connect();
    let error = client
        .query("SELECT reco.predict_quantiles('launch', f) FROM launch_features f LIMIT 1", &[])
        .unwrap_err();
    let message = error.as_db_error().unwrap().message().to_owned();
    assert!(message.contains("has no quantiles"), "{message}");
}

#[test]
fn two_trainings_with_one_seed_are_equal_to_the_bit() {
    for (algorithm, params) in [
        ("mlp", r#"{"hidden": [16], "epochs": 4, "dropout": 0.2, "threads": 2}"#),
        ("deep_cross", r#"{"hidden": [8], "epochs": 3, "threads": 2}"#),
        ("boosted_trees", r#"{"trees": 20, "row_share": 0.7, "threads": 2}"#),
    ] {
        let mut client = Database::with_data().connect();
        for _ in 0..2 {
            train(&mut client, algorithm, Training::new("launch").params(params));
        }
        for weights in ["artifact_id", "measured_artifact_id"] {
            let distinct = format!(
                "SELECT count(DISTINCT digest) FROM reco.artifact AS a JOIN reco.version AS v ON a.artifact_id = v.{weights}"
            );
            assert_eq!(value::<i64>(&mut client, &distinct), 1, "{algorithm} {weights}");
        }
    }
}
