//! Schedules: when what is scheduled runs, as whom, in which order, and how often it is tried again.

use super::support::{versions, wait_for_lock};
use super::views;
use integration::{refusal, rows, value, wait_until, Background, Database, Training};
use postgres::fallible_iterator::FallibleIterator;
use postgres::Client;
use std::time::Duration;

/// Once a year, so that nothing runs of which a test has not said that it is due.
pub const YEARLY: &str = "0 0 1 1 *";

/// A database with the feature view `demand`, whose refresh is scheduled.
pub fn with_refresh(options: &str) -> (Database, Client) {
    let database = Database::with_data();
    let mut client = database.connect();
    views::create(&mut client, "");
    schedule_refresh(&mut client, options);
    (database, client)
}

pub fn schedule_refresh(client: &mut Client, options: &str) {
    let sql = format!("SELECT reco.schedule_refresh('demand', '{YEARLY}'{options})");
    client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
}

/// Makes everything that is scheduled due now.
pub fn make_due(client: &mut Client) {
    client.batch_execute("UPDATE reco.schedule SET next_run = now() - interval '1 second'").unwrap();
}

/// Calls `reco.run_due()`, alone: several statements of one message are a transaction.
pub fn run_due(client: &mut Client) {
    client.batch_execute("CALL reco.run_due()").unwrap();
}

/// Calls `reco.run_due()` and waits until nothing runs.
pub fn run_due_to_the_end(client: &mut Client) {
    client.batch_execute("CALL reco.run_due(wait => true)").unwrap();
}

/// Makes everything due, and waits until it has run.
pub fn run_now(client: &mut Client) {
    make_due(client);
    run_due_to_the_end(client);
}

/// What `reco.schedules` says of the kind.
pub fn shown<T: postgres::types::FromSqlOwned>(client: &mut Client, kind: &str, columns: &str) -> T {
    value(client, &format!("SELECT {columns} FROM reco.schedules WHERE kind = '{kind}'"))
}

