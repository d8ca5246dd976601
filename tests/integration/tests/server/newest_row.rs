//! Which row of a key is recommended from, whatever the table's indexes and storage.

use integration::{rows, value, Database, Training};
use postgres::Client;

/// Keys where `recommend` differs from the score of the newest row that plain SQL finds.
fn differences(client: &mut Client, model: &str, source: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM generate_series(1, 61) AS p, generate_series(0, 4) AS r
         WHERE reco.recommend(p::bigint, 'r' || r, '{model}') IS DISTINCT FROM
               (SELECT reco.predict('{model}', f) FROM {source} AS f
                WHERE product_id = p AND region = 'r' || r AND week IS NOT NULL ORDER BY week DESC LIMIT 1)"
    );
    value(client, &sql)
}

/// The same with a date in the middle.
fn differences_as_of(client: &mut Client, model: &str, source: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM generate_series(1, 61) AS p, generate_series(0, 4) AS r
         WHERE reco.recommend(p::bigint, 'r' || r, '{model}', '2024-03-14') IS DISTINCT FROM
               (SELECT reco.predict('{model}', f) FROM {source} AS f
                WHERE product_id = p AND region = 'r' || r AND week <= '2024-03-14' ORDER BY week DESC LIMIT 1)"
    );
    value(client, &sql)
}

#[track_caller]
fn assert_same(client: &mut Client, model: &str, source: &str, when: &str) {
    assert_eq!(differences(client, model, source), 0, "{when}");
    assert_eq!(differences_as_of(client, model, source), 0, "{when}, as of a date");
}

#[test]
fn the_indexes_do_not_matter() {
    let mut client = Database::with_data().connect();
    client.batch_execute("CREATE TABLE indexed AS SELECT * FROM launch_features").unwrap();
    Training::new("indexed").source("indexed").call(&mut client);
    for index in [
        "",
        "CREATE UNIQUE INDEX i ON indexed (product_id, region, week)",
        "CREATE UNIQUE INDEX i ON indexed (week, region, product_id)",
        "CREATE INDEX i ON indexed (region, product_id, week DESC)",
        "CREATE INDEX i ON indexed (product_id, region, week DESC NULLS LAST)",
        "CREATE INDEX i ON indexed (product_id, region, week ASC NULLS FIRST)",
        "CREATE INDEX i ON indexed (product_id, region)",
        "CREATE INDEX i ON indexed (product_id)",
        "CREATE INDEX i ON indexed USING hash (product_id)",
        "CREATE INDEX i ON indexed (product_id, region, week) WHERE region <> 'r1'",
        "CREATE INDEX i ON indexed (product_id, region, (week + 1))",
        "CREATE INDEX i ON indexed (product_id, region COLLATE \"POSIX\", week)",
        "CREATE INDEX i ON indexed (product_id, region text_pattern_ops, week)",
        "CREATE INDEX i ON indexed (product_id, region, week) INCLUDE (price)",
        "CREATE INDEX i ON indexed (product_id, region, price, week)",
    ] {
        client.batch_execute(&format!("DROP INDEX IF EXISTS i; {index}")).unwrap();
        assert_same(&mut client, "indexed", "indexed", index);
    }
}

#[test]
fn rows_without_a_time_are_passed_over() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE undated AS SELECT * FROM launch_features;
             CREATE UNIQUE INDEX ON undated (product_id, region, week);
             INSERT INTO undated (product_id, region, week, price) SELECT p, 'r1', NULL, 99 FROM generate_series(1, 61) AS p",
        )
        .unwrap();
    Training::new("undated").source("undated").call(&mut client);
    assert_same(&mut client, "undated", "undated", "with NULLs");
}

#[test]
fn changes_are_seen_and_forgotten_with_their_transaction() {
    let mut client = Database::trained().connect();
    assert_same(&mut client, "launch", "launch_features", "at first");
    for change in [
        "UPDATE launch_features SET price = price + 5, sales_1w = 0 WHERE week = '2024-06-17'",
        "DELETE FROM launch_features WHERE week >= '2024-06-01' AND product_id % 2 = 0",
        "DELETE FROM launch_features WHERE product_id = 7",
        "UPDATE launch_features SET week = week - 2000 WHERE week = '2024-06-17'",
        "INSERT INTO launch_features (product_id, region, week) SELECT p, 'r4', '2025-01-06' FROM generate_series(1, 61) AS p",
        "TRUNCATE launch_features",
    ] {
        client.batch_execute(&format!("BEGIN; {change}")).unwrap();
        assert_same(&mut client, "launch", "launch_features", change);
        client.batch_execute("ROLLBACK").unwrap();
        assert_same(&mut client, "launch", "launch_features", "after the rollback");
        if !change.starts_with("TRUNCATE") {
            client.batch_execute(change).unwrap();
            assert_same(&mut client, "launch", "launch_features", change);
        }
    }
}

