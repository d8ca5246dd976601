//! What is kept from call to call when tables, views and row types change under it: readers, scans and plans are made anew,
//! or the statement is to be repeated.

use super::memory_safety::{assert_nothing_leaked, score};
use super::support::wait_for_lock;
use super::views::{create, refresh};
use integration::training::Background;
use integration::{refusal, rows, value, Database, Training};

/// What another session does to the tables while a statement waits for them: `hold` takes locks, and `then` is done before
/// they are given back.
fn meanwhile(database: &Database, hold: &str, statement: &str, then: &str) -> Result<(), postgres::Error> {
    after(database, "", hold, statement, then)
}

/// The same in a session that has done something `before`.
fn after(
    database: &Database,
    before: &str,
    hold: &str,
    statement: &str,
    then: &str,
) -> Result<(), postgres::Error> {
    let (mut other, mut observer, mut client) = (database.connect(), database.connect(), database.connect());
    client.batch_execute(before).unwrap();
    other.batch_execute(&format!("BEGIN; {hold}")).unwrap();
    let waiting = Background::start(client, statement);
    wait_for_lock(&mut observer, waiting.backend);
    other.batch_execute(&format!("{then}; COMMIT")).unwrap_or_else(|error| panic!("{then}: {error:?}"));
    waiting.finish().result
}

/// Refuses a NULL, and where a statement is to be repeated says so.
fn score_or_again(result: &Result<(), postgres::Error>, when: &str) {
    if let Err(error) = result {
        let error = error.as_db_error().unwrap_or_else(|| panic!("{when}: {error:?}"));
        assert_eq!(error.code().code(), "40001", "{when}: {error:?}");
    }
}

const NOT_NULL: &str = "DO $$ BEGIN
    ASSERT reco.recommend(7, 'r2', 'launch') IS NOT NULL;
END $$";
const QUERY_NOT_NULL: &str = "DO $$ DECLARE score float8; BEGIN
    SELECT reco.recommend(7, 'r2', 'launch') INTO score;
    ASSERT score IS NOT NULL;
END $$";

#[test]
fn a_column_that_becomes_an_address_is_refused_by_a_training() {
    let database = Database::trained();
    let mut setup = database.connect();
    setup.batch_execute("DROP VIEW numeric_features").unwrap();
    let (mut other, mut observer) = (database.connect(), database.connect());
    // The types are looked up; there it waits, with the alteration behind it and before the reading.
    other.batch_execute("BEGIN; LOCK TABLE reco.run IN EXCLUSIVE MODE").unwrap();
    let training = Background::start(database.connect(), &Training::new("launch").sql());
    wait_for_lock(&mut observer, training.backend);
    let alteration = Background::start(
        database.connect(),
        "ALTER TABLE launch_features ALTER COLUMN category TYPE bigint USING 81985529216486895",
    );
    wait_for_lock(&mut observer, alteration.backend);
    other.batch_execute("COMMIT").unwrap();
    let error = training.finish().refusal();
    alteration.finish().result.unwrap();
    error.expect("40001", &["launch_features"], &["call again"]);
    let runs = "SELECT status FROM reco.runs ORDER BY started_at DESC LIMIT 1";
    assert_eq!(rows(&mut setup, runs), ["(failed)"]);
    Training::new("launch").call(&mut setup);
}

#[test]
fn a_source_that_is_another_relation_by_now_is_not_read_with_old_readers() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "DROP VIEW numeric_features;
             CREATE SCHEMA here; CREATE SCHEMA there;
             CREATE TABLE here.f AS SELECT * FROM launch_features;
             CREATE TABLE there.f AS SELECT * FROM launch_features;
             ALTER TABLE there.f ALTER COLUMN category TYPE bigint USING 81985529216486895",
        )
        .unwrap();
    let result = meanwhile(
        &database,
        "LOCK TABLE reco.run IN EXCLUSIVE MODE",
        &Training::new("other").source("here.f").sql(),
        "ALTER SCHEMA here RENAME TO away; ALTER SCHEMA there RENAME TO here",
    );
    score_or_again(&result, "renamed");
    assert!(result.is_err());
}

