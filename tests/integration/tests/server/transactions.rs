use super::support::{champion, status, versions, wait_for_lock};
use integration::wait::wait_until;
use integration::{rows, value, Background, Database, Training};
use postgres::Client;

fn catalog_is_empty(client: &mut Client) -> bool {
    ["model", "version", "artifact", "alias", "run", "run_metric"]
        .iter()
        .all(|table| rows(client, &format!("SELECT 1 FROM reco.{table}")).is_empty())
}

#[test]
fn in_a_transaction_block_nothing_is_seen_before_commit_and_all_after() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    client.batch_execute("BEGIN").unwrap();
    Training::new("launch").call(&mut client);
    assert_eq!(versions(&mut client, "launch"), [1]);
    let own: Option<f64> = value(&mut client, "SELECT reco.recommend(1, 'r1')");
    assert!(own.is_some(), "the transaction itself scores with it");
    assert!(catalog_is_empty(&mut observer));
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(champion(&mut observer, "launch"), Some(1));
    assert_eq!(status(&mut observer, "launch"), "succeeded");
    assert_eq!(value::<Option<f64>>(&mut observer, "SELECT reco.recommend(1, 'r1')"), own);
}

#[test]
fn rollback_leaves_nothing() {
    let database = Database::with_data();
    let (mut client, mut observer) = (database.connect(), database.connect());
    client.batch_execute("BEGIN; UPDATE launch_features SET purchased = NOT purchased").unwrap();
    Training::new("launch").call(&mut client);
    client.batch_execute("ROLLBACK").unwrap();
    assert!(catalog_is_empty(&mut client) && catalog_is_empty(&mut observer));
}

#[test]
fn a_transaction_trains_on_its_own_changes() {
    let mut client = Database::with_data().connect();
    client.batch_execute("BEGIN; DELETE FROM launch_features WHERE region = 'r0'").unwrap();
    Training::new("launch").call(&mut client);
    client.batch_execute("COMMIT").unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT (data ->> 'rows')::bigint FROM reco.versions"), 4500);
}

#[test]
fn a_function_and_a_do_block_train() {
    let mut client = Database::with_data().connect();
    let call = Training::new("launch").sql();
    client
        .batch_execute(&format!(
            "CREATE FUNCTION train_it() RETURNS bigint LANGUAGE plpgsql AS $f$
             BEGIN {call}; RETURN (SELECT count(*) FROM reco.versions); END $f$"
        ))
        .unwrap();
    assert_eq!(value::<i64>(&mut client, "SELECT train_it()"), 1);
    client.batch_execute(&format!("DO $d$ BEGIN {call}; END $d$")).unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2]);
    client
        .batch_execute(&format!(
            "CREATE PROCEDURE train_both() LANGUAGE plpgsql AS $f$ BEGIN {call}; COMMIT; {call}; END $f$"
        ))
        .unwrap();
    client.batch_execute("CALL train_both()").unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2, 3, 4]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.runs WHERE status = 'succeeded'"), 4);
}

#[test]
fn a_block_with_an_exception_handler_trains() {
    let mut client = Database::with_data().connect();
    let call = Training::new("launch").sql();
    let block = format!(
        "DO $d$ BEGIN
             BEGIN {call}; EXCEPTION WHEN undefined_table THEN RAISE; END;
         END $d$"
    );
    client.batch_execute(&block).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(versions(&mut client, "launch"), [1]);
}