/// How the attempts ended, the first one first.
pub fn attempts(client: &mut Client, kind: &str) -> Vec<String> {
    let sql = format!(
        "SELECT attempt || ' ' || status FROM reco.schedule_runs WHERE kind = '{kind}' ORDER BY started_at"
    );
    client.query(&sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Whether the kind is tried next within so many seconds, and not before `least`.
fn next_in(client: &mut Client, kind: &str, least: i32, most: i32) -> bool {
    let columns =
        format!("next_run - now() BETWEEN make_interval(secs => {least}) AND make_interval(secs => {most})");
    shown(client, kind, &columns)
}

/// Keeps the refresh of `demand` from going on until the transaction ends.
fn hold_refresh(database: &Database) -> Client {
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE sold").unwrap();
    holder
}

/// The worker of the attempt under way, once it waits for the lock of [`hold_refresh`].
fn held_worker(client: &mut Client) -> i32 {
    let pid = "SELECT pid FROM reco.schedule_runs WHERE status = 'running'";
    wait_until("the worker has begun", || {
        client.query_opt(pid, &[]).unwrap().is_some_and(|row| row.get::<_, Option<i32>>(0).is_some())
    });
    let pid = value(client, pid);
    wait_for_lock(client, pid);
    pid
}

fn wait_for_attempts(client: &mut Client, kind: &str, expected: &[&str]) {
    wait_until(&format!("{kind} is {expected:?}"), || attempts(client, kind) == expected);
}

#[test]
fn what_is_due_runs_as_the_role_that_scheduled_it_and_what_is_not_does_not() {
    let database = Database::with_data();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE schedule_owner LOGIN; GRANT USAGE ON SCHEMA reco TO schedule_owner;
             GRANT CREATE ON SCHEMA public TO schedule_owner",
        )
        .unwrap();
    let mut owner = database.connect_as("schedule_owner");
    owner
        .batch_execute(
            "CREATE TABLE who AS SELECT 1 AS id, date '2024-01-01' AS week, 'nobody'::text AS login, 'nobody'::text AS role",
        )
        .unwrap();
    // A definition that says who runs it.
    owner
        .batch_execute(
            "SELECT reco.create_feature_view('asked', 'SELECT id, week, session_user::text AS login, current_user::text AS role
                 FROM who WHERE week BETWEEN $1 AND $2', '{id}', available => 'SELECT min(week), max(week) + 7 FROM who');
             SELECT reco.schedule_refresh('asked', '0 0 1 1 *')",
        )
        .unwrap();
    run_due_to_the_end(&mut admin);
    assert!(attempts(&mut admin, "refresh").is_empty());
    run_now(&mut admin);
    assert_eq!(
        attempts(&mut admin, "refresh"),
        ["1 succeeded"],
        "{:?}",
        rows(&mut admin, "TABLE reco.schedule_runs")
    );
    assert_eq!(rows(&mut admin, "SELECT login, role FROM asked"), ["(schedule_owner,schedule_owner)"]);
    assert_eq!(shown::<String>(&mut owner, "refresh", "last_outcome"), "succeeded");
    assert!(shown::<bool>(
        &mut owner,
        "refresh",
        "next_run > now() AND running_since IS NULL AND last_run IS NOT NULL"
    ));
    // Another call finds nothing to do.
    run_due_to_the_end(&mut admin);
    assert_eq!(attempts(&mut admin, "refresh").len(), 1);
}

#[test]
fn one_that_fails_twice_is_tried_again_and_then_works() {
    let (_database, mut client) = with_refresh(", retries => 3, retry_delay => '1 minute'");
    client.batch_execute("ALTER TABLE sold RENAME TO gone").unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 failed"]);
    assert!(next_in(&mut client, "refresh", 50, 61));
    assert_eq!(shown::<i32>(&mut client, "refresh", "attempts_left"), 3);
    let error: String = value(&mut client, "SELECT sqlstate || error FROM reco.schedule_runs");
    assert!(error.starts_with("42P01") && error.contains("sold"), "{error}");
    run_now(&mut client);
    assert!(next_in(&mut client, "refresh", 110, 121), "the wait doubles");
    assert_eq!(shown::<i32>(&mut client, "refresh", "attempts_left"), 2);
    client.batch_execute("ALTER TABLE gone RENAME TO sold").unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 failed", "2 failed", "3 succeeded"]);
    assert!(shown::<bool>(
        &mut client,
        "refresh",
        "attempts_left = 4 AND failures = 0 AND next_run > now() + interval '2 minutes'"
    ));
    assert_eq!(views::contents(&mut client, "demand"), views::built_anew(&mut client));
}

#[test]
fn one_that_always_fails_stops_at_its_number_says_so_and_waits_for_its_next_time() {
    let (database, mut client) = with_refresh(", retries => 2, retry_delay => '1 second'");
    let mut listener = database.connect();
    listener.batch_execute("LISTEN reco_alarm").unwrap();
    client.batch_execute("ALTER TABLE sold RENAME TO gone").unwrap();
    for time in 1..=2 {
        for _ in 0..3 {
            run_now(&mut client);
        }
        assert_eq!(attempts(&mut client, "refresh").len(), 3 * time);
        // Its next regular time is New Year.
        let waits = "to_char(next_run, 'MM-DD HH24:MI') || ' ' || failures || ' ' || attempts_left || ' ' || last_outcome";
        assert_eq!(shown::<String>(&mut client, "refresh", waits), format!("01-01 00:00 {time} 3 failed"));
        run_due_to_the_end(&mut client);
        assert_eq!(attempts(&mut client, "refresh").len(), 3 * time);
    }
    let heard =
        listener.notifications().timeout_iter(Duration::from_secs(10)).take(2).collect::<Vec<_>>().unwrap();
    let heard: Vec<serde_json::Value> =
        heard.iter().map(|one| serde_json::from_str(one.payload()).unwrap()).collect();
    let expected = |failures: i32| {
        serde_json::json!({"alarm": "schedule_failed", "kind": "refresh", "subject": "public.demand", "owner": "postgres",
                           "attempts": 3, "failures": failures, "sqlstate": "42P01"})
    };
    assert_eq!(heard, [expected(1), expected(2)]);
    assert!(database.cluster.log().contains("the refresh of public.demand failed for good after 3 attempts"));
}

#[test]
fn an_attempt_that_a_person_ends_is_cancelled_and_not_tried_again() {
    let (database, mut client) = with_refresh("");
    for (n, end) in ["pg_cancel_backend", "pg_terminate_backend"].into_iter().enumerate() {
        let mut holder = hold_refresh(&database);
        make_due(&mut client);
        run_due(&mut client);
        let worker = held_worker(&mut client);
        assert!(shown::<bool>(&mut client, "refresh", "running_since IS NOT NULL"));
        client.batch_execute(&format!("SELECT {end}({worker})")).unwrap();
        wait_for_attempts(&mut client, "refresh", &["1 cancelled", "1 cancelled"][..=n]);
        holder.batch_execute("ROLLBACK").unwrap();
        assert!(shown::<bool>(
            &mut client,
            "refresh",
            "next_run > now() + interval '5 minutes' AND failures = 0 AND attempts_left = 3"
        ));
    }
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh")[2..], ["1 succeeded"]);
}

#[test]
fn an_attempt_that_takes_longer_than_its_timeout_has_failed() {
    let (database, mut client) = with_refresh(", timeout => '1 second'");
    let mut holder = hold_refresh(&database);
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 failed"]);
    let error: String = value(&mut client, "SELECT sqlstate || ' ' || error FROM reco.schedule_runs");
    assert_eq!(error, "57014 it took longer than its timeout of 1 s");
    assert_eq!(shown::<i32>(&mut client, "refresh", "attempts_left"), 2);
    holder.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn a_view_is_refreshed_before_the_model_that_reads_it_is_retrained_and_then_monitored() {
    let (database, mut client) = with_refresh("");
    views::refresh(&mut client, "'demand', to_week => '2024-02-19'");
    Training::new("demand").source("demand").label("bought").with("promote => true").call(&mut client);
    client
        .batch_execute(&format!(
            "SELECT reco.schedule_monitoring('demand', '{YEARLY}');
             SELECT reco.schedule_retraining('demand', '{YEARLY}', refresh => false)"
        ))
        .unwrap();
    let mut holder = hold_refresh(&database);
    make_due(&mut client);
    run_due(&mut client);
    held_worker(&mut client);
    run_due(&mut client);
    let waits = "SELECT kind || ': ' || coalesce(waits_for, 'nothing') FROM reco.schedules ORDER BY kind COLLATE \"C\" DESC";
    assert_eq!(
        rows(&mut client, waits),
        [
            "(\"retraining: the refresh of public.demand\")",
            "(\"refresh: nothing\")",
            "(\"monitoring: the refresh of public.demand\")"
        ]
    );
    assert!(attempts(&mut client, "retraining").is_empty());
    // Whoever ends begins what has waited for it: nobody calls again.
    holder.batch_execute("ROLLBACK").unwrap();
    wait_for_attempts(&mut client, "monitoring", &["1 succeeded"]);
    assert_eq!(versions(&mut client, "demand"), [1, 2]);
    let order = "SELECT kind FROM reco.schedule_runs ORDER BY started_at";
    assert_eq!(rows(&mut client, order), ["(refresh)", "(retraining)", "(monitoring)"]);
    assert!(value::<i64>(&mut client, "SELECT count(*) FROM reco.monitoring WHERE model = 'demand'") > 0);
}

#[test]
fn monitoring_whose_source_is_gone_has_failed() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(&format!("SELECT reco.schedule_monitoring('launch', '{YEARLY}', retries => 1)"))
        .unwrap();
    run_now(&mut client);
    // An alarm about the model is what monitoring is for.
    assert_eq!(attempts(&mut client, "monitoring"), ["1 succeeded"]);
    assert_eq!(value::<String>(&mut client, "SELECT status FROM reco.health"), "alarm");
    client.batch_execute("ALTER TABLE launch_features RENAME TO gone").unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "monitoring"), ["1 succeeded", "1 failed"]);
    let error = "SELECT error FROM reco.schedule_runs WHERE status = 'failed'";
    assert_eq!(
        value::<String>(&mut client, error),
        "the source public.launch_features of version 1 does not exist"
    );
    assert_eq!(shown::<i32>(&mut client, "monitoring", "attempts_left"), 1);
    client.batch_execute("ALTER TABLE gone RENAME TO launch_features").unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "monitoring")[2..], ["2 succeeded"]);
}

