//! Privileges on models as they are granted and revoked: who has them, and when a change is heard.

use super::model_rights::create_roles;
use super::parallel::FORCED;
use super::support::{sum_of_scores, versions};
use integration::{refusal, rows, value, Database, Training};
use postgres::Client;

fn grant(client: &mut Client, role: &str, privilege: &str) {
    client.batch_execute(&format!("SELECT reco.grant_model('launch', '{role}', '{privilege}')")).unwrap();
}

fn revoke(client: &mut Client, role: &str, privilege: &str) {
    client.batch_execute(&format!("SELECT reco.revoke_model('launch', '{role}', '{privilege}')")).unwrap();
}

const SCORE: &str = "SELECT reco.recommend(1, 'r1', 'launch')";

#[track_caller]
fn scores(client: &mut Client) {
    assert!(value::<Option<f64>>(client, SCORE).is_some());
}

#[track_caller]
fn may_not_score(client: &mut Client) {
    let error = refusal(client, SCORE);
    error.expect("42501", &["permission denied to score with", "\"launch\""], &["reco.grant_model('launch'"]);
}

#[test]
fn a_grant_and_its_revocation_are_heard_by_the_next_statement() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["hears"]);
    let mut client = database.connect_as("hears");
    may_not_score(&mut client);
    grant(&mut admin, "hears", "score");
    scores(&mut client);
    // Also in a transaction that goes on.
    client.batch_execute("BEGIN").unwrap();
    scores(&mut client);
    revoke(&mut admin, "hears", "score");
    may_not_score(&mut client);
    client.batch_execute("ROLLBACK").unwrap();
    may_not_score(&mut client);
    // A prepared statement is checked each time.
    grant(&mut admin, "hears", "manage");
    let prepared = client.prepare(SCORE).unwrap();
    client.query_one(&prepared, &[]).unwrap();
    revoke(&mut admin, "hears", "score");
    assert!(client.query_one(&prepared, &[]).is_err());
}

#[test]
fn an_old_snapshot_does_not_keep_a_privilege() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["holds_on"]);
    grant(&mut admin, "holds_on", "score");
    let mut client = database.connect_as("holds_on");
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").unwrap();
    value::<i64>(&mut client, "SELECT count(*) FROM launch_features");
    revoke(&mut admin, "holds_on", "score");
    may_not_score(&mut client);
    client.batch_execute("ROLLBACK").unwrap();
    may_not_score(&mut client);
}

#[test]
fn what_is_rolled_back_was_not_granted() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["hopes"]);
    let hopes = "SELECT reco.has_model_privilege('launch', 'score', 'hopes')";
    admin.batch_execute("BEGIN").unwrap();
    grant(&mut admin, "hopes", "score");
    assert!(value::<bool>(&mut admin, hopes));
    admin.batch_execute("SAVEPOINT a").unwrap();
    revoke(&mut admin, "hopes", "score");
    assert!(!value::<bool>(&mut admin, hopes));
    admin.batch_execute("ROLLBACK TO a").unwrap();
    assert!(value::<bool>(&mut admin, hopes));
    admin.batch_execute("ROLLBACK").unwrap();
    assert!(!value::<bool>(&mut admin, hopes));
    may_not_score(&mut database.connect_as("hopes"));
}

#[test]
fn a_model_that_was_rolled_back_leaves_nobody_a_right() {
    let database = Database::with_data();
    let mut admin = database.connect();
    create_roles(&mut admin, &["was_first", "was_second"]);
    let mut first = database.connect_as("was_first");
    first.batch_execute("BEGIN").unwrap();
    Training::new("launch").call(&mut first);
    scores(&mut first);
    first.batch_execute("ROLLBACK").unwrap();
    Training::new("launch").call(&mut database.connect_as("was_second"));
    may_not_score(&mut first);
}