#[test]
fn a_row_type_that_was_altered_is_looked_up_again() {
    let mut client = Database::trained().connect();
    Training::new("numeric").source("numeric_features").call(&mut client);
    client
        .batch_execute(
            "DROP VIEW numeric_features;
             CREATE TABLE kept AS SELECT * FROM launch_features WHERE week = '2024-06-17';
             CREATE FUNCTION total() RETURNS float8 LANGUAGE plpgsql AS $$
             DECLARE result float8; BEGIN
                 SELECT sum(reco.predict('numeric', k) ORDER BY product_id, region) INTO result FROM kept AS k;
                 RETURN result;
             END $$;
             CREATE FUNCTION one() RETURNS float8 LANGUAGE plpgsql AS $$
             DECLARE r kept; result float8; BEGIN
                 FOR round IN 1..2 LOOP
                     SELECT * INTO r FROM kept WHERE product_id = 7 AND region = 'r2';
                     result := reco.predict('numeric', r);
                     IF round = 1 THEN
                         EXECUTE 'ALTER TABLE kept DROP COLUMN size, ALTER COLUMN clicks TYPE numeric, ADD COLUMN more text DEFAULT repeat(''x'', 100)';
                     END IF;
                 END LOOP;
                 RETURN result;
             END $$;
             PREPARE scores AS SELECT sum(reco.predict('numeric', k) ORDER BY product_id, region) FROM kept AS k",
        )
        .unwrap();
    let total: f64 = value(&mut client, "SELECT total()");
    for change in [
        "ALTER TABLE kept ALTER COLUMN price TYPE float8",
        "ALTER TABLE kept DROP COLUMN category",
        "ALTER TABLE kept ALTER COLUMN households TYPE bigint, ALTER COLUMN sales_1w TYPE numeric",
        "ALTER TABLE kept ADD COLUMN late text DEFAULT 'x'",
    ] {
        client.batch_execute(change).unwrap();
        assert!((value::<f64>(&mut client, "SELECT total()") - total).abs() < 1e-4, "{change}");
        let prepared: f64 = client
            .simple_query("EXECUTE scores")
            .unwrap()
            .iter()
            .find_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => row.get(0).and_then(|text| text.parse().ok()),
                _ => None,
            })
            .unwrap();
        assert!((prepared - total).abs() < 1e-4, "{change}");
    }
    let before: f64 = value(
        &mut client,
        "SELECT reco.predict('numeric', k) FROM kept AS k WHERE product_id = 7 AND region = 'r2'",
    );
    let after: f64 = value(&mut client, "SELECT one()");
    assert!((before - after).abs() < 1e-4);
}

