//! A search that was cut off leaves nothing running, and the same call goes on with it.

use super::support::{artifact, locks_held, versions};
use integration::process::Process;
use integration::query::backend_pid;
use integration::tuning::{set_faulty_trainer, TRAININGS_OF_NINE};
use integration::wait::wait_minutes_until;
use integration::{rows, value, wait_until, Background, Database, Tuning};
use postgres::Client;
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(1);

/// Trials that succeeded, with their runs.
const SUCCEEDED: &str =
    "SELECT trial, rung, run_id, value FROM reco.trials WHERE model = 'tuned' AND status = 'succeeded' ORDER BY 1, 2";

/// A search of which so many trainings succeed, one after the other, and the next goes on until it is stopped.
fn cut_off_after(database: &Database, trainings: u32, observer: &mut Client) -> Background {
    let mut client = database.connect();
    set_faulty_trainer(&mut client, database, &format!("$n -le {trainings}"), "exec sleep 100000");
    let background = Background::start(client, &Tuning::new("tuned").with("parallel => 1").sql());
    wait_minutes_until("so many trials are trained and one is under way", || {
        assert!(!background.is_finished(), "the search ended");
        let sql = "SELECT count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status = 'running') FROM reco.trials";
        rows(observer, sql) == [format!("({trainings},1)")]
    });
    background
}

/// The search goes on and ends as one that was never cut off.
fn assert_goes_on(database: &Database, observer: &mut Client, trained: &[String]) {
    let tune: Vec<String> = rows(observer, "SELECT tune_id FROM reco.tunes");
    let mut client = database.connect();
    Tuning::new("tuned").with("parallel => 2").call(&mut client);
    assert_eq!(rows(observer, "SELECT tune_id FROM reco.tunes"), tune, "no new search");
    assert_eq!(rows(observer, "SELECT status, version FROM reco.tune"), ["(succeeded,1)"]);
    let after = rows(observer, SUCCEEDED);
    assert!(trained.iter().all(|row| after.contains(row)), "{trained:?} {after:?}");
    // Nothing is trained twice, but the best if its weights are gone.
    let twice =
        "SELECT count(*) - count(DISTINCT (trial, rung)), count(DISTINCT (trial, rung)) FROM reco.trials \
                 WHERE status = 'succeeded'";
    let twice = rows(observer, twice);
    let either = [0, 1].map(|again| format!("({again},{TRAININGS_OF_NINE})"));
    assert!(either.contains(&twice[0]), "{twice:?}");

    Tuning::new("whole").call(&mut client);
    let params = "SELECT DISTINCT parameters FROM reco.versions";
    assert_eq!(rows(observer, params).len(), 1);
    assert!(artifact(observer, "tuned", 1) == artifact(observer, "whole", 1), "the same weights");
    let values = |model| {
        format!(
            "SELECT DISTINCT trial, rung, value FROM reco.trials WHERE model = '{model}' \
                                  AND status = 'succeeded' ORDER BY 1, 2"
        )
    };
    assert_eq!(rows(observer, &values("tuned")), rows(observer, &values("whole")));
}

#[test]
fn after_a_cancel_it_goes_on_where_it_stood() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let search = cut_off_after(&database, 4, &mut observer);
    let trainer = Process::trainer_of(search.backend);
    assert_eq!(locks_held(&mut observer, search.backend), 2, "of the search and of its trial");
    assert_eq!(rows(&mut observer, "SELECT status FROM reco.tunes"), ["(running)"]);
    let asked = Instant::now();
    assert!(value::<bool>(&mut observer, &format!("SELECT pg_cancel_backend({})", search.backend)));
    let backend = search.backend;
    let ended = search.finish();
    assert!(ended.at - asked <= AT_ONCE, "{:?}", ended.at - asked);
    ended.refusal().expect("57014", &["user request"], &[]);
    assert!(!trainer.is_alive());
    assert_eq!(Process::children(backend), []);
    assert_eq!(locks_held(&mut observer, backend), 0);
    assert_eq!(rows(&mut observer, "SELECT status, version FROM reco.tune"), ["(cancelled,)"]);
    assert_eq!(
        rows(&mut observer, "SELECT status, count(*) FROM reco.run GROUP BY 1 ORDER BY 1"),
        ["(cancelled,1)", "(succeeded,4)"]
    );
    assert!(versions(&mut observer, "tuned").is_empty());
    let trained = rows(&mut observer, SUCCEEDED);
    assert_goes_on(&database, &mut observer, &trained);
}

