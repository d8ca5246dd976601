//! Which version scores: one a statement, under the statement's snapshot.

use super::support::wait_for_lock;
use integration::{rows, value, Background, Database, Training};
use postgres::Client;

/// A database with two versions, the first of them champion, and their scores of one row.
fn two_versions() -> (Database, Client, [f64; 2]) {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""seed": 2"#).call(&mut client);
    client.batch_execute("CREATE TABLE one AS SELECT * FROM launch_features LIMIT 1").unwrap();
    let first = score(&mut client);
    client.batch_execute("BEGIN; UPDATE reco.alias SET version = 2").unwrap();
    let second = score(&mut client);
    client.batch_execute("ROLLBACK").unwrap();
    assert_ne!(first, second, "two versions that can be told apart");
    (database, client, [first, second])
}

fn score(client: &mut Client) -> f64 {
    value(client, "SELECT reco.predict('launch', o) FROM one AS o")
}

#[test]
fn a_promotion_obeys_rollback_and_commit() {
    let (database, mut client, [first, second]) = two_versions();
    let mut other = database.connect();
    assert_eq!(score(&mut other), first);
    client.batch_execute("BEGIN; UPDATE reco.alias SET version = 2").unwrap();
    assert_eq!((score(&mut client), score(&mut other)), (second, first));
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!((score(&mut client), score(&mut other)), (first, first));
    client.batch_execute("UPDATE reco.alias SET version = 2").unwrap();
    assert_eq!((score(&mut client), score(&mut other)), (second, second));
}

#[test]
fn a_kept_plan_sees_a_promotion() {
    let (_database, mut client, _) = two_versions();
    client.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
    // Constant arguments: a plan could hold the result.
    let constant = "SELECT reco.recommend(1, 'r1')";
    let row = "SELECT reco.predict('launch', o) FROM one AS o";
    let prepared = [constant, row].map(|sql| client.prepare(sql).unwrap());
    let scores = |client: &mut Client| {
        prepared.each_ref().map(|statement| client.query_one(statement, &[]).unwrap().get::<_, f64>(0))
    };
    let before = scores(&mut client);
    client.batch_execute("UPDATE reco.alias SET version = 2").unwrap();
    let after = scores(&mut client);
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} and {after:?}");
    client.batch_execute("UPDATE reco.alias SET version = 1").unwrap();
    assert_eq!(scores(&mut client), before);
}

#[test]
fn an_expression_in_a_loop_sees_the_promotions_between() {
    let (_database, mut client, [first, second]) = two_versions();
    client
        .batch_execute(
            "CREATE FUNCTION looped() RETURNS float8[] LANGUAGE plpgsql AS $$
             DECLARE row one; score float8; scores float8[];
             BEGIN
                 SELECT * INTO row FROM one;
                 FOR i IN 1..4 LOOP
                     score := reco.predict('launch', row);
                     scores := scores || score;
                     UPDATE reco.alias SET version = 3 - version;
                 END LOOP;
                 RETURN scores;
             END $$",
        )
        .unwrap();
    assert_eq!(value::<Vec<f64>>(&mut client, "SELECT looped()"), [first, second, first, second]);
}

#[test]
fn an_expression_in_a_loop_sees_that_a_promotion_was_undone() {
    let (_database, mut client, [first, second]) = two_versions();
    client
        .batch_execute(
            "CREATE FUNCTION undone() RETURNS float8[] LANGUAGE plpgsql AS $$
             DECLARE row one; score float8; scores float8[]; promoted boolean := false;
             BEGIN
                 SELECT * INTO row FROM one;
                 FOR i IN 1..3 LOOP
                     BEGIN
                         IF i = 2 THEN UPDATE reco.alias SET version = 2; END IF;
                         score := reco.predict('launch', row);
                         scores := scores || score;
                         IF i = 2 THEN RAISE EXCEPTION 'undo'; END IF;
                     EXCEPTION WHEN raise_exception THEN NULL;
                     END;
                 END LOOP;
                 RETURN scores;
             END $$",
        )
        .unwrap();
    assert_eq!(value::<Vec<f64>>(&mut client, "SELECT undone()"), [first, second, first]);
}

#[test]
fn another_sessions_promotion_is_seen_between_two_evaluations() {
    let (database, mut client, [first, second]) = two_versions();
    client
        .batch_execute(
            "CREATE TABLE seen (score float8);
             CREATE FUNCTION twice() RETURNS void LANGUAGE plpgsql AS $$
             DECLARE row one; score float8;
             BEGIN
                 SELECT * INTO row FROM one;
                 FOR i IN 1..2 LOOP
                     score := reco.predict('launch', row);
                     INSERT INTO seen VALUES (score);
                     PERFORM pg_advisory_lock(7);
                 END LOOP;
             END $$;
             SELECT pg_advisory_lock(7)",
        )
        .unwrap();
    let waiting = Background::start(database.connect(), "SELECT twice()");
    wait_for_lock(&mut client, waiting.backend);
    // Two calls: sent as one they would be one transaction, and the lock would go before the commit.
    client.batch_execute("UPDATE reco.alias SET version = 2").unwrap();
    client.batch_execute("SELECT pg_advisory_unlock(7)").unwrap();
    waiting.finish().result.unwrap();
    let seen: Vec<f64> = value(&mut client, "SELECT array_agg(score) FROM seen");
    assert_eq!(seen, [first, second]);
}

