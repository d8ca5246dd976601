//! How good the lists are that people act on: the best rows of each region and week.

use integration::{refusal, rows, value, Database, Training};
use postgres::Client;
use serde_json::Value;

/// The figures of the champion's lists of `k` rows, as a query says them: where rows tie for the last places, each counts
/// for its share of them.
fn by_query(client: &mut Client, k: u32, condition: &str) -> Value {
    let sql = format!(
        "WITH scored AS (
             SELECT region, week, purchased, reco.predict('launch', f) AS p
             FROM launch_features AS f WHERE purchased IS NOT NULL AND {condition}),
         taken AS (
             SELECT *, greatest(0, least(1, ({k} + 1.0 - rank() OVER list) / count(*) OVER ties)) AS share
             FROM scored WINDOW list AS (PARTITION BY region, week ORDER BY p DESC),
                                ties AS (PARTITION BY region, week, p)),
         lists AS (
             SELECT sum(share * purchased::integer) AS bought, sum(share) AS rows, sum(share * p) AS expected,
                    count(*) FILTER (WHERE purchased) AS all_bought
             FROM taken GROUP BY region, week)
         SELECT jsonb_build_object(
             'k', {k}, 'lists', count(*), 'precision_at_k', avg(bought / rows), 'recall_at_k', sum(bought) / sum(all_bought),
             'expected_at_k', avg(expected), 'positives_at_k', avg(bought))
         FROM lists"
    );
    value(client, &sql)
}