#[test]
fn the_best_is_trained_again_if_its_weights_went_with_the_cancelled_call() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let all_but_one = TRAININGS_OF_NINE as u32 - 1;
    let search = cut_off_after(&database, all_but_one, &mut observer);
    search.cancel();
    search.finish().refusal().expect("57014", &[], &[]);
    let trained = rows(&mut observer, SUCCEEDED);
    assert_goes_on(&database, &mut observer, &trained);
    let best = "SELECT count(*) FROM reco.trials AS t JOIN reco.trials AS w USING (tune_id, trial, rung) \
                WHERE w.version = 1 AND w.model = 'tuned' AND t.status = 'succeeded'";
    assert_eq!(
        value::<i64>(&mut observer, best),
        2,
        "{:?}",
        rows(&mut observer, "SELECT * FROM reco.trials")
    );
}

#[test]
fn after_its_backend_was_terminated_it_goes_on_too() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let search = cut_off_after(&database, 2, &mut observer);
    let trainer = Process::trainer_of(search.backend);
    assert!(value::<bool>(&mut observer, &format!("SELECT pg_terminate_backend({})", search.backend)));
    search.finish();
    trainer.wait_until_gone();
    wait_until("the search is over", || {
        rows(&mut observer, "SELECT status FROM reco.tunes") != ["(running)"]
    });
    let trained = rows(&mut observer, SUCCEEDED);
    assert_goes_on(&database, &mut observer, &trained);
    assert_eq!(value::<i64>(&mut observer, "SELECT count(*) FROM reco.run WHERE status = 'running'"), 0);
}

#[test]
fn other_rows_or_other_settings_begin_a_new_search() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let search = cut_off_after(&database, 2, &mut observer);
    search.cancel();
    search.finish().refusal().expect("57014", &[], &[]);
    let other = Tuning::new("tuned").trials(1);
    other.call(&mut observer);
    let statuses = "SELECT status, error FROM reco.tune ORDER BY started_at";
    assert_eq!(rows(&mut observer, statuses), ["(cancelled,)", "(succeeded,)"]);

    let change = "UPDATE launch_features SET clicks = clicks + 1 WHERE (product_id, region, week) = (1, 'r0', '2024-01-01')";
    observer.batch_execute(change).unwrap();
    Tuning::new("tuned").call(&mut observer);
    assert_eq!(
        rows(&mut observer, statuses),
        ["(failed,\"the rows have changed\")", "(succeeded,)", "(succeeded,)"]
    );
    let whole = "SELECT count(*) FROM reco.trials WHERE status = 'succeeded' \
                   AND tune_id = (SELECT tune_id FROM reco.tunes ORDER BY started_at DESC LIMIT 1)";
    assert_eq!(value::<i64>(&mut observer, whole), TRAININGS_OF_NINE);

    // One that has succeeded is not gone on with.
    other.call(&mut observer);
    assert_eq!(value::<i64>(&mut observer, "SELECT count(*) FROM reco.tune"), 4);
}

#[test]
fn statement_timeout_stops_all_trainers_within_a_second() {
    let database = Database::with_data();
    let mut client = database.connect();
    let backend = backend_pid(&mut client);
    client.batch_execute("SET statement_timeout = '4s'").unwrap();
    let endless = r#"{"epochs": 100000, "patience": 0, "threads": 1}"#;
    let asked = Instant::now();
    let tuning = Tuning::new("tuned").params(endless).with("parallel => 2");
    tuning.refused(&mut client).expect("57014", &["statement timeout"], &[]);
    let took = asked.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(4) + AT_ONCE).contains(&took), "{took:?}");
    assert_eq!(Process::children(backend), []);
    client.batch_execute("RESET statement_timeout").unwrap();
    let trials = "SELECT trial, status FROM reco.trials ORDER BY 1";
    assert_eq!(rows(&mut client, trials), ["(1,cancelled)", "(2,cancelled)"]);
    assert_eq!(rows(&mut client, "SELECT status FROM reco.tune"), ["(cancelled)"]);
    assert_eq!(locks_held(&mut client, backend), 0);
}

#[test]
fn two_calls_at_once_are_two_searches() {
    let database = Database::with_data();
    let mut observer = database.connect();
    let search = cut_off_after(&database, 1, &mut observer);
    Tuning::new("tuned").call(&mut observer);
    search.cancel();
    search.finish().refusal().expect("57014", &[], &[]);
    let statuses = "SELECT status FROM reco.tune ORDER BY started_at";
    assert_eq!(rows(&mut observer, statuses), ["(cancelled)", "(succeeded)"]);
}

#[test]
fn inside_a_transaction_a_cancel_leaves_no_trainer() {
    let database = Database::with_data();
    let mut client = database.connect();
    let backend = backend_pid(&mut client);
    set_faulty_trainer(&mut client, &database, "$n -le 1", "exec sleep 100000");
    client.batch_execute("BEGIN; SET LOCAL statement_timeout = '4s'").unwrap();
    Tuning::new("tuned").with("parallel => 2").refused(&mut client).expect(
        "57014",
        &["statement timeout"],
        &[],
    );
    assert_eq!(Process::children(backend), []);
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(locks_held(&mut client, backend), 0);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.tune"), 0);
}
