//! A refresh that does not succeed leaves the rows as they were, and says how it ended.

use super::support::locks_held;
use super::views::{built_anew, contents, create, newest_record, refresh};
use integration::process::Process;
use integration::query::backend_pid;
use integration::{refusal, value, wait_until, Background, Cluster, Database};
use postgres::Client;

/// A view over `demand` that divides by a number from the table `switch`, or sleeps as long as that says.
const ABOVE: &str = r#"
CREATE TABLE switch (divisor integer, seconds float8);
INSERT INTO switch VALUES (1, 0);
SELECT reco.create_feature_view('above',
    'SELECT product_id, region, week, quantity / (SELECT CASE WHEN product_id = 3 THEN divisor ELSE 1 END FROM switch) AS part,
            (SELECT pg_sleep(seconds)::text FROM switch) AS slept
     FROM demand WHERE week BETWEEN $1 AND $2',
    '{product_id,region}', inputs => '{demand}')"#;

/// Both views, refreshed but for the newest weeks, and what they hold.
fn create_both(client: &mut Client) -> [Vec<String>; 2] {
    create(client, "");
    client.batch_execute(ABOVE).unwrap();
    refresh(client, "'above', to_week => '2024-02-12'");
    ["demand", "above"].map(|view| contents(client, view))
}

fn assert_untouched(client: &mut Client, before: &[Vec<String>; 2]) {
    assert_eq!(["demand", "above"].map(|view| contents(client, view)), *before);
}

fn records(client: &mut Client) -> [String; 2] {
    ["public.demand", "public.above"].map(|view| newest_record(client, view))
}

fn error(client: &mut Client) -> String {
    value(client, "SELECT error FROM reco.feature_refreshes WHERE view = 'public.above' ORDER BY started_at DESC LIMIT 1")
}

fn refreshes(client: &mut Client) -> i64 {
    value(client, "SELECT count(*) FROM reco.feature_refreshes")
}

#[test]
fn a_failing_definition_leaves_the_rows_of_the_whole_chain() {
    let database = Database::with_data();
    let mut client = database.connect();
    let before = create_both(&mut client);
    client.batch_execute("UPDATE switch SET divisor = 0").unwrap();
    refusal(&mut client, "CALL reco.refresh_features('above')").expect("22012", &["division by zero"], &[]);
    assert_untouched(&mut client, &before);
    assert_eq!(records(&mut client), ["failed", "failed"]);
    assert_eq!(error(&mut client), "division by zero");
    let backend = backend_pid(&mut client);
    assert_eq!(locks_held(&mut client, backend), 0);
    client.batch_execute("UPDATE switch SET divisor = 1").unwrap();
    refresh(&mut client, "'above'");
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
    assert_eq!(contents(&mut client, "above").len(), anew.len());
}

#[test]
fn inside_a_transaction_nothing_is_left_after_a_rollback() {
    let database = Database::with_data();
    let mut client = database.connect();
    let before = create_both(&mut client);
    let known = refreshes(&mut client);
    client.batch_execute("BEGIN; CALL reco.refresh_features('above')").unwrap();
    assert_ne!(contents(&mut client, "above"), before[1]);
    client.batch_execute("ROLLBACK").unwrap();
    assert_untouched(&mut client, &before);
    assert_eq!(refreshes(&mut client), known);
    // Nor after an error that is caught.
    client.batch_execute("UPDATE switch SET divisor = 0; BEGIN; SAVEPOINT here").unwrap();
    refusal(&mut client, "CALL reco.refresh_features('above')").expect("22012", &[], &[]);
    client.batch_execute("ROLLBACK TO here; COMMIT").unwrap();
    assert_untouched(&mut client, &before);
    assert_eq!(refreshes(&mut client), known);
    client
        .batch_execute("UPDATE switch SET divisor = 1; BEGIN; CALL reco.refresh_features('above'); COMMIT")
        .unwrap();
    assert!(records(&mut client).iter().all(|record| record.starts_with("succeeded 2024-0")));
    let backend = backend_pid(&mut client);
    assert_eq!(locks_held(&mut client, backend), 0);
}

/// A refresh whose definition sleeps, and another session.
fn sleeping(database: &Database, client: &mut Client) -> Background {
    client.batch_execute("UPDATE switch SET seconds = 600").unwrap();
    let refresh = Background::start(database.connect(), "CALL reco.refresh_features('above')");
    wait_until("the definition sleeps", || {
        let sql =
            format!("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {}", refresh.backend);
        value::<Option<bool>>(client, &sql) == Some(true)
    });
    refresh
}