#[test]
fn nothing_waits_for_what_it_needs_longer_than_a_day() {
    let (database, mut client) = with_refresh("");
    views::refresh(&mut client, "'demand', to_week => '2024-02-19'");
    Training::new("demand").source("demand").label("bought").with("promote => true").call(&mut client);
    client
        .batch_execute(&format!("SELECT reco.schedule_retraining('demand', '{YEARLY}', refresh => false)"))
        .unwrap();
    let mut holder = hold_refresh(&database);
    make_due(&mut client);
    run_due(&mut client);
    let refresher = held_worker(&mut client);
    client
        .batch_execute(
            "UPDATE reco.schedule SET next_run = now() - interval '25 hours' WHERE kind = 'retraining'",
        )
        .unwrap();
    run_due(&mut client);
    wait_for_attempts(&mut client, "retraining", &["1 succeeded"]);
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    client.batch_execute(&format!("SELECT pg_cancel_backend({refresher})")).unwrap();
    wait_for_attempts(&mut client, "refresh", &["1 cancelled"]);
    holder.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn while_another_session_retrains_the_model_it_waits_without_an_attempt() {
    let database = Database::trained();
    let (first, mut client) = (database.connect(), database.connect());
    client
        .batch_execute(&format!(
            r#"SELECT reco.schedule_retraining('launch', '{YEARLY}', min_gain => 0.5);
               UPDATE reco.version SET parameters = parameters || '{{"epochs": 100000, "patience": 0}}'"#
        ))
        .unwrap();
    let by_hand = Background::start(first, "CALL reco.retrain('launch')");
    super::support::wait_for_status(&mut client, "launch", "running");
    run_now(&mut client);
    assert!(attempts(&mut client, "retraining").is_empty());
    assert_eq!(
        shown::<String>(&mut client, "retraining", "waits_for"),
        "another session, which retrains the model"
    );
    by_hand.cancel();
    by_hand.finish().refusal();
    client.batch_execute(r#"UPDATE reco.version SET parameters = parameters || '{"epochs": 2}'"#).unwrap();
    run_due_to_the_end(&mut client);
    assert_eq!(attempts(&mut client, "retraining"), ["1 succeeded"]);
    // What it was scheduled with is what it was called with.
    let audited = "SELECT detail ->> 'promoted', login FROM reco.audit WHERE action = 'retrained' ORDER BY at DESC LIMIT 1";
    assert_eq!(rows(&mut client, audited), ["(false,postgres)"]);
}

#[test]
fn no_more_run_at_once_than_the_setting_says() {
    let (database, mut client) = with_refresh("");
    let (creation, schedule) =
        (views::creation("other", ""), format!("SELECT reco.schedule_refresh('other', '{YEARLY}')"));
    client.batch_execute(&creation).unwrap();
    client.batch_execute(&schedule).unwrap();
    let mut holder = hold_refresh(&database);
    make_due(&mut client);
    client.batch_execute("SET reco.max_scheduled_runs = 1").unwrap();
    run_due(&mut client);
    run_due(&mut client);
    held_worker(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    let waits = "SELECT count(*) FROM reco.schedules WHERE waits_for LIKE 'a free place%'";
    assert_eq!(value::<i64>(&mut client, waits), 1);
    holder.batch_execute("ROLLBACK").unwrap();
    wait_for_attempts(&mut client, "refresh", &["1 succeeded", "1 succeeded"]);
}

#[test]
fn times_that_were_missed_run_once() {
    let (_database, mut client) = with_refresh("");
    client
        .batch_execute(
            "UPDATE reco.schedule SET expression = '*/5 * * * *', next_run = now() - interval '1 year'",
        )
        .unwrap();
    run_due_to_the_end(&mut client);
    run_due_to_the_end(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
    assert!(next_in(&mut client, "refresh", 0, 301));
}

#[test]
fn times_are_those_of_the_time_zone_also_where_clocks_change() {
    let (_database, mut client) = with_refresh("");
    for (schedule, zone, expected) in [
        ("30 5 1 1 *", "Asia/Kolkata", "00:00"),
        ("30 5 1 1 *", "europe/berlin", "04:30"),
        ("30 5 1 7 *", "Europe/Berlin", "03:30"),
        // On the day on which the clock leaves the time out, and on the one on which it comes twice.
        ("30 2 * 3 sun#L", "Europe/Berlin", "01:00"),
        ("30 2 * 10 sun#L", "Europe/Berlin", "00:30"),
    ] {
        let first = format!(
            "SELECT to_char(reco.schedule_refresh('demand', '{schedule}', time_zone => '{zone}') AT TIME ZONE 'UTC', 'HH24:MI')"
        );
        assert_eq!(value::<String>(&mut client, &first), expected, "{schedule} {zone}");
    }
    assert_eq!(shown::<String>(&mut client, "refresh", "time_zone"), "Europe/Berlin");
    // The session's, if none is named.
    client.batch_execute("SET timezone = 'Asia/Tokyo'").unwrap();
    schedule_refresh(&mut client, "");
    assert_eq!(shown::<String>(&mut client, "refresh", "time_zone"), "Asia/Tokyo");
    client.batch_execute("SET timezone = '<+05>-05'").unwrap();
    refusal(&mut client, "SELECT reco.schedule_refresh('demand', '0 4 * * *')").expect(
        "22023",
        &["unknown time zone"],
        &["Europe/Berlin"],
    );
}

#[test]
fn a_schedule_that_is_replaced_or_ended_lets_its_attempt_end() {
    let (database, mut client) = with_refresh("");
    let mut holder = hold_refresh(&database);
    make_due(&mut client);
    run_due(&mut client);
    held_worker(&mut client);
    client.batch_execute("SELECT reco.unschedule('refresh', 'demand')").unwrap();
    schedule_refresh(&mut client, ", lookback => 3");
    make_due(&mut client);
    run_due(&mut client);
    // Two at once for one view there are never.
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    holder.batch_execute("ROLLBACK").unwrap();
    wait_for_attempts(&mut client, "refresh", &["1 succeeded", "1 succeeded"]);
    assert_eq!(
        shown::<serde_json::Value>(&mut client, "refresh", "arguments"),
        serde_json::json!({"lookback": 3})
    );
}

#[test]
fn old_attempts_are_forgotten() {
    let (_database, mut client) = with_refresh("");
    run_now(&mut client);
    run_now(&mut client);
    client
        .batch_execute(
            "UPDATE reco.schedule_run SET finished_at = now() - interval '11 days'
             WHERE started_at = (SELECT min(started_at) FROM reco.schedule_run)",
        )
        .unwrap();
    run_due(&mut client);
    assert_eq!(attempts(&mut client, "refresh").len(), 2);
    client.batch_execute("SET reco.max_schedule_history = 10").unwrap();
    run_due(&mut client);
    assert_eq!(attempts(&mut client, "refresh").len(), 1);
}

#[test]
fn a_view_that_somebody_has_locked_keeps_no_schedule_from_being_decided_on() {
    let (database, mut client) = with_refresh("");
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; LOCK TABLE demand IN ACCESS EXCLUSIVE MODE").unwrap();
    client.batch_execute("SET statement_timeout = '60s'").unwrap();
    make_due(&mut client);
    run_due(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 running"]);
    holder.batch_execute("ROLLBACK").unwrap();
    wait_for_attempts(&mut client, "refresh", &["1 succeeded"]);
}

#[test]
fn an_attempt_of_a_role_that_may_only_read_fails_with_its_error() {
    let (database, mut client) = with_refresh(", retries => 0");
    let alter = |value: &str| format!("ALTER DATABASE \"{}\" {value}", database.name);
    client.batch_execute(&alter("SET default_transaction_read_only = on")).unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 failed"]);
    let sqlstate: String = value(&mut client, "SELECT sqlstate FROM reco.schedule_runs");
    assert_eq!(sqlstate, "25006");
}
