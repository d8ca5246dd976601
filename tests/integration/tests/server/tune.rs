//! The best of several trials, each a run.

use super::support::{champion, locks_held, stored_status, versions};
use integration::process::Process;
use integration::query::backend_pid;
use integration::tuning::{set_faulty_trainer, TRAININGS_OF_NINE};
use integration::{rows, value, Database, Training, Tuning};
use postgres::Client;

/// Parameters of the only version of `tuned`.
fn parameter(client: &mut Client, name: &str) -> String {
    value(client, &format!("SELECT parameters ->> '{name}' FROM reco.versions WHERE model = 'tuned'"))
}

#[test]
fn the_best_trial_becomes_the_version() {
    let mut client = Database::with_data().connect();
    Tuning::new("tuned").search(r#"{"learning_rate": [0.0000001, 0.01]}"#).trials(6).call(&mut client);
    assert_eq!(parameter(&mut client, "learning_rate"), "0.01");
    assert_eq!((versions(&mut client, "tuned"), champion(&mut client, "tuned")), (vec![1], Some(1)));
    let worse = "SELECT max(value) FILTER (WHERE params = '{\"learning_rate\": 1e-7}') + 0.1 \
                        < max(value) FILTER (WHERE params = '{\"learning_rate\": 0.01}') FROM reco.trials";
    assert!(value::<bool>(&mut client, worse), "{:?}", rows(&mut client, "SELECT * FROM reco.trials"));
    // The trial's own value, of validation rows, and nothing better among those trained as long.
    let same =
        "SELECT t.value = (v.metrics #>> '{validation,model,average_precision}')::float8 AND t.version = 1 \
                       AND t.metric = 'average_precision' \
                       AND t.value = (SELECT max(value) FROM reco.trials) AND t.budget = (v.parameters ->> 'epochs')::int \
                FROM reco.versions AS v JOIN reco.trials AS t USING (run_id)";
    assert!(value::<bool>(&mut client, same));
    // The version is refit as it would be after a training; its trials were not.
    let refit = "SELECT (v.data ->> 'refit_rows')::bigint = (SELECT count(purchased) FROM launch_features)
                        AND v.parameters ->> 'refit' = 'true' AND NOT bool_or((r.parameters ->> 'refit')::bool)
                 FROM reco.versions AS v, reco.runs AS r WHERE r.tune_id IS NOT NULL GROUP BY v.data, v.parameters";
    assert!(value::<bool>(&mut client, refit));
    let ended = "SELECT status, version, trials, error IS NULL, finished_at >= started_at FROM reco.tunes";
    assert_eq!(rows(&mut client, ended), ["(succeeded,1,6,t,t)"]);
    let runs = "SELECT DISTINCT status, finished_at >= started_at FROM reco.runs WHERE tune_id IS NOT NULL";
    assert_eq!(rows(&mut client, runs), ["(succeeded,t)"]);
    let epochs = "SELECT count(DISTINCT run_id) = (SELECT count(*) FROM reco.trials) FROM reco.run_metrics";
    assert!(value::<bool>(&mut client, epochs), "each trial has its epochs");
    let backend = backend_pid(&mut client);
    assert_eq!((locks_held(&mut client, backend), Process::children(backend)), (0, vec![]));
    let files = format!("SELECT count(*) FROM pg_ls_tmpdir() WHERE name LIKE 'pgsql\\_tmp{backend}.%'");
    assert_eq!(value::<i64>(&mut client, &files), 0);
}

#[test]
fn the_best_third_of_a_bracket_is_trained_longer() {
    let mut client = Database::with_data().connect();
    Tuning::new("tuned").call(&mut client);
    let rungs = "SELECT rung, budget, count(*) FROM reco.trials GROUP BY 1, 2 ORDER BY 1";
    assert_eq!(rows(&mut client, rungs), ["(0,1,4)", "(1,3,4)", "(2,9,4)"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.trials"), TRAININGS_OF_NINE);
    // Trials 3 to 6 begin with one epoch; 7 to 9 with three.
    let advanced = "SELECT array_agg(trial ORDER BY trial) FILTER (WHERE rung = 1 AND trial < 7) = \
                           (SELECT ARRAY[trial] FROM reco.trials WHERE rung = 0 ORDER BY value DESC, trial LIMIT 1) \
                    FROM reco.trials";
    assert!(value::<bool>(&mut client, advanced), "{:?}", rows(&mut client, "SELECT * FROM reco.trials"));
    let differ = "SELECT count(DISTINCT params) FROM reco.trials";
    assert_eq!(value::<i64>(&mut client, differ), 9);
}

#[test]
fn a_loss_is_the_better_the_smaller_it_is() {
    let mut client = Database::with_data().connect();
    let quantities =
        "CREATE VIEW quantities AS SELECT product_id, region, week, price, sales_1w, households, sales_4w \
                      FROM launch_features";
    client.batch_execute(quantities).unwrap();
    Tuning::new("tuned")
        .source("quantities")
        .search(r#"{"learning_rate": [0.0000001, 0.01]}"#)
        .trials(6)
        .with("label => 'sales_4w'")
        .with("metric => 'mae'")
        .call(&mut client);
    assert_eq!(parameter(&mut client, "learning_rate"), "0.01");
    let least = "SELECT value = (SELECT min(value) FROM reco.trials) AND metric = 'mae' \
                 FROM reco.trials WHERE version = 1";
    assert!(value::<bool>(&mut client, least), "{:?}", rows(&mut client, "SELECT * FROM reco.trials"));
}

#[test]
fn the_budget_of_trees_is_their_number() {
    let mut client = Database::with_data().connect();
    let sql = "CALL reco.tune('tuned', 'launch_features', 'purchased', 'boosted_trees', trials => 9, params => '{\"trees\": 27}')";
    client.batch_execute(sql).unwrap();
    let rungs = "SELECT DISTINCT rung, budget FROM reco.trials ORDER BY 1";
    assert_eq!(rows(&mut client, rungs), ["(0,3)", "(1,9)", "(2,27)"]);
    let algorithms = "SELECT DISTINCT r.algorithm, v.algorithm FROM reco.runs AS r, reco.versions AS v";
    assert_eq!(rows(&mut client, algorithms), ["(boosted_trees,boosted_trees)"]);
}

#[test]
fn without_a_search_the_first_trial_has_the_defaults() {
    let mut client = Database::with_data().connect();
    let sql = "CALL reco.tune('tuned', 'launch_features', 'purchased', trials => 2, params => '{\"epochs\": 1, \"hidden\": [4]}')";
    client.batch_execute(sql).unwrap();
    let sql = "SELECT trial, params ? 'dropout', params ? 'hidden', params -> 'dropout' = 'null', params -> 'batch_size' = 'null' \
               FROM reco.trials ORDER BY trial LIMIT 1";
    assert_eq!(rows(&mut client, sql), ["(1,t,f,t,t)"]);
    assert_eq!(parameter(&mut client, "hidden"), "[4]");
}

#[test]
fn a_version_is_promoted_only_when_asked() {
    let mut client = Database::with_data().connect();
    Training::new("tuned").param(r#""epochs": 1"#).call(&mut client);
    let tuning = Tuning::new("tuned").trials(1);
    tuning.call(&mut client);
    assert_eq!(champion(&mut client, "tuned"), Some(1));
    tuning.clone().with("promote => true").call(&mut client);
    assert_eq!(champion(&mut client, "tuned"), Some(3));
}

#[test]
fn a_trial_that_fails_stops_no_other() {
    let database = Database::with_data();
    let mut client = database.connect();
    set_faulty_trainer(&mut client, &database, "$n -ne 2", "echo no luck >&2; exit 3");
    Tuning::new("tuned").with("parallel => 1").call(&mut client);
    let failed = "SELECT trial, rung, value, error FROM reco.trials WHERE status = 'failed'";
    let failed = rows(&mut client, failed);
    assert!(
        failed.len() == 1 && failed[0].starts_with("(2,2,,\"the trainer ended with exit code 3"),
        "{failed:?}"
    );
    let others = "SELECT count(*) FROM reco.trials WHERE status = 'succeeded'";
    assert_eq!(value::<i64>(&mut client, others), TRAININGS_OF_NINE - 1);
    assert_eq!(versions(&mut client, "tuned"), [1]);
}

#[test]
fn if_every_trial_fails_so_does_the_search() {
    let database = Database::with_data();
    let mut client = database.connect();
    set_faulty_trainer(&mut client, &database, "$n -le 0", "exit 3");
    Tuning::new("tuned").trials(3).refused(&mut client).expect("38000", &["exit code 3"], &[]);
    let ended = "SELECT status, error LIKE '%exit code 3%', version FROM reco.tune";
    assert_eq!(rows(&mut client, ended), ["(failed,t,)"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.run WHERE status = 'failed'"), 3);
    assert!(rows(&mut client, "SELECT * FROM reco.models").is_empty());
}

#[test]
fn rows_that_no_trial_can_learn_from_end_it_at_once() {
    let mut client = Database::with_data().connect();
    client.batch_execute("CREATE VIEW bought AS SELECT * FROM launch_features WHERE purchased").unwrap();
    let tuning = Tuning::new("tuned").source("bought").with("parallel => 2");
    tuning.refused(&mut client).expect("22000", &["the label is true"], &[]);
    assert!(value::<i64>(&mut client, "SELECT count(*) FROM reco.trials") <= 2);
    assert_eq!(stored_status(&mut client, "tuned"), "failed");
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.run WHERE status = 'running'"), 0);
    assert_eq!(rows(&mut client, "SELECT status FROM reco.tune"), ["(failed)"]);
}

#[test]
fn when_the_time_is_up_it_ends_with_the_best_so_far() {
    let database = Database::with_data();
    let mut client = database.connect();
    let backend = backend_pid(&mut client);
    set_faulty_trainer(&mut client, &database, "$n -le 1", "exec sleep 100000");
    Tuning::new("tuned")
        .params(r#"{"epochs": 9, "batch_size": 256, "threads": 1, "refit": false}"#)
        .with("time_budget => '15 s'")
        .with("parallel => 1")
        .call(&mut client);
    assert_eq!(Process::children(backend), []);
    let trials = "SELECT trial, status, version FROM reco.trials ORDER BY trial";
    assert_eq!(rows(&mut client, trials), ["(1,succeeded,1)", "(2,cancelled,)"]);
    assert_eq!(rows(&mut client, "SELECT status, version FROM reco.tune"), ["(succeeded,1)"]);
    assert_eq!(locks_held(&mut client, backend), 0);
}

#[test]
fn a_time_in_which_no_trial_ends_is_an_error() {
    let database = Database::with_data();
    let mut client = database.connect();
    set_faulty_trainer(&mut client, &database, "$n -le 0", "exec sleep 100000");
    let tuning = Tuning::new("tuned").with("time_budget => '2 s'");
    tuning.refused(&mut client).expect("22023", &["no trial ended within time_budget"], &["time"]);
    assert_eq!(rows(&mut client, "SELECT status FROM reco.tune"), ["(failed)"]);
    assert_eq!(rows(&mut client, "SELECT DISTINCT status FROM reco.run"), ["(cancelled)"]);
    assert_eq!(Process::children(backend_pid(&mut client)), []);
}

#[test]
fn inside_a_transaction_it_is_part_of_it() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    let tuning = Tuning::new("tuned").trials(3).params(r#"{"epochs": 1, "threads": 1}"#);
    client.batch_execute("BEGIN").unwrap();
    tuning.call(&mut client);
    let all = "SELECT (SELECT count(*) FROM reco.tune) + (SELECT count(*) FROM reco.run) + (SELECT count(*) FROM reco.version)";
    assert_eq!(value::<i64>(&mut observer, all), 0);
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(value::<i64>(&mut client, all), 0);
    client.batch_execute("BEGIN").unwrap();
    tuning.call(&mut client);
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(value::<i64>(&mut observer, all), 1 + 3 + 1);
    assert_eq!(rows(&mut observer, "SELECT DISTINCT status FROM reco.runs"), ["(succeeded)"]);
    let backend = backend_pid(&mut client);
    assert_eq!(locks_held(&mut client, backend), 0);
}
