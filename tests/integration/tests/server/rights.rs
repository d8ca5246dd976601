//! Rows are read with the caller's rights, weights with the extension's.

use super::support::{artifact, champion, sum_of_scores, versions};
use integration::{refusal, rows, value, Database, Training, Tuning};
use postgres::Client;

/// A role that may use the schema, and its session.
fn role(database: &Database, name: &str) -> Client {
    let sql = format!("CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA reco TO {name}");
    database.connect().batch_execute(&sql).unwrap();
    database.connect_as(name)
}

#[test]
fn without_select_on_the_source_nobody_trains_from_it_or_recommends() {
    let database = Database::trained();
    let mut client = role(&database, "without_select");
    Training::new("mine").refused(&mut client).expect(
        "42501",
        &["permission denied", "launch_features"],
        &[],
    );
    assert!(versions(&mut client, "mine").is_empty());
    database.connect().batch_execute("SELECT reco.grant_model('launch', 'without_select', 'score')").unwrap();
    let error = refusal(&mut client, "SELECT reco.recommend(1, 'r1')");
    error.expect("42501", &["permission denied", "launch_features"], &[]);
}

#[test]
fn select_on_some_columns_is_not_enough_but_on_the_used_ones_is() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let mut client = role(&database, "some_columns");
    let grant = "GRANT SELECT (product_id, region, week, price, sales_1w, purchased) ON launch_features TO some_columns";
    admin.batch_execute(grant).unwrap();
    Training::new("mine").refused(&mut client).expect("42501", &["permission denied"], &[]);
    let others = r#""exclude": ["sales_4w", "households", "weeks_since_launch", "clicks", "on_promotion", "category", "size",
                                "launched_on", "updated_at", "history", "ranks"]"#;
    Training::new("mine").param(others).call(&mut client);
    assert!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(1, 'r1')").is_some());
}

#[test]
fn row_security_holds_for_training_and_recommending() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let mut client = role(&database, "one_region");
    admin
        .batch_execute(
            "GRANT SELECT ON launch_features TO one_region;
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_region ON launch_features TO one_region USING (region = 'r0')",
        )
        .unwrap();
    Training::new("mine").call(&mut client);
    assert_eq!(value::<i64>(&mut client, "SELECT (data ->> 'rows')::bigint FROM reco.versions"), 1500);
    assert!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(1, 'r0')").is_some());
    assert_eq!(value::<Option<f64>>(&mut client, "SELECT reco.recommend(1, 'r1')"), None);
    assert!(value::<Option<f64>>(&mut admin, "SELECT reco.recommend(1, 'r1', 'mine')").is_some());

    // Also where one session changes its role between two statements.
    let by_role = "SELECT reco.recommend(1, 'r1', 'mine')";
    assert!(value::<Option<f64>>(&mut admin, by_role).is_some());
    admin.batch_execute("SET ROLE one_region").unwrap();
    assert_eq!(value::<Option<f64>>(&mut admin, by_role), None);
    admin.batch_execute("RESET ROLE").unwrap();
    assert!(value::<Option<f64>>(&mut admin, by_role).is_some());
}

#[test]
fn an_expression_in_a_loop_has_the_rights_of_the_moment() {
    let database = Database::trained();
    let mut admin = database.connect();
    role(&database, "sees_one_region");
    role(&database, "sees_nothing");
    admin
        .batch_execute(
            "GRANT SELECT ON launch_features TO sees_one_region;
             SELECT reco.grant_model('launch', 'public', 'score');
             ALTER TABLE launch_features ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_region ON launch_features TO sees_one_region USING (region = 'r0');
             CREATE FUNCTION as_roles(roles text[]) RETURNS float8[] LANGUAGE plpgsql AS $$
             DECLARE score float8; scores float8[];
             BEGIN
                 FOR i IN 1..cardinality(roles) LOOP
                     PERFORM set_config('role', roles[i], true);
                     score := reco.recommend(1::bigint, 'r1');
                     scores := scores || score;
                 END LOOP;
                 RETURN scores;
             END $$",
        )
        .unwrap();
    let scores = "SELECT as_roles('{none,sees_one_region,none}')";
    let scores: Vec<Option<f64>> = value(&mut admin, scores);
    assert!(scores[0].is_some() && scores[1].is_none() && scores[2] == scores[0], "{scores:?}");
    refusal(&mut admin, "SELECT as_roles('{none,sees_nothing}')").expect(
        "42501",
        &["permission denied"],
        &[],
    );
}

