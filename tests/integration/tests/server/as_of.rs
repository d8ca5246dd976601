//! `reco.features_as_of`: the newest row of a feature view that was known at a moment.

use super::views::{create, creation, refresh};
use integration::{refusal, rows, value, wait_until, Cluster, Database};
use postgres::Client;

/// 400 moments around the ten weeks, some without a key or a time, some of keys that have no row.
const SPINE: &str = "
CREATE TABLE spine AS
SELECT n AS id, CASE WHEN n % 37 > 0 THEN (hashint4(n) & 7)::bigint END AS product_id,
       CASE WHEN n % 41 > 0 THEN 'r' || (hashint4(n + 1000) & 1) END AS region,
       CASE WHEN n % 43 > 0 THEN timestamp '2023-12-25' + (hashint4(n + 2000) & 127) * interval '19 hours 30 minutes' END AS at
FROM generate_series(1, 400) AS n;
-- The first and the last instant at which a row is the newest one.
INSERT INTO spine SELECT 1000 + n, 1, 'r0', timestamp '2024-01-08' + n * interval '7 days' FROM generate_series(0, 10) AS n;
INSERT INTO spine SELECT 2000 + n, 1, 'r0', timestamp '2024-01-08' + n * interval '7 days' - interval '1 microsecond'
FROM generate_series(0, 10) AS n;
ANALYZE spine";

/// A view, refreshed, and the spine.
fn prepare(client: &mut Client, options: &str) {
    create(client, options);
    refresh(client, "'demand'");
    client.batch_execute(SPINE).unwrap();
}

fn found(spine: &str, arguments: &str) -> String {
    format!("SELECT s.id, f.* FROM {spine} AS s, LATERAL reco.features_as_of(NULL::demand, s{arguments}) AS f ORDER BY 1")
}

/// The same in plain SQL; `age` is an interval or NULL.
fn expected(spine: &str, age: &str) -> String {
    format!(
        "SELECT s.id, f.* FROM {spine} AS s, LATERAL (
             SELECT d.* FROM demand AS d
             WHERE d.product_id = s.product_id AND d.region = s.region AND d.week + 7 <= s.at::timestamp
                   AND ({age}::interval IS NULL OR d.week + 7 >= s.at::timestamp - {age}::interval)
             ORDER BY d.week DESC LIMIT 1) AS f ORDER BY 1"
    )
}

#[track_caller]
fn assert_same(client: &mut Client, spine: &str, arguments: &str, age: &str) -> usize {
    let there = rows(client, &found(spine, arguments));
    assert_eq!(there, rows(client, &expected(spine, age)), "{spine}{arguments}");
    there.len()
}

#[test]
fn it_is_a_plain_join_with_the_newest_row_that_was_known() {
    let mut client = Database::with_data().connect();
    prepare(&mut client, ", partition_by => 'month'");
    client.batch_execute("SET timezone = 'America/New_York'").unwrap();
    for spine in [
        "spine",
        "(SELECT id, product_id, region, at::date AS at FROM spine)",
        "(SELECT id, at::timestamptz AS at, region, product_id FROM spine)",
        "(SELECT id, product_id::integer, region, at FROM spine)",
    ] {
        let all = assert_same(&mut client, spine, "", "NULL");
        assert!(all > 150, "{all} rows");
        let mut fewer = 0;
        for age in ["0 days", "6 days 12 hours", "20 days"] {
            let some = assert_same(&mut client, spine, &format!(", max_age => '{age}'"), &format!("'{age}'"));
            assert!(some > fewer && some < all, "{age}: {some}");
            fewer = some;
        }
    }
    // A Sunday's row is not known before the Monday.
    let newest = |client: &mut Client, at: &str| -> Option<String> {
        value(client, &format!("SELECT (SELECT f.week::text FROM reco.features_as_of(NULL::demand,
                  (SELECT s FROM (VALUES (1::bigint, 'r0', timestamp '{at}')) AS s (product_id, region, at))) AS f)"))
    };
    assert_eq!(newest(&mut client, "2024-01-07 23:59:59"), None);
    assert_eq!(newest(&mut client, "2024-01-08").as_deref(), Some("2024-01-01"));
    assert_eq!(newest(&mut client, "2024-01-14 23:59:59").as_deref(), Some("2024-01-01"));
    assert_eq!(newest(&mut client, "infinity").as_deref(), Some("2024-03-04"));
    assert_eq!(newest(&mut client, "-infinity"), None);
}