#[test]
fn a_refresh_that_is_cancelled_says_so() {
    let database = Database::with_data();
    let mut client = database.connect();
    let before = create_both(&mut client);
    let under_way = sleeping(&database, &mut client);
    // The input's rows are computed, and so is its refresh under way until both are committed.
    assert_eq!(records(&mut client), ["running", "running"]);
    assert!(value::<bool>(&mut client, &format!("SELECT pg_cancel_backend({})", under_way.backend)));
    let mut ended = under_way.finish();
    ended.refusal().expect("57014", &["user request"], &[]);
    assert_untouched(&mut client, &before);
    assert_eq!(records(&mut client), ["cancelled", "cancelled"]);
    let backend = backend_pid(&mut ended.client);
    assert_eq!(locks_held(&mut client, backend), 0);
    client.batch_execute("UPDATE switch SET seconds = 0").unwrap();
    refresh(&mut ended.client, "'above'");
    let anew = built_anew(&mut client);
    assert_eq!(contents(&mut client, "demand"), anew);
}

#[test]
fn a_refresh_of_another_view_does_not_wait() {
    let database = Database::with_data();
    let mut client = database.connect();
    create_both(&mut client);
    client.batch_execute(&super::views::creation("other", "")).unwrap();
    let under_way = sleeping(&database, &mut client);
    client.batch_execute("SET statement_timeout = '20s'").unwrap();
    refresh(&mut client, "'other'");
    assert_eq!(records(&mut client), ["running", "running"], "the other refresh has not ended it");
    under_way.cancel();
    under_way.finish().refusal().expect("57014", &[], &[]);
}

#[test]
fn a_refresh_that_is_terminated_counts_as_failed() {
    let database = Database::with_data();
    let mut client = database.connect();
    let before = create_both(&mut client);
    let under_way = sleeping(&database, &mut client);
    assert!(value::<bool>(&mut client, &format!("SELECT pg_terminate_backend({})", under_way.backend)));
    assert!(under_way.finish().result.is_err());
    wait_until("both are over", || records(&mut client).iter().all(|record| record != "running"));
    for record in records(&mut client) {
        assert!(["failed", "cancelled"].contains(&record.as_str()), "{record}");
    }
    assert_untouched(&mut client, &before);
}

#[test]
fn a_refresh_whose_backend_was_killed_counts_as_failed() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::new()));
    let database = Database { cluster, name: "postgres".into() };
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
    let before = create_both(&mut client);
    let under_way = sleeping(&database, &mut client);
    Process::of(under_way.backend).unwrap().kill();
    assert!(under_way.finish().result.is_err());
    wait_until("the old session is ended", || client.simple_query("SELECT 1").is_err());
    wait_until("the server takes connections", || cluster.try_connect("postgres").is_ok());
    let mut client = database.connect();
    assert_eq!(records(&mut client), ["failed", "failed"]);
    assert!(error(&mut client).contains("the server process that refreshed it ended"));
    assert_untouched(&mut client, &before);
    client.batch_execute("UPDATE switch SET seconds = 0").unwrap();
    refresh(&mut client, "'above'");
    // The next refresh has written down what the view showed.
    let stored =
        "SELECT count(*) FROM reco.feature_refresh WHERE status = 'failed' AND finished_at IS NOT NULL";
    assert_eq!(value::<i64>(&mut client, stored), 2);
    cluster.stop(integration::cluster::Stop::Immediate);
}

/// A view whose definition is a table that the test fills.
fn create_of_table(client: &mut Client) {
    client
        .batch_execute(
            "CREATE TABLE given (product_id bigint, week date, amount numeric(6, 2));
             INSERT INTO given SELECT 1, date '2024-01-01' + 7 * w, w FROM generate_series(0, 3) AS w;
             SELECT reco.create_feature_view('taken', 'SELECT * FROM given WHERE $1 <= $2', '{product_id}');
             CALL reco.refresh_features('taken', '2024-01-01', '2024-01-22')",
        )
        .unwrap();
}