#[test]
fn only_the_owner_and_its_members_train_further_versions() {
    let database = Database::trained();
    let mut admin = database.connect();
    let mut owner = role(&database, "owner_of_a_model");
    let mut member = role(&database, "model_member");
    let mut stranger = role(&database, "model_stranger");
    admin
        .batch_execute(
            "GRANT owner_of_a_model TO model_member;
             GRANT SELECT ON launch_features TO owner_of_a_model, model_member, model_stranger",
        )
        .unwrap();
    Training::new("theirs").call(&mut owner);
    Training::new("theirs").call(&mut member);
    let refused = Training::new("theirs").with("promote => true").refused(&mut stranger);
    refused.expect("42501", &["permission denied", "\"theirs\""], &["owner"]);
    Training::new("launch").refused(&mut stranger).expect("42501", &["\"launch\""], &[]);
    Training::new("theirs").call(&mut admin);
    assert_eq!(versions(&mut member, "theirs"), [1, 2, 3]);
    assert_eq!(champion(&mut member, "theirs"), Some(1));
    assert!(versions(&mut stranger, "theirs").is_empty());
    let by = rows(&mut admin, "SELECT trained_by FROM reco.versions WHERE model = 'theirs' ORDER BY version");
    assert_eq!(by, ["(owner_of_a_model)", "(model_member)", "(postgres)"]);
    assert_eq!(
        rows(&mut admin, "SELECT owner FROM reco.models WHERE model = 'theirs'"),
        ["(owner_of_a_model)"]
    );
}

#[test]
fn predicting_needs_no_right_to_the_weights_and_gives_none() {
    let database = Database::trained();
    let mut admin = database.connect();
    let mut client = role(&database, "only_predicts");
    admin
        .batch_execute(
            "GRANT SELECT ON launch_features TO only_predicts;
             SELECT reco.grant_model('launch', 'only_predicts', 'score')",
        )
        .unwrap();
    assert_eq!(sum_of_scores(&mut client, "launch"), sum_of_scores(&mut admin, "launch"));
    for table in TABLES {
        let sql = format!("SELECT * FROM reco.{table}");
        refusal(&mut client, &sql).expect("42501", &["permission denied"], &[]);
        for change in [format!("DELETE FROM reco.{table}"), format!("TRUNCATE reco.{table} CASCADE")] {
            refusal(&mut client, &change).expect("42501", &["permission denied"], &[]);
        }
    }
    for view in VIEWS {
        client.batch_execute(&format!("SELECT * FROM reco.{view}")).unwrap();
        let error = refusal(&mut client, &format!("DELETE FROM reco.{view}"));
        assert!(
            error.message.starts_with("permission denied") || error.message.starts_with("cannot delete"),
            "{error:?}"
        );
    }
}

/// The tables and the views of the catalog.
const TABLES: [&str; 10] = [
    "model",
    "version",
    "artifact",
    "alias",
    "tune",
    "run",
    "run_metric",
    "model_privilege",
    "audit_event",
    "promotion",
];
const VIEWS: [&str; 12] = [
    "models",
    "versions",
    "aliases",
    "runs",
    "run_metrics",
    "run_candidates",
    "training_progress",
    "tunes",
    "trials",
    "model_privileges",
    "audit",
    "promotions",
];

const PLANTED: &str = "
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.planted() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted code ran'; END $$;
DO $$
DECLARE pair text; op text;
BEGIN
    FOREACH pair IN ARRAY ARRAY['text', 'name', 'uuid', 'bigint', 'integer', 'oid', 'smallint', 'date', 'boolean'] LOOP
        EXECUTE format('CREATE FUNCTION hostile.yes(%1$s, %1$s) RETURNS boolean LANGUAGE sql AS $f$ SELECT hostile.planted() $f$', pair);
        FOREACH op IN ARRAY ARRAY['=', '<', '<=', '>', '>=', '<>'] LOOP
            EXECUTE format('CREATE OPERATOR hostile.%s (FUNCTION = hostile.yes, LEFTARG = %2$s, RIGHTARG = %2$s)', op, pair);
        END LOOP;
    END LOOP;