#[test]
fn maintenance_does_not_matter() {
    let mut client = Database::trained().connect();
    assert_same(&mut client, "launch", "launch_features", "at first");
    for work in [
        "UPDATE launch_features SET clicks = clicks + 1; UPDATE launch_features SET clicks = clicks - 1",
        "VACUUM launch_features",
        "REINDEX TABLE launch_features",
        "VACUUM FULL launch_features",
        "CLUSTER launch_features USING launch_features_pkey",
        "ALTER TABLE launch_features DROP CONSTRAINT launch_features_pkey",
        "CREATE UNIQUE INDEX other ON launch_features (region, product_id, week)",
        "ALTER TABLE launch_features ADD PRIMARY KEY (product_id, region, week)",
        "ALTER TABLE launch_features RENAME CONSTRAINT launch_features_pkey TO renamed",
        "DROP VIEW numeric_features; ALTER TABLE launch_features ALTER COLUMN product_id TYPE integer",
        "ALTER TABLE launch_features ALTER COLUMN region TYPE varchar(10)",
    ] {
        for statement in work.split("; ") {
            client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        assert_same(&mut client, "launch", "launch_features", work);
    }
}

#[test]
fn rows_of_inheriting_tables_count() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE TABLE family (LIKE launch_features INCLUDING ALL);
             CREATE TABLE child (PRIMARY KEY (product_id, region, week)) INHERITS (family);
             INSERT INTO family SELECT * FROM launch_features WHERE week < '2024-05-01' OR product_id > 30;
             INSERT INTO child SELECT * FROM launch_features WHERE NOT (week < '2024-05-01' OR product_id > 30)",
        )
        .unwrap();
    Training::new("family").source("family").call(&mut client);
    assert_same(&mut client, "family", "family", "with a child");
    client.batch_execute("ALTER TABLE child NO INHERIT family").unwrap();
    assert_same(&mut client, "family", "family", "without it");
    client.batch_execute("ALTER TABLE child INHERIT family").unwrap();
    assert_same(&mut client, "family", "family", "with it again");
}

#[test]
fn a_column_added_with_a_default_is_read_from_old_rows_too() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "ALTER TABLE launch_features ADD COLUMN season text DEFAULT 'summer', ADD COLUMN margin numeric DEFAULT 0.3;
             UPDATE launch_features SET season = 'winter', margin = 0.1 WHERE chance('season' || product_id || week) < 0.5",
        )
        .unwrap();
    Training::new("launch").call(&mut client);
    let inputs = "SELECT 1 FROM reco.versions, jsonb_array_elements(recipe -> 'columns') AS c WHERE c ->> 'name' IN ('season', 'margin')";
    assert_eq!(rows(&mut client, inputs).len(), 2);
    assert_same(&mut client, "launch", "launch_features", "with defaults");
}

#[test]
fn a_view_over_the_table_and_a_materialized_view_answer_too() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE VIEW seen AS SELECT * FROM launch_features WHERE region <> 'r3';
             CREATE MATERIALIZED VIEW stored AS SELECT * FROM launch_features WHERE region <> 'r2'",
        )
        .unwrap();
    for source in ["seen", "stored"] {
        Training::new(source).source(source).call(&mut client);
        assert_same(&mut client, source, source, source);
    }
    client
        .batch_execute(
            "DELETE FROM launch_features WHERE week > '2024-06-01'; REFRESH MATERIALIZED VIEW stored",
        )
        .unwrap();
    for source in ["seen", "stored"] {
        assert_same(&mut client, source, source, "after the refresh");
    }
}

#[test]
fn icu_regions_whose_collation_ignores_case_are_compared_by_it() {
    let mut client = Database::with_data().connect();
    client
        .batch_execute(
            "CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE folded AS SELECT * FROM launch_features;
             ALTER TABLE folded ALTER COLUMN region TYPE text COLLATE ignore_case;
             ALTER TABLE folded ADD PRIMARY KEY (product_id, region, week)",
        )
        .unwrap();
    Training::new("folded").source("folded").call(&mut client);
    let same = "SELECT reco.recommend(1, 'R1') = reco.recommend(1, 'r1')";
    assert_eq!(value::<Option<bool>>(&mut client, same), Some(true));
}
