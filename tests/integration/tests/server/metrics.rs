//! The view `reco.metrics`, and the counters of scoring that it shows.

use super::monitoring::monitor;
use super::parallel::{explain, FORCED};
use super::schedules::{run_due, schedule_refresh};
use super::support::sum_of_scores;
use super::views;
use integration::cluster::Stop;
use integration::{data, refusal, rows, value, wait_until, Background, Cluster, Database, Training};
use postgres::Client;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// A server that has the library preloaded, with a database that has a model.
fn preloaded() -> &'static Cluster {
    static PRELOADED: OnceLock<Cluster> = OnceLock::new();
    PRELOADED.get_or_init(|| with_a_model(Cluster::preloaded("")))
}

fn with_a_model(cluster: Cluster) -> Cluster {
    cluster.connect("postgres").batch_execute("CREATE DATABASE trained").unwrap();
    let mut client = cluster.connect("trained");
    data::create(&mut client);
    Training::new("launch").call(&mut client);
    drop(client);
    cluster
}

/// A new database of that server with the model: nothing of it is counted yet.
fn database(cluster: &Cluster) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let name = format!("counted{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let create = format!("CREATE DATABASE {name} TEMPLATE trained");
    cluster.connect("postgres").batch_execute(&create).unwrap();
    name
}

/// A session in a new database.
fn session() -> Client {
    preloaded().connect(&database(preloaded()))
}

/// The value of the only sample of this name and labels, which are a JSON object or a part of one.
pub fn sample(client: &mut Client, name: &str, labels: &str) -> f64 {
    value(
        client,
        &format!(
            "SELECT coalesce(sum(value), 0) FROM reco.metrics WHERE name = '{name}' AND labels @> '{labels}'"
        ),
    )
}

/// Calls, rows and errors of a version.
fn counted(client: &mut Client, model: &str, version: i32) -> (f64, f64, f64) {
    let labels = format!(r#"{{"model": "{model}", "version": "{version}"}}"#);
    let mut of = |what: &str| sample(client, &format!("reco_scoring_{what}_total"), &labels);
    (of("calls"), of("rows"), of("errors"))
}

#[test]
fn a_statement_counts_one_call_and_every_row_that_it_scores() {
    let mut client = session();
    assert_eq!(counted(&mut client, "launch", 1), (0.0, 0.0, 0.0));
    sum_of_scores(&mut client, "launch");
    assert_eq!(counted(&mut client, "launch", 1), (1.0, data::ROWS as f64, 0.0));
    client.execute("SELECT reco.recommend(1, 'r1')", &[]).unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (2.0, data::ROWS as f64 + 1.0, 0.0));
    // A prepared statement looks the version up each time that it is executed.
    let prepared = client.prepare("SELECT reco.recommend($1::bigint, 'r1')").unwrap();
    (1..=3i64).for_each(|product| _ = client.execute(&prepared, &[&product]).unwrap());
    assert_eq!(counted(&mut client, "launch", 1), (5.0, data::ROWS as f64 + 4.0, 0.0));
    // A key without features is a call that scores nothing.
    client.execute("SELECT reco.recommend(-1, 'r1')", &[]).unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (6.0, data::ROWS as f64 + 4.0, 0.0));
}

#[test]
fn every_way_of_scoring_is_counted() {
    let mut client = session();
    Training::new("numbers").source("numeric_features").call(&mut client);
    client.execute("SELECT * FROM reco.top_products('r1', 5, 'launch', as_of => '2024-06-30')", &[]).unwrap();
    let (calls, rows, errors) = counted(&mut client, "launch", 1);
    assert!(calls == 1.0 && rows >= 60.0 && errors == 0.0, "{calls} {rows} {errors}");
    client.execute("SELECT * FROM reco.top_regions(1, 5, 'launch')", &[]).unwrap();
    assert!(counted(&mut client, "launch", 1).0 == 2.0 && counted(&mut client, "launch", 1).1 >= rows + 4.0);
    let array = "SELECT reco.predict('numbers', ARRAY[1, 2, 3, 4]::real[]) FROM generate_series(1, 7)";
    client.execute(array, &[]).unwrap();
    assert_eq!(counted(&mut client, "numbers", 1), (1.0, 7.0, 0.0));
}

