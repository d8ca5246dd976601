//! Archiving versions and dropping models.

use super::support::{artifact, champion, versions, wait_for_lock};
use integration::query::backend_pid;
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

/// The model `launch` with two versions, of which the second is the champion.
fn two_versions() -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    Training::new("launch").param(r#""epochs": 1"#).with("promote => true").call(&mut client);
    (database, client)
}

#[test]
fn an_archived_version_keeps_its_row_and_loses_its_weights() {
    let (database, mut client) = two_versions();
    let mut other = database.connect();
    let lineage = "SELECT to_jsonb(v) - 'status' FROM reco.versions AS v WHERE version = 1";
    let before: serde_json::Value = value(&mut client, lineage);
    // A backend that has scored with it.
    let score = "SELECT reco.recommend(1, 'r1', 'launch')";
    other
        .batch_execute(&format!("BEGIN; SELECT reco.promote('launch', 1); {score}; ROLLBACK; {score}"))
        .unwrap();

    client.batch_execute("SELECT reco.archive_version('launch', 1)").unwrap();
    let status = "SELECT version, status FROM reco.versions ORDER BY 1";
    assert_eq!(rows(&mut client, status), ["(1,archived)", "(2,trained)"]);
    assert_eq!(value::<serde_json::Value>(&mut client, lineage), before);
    // The other version's: those that are served, and those that were measured.
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.artifact"), 2);
    assert!(!artifact(&mut client, "launch", 2).is_empty());
    for sql in [
        "SELECT reco.promote('launch', 1)",
        "SELECT reco.set_alias('launch', 'old', 1)",
        "SELECT reco.archive_version('launch', 1)",
    ] {
        refusal(&mut other, sql).expect(
            "55000",
            &["version 1 of model \"launch\" is archived"],
            &["reco.versions"],
        );
    }
    // Also where somebody has moved the alias by hand.
    client.batch_execute("UPDATE reco.alias SET version = 1").unwrap();
    refusal(&mut other, score).expect("55000", &["is archived"], &[]);
    let audit = "SELECT action, version FROM reco.audit ORDER BY at DESC LIMIT 1";
    assert_eq!(rows(&mut client, audit), ["(archived,1)"]);
}

#[test]
fn a_version_that_an_alias_names_is_not_archived() {
    let (_database, mut client) = two_versions();
    client.batch_execute("SELECT reco.set_alias('launch', 'challenger', 1)").unwrap();
    for (version, alias) in [(1, "challenger"), (2, "champion")] {
        let error = refusal(&mut client, &format!("SELECT reco.archive_version('launch', {version})"));
        error.expect("55006", &["in use", alias], &["reco.drop_alias"]);
    }
    refusal(&mut client, "SELECT reco.archive_version('launch', 3)").expect("42704", &["no version 3"], &[]);
}

#[test]
fn a_rollback_passes_over_archived_versions() {
    let (_database, mut client) = two_versions();
    Training::new("launch").param(r#""epochs": 1"#).with("promote => true").call(&mut client);
    client.batch_execute("SELECT reco.archive_version('launch', 2)").unwrap();
    assert_eq!(value::<i32>(&mut client, "SELECT reco.rollback('launch')"), 1);
    refusal(&mut client, "SELECT reco.rollback('launch')").expect("55000", &["no earlier champion"], &[]);
}

#[test]
fn a_model_in_use_is_dropped_only_by_force() {
    let (database, mut client) = two_versions();
    let error = refusal(&mut client, "SELECT reco.drop_model('launch')");
    error.expect("55006", &["\"launch\" is in use", "champion"], &["force => true"]);
    client.batch_execute("SELECT reco.grant_model('launch', 'public', 'score')").unwrap();
    client.batch_execute("SELECT reco.drop_model('launch', force => true)").unwrap();
    refusal(&mut database.connect(), "SELECT reco.recommend(1, 'r1', 'launch')").expect(
        "42704",
        &["\"launch\""],
        &[],
    );
    for table in ["model", "version", "artifact", "alias", "promotion", "model_privilege"] {
        assert_eq!(value::<i64>(&mut client, &format!("SELECT count(*) FROM reco.{table}")), 0, "{table}");
    }
    assert_eq!(rows(&mut client, "SELECT status FROM reco.runs"), ["(succeeded)", "(succeeded)"]);
    let audit = "SELECT action, detail FROM reco.audit ORDER BY at DESC LIMIT 1";
    assert_eq!(rows(&mut client, audit), ["(dropped,\"{\"\"versions\"\": 2}\")"]);
}

#[test]
fn a_model_without_aliases_is_dropped_and_a_drop_can_be_undone() {
    let (_database, mut client) = two_versions();
    client.batch_execute("SELECT reco.drop_alias('launch', 'champion')").unwrap();
    client.batch_execute("BEGIN; SELECT reco.drop_model('launch'); ROLLBACK").unwrap();
    assert_eq!(versions(&mut client, "launch"), [1, 2]);
    client.batch_execute("SELECT reco.drop_model('launch')").unwrap();
    assert!(versions(&mut client, "launch").is_empty());
}

#[test]
fn a_new_model_of_the_same_name_shows_nothing_of_the_old_one() {
    let (database, mut client) = two_versions();
    client
        .batch_execute(
            "CREATE ROLE takes_the_name LOGIN; GRANT USAGE ON SCHEMA reco TO takes_the_name;
             GRANT SELECT ON launch_features TO takes_the_name; SELECT reco.drop_model('launch', true)",
        )
        .unwrap();
    let mut next = database.connect_as("takes_the_name");
    Training::new("launch").call(&mut next);
    assert_eq!(versions(&mut next, "launch"), [1]);
    assert_eq!(champion(&mut next, "launch"), Some(1));
    assert_eq!(rows(&mut next, "SELECT started_by FROM reco.runs"), ["(takes_the_name)"]);
    let audit = "SELECT role, action FROM reco.audit ORDER BY at";
    assert_eq!(rows(&mut next, audit), ["(takes_the_name,trained)", "(takes_the_name,promoted)"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.runs"), 3);
}

#[test]
fn what_is_logged_while_a_model_is_dropped_goes_with_it() {
    let (database, mut client) = two_versions();
    client
        .batch_execute(
            r#"SELECT reco.start_ab_test('dropped', 'launch', '[{"arm": "a", "version": 1, "share": 0.4},
                                                                {"arm": "b", "version": 2, "share": 0.6}]')"#,
        )
        .unwrap();
    let mut logger = database.connect();
    logger
        .batch_execute("BEGIN; SELECT reco.log_recommendations('{1,2,3}'::bigint[], '{r1,r1,r1}', 'launch')")
        .unwrap();
    let mut dropper = database.connect();
    let waiting = backend_pid(&mut dropper);
    std::thread::scope(|scope| {
        let dropped =
            scope.spawn(|| dropper.batch_execute("SELECT reco.drop_model('launch', force => true)"));
        // For what is logged.
        wait_for_lock(&mut client, waiting);
        logger.batch_execute("COMMIT").unwrap();
        dropped.join().unwrap().unwrap();
    });
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.recommendation"), 0);
}
