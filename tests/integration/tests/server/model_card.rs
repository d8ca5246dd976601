//! Model cards.

use integration::{refusal, rows, value, Database, Training};
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
    assert!(card["metrics"].get("importance").is_none() && card["metrics"]["test"].is_object());
    let text: String = value(&mut client, "SELECT reco.model_card_text('launch')");
    assert!(!text.contains("## Data") && !text.contains("bakery"), "{text}");
}