#[test]
fn membership_is_followed_as_it_changes() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["joins", "inherits_nothing"]);
    admin
        .batch_execute(
            "CREATE ROLE joined; ALTER ROLE inherits_nothing NOINHERIT; GRANT joined TO inherits_nothing;
             SELECT reco.grant_model('launch', 'joined', 'score')",
        )
        .unwrap();
    let mut client = database.connect_as("joins");
    may_not_score(&mut client);
    admin.batch_execute("GRANT joined TO joins").unwrap();
    scores(&mut client);
    admin.batch_execute("REVOKE joined FROM joins").unwrap();
    may_not_score(&mut client);
    // As with every privilege of Postgres.
    let mut client = database.connect_as("inherits_nothing");
    may_not_score(&mut client);
    client.batch_execute("SET ROLE joined").unwrap();
    admin
        .batch_execute("GRANT SELECT ON launch_features TO joined; GRANT USAGE ON SCHEMA reco TO joined")
        .unwrap();
    scores(&mut client);
    admin.batch_execute("ALTER ROLE joined RENAME TO joined_no_more").unwrap();
    may_not_score(&mut client);
}

#[test]
fn a_model_whose_owner_is_gone_belongs_to_superusers() {
    let database = Database::with_data();
    let mut admin = database.connect();
    create_roles(&mut admin, &["leaves", "stays"]);
    Training::new("launch").call(&mut database.connect_as("leaves"));
    admin.batch_execute("DROP OWNED BY leaves; DROP ROLE leaves").unwrap();
    let mut client = database.connect_as("stays");
    refusal(&mut client, SCORE).expect("42501", &["permission denied"], &["superuser"]);
    scores(&mut admin);
    admin.batch_execute("SELECT reco.set_model_owner('launch', 'stays')").unwrap();
    scores(&mut client);
    let given = "SELECT reco.set_model_owner('launch', 'postgres')";
    refusal(&mut client, given).expect("42501", &["permission denied to give", "\"postgres\""], &["member"]);
}

#[test]
fn revoking_takes_what_includes_it_and_leaves_what_does_not() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["has_all"]);
    for privilege in ["score", "train", "manage"] {
        grant(&mut admin, "has_all", privilege);
        grant(&mut admin, "has_all", privilege);
    }
    let left = "SELECT string_agg(privilege, ' ' ORDER BY privilege) FROM reco.model_privileges WHERE grantee = 'has_all'";
    assert_eq!(value::<String>(&mut admin, left), "manage score train");
    revoke(&mut admin, "has_all", "train");
    assert_eq!(value::<String>(&mut admin, left), "score");
    let mut client = database.connect_as("has_all");
    scores(&mut client);
    Training::new("launch").refused(&mut client).expect("42501", &["to train"], &["'train'"]);
    revoke(&mut admin, "has_all", "score");
    may_not_score(&mut client);
    let audit = "SELECT action, detail ->> 'privilege' FROM reco.audit WHERE detail ->> 'role' = 'has_all' ORDER BY at";
    let expected = [
        "(granted,score)",
        "(granted,train)",
        "(granted,manage)",
        "(revoked,train)",
        "(revoked,manage)",
        "(revoked,score)",
    ];
    assert_eq!(rows(&mut admin, audit), expected);
}

#[test]
fn bad_arguments_of_grants_are_named() {
    let database = Database::trained();
    let mut admin = database.connect();
    for (sql, code, word) in [
        ("SELECT reco.grant_model('launch', 'nobody_here', 'score')", "42704", "nobody_here"),
        ("SELECT reco.grant_model('launch', 'public', 'read')", "22023", "\"read\""),
        ("SELECT reco.grant_model('nothing', 'public', 'score')", "42704", "\"nothing\""),
        ("SELECT reco.grant_model(NULL, 'public', 'score')", "22023", "model must not be NULL"),
        ("SELECT reco.revoke_model('launch', NULL, 'score')", "22023", "role must not be NULL"),
        ("SELECT reco.set_model_owner('launch', 'nobody_here')", "42704", "nobody_here"),
        ("SELECT reco.has_model_privilege('launch', 'read')", "22023", "\"read\""),
        ("SELECT reco.has_model_privilege('launch', 'score', 'nobody_here')", "42704", "nobody_here"),
    ] {
        refusal(&mut admin, sql).expect(code, &[word], &[]);
    }
    assert!(value::<Option<bool>>(&mut admin, "SELECT reco.has_model_privilege(NULL, 'score')").is_none());
    create_roles(&mut admin, &["asks_in_vain"]);
    let mut client = database.connect_as("asks_in_vain");
    assert!(!value::<bool>(&mut client, "SELECT reco.has_model_privilege('nothing', 'score')"));
    refusal(&mut client, "SELECT reco.recommend(1, 'r1', 'nothing')").expect("42704", &["\"nothing\""], &[]);
    refusal(&mut client, "SELECT reco.recommend(1, 'r1')").expect(
        "42501",
        &["asks_in_vain"],
        &["reco.grant_model"],
    );
}

