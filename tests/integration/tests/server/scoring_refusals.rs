//! What scoring refuses, and how it says so.

use integration::{refusal, value, Database, Training};
use postgres::Client;

const PREDICT: &str = "SELECT reco.predict('launch', f) FROM";

#[test]
fn an_unknown_model_is_named() {
    let mut client = Database::trained().connect();
    for sql in [
        "SELECT reco.predict('nobody', f) FROM launch_features AS f",
        "SELECT reco.predict('nobody', '{1}'::real[])",
        "SELECT reco.recommend(1, 'r1', 'nobody')",
        "SET reco.default_model = 'nobody'; SELECT reco.recommend(1, 'r1')",
        "SELECT reco.recommend('1', 'r1', 'nobody')",
    ] {
        refusal(&mut client, sql).expect("42704", &["model \"nobody\" does not exist"], &["reco.models"]);
    }
}

#[test]
fn without_a_model_it_says_how_to_train_one() {
    let mut client = Database::with_data().connect();
    refusal(&mut client, "SELECT reco.recommend(1, 'r1')").expect("42704", &["no model"], &["reco.train"]);
}

#[test]
fn with_several_models_one_must_be_named() {
    let mut client = Database::trained().connect();
    Training::new("other").source("numeric_features").param(r#""epochs": 1"#).call(&mut client);
    refusal(&mut client, "SELECT reco.recommend(1, 'r1')").expect(
        "42P08",
        &["2 models"],
        &["reco.default_model"],
    );
}

#[test]
fn a_model_without_a_champion_is_named() {
    let mut client = Database::trained().connect();
    client.batch_execute("DELETE FROM reco.alias").unwrap();
    refusal(&mut client, "SELECT reco.recommend(1, 'r1')").expect(
        "42704",
        &["\"launch\" has no champion"],
        &["reco.versions"],
    );
}

#[test]
fn a_missing_or_renamed_column_is_named_with_what_was_expected() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "CREATE TABLE renamed AS SELECT * FROM launch_features LIMIT 1;
             ALTER TABLE renamed RENAME category TO kind;
             CREATE TABLE lacking AS SELECT * FROM launch_features LIMIT 1;
             ALTER TABLE lacking DROP COLUMN price",
        )
        .unwrap();
    let error = refusal(&mut client, &format!("{PREDICT} renamed AS f"));
    error.expect("42703", &["\"category\" is missing"], &["rename"]);
    assert!(error.detail.contains("\"launch\"") && error.detail.contains("text"), "{error:?}");
    let error = refusal(&mut client, &format!("{PREDICT} lacking AS f"));
    error.expect("42703", &["\"price\" is missing"], &[]);
    assert!(error.detail.contains("numeric"), "{error:?}");
    refusal(&mut client, "SELECT reco.predict('launch', ROW(1, 2))").expect(
        "42703",
        &["is missing"],
        &["name"],
    );
}

#[test]
fn a_column_of_another_type_is_named_with_both_types() {
    let mut client = Database::trained().connect();
    for (column, found, expected) in [
        ("price", "text", "number"),
        ("category", "integer", "text"),
        ("on_promotion", "integer", "boolean"),
        ("launched_on", "timestamp without time zone", "date"),
        ("updated_at", "date", "timestamp"),
        ("history", "real", "array"),
        ("history", "text[]", "array"),
        ("price", "jsonb", "number"),
    ] {
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS odd; CREATE TABLE odd AS SELECT * FROM launch_features LIMIT 1; \
                 ALTER TABLE odd ALTER {column} TYPE {found} USING NULL"
            ))
            .unwrap();
        let error = refusal(&mut client, &format!("{PREDICT} odd AS f"));
        error.expect(
            "42804",
            &[&format!("\"{column}\" has type {found}"), "\"launch\" expects", expected],
            &[],
        );
    }
}

#[test]
fn an_array_column_of_another_length_is_named() {
    let mut client = Database::trained().connect();
    let sql =
        "CREATE TABLE odd AS SELECT * FROM launch_features LIMIT 1; UPDATE odd SET history = '{1,2,3,4}'";
    client.batch_execute(sql).unwrap();
    refusal(&mut client, &format!("{PREDICT} odd AS f")).expect(
        "22023",
        &["\"history\"", "4 elements", "3"],
        &[],
    );
    client.batch_execute("UPDATE odd SET history = '{1,2,3}', ranks = '{}'").unwrap();
    refusal(&mut client, &format!("{PREDICT} odd AS f")).expect(
        "22023",
        &["\"ranks\"", "0 elements", "2"],
        &[],
    );
}