#[test]
fn measuring_a_version_is_not_counted_as_scoring() {
    let mut client = session();
    client.execute("SELECT * FROM reco.evaluate('launch', 'launch_features')", &[]).unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (0.0, 0.0, 0.0));
}

#[test]
fn statements_in_functions_belong_to_the_call_of_the_client() {
    let mut client = session();
    client
        .batch_execute(
            "CREATE FUNCTION scored(k bigint) RETURNS double precision LANGUAGE plpgsql AS
             'BEGIN RETURN (SELECT reco.recommend(p, ''r1'') FROM launch_features AS f (p) WHERE p = k LIMIT 1); END'",
        )
        .unwrap();
    client
        .execute("SELECT scored(k), reco.recommend(k, 'r2') FROM generate_series(1::bigint, 10) AS k", &[])
        .unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (1.0, 20.0, 0.0));
    // What PL/pgSQL computes without a statement is counted when the transaction ends.
    client.batch_execute("DO 'DECLARE s float8; BEGIN s := reco.recommend(1, ''r1''); s := reco.recommend(2, ''r1''); END'").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (2.0, 22.0, 0.0));
}

#[test]
fn a_statement_that_fails_is_an_error_and_its_rows_count() {
    let mut client = session();
    let failing =
        "SELECT 1 / (min(reco.recommend(k, 'r1')) * 0)::int FROM generate_series(1::bigint, 4) AS k";
    assert_eq!(refusal(&mut client, failing).code, "22012");
    assert_eq!(counted(&mut client, "launch", 1), (1.0, 4.0, 1.0));
    // Before a row was scored.
    let unread = "SELECT reco.predict('launch', r) FROM (SELECT 1 AS a) AS r";
    assert!(!refusal(&mut client, unread).code.is_empty());
    assert_eq!(counted(&mut client, "launch", 1), (2.0, 4.0, 2.0));
    client
        .batch_execute("SET statement_timeout = '100ms'; CREATE TABLE keys AS SELECT 1::bigint AS k")
        .unwrap();
    let late = "SELECT reco.recommend(k, 'r1'), pg_sleep(60) FROM keys";
    assert_eq!(refusal(&mut client, late).code, "57014");
    assert_eq!(counted(&mut client, "launch", 1), (3.0, 5.0, 3.0));
    client.batch_execute("RESET statement_timeout; SELECT reco.recommend(1, 'r1')").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (4.0, 6.0, 3.0));
}