#[test]
fn the_moment_is_the_only_one_or_the_named_one() {
    let mut client = Database::with_data().connect();
    prepare(&mut client, "");
    let two = "(SELECT *, date '2024-02-01' AS other, at::text AS words FROM spine)";
    let error = refusal(&mut client, &found(two, ""));
    error.expect("22023", &["several dates and timestamps: at, other"], &["at => '…'"]);
    assert_same(&mut client, two, ", 'at'", "NULL");
    let other = rows(&mut client, &found(two, ", at => 'other'"));
    let expected = expected(
        "(SELECT *, date '2024-02-01' AS at FROM (SELECT id, product_id, region FROM spine) AS s)",
        "NULL",
    );
    assert_eq!(other, rows(&mut client, &expected));
    for (spine, arguments, code, message, hint) in [
        (
            two,
            ", at => 'words'",
            "42703",
            "no date or timestamp \"words\"",
            "Its columns are: id, product_id",
        ),
        (two, ", at => 'nothing'", "42703", "no date or timestamp \"nothing\"", "other"),
        (
            "(SELECT id, product_id, region FROM spine)",
            "",
            "42703",
            "the spine has no date or timestamp",
            "region",
        ),
        (
            "(SELECT id, product_id, at FROM spine)",
            "",
            "42703",
            "key column \"region\" is missing",
            "product_id",
        ),
        ("(SELECT id, product_id::text, region, at FROM spine)", "", "42883", "operator does not exist", ""),
    ] {
        let error = refusal(&mut client, &found(spine, arguments));
        error.expect(code, &[message], &[hint]);
    }
    let error = refusal(&mut client, "SELECT reco.features_as_of(NULL::spine, s) FROM spine AS s");
    error.expect("22023", &["public.spine is not a feature view"], &["reco.feature_views"]);
    let error = refusal(&mut client, "SELECT reco.features_as_of(1, s) FROM spine AS s");
    error.expect("22023", &["view must be a NULL of a feature view's row type"], &["NULL::launch_features"]);
    let nothing = "SELECT * FROM reco.features_as_of(NULL::demand, NULL::spine)";
    assert!(rows(&mut client, nothing).is_empty());
}

#[test]
fn it_can_be_called_wherever_a_set_can() {
    let mut client = Database::with_data().connect();
    prepare(&mut client, "");
    let expected = rows(&mut client, &expected("spine", "NULL"));
    for sql in [
        "SELECT id, (f).* FROM (SELECT id, reco.features_as_of(NULL::demand, s) AS f FROM spine AS s) AS q ORDER BY 1",
        "SELECT id, (f).* FROM (SELECT id, (SELECT f FROM reco.features_as_of(NULL::demand, s) AS f) AS f FROM spine AS s) AS q
         WHERE f IS NOT NULL OR NOT f IS NULL ORDER BY 1",
        "SELECT s.id, f.* FROM spine AS s LEFT JOIN LATERAL reco.features_as_of(NULL::demand, s) AS f ON true
         WHERE f.week IS NOT NULL ORDER BY 1",
    ] {
        assert_eq!(rows(&mut client, sql), expected, "{sql}");
    }
    client.batch_execute("BEGIN READ ONLY").unwrap();
    assert_eq!(rows(&mut client, &found("spine", "")), expected);
    assert!(!value::<bool>(&mut client, "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"));
    client.batch_execute("COMMIT").unwrap();
    // In a loop of PL/pgSQL each evaluation sees what was refreshed before it.
    client
        .batch_execute(
            "CREATE FUNCTION looped() RETURNS text[] LANGUAGE plpgsql AS $$
             DECLARE s spine; weeks text[]; found text;
             BEGIN
                 s := ROW(1, 1, 'r0', timestamp '2024-06-01')::spine;
                 FOR i IN 1..2 LOOP
                     SELECT f.week INTO found FROM reco.features_as_of(NULL::demand, s) AS f;
                     weeks := weeks || found;
                     INSERT INTO sold SELECT 1, 'r0', date '2024-03-11' + d, 1 FROM generate_series(0, 6) AS d;
                     CALL reco.refresh_features('demand');
                 END LOOP;
                 RETURN weeks;
             END $$",
        )
        .unwrap();
    assert_eq!(value::<Vec<String>>(&mut client, "SELECT looped()"), ["2024-03-04", "2024-03-11"]);
}

