//! `CALL reco.wait_for`: a deployment that waits until a server, such as a standby, sees a version.

use super::metrics::sample;
use super::standby::wait_until_replayed;
use super::support::{champion, sum_of_scores};
use integration::query::backend_pid;
use integration::{data, refusal, value, wait_until, Background, Cluster, Database, Training};
use postgres::Client;

/// Waits until the session rests between two looks, and asserts that it holds back nothing meanwhile: neither a snapshot nor a
/// lock of a table.
fn assert_rests(observer: &mut Client, backend: i32) {
    let rests = format!(
        "SELECT wait_event = 'Extension' AND backend_xmin IS NULL
            AND NOT EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND locktype = 'relation')
         FROM pg_stat_activity AS a WHERE pid = {backend}"
    );
    wait_until("it waits without a snapshot and without a lock", || {
        value::<Option<bool>>(observer, &rests) == Some(true)
    });
}

#[test]
fn on_a_standby_it_waits_for_the_replay_of_a_promotion() {
    let cluster = Cluster::new();
    let mut primary = cluster.connect("postgres");
    data::create(&mut primary);
    Training::new("launch").call(&mut primary);
    let standby_cluster = cluster.standby_with("hot_standby_feedback = off\n");
    let mut standby = standby_cluster.connect("postgres");
    let mut waiting = standby_cluster.connect("postgres");
    let lag = |client: &mut Client| sample(client, "reco_standby_lag_seconds", "{}");
    // Of a standby that has replayed no commit yet, nobody knows how old the newest is.
    primary.batch_execute("CREATE TABLE something ()").unwrap();
    wait_until_replayed(&mut primary, &mut standby);
    wait_until("it is connected, and has replayed everything", || lag(&mut standby) == 0.0);
    assert_eq!(lag(&mut primary), 0.0);

    standby.batch_execute("SELECT pg_wal_replay_pause()").unwrap();
    wait_until("replay has paused", || {
        value::<String>(&mut standby, "SELECT pg_get_wal_replay_pause_state()") == "paused"
    });
    Training::new("launch").param(r#""seed": 5"#).with("promote => true").call(&mut primary);
    assert_eq!(champion(&mut primary, "launch"), Some(2));
    wait_until("the promotion has arrived, but is not replayed", || lag(&mut standby) > 0.0);
    refusal(&mut waiting, "CALL reco.wait_for('launch', 2, time_limit => '0')").expect(
        "55000",
        &["version 2 as the champion of model \"launch\" was not seen here within 0 s"],
        &["reco_standby_lag_seconds"],
    );
    // In the session that has already looked, and in a read-only transaction, as all are on a standby.
    let pid = backend_pid(&mut waiting);
    let waits = Background::start(waiting, "CALL reco.wait_for('launch', 2)");
    assert_rests(&mut standby, pid);
    assert!(!waits.is_finished());
    assert_eq!(champion(&mut standby, "launch"), Some(1));
    standby.batch_execute("SELECT pg_wal_replay_resume()").unwrap();
    waits.finish().result.unwrap();
    // Every statement that begins after it sees what it saw.
    assert_eq!(champion(&mut standby, "launch"), Some(2));
    assert_eq!(sum_of_scores(&mut standby, "launch"), sum_of_scores(&mut primary, "launch"));

    // Without its primary it has replayed all that it received, and is behind all the same.
    drop(primary);
    cluster.stop(integration::cluster::Stop::Fast);
    wait_until("the lag of a standby without a primary is told", || lag(&mut standby) > 0.0);
}

#[test]
fn it_waits_for_a_model_that_is_not_there_yet_and_for_any_alias() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let wait = |sql: &str, observer: &mut Client| {
        let mut session = database.connect();
        let pid = backend_pid(&mut session);
        let waits = Background::start(session, sql);
        assert_rests(observer, pid);
        waits
    };
    let for_version = wait("CALL reco.wait_for('launch', 1, alias => NULL)", &mut observer);
    let for_champion = wait("CALL reco.wait_for('launch', 1)", &mut observer);
    let for_second = wait("CALL reco.wait_for('launch', 2, 'challenger')", &mut observer);
    Training::new("launch").call(&mut client);
    for_version.finish().result.unwrap();
    for_champion.finish().result.unwrap();
    Training::new("launch").call(&mut client);
    client.batch_execute("SELECT reco.set_alias('launch', 'challenger', 1)").unwrap();
    assert!(!for_second.is_finished());
    client.batch_execute("SELECT reco.set_alias('launch', 'challenger', 2)").unwrap();
    for_second.finish().result.unwrap();
    // What is there is not waited for.
    client.batch_execute("CALL reco.wait_for('launch', 2, NULL, '0')").unwrap();
}

#[test]
fn what_was_seen_instead_is_told() {
    let mut client = Database::trained().connect();
    Training::new("launch").call(&mut client);
    for (arguments, message, detail) in [
        ("'launch', 2", "version 2 as the champion of model \"launch\"", "Here that is version 1."),
        ("'launch', 2, 'challenger'", "version 2 as the challenger of", "Here that is no version."),
        ("'launch', 3, NULL", "version 3 of model \"launch\" was not seen", "has no version 3"),
        ("'nobody', 1", "version 1 as the champion of model \"nobody\"", "model \"nobody\" does not exist"),
    ] {
        let call = format!("CALL reco.wait_for({arguments}, time_limit => '0.05 s')");
        let refused = refusal(&mut client, &call);
        refused.expect("55000", &[message, "within 0.05 s"], &["promoted", "time_limit"]);
        assert!(refused.detail.contains(detail), "{refused:?}");
    }
    for arguments in ["NULL, 1", "'launch', NULL", "'launch', 1, 'champion', NULL"] {
        refusal(&mut client, &format!("CALL reco.wait_for({arguments})")).expect(
            "22023",
            &["must not be NULL"],
            &[],
        );
    }
    client.batch_execute("SELECT reco.archive_version('launch', 2)").unwrap();
    refusal(&mut client, "CALL reco.wait_for('launch', 2, NULL)").expect("55000", &["archived"], &[]);
}

#[test]
fn it_can_be_cancelled_and_runs_in_no_transaction_block() {
    let mut client = Database::trained().connect();
    client.batch_execute("SET statement_timeout = '200ms'").unwrap();
    refusal(&mut client, "CALL reco.wait_for('launch', 9)").expect("57014", &["statement timeout"], &[]);
    client.batch_execute("RESET statement_timeout; BEGIN").unwrap();
    refusal(&mut client, "CALL reco.wait_for('launch', 1)").expect("25001", &["reco.wait_for()"], &[]);
    client.batch_execute("ROLLBACK; SET default_transaction_read_only = on; SET default_transaction_isolation = serializable").unwrap();
    client.batch_execute("CALL reco.wait_for('launch', 1)").unwrap();
}

#[test]
fn it_is_for_those_who_may_score() {
    let database = Database::trained();
    let mut admin = database.connect();
    admin
        .batch_execute("CREATE ROLE waiting_role LOGIN; GRANT USAGE ON SCHEMA reco TO waiting_role")
        .unwrap();
    let mut client = database.connect_as("waiting_role");
    let call = "CALL reco.wait_for('launch', 1, time_limit => '0')";
    refusal(&mut client, call).expect(
        "42501",
        &["permission denied to score with model \"launch\""],
        &["reco.grant_model"],
    );
    admin.batch_execute("SELECT reco.grant_model('launch', 'waiting_role', 'score')").unwrap();
    client.batch_execute(call).unwrap();
}
