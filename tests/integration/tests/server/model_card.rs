//! Model cards.

use integration::{refusal, rows, value, Database, Training};
use postgres::Client;
use serde_json::Value;

#[test]
fn a_card_tells_purpose_metrics_columns_limits_and_lineage() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""importance": true"#).call(&mut client);
    client
        .batch_execute(
            "SELECT reco.describe_model('launch', 'Which launches are bought where.');
             SELECT reco.promote('launch', 2, 'has importances')",
        )
        .unwrap();
    let card: Value = value(&mut client, "SELECT reco.model_card('launch')");
    assert_eq!(card["version"], 2);
    assert_eq!(card["purpose"], "Which launches are bought where.");
    assert_eq!(card["aliases"], serde_json::json!(["champion"]));
    assert_eq!(card["label"], "purchased");
    let version: Value = value(&mut client, "SELECT to_jsonb(v) FROM reco.versions AS v WHERE version = 2");
    assert_eq!(card["metrics"]["test"], version["metrics"]["test"]);
    assert_eq!(card["data"]["digest"], version["data"]["digest"]);
    assert_eq!(card["run_id"], version["run_id"]);
    assert_eq!(card["libraries"], version["libraries"]);
    let names: Vec<&str> =
        card["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 13);
    let best: String = value(
        &mut client,
        "SELECT i ->> 'column' FROM reco.versions, jsonb_array_elements(metrics -> 'importance') AS i
         WHERE version = 2 ORDER BY (i ->> 'loss')::float8 DESC LIMIT 1",
    );
    assert_eq!(names[0], best);
    assert_eq!(card["history"][0]["why"], "has importances");
    let days: i64 = value(&mut client, "SELECT (current_date - date '2024-06-10')::bigint");
    assert_eq!(card["data_age_days"], days);
    let limits = card["limits"].to_string();
    assert!(limits.contains(&format!("{days} days old")) && limits.contains("category"), "{limits}");

    let text: String = value(&mut client, "SELECT reco.model_card_text('launch', 1)");
    for words in [
        "# launch, version 1",
        "Which launches are bought where.",
        "| auroc |",
        "## Limits",
        "| price | numeric |",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    assert_eq!(
        rows(&mut client, "SELECT purpose FROM reco.models"),
        ["(\"Which launches are bought where.\")"]
    );
    refusal(&mut client, "SELECT reco.model_card('launch', 3)").expect("42704", &["no version 3"], &[]);
    refusal(&mut client, "SELECT reco.model_card_text('nothing')").expect("42704", &["\"nothing\""], &[]);
}

/// What `reco.evaluate` says of the version in each region from a day on, in the shape of the card.
fn by_region(client: &mut Client, version: i32, from: &str, until: &str, metrics: &str) -> Value {
    let sql = format!(
        "SELECT jsonb_object_agg(slice, jsonb_build_object({metrics}))
         FROM reco.evaluate('launch', 'launch_features',
                            by => 'region', version => {version}, from_week => '{from}', to_week => '{until}')
         WHERE slice IS NOT NULL"
    );
    value(client, &sql)
}

#[test]
fn a_card_has_the_metrics_of_every_region() {
    let database = Database::trained();
    let mut client = database.connect();
    let of_version = |client: &mut Client, version: i32| -> Value {
        value(client, &format!("SELECT to_jsonb(v) FROM reco.versions AS v WHERE version = {version}"))
    };
    let binary =
        "'rows', rows, 'positives', positives, 'auroc', auroc, 'average_precision', average_precision,
                  'log_loss', log_loss, 'brier', brier, 'calibration', '[]'::jsonb";
    let version = of_version(&mut client, 1);
    let from = version["data"]["test_from"].as_str().unwrap();
    let expected = by_region(&mut client, 1, from, "2024-12-31", binary);
    assert_eq!(expected.as_object().unwrap().len(), 4);
    assert_alike(&without_lists(&version["metrics"]["by"]["region"]), &expected);
    let card: Value = value(&mut client, "SELECT reco.model_card('launch')");
    assert_eq!(card["metrics"]["by"], version["metrics"]["by"]);
    let text: String = value(&mut client, "SELECT reco.model_card_text('launch')");
    assert!(text.contains("- region r2: auroc 0."), "{text}");
    // Without test rows, of the validation rows.
    Training::new("launch").param(r#""test_share": 0"#).call(&mut client);
    let version = of_version(&mut client, 2);
    let from = version["data"]["validation_from"].as_str().unwrap();
    let expected = by_region(&mut client, 2, from, "2024-12-31", binary);
    assert_alike(&without_lists(&version["metrics"]["by"]["region"]), &expected);
    // Of quantities, and by a key that is a number.
    client
        .batch_execute(
            "CREATE TABLE launch_features_numbers AS
             SELECT product_id, substr(region, 2)::int AS store, week, price, sales_1w, households FROM launch_features",
        )
        .unwrap();
    Training::new("units")
        .source("launch_features_numbers")
        .label("households")
        .with("keys => '{product_id,store}'")
        .call(&mut client);
    let stores: Vec<String> = value(
        &mut client,
        "SELECT array_agg(format('%s %s %s', store, m ->> 'rows', m ? 'rmse') ORDER BY store)
         FROM reco.versions, jsonb_each(metrics #> '{by,store}') AS s (store, m) WHERE model = 'units'",
    );
    assert_eq!(stores, ["0 240 t", "1 240 t", "2 240 t", "3 240 t"]);
}

/// The metrics of regions without those of lists, of which `reco.evaluate` says nothing.
fn without_lists(regions: &Value) -> Value {
    let mut regions = regions.clone();
    for metrics in regions.as_object_mut().unwrap().values_mut() {
        for name in ["k", "lists", "precision_at_k", "recall_at_k", "expected_at_k", "positives_at_k"] {
            assert!(metrics.as_object_mut().unwrap().remove(name).is_some(), "no {name}");
        }
    }
    regions
}

/// The same but for the last digits.
#[track_caller]
fn assert_alike(found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert!(found.keys().eq(expected.keys()), "{found:?}\n{expected:?}");
            found.iter().for_each(|(key, value)| assert_alike(value, &expected[key]));
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} {expected}");
        }
        _ => assert_eq!(found, expected),
    }
}