#[test]
fn an_array_must_have_as_many_numbers_as_the_model() {
    let mut client = Database::with_data().connect();
    Training::new("numbers").source("numeric_features").param(r#""epochs": 1"#).call(&mut client);
    for array in ["'{}'", "'{1,2,3}'", "'{1,2,3,4,5}'", "'{{1,2},{3,4}}'"] {
        let error = refusal(&mut client, &format!("SELECT reco.predict('numbers', {array}::real[])"));
        error.expect(
            "22023",
            &["\"numbers\"", "array of 4 numbers"],
            &["price, sales_1w, households, clicks"],
        );
    }
}

#[test]
fn a_model_with_categories_takes_no_array() {
    let mut client = Database::trained().connect();
    let error = refusal(&mut client, "SELECT reco.predict('launch', '{1,2,3}'::real[])");
    error.expect("22023", &["\"launch\"", "not numbers"], &["row"]);
}

#[test]
fn a_product_of_another_type_than_the_column_is_refused() {
    let mut client = Database::trained().connect();
    let error = refusal(&mut client, "SELECT reco.recommend('1'::text, 'r1')");
    error.expect("22023", &["product_id is bigint", "text was given"], &["bigint"]);
    client
        .batch_execute("CREATE VIEW articles AS SELECT 'a' || product_id AS product_id, region, week, price, purchased FROM launch_features")
        .unwrap();
    Training::new("articles").source("articles").param(r#""epochs": 1"#).call(&mut client);
    let error = refusal(&mut client, "SELECT reco.recommend(1, 'r1', 'articles')");
    error.expect("22023", &["product_id is text", "bigint was given"], &["text"]);
}

#[test]
fn a_model_with_other_keys_is_not_asked_by_key() {
    let mut client = Database::with_data().connect();
    let training = Training::new("products").with("keys => '{product_id}'").param(r#""epochs": 1"#);
    training.call(&mut client);
    refusal(&mut client, "SELECT reco.recommend(1, 'r1')").expect(
        "22023",
        &["(product_id)"],
        &["reco.predict"],
    );
}

#[test]
fn as_of_needs_a_time_column() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute("CREATE VIEW timeless AS SELECT DISTINCT ON (product_id, region) product_id, region, price, purchased FROM launch_features")
        .unwrap();
    Training::new("timeless").source("timeless").param(r#""epochs": 1"#).call(&mut client);
    let error = refusal(&mut client, "SELECT reco.recommend(1, 'r1', as_of => '2024-01-01')");
    error.expect("22023", &["no time column"], &[]);
}

/// In a session that has scored before, and in a new one.
fn refused_in_old_and_new_session(change: &str, expect: impl Fn(&mut Client)) {
    let database = Database::trained();
    let mut old = database.connect();
    assert!(value::<Option<f64>>(&mut old, "SELECT reco.recommend(1, 'r1')").is_some());
    old.batch_execute(change).unwrap();
    expect(&mut database.connect());
    expect(&mut old);
}

#[test]
fn a_source_that_was_dropped_is_named() {
    refused_in_old_and_new_session("DROP TABLE launch_features CASCADE", |client| {
        let error = refusal(client, "SELECT reco.recommend(1, 'r1')");
        error.expect("42P01", &["launch_features", "does not exist"], &["again"]);
    });
}

#[test]
fn a_source_that_lost_an_input_names_it() {
    refused_in_old_and_new_session("ALTER TABLE launch_features DROP COLUMN price CASCADE", |client| {
        refusal(client, "SELECT reco.recommend(1, 'r1')").expect("42703", &["price"], &[]);
    });
}

#[test]
fn a_source_that_lost_a_key_names_it() {
    refused_in_old_and_new_session("ALTER TABLE launch_features DROP COLUMN region CASCADE", |client| {
        refusal(client, "SELECT reco.recommend(1, 'r1')").expect("42703", &["region"], &[]);
    });
}

#[test]
fn damaged_weights_are_an_error_and_no_crash() {
    let mut client = Database::trained().connect();
    for body in
        ["''", "'\\x00ff'", "substr(body, 1, 1000)", "overlay(body placing '\\xffffffffffffffff' from 1)"]
    {
        client.batch_execute(&format!("BEGIN; UPDATE reco.artifact_chunk SET body = {body}")).unwrap();
        let error = refusal(&mut client, "SELECT reco.recommend(1, 'r1')");
        assert_eq!(error.code, "XX001", "{error:?}");
        client.batch_execute("ROLLBACK").unwrap();
    }
}