#[test]
fn it_runs_in_parallel_workers() {
    let mut client = Database::with_data().connect();
    prepare(&mut client, "");
    client
        .batch_execute("INSERT INTO spine SELECT s.* FROM spine AS s, generate_series(1, 20); ANALYZE spine")
        .unwrap();
    let sql = "SELECT sum(f.quantity) FROM spine AS s, LATERAL reco.features_as_of(NULL::demand, s) AS f";
    let serial: i64 = value(&mut client, sql);
    client
        .batch_execute(
            "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
             SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off",
        )
        .unwrap();
    let plan = client.query(&format!("EXPLAIN (ANALYZE) {sql}"), &[]).unwrap();
    let plan: String = plan.iter().map(|line| line.get::<_, String>(0) + "\n").collect();
    assert!(plan.contains("Workers Launched: 2"), "{plan}");
    assert_eq!(value::<i64>(&mut client, sql), serial);
}

#[test]
fn changes_to_the_views_table_are_followed() {
    let database = Database::with_data();
    let mut client = database.connect();
    prepare(&mut client, ", partition_by => 'month'");
    client.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
    let statement = "SELECT count(*), sum(f.quantity), max(f.week)::text, count(f.region)
                     FROM spine AS s, LATERAL reco.features_as_of(NULL::demand, s) AS f";
    let mut prepared = client.prepare(statement).unwrap();
    let plain = |client: &mut Client| {
        rows(
            client,
            &format!(
                "SELECT count(*), sum(quantity), max(week)::text, count(region) FROM ({}) AS f",
                expected("spine", "NULL")
            ),
        )
    };
    for change in [
        "SELECT 1",
        "CREATE INDEX ON demand (region, week)",
        "ALTER TABLE demand ADD COLUMN v integer DEFAULT 7",
        "UPDATE demand SET quantity = quantity + 1",
        "ALTER TABLE demand DROP COLUMN bought",
        "ALTER TABLE demand ADD COLUMN f real",
        "DROP TABLE demand_2024_01",
        "DELETE FROM demand WHERE week = '2024-03-04'",
    ] {
        database.connect().batch_execute(change).unwrap();
        assert_same(&mut client, "spine", "", "NULL");
        if change.contains("COLUMN") {
            // Postgres does not plan anew when a row type changes that is only an argument's.
            prepared = client.prepare(statement).unwrap();
        }
        let row = client.query_one(&prepared, &[]).unwrap();
        let text = format!(
            "({},{},{},{})",
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            row.get::<_, String>(2),
            row.get::<_, i64>(3)
        );
        assert_eq!(plain(&mut client), [text], "{change}");
    }
}

#[test]
fn a_partition_that_another_session_adds_is_seen() {
    let database = Database::with_data();
    let mut client = database.connect();
    prepare(&mut client, ", partition_by => 'month'");
    client.batch_execute("INSERT INTO spine VALUES (5000, 1, 'r0', '2024-06-01')").unwrap();
    assert_same(&mut client, "spine", "", "NULL");
    database
        .connect()
        .batch_execute(
            "INSERT INTO sold SELECT p, 'r0', date '2024-03-11' + d, 5 FROM generate_series(0, 34) AS d, generate_series(0, 7) AS p;
             CALL reco.refresh_features('demand')",
        )
        .unwrap();
    assert_same(&mut client, "spine", "", "NULL");
    let newest =
        "SELECT max(f.week)::text FROM spine AS s, LATERAL reco.features_as_of(NULL::demand, s) AS f";
    assert_eq!(value::<String>(&mut client, newest), "2024-04-08");
}