#[test]
fn the_only_model_is_the_only_one_that_one_may_score_with() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["scores_one", "trains_one"]);
    grant(&mut admin, "scores_one", "score");
    Training::new("mine").param(r#""epochs": 1"#).call(&mut database.connect_as("trains_one"));
    let mut client = database.connect_as("scores_one");
    let expected: f64 = value(&mut client, SCORE);
    assert_eq!(value::<f64>(&mut client, "SELECT reco.recommend(1, 'r1')"), expected);
    assert_eq!(
        value::<f64>(&mut admin, "SELECT reco.recommend(1, 'r1')"),
        expected,
        "its own, not trains_one's"
    );
}

#[test]
fn workers_ask_for_the_privilege_too() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["in_parallel"]);
    let mut client = database.connect_as("in_parallel");
    client.batch_execute(FORCED).unwrap();
    let sum = "SELECT sum(reco.predict('launch', f)) FROM launch_features AS f";
    refusal(&mut client, sum).expect("42501", &["\"launch\""], &[]);
    // Granted by the transaction itself, not yet committed.
    client.batch_execute("BEGIN").unwrap();
    admin.batch_execute("ALTER ROLE in_parallel SUPERUSER").unwrap();
    client.batch_execute("SELECT reco.grant_model('launch', 'in_parallel', 'score')").unwrap();
    admin.batch_execute("ALTER ROLE in_parallel NOSUPERUSER").unwrap();
    let found: f64 = value(&mut client, sum);
    client.batch_execute("ROLLBACK").unwrap();
    let expected = sum_of_scores(&mut admin, "launch");
    assert!((found - expected).abs() < 1e-9 * expected, "{found} and {expected}");
    refusal(&mut client, sum).expect("42501", &["\"launch\""], &[]);
}

#[test]
fn a_definer_function_scores_with_its_owners_privilege() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["calls_definer"]);
    admin
        .batch_execute(
            "CREATE FUNCTION score_for_all() RETURNS float8 LANGUAGE sql SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp AS $$ SELECT reco.recommend(1, 'r1', 'launch') $$",
        )
        .unwrap();
    let mut client = database.connect_as("calls_definer");
    assert!(value::<f64>(&mut client, "SELECT score_for_all()") > 0.0);
    may_not_score(&mut client);
}

#[test]
fn a_trainer_adds_versions_and_does_not_choose_the_champion() {
    let database = Database::trained();
    let mut admin = database.connect();
    create_roles(&mut admin, &["only_trains"]);
    grant(&mut admin, "only_trains", "train");
    admin.batch_execute("SELECT reco.drop_alias('launch', 'champion')").unwrap();
    let mut client = database.connect_as("only_trains");
    Training::new("launch").call(&mut client);
    assert_eq!(versions(&mut client, "launch"), [1, 2]);
    assert_eq!(rows(&mut client, "SELECT champion FROM reco.models"), ["()"]);
    let audit = "SELECT login, role, action, version FROM reco.audit ORDER BY at DESC LIMIT 1";
    assert_eq!(rows(&mut client, audit), ["(only_trains,only_trains,trained,2)"]);
}
