//! What is kept from call to call when statements fail: scans, plans, versions. The server has pg_stat_statements and
//! auto_explain preloaded, as production servers have.

use integration::query::backend_pid;
use integration::{refusal, value, Cluster, Database, Training};
use postgres::Client;

/// Postgres says in its log what was left open, or closed twice.
#[track_caller]
pub fn assert_nothing_leaked() {
    let log = Cluster::shared().log();
    let bad = |line: &&str| line.contains(" leak: ") || line.contains("not owned by resource owner");
    let lines: Vec<&str> = log.lines().filter(bad).collect();
    assert!(lines.is_empty(), "{lines:?}");
}

pub fn score(client: &mut Client, product: i32) -> Option<f64> {
    value(client, &format!("SELECT reco.recommend({product}, 'r2', 'launch')"))
}

#[test]
fn a_statement_that_fails_leaves_no_scan_behind() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE FUNCTION in_a_loop(n int) RETURNS float8 LANGUAGE plpgsql AS $$
             DECLARE total float8 := 0;
             BEGIN
                 FOR p IN 1..n LOOP
                     total := total + reco.recommend(p, 'r1', 'launch');
                     BEGIN
                         PERFORM reco.recommend(q::bigint, 'r2', 'launch'), 1 / (p % 4) FROM generate_series(1, 3) AS q;
                     EXCEPTION WHEN division_by_zero THEN
                         total := total + reco.recommend(p + 1, 'r3', 'launch');
                     END;
                 END LOOP;
                 RETURN total;
             END $$",
        )
        .unwrap();
    let expected = (1..=8).map(|p| score(&mut client, p)).collect::<Vec<_>>();
    let total: f64 = value(&mut client, "SELECT in_a_loop(10)");
    for round in 0..60 {
        let failing = [
            format!("SELECT reco.recommend(p::bigint, 'r2', 'launch'), 1 / ({} - p) FROM generate_series(1, 5) AS p", round % 5 + 1),
            format!("SELECT reco.recommend(p::bigint, 'r2', 'launch'), in_a_loop(3), 1 / ({} - p) FROM generate_series(1, 5) AS p", round % 5 + 1),
            "DO $$ BEGIN PERFORM reco.recommend(3, 'r2', 'launch'); PERFORM in_a_loop(5) / 0; END $$".into(),
            "SELECT in_a_loop(p) / (2 - p) FROM generate_series(1, 3) AS p".into(),
        ];
        for statement in &failing {
            refusal(&mut client, statement).expect("22012", &["division by zero"], &[]);
        }
        client
            .batch_execute(
                "BEGIN;
                 DECLARE c CURSOR FOR SELECT reco.recommend(p::bigint, 'r2', 'launch'), 1 / (4 - p) FROM generate_series(1, 6) AS p;
                 FETCH 2 FROM c; SAVEPOINT s",
            )
            .unwrap();
        refusal(&mut client, "FETCH 4 FROM c").expect("22012", &[], &[]);
        client.batch_execute("ROLLBACK TO s; SELECT in_a_loop(3); ROLLBACK").unwrap();
        assert_eq!(value::<f64>(&mut client, "SELECT in_a_loop(10)"), total);
        let scores: Vec<Option<f64>> = client
            .query("SELECT reco.recommend(p::bigint, 'r2', 'launch') FROM generate_series(1, 8) AS p", &[])
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(scores, expected);
    }
    assert_nothing_leaked();
}

#[test]
fn an_error_passes_as_it_was_raised() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "SELECT reco.recommend(7, 'r2', 'launch');
             CREATE TABLE named (n int CONSTRAINT only_once PRIMARY KEY);
             INSERT INTO named VALUES (1);
             CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO named VALUES (1); RETURN 1; END $$",
        )
        .unwrap();
    let error = client.batch_execute("SELECT reco.recommend(7, 'r2', 'launch'), fails()").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.constraint(), error.table()), (Some("only_once"), Some("named")), "{error:?}");
    assert!(error.where_().is_some_and(|lines| lines.contains("function fails() line 1")), "{error:?}");
}

#[test]
fn errors_beneath_our_own_callbacks_end_the_statement_only() {
    let mut client = Database::trained().connect();
    Training::new("numeric").source("numeric_features").call(&mut client);
    client
        .batch_execute(
            "CREATE OR REPLACE VIEW numeric_features AS SELECT product_id, region, week, price, sales_1w,
                    households / (households - households) AS households, clicks, purchased FROM launch_features",
        )
        .unwrap();
    for _ in 0..3 {
        for statement in [
            "SELECT * FROM reco.top_products('r1', 5, 'numeric')",
            "SELECT reco.recommend(7, 'r1', 'numeric')",
            "SELECT * FROM reco.evaluate('numeric', 'numeric_features', 'purchased')",
            "SELECT reco.trailing_weeks(NULL, week, (1 / (product_id - product_id))::int) OVER (ORDER BY week) FROM launch_features",
        ] {
            let error = refusal(&mut client, statement);
            assert_eq!(error.code, "22012", "{statement}: {error:?}");
        }
        assert!(score(&mut client, 7).is_some());
    }
    assert_nothing_leaked();
}

