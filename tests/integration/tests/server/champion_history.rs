//! Aliases, and the history of the champion: promotion, rollback, and what they do at the same time.

use super::support::{champion, wait_for_lock};
use integration::{refusal, rows, value, Background, Database};
use postgres::Client;

/// The model `launch` with so many versions, the first of them champion. The further ones are the first's copies: what they
/// score does not matter here.
fn with_versions(count: i32) -> (Database, Client) {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(&format!(
            "WITH made AS (
                 INSERT INTO reco.artifact SELECT gen_random_uuid(), size, digest
                 FROM reco.artifact JOIN reco.version USING (artifact_id), generate_series(2, {count})
                 RETURNING artifact_id), chunks AS (
                 INSERT INTO reco.artifact_chunk SELECT m.artifact_id, position, body
                 FROM reco.artifact_chunk JOIN reco.version USING (artifact_id), made AS m)
             INSERT INTO reco.version
             SELECT (jsonb_populate_record(v, jsonb_build_object('version', 1 + row_number() OVER (), 'artifact_id', m.artifact_id,
                                              'measured_artifact_id', NULL))).*
             FROM reco.version AS v, made AS m WHERE v.version = 1"
        ))
        .unwrap();
    (database, client)
}

fn promote(client: &mut Client, version: i32) -> Option<i32> {
    value(client, &format!("SELECT reco.promote('launch', {version})"))
}

fn roll_back(client: &mut Client) -> i32 {
    value(client, "SELECT reco.rollback('launch')")
}

#[track_caller]
fn nothing_to_go_back_to(client: &mut Client) {
    let error = refusal(client, "SELECT reco.rollback('launch')");
    error.expect("55000", &["\"launch\"", "no earlier champion"], &["reco.promotions"]);
}

#[test]
fn rollbacks_go_back_through_the_history() {
    let (_database, mut client) = with_versions(4);
    nothing_to_go_back_to(&mut client);
    assert_eq!(promote(&mut client, 2), Some(1));
    assert_eq!(promote(&mut client, 3), Some(2));
    assert_eq!([roll_back(&mut client), roll_back(&mut client)], [2, 1]);
    nothing_to_go_back_to(&mut client);
    assert_eq!(champion(&mut client, "launch"), Some(1));
    // A new line from here.
    promote(&mut client, 2);
    roll_back(&mut client);
    promote(&mut client, 4);
    assert_eq!(roll_back(&mut client), 1);
    nothing_to_go_back_to(&mut client);
}

#[test]
fn every_move_is_on_record() {
    let (_database, mut client) = with_versions(2);
    client
        .batch_execute(
            "SELECT reco.promote('launch', 2, 'better on launches'); SELECT reco.rollback('launch', 'complaints');
             SELECT reco.set_alias('launch', 'champion', 2); SELECT reco.drop_alias('launch', 'champion');
             SELECT reco.rollback('launch')",
        )
        .unwrap();
    let history =
        "SELECT step, action, from_version, to_version, why, moved_by FROM reco.promotions ORDER BY step";
    let expected = [
        "(1,promoted,,1,,postgres)",
        "(2,promoted,1,2,\"better on launches\",postgres)",
        "(3,rolled_back,2,1,complaints,postgres)",
        "(4,promoted,1,2,,postgres)",
        "(5,alias_dropped,2,,,postgres)",
        "(6,rolled_back,,2,,postgres)",
    ];
    assert_eq!(rows(&mut client, history), expected);
    let audit = "SELECT action, version, detail ->> 'from', detail ->> 'why' FROM reco.audit ORDER BY at";
    let expected = [
        "(trained,1,,)",
        "(promoted,1,,)",
        "(promoted,2,1,\"better on launches\")",
        "(rolled_back,1,2,complaints)",
        "(promoted,2,1,)",
        "(alias_dropped,,2,)",
        "(rolled_back,2,,)",
    ];
    assert_eq!(rows(&mut client, audit), expected);
    let who = "SELECT DISTINCT login, role FROM reco.audit";
    assert_eq!(rows(&mut client, who), ["(postgres,postgres)"]);
}

#[test]
fn promoting_the_champion_changes_nothing() {
    let (_database, mut client) = with_versions(2);
    promote(&mut client, 2);
    assert_eq!(promote(&mut client, 2), Some(2));
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.promotions"), 2);
    assert_eq!(roll_back(&mut client), 1);
}

#[test]
fn a_champion_that_was_set_by_hand_is_rolled_back_to_the_last_promoted() {
    let (_database, mut client) = with_versions(3);
    promote(&mut client, 2);
    client.batch_execute("UPDATE reco.alias SET version = 3").unwrap();
    assert_eq!([roll_back(&mut client), roll_back(&mut client)], [2, 1]);
}