/// That all of `expected` is in `found`, but for the last digits.
#[track_caller]
fn assert_has(found: &Value, expected: &Value) {
    for (name, expected) in expected.as_object().unwrap() {
        let figure = found[name].as_f64().unwrap_or_else(|| panic!("no {name} in {found}"));
        let expected = expected.as_f64().unwrap();
        assert!((figure - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{name}: {figure} {expected}");
    }
}

const PARTS: [(&str, &str); 2] = [
    ("test", "week >= (SELECT max(data ->> 'test_from')::date FROM reco.versions)"),
    (
        "validation",
        "week >= (SELECT max(data ->> 'validation_from')::date FROM reco.versions)
         AND week < (SELECT max(data ->> 'test_from')::date FROM reco.versions)",
    ),
];

#[test]
fn leaderboard_and_card_say_of_the_lists_what_a_query_of_the_scores_says() {
    // The second has few distinct scores, so that most places are shared. Without a refit what is served is what was measured.
    for (algorithm, k) in [("mlp", 45), ("popularity", 3)] {
        let database = Database::with_data();
        let mut client = database.connect();
        let params =
            format!(r#"{{"metric": "precision_at_k", "k": {k}, "threads": 1, "seed": 7, "refit": false"#);
        let params = if algorithm == "mlp" { params + r#", "epochs": 6}"# } else { params + "}" };
        Training::new("launch")
            .params(&params)
            .with(&format!("algorithm => '{algorithm}'"))
            .call(&mut client);
        let card: Value = value(&mut client, "SELECT reco.model_card('launch')");
        let line = "SELECT to_jsonb(l) FROM reco.leaderboard('launch', 'precision_at_k') AS l";
        let line: Value = value(&mut client, line);
        assert_eq!(line["k"], k);
        for (part, condition) in PARTS {
            let expected = by_query(&mut client, k, condition);
            assert!(expected["lists"].as_i64().unwrap() >= 8, "{expected}");
            assert_has(&card["metrics"][part]["model"], &expected);
            assert!(card["metrics"][part]["popularity"]["precision_at_k"].is_number());
            let prefix = if part == "test" { "test_" } else { "" };
            for name in ["precision_at_k", "recall_at_k", "expected_at_k", "positives_at_k"] {
                let shown = line[format!("{prefix}{name}")].as_f64();
                assert!(shown.is_some(), "{prefix}{name}");
                assert_eq!(shown, card["metrics"][part]["model"][name].as_f64(), "{prefix}{name}");
            }
        }
        for region in ["r0", "r3"] {
            let of_region = format!("{} AND region = '{region}'", PARTS[0].1);
            assert_has(&card["metrics"]["by"]["region"][region], &by_query(&mut client, k, &of_region));
        }
        let text: String = value(&mut client, "SELECT reco.model_card_text('launch')");
        for words in ["| precision_at_k | 0.", "| expected_at_k | ", "| recall_at_k | 0."] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
    }
}

#[test]
fn versions_are_judged_by_lists_of_the_length_that_the_candidate_was_trained_for() {
    let database = Database::with_data();
    let mut client = database.connect();
    Training::new("launch").param(r#""epochs": 1, "refit": false"#).call(&mut client);
    Training::new("launch").param(r#""k": 45, "refit": false"#).call(&mut client);
    let precision = |client: &mut Client, k: u32| -> f64 {
        by_query(client, k, PARTS[0].1)["precision_at_k"].as_f64().unwrap()
    };
    let before = precision(&mut client, 45);
    let judged = client
        .query_one(
            "SELECT promoted, judged_by, champion, candidate FROM reco.promote_if_better('launch', 2, 'precision_at_k')",
            &[],
        )
        .unwrap();
    let (promoted, judged_by): (bool, String) = (judged.get(0), judged.get(1));
    assert_eq!((promoted, judged_by.as_str()), (true, "precision_at_k"));
    let (champion, candidate): (f64, f64) = (judged.get(2), judged.get(3));
    let after = precision(&mut client, 45);
    assert!((after - precision(&mut client, 10)).abs() > 0.01, "the length says nothing");
    assert!((champion - before).abs() < 1e-9 && (candidate - after).abs() < 1e-9, "{champion} {candidate}");
    let why: String = value(&mut client, "SELECT why FROM reco.promotions ORDER BY step DESC LIMIT 1");
    assert!(why.starts_with("better: precision at k 0."), "{why}");
}

#[test]
fn the_leaderboard_is_sorted_by_the_metric_that_is_named() {
    let database = Database::with_data();
    let mut client = database.connect();
    let params = r#"{"epochs": 4, "trees": 20, "hidden": [8], "threads": 1}"#;
    Training::new("launch").params(params).with("algorithm => 'auto'").call(&mut client);
    let board = |client: &mut Client, metric: &str, column: &str| -> Vec<f64> {
        let sql = format!("SELECT {column} FROM reco.leaderboard('launch', {metric})");
        client.query(&sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
    };
    for metric in ["auroc", "average_precision", "precision_at_k"] {
        let values = board(&mut client, &format!("'{metric}'"), metric);
        assert!(values.len() == 6 && values.is_sorted_by(|a, b| a >= b), "{metric}: {values:?}");
    }
    let values = board(&mut client, "'log_loss'", "log_loss");
    assert!(values.len() == 6 && values.is_sorted(), "{values:?}");
    // Without a metric it is as without the argument.
    assert_eq!(
        rows(&mut client, "SELECT algorithm, average_precision FROM reco.leaderboard('launch', NULL)"),
        rows(&mut client, "SELECT algorithm, average_precision FROM reco.leaderboard('launch')")
    );
    refusal(&mut client, "SELECT * FROM reco.leaderboard('launch', 'luck')").expect(
        "22023",
        &["unknown metric \"luck\""],
        &["precision_at_k"],
    );
    Training::new("units").label("households").param(r#""exclude": ["purchased"]"#).call(&mut client);
    let of_quantities = "SELECT rmse IS NOT NULL, k, precision_at_k FROM reco.leaderboard('units', 'rmse')";
    assert_eq!(rows(&mut client, of_quantities), ["(t,,)"]);
}

#[test]
fn a_regression_is_not_judged_by_lists() {
    let database = Database::with_data();
    let mut client = database.connect();
    let training = Training::new("units").label("households");
    training.param(r#""exclude": ["purchased"], "metric": "precision_at_k""#).refused(&mut client).expect(
        "22023",
        &["precision at k", "regression"],
        &["precision_at_k"],
    );
}