#[test]
fn a_call_that_finds_no_version_is_an_error_without_a_model() {
    let mut client = session();
    for _ in 0..3 {
        refusal(&mut client, "SELECT reco.recommend(1, 'r1', 'nobody')").expect("42704", &["nobody"], &[]);
    }
    assert_eq!(sample(&mut client, "reco_scoring_errors_total", r#"{"model": "", "version": ""}"#), 3.0);
    assert_eq!(sample(&mut client, "reco_scoring_errors_total", r#"{"model": "nobody"}"#), 0.0);
}

#[test]
fn rows_of_a_transaction_that_is_rolled_back_count() {
    let mut client = session();
    client.batch_execute("BEGIN; SELECT reco.recommend(1, 'r1'); SAVEPOINT s; SELECT reco.recommend(2, 'r1'); ROLLBACK TO s; ROLLBACK").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (2.0, 2.0, 0.0));
}

#[test]
fn parallel_workers_count_their_rows_and_themselves() {
    let mut client = session();
    let sql = "SELECT sum(reco.predict('launch', f)) FROM launch_features AS f";
    client.batch_execute(FORCED).unwrap();
    let plan = explain(&mut client, sql);
    assert!(plan.contains("Workers Launched: 2"), "{plan}");
    let (calls, rows, errors) = counted(&mut client, "launch", 1);
    assert!(
        (1.0..=2.0).contains(&calls) && rows == data::ROWS as f64 && errors == 0.0,
        "{calls} {rows} {errors}"
    );
}

#[test]
fn databases_count_apart() {
    let (mut one, mut other) = (session(), session());
    one.execute("SELECT reco.recommend(1, 'r1')", &[]).unwrap();
    assert_eq!(counted(&mut one, "launch", 1), (1.0, 1.0, 0.0));
    assert_eq!(counted(&mut other, "launch", 1), (0.0, 0.0, 0.0));
    other.batch_execute("SELECT reco.recommend(1, 'r1'); SELECT reco.recommend(1, 'r1')").unwrap();
    assert_eq!(counted(&mut other, "launch", 1), (2.0, 2.0, 0.0));
    assert_eq!(counted(&mut one, "launch", 1), (1.0, 1.0, 0.0));
}

#[test]
fn sessions_add_to_the_same_counters() {
    let name = database(preloaded());
    let score = |_| {
        let mut client = preloaded().connect(&name);
        (0..50).for_each(|_| _ = client.execute("SELECT reco.recommend(1, 'r1')", &[]).unwrap());
    };
    std::thread::scope(|scope| (0..4).for_each(|n| _ = scope.spawn(move || score(n))));
    assert_eq!(counted(&mut preloaded().connect(&name), "launch", 1), (200.0, 200.0, 0.0));
}

#[test]
fn versions_and_arms_count_apart() {
    let mut client = session();
    Training::new("launch").param(r#""seed": 9"#).call(&mut client);
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('halves', 'launch', '[{"arm": "a", "version": 1, "share": 0.5},
                                                                {"arm": "b", "version": 2, "share": 0.5}]', regions => '{r0,r1}');
               SELECT sum(reco.recommend(p, 'r1')) FROM generate_series(1::bigint, 60) AS p"#,
        )
        .unwrap();
    let arms = rows(&mut client, "SELECT reco.ab_arm('halves', p, 'r1') AS arm, count(*) FROM generate_series(1::bigint, 60) AS p GROUP BY 1 ORDER BY 1");
    let (one, two) = (counted(&mut client, "launch", 1), counted(&mut client, "launch", 2));
    assert_eq!(arms, [format!("(a,{})", one.1), format!("(b,{})", two.1)]);
    assert_eq!((one.0, two.0, one.1 + two.1), (1.0, 1.0, 60.0));
    // In a region that takes no part the champion scores.
    client.batch_execute("SELECT reco.recommend(1, 'r2')").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (2.0, one.1 + 1.0, 0.0));
    assert_eq!(
        sample(&mut client, "reco_ab_arm_share", r#"{"test": "halves", "arm": "b", "version": "2"}"#),
        0.5
    );
}

#[test]
fn the_histogram_is_cumulative_and_ends_with_all_calls() {
    let mut client = session();
    (0..5).for_each(|_| _ = client.execute("SELECT reco.recommend(1, 'r1')", &[]).unwrap());
    let buckets: Vec<(String, f64)> = client
        .query(
            "SELECT labels ->> 'le', value FROM reco.metrics WHERE name = 'reco_scoring_latency_seconds_bucket'
             ORDER BY CASE labels ->> 'le' WHEN '+Inf' THEN 'Infinity' ELSE (labels ->> 'le')::float8 END",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&("+Inf".to_owned(), 5.0)));
    assert_eq!(sample(&mut client, "reco_scoring_latency_seconds_count", "{}"), 5.0);
    assert!(sample(&mut client, "reco_scoring_latency_seconds_sum", "{}") > 0.0);
}

#[test]
fn the_cache_of_a_backend_misses_once() {
    let database = database(preloaded());
    let mut client = preloaded().connect(&database);
    (0..4).for_each(|_| _ = client.execute("SELECT reco.recommend(1, 'r1')", &[]).unwrap());
    let of_launch = r#"{"model": "launch", "version": "1"}"#;
    assert_eq!(sample(&mut client, "reco_scoring_cache_misses_total", of_launch), 1.0);
    assert_eq!(sample(&mut client, "reco_scoring_cache_hits_total", of_launch), 3.0);
    // What looks the model up and serves nobody is no call, and its looks are no hits.
    client
        .batch_execute("SELECT count(*) FROM reco.evaluate('launch', 'launch_features', by => 'region')")
        .unwrap();
    client.batch_execute("CALL reco.monitor('launch')").unwrap();
    assert_eq!(counted(&mut client, "launch", 1).0, 4.0);
    assert_eq!(sample(&mut client, "reco_scoring_cache_hits_total", of_launch), 3.0);
    assert_eq!(sample(&mut client, "reco_scoring_cache_misses_total", of_launch), 1.0);
    // Nor is a model missed that such a look has left in the cache: without a refit what is measured is what is served.
    Training::new("alone").params(r#"{"epochs": 1, "refit": false}"#).call(&mut client);
    let mut other = preloaded().connect(&database);
    other.batch_execute("SELECT count(*) FROM reco.evaluate('alone', 'launch_features')").unwrap();
    other.batch_execute("SELECT reco.recommend(1, 'r1', 'alone')").unwrap();
    let of_alone = r#"{"model": "alone", "version": "1"}"#;
    assert_eq!(sample(&mut client, "reco_scoring_cache_hits_total", of_alone), 1.0);
    assert_eq!(sample(&mut client, "reco_scoring_cache_misses_total", of_alone), 0.0);
}

#[test]
fn what_finds_no_slot_is_counted_together() {
    let cluster = with_a_model(Cluster::preloaded("reco.counted_versions = 1"));
    let mut client = cluster.connect("trained");
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    Training::new("other").call(&mut client);
    client
        .batch_execute("SELECT reco.recommend(1, 'r1', 'other'); SELECT reco.recommend(2, 'r1', 'other')")
        .unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (1.0, 1.0, 0.0));
    assert_eq!(counted(&mut client, "other", 1), (0.0, 0.0, 0.0));
    let mut whole = |name| sample(&mut client, name, "{}");
    assert_eq!([whole("reco_counters_slots"), whole("reco_counters_slots_used")], [1.0, 1.0]);
    assert_eq!(whole("reco_counters_uncounted_calls_total"), 2.0);
}

#[test]
fn counters_begin_anew_after_a_crash_and_nothing_is_counted_at_0() {
    let cluster = with_a_model(Cluster::preloaded(""));
    let mut client = cluster.connect("trained");
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (1.0, 1.0, 0.0));
    drop(client);
    cluster.stop(Stop::Immediate);
    cluster.start();
    let mut client = cluster.connect("trained");
    assert_eq!(counted(&mut client, "launch", 1), (0.0, 0.0, 0.0));
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    client.batch_execute("ALTER SYSTEM SET reco.counted_versions = 0").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (1.0, 1.0, 0.0));
    drop(client);
    cluster.stop(Stop::Fast);
    cluster.start();
    let mut client = cluster.connect("trained");
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (0.0, 0.0, 0.0));
    assert_eq!(sample(&mut client, "reco_counters_enabled", "{}"), 0.0);
}

#[test]
fn a_backend_that_crashes_leaves_a_server_that_counts() {
    let cluster = with_a_model(Cluster::preloaded("restart_after_crash = on"));
    let mut client = cluster.connect("trained");
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    let pid: i32 = value(&mut client, "SELECT pg_backend_pid()");
    integration::installation::output(std::process::Command::new("kill").args(["-9", &pid.to_string()]));
    wait_until("the server has noticed", || cluster.log().contains("reinitializing"));
    wait_until("the server is there again", || cluster.try_connect("trained").is_ok());
    let mut client = cluster.connect("trained");
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    assert_eq!(counted(&mut client, "launch", 1), (1.0, 1.0, 0.0));
}

#[test]
fn without_preloading_everything_but_the_counters_is_there() {
    let database = Database::trained();
    let mut client = database.connect();
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    assert_eq!(sample(&mut client, "reco_counters_enabled", "{}"), 0.0);
    assert_eq!(
        value::<i64>(&mut client, "SELECT count(*) FROM reco.metrics WHERE family LIKE 'reco_scoring%'"),
        0
    );
    let launch = r#"{"model": "launch"}"#;
    assert_eq!(sample(&mut client, "reco_champion_version", launch), 1.0);
    let auroc: f64 = value(&mut client, "SELECT test_auroc FROM reco.versions");
    assert_eq!(sample(&mut client, "reco_test_auroc", r#"{"model": "launch", "version": "1"}"#), auroc);
    assert_eq!(sample(&mut client, "reco_runs_total", r#"{"model": "launch", "status": "succeeded"}"#), 1.0);
    assert_eq!(sample(&mut client, "reco_runs_total", r#"{"model": "launch", "status": "failed"}"#), 0.0);
    let share: f64 = value(
        &mut client,
        "SELECT sum((b ->> 'positive_rate')::float8) FROM reco.versions, jsonb_array_elements(metrics #> '{test,model,calibration}') AS b",
    );
    assert!((sample(&mut client, "reco_test_bin_label_mean", launch) - share).abs() < 1e-9);
    assert!((0.0..0.5).contains(&sample(&mut client, "reco_test_calibration_error", launch)));
}

#[test]
fn trainings_are_counted_by_how_they_ended() {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""hidden": [0]"#).refused(&mut client);
    let before = sample(&mut client, "reco_runs_total", r#"{"status": "failed"}"#);
    Training::new("launch").param(r#""device": "cuda:99""#).refused(&mut client);
    let failed = sample(&mut client, "reco_runs_total", r#"{"model": "launch", "status": "failed"}"#);
    assert_eq!(failed, before + 1.0);
    assert!(
        sample(&mut client, "reco_run_last_timestamp_seconds", r#"{"model": "launch", "status": "failed"}"#)
            > 1.7e9
    );
    let background = Background::start(database.connect(), &Training::endless("launch").sql());
    wait_until("the training runs", || sample(&mut client, "reco_model_trainings_running", "{}") == 1.0);
    background.cancel();
    assert_eq!(background.finish().refusal().code, "57014");
    assert_eq!(sample(&mut client, "reco_model_trainings_running", "{}"), 0.0);
    assert_eq!(sample(&mut client, "reco_runs_total", r#"{"model": "launch", "status": "cancelled"}"#), 1.0);
}

#[test]
fn the_freshness_of_features_is_the_end_of_the_newest_week() {
    let database = Database::with_data();
    let mut client = database.connect();
    views::create(&mut client, "");
    views::refresh(&mut client, "'demand', to_week => '2024-02-19'");
    let view = r#"{"view": "public.demand"}"#;
    let expected: f64 =
        value(&mut client, "SELECT extract(epoch FROM timestamptz '2024-02-26 00:00+00')::float8");
    assert_eq!(sample(&mut client, "reco_features_complete_timestamp_seconds", view), expected);
    let stored: i64 = value(&mut client, "SELECT count(*) FROM demand");
    assert_eq!(sample(&mut client, "reco_features_rows", view), stored as f64);
    assert_eq!(
        sample(&mut client, "reco_refreshes_total", r#"{"view": "public.demand", "status": "succeeded"}"#),
        1.0
    );
}

#[test]
fn what_a_test_has_shown_is_that_of_its_newest_week() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('shown', 'launch', '[{"arm": "a", "version": 1, "share": 0.5},
                                                               {"arm": "b", "version": 1, "share": 0.5}]');
               SELECT reco.log_recommendations('{1,2,3,4,5,6,7}'::bigint[], '{r1,r1,r1,r1,r1,r1,r1}', 'launch', as_of => '2024-03-03');
               SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'launch')"#,
        )
        .unwrap();
    assert_eq!(sample(&mut client, "reco_ab_arm_shown", r#"{"test": "shown"}"#), 3.0);
    client.batch_execute("SELECT reco.stop_ab_test('shown')").unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.metrics WHERE name LIKE 'reco_ab%'"), 0);
}

#[test]
fn every_sample_is_of_a_defined_metric_with_the_labels_that_it_says() {
    let mut client = session();
    views::create(&mut client, "");
    views::refresh(&mut client, "'demand', to_week => '2024-02-19'");
    client.batch_execute("SELECT reco.recommend(1, 'r1')").unwrap();
    schedule_refresh(&mut client, "");
    run_due(&mut client);
    monitor(&mut client, "");
    let wrong = "SELECT m.name, m.labels FROM reco.metrics AS m JOIN reco.metric_definitions AS d USING (name)
                 WHERE m.family <> d.family OR NOT starts_with(m.name, m.family || '_')
                    OR ARRAY(SELECT jsonb_object_keys(m.labels) ORDER BY 1) <> ARRAY(SELECT unnest(d.labels::text[]) ORDER BY 1)";
    assert!(rows(&mut client, wrong).is_empty(), "{:?}", rows(&mut client, wrong));
    let twice = "SELECT name, labels FROM reco.metrics GROUP BY 1, 2 HAVING count(*) > 1";
    assert!(rows(&mut client, twice).is_empty());
    let inside =
        "SELECT family FROM reco.metric_definitions GROUP BY family HAVING count(DISTINCT labels) > 1";
    assert!(rows(&mut client, inside).is_empty());
}

#[test]
fn reco_monitor_reads_the_metrics_and_nothing_else() {
    let name = database(preloaded());
    let mut admin = preloaded().connect(&name);
    admin
        .batch_execute(
            "SELECT reco.recommend(1, 'r1');
             SELECT reco.schedule_monitoring('launch', '0 0 1 1 *');
             CREATE ROLE watcher LOGIN IN ROLE reco_monitor; CREATE ROLE passer_by LOGIN; GRANT USAGE ON SCHEMA reco TO passer_by",
        )
        .unwrap();
    monitor(&mut admin, "");
    let connect = |role: &str| preloaded().config(&name, role).connect(postgres::NoTls).unwrap();
    let mut watcher = connect("watcher");
    let read = "SELECT name, labels FROM reco.metrics WHERE family <> 'reco_scoring_latency' ORDER BY 1, 2";
    assert_eq!(rows(&mut watcher, read), rows(&mut admin, read));
    assert_eq!(counted(&mut watcher, "launch", 1), (1.0, 1.0, 0.0));
    let readable = "SELECT c.relname FROM pg_class AS c
                    WHERE c.relnamespace = 'reco'::regnamespace AND has_table_privilege(c.oid, 'SELECT')
                      AND NOT has_table_privilege('passer_by', c.oid, 'SELECT') AND c.relkind <> 'i'";
    assert_eq!(rows(&mut watcher, readable), ["(metrics)"]);
    assert!(rows(&mut watcher, "SELECT * FROM reco.models").is_empty());
    for refused in [
        "SELECT reco.recommend(1, 'r1', 'launch')",
        "SELECT * FROM reco.version",
        "SELECT * FROM reco.metric_definitions",
        "SELECT * FROM reco.schedule",
        "SELECT * FROM reco.monitored_column",
    ] {
        assert_eq!(refusal(&mut watcher, refused).code, "42501", "{refused}");
    }
    let mut passer_by = connect("passer_by");
    for refused in
        ["SELECT * FROM reco.metrics", "SELECT * FROM reco.scoring_counters()", "SELECT reco.scoring_slots()"]
    {
        assert_eq!(refusal(&mut passer_by, refused).code, "42501", "{refused}");
    }
}

#[test]
fn a_standby_counts_its_own() {
    let cluster = with_a_model(Cluster::preloaded(""));
    let mut primary = cluster.connect("trained");
    let standby_cluster = cluster.standby();
    let mut standby = standby_cluster.connect("trained");
    standby.execute("SELECT reco.recommend(1, 'r1')", &[]).unwrap();
    assert_eq!(counted(&mut standby, "launch", 1), (1.0, 1.0, 0.0));
    assert_eq!(counted(&mut primary, "launch", 1), (0.0, 0.0, 0.0));
}