#[test]
fn an_exception_handler_catches_a_failed_training() {
    let mut client = Database::with_data().connect();
    let call = Training::new("launch").label("no_such_column").sql();
    let block = format!("DO $d$ BEGIN {call}; EXCEPTION WHEN undefined_column THEN PERFORM 1; END $d$");
    client.batch_execute(&block).unwrap_or_else(|error| panic!("{error:?}"));
    let call = Training::new("launch").param(r#""validation_share": 0, "test_share": 0"#);
    let one_class = "CREATE VIEW all_bought AS SELECT * FROM launch_features WHERE purchased";
    client.batch_execute(one_class).unwrap();
    let call = call.source("all_bought").sql();
    let block = format!("DO $d$ BEGIN {call}; EXCEPTION WHEN data_exception THEN PERFORM 1; END $d$");
    client.batch_execute(&block).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(versions(&mut client, "launch").is_empty());
}

#[test]
fn two_trainings_of_a_new_model_at_once_both_succeed() {
    let database = Database::with_data();
    let mut observer = database.connect();
    // A slow view, so that both have begun before either ends.
    let slow = "CREATE VIEW slow AS SELECT f.*, pg_sleep(0.0001) IS NULL AS waited FROM launch_features AS f";
    observer.batch_execute(slow).unwrap();
    let call = Training::new("launch").source("slow").sql();
    let both = [(); 2].map(|()| Background::start(database.connect(), &call));
    wait_until("both run", || {
        value::<i64>(&mut observer, "SELECT count(*) FROM reco.training_progress") == 2
    });
    for training in both {
        training.finish().result.unwrap();
    }
    assert_eq!(versions(&mut observer, "launch"), [1, 2]);
    let aliases = rows(&mut observer, "SELECT alias FROM reco.aliases");
    assert_eq!(aliases, ["(champion)"]);
    let runs = rows(&mut observer, "SELECT status, version FROM reco.runs ORDER BY version");
    assert_eq!(runs, ["(succeeded,1)", "(succeeded,2)"]);
}

#[test]
fn two_roles_that_train_the_same_new_model_do_not_share_it() {
    let database = Database::with_data();
    let mut admin = database.connect();
    admin
        .batch_execute(
            "CREATE ROLE racer_1 LOGIN; CREATE ROLE racer_2 LOGIN;
             GRANT USAGE ON SCHEMA reco TO racer_1, racer_2;
             GRANT SELECT ON launch_features TO racer_1, racer_2",
        )
        .unwrap();
    let mut first = database.connect_as("racer_1");
    first.batch_execute("BEGIN").unwrap();
    Training::new("launch").call(&mut first);
    // It passes the first check, and then waits for the other's row.
    let second = Background::start(database.connect_as("racer_2"), &Training::new("launch").sql());
    wait_for_lock(&mut admin, second.backend);
    first.batch_execute("COMMIT").unwrap();
    second.finish().refusal().expect("42501", &["permission denied", "launch"], &[]);
    assert_eq!(versions(&mut admin, "launch"), [1]);
    assert_eq!(rows(&mut admin, "SELECT owner FROM reco.models"), ["(racer_1)"]);
}

#[test]
fn a_loop_over_a_query_trains_a_model_for_each_row() {
    let mut client = Database::with_data().connect();
    let each = "DO $d$ DECLARE r record; BEGIN
                    FOR r IN SELECT DISTINCT region FROM launch_features WHERE region < 'r2' ORDER BY 1 LOOP
                        CALL reco.train('model of ' || r.region, 'launch_features', 'purchased', params => '{\"epochs\": 2}');
                    END LOOP;
                END $d$";
    client.batch_execute(each).unwrap_or_else(|error| panic!("{error:?}"));
    let models = rows(&mut client, "SELECT model, champion FROM reco.models ORDER BY 1");
    assert_eq!(models, ["(\"model of r0\",1)", "(\"model of r1\",1)"]);
}

#[test]
fn every_isolation_level_trains() {
    let mut client = Database::with_data().connect();
    for level in ["read committed", "repeatable read", "serializable"] {
        client.batch_execute(&format!("SET default_transaction_isolation = '{level}'")).unwrap();
        Training::new("launch").param(r#""epochs": 2"#).call(&mut client);
    }
    assert_eq!(versions(&mut client, "launch"), [1, 2, 3]);
}

#[test]
fn a_security_definer_procedure_trains_with_its_owners_rights() {
    let database = Database::with_data();
    let mut admin = database.connect();
    let call = Training::new("launch").source("public.launch_features").sql();
    admin
        .batch_execute(&format!(
            "CREATE ROLE button_presser LOGIN;
             CREATE PROCEDURE retrain() LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
             AS $f$ BEGIN {call}; END $f$"
        ))
        .unwrap();
    database.connect_as("button_presser").batch_execute("CALL retrain()").unwrap();
    assert_eq!(rows(&mut admin, "SELECT trained_by FROM reco.versions"), ["(postgres)"]);
}
