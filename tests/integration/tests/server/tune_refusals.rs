//! Bad arguments of a search, and who may make one.

use super::support::versions;
use integration::{refusal, rows, Database, Tuning};

#[test]
fn what_cannot_be_searched_is_refused_before_anything_is_recorded() {
    let mut client = Database::with_data().connect();
    let plain = || Tuning::new("tuned");
    for (tuning, words, hint) in [
        (plain().with("algorithm => 'auto'"), "algorithm \"auto\" cannot be tuned", "mlp"),
        (plain().with("algorithm => 'popularity'"), "algorithm \"popularity\" cannot be tuned", "mlp"),
        (plain().search(r#"{"depth": [1]}"#), "unknown training parameter \"depth\"", "hidden"),
        (plain().search(r#"{"dropout": {"min": 0, "max": 2}}"#), "\"dropout\" cannot be 2", "0.95"),
        (plain().search(r#"{"epochs": [1, 2]}"#), "\"epochs\" is the budget", "passes"),
        (plain().search(r#"{"threads": [1, 2]}"#), "\"threads\"", ""),
        (plain().search(r#"{"batch_size": [1]}"#), "\"batch_size\" is in params and in search", ""),
        (plain().search("[]"), "search must be a JSON object", "learning_rate"),
        (plain().params("[]"), "params must be a JSON object", ""),
        (plain().params(r#"{"epoch": 1}"#), "unknown training parameter \"epoch\"", "epochs"),
        (plain().params(r#"{"validation_share": 0}"#), "needs validation rows", "validation_share"),
        (plain().trials(0), "trials is from 1 to 10000, not 0", ""),
        (plain().with("parallel => -1"), "parallel is from 0 to 64, not -1", ""),
        (plain().with("time_budget => '0 s'"), "time_budget must be longer", ""),
        (plain().with("time_budget => '-1 h'"), "time_budget must be longer", ""),
        (plain().with("metric => 'speed'"), "\"metric\" cannot be", "auroc"),
        (plain().params(r#"{"metric": "auroc"}"#).with("metric => 'auroc'"), "metric is in params and", ""),
        (plain().with("promote => NULL"), "promote must not be NULL", ""),
    ] {
        tuning.refused(&mut client).expect("22023", &[words], &[hint]);
    }
    Tuning::new("tuned").with("time_column => 'nothing'").refused(&mut client).expect(
        "42703",
        &["\"nothing\""],
        &[],
    );
    assert!(
        rows(&mut client, "SELECT tune_id FROM reco.tune UNION ALL SELECT run_id FROM reco.run").is_empty()
    );
}

#[test]
fn a_metric_of_another_task_is_refused_with_the_first_trial() {
    let mut client = Database::with_data().connect();
    let tuning = Tuning::new("tuned").with("metric => 'rmse'");
    tuning.refused(&mut client).expect("22023", &["rmse", "binary"], &["auroc"]);
    assert_eq!(rows(&mut client, "SELECT status FROM reco.tune"), ["(failed)"]);
}

#[test]
fn only_the_models_owner_tunes_it_and_only_from_what_it_may_read() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let quick = Tuning::new("tuned").trials(1).params(r#"{"epochs": 1}"#);
    quick.call(&mut admin);
    let role = "CREATE ROLE tuner LOGIN; GRANT USAGE ON SCHEMA reco TO tuner";
    admin.batch_execute(role).unwrap();
    let mut client = database.connect_as("tuner");
    quick.refused(&mut client).expect("42501", &["permission denied", "\"tuned\""], &["owner"]);
    let own = Tuning::new("own").trials(1).params(r#"{"epochs": 1}"#);
    own.refused(&mut client).expect("42501", &["permission denied", "launch_features"], &[]);
    assert!(versions(&mut client, "own").is_empty());
    admin.batch_execute("GRANT SELECT ON launch_features TO tuner").unwrap();
    own.call(&mut client);
    let by = "SELECT started_by, status FROM reco.tunes WHERE model = 'own' ORDER BY started_at";
    assert_eq!(rows(&mut client, by), ["(tuner,succeeded)"]);
    for view in ["tunes", "trials"] {
        client.batch_execute(&format!("SELECT * FROM reco.{view}")).unwrap();
    }
    let table = refusal(&mut client, "SELECT * FROM reco.tune");
    table.expect("42501", &["permission denied"], &[]);
}

#[test]
fn a_read_only_transaction_refuses_it() {
    let mut client = Database::with_data().connect();
    client.batch_execute("BEGIN READ ONLY").unwrap();
    Tuning::new("tuned").refused(&mut client).expect("25006", &["reco.tune()", "read-only"], &[]);
}