#[test]
fn one_statement_keeps_its_version() {
    let (database, mut client, [first, second]) = two_versions();
    client
        .batch_execute("CREATE TABLE seen (n int, a float8, b float8, c float8); SELECT pg_advisory_lock(7)")
        .unwrap();
    let sql = "INSERT INTO seen SELECT i, reco.predict('launch', o), \
                      CASE WHEN i = 2 AND pg_advisory_lock(7) IS NULL THEN 0 ELSE reco.predict('launch', o) END, \
                      reco.recommend(o.product_id, o.region, 'launch', o.week) \
               FROM generate_series(1, 4) AS i, one AS o";
    let waiting = Background::start(database.connect(), sql);
    wait_for_lock(&mut client, waiting.backend);
    client.batch_execute("UPDATE reco.alias SET version = 2").unwrap();
    assert_eq!(score(&mut client), second);
    client.batch_execute("SELECT pg_advisory_unlock(7)").unwrap();
    waiting.finish().result.unwrap();
    let distinct = "SELECT DISTINCT s FROM seen, LATERAL (VALUES (a), (b), (c)) AS v (s)";
    let found = client.query(distinct, &[]).unwrap();
    assert_eq!(found.len(), 1, "{:?}", rows(&mut client, "SELECT * FROM seen"));
    assert_eq!(found[0].get::<_, f64>(0), first);
}

#[test]
fn repeatable_read_keeps_its_version() {
    let (database, mut client, [first, second]) = two_versions();
    let mut other = database.connect();
    other.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").unwrap();
    assert_eq!(score(&mut other), first);
    client.batch_execute("UPDATE reco.alias SET version = 2").unwrap();
    assert_eq!(score(&mut other), first);
    other.batch_execute("COMMIT").unwrap();
    assert_eq!(score(&mut other), second);
}

#[test]
fn recommend_follows_a_promotion_to_another_source() {
    let database = Database::trained();
    let mut client = database.connect();
    let before: f64 = value(&mut client, "SELECT reco.recommend(1, 'r1')");
    client
        .batch_execute("CREATE VIEW first_weeks AS SELECT * FROM launch_features WHERE week < '2024-05-01'")
        .unwrap();
    Training::new("launch").source("first_weeks").with("promote => true").call(&mut client);
    let after: f64 = value(&mut client, "SELECT reco.recommend(1, 'r1')");
    let expected: f64 = value(
        &mut client,
        "SELECT reco.predict('launch', f) FROM first_weeks AS f WHERE (product_id, region) = (1, 'r1') \
         ORDER BY week DESC LIMIT 1",
    );
    assert_eq!(after, expected);
    assert_ne!(after, before);
}

#[test]
fn an_expression_in_a_loop_sees_the_default_model_of_the_moment() {
    let (_database, mut client, [first, second]) = two_versions();
    client
        .batch_execute(
            "CREATE TABLE other_features AS SELECT product_id, region, week, price, sales_1w, purchased FROM launch_features;
             ALTER TABLE other_features ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    assert_ne!(first, second);
    Training::new("other").source("other_features").call(&mut client);
    client
        .batch_execute(
            "CREATE FUNCTION defaults() RETURNS float8[] LANGUAGE plpgsql AS $$
             DECLARE score float8; scores float8[];
             BEGIN
                 FOR i IN 1..2 LOOP
                     PERFORM set_config('reco.default_model', (ARRAY['launch', 'other'])[i], true);
                     score := reco.recommend(1::bigint, 'r1');
                     scores := scores || score;
                 END LOOP;
                 RETURN scores;
             END $$",
        )
        .unwrap();
    let found: Vec<f64> = value(&mut client, "SELECT defaults()");
    let expected: Vec<f64> = value(
        &mut client,
        "SELECT ARRAY[reco.recommend(1, 'r1', 'launch'), reco.recommend(1, 'r1', 'other')]",
    );
    assert_eq!(found, expected);
}

#[test]
fn a_session_sees_what_an_alias_names_wherever_its_row_is_moved() {
    let (_database, mut client, [first, second]) = two_versions();
    let both = |client: &mut Client| {
        let sql = "SELECT ARRAY[reco.predict('launch', o), reco.predict('other', o)] FROM one AS o";
        value::<Vec<f64>>(client, sql)
    };
    client
        .batch_execute(
            "DO $$ BEGIN PERFORM reco.import_model('other', reco.export_model('launch', 2)); END $$;
             SELECT reco.promote('other', 1)",
        )
        .unwrap();
    assert_eq!(both(&mut client), [first, second]);
    // Each row to where the other was.
    client
        .batch_execute(
            "CREATE TEMPORARY TABLE kept AS SELECT * FROM reco.alias;
             TRUNCATE reco.alias;
             INSERT INTO reco.alias SELECT * FROM kept ORDER BY model DESC",
        )
        .unwrap();
    assert_eq!(both(&mut client), [first, second]);
    client.batch_execute("UPDATE reco.alias SET version = version").unwrap();
    client.batch_execute("VACUUM FULL reco.alias").unwrap();
    assert_eq!(both(&mut client), [first, second]);
    // The table ends before the place.
    client.batch_execute("DELETE FROM reco.alias").unwrap();
    client.batch_execute("VACUUM (TRUNCATE) reco.alias").unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT pg_relation_size('reco.alias')"), 0);
    let refused = client.batch_execute("SELECT reco.predict('launch', o) FROM one AS o").unwrap_err();
    let message = refused.as_db_error().unwrap().message().to_owned();
    assert!(message.contains("no champion"), "{message}");
}
