use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// Every 61st row of the training table, which has NULLs in its columns, with what explains it.
const EXPLAINED: &str = "
CREATE TEMP TABLE explained AS
SELECT f.product_id, f.region, f.week, reco.predict('launch', f) AS predicted, e.*
FROM (SELECT *, row_number() OVER (ORDER BY product_id, region, week) AS n FROM launch_features) AS f,
     LATERAL reco.explain_row('launch', f) AS e
WHERE n % 61 = 0";

/// How far contributions are from adding up, at most.
fn largest_error(client: &mut Client) -> f64 {
    value(
        client,
        "SELECT max(abs(sum - difference)) FROM (
             SELECT sum(contribution) AS sum, min(score) - min(baseline_score) AS difference
             FROM explained GROUP BY product_id, region, week) AS e",
    )
}

fn train(client: &mut Client, algorithm: &str, training: Training) {
    training.with(&format!("algorithm => '{algorithm}'")).call(client);
    client.batch_execute(EXPLAINED).unwrap();
}

#[test]
fn contributions_of_every_algorithm_add_up_to_what_predict_says() {
    for (algorithm, params) in [
        ("logistic", r#"{"epochs": 4, "threads": 1}"#),
        (
            "mlp",
            r#"{"hidden": [16, 8], "epochs": 4, "learning_rate": 0.01, "batch_norm": true, "members": 2, "threads": 1}"#,
        ),
        ("deep_cross", r#"{"hidden": [8], "epochs": 4, "crosses": 2, "threads": 1}"#),
        ("boosted_trees", r#"{"trees": 40, "learning_rate": 0.1, "threads": 1}"#),
        ("popularity", r#"{"threads": 1}"#),
        // Whatever it ends with: mostly a blend.
        ("auto", r#"{"epochs": 6, "learning_rate": 0.01, "trees": 40, "hidden": [16], "threads": 1}"#),
    ] {
        let mut client = Database::with_data().connect();
        train(&mut client, algorithm, Training::new("launch").params(params));
        let error = largest_error(&mut client);
        assert!(error < 1e-12, "{algorithm}: {error}");
        let same: bool = value(&mut client, "SELECT bool_and(score = predicted) FROM explained");
        assert!(same, "{algorithm}: the score is what predict says");
        let columns: bool = value(
            &mut client,
            "SELECT bool_and(names = inputs) FROM (
                 SELECT array_agg(column_name ORDER BY column_name) AS names FROM explained GROUP BY product_id, region, week) AS e,
                 (SELECT array_agg(c ->> 'name' ORDER BY c ->> 'name') AS inputs
                  FROM reco.versions, jsonb_array_elements(recipe -> 'columns') AS c) AS r",
        );
        assert!(columns, "{algorithm}: one row for each input of the model");
        let moved: i64 =
            value(&mut client, "SELECT count(DISTINCT column_name) FROM explained WHERE contribution <> 0");
        let baselines: i64 = value(&mut client, "SELECT count(DISTINCT baseline_score) FROM explained");
        assert!(moved >= 1 && baselines == 1, "{algorithm}: {moved} columns, {baselines} baselines");
    }
}

#[test]
fn a_quantity_is_explained_in_its_own_units() {
    let mut client = Database::with_data().connect();
    let params =
        r#"{"hidden": [16], "epochs": 6, "learning_rate": 0.01, "exclude": ["purchased"], "threads": 1}"#;
    train(&mut client, "mlp", Training::new("launch").label("households").params(params));
    assert!(largest_error(&mut client) < 1e-9);
    let spread: f64 = value(&mut client, "SELECT max(abs(contribution)) FROM explained");
    assert!(spread > 1.0, "households, not probabilities: {spread}");
}

/// In a linear model a column's contribution is its weight times its distance from the mean, whatever the other columns.
#[test]
fn a_change_of_one_column_is_found_in_that_column() {
    let mut client = Database::with_data().connect();
    let training =
        Training::new("launch").source("numeric_features").params(r#"{"epochs": 10, "threads": 1}"#);
    training.with("algorithm => 'logistic'").with("keys => '{product_id,region}'").call(&mut client);
    let difference: f64 = value(
        &mut client,
        "WITH pair AS (SELECT f AS before, g AS after FROM numeric_features AS f, LATERAL (
                           SELECT f.product_id, f.region, f.week, f.price + 4 AS price, f.sales_1w, f.households, f.clicks) AS g
                       WHERE f.price IS NOT NULL LIMIT 1),
              said AS (SELECT ln(a / (1 - a)) - ln(b / (1 - b)) AS change
                       FROM pair, LATERAL (SELECT reco.predict('launch', after) AS a, reco.predict('launch', before) AS b) AS p),
              found AS (SELECT column_name, a.margin - b.margin AS change
                        FROM pair, LATERAL reco.explain_row('launch', after) AS a
                             JOIN LATERAL reco.explain_row('launch', before) AS b USING (column_name))
         SELECT max(abs(found.change - CASE column_name WHEN 'price' THEN said.change ELSE 0 END)) FROM found, said",
    );
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn a_key_is_explained_by_its_newest_row() {
    let mut client = Database::trained().connect();
    let by_key = "SELECT * FROM reco.explain(7, 'r2')";
    let by_row = "SELECT e.* FROM launch_features AS f, LATERAL reco.explain_row('launch', f) AS e
                  WHERE product_id = 7 AND region = 'r2' AND week =";
    let newest = rows(&mut client, by_key);
    assert_eq!(newest.len(), 13);
    assert_eq!(newest, rows(&mut client, &format!("{by_row} '2024-06-17'")));
    assert_eq!(
        rows(&mut client, "SELECT * FROM reco.explain(7, 'r2', 'launch', '2024-03-07')"),
        rows(&mut client, &format!("{by_row} '2024-03-04'"))
    );
    let ordered: bool = value(
        &mut client,
        "SELECT array_agg(abs(margin)) = array_agg(abs(margin) ORDER BY abs(margin) DESC) FROM reco.explain(7, 'r2')",
    );
    assert!(ordered, "the largest contribution comes first");
    let score: bool =
        value(&mut client, "SELECT bool_and(score = reco.recommend(7, 'r2')) FROM reco.explain(7, 'r2')");
    assert!(score);
    client.batch_execute("BEGIN READ ONLY").unwrap();
    assert_eq!(rows(&mut client, by_key), newest);
    client.batch_execute("COMMIT").unwrap();
    for nothing in [
        "reco.explain(999, 'r2')",
        "reco.explain(7, 'nowhere')",
        "reco.explain(NULL::bigint, 'r2')",
        "reco.explain(7, NULL)",
        "reco.explain(7, 'r2', 'launch', '2020-01-01')",
        "reco.explain_row(NULL, ROW(1))",
        "reco.explain_row('launch', NULL)",
    ] {
        assert!(rows(&mut client, &format!("SELECT * FROM {nothing}")).is_empty(), "{nothing}");
    }
}

#[test]
fn a_product_may_be_a_text() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute("CREATE VIEW named AS SELECT 'p' || product_id AS sku, region, week, price, sales_1w, category, purchased FROM launch_features")
        .unwrap();
    let keys = "keys => '{sku,region}'";
    Training::new("named").source("named").with(keys).with("time_column => 'week'").call(&mut client);
    assert_eq!(rows(&mut client, "SELECT * FROM reco.explain('p7', 'r2')").len(), 3);
    let similar = rows(&mut client, "SELECT * FROM reco.similar_launches('p7', 'r2', 3)");
    assert_eq!(similar.len(), 3, "{similar:?}");
    assert!(similar.iter().all(|row| row.starts_with("(p") && !row.starts_with("(p7,")), "{similar:?}");
}

#[test]
fn values_and_baselines_are_written_as_sql_writes_them() {
    let mut client = Database::trained().connect();
    let explained = |client: &mut Client, column: &str, change: &str| -> (Option<String>, Option<String>) {
        let sql = format!(
            "SELECT value, baseline FROM (SELECT * FROM launch_features WHERE (product_id, region, week) = (7, 'r2', '2024-03-04')) AS f,
                    LATERAL (SELECT {change}) AS g, LATERAL reco.explain_row('launch', g) AS e WHERE column_name = '{column}'"
        );
        let row = client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        (row.get(0), row.get(1))
    };
    let columns = "f.price, f.sales_1w, f.sales_4w, f.households, f.weeks_since_launch, f.clicks, f.on_promotion, f.size,
                   f.launched_on, f.updated_at, f.history, f.ranks";
    let category = |value: &str| format!("{columns}, {value} AS category");
    // A category that was never seen, none, and the most frequent one.
    let (value, baseline) = explained(&mut client, "category", &category("'toys'::text"));
    assert_eq!(value.as_deref(), Some("toys"));
    let most_frequent: String = integration::value(
        &mut client,
        "SELECT category FROM launch_features WHERE category IS NOT NULL AND purchased IS NOT NULL
         GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    );
    assert_eq!(baseline, Some(most_frequent));
    assert_eq!(explained(&mut client, "category", &category("NULL::text")).0, None);
    let all = format!("{columns}, f.category");
    let (price, mean) = explained(&mut client, "price", &all);
    let [stored, average]: [f64; 2] = ["(SELECT price::float8 FROM launch_features WHERE (product_id, region, week) = (7, 'r2', '2024-03-04'))",
        "(SELECT avg(price)::float8 FROM launch_features WHERE purchased IS NOT NULL)"]
        .map(|sql| integration::value(&mut client, &format!("SELECT {sql}")));
    assert_eq!(price.unwrap().parse::<f64>().unwrap(), stored);
    assert!((mean.unwrap().parse::<f64>().unwrap() / average - 1.0).abs() < 1e-5);
    let (launched, typical) = explained(&mut client, "launched_on", &all);
    assert!(launched.unwrap().starts_with("2023-") && typical.unwrap().starts_with("2023-"));
    let (history, typical) = explained(&mut client, "history", &all);
    assert!(history.unwrap().ends_with(",NULL}"));
    assert_eq!(typical.unwrap().split(',').count(), 3);
}

#[test]
fn a_version_is_explained_that_is_not_the_champion() {
    let mut client = Database::trained().connect();
    Training::new("launch").param(r#""seed": 2"#).call(&mut client);
    let score = |client: &mut Client, version: &str| -> f64 {
        let sql = format!(
            "SELECT min(score) FROM (SELECT * FROM launch_features LIMIT 1) AS f, LATERAL reco.explain_row('launch', f, {version})"
        );
        value(client, &sql)
    };
    let [champion, first, second] = ["NULL", "1", "2"].map(|version| score(&mut client, version));
    assert!(champion == first && first != second);
    client.batch_execute("UPDATE reco.alias SET version = 2").unwrap();
    assert_eq!(score(&mut client, "NULL"), second);
    let error =
        refusal(&mut client, "SELECT reco.explain_row('launch', f, 3) FROM launch_features AS f LIMIT 1");
    assert!(error.message.contains("no version 3"), "{error:?}");
}

#[test]
fn what_predict_refuses_is_refused() {
    let mut client = Database::trained().connect();
    refusal(&mut client, "SELECT reco.explain_row('launch', ROW(1))").expect("42703", &["missing"], &[]);
    refusal(&mut client, "SELECT reco.explain_row('nobody', ROW(1))").expect("42704", &["nobody"], &[]);
    let wrong = "SELECT reco.explain_row('launch', g) FROM launch_features AS f,
                 LATERAL (SELECT f.price::text, f.sales_1w, f.sales_4w, f.households, f.weeks_since_launch, f.clicks, f.on_promotion,
                                 f.category, f.size, f.launched_on, f.updated_at, f.history, f.ranks) AS g";
    refusal(&mut client, wrong).expect("42804", &["price"], &[]);
}

#[test]
fn rows_are_explained_with_the_rights_of_the_caller() {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE explainer LOGIN; GRANT USAGE ON SCHEMA reco TO explainer;
             SELECT reco.grant_model('launch', 'explainer', 'score')",
        )
        .unwrap();
    let mut client = database.connect_as("explainer");
    for call in ["reco.explain(1, 'r1')", "reco.similar_launches(1, 'r1')"] {
        let error = refusal(&mut client, &format!("SELECT * FROM {call}"));
        error.expect("42501", &["permission denied", "launch_features"], &[]);
    }
    admin
        .batch_execute(
            "GRANT SELECT ON launch_features TO explainer;
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_rows ON launch_features TO explainer USING (region = 'r0' AND product_id <= 3)",
        )
        .unwrap();
    assert_eq!(rows(&mut client, "SELECT * FROM reco.explain(1, 'r0')").len(), 13);
    assert!(rows(&mut client, "SELECT * FROM reco.explain(1, 'r1')").is_empty());
    assert!(rows(&mut client, "SELECT * FROM reco.explain(4, 'r0')").is_empty());
    let seen = "SELECT similar_product FROM reco.similar_launches(1, 'r0', 50) ORDER BY 1";
    assert!(rows(&mut client, seen).iter().all(|product| ["(2)", "(3)"].contains(&product.as_str())));
}