#[test]
fn promotion_and_history_obey_the_transaction() {
    let (database, mut client) = with_versions(2);
    client.batch_execute("BEGIN").unwrap();
    promote(&mut client, 2);
    assert_eq!(champion(&mut client, "launch"), Some(2));
    assert_eq!(champion(&mut database.connect(), "launch"), Some(1));
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(champion(&mut client, "launch"), Some(1));
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.promotions"), 1);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.audit"), 2);
}

#[test]
fn concurrent_promotions_wait_for_each_other() {
    let (database, mut client) = with_versions(3);
    client.batch_execute("BEGIN").unwrap();
    promote(&mut client, 2);
    let second = Background::start(database.connect(), "SELECT reco.promote('launch', 3)");
    let mut observer = database.connect();
    wait_for_lock(&mut observer, second.backend);
    client.batch_execute("COMMIT").unwrap();
    second.finish().result.unwrap();
    let moves = "SELECT from_version, to_version FROM reco.promotions ORDER BY step";
    assert_eq!(rows(&mut client, moves), ["(,1)", "(1,2)", "(2,3)"]);
    assert_eq!([roll_back(&mut client), roll_back(&mut client)], [2, 1]);
}

#[test]
fn an_older_snapshot_does_not_decide_by_what_is_no_longer_so() {
    let (database, mut client) = with_versions(3);
    let mut other = database.connect();
    other.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM reco.models").unwrap();
    promote(&mut client, 2);
    refusal(&mut other, "SELECT reco.promote('launch', 3)").expect("40001", &["serialize"], &[]);
}

#[test]
fn a_promotion_that_waited_asks_again_for_the_privilege() {
    let (database, mut client) = with_versions(2);
    client
        .batch_execute(
            "CREATE ROLE waits LOGIN; GRANT USAGE ON SCHEMA reco TO waits;
             SELECT reco.grant_model('launch', 'waits', 'manage')",
        )
        .unwrap();
    client.batch_execute("BEGIN; SELECT reco.revoke_model('launch', 'waits', 'manage')").unwrap();
    let waiting = Background::start(database.connect_as("waits"), "SELECT reco.promote('launch', 2)");
    let mut observer = database.connect();
    wait_for_lock(&mut observer, waiting.backend);
    client.batch_execute("COMMIT").unwrap();
    waiting.finish().refusal().expect("42501", &["permission denied to manage"], &[]);
    assert_eq!(champion(&mut client, "launch"), Some(1));
}

#[test]
fn other_aliases_move_without_history() {
    let (_database, mut client) = with_versions(2);
    client
        .batch_execute("SELECT reco.set_alias('launch', 'challenger', 2); SELECT reco.set_alias('launch', 'challenger', 1)")
        .unwrap();
    let aliases = "SELECT alias, version, set_by FROM reco.aliases ORDER BY alias";
    assert_eq!(rows(&mut client, aliases), ["(challenger,1,postgres)", "(champion,1,postgres)"]);
    client.batch_execute("SELECT reco.drop_alias('launch', 'challenger')").unwrap();
    assert_eq!(rows(&mut client, aliases), ["(champion,1,postgres)"]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM reco.promotions"), 1);
    let audit = "SELECT action, version, detail ->> 'alias' FROM reco.audit ORDER BY at OFFSET 2";
    let expected = ["(alias_set,2,challenger)", "(alias_set,1,challenger)", "(alias_dropped,1,challenger)"];
    assert_eq!(rows(&mut client, audit), expected);
}

#[test]
fn bad_arguments_are_named() {
    let (_database, mut client) = with_versions(1);
    let long = "a".repeat(64);
    for (sql, code, word) in [
        ("SELECT reco.promote('launch', 9)".into(), "42704", "no version 9"),
        ("SELECT reco.promote('nothing', 1)".into(), "42704", "\"nothing\""),
        ("SELECT reco.promote(NULL, 1)".into(), "22023", "model must not be NULL"),
        ("SELECT reco.promote('launch', NULL)".into(), "22023", "version must not be NULL"),
        ("SELECT reco.rollback(NULL)".into(), "22023", "model must not be NULL"),
        ("SELECT reco.set_alias('launch', '', 1)".into(), "22023", "1 to 63 bytes"),
        (format!("SELECT reco.set_alias('launch', '{long}', 1)"), "22023", "1 to 63 bytes"),
        ("SELECT reco.set_alias('launch', 'a', 9)".into(), "42704", "no version 9"),
        ("SELECT reco.drop_alias('launch', 'a')".into(), "42704", "no alias \"a\""),
    ] {
        refusal(&mut client, &sql).expect(code, &[word], &[]);
    }
    client.batch_execute("SELECT reco.drop_alias('launch', 'champion')").unwrap();
    refusal(&mut client, "SELECT reco.drop_alias('launch', 'champion')").expect(
        "42704",
        &["no champion"],
        &[],
    );
}
