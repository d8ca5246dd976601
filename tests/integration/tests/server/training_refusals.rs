//! What a training refuses, and how it says so. Nothing is stored, and the session goes on.

use super::support::{locks_held, versions};
use integration::query::backend_pid;
use integration::refusal::Refusal;
use integration::{refusal, rows, Database, Training};
use postgres::Client;

fn database() -> Client {
    Database::with_data().connect()
}

/// Trains in vain after some SQL.
fn after(preparation: &str, training: Training) -> Refusal {
    let mut client = database();
    client.batch_execute(preparation).unwrap_or_else(|error| panic!("{preparation}: {error:?}"));
    let refusal = training.refused(&mut client);
    assert!(rows(&mut client, "SELECT * FROM reco.models").is_empty());
    assert!(versions(&mut client, "launch").is_empty());
    refusal
}

fn from(view: &str) -> Refusal {
    after(&format!("CREATE VIEW given AS {view}"), Training::new("launch").source("given"))
}

#[test]
fn an_unknown_parameter_is_answered_with_those_that_exist() {
    let refusal = Training::new("launch").params(r#"{"epoch": 3}"#).refused(&mut database());
    refusal.expect(
        "22023",
        &["unknown training parameter \"epoch\""],
        &["epochs", "learning_rate", "exclude"],
    );
}

#[test]
fn a_direction_is_that_of_one_number_among_the_inputs() {
    let mut client = database();
    let mut refused = |params: &str| {
        let sql = format!(
            "CALL reco.train('launch', 'launch_features', 'purchased', 'boosted_trees', params => '{params}')"
        );
        refusal(&mut client, &sql)
    };
    refused(r#"{"increasing": ["prize"]}"#).expect("42703", &["prize"], &[]);
    for column in ["category", "week", "region", "purchased"] {
        let error = refused(&format!(r#"{{"decreasing": ["{column}"]}}"#));
        error.expect("22023", &[column, "has no direction"], &["increasing"]);
    }
    let error = refused(r#"{"increasing": ["price"], "exclude": ["price"]}"#);
    error.expect("22023", &["price", "has no direction"], &[]);
    let error = refused(r#"{"increasing": ["price"], "decreasing": ["price"]}"#);
    error.expect("22023", &["cannot be both"], &[]);
    let network = r#"CALL reco.train('launch', 'launch_features', 'purchased', 'mlp', params => '{"increasing": ["price"]}')"#;
    refusal(&mut client, network).expect("22023", &["increasing", "mlp"], &[]);
}

#[test]
fn each_parameter_out_of_bounds_is_named_with_its_bounds() {
    let mut client = database();
    let wrong = [
        ("hidden", "[0]"),
        ("hidden", "[4097]"),
        ("hidden", "[1,1,1,1,1,1,1,1,1]"),
        ("hidden", "128"),
        ("epochs", "0"),
        ("epochs", "100001"),
        ("epochs", "1.5"),
        ("epochs", "\"many\""),
        ("batch_size", "-1"),
        ("batch_size", "1000000001"),
        ("learning_rate", "0"),
        ("learning_rate", "10.1"),
        ("learning_rate", "\"fast\""),
        ("weight_decay", "-0.1"),
        ("weight_decay", "11"),
        ("dropout", "0.96"),
        ("dropout", "-0.1"),
        ("class_weight", "0"),
        ("class_weight", "1000001"),
        ("patience", "100001"),
        ("patience", "-1"),
        ("seed", "-1"),
        ("seed", "9223372036854775808"),
        ("device", "\"tpu\""),
        ("threads", "1025"),
        ("validation_share", "0.91"),
        ("validation_share", "-0.1"),
        ("test_share", "1"),
        ("min_category_count", "0"),
        ("max_categories", "0"),
        ("max_categories", "1000001"),
        ("include", "\"region\""),
        ("exclude", "[1]"),
    ];
    for (name, value) in wrong {
        let params = format!(r#"{{"{name}": {value}}}"#);
        let refusal = Training::new("launch").params(&params).refused(&mut client);
        refusal.expect("22023", &[&format!("\"{name}\"")], &[&format!("{name}: ")]);
    }
    assert!(rows(&mut client, "SELECT * FROM reco.runs").is_empty(), "nothing was begun");
}

#[test]
fn shares_that_leave_nothing_to_train_on_are_refused() {
    let params = r#"{"test_share": 0.5, "validation_share": 0.5}"#;
    Training::new("launch").params(params).refused(&mut database()).expect(
        "22023",
        &["test_share"],
        &["test_share"],
    );
}

#[test]
fn parameters_that_are_no_object_are_refused_with_an_example() {
    Training::new("launch").params("[]").refused(&mut database()).expect(
        "22023",
        &["JSON object"],
        &["hidden"],
    );
    Training::new("launch").params("{").refused(&mut database()).expect("22P02", &["json"], &[]);
}

#[test]
fn an_unknown_algorithm_is_answered_with_those_that_exist() {
    let training = Training::new("launch").with("algorithm => 'forest'");
    training.refused(&mut database()).expect("22023", &["unknown algorithm \"forest\""], &["mlp"]);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let training = Training::new("launch").param(r#""device": "cuda:99""#);
    training.refused(&mut database()).expect("22023", &["cuda:99"], &["cpu"]);
}

#[test]
fn arguments_that_are_null_are_named() {
    let mut client = database();
    let call = |arguments: &str| format!("CALL reco.train({arguments})");
    for (arguments, name) in [
        ("NULL, 'launch_features', 'purchased'", "model"),
        ("'launch', NULL, 'purchased'", "source"),
        ("'launch', 'launch_features', 'purchased', NULL", "algorithm"),
        ("'launch', 'launch_features', 'purchased', params => NULL", "params"),
        ("'launch', 'launch_features', 'purchased', promote => NULL", "promote"),
        ("'launch', 'launch_features', 'purchased', keys => '{product_id,NULL}'", "NULL"),
    ] {
        refusal(&mut client, &call(arguments)).expect("22023", &[name, "NULL"], &[]);
    }
}

#[test]
fn a_model_needs_a_name_that_fits() {
    let mut client = database();
    Training::new("").refused(&mut client).expect("22023", &["name"], &[]);
    Training::new(&"x".repeat(64)).refused(&mut client).expect("22023", &["63"], &[]);
}

#[test]
fn what_is_no_table_or_view_is_refused() {
    let mut client = database();
    Training::new("launch").source("nothing").refused(&mut client).expect("42P01", &["nothing"], &[]);
    client.batch_execute("CREATE SEQUENCE numbers; CREATE TYPE pair AS (a int, b int)").unwrap();
    for source in ["numbers", "pair", "launch_features_pkey"] {
        let refusal = Training::new("launch").source(source).refused(&mut client);
        refusal.expect("22023", &[source, "not a table or a view"], &[]);
    }
    Training::new("launch").source("4294967295").refused(&mut client);
}

#[test]
fn a_label_that_is_missing_is_answered_with_the_columns() {
    let refusal = Training::new("launch").label("bought").refused(&mut database());
    refusal.expect("42703", &["label", "\"bought\"", "launch_features"], &["purchased", "product_id"]);
}

#[test]
fn a_label_that_is_no_truth_value_is_refused() {
    let refusal = Training::new("launch").label("category").refused(&mut database());
    refusal.expect("42804", &["\"category\"", "text"], &["boolean"]);
    Training::new("launch").label("history").refused(&mut database()).expect(
        "42804",
        &["history"],
        &["boolean"],
    );
}

#[test]
fn a_label_with_other_numbers_than_0_and_1_is_refused_where_a_probability_is_asked_for() {
    let training = Training::new("launch").label("households").param(r#""task": "binary""#);
    let refusal = training.refused(&mut database());
    refusal.expect("22000", &["\"households\"", "value"], &["0", "1", "NULL"]);
}

#[test]
fn a_label_that_is_no_number_is_refused() {
    for odd in ["'NaN'::float8", "'infinity'::float8"] {
        let refusal = from(&format!(
            "SELECT product_id, region, week, price, CASE WHEN product_id = 7 THEN {odd} ELSE purchased::int END AS purchased \
             FROM launch_features"
        ));
        refusal.expect("22000", &["\"purchased\"", "value"], &["NULL"]);
    }
}

#[test]
fn a_label_of_one_class_is_refused() {
    for (label, words) in [("true", "true (1)"), ("false", "false (0)")] {
        let refusal = from(&format!(
            "SELECT product_id, region, week, price, {label} AS purchased FROM launch_features"
        ));
        refusal.expect("22000", &[words, "all"], &["different outcomes"]);
    }
}

#[test]
fn a_source_without_rows_is_refused() {
    from("SELECT * FROM launch_features WHERE false").expect("22000", &["no rows"], &["source"]);
}

#[test]
fn a_source_without_labels_is_refused() {
    from("SELECT * FROM launch_features WHERE purchased IS NULL").expect(
        "22000",
        &["has a label", "240"],
        &["NULL"],
    );
}

#[test]
fn a_type_that_cannot_be_used_is_named_and_can_be_left_out() {
    let mut client = database();
    client.batch_execute("CREATE VIEW odd AS SELECT *, '{}'::jsonb AS extra FROM launch_features").unwrap();
    let training = Training::new("launch").source("odd");
    training.refused(&mut client).expect("42804", &["\"extra\"", "jsonb"], &["exclude", "extra"]);
    training.param(r#""exclude": ["extra"]"#).call(&mut client);
    for (name, value) in [
        ("bytea", "''::bytea"),
        ("text[]", "'{}'::text[]"),
        ("point", "'(1,1)'::point"),
        ("interval", "'1 day'::interval"),
    ] {
        let refusal = from(&format!("SELECT *, {value} AS extra FROM launch_features"));
        refusal.expect("42804", &["\"extra\"", name], &["exclude"]);
    }
}

#[test]
fn arrays_of_different_lengths_are_refused() {
    let refusal = from("SELECT product_id, region, week, purchased, CASE WHEN product_id = 9 THEN '{1,2}' ELSE '{1}' END::real[] \
                        AS numbers FROM launch_features");
    refusal.expect("22023", &["\"numbers\"", "different lengths"], &[]);
}

#[test]
fn keys_and_time_that_are_missing_or_of_wrong_type_are_refused() {
    let mut client = database();
    let with = |argument: &str| Training::new("launch").with(argument);
    with("keys => '{product_id,nowhere}'").refused(&mut client).expect(
        "42703",
        &["key", "\"nowhere\""],
        &["region"],
    );
    with("keys => '{history}'").refused(&mut client).expect("42804", &["\"history\"", "real[]"], &["key"]);
    with("time_column => 'nowhen'").refused(&mut client).expect("42703", &["time", "\"nowhen\""], &["week"]);
    with("time_column => 'price'").refused(&mut client).expect(
        "42804",
        &["\"price\"", "numeric"],
        &["date", "timestamp"],
    );
    with("keys => '{purchased}'").refused(&mut client).expect("22023", &["\"purchased\"", "label"], &[]);
}

#[test]
fn one_column_cannot_be_key_and_time() {
    let training = Training::new("launch").with("keys => '{product_id,week}'").with("time_column => 'week'");
    training.refused(&mut database()).expect("22023", &["\"week\""], &[]);
}

#[test]
fn a_key_named_twice_is_refused() {
    let training = Training::new("launch").with("keys => '{region,region}'");
    training.refused(&mut database()).expect("22023", &["\"region\""], &[]);
}

#[test]
fn included_and_excluded_columns_must_exist() {
    let mut client = database();
    for what in ["include", "exclude"] {
        let params = format!(r#"{{"{what}": ["nowhere"]}}"#);
        let refusal = Training::new("launch").params(&params).refused(&mut client);
        refusal.expect("42703", &[what, "\"nowhere\""], &["price"]);
    }
    let include_label = Training::new("launch").param(r#""include": ["purchased"]"#);
    include_label.refused(&mut client).expect("22023", &["\"purchased\"", "label"], &[]);
}

#[test]
fn a_source_without_inputs_is_refused() {
    from("SELECT product_id, region, week, purchased FROM launch_features").expect(
        "22023",
        &["no column", "input"],
        &[],
    );
}

#[test]
fn a_labelled_row_without_a_time_is_refused() {
    let refusal = from(
        "SELECT product_id, region, CASE WHEN product_id <> 4 THEN week END AS week, price, purchased FROM launch_features",
    );
    refusal.expect("22000", &["\"week\"", "NULL"], &["times"]);
}

#[test]
fn an_error_of_the_source_is_the_users_error() {
    let mut client = database();
    client
        .batch_execute(
            "CREATE VIEW broken AS SELECT f.*, 1 / (60 - product_id) AS ratio FROM launch_features AS f",
        )
        .unwrap();
    let refusal = Training::new("launch").source("broken").refused(&mut client);
    refusal.expect("22012", &["division by zero"], &[]);
    assert_eq!(rows(&mut client, "SELECT status, error FROM reco.runs"), ["(failed,\"division by zero\")"]);
    let backend = backend_pid(&mut client);
    assert_eq!(locks_held(&mut client, backend), 0, "the run is not held any longer");
}

#[test]
fn what_to_do_about_a_type_depends_on_what_the_column_is() {
    let source = "SELECT f.*, product_id::text::jsonb AS document, tstzrange(updated_at, NULL) AS period FROM launch_features AS f";
    let with = |argument: &str| {
        after(
            &format!("CREATE VIEW given AS {source}"),
            Training::new("launch").source("given").with(argument),
        )
    };
    with("keys => '{document,region}'").expect(
        "42804",
        &["\"document\" has type jsonb"],
        &["keys => ", "casts it"],
    );
    with("keys => '{history,region}'").expect("42804", &["\"history\" has type real[]"], &["keys => "]);
    let document = r#"params => '{"exclude": ["document"]}'"#;
    let period =
        format!("CALL reco.train('launch', 'given', 'purchased', time_column => 'period', {document})");
    let mut given = database();
    given.batch_execute(&format!("CREATE VIEW given AS {source}")).unwrap();
    refusal(&mut given, &period).expect("42804", &["\"period\" has type tstzrange"], &["time_column => "]);
    let label = after(
        &format!("CREATE VIEW given AS {source}"),
        Training::new("launch").source("given").label("document"),
    );
    label.expect("42804", &["\"document\""], &["label => "]);
    from(source).expect("42804", &["\"document\""], &[r#"{"exclude": ["document"]}"#]);
    // What a hint says helps.
    let mut client = database();
    client.batch_execute("CREATE VIEW given AS SELECT f.*, '{}'::jsonb AS \"a \"\"document\"\"\" FROM launch_features AS f").unwrap();
    let hint = Training::new("launch").source("given").refused(&mut client).hint;
    let params = hint.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).unwrap().0;
    Training::new("launch")
        .source("given")
        .param(params.trim_start_matches('{').trim_end_matches('}'))
        .call(&mut client);
}

#[test]
fn numbers_that_no_double_holds_are_refused() {
    let mut client = Database::with_data().connect();
    for (what, call) in [
        ("params", "CALL reco.train('m', 'launch_features', 'purchased', params => '{\"epochs\": 1e400}')"),
        ("params", "CALL reco.tune('m', 'launch_features', label => 'purchased', params => '{\"epochs\": 1e400}')"),
        ("search", "CALL reco.tune('m', 'launch_features', label => 'purchased', search => '{\"hidden\": [1e400]}')"),
        ("params", "SELECT * FROM reco.backtest('launch_features', '2024-03-04', '2024-03-11', label => 'purchased', params => '{\"epochs\": 1e400}')"),
        ("arms", "SELECT reco.start_ab_test('t', 'm', '[{\"arm\": \"a\", \"version\": 1, \"share\": 1e400}]')"),
        ("settings", "SELECT reco.create_feature_view('v', 'SELECT 1', '{a}', settings => '{\"work_mem\": 1e400}')"),
    ] {
        refusal(&mut client, call).expect("22023", &[what, "out of range"], &[]);
    }
}

#[test]
fn a_relation_that_is_not_there_is_named_by_its_oid() {
    let mut client = Database::trained().connect();
    for sql in [
        "CALL reco.train('m', 4000000000::oid::regclass)",
        "CALL reco.tune('m', 4000000000::oid::regclass)",
        "SELECT reco.import_model('m', reco.export_model('launch'), 4000000000::oid::regclass)",
    ] {
        refusal(&mut client, sql).expect("42P01", &["4000000000"], &[]);
    }
}
