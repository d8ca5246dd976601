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

#[test]
fn a_column_that_the_source_no_longer_has_is_named_with_source_and_model() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            r#"CREATE VIEW seen AS SELECT * FROM launch_features;
               CREATE VIEW owned AS SELECT * FROM launch_features;
               CALL reco.train('seen', 'seen', 'purchased', keys => '{product_id,region}', params => '{"epochs": 1, "threads": 1}');
               CALL reco.train('units', 'launch_features', 'households',
                               params => '{"epochs": 1, "threads": 1, "exclude": ["purchased"]}');
               CALL reco.train('launch', 'launch_features', 'purchased', params => '{"epochs": 1, "threads": 1}');
               SELECT reco.start_ab_test('spring', 'launch',
                   '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]')"#,
        )
        .unwrap();
    let all = [
        "reco.recommend(3::bigint, 'r1', '{}')",
        "reco.recommend(3::bigint, 'r1', '{}', as_of => '2024-05-01')",
        "reco.top_products('r1', 5, '{}')",
        "reco.top_regions(3::bigint, 5, '{}')",
        "reco.explain(3::bigint, 'r1', '{}')",
        "reco.similar_launches(3::bigint, 'r1', 5, '{}')",
        "reco.forecast('r1', '{}')",
        "reco.evaluate('{}', '{source}')",
        "reco.log_recommendations('{1,2,3,4}'::text[], '{r1,r1,r1,r1}', '{}')",
    ];
    let calls = |model: &str, source: &str| {
        all.map(|call| format!("SELECT * FROM {}", call.replace("{}", model).replace("{source}", source)))
    };
    // Plans are kept from here on.
    for (model, source) in [("launch", "launch_features"), ("seen", "seen")] {
        calls(model, source)
            .iter()
            .for_each(|call| client.batch_execute(call).unwrap_or_else(|e| panic!("{call}: {e:?}")));
    }
    for (column, what) in [("sales_1w", "inputs"), ("region", "key"), ("week", "time")] {
        for (model, source) in [("launch", "launch_features"), ("seen", "seen")] {
            let kind = if source == "seen" { "VIEW" } else { "TABLE" };
            client.batch_execute(&format!("ALTER {kind} {source} RENAME COLUMN {column} TO other")).unwrap();
            for call in calls(model, source) {
                let measured = call.contains("evaluate") || (model == "seen" && call.contains("log_"));
                if measured && what != "inputs" || (model == "seen" && call.contains("log_")) {
                    continue;
                }
                let error = refusal(&mut client, &call);
                assert_eq!(error.code, "42703", "{call}: {error:?}");
                for word in [format!("\"{column}\""), format!("public.{source}")] {
                    assert!(error.message.contains(&word), "{call}: {error:?}");
                }
                let all = format!("{} {}", error.message, error.detail);
                assert!(all.contains(&format!("\"{model}\"")), "{call}: {error:?}");
                assert!(error.hint.contains("again"), "{call}: {error:?}");
            }
            client.batch_execute(&format!("ALTER {kind} {source} RENAME COLUMN other TO {column}")).unwrap();
            let still = format!("SELECT reco.recommend(3::bigint, 'r1', '{model}')");
            assert!(value::<Option<f64>>(&mut client, &still).is_some());
        }
    }
    let report = "SELECT count(*) FROM reco.ab_report('spring')";
    client.batch_execute("ALTER TABLE launch_features RENAME COLUMN week TO other").unwrap();
    refusal(&mut client, report).expect("42703", &["time column \"week\"", "launch_features"], &["again"]);
    client
        .batch_execute(
            "ALTER TABLE launch_features RENAME COLUMN other TO week; DROP VIEW seen, owned;
             ALTER TABLE launch_features ALTER launched_on TYPE text USING 'soon'",
        )
        .unwrap();
    for call in ["recommend(3::bigint, 'r1', 'launch')", "top_products('r1', 5, 'launch')"] {
        refusal(&mut client, &format!("SELECT * FROM reco.{call}")).expect(
            "42804",
            &["\"launched_on\" of public.launch_features has type text", "\"launch\" expects"],
            &["again"],
        );
    }
}

#[test]
fn what_an_error_repeats_of_an_argument_is_short() {
    let mut client = Database::trained().connect();
    let long = "repeat('model ', 2000000)";
    for call in [
        format!("reco.recommend(1::bigint, 'r1', {long})"),
        format!("reco.predict({long}, f) FROM launch_features AS f"),
        format!("reco.top_products('r1', model => {long})"),
        format!("reco.promote({long}, 1)"),
        format!("reco.set_alias('launch', {long}, 7)"),
        format!("reco.grant_model('launch', {long}, 'score')"),
        format!("reco.grant_model('launch', 'postgres', {long})"),
        format!("reco.ab_report({long})"),
        format!("reco.create_feature_view('wide', 'SELECT 1 AS a, NULL::date AS week', '{{a}}', partition_by => {long})"),
        format!("reco.promote_if_better('launch', 1, metric => {long})"),
    ] {
        let error = refusal(&mut client, &format!("SELECT {call}"));
        assert!(error.message.len() < 1200, "{call}: {} bytes", error.message.len());
        assert!(error.detail.len() + error.hint.len() < 17_000, "{call}");
        assert_ne!(error.code, "42883", "{error:?}");
    }
    let error = refusal(&mut client, &format!("SELECT reco.recommend(1::bigint, 'r1', {long})"));
    error.expect("42704", &["model \"model model", "(11999", "does not exist"], &["reco.models"]);
    let train = format!(
        "DO $$ BEGIN CALL reco.train('launch', 'launch_features', 'purchased', algorithm => {long}); END $$"
    );
    assert!(refusal(&mut client, &train).message.len() < 1200);
}
