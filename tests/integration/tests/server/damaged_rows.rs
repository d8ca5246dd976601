//! Rows of the catalog whose values cannot be so, as a superuser's UPDATE or half a restore leaves them: an error that names
//! what is damaged, a check that lists it, and everything else as it was.

use integration::{refusal, rows, Database, Training, Tuning};
use postgres::Client;

/// `launch` is whole; of `hurt` there are two versions, of which the first, its champion, is damaged.
fn with_two_models() -> Database {
    let database = Database::trained();
    let mut client = database.connect();
    for seed in [2, 3] {
        Training::new("hurt").param(&format!(r#""epochs": 1, "seed": {seed}"#)).call(&mut client);
    }
    database
}

/// Of a column, the values that it may be damaged to have, as SQL.
const DAMAGES: [(&str, &[&str]); 11] = [
    (
        "keys",
        &["'{}'", "'{NULL,region}'", "'{{product_id},{region}}'", "'{region}'", "'{a,b,c}'", "'{\"\",\"\"}'"],
    ),
    ("metrics", &JSON),
    (
        "metrics",
        &[
            r#"'{"test": 7, "validation": "good"}'"#,
            r#"'{"test": {"model": 7, "popularity": []}, "validation": {"model": [1]}}'"#,
            r#"'{"test": {"model": {"auroc": "high"}}, "validation": {"model": {"auroc": {}, "rmse": []}}}'"#,
            r#"'{"test": {"model": {"auroc": 1e400}}, "validation": {"model": {"auroc": -1e-400}}}'"#,
            r#"metrics || '{"importance": 7}'"#,
            r#"metrics || '{"importance": [{"column": 1, "loss": "much"}]}'"#,
            r#"metrics || '{"by": 3, "test": {"model": {"rows": "many"}}}'"#,
            r#"metrics || '{"more": {"than": "there was"}}'"#,
        ],
    ),
    ("recipe", &JSON),
    ("recipe", &[r#"'{"columns": 7}'"#, r#"'{"columns": [{"name": 1}]}'"#, r#"recipe - 'columns'"#]),
    ("data", &JSON),
    (
        "data",
        &[
            r#"data || '{"test_from": 7, "time_to": []}'"#,
            r#"data || '{"test_from": "soon", "time_to": "never"}'"#,
            r#"data || '{"test_from": "infinity", "time_to": "-infinity"}'"#,
            r#"data || '{"test_from": "294276-12-31", "time_to": "99999999-01-01"}'"#,
            r#"data || '{"rows": "many", "positives": -1e400, "digest": 0, "definition": {}}'"#,
        ],
    ),
    ("parameters", &JSON),
    (
        "parameters",
        &[
            r#"parameters || '{"epochs": "many"}'"#,
            r#"parameters || '{"epochs": 1e400}'"#,
            r#"parameters || '{"more": 1}'"#,
        ],
    ),
    ("libraries", &JSON),
    ("label", &["NULL", "''", "'no_such_column'"]),
];
/// What is no damage to be seen.
const MAY_BE: [(&str, &[&str]); 6] = [
    ("keys", &["'{}'", "'{region}'", "'{a,b,c}'", "'{\"\",\"\"}'"]),
    ("metrics", &["'{}'", r#"metrics || '{"more": {"than": "there was"}}'"#]),
    ("data", &["'{}'"]),
    ("parameters", &["'{}'", r#"parameters || '{"more": 1}'"#]),
    ("libraries", &["'{}'"]),
    ("label", &["NULL", "''", "'no_such_column'"]),
];
const JSON: [&str; 7] = ["'null'", "'7'", "'-1e400'", "'\"text\"'", "'[]'", "'[[1], null]'", "'{}'"];

/// What reads the damaged model.
const OF_THE_MODEL: [&str; 30] = [
    "SELECT reco.recommend(p, 'r1', 'hurt') FROM generate_series(1, 20) AS p",
    "SELECT sum(reco.predict('hurt', f)) FROM launch_features AS f",
    "SELECT reco.explain(1, 'r1', 'hurt')",
    "SELECT reco.explain_row('hurt', f, 1) FROM launch_features AS f LIMIT 1",
    "SELECT reco.similar_launches(1, 'r1', model => 'hurt')",
    "SELECT * FROM reco.top_products('r1', 3, 'hurt')",
    "SELECT * FROM reco.top_regions(1, 3, 'hurt')",
    "SELECT * FROM reco.forecast('r1', 'hurt')",
    "SELECT * FROM reco.forecast_products('r1', 'hurt')",
    "SELECT * FROM reco.evaluate('launch_features', model => 'hurt')",
    "SELECT * FROM reco.leaderboard('hurt')",
    "SELECT reco.model_card('hurt', 1)",
    "SELECT reco.model_card('hurt', 2)",
    "SELECT reco.model_card_text('hurt', 1)",
    "SELECT reco.describe_model('hurt', 'a test')",
    "SELECT length(reco.export_model('hurt', 1))",
    "SELECT reco.set_alias('hurt', 'challenger', 1)",
    "SELECT reco.promote('hurt', 2)",
    "SELECT reco.promote('hurt', 2); SELECT reco.rollback('hurt')",
    "SELECT * FROM reco.promote_if_better('hurt', 2)",
    "CALL reco.retrain('hurt')",
    r#"SELECT reco.start_ab_test('spring', 'hurt', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]');
       SELECT reco.recommend(p, 'r1', 'hurt') FROM generate_series(1, 20) AS p;
       SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'hurt');
       SELECT * FROM reco.ab_report('spring');
       SELECT reco.stop_ab_test('spring', winner => 'b')"#,
    "SELECT reco.grant_model('hurt', 'public', 'score')",
    "SELECT reco.set_model_owner('hurt', 'postgres')",
    "SELECT reco.promote('hurt', 2); SELECT reco.archive_version('hurt', 1)",
    "SELECT reco.drop_alias('hurt', 'champion')",
    "SELECT * FROM reco.versions; SELECT * FROM reco.models; SELECT * FROM reco.promotions",
    "SELECT * FROM reco.runs; SELECT * FROM reco.run_candidates; SELECT * FROM reco.training_progress",
    "SELECT * FROM reco.tunes; SELECT * FROM reco.trials; SELECT * FROM reco.audit",
    "SELECT reco.drop_model('hurt', force => true)",
];

/// What is to be the same whatever is wrong with another model.
const OF_ANOTHER: [&str; 8] = [
    "SELECT sum(reco.recommend(p, 'r1', 'launch')) FROM generate_series(1, 20) AS p",
    "SELECT reco.explain(1, 'r1', 'launch')",
    "SELECT * FROM reco.top_products('r1', 3, 'launch')",
    "SELECT * FROM reco.forecast('r1', 'launch')",
    "SELECT reco.model_card_text('launch')",
    "SELECT * FROM reco.leaderboard('launch')",
    "SELECT model, version, test_auroc, metrics FROM reco.versions WHERE model = 'launch'",
    "SELECT model, champion, versions FROM reco.models WHERE model = 'launch'",
];

/// An error that says less than it should.
fn is_raw(error: &postgres::Error) -> bool {
    let Some(error) = error.as_db_error() else { return true };
    let (code, message) = (error.code().code(), error.message());
    let of_json = code == "22023"
        && (message.contains("json") || message.contains("object") || message.contains("scalar"));
    matches!(code, "XX000" | "54001" | "22P02" | "22007" | "22008" | "22003" | "42601" | "2202E")
        || of_json
        || ["panic", "internal"].iter().any(|word| message.contains(word))
        // An error of damage says of what.
        || code == "XX001" && !(message.contains("\"hurt\"") && message.contains("version 1"))
}

fn text_rows(client: &mut Client, sql: &str) -> Vec<String> {
    rows(client, &format!("SELECT q::text FROM ({sql}) AS q"))
}

/// Whether the catalog is whole, and what is wrong with it.
fn catalog_check(client: &mut Client) -> (bool, String) {
    let row = client
        .query_one("SELECT ok, detail FROM reco.check_setup('1 min') WHERE item = 'catalog'", &[])
        .unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn damaged_values_are_named_and_hurt_no_other_model() {
    let database = with_two_models();
    let mut client = database.connect();
    let healthy = OF_ANOTHER.map(|sql| text_rows(&mut client, sql));
    let mut wrong = Vec::new();
    for (column, values) in DAMAGES {
        for value in values {
            let damage =
                format!("UPDATE reco.version SET {column} = {value} WHERE model = 'hurt' AND version = 1");
            // A backend that has read nothing yet.
            let mut client = database.connect();
            client.batch_execute(&format!("BEGIN; {damage}; SAVEPOINT damaged")).unwrap();
            for sql in OF_THE_MODEL {
                if let Err(error) = client.batch_execute(sql) {
                    if is_raw(&error) {
                        wrong.push(format!("{column} = {value}, {sql}: {error:?}"));
                    }
                }
                client.batch_execute("ROLLBACK TO damaged").unwrap();
            }
            for (sql, expected) in OF_ANOTHER.iter().zip(&healthy) {
                let result = client.batch_execute(sql);
                if result.is_err() || &text_rows(&mut client, sql) != expected {
                    wrong.push(format!("{column} = {value}, {sql}: {result:?}"));
                }
                client.batch_execute("ROLLBACK TO damaged").unwrap();
            }
            // Those that cannot be told from what a version may have are no damage.
            let (ok, detail) = catalog_check(&mut client);
            let told =
                detail.contains("version 1 of model \"hurt\"") && detail.contains(&format!("\"{column}\""));
            if MAY_BE.iter().any(|(of, may_be)| of == &column && may_be.contains(value)) != ok || ok == told {
                wrong.push(format!("{column} = {value}: {detail}"));
            }
            let _ = client.batch_execute("ROLLBACK");
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Tables besides `version`: what is done to them, as SQL.
const ELSEWHERE: [&str; 29] = [
    "UPDATE reco.ab_test SET regions = '{NULL}'",
    "UPDATE reco.ab_test SET regions = '{{r1},{r2}}'",
    "UPDATE reco.ab_test SET model = 'nobody'",
    "UPDATE reco.ab_test SET model = 'launch'",
    "UPDATE reco.ab_test SET unit = 'key', salt = ''",
    "UPDATE reco.ab_arm SET version = 99",
    "UPDATE reco.ab_arm SET share = 0.9",
    "UPDATE reco.ab_arm SET position = position + 2147483000",
    "UPDATE reco.recommendation SET week = 'infinity', score = 'NaN'",
    "UPDATE reco.recommendation SET week = '-infinity', version = -7",
    "UPDATE reco.recommendation SET week = '5874897-12-31', arm = 'nobody'",
    "UPDATE reco.promotion SET back = step, to_version = NULL",
    "UPDATE reco.promotion SET back = 2147483647",
    "UPDATE reco.promotion SET step = 2147483647",
    "UPDATE reco.alias SET version = 99",
    "UPDATE reco.alias SET ab_test = 'nobody' WHERE alias = 'champion'",
    "UPDATE reco.model SET owner = 'nobody', begun_at = 'infinity'",
    "UPDATE reco.model_privilege SET grantee = 'nobody', granted_by = ''",
    "UPDATE reco.run SET parameters = '7', algorithm = 'nothing'",
    "UPDATE reco.run SET parameters = '{\"epochs\": 1e400}', status = 'running', source_name = ''",
    "UPDATE reco.run SET parameters = '{\"epochs\": \"many\"}', status = 'running', value = 'NaN', error = ''",
    "UPDATE reco.run_candidate SET validation = '7', test = '{\"model\": []}', best_epoch = -1",
    "UPDATE reco.run_candidate SET validation = '{\"model\": {\"auroc\": \"high\"}}', seconds = 'NaN'",
    "UPDATE reco.tune SET settings = '7', metric = 'beauty'",
    "UPDATE reco.tune SET settings = '{\"trials\": \"many\", \"search\": [1]}', status = 'failed'",
    "UPDATE reco.tune SET settings = settings || '{\"trials\": 1e400}', threads = -1, digest = ''",
    "UPDATE reco.tune SET metric = 'beauty', status = 'failed'",
    "UPDATE reco.audit_event SET detail = '[1e400]'",
    "UPDATE reco.version SET seconds = 'NaN', algorithm = '', run_id = gen_random_uuid(), trained_at = 'infinity'",
];

/// What reads them.
const READERS: [&str; 15] = [
    "SELECT reco.recommend(p, 'r1', 'hurt') FROM generate_series(1, 20) AS p",
    "SELECT reco.ab_arm('spring', 1, 'r1')",
    "SELECT * FROM reco.ab_report('spring')",
    "SELECT * FROM reco.ab_tests",
    "SELECT reco.log_recommendations('{4,5}'::bigint[], '{r1,r1}', 'hurt')",
    "SELECT reco.rollback('hurt')",
    "SELECT reco.stop_ab_test('spring', winner => 'b')",
    "SELECT reco.model_card_text('hurt')",
    "SELECT * FROM reco.leaderboard('hurt')",
    "SELECT * FROM reco.forecast('r1', 'hurt')",
    "CALL reco.retrain('hurt')",
    "SELECT * FROM reco.versions; SELECT * FROM reco.models; SELECT * FROM reco.promotions; SELECT * FROM reco.aliases",
    "SELECT * FROM reco.runs; SELECT * FROM reco.run_candidates; SELECT * FROM reco.training_progress; SELECT * FROM reco.model_privileges",
    "SELECT * FROM reco.tunes; SELECT * FROM reco.trials; SELECT * FROM reco.audit",
    "SELECT item, ok, detail FROM reco.check_setup('1 min')",
];

#[test]
fn damage_in_any_table_is_an_error_and_no_fault_of_ours() {
    let database = with_two_models();
    let mut client = database.connect();
    Tuning::new("tuned").call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('spring', 'hurt', '[{"arm": "a", "version": 1, "share": 0.4}, {"arm": "b", "version": 2, "share": 0.6}]');
               SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'hurt');
               SELECT reco.grant_model('hurt', 'public', 'score');
               INSERT INTO reco.run_candidate (run_id, algorithm, best_epoch, fitted, seconds)
               SELECT run_id, 'nothing', 1, 1, 1 FROM reco.run WHERE model = 'hurt'"#,
        )
        .unwrap();
    let tune = Tuning::new("tuned").sql();
    let mut wrong = Vec::new();
    for damage in ELSEWHERE {
        let mut client = database.connect();
        client.batch_execute("BEGIN; SET LOCAL statement_timeout = '30s'").unwrap();
        let only = match damage {
            _ if ["reco.model ", "reco.alias", "reco.version"].iter().any(|table| damage.contains(table)) => {
                " WHERE model = 'hurt'"
            }
            _ => "",
        };
        let only = if damage.contains("WHERE") { " AND model = 'hurt'" } else { only };
        client
            .batch_execute(&format!("{damage}{only}; SAVEPOINT damaged"))
            .unwrap_or_else(|error| panic!("{damage}: {error:?}"));
        let of_tunes = [tune.as_str()];
        let readers = READERS
            .iter()
            .copied()
            .chain(damage.contains("reco.tune").then_some(of_tunes).into_iter().flatten());
        for sql in readers {
            if let Err(error) = client.batch_execute(sql) {
                if is_raw(&error) && !error.as_db_error().is_some_and(names_what_is_damaged) {
                    wrong.push(format!("{damage}, {sql}: {error:?}"));
                }
            }
            client.batch_execute("ROLLBACK TO damaged").unwrap();
        }
        for sql in &OF_ANOTHER[..6] {
            if let Err(error) = client.batch_execute(sql) {
                wrong.push(format!("{damage}, {sql}: {error:?}"));
            }
            client.batch_execute("ROLLBACK TO damaged").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn names_what_is_damaged(error: &postgres::error::DbError) -> bool {
    let named = ["\"spring\"", "\"hurt\"", "\"tuned\""];
    error.code().code() == "XX001" && named.iter().any(|name| error.message().contains(name))
}

#[test]
fn a_forecast_asks_no_model_that_has_no_say_in_it() {
    let database = with_two_models();
    let mut client = database.connect();
    let quantity = |client: &mut Client, model: &str| {
        let params = r#"{"epochs": 1, "exclude": ["purchased"]}"#;
        Training::new(model).label("sales_4w").params(params).call(client);
    };
    let forecast = "SELECT sum(probability), sum(units) FROM reco.forecast_products('r1', 'launch')";
    let no_units = rows(&mut client, forecast);
    quantity(&mut client, "units");
    let units = rows(&mut client, forecast);
    assert_ne!(units, no_units);
    let without_weights = |model: &str| {
        format!(
            "DELETE FROM reco.artifact_chunk WHERE artifact_id IN (SELECT artifact_id FROM reco.version WHERE model = '{model}')"
        )
    };
    // Another model of probabilities, whatever of it is damaged.
    for damage in [
        without_weights("hurt"),
        "UPDATE reco.version SET keys = '{NULL}', data = '7' WHERE model = 'hurt'".into(),
        "UPDATE reco.alias SET version = 99 WHERE model = 'hurt'".into(),
        // What the model of units predicts is known from its weights then.
        "UPDATE reco.version SET data = '{\"task\": 7}' WHERE model = 'units'".into(),
    ] {
        let mut client = database.connect();
        client.batch_execute(&format!("BEGIN; {damage}")).unwrap();
        assert_eq!(rows(&mut client, forecast), units, "{damage}");
    }
    // Without weights there are no units, as is said; who names the model is refused.
    let mut fresh = database.connect();
    fresh.batch_execute(&format!("BEGIN; {}", without_weights("units"))).unwrap();
    assert_eq!(rows(&mut fresh, forecast), no_units);
    let error = refusal(&mut fresh, "SELECT * FROM reco.forecast_products('r1', 'launch', 'units')");
    error.expect("XX001", &["version 1 of model \"units\""], &["check_setup"]);
}