#[test]
fn rows_that_were_not_asked_for_are_refused() {
    // Whether the partition is new or there.
    for weeks in ["'2024-01-01', '2024-01-22', 9", "'2023-12-18', '2023-12-25'", "'2025-01-06', '2025-01-06'"]
    {
        for (row, words) in [
            ("(2, '2024-02-05', 1)", "returned rows of"),
            ("(2, '2024-01-10', 1)", "returned rows of"),
            ("(2, '2031-01-06', 1)", "returned rows of"),
            ("(2, 'infinity', 1)", "returned rows of"),
            ("(2, NULL, 1)", "week is NULL"),
        ] {
            let mut client = Database::with_data().connect();
            create_of_table(&mut client);
            let before = contents_of_taken(&mut client);
            client.batch_execute(&format!("TRUNCATE given; INSERT INTO given VALUES {row}")).unwrap();
            let error = refusal(&mut client, &format!("CALL reco.refresh_features('taken', {weeks})"));
            // Rows of no partition that is there are refused by PostgreSQL.
            let ours =
                error.message.contains("the definition of public.taken") && error.message.contains(words);
            let by_bounds =
                weeks.ends_with('9') && error.message.contains("no partition of relation \"taken\"");
            assert!(ours || by_bounds, "{weeks}, {row}: {error:?}");
            assert_eq!(contents_of_taken(&mut client), before, "{weeks}, {row}");
            assert_eq!(newest_record(&mut client, "public.taken"), "failed");
        }
    }
}

fn contents_of_taken(client: &mut Client) -> Vec<String> {
    integration::rows(client, "SELECT * FROM taken ORDER BY 1, 2")
}

#[test]
fn keys_that_are_missing_or_there_twice_are_refused() {
    let mut client = Database::with_data().connect();
    create_of_table(&mut client);
    let before = contents_of_taken(&mut client);
    let again = "CALL reco.refresh_features('taken', '2024-01-01', '2024-01-22', lookback => 9)";
    client.batch_execute("INSERT INTO given VALUES (1, '2024-01-08', 5)").unwrap();
    refusal(&mut client, again).expect("23505", &["duplicate key", "taken_2024"], &[]);
    client
        .batch_execute("DELETE FROM given WHERE amount = 5; INSERT INTO given VALUES (NULL, '2024-01-08', 5)")
        .unwrap();
    refusal(&mut client, again).expect("23502", &["product_id"], &[]);
    assert_eq!(contents_of_taken(&mut client), before);
}

#[test]
fn columns_that_changed_are_converted_or_refused() {
    let mut client = Database::with_data().connect();
    create_of_table(&mut client);
    let before = contents_of_taken(&mut client);
    let again = "CALL reco.refresh_features('taken', '2024-01-01', '2024-01-22', lookback => 9)";
    client.batch_execute("ALTER TABLE given ALTER amount TYPE float8, ADD more integer").unwrap();
    client.batch_execute(again).unwrap();
    assert_eq!(contents_of_taken(&mut client), before, "the view has the columns that it was made with");
    client.batch_execute("ALTER TABLE given ALTER amount TYPE text USING 'a lot'").unwrap();
    refusal(&mut client, again).expect("22P02", &["a lot"], &[]);
    client.batch_execute("ALTER TABLE given DROP amount").unwrap();
    refusal(&mut client, again).expect("42703", &["amount"], &[]);
    assert_eq!(contents_of_taken(&mut client), before);
}

#[test]
fn what_the_checks_of_a_view_find_is_told_or_ends_the_refresh() {
    let database = Database::with_data();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE TABLE findings (severity text, message text, hint text);
             INSERT INTO findings VALUES ('warning', 'half of it is missing', 'Load it.'), ('notice', 'all else is well', NULL)",
        )
        .unwrap();
    create(&mut client, ", checks => 'SELECT severity, message, hint FROM findings WHERE $1 <= $2'");
    let told = database.told_by("CALL reco.refresh_features('demand')");
    assert!(told.contains(&"WARNING: public.demand: half of it is missing. Load it.".to_owned()), "{told:?}");
    assert!(told.contains(&"NOTICE: public.demand: all else is well".to_owned()), "{told:?}");
    let before = contents(&mut client, "demand");
    for (finding, code, message) in [
        ("('error', 'it is all wrong', 'Mend it.')", "22000", "it is all wrong"),
        ("('ERROR', 'it is all wrong', NULL)", "22023", "returned the severity \"ERROR\""),
        ("(NULL, 'it is all wrong', NULL)", "22023", "returned the severity \"\""),
    ] {
        client.batch_execute(&format!("TRUNCATE findings; INSERT INTO findings VALUES {finding}")).unwrap();
        refusal(&mut client, "CALL reco.refresh_features('demand')").expect(code, &[message], &[]);
        assert_eq!(contents(&mut client, "demand"), before);
    }
    for wrong in ["SELECT 1", "SELECT 'error', 'no hint'"] {
        let sql = format!("SELECT reco.create_feature_view('checked', 'SELECT 1 AS k, $1 AS week', '{{k}}', checks => $${wrong}$$)");
        assert_eq!(refusal(&mut client, &sql).code, "22023", "{wrong}");
    }
}