/// One statement, whose rows come of a text: the second is made after the type was altered. What happened while it waited
/// is heard of with the first lock on a table.
const ROWS_OF_TWO_TIMES: &str = "
CREATE TABLE news (n integer);
CREATE TABLE few AS SELECT product_id, region, week, price, sales_1w, purchased FROM launch_features;
CREATE TYPE made AS (product_id bigint, region text, week date, price real, sales_1w real);
CREATE FUNCTION words(i integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    IF i = 2 THEN PERFORM pg_advisory_lock(7); PERFORM n FROM news; END IF;
    RETURN '(1,r1,2024-02-26,9,3)';
END $$;
CREATE FUNCTION scores(times integer) RETURNS float8 LANGUAGE sql AS $$
    SELECT sum(reco.predict('few', words(i)::made)) FROM generate_series(1, times) AS i $$;
CREATE FUNCTION found(times integer) RETURNS float8 LANGUAGE sql AS $$
    SELECT sum(f.quantity + f.product_id) FROM generate_series(1, times) AS i, LATERAL reco.features_as_of(NULL::demand, words(i)::made) AS f $$";

#[test]
fn a_row_of_a_type_that_was_altered_meanwhile_is_not_read_as_one_of_before() {
    for (function, change) in [
        ("scores", "ALTER ATTRIBUTE price TYPE numeric"),
        ("scores", "ALTER ATTRIBUTE sales_1w TYPE bigint, ALTER ATTRIBUTE price TYPE float8"),
        ("scores", "ALTER ATTRIBUTE product_id TYPE integer, ALTER ATTRIBUTE price TYPE bigint"),
        ("found", "ALTER ATTRIBUTE product_id TYPE integer"),
        ("found", "ALTER ATTRIBUTE region TYPE varchar, ALTER ATTRIBUTE product_id TYPE numeric"),
    ] {
        let database = Database::with_data();
        let (mut client, mut other, mut observer) =
            (database.connect(), database.connect(), database.connect());
        create(&mut client, "");
        refresh(&mut client, "'demand'");
        client.batch_execute(ROWS_OF_TWO_TIMES).unwrap();
        let keys = "keys => '{product_id,region}', time_column => 'week'";
        Training::new("few").source("few").with(keys).call(&mut client);
        let once: f64 = value(&mut client, &format!("SELECT {function}(1)"));
        other.batch_execute("SELECT pg_advisory_lock(7)").unwrap();
        let statement = format!("DO $$ BEGIN ASSERT abs({function}(2) - 2 * {once}) < 1e-6; END $$");
        let waiting = Background::start(client, &statement);
        wait_for_lock(&mut observer, waiting.backend);
        // The lock is given back after the change is there.
        other.batch_execute(&format!("ALTER TYPE made {change}")).unwrap();
        other.batch_execute("SELECT pg_advisory_unlock(7)").unwrap();
        score_or_again(&waiting.finish().result, &format!("{function} after {change}"));
    }
}

#[test]
fn what_changes_no_column_disturbs_no_row() {
    let database = Database::trained();
    // It waits within the row that is scored, so that the row is made before and its type looked up after.
    let score = "SELECT pg_advisory_xact_lock(1) IS NULL, reco.predict('launch', f) FROM launch_features AS f LIMIT 1";
    for then in [
        "CREATE INDEX ON launch_features (week)",
        "GRANT SELECT ON launch_features TO pg_monitor",
        "INSERT INTO launch_features (product_id, region, week) VALUES (-1, 'r1', '2024-01-01'); ANALYZE launch_features",
        "ALTER TABLE launch_features SET (fillfactor = 90)",
    ] {
        let result = meanwhile(&database, "SELECT pg_advisory_xact_lock(1)", score, then);
        assert!(result.is_ok(), "{then}: {result:?}");
    }
}

#[test]
fn a_rewritten_table_is_seen_or_asked_for_again() {
    for (before, kind) in [("", "first"), ("SELECT reco.recommend(7, 'r2', 'launch')", "again")] {
        for statement in [NOT_NULL, QUERY_NOT_NULL] {
            for change in [
                "ALTER TABLE launch_features ALTER COLUMN households TYPE bigint",
                "CREATE TABLE copy (LIKE launch_features INCLUDING ALL); INSERT INTO copy SELECT * FROM launch_features;
                 DROP TABLE launch_features; ALTER TABLE copy RENAME TO launch_features",
                "CLUSTER launch_features USING launch_features_pkey",
                "REINDEX TABLE launch_features",
                "ALTER TABLE launch_features DROP CONSTRAINT launch_features_pkey",
                "ALTER TABLE launch_features DROP CONSTRAINT launch_features_pkey, ALTER COLUMN households TYPE bigint",
            ] {
                let database = Database::trained();
                database.connect().batch_execute("DROP VIEW numeric_features").unwrap();
                let hold = "LOCK TABLE launch_features IN ACCESS EXCLUSIVE MODE";
                let when = format!("{kind}: {statement} after {change}");
                let result = after(&database, before, hold, statement, change);
                score_or_again(&result, &when);
                assert!(score(&mut database.connect(), 7).is_some(), "{when}");
            }
        }
    }
    assert_nothing_leaked();
}

#[test]
fn a_view_over_a_rewritten_table_is_seen_or_asked_for_again() {
    for before in ["", "SELECT reco.recommend(7, 'r2', 'seen')"] {
        let database = Database::trained();
        let mut client = database.connect();
        client
            .batch_execute(
                "DROP VIEW numeric_features;
                 CREATE TABLE prices AS SELECT product_id, region, week, price FROM launch_features;
                 CREATE VIEW seen AS SELECT f.product_id, f.region, f.week, p.price, f.sales_1w, f.purchased
                 FROM launch_features AS f LEFT JOIN prices AS p USING (product_id, region, week)",
            )
            .unwrap();
        Training::new("seen").source("seen").call(&mut client);
        let expected: f64 = value(&mut client, "SELECT reco.recommend(7, 'r2', 'seen')");
        let statement = format!(
            "DO $$ DECLARE score float8; BEGIN
                SELECT reco.recommend(7, 'r2', 'seen') INTO score;
                ASSERT score = {expected:?}, score;
            END $$"
        );
        let result = after(
            &database,
            before,
            "LOCK TABLE prices IN ACCESS EXCLUSIVE MODE",
            &statement,
            // A column that the view does not read may be altered.
            "ALTER TABLE prices ADD COLUMN made timestamptz DEFAULT clock_timestamp()",
        );
        score_or_again(&result, "a view");
    }
}

#[test]
fn partitions_that_change_while_a_key_waits_for_them() {
    let partitioned = "
        DROP VIEW numeric_features;
        CREATE TABLE parted (LIKE launch_features) PARTITION BY RANGE (week);
        CREATE TABLE parted_1 PARTITION OF parted (PRIMARY KEY (product_id, region, week)) FOR VALUES FROM ('2024-01-01') TO ('2024-04-01');
        CREATE TABLE parted_2 PARTITION OF parted (PRIMARY KEY (product_id, region, week)) FOR VALUES FROM ('2024-04-01') TO ('2024-05-01');
        CREATE TABLE parted_3 PARTITION OF parted (PRIMARY KEY (product_id, region, week)) FOR VALUES FROM ('2024-05-01') TO ('2025-01-01');
        INSERT INTO parted SELECT * FROM launch_features";
    let plain = "DO $$ DECLARE expected float8; BEGIN
            EXECUTE 'SELECT reco.predict(''parted'', f) FROM parted AS f WHERE product_id = 7 AND region = ''r2'' ORDER BY week DESC LIMIT 1' INTO expected;
            ASSERT reco.recommend(7, 'r2', 'parted') = expected;
        END $$";
    for (hold, change) in [
        ("LOCK TABLE parted_3 IN ACCESS EXCLUSIVE MODE", "ALTER TABLE parted_3 DROP CONSTRAINT parted_3_pkey"),
        ("LOCK TABLE parted_3 IN ACCESS EXCLUSIVE MODE", "REINDEX TABLE parted_3"),
        ("LOCK TABLE parted_3 IN ACCESS EXCLUSIVE MODE", "CLUSTER parted_3 USING parted_3_pkey"),
        ("LOCK TABLE parted_3 IN ACCESS EXCLUSIVE MODE", "ALTER TABLE parted_3 ALTER COLUMN week SET NOT NULL, SET (fillfactor = 50)"),
        ("LOCK TABLE parted IN ACCESS EXCLUSIVE MODE", "ALTER TABLE parted DETACH PARTITION parted_3"),
        ("LOCK TABLE parted IN ACCESS EXCLUSIVE MODE", "DROP TABLE parted_3"),
        (
            "LOCK TABLE parted IN ACCESS EXCLUSIVE MODE",
            "CREATE TABLE made (LIKE parted_3 INCLUDING ALL); INSERT INTO made SELECT * FROM parted_3; DROP TABLE parted_3;
             ALTER TABLE parted ATTACH PARTITION made FOR VALUES FROM ('2024-05-01') TO ('2025-01-01')",
        ),
        ("LOCK TABLE parted IN ACCESS EXCLUSIVE MODE", "ALTER TABLE parted ALTER COLUMN households TYPE bigint"),
    ] {
        for (before, ask) in [
            ("", "reco.recommend(7, 'r2', 'parted')"),
            ("SELECT reco.recommend(7, 'r2', 'parted')", "reco.recommend(7, 'r2', 'parted')"),
            (
                // Without a generic plan nothing names the partitions.
                "SET plan_cache_mode = force_custom_plan",
                "(SELECT min(e.score) FROM reco.explain(7::bigint, 'r2', 'parted') AS e)",
            ),
        ] {
            let database = Database::trained();
            let mut client = database.connect();
            client.batch_execute(partitioned).unwrap();
            Training::new("parted").source("parted").call(&mut client);
            // One call alone, since a second statement has a newer snapshot.
            let statement = format!(
                "DO $$ DECLARE score float8; BEGIN
                    score := {ask};
                    PERFORM set_config('test.score', coalesce(score::text, 'none'), false);
                END $$"
            );
            let (mut other, mut observer, mut reader) = (database.connect(), database.connect(), database.connect());
            reader.batch_execute(before).unwrap();
            other.batch_execute(&format!("BEGIN; {hold}")).unwrap();
            let waiting = Background::start(reader, &statement);
            wait_for_lock(&mut observer, waiting.backend);
            other.batch_execute(&format!("{change}; COMMIT")).unwrap_or_else(|error| panic!("{change}: {error:?}"));
            let mut ended = waiting.finish();
            score_or_again(&ended.result, change);
            let now: Option<f64> = value(&mut client, "SELECT reco.predict('parted', f) FROM parted AS f WHERE product_id = 7 AND region = 'r2' ORDER BY week DESC LIMIT 1");
            if ended.result.is_ok() {
                let seen: String = value(&mut ended.client, "SELECT current_setting('test.score')");
                assert_eq!(seen.parse().ok(), now, "{change}");
            }
            ended.client.batch_execute(plain).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        }
    }
    assert_nothing_leaked();
}

#[track_caller]
fn assert_gone(error: &postgres::Error, name: &str, when: &str) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{when}: {error:?}"));
    assert_eq!(error.code().code(), "42P01", "{when}: {error:?}");
    assert!(error.message().contains(name), "{when}: {error:?}");
}