#[test]
fn what_a_subtransaction_did_is_forgotten_with_it() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param("\"seed\": 7").call(&mut client);
    client.batch_execute("DROP VIEW numeric_features").unwrap();
    let first = score(&mut client, 7);
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        for (change, other) in [
            ("PERFORM reco.promote('launch', 2)", true),
            ("ALTER TABLE launch_features ALTER COLUMN price TYPE float8 USING 1", true),
            ("ALTER TABLE launch_features DROP CONSTRAINT launch_features_pkey; CREATE INDEX made_there ON launch_features (region, product_id, week)", false),
            ("DELETE FROM launch_features WHERE product_id = 7", true),
        ] {
            let change = change.split("; ").map(|step| match step.starts_with("PERFORM") {
                true => format!("{step};"),
                false => format!("EXECUTE '{step}';"),
            });
            let sql = format!(
                "BEGIN ISOLATION LEVEL {isolation};
                 DO $$
                 DECLARE seen float8[] := '{{}}'; queried float8;
                 BEGIN
                     FOR round IN 1..4 LOOP
                         BEGIN
                             IF round = 2 THEN {} END IF;
                             seen := seen || reco.recommend(7, 'r2', 'launch');
                             SELECT reco.recommend(7, 'r2', 'launch') INTO queried;
                             ASSERT queried IS NOT DISTINCT FROM seen[round];
                             RAISE 'undo';
                         EXCEPTION WHEN raise_exception THEN NULL;
                         END;
                     END LOOP;
                     PERFORM set_config('test.seen', array_to_string(seen, ',', 'none'), false);
                 END $$;
                 COMMIT",
                change.collect::<String>()
            );
            client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let seen: String = value(&mut client, "SELECT current_setting('test.seen')");
            let seen: Vec<Option<f64>> = seen.split(',').map(|text| text.parse().ok()).collect();
            assert_eq!([seen[0], seen[2], seen[3]], [first; 3], "{isolation}: {sql}");
            assert_eq!(seen[1] != first, other, "{isolation}: {sql}");
        }
    }
    assert_nothing_leaked();
}

#[test]
fn a_grant_that_was_rolled_back_is_not_remembered() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute("CREATE ROLE rolled_back; GRANT USAGE ON SCHEMA reco TO rolled_back; GRANT SELECT ON launch_features TO rolled_back; GRANT rolled_back TO CURRENT_USER")
        .unwrap();
    client
        .batch_execute(
            "DO $$
             DECLARE answers text := '';
             BEGIN
                 FOR round IN 1..3 LOOP
                     BEGIN
                         IF round = 2 THEN PERFORM reco.grant_model('launch', 'rolled_back', 'score'); END IF;
                         answers := answers || reco.has_model_privilege('launch', 'score', 'rolled_back') || ' ';
                         RAISE 'undo';
                     EXCEPTION WHEN raise_exception THEN NULL;
                     END;
                 END LOOP;
                 ASSERT answers = 'false true false ', answers;
             END $$",
        )
        .unwrap();
    client.batch_execute("SET ROLE rolled_back").unwrap();
    refusal(&mut client, "SELECT reco.recommend(7, 'r2', 'launch')").expect("42501", &["launch"], &[]);
}

#[test]
fn a_materialized_view_that_was_never_filled_is_an_error() {
    let mut client = Database::with_data().connect();
    client.batch_execute("CREATE MATERIALIZED VIEW stored AS SELECT * FROM launch_features; CREATE UNIQUE INDEX ON stored (product_id, region, week)").unwrap();
    Training::new("launch").source("stored").call(&mut client);
    assert!(score(&mut client, 7).is_some());
    client.batch_execute("REFRESH MATERIALIZED VIEW stored WITH NO DATA").unwrap();
    for statement in
        ["SELECT reco.recommend(7, 'r2', 'launch')", "SELECT * FROM reco.top_products('r2', 3, 'launch')"]
    {
        refusal(&mut client, statement).expect("55000", &["stored", "not been populated"], &["REFRESH"]);
    }
    client.batch_execute("REFRESH MATERIALIZED VIEW stored").unwrap();
    assert!(score(&mut client, 7).is_some());
}

#[test]
fn a_statement_that_alters_what_it_reads_gets_an_error_or_an_answer() {
    let mut client = Database::trained().connect();
    client
        .batch_execute(
            "DROP VIEW numeric_features;
             CREATE FUNCTION alters(step int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                 IF step = 2 THEN ALTER TABLE launch_features DROP CONSTRAINT launch_features_pkey; END IF;
                 RETURN step;
             END $$",
        )
        .unwrap();
    let pid = backend_pid(&mut client);
    let statement =
        "SELECT reco.recommend(p::bigint, 'r2', 'launch'), alters(p) FROM generate_series(1, 4) AS p";
    refusal(&mut client, statement).expect("55006", &["launch_features"], &[]);
    client
        .batch_execute(
            "SELECT alters(p), reco.recommend(p::bigint, 'r2', 'launch') FROM generate_series(2, 4) AS p",
        )
        .unwrap();
    assert_eq!(backend_pid(&mut client), pid);
    assert_nothing_leaked();
}
