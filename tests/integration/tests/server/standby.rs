use super::support::{champion, sum_of_scores};
use super::{shared_models, what_if};
use integration::{data, refusal, rows, value, wait_until, Cluster, Database, Training};
use postgres::Client;

const RECOMMENDED: &str = "SELECT p, r, reco.recommend(p, 'r' || r, 'launch') \
                           FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r";

pub fn wait_until_replayed(primary: &mut Client, standby: &mut Client) {
    let here: String = value(primary, "SELECT pg_current_wal_lsn()::text");
    let there = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'");
    wait_until("the standby has caught up", || value::<bool>(standby, &there));
}

#[test]
fn a_standby_scores_the_same_and_follows_a_promotion() {
    let cluster = Cluster::new();
    let mut primary = cluster.connect("postgres");
    data::create(&mut primary);
    Training::new("launch").call(&mut primary);
    what_if::create(&mut primary);
    Training::new("planned").source("planned").label("bought").call(&mut primary);
    let standby_cluster = cluster.standby();
    let mut standby = standby_cluster.connect("postgres");
    assert!(value::<bool>(&mut standby, "SELECT pg_is_in_recovery()"));

    let first = sum_of_scores(&mut primary, "launch");
    assert_eq!(sum_of_scores(&mut standby, "launch"), first);
    let measured = "SELECT * FROM reco.evaluate('launch', 'launch_features', by => 'region')";
    assert_eq!(rows(&mut standby, measured), rows(&mut primary, measured));
    assert_eq!(rows(&mut standby, RECOMMENDED), rows(&mut primary, RECOMMENDED));
    assert_eq!(
        value::<f64>(&mut standby, "SELECT reco.recommend(1, 'r1', 'launch')"),
        value::<f64>(&mut primary, "SELECT reco.recommend(1, 'r1', 'launch')")
    );

    let effect = "SELECT * FROM reco.plan_effect(1, 'r1', '{\"display\": true}', 'planned')";
    assert_eq!(rows(&mut standby, effect), rows(&mut primary, effect));

    // A model that is mapped from a file: each server makes its own.
    shared_models::import(&mut primary, "large", 1);
    let large = shared_models::score(&mut primary, "large");
    wait_until_replayed(&mut primary, &mut standby);
    assert_eq!(shared_models::score(&mut standby, "large"), large);
    assert_eq!(shared_models::mapped(&mut standby).len(), 1);

    // In the session that has already scored.
    Training::new("launch").param(r#""seed": 5"#).with("promote => true").call(&mut primary);
    wait_until_replayed(&mut primary, &mut standby);
    let second = sum_of_scores(&mut primary, "launch");
    assert_ne!(first, second);
    assert_eq!(champion(&mut standby, "launch"), Some(2));
    assert_eq!(sum_of_scores(&mut standby, "launch"), second);
    assert_eq!(rows(&mut standby, RECOMMENDED), rows(&mut primary, RECOMMENDED));
    for view in ["models", "versions", "aliases", "runs", "run_metrics", "training_progress"] {
        let sql = format!("SELECT * FROM reco.{view} ORDER BY 1, 2, 3");
        assert_eq!(rows(&mut standby, &sql), rows(&mut primary, &sql), "{view}");
    }

    // What was monitored can be read there.
    primary.batch_execute("CALL reco.monitor('launch', from_week => '2024-06-10')").unwrap();
    wait_until_replayed(&mut primary, &mut standby);
    for view in ["monitoring", "drift", "health"] {
        let sql = format!("SELECT count(*), min(v::text) FROM reco.{view} AS v");
        assert_eq!(rows(&mut standby, &sql), rows(&mut primary, &sql), "{view}");
    }

    // The page is made there, and says the same.
    let page = |client: &mut Client| {
        let page: String = value(client, "SELECT reco.report('launch')");
        page.split_once(" UTC.").unwrap().1.to_owned()
    };
    let made = page(&mut standby);
    assert!(made.contains("Judged weeks") && made.contains("data-curve"));
    assert_eq!(made, page(&mut primary));

    // Training writes, and so does monitoring: it is Postgres's to refuse.
    refusal(&mut standby, &Training::new("launch").sql()).expect("25006", &["read-only"], &[]);
    refusal(&mut standby, "CALL reco.monitor('launch')").expect("25006", &["read-only"], &[]);
}

#[test]
fn grants_hold_on_a_standby() {
    let cluster = Cluster::new();
    let mut primary = cluster.connect("postgres");
    data::create(&mut primary);
    Training::new("launch").call(&mut primary);
    primary
        .batch_execute(
            "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA reco TO reader; GRANT SELECT ON launch_features TO reader",
        )
        .unwrap();
    let standby_cluster = cluster.standby();
    let mut admin = standby_cluster.connect("postgres");
    let mut standby = standby_cluster.config("postgres", "reader").connect(postgres::NoTls).unwrap();
    let score = "SELECT reco.recommend(1, 'r1')";
    refusal(&mut standby, score).expect("42501", &["reader"], &[]);
    // In the session that was refused, and in the one that was allowed.
    primary.batch_execute("SELECT reco.grant_model('launch', 'reader', 'score')").unwrap();
    wait_until_replayed(&mut primary, &mut admin);
    assert_eq!(value::<f64>(&mut standby, score), value::<f64>(&mut primary, score));
    assert_eq!(rows(&mut standby, "SELECT model, privilege FROM reco.model_privileges"), ["(launch,score)"]);
    primary.batch_execute("SELECT reco.revoke_model('launch', 'reader', 'score')").unwrap();
    wait_until_replayed(&mut primary, &mut admin);
    refusal(&mut standby, score).expect("42501", &["reader"], &[]);
    refusal(&mut admin, "SELECT reco.grant_model('launch', 'reader', 'score')").expect(
        "25006",
        &["read-only"],
        &[],
    );
}

#[test]
fn a_read_only_transaction_scores() {
    let mut client = Database::trained().connect();
    let expected = sum_of_scores(&mut client, "launch");
    let recommended = rows(&mut client, RECOMMENDED);
    client.batch_execute("BEGIN READ ONLY").unwrap();
    assert_eq!(sum_of_scores(&mut client, "launch"), expected);
    assert_eq!(rows(&mut client, RECOMMENDED), recommended);
    let took_an_id: bool = value(&mut client, "SELECT pg_current_xact_id_if_assigned() IS NOT NULL");
    assert!(!took_an_id, "scoring takes no transaction id");
    client.batch_execute("COMMIT").unwrap();
}

#[test]
fn a_read_only_transaction_does_not_train() {
    let mut client = Database::trained().connect();
    client.batch_execute("BEGIN READ ONLY").unwrap();
    refusal(&mut client, &Training::new("launch").sql()).expect("25006", &["read-only"], &[]);
}