#[test]
fn rows_are_read_with_the_callers_rights() {
    let database = Database::with_data();
    let mut admin = database.connect();
    prepare(&mut admin, "");
    admin
        .batch_execute("CREATE ROLE as_of_reader LOGIN; GRANT USAGE ON SCHEMA reco TO as_of_reader; GRANT SELECT ON spine TO as_of_reader")
        .unwrap();
    let mut reader = database.connect_as("as_of_reader");
    let weeks = "SELECT count(*) FROM spine AS s, LATERAL reco.features_as_of(NULL::demand, s) AS f";
    refusal(&mut reader, weeks).expect("42501", &["permission denied", "demand"], &[]);
    admin.batch_execute("GRANT SELECT ON demand TO as_of_reader").unwrap();
    let all: i64 = value(&mut admin, weeks);
    assert_eq!(value::<i64>(&mut reader, weeks), all);
    admin
        .batch_execute(
            "ALTER TABLE demand ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_region ON demand TO as_of_reader USING (region = 'r0')",
        )
        .unwrap();
    let some: i64 = value(&mut reader, weeks);
    assert!(some > 0 && some < all, "{some} of {all}");
    assert_eq!(value::<i64>(&mut admin, weeks), all);
}

#[test]
fn a_standby_answers_and_does_not_refresh() {
    let cluster = Cluster::new();
    let mut primary = cluster.connect("postgres");
    primary.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    prepare(&mut primary, "");
    let standby_cluster = cluster.standby();
    let mut standby = standby_cluster.connect("postgres");
    let sql = found("spine", "");
    assert_eq!(rows(&mut standby, &sql), rows(&mut primary, &sql));
    primary
        .batch_execute(
            "INSERT INTO sold SELECT 1, 'r0', date '2024-03-11' + d, 5 FROM generate_series(0, 6) AS d;
             INSERT INTO spine VALUES (5000, 1, 'r0', '2024-06-01'); CALL reco.refresh_features('demand')",
        )
        .unwrap();
    let here: String = value(&mut primary, "SELECT pg_current_wal_lsn()::text");
    let there = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'");
    wait_until("the standby has caught up", || value::<bool>(&mut standby, &there));
    assert_eq!(rows(&mut standby, &sql), rows(&mut primary, &sql));
    for view in ["feature_views", "feature_refreshes"] {
        let sql = format!("SELECT * FROM reco.{view} ORDER BY 1, 2");
        assert_eq!(rows(&mut standby, &sql), rows(&mut primary, &sql));
    }
    refusal(&mut standby, "CALL reco.refresh_features('demand')").expect("25006", &["read-only"], &[]);
    refusal(&mut standby, &creation("other", "")).expect("25006", &["read-only"], &[]);
}

#[test]
fn an_age_is_one_that_can_be_reckoned_back() {
    let mut client = Database::with_data().connect();
    super::views::create(&mut client, "");
    super::views::refresh(&mut client, "'demand'");
    let found = |age: &str, at: &str| {
        format!(
            "SELECT count(*) FROM (SELECT 1::bigint AS product_id, 'r1' AS region, {at} AS at) AS s,
             reco.features_as_of(NULL::demand, s, max_age => '{age}')"
        )
    };
    for age in [
        "-1 day",
        "1001 years 30 days 7 months",
        "178000000 years",
        "-178000000 years",
        "100000000 days",
        "2147483647 days",
    ] {
        let error = refusal(&mut client, &found(age, "'2024-03-01'::date"));
        error.expect("22023", &["max_age is an interval from 0 to 1000 years"], &["NULL"]);
    }
    for at in [
        "'2024-03-01'::date",
        "'infinity'::date",
        "'4713-01-01 BC'::date",
        "'5874897-12-31'::date",
        "'-infinity'::timestamp",
    ] {
        for age in ["1000 years", "0", "1 month -1 day"] {
            value::<i64>(&mut client, &found(age, at));
        }
    }
    assert_eq!(value::<i64>(&mut client, &found("1000 years", "'2024-03-01'::date")), 1);
}