#[test]
fn who_may_only_score_sees_nothing_of_the_data() {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE reads_cards LOGIN; GRANT USAGE ON SCHEMA reco TO reads_cards;
             SELECT reco.grant_model('launch', 'reads_cards', 'score')",
        )
        .unwrap();
    let mut client = database.connect_as("reads_cards");
    let card: Value = value(&mut client, "SELECT reco.model_card('launch')");
    for hidden in ["data", "columns", "parameters"] {
        assert!(card.get(hidden).is_none(), "{hidden}");
    }
    assert!(
        card["metrics"].get("importance").is_none()
            && card["metrics"].get("by").is_none()
            && card["metrics"]["test"].is_object()
    );
    let text: String = value(&mut client, "SELECT reco.model_card_text('launch')");
    assert!(!text.contains("## Data") && !text.contains("r2") && !text.contains("bakery"), "{text}");
}

#[test]
fn texts_that_are_kept_have_a_bound() {
    let database = Database::trained();
    let mut client = database.connect();
    let test = r#"SELECT reco.start_ab_test('spring', 'launch', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 1, "share": 0.5}]'"#;
    for (name, call) in [
        ("purpose", "SELECT reco.describe_model('launch', repeat('ä', {}))".to_owned()),
        ("why", "SELECT reco.promote('launch', 1, repeat('ä', {}))".to_owned()),
        ("why", "SELECT reco.rollback('launch', repeat('ä', {}))".to_owned()),
        ("why", format!("{test}); SELECT reco.stop_ab_test('spring', why => repeat('ä', {{}}))")),
        ("salt", format!("{test}, salt => repeat('ä', {{}}))")),
    ] {
        client.batch_execute("BEGIN; SAVEPOINT before").unwrap();
        let refused = refusal(&mut client, &call.replace("{}", "10001"));
        refused.expect("22023", &[name, "has 10001 characters", "at most 10000"], &[]);
        client.batch_execute("ROLLBACK TO before").unwrap();
        if !call.contains("rollback(") {
            client
                .batch_execute(&call.replace("{}", "10000"))
                .unwrap_or_else(|error| panic!("{call}: {error:?}"));
        }
        client.batch_execute("ROLLBACK").unwrap();
    }
}