END $$;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT hostile.planted()::text::timestamptz $$;
CREATE FUNCTION hostile.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT hostile.planted()::text::timestamptz $$;
CREATE FUNCTION hostile.gen_random_uuid() RETURNS uuid LANGUAGE sql AS $$ SELECT hostile.planted()::text::uuid $$;
CREATE FUNCTION hostile.pg_advisory_lock(bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT hostile.planted() $$;
CREATE FUNCTION hostile.quote_ident(name) RETURNS text LANGUAGE sql AS $$ SELECT hostile.planted()::text $$;
CREATE FUNCTION hostile.unnest(anyarray) RETURNS SETOF text LANGUAGE sql AS $$ SELECT hostile.planted()::text $$;
CREATE FUNCTION hostile.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT hostile.planted()::int::bigint $$;
CREATE FUNCTION hostile.max_step(integer, integer) RETURNS integer LANGUAGE sql AS $$ SELECT hostile.planted()::int $$;
CREATE AGGREGATE hostile.max(integer) (SFUNC = hostile.max_step, STYPE = integer, INITCOND = '0');
CREATE FUNCTION hostile.pg_index() RETURNS boolean LANGUAGE sql AS $$ SELECT hostile.planted() $$;
CREATE TABLE hostile.pg_index (); CREATE TABLE hostile.pg_attribute (); CREATE TABLE hostile.pg_database ();
CREATE TABLE hostile.model (); CREATE TABLE hostile.version (); CREATE TABLE hostile.artifact ();
CREATE TABLE hostile.alias (); CREATE TABLE hostile.run (); CREATE TABLE hostile.run_metric ();
CREATE TABLE hostile.tune (); CREATE TABLE hostile.model_privilege (); CREATE TABLE hostile.audit_event ();
CREATE TABLE hostile.promotion (); CREATE TABLE hostile.pg_roles ();
CREATE FUNCTION hostile.has_model_privilege(text, text, name DEFAULT NULL) RETURNS boolean LANGUAGE sql
AS $$ SELECT hostile.planted() $$;
CREATE FUNCTION hostile.pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS $$ SELECT hostile.planted() $$;
CREATE FUNCTION hostile.jsonb_build_object(VARIADIC text[]) RETURNS jsonb LANGUAGE sql
AS $$ SELECT hostile.planted()::text::jsonb $$;
";

#[test]
fn what_is_planted_earlier_in_the_search_path_is_not_used() {
    let database = Database::trained();
    let mut honest = database.connect();
    honest.batch_execute(PLANTED).unwrap();
    let expected: f64 = value(&mut honest, "SELECT reco.recommend(1, 'r1')");
    let measured = "SELECT * FROM reco.evaluate('launch', 'public.launch_features', by => 'week', from_week => '2024-02-01', version => 1)";
    let metrics = rows(&mut honest, measured);
    let mut client = database.connect();
    client.batch_execute("SET search_path = hostile, pg_catalog, public").unwrap();
    let planted = refusal(&mut client, "SELECT 'a'::text = 'b'::text");
    planted.expect("P0001", &["planted code ran"], &[]);

    Training::new("launch").source("public.launch_features").call(&mut client);
    assert!(artifact(&mut honest, "launch", 1) == artifact(&mut honest, "launch", 2));
    assert_eq!(
        rows(&mut honest, "SELECT source FROM reco.versions WHERE version = 2"),
        ["(public.launch_features)"]
    );
    assert_eq!(value::<f64>(&mut client, "SELECT reco.recommend(1, 'r1')"), expected);
    assert_eq!(value::<f64>(&mut client, "SELECT reco.recommend(1, 'r1', as_of => '2024-06-20')"), expected);
    assert_eq!(rows(&mut client, measured), metrics);
    for view in VIEWS {
        client.batch_execute(&format!("SELECT * FROM reco.{view}")).unwrap();
    }
    let changes = "
        SELECT reco.grant_model('launch', 'public', 'manage');
        SELECT reco.promote('launch', 2, 'a test'); SELECT reco.rollback('launch');
        SELECT reco.set_alias('launch', 'challenger', 2); SELECT reco.drop_alias('launch', 'challenger');
        SELECT reco.describe_model('launch', 'a test'); SELECT reco.model_card('launch'), reco.model_card_text('launch');
        SELECT reco.import_model('copy', reco.export_model('launch'), 'public.launch_features', promote => true);
        SELECT reco.archive_version('launch', 2); SELECT * FROM reco.leaderboard('launch');
        SELECT reco.set_model_owner('launch', 'pg_monitor'); SELECT reco.revoke_model('launch', 'public', 'manage');
        SELECT reco.has_model_privilege('launch', 'score', 'pg_monitor'); SELECT reco.drop_model('copy', force => true)";
    for change in changes.split(';') {
        client.batch_execute(change).unwrap_or_else(|error| panic!("{change}: {error:?}"));
    }
    assert_eq!(value::<f64>(&mut honest, "SELECT reco.recommend(1, 'r1', 'launch')"), expected);
    Training::new("launch").source("public.launch_features").label("nothing").refused(&mut client);
    Training::new("theirs").source("public.launch_features").param(r#""epochs": 1"#).call(&mut client);
    Tuning::new("tuned").source("public.launch_features").trials(3).call(&mut client);
}
