//! Privileges on models: what each allows, in every function and view.

use integration::{rows, value, Database, Training};
use postgres::Client;
use std::sync::Once;

/// Makes roles that may use the schema and log in.
pub fn create_roles(admin: &mut Client, names: &[&str]) {
    for name in names {
        let sql = format!(
            "CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA reco TO {name}; GRANT SELECT ON launch_features TO {name}"
        );
        admin.batch_execute(&sql).unwrap();
    }
}

/// What every privilege allows: the statement, and the least privilege that it needs. The model `m` predicts a quantity, `b` a
/// probability, with the A/B tests `ab`, which runs, and `keyed`, which is over; `n` is like `b` without them.
const MATRIX: &[(&str, &str)] = &[
    ("SELECT reco.predict('m', f) FROM numbers AS f LIMIT 1", "score"),
    ("SELECT reco.predict('m', ARRAY[1, 2, 3]::real[])", "score"),
    ("SELECT reco.predict_quantiles('m', f) FROM numbers AS f LIMIT 1", "score"),
    ("SELECT reco.recommend(1, 'r1', 'm')", "score"),
    ("SELECT reco.recommend(1, 'r1', model => 'm', as_of => '2024-05-01')", "score"),
    ("SELECT reco.recommend_plans(1, 'r1', '{NULL}', 'p')", "score"),
    ("SELECT reco.plan_seen(1, 'r1', '{\"price\": 2}', 'p')", "score"),
    ("SELECT reco.plan_effect(1, 'r1', '{\"price\": 2}', 'p')", "score"),
    ("SELECT reco.recommend_plans('p1'::text, 'r1', '{NULL}', 't')", "score"),
    ("SELECT reco.plan_seen('p1'::text, 'r1', '{\"price\": 2}', 't')", "score"),
    ("SELECT reco.plan_effect('p1'::text, 'r1', '{\"price\": 2}', 't')", "score"),
    ("SELECT reco.explain_row('m', f) FROM numbers AS f LIMIT 1", "score"),
    ("SELECT reco.explain(1, 'r1', 'm')", "score"),
    ("SELECT reco.similar_launches(1, 'r1', model => 'm')", "score"),
    ("SELECT reco.top_products('r1', 3, 'm')", "score"),
    ("SELECT reco.top_regions(1, 3, 'm')", "score"),
    ("SELECT reco.forecast('r1', 'b', 'm')", "score"),
    ("SELECT reco.forecast_products('r1', 'b', 'm')", "score"),
    ("SELECT reco.recommend(t, 'r1', 't') FROM unnest(ARRAY['p1']) AS t", "score"),
    ("SELECT reco.recommend('p1'::text, 'r1', model => 't', as_of => '2024-05-01')", "score"),
    ("SELECT reco.explain('p1'::text, 'r1', 't')", "score"),
    ("SELECT reco.similar_launches('p1'::text, 'r1', model => 't')", "score"),
    ("SELECT reco.top_regions('p1'::text, 3, 't')", "score"),
    ("SELECT reco.evaluate('m', 'numbers')", "score"),
    ("SELECT reco.roc_curve('b', 'numbers')", "score"),
    ("SELECT reco.confusion_matrix('b', 'numbers')", "score"),
    ("SELECT reco.calibration('b', 'numbers')", "score"),
    ("SELECT reco.lift('b', 'numbers')", "score"),
    ("SELECT reco.log_recommendations(ARRAY[1, 2], ARRAY['r1', 'r2'], 'b')", "score"),
    ("SELECT reco.log_recommendations(ARRAY['1', '2'], ARRAY['r1', 'r2'], 'b')", "score"),
    ("SELECT reco.ab_arm('ab', 1, 'r1')", "score"),
    ("SELECT reco.ab_arm('ab', '1', 'r1')", "score"),
    ("SELECT reco.ab_arm('keyed', 'anna')", "score"),
    ("SELECT reco.ab_report('ab')", "score"),
    (
        r#"SELECT reco.start_ab_test('new', 'n', '[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]')"#,
        "manage",
    ),
    ("SELECT reco.stop_ab_test('ab')", "manage"),
    ("CALL reco.train('m', 'numbers', 'sold', params => '{\"epochs\": 1}')", "train"),
    ("CALL reco.tune('m', 'numbers', 'sold', trials => 1, params => '{\"epochs\": 1}')", "train"),
    ("CALL reco.train('m', 'numbers', 'sold', params => '{\"epochs\": 1}', promote => true)", "manage"),
    (
        "CALL reco.tune('m', 'numbers', 'sold', trials => 1, params => '{\"epochs\": 1}', promote => true)",
        "manage",
    ),
    ("SELECT reco.promote('m', 1)", "manage"),
    ("SELECT reco.rollback('m')", "manage"),
    ("SELECT reco.promote_if_better('m', 1)", "manage"),
    ("CALL reco.retrain('m')", "train"),
    ("SELECT reco.schedule_retraining('m', '0 4 * * *')", "train"),
    ("SELECT reco.schedule_monitoring('m', '0 4 * * *')", "train"),
    ("CALL reco.monitor('m', from_week => '2024-06-10')", "train"),
    ("SELECT reco.set_monitoring('m', NULL)", "manage"),
    ("SELECT reco.set_alias('m', 'challenger', 1)", "manage"),
    ("SELECT reco.set_alias('m', 'champion', 1)", "manage"),
    ("SELECT reco.drop_alias('m', 'champion')", "manage"),
    ("SELECT reco.grant_model('m', 'matrix_none', 'score')", "manage"),
    ("SELECT reco.revoke_model('m', 'matrix_score', 'score')", "manage"),
    ("SELECT reco.set_model_owner('m', current_user)", "manage"),
    ("SELECT reco.model_card('m')", "score"),
    ("SELECT reco.model_card_text('m', 1)", "score"),
    ("SELECT reco.report('m')", "score"),
    ("SELECT reco.calibrate('b', 1, 'unseen')", "train"),
    ("SELECT reco.import_model('m', (SELECT body FROM artifact))", "train"),
    ("SELECT reco.import_model('m', (SELECT body FROM artifact), promote => true)", "manage"),
    ("SELECT reco.import_onnx('m', (SELECT onnx FROM artifact))", "train"),
    ("SELECT reco.import_onnx('m', (SELECT onnx FROM artifact), promote => true)", "manage"),
    ("SELECT reco.export_model('m')", "manage"),
    ("SELECT reco.export_model('m', 1, 'onnx')", "manage"),
    ("SELECT reco.describe_model('m', 'a purpose')", "manage"),
    ("SELECT reco.archive_version('m', 1)", "manage"),
    ("SELECT reco.drop_model('m', force => true)", "manage"),
];

