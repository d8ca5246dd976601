//! What says that a backend is at work can be neither imitated nor taken away.

use super::support::{locks_held, stored_status, wait_for_status};
use integration::{value, Background, Database, Training};
use postgres::Client;

fn stranger(database: &Database, name: &str) -> Client {
    let sql = format!("CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA reco TO {name}");
    database.connect().batch_execute(&sql).unwrap();
    database.connect_as(name)
}

/// Every advisory lock that a key made of a text could stand for.
fn lock_by_text(client: &mut Client, text: &str) {
    for key in ["hashtextextended($1, 7363756)", "hashtextextended($1, 0)", "hashtext($1)"] {
        let sql = format!("SELECT pg_advisory_lock({key})");
        client.execute(&sql, &[&text]).unwrap();
    }
    client.execute("SELECT pg_advisory_lock('reco.model'::regclass::int, hashtext($1))", &[&text]).unwrap();
}

#[test]
fn no_role_keeps_a_model_from_being_retrained() {
    let database = Database::trained();
    let mut stranger = stranger(&database, "blocks_retraining");
    for text in ["retrain launch", "launch"] {
        lock_by_text(&mut stranger, text);
    }
    database.connect().batch_execute("CALL reco.retrain('launch')").unwrap();
}

#[test]
fn no_role_makes_a_dead_run_look_alive() {
    let database = Database::trained();
    let mut admin = database.connect();
    let id: String = value(
        &mut admin,
        "INSERT INTO reco.run (run_id, model, status, algorithm, source_schema, source_name, parameters, started_by)
         VALUES (gen_random_uuid(), 'launch', 'running', 'mlp', 'public', 'x', '{}', 'postgres') RETURNING run_id::text",
    );
    let mut stranger = stranger(&database, "revives_runs");
    lock_by_text(&mut stranger, &id);
    let alive = format!("SELECT reco.run_is_alive('{id}')");
    assert!(!value::<bool>(&mut admin, &alive));
    // The next training corrects the row.
    Training::new("launch").call(&mut admin);
    assert_eq!(
        value::<String>(&mut admin, &format!("SELECT status FROM reco.run WHERE run_id = '{id}'")),
        "failed"
    );
}

#[test]
fn what_a_source_does_to_the_sessions_locks_leaves_the_run_alive() {
    let database = Database::with_data();
    let mut observer = database.connect();
    observer
        .batch_execute(
            "CREATE FUNCTION unlock_all() RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_unlock_all(); RETURN true; END $$;
             CREATE VIEW unlocking AS SELECT * FROM launch_features WHERE unlock_all()",
        )
        .unwrap();
    let training = Training::endless("launch").source("unlocking").with("keys => '{product_id,region}'");
    let (training, _) = Background::training(database.connect(), &training, &mut observer);
    wait_for_status(&mut observer, "launch", "running");
    assert_eq!(locks_held(&mut observer, training.backend), 1);
    training.cancel();
    training.finish();
    assert_eq!(stored_status(&mut observer, "launch"), "cancelled");
}