#[test]
fn a_relation_that_is_dropped_while_it_is_waited_for_does_not_exist() {
    for statement in [
        "SELECT * FROM reco.evaluate('launch', 'doomed', 'purchased')",
        "SELECT reco.roc_curve('launch', 'doomed', 'purchased')",
        "CALL reco.train('doomed', 'doomed', 'purchased')",
    ] {
        let database = Database::trained();
        let mut setup = database.connect();
        setup.batch_execute("CREATE TABLE doomed AS SELECT * FROM launch_features").unwrap();
        let hold = "LOCK TABLE doomed IN ACCESS EXCLUSIVE MODE";
        let error = meanwhile(&database, hold, statement, "DROP TABLE doomed").unwrap_err();
        assert_gone(&error, "doomed", statement);
    }
    for (before, statement, dropped) in [
        // Postgres looks the row type up before it calls the function, and an error of its own says that it is gone, unless it
        // knows it from before.
        (
            "SELECT reco.features_as_of(NULL::demand, s) FROM spine AS s",
            "SELECT reco.features_as_of(NULL::demand, s) FROM spine AS s",
            "demand",
        ),
        ("", "CALL reco.refresh_features('demand')", "demand"),
        // What the definition reads, which says so itself.
        ("", "CALL reco.refresh_features('demand')", "sold"),
    ] {
        let database = Database::with_data();
        let mut setup = database.connect();
        create(&mut setup, "");
        refresh(&mut setup, "'demand', to_week => '2024-02-19'");
        setup.batch_execute("CREATE TABLE spine AS SELECT 1::bigint AS product_id, 'r0' AS region, date '2024-02-26' AS day").unwrap();
        let hold = format!("LOCK TABLE {dropped} IN ACCESS EXCLUSIVE MODE");
        let when = format!("{before}; {statement} without {dropped}");
        let error =
            after(&database, before, &hold, statement, &format!("DROP TABLE {dropped}")).expect_err(&when);
        assert_gone(&error, dropped, &when);
    }
    let mut client = Database::trained().connect();
    let unknown = "SELECT * FROM reco.evaluate('launch', 4000000000::oid::regclass, 'purchased')";
    refusal(&mut client, unknown).expect("42P01", &["4000000000"], &[]);
    assert_nothing_leaked();
}
