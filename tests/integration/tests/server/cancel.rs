//! Ways to stop a training. However it is stopped, the trainer is gone within a second and no run says `running`.

use super::support::{locks_held, status, stored_status, versions, wait_for_status};
use integration::process::Process;
use integration::query::backend_pid;
use integration::tuning::set_faulty_trainer;
use integration::{refusal, value, wait_until, Background, Database, Training};
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn pg_cancel_backend_stops_it_within_a_second() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, trainer) =
        Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    let backend = training.backend;
    assert_eq!(locks_held(&mut observer, backend), 1);
    let asked = Instant::now();
    let cancel = format!("SELECT pg_cancel_backend({backend})");
    assert!(value::<bool>(&mut observer, &cancel));
    let mut ended = training.finish();
    assert!(ended.at - asked <= AT_ONCE, "{:?}", ended.at - asked);
    ended.refusal().expect("57014", &["user request"], &[]);
    assert!(!trainer.is_alive());
    assert_eq!(stored_status(&mut observer, "launch"), "cancelled");
    assert!(versions(&mut observer, "launch").is_empty());

    // The session goes on.
    assert_eq!(locks_held(&mut observer, backend), 0);
    Training::new("launch").call(&mut ended.client);
    assert_eq!(versions(&mut observer, "launch"), [1]);
    assert_eq!(locks_held(&mut observer, backend), 0);
}

#[test]
fn the_drivers_cancel_stops_it_within_a_second() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, trainer) =
        Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    let asked = Instant::now();
    training.cancel();
    let ended = training.finish();
    assert!(ended.at - asked <= AT_ONCE, "{:?}", ended.at - asked);
    ended.refusal().expect("57014", &["user request"], &[]);
    assert!(!trainer.is_alive());
    assert_eq!(stored_status(&mut observer, "launch"), "cancelled");
}

#[test]
fn statement_timeout_stops_it_within_a_second() {
    let database = Database::with_data();
    let mut client = database.connect();
    client.batch_execute("SET statement_timeout = '3s'").unwrap();
    let asked = Instant::now();
    Training::endless("launch").refused(&mut client).expect("57014", &["statement timeout"], &[]);
    let took = asked.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(3) + AT_ONCE).contains(&took), "{took:?}");
    let backend = backend_pid(&mut client);
    assert_eq!(Process::children(backend), []);
    client.batch_execute("RESET statement_timeout").unwrap();
    assert_eq!(stored_status(&mut client, "launch"), "cancelled");
}

#[test]
fn a_cancel_while_the_rows_are_read_stops_it_within_a_second() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let slow = "CREATE VIEW slow AS SELECT f.*, pg_sleep(0.01) IS NULL AS waited FROM launch_features AS f";
    observer.batch_execute(slow).unwrap();
    let training = Background::start(database.connect(), &Training::new("slow").source("slow").sql());
    wait_until("the rows are being read", || {
        let sql =
            format!("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {}", training.backend);
        value::<Option<bool>>(&mut observer, &sql) == Some(true)
    });
    assert_eq!(status(&mut observer, "slow"), "running");
    let asked = Instant::now();
    training.cancel();
    let ended = training.finish();
    assert!(ended.at - asked <= AT_ONCE, "{:?}", ended.at - asked);
    ended.refusal().expect("57014", &["user request"], &[]);
    assert_eq!(stored_status(&mut observer, "slow"), "cancelled");
}

#[test]
fn a_cancel_while_the_client_is_told_something_is_recorded() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    // Thousands of warnings, more than a pipe holds, and a cancel while they are told.
    let trainer = r#"said='{"event":"warning","message":"again"}
'
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13; do said=$said$said; done
printf %s "$said"
kill -INT $PPID
exec sleep 100000"#;
    set_faulty_trainer(&mut client, &database, "$n -eq 0", trainer);
    let backend = backend_pid(&mut client);
    Training::new("launch").refused(&mut client).expect("57014", &["user request"], &[]);
    assert_eq!(stored_status(&mut observer, "launch"), "cancelled");
    assert_eq!(locks_held(&mut observer, backend), 0);
    assert_eq!(Process::children(backend), []);
}

#[test]
fn pg_terminate_backend_leaves_no_trainer_and_no_running_run() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let (training, trainer) =
        Background::training(database.connect(), &Training::endless("launch"), &mut observer);
    let asked = Instant::now();
    assert!(value::<bool>(&mut observer, &format!("SELECT pg_terminate_backend({})", training.backend)));
    let ended = training.finish();
    assert!(ended.at - asked <= AT_ONCE, "{:?}", ended.at - asked);
    trainer.wait_until_gone();
    wait_until("the run is over", || status(&mut observer, "launch") != "running");
    let stored = stored_status(&mut observer, "launch");
    assert!(["cancelled", "failed"].contains(&stored.as_str()), "{stored}");
    assert!(versions(&mut observer, "launch").is_empty());
}

#[test]
fn a_client_that_is_gone_leaves_no_trainer_and_no_running_run() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let mut psql = database
        .cluster
        .client_program("psql")
        .args(["-X", "-d", &database.name, "-c", &Training::endless("launch").sql()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let backend = "SELECT (SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                           AND application_name = 'psql' AND query LIKE 'CALL%')";
    wait_until("psql calls it", || value::<Option<i32>>(&mut observer, backend).is_some());
    let backend = value::<Option<i32>>(&mut observer, backend).unwrap();
    let trainer = Process::trainer_of(backend);
    wait_for_status(&mut observer, "launch", "running");
    psql.kill().unwrap();
    psql.wait().unwrap();
    // The server learns of it when it next tells the client something.
    trainer.wait_until_gone();
    wait_until("the run is over", || status(&mut observer, "launch") != "running");
}

#[test]
fn inside_a_transaction_a_cancel_can_be_rolled_back_to_a_savepoint() {
    let database = Database::trained();
    let mut client = database.connect();
    let backend = backend_pid(&mut client);
    client
        .batch_execute("BEGIN; CREATE TABLE before (); SAVEPOINT here; SET LOCAL statement_timeout = '3s'")
        .unwrap();
    refusal(&mut client, &Training::endless("launch").sql()).expect("57014", &["statement timeout"], &[]);
    assert_eq!(Process::children(backend), []);
    client.batch_execute("ROLLBACK TO here; COMMIT").unwrap();
    assert!(value::<bool>(&mut client, "SELECT to_regclass('before') IS NOT NULL"));
    assert_eq!(
        value::<i64>(&mut client, "SELECT count(*) FROM reco.runs"),
        1,
        "only the first version's run"
    );
}

#[test]
fn a_cancel_at_any_moment_is_recorded() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let training = Training::endless("launch");
    for milliseconds in (0..40).map(|n| n % 8 * 4) {
        let running = Background::start(database.connect(), &training.sql());
        wait_for_status(&mut observer, "launch", "running");
        // While the rows are read, or told of, or the trainer starts.
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.cancel();
        assert_eq!(running.finish().refusal().code, "57014");
        assert_eq!(stored_status(&mut observer, "launch"), "cancelled", "after {milliseconds} ms");
    }
}