/// The models of the matrix; every role has the same privilege on each.
const MODELS: [&str; 5] = ["m", "b", "n", "t", "p"];

/// The least privilege that each role has on them.
const ROLES: &[(&str, Option<&str>)] = &[
    ("postgres", Some("manage")),
    ("matrix_owner", Some("manage")),
    ("matrix_member", Some("manage")),
    ("matrix_score", Some("score")),
    ("matrix_train", Some("train")),
    ("matrix_manage", Some("manage")),
    ("matrix_of_group", Some("train")),
    ("matrix_none", None),
    ("matrix_other", None),
];

fn rank(privilege: &str) -> usize {
    ["score", "train", "manage"].iter().position(|name| *name == privilege).unwrap()
}

/// The models of the matrix, which `matrix_owner` owns, `m` with two versions of which the second is the champion, and the
/// roles.
fn matrix() -> Database {
    let database = Database::with_data();
    let mut admin = database.connect();
    let names: Vec<&str> = ROLES.iter().map(|(name, _)| *name).filter(|name| *name != "postgres").collect();
    // They are the server's, and several tests make the model.
    static MADE: Once = Once::new();
    MADE.call_once(|| {
        create_roles(&mut admin, &names);
        let memberships = "CREATE ROLE matrix_group; GRANT matrix_group TO matrix_of_group; GRANT matrix_owner TO matrix_member";
        admin.batch_execute(memberships).unwrap();
    });
    admin
        .batch_execute(&format!(
            "GRANT USAGE ON SCHEMA reco TO {0}; GRANT SELECT ON launch_features TO {0};
             CREATE TABLE numbers AS SELECT product_id, region, week, price, households, clicks, sales_1w AS sold,
                                            sales_1w > 8 AS bought
             FROM launch_features;
             SELECT reco.create_feature_view(view, 'SELECT ' || key || ' AS product_id, region, week, price, clicks, bought
                                                    FROM numbers WHERE week BETWEEN $1 AND $2',
                        '{{product_id,region}}', planned => '{{price}}', available => 'SELECT min(week), max(week) + 7 FROM numbers')
             FROM (VALUES ('texts', '''p'' || product_id'), ('plans', 'product_id')) AS v (view, key);
             CALL reco.refresh_features('texts'); CALL reco.refresh_features('plans');
             GRANT SELECT ON numbers, texts, plans TO {0}",
            names.join(", ")
        ))
        .unwrap();
    let mut owner = database.connect_as("matrix_owner");
    let train = Training::new("m").source("numbers").label("sold").param(r#""exclude": ["bought"]"#);
    train.call(&mut owner);
    train.with("promote => true").call(&mut owner);
    let brief = |model: &str| Training::new(model).label("bought").param(r#""epochs": 1"#);
    for model in ["b", "n"] {
        let train = brief(model).source("numbers").param(r#""exclude": ["sold"]"#);
        train.call(&mut owner);
        train.param(r#""seed": 7"#).call(&mut owner);
    }
    brief("t").source("texts").call(&mut owner);
    brief("p").source("plans").call(&mut owner);
    for model in MODELS {
        let grants = [("score", "score"), ("train", "train"), ("manage", "manage"), ("group", "train")];
        for (role, privilege) in grants {
            owner
                .batch_execute(&format!("SELECT reco.grant_model('{model}', 'matrix_{role}', '{privilege}')"))
                .unwrap();
        }
    }
    let arms = r#"[{"arm": "a", "version": 1, "share": 0.5}, {"arm": "b", "version": 2, "share": 0.5}]"#;
    owner
        .batch_execute(&format!(
            "SELECT reco.start_ab_test('keyed', 'b', '{arms}', unit => 'key'); SELECT reco.stop_ab_test('keyed');
             SELECT reco.start_ab_test('ab', 'b', '{arms}')"
        ))
        .unwrap();
    admin
        .batch_execute(
            "CREATE TABLE artifact AS SELECT body, reco.export_model('b', 1, 'onnx') AS onnx FROM reco.artifact_chunk JOIN reco.version USING (artifact_id)
                                      WHERE model = 'm' AND version = 1;
             CREATE TABLE unseen AS SELECT * FROM numbers;
             GRANT SELECT ON artifact, unseen TO PUBLIC",
        )
        .unwrap();
    let mut other = database.connect_as("matrix_other");
    Training::new("others").source("numbers").label("sold").call(&mut other);
    database
}

#[track_caller]
fn allowed(client: &mut Client, role: &str, sql: &str, is_allowed: bool) {
    client.batch_execute("BEGIN").unwrap();
    let result = client.batch_execute(sql);
    client.batch_execute("ROLLBACK").unwrap();
    match result {
        Ok(()) => assert!(is_allowed, "{role} must not: {sql}"),
        Err(error) => {
            assert!(!is_allowed, "{role}: {sql}\n{error:?}");
            let refusal = integration::refusal::Refusal::of(&error);
            refusal.expect("42501", &["permission denied"], &["reco.grant_model"]);
            assert!(
                MODELS.iter().any(|model| refusal.message.contains(&format!("\"{model}\""))),
                "{refusal:?}"
            );
        }
    }
}

#[test]
fn every_function_as_every_kind_of_role() {
    let database = matrix();
    for (role, has) in ROLES {
        let mut client = database.connect_as(role);
        for (sql, needs) in MATRIX {
            let is_allowed = has.is_some_and(|has| rank(has) >= rank(needs));
            allowed(&mut client, role, sql, is_allowed);
        }
        for privilege in ["score", "train", "manage"] {
            let expected = has.is_some_and(|has| rank(has) >= rank(privilege));
            let of_role = format!("SELECT reco.has_model_privilege('m', '{privilege}', '{role}')");
            let own = format!("SELECT reco.has_model_privilege('m', '{privilege}')");
            assert_eq!(value::<bool>(&mut client, &of_role), expected, "{role} {privilege}");
            assert_eq!(value::<bool>(&mut client, &own), expected, "{role} {privilege}");
        }
    }
    // What is granted to public, everybody has.
    for model in MODELS {
        database
            .connect()
            .batch_execute(&format!("SELECT reco.grant_model('{model}', 'public', 'score')"))
            .unwrap();
    }
    for (role, has) in ROLES {
        let mut client = database.connect_as(role);
        for (sql, needs) in MATRIX.iter().filter(|(sql, _)| sql.starts_with("SELECT")) {
            allowed(&mut client, role, sql, rank(has.unwrap_or("score")) >= rank(needs));
        }
    }
}

/// Those that ask a privilege of nobody: what they show is filtered by views, or is no secret. And one that runs in no
/// transaction block, so that it has a test of its own, in `wait_for`.
const NOT_HERE: [&str; 3] = ["leaderboard", "has_model_privilege", "wait_for"];

#[test]
fn every_function_that_takes_a_model_is_in_the_matrix() {
    let database = matrix();
    let mut client = database.connect();
    // Postgres counts the functions that it calls, each overload by itself, but not those in SQL that it writes out in the
    // query: it leaves be those with a setting.
    client
        .batch_execute(
            "SET track_functions = 'all'; CREATE TABLE called (funcid oid);
             DO $$ DECLARE f regprocedure; BEGIN
                 FOR f IN SELECT p.oid FROM pg_proc AS p JOIN pg_language AS l ON l.oid = prolang
                          WHERE pronamespace = 'reco'::regnamespace AND lanname = 'sql'
                 LOOP EXECUTE format('ALTER FUNCTION %s SET work_mem = 65536', f); END LOOP;
             END $$",
        )
        .unwrap();
    for (sql, _) in MATRIX {
        client.batch_execute(&format!("BEGIN; {sql}")).unwrap();
        let called = "SELECT array_agg(funcid) FROM pg_stat_xact_user_functions WHERE schemaname = 'reco'";
        let called: Option<Vec<u32>> = value(&mut client, called);
        client.batch_execute("ROLLBACK").unwrap();
        let called = called.unwrap_or_default();
        client.execute("INSERT INTO called SELECT unnest($1::oid[])", &[&called]).unwrap();
    }
    let sql = format!(
        "SELECT p.oid::regprocedure FROM pg_proc AS p
         WHERE p.pronamespace = 'reco'::regnamespace
           AND (p.proname ~ '(^|_)ab_' OR EXISTS (
                SELECT FROM unnest(p.proargnames, p.proargmodes) AS a (name, mode)
                WHERE a.name ~ '(^|_)(model|test)$' AND coalesce(a.mode, 'i') IN ('i', 'b')))
           AND p.proname <> ALL ('{{{}}}') AND p.oid NOT IN (SELECT funcid FROM called)
         ORDER BY 1",
        NOT_HERE.join(",")
    );
    assert!(rows(&mut client, &sql).is_empty(), "not in the matrix: {:?}", rows(&mut client, &sql));
}

#[test]
fn a_role_sees_of_a_model_what_its_privilege_allows() {
    let database = matrix();
    let of_m = |view: &str| format!("SELECT count(*) FROM reco.{view} WHERE model = 'm'");
    for (role, has) in ROLES {
        let mut client = database.connect_as(role);
        let mut count = |view: &str| value::<i64>(&mut client, &of_m(view));
        let scores = i64::from(has.is_some());
        let trains = i64::from(has.is_some_and(|has| rank(has) >= rank("train")));
        let manages = i64::from(*has == Some("manage"));
        assert_eq!(count("models"), scores, "{role}");
        assert_eq!(count("versions"), 2 * scores, "{role}");
        assert_eq!(count("aliases"), scores, "{role}");
        assert_eq!(count("promotions"), 2 * scores, "{role}");
        assert_eq!(count("runs"), 2 * trains, "{role}");
        assert_eq!(count("run_metrics"), 24 * trains, "{role}");
        assert_eq!(count("audit"), 8 * scores, "{role}");
        let own_grant = i64::from(["matrix_score", "matrix_train", "matrix_of_group"].contains(role));
        assert_eq!(count("model_privileges"), if manages == 1 { 4 } else { own_grant }, "{role}");
        let hidden =
            "SELECT count(*) FROM reco.versions WHERE model = 'm' AND recipe IS NULL AND parameters IS NULL
                      AND data IS NULL AND NOT metrics ?| '{importance,by}'";
        assert_eq!(value::<i64>(&mut client, hidden), 2 * (scores - trains), "{role}");
    }
    let mut other = database.connect_as("matrix_other");
    assert_eq!(rows(&mut other, "SELECT model, status FROM reco.runs"), ["(others,succeeded)"]);
    assert_eq!(rows(&mut other, "SELECT model FROM reco.models"), ["(others)"]);
}

#[test]
fn a_condition_of_the_reader_runs_after_the_views() {
    let database = matrix();
    let mut client = database.connect_as("matrix_other");
    client
        .batch_execute(
            "CREATE TEMP TABLE peeked (what text);
             CREATE FUNCTION pg_temp.peek(what text) RETURNS boolean LANGUAGE plpgsql COST 0.000001
             AS $$ BEGIN INSERT INTO peeked VALUES (what); RETURN true; END $$",
        )
        .unwrap();
    for view in ["models", "versions", "aliases", "runs", "run_metrics", "promotions", "audit"] {
        client
            .batch_execute(&format!("SELECT count(*) FROM reco.{view} AS v WHERE pg_temp.peek(v.model)"))
            .unwrap();
    }
    assert_eq!(rows(&mut client, "SELECT DISTINCT what FROM peeked"), ["(others)"]);
}
