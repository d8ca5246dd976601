//! A server that scores with a copy of another's catalog, kept by logical replication.

use super::support::sum_of_scores;
use integration::catalog_copy::subscribe;
use integration::{data, refusal, value, wait_until, Cluster, Training};
use postgres::{Client, NoTls};

const SCORE: &str = "SELECT reco.recommend(1, 'r1', 'launch')";

/// The server that trains, and the one that has the copy. Both have the rows.
struct Servers {
    publisher: Cluster,
    subscriber: Cluster,
}

impl Servers {
    fn new() -> Self {
        let settings = "wal_level = logical\n";
        let this = Self { publisher: Cluster::with(settings), subscriber: Cluster::with(settings) };
        let (mut here, mut there) = this.connect();
        for client in [&mut here, &mut there] {
            data::create(client);
            client
                .batch_execute(
                    "CREATE ROLE analyst LOGIN; GRANT USAGE ON SCHEMA reco TO analyst; \
                                  GRANT SELECT ON launch_features TO analyst",
                )
                .unwrap();
        }
        Training::new("launch").call(&mut here);
        here.batch_execute("SELECT reco.publish_catalog()").unwrap();
        subscribe(&this.publisher, &mut there, "postgres", "reco_copy");
        this
    }

    fn connect(&self) -> (Client, Client) {
        (self.publisher.connect("postgres"), self.subscriber.connect("postgres"))
    }
}

#[test]
fn a_copy_of_the_catalog_scores_the_same_and_follows_promotions_and_grants() {
    let servers = Servers::new();
    let (mut here, mut there) = servers.connect();
    let first = sum_of_scores(&mut here, "launch");
    assert_eq!(sum_of_scores(&mut there, "launch"), first);

    Training::new("launch").param(r#""seed": 5"#).with("promote => true").call(&mut here);
    let second = sum_of_scores(&mut here, "launch");
    wait_until("the promotion has arrived", || sum_of_scores(&mut there, "launch") == second);

    // In one session, which learns of each change although replication brings no invalidation.
    let mut analyst = servers.subscriber.config("postgres", "analyst").connect(NoTls).unwrap();
    for _ in 0..2 {
        refusal(&mut analyst, SCORE).expect("42501", &["permission denied"], &[]);
        here.batch_execute("SELECT reco.grant_model('launch', 'analyst', 'score')").unwrap();
        wait_until("the grant has arrived", || analyst.query_one(SCORE, &[]).is_ok());
        here.batch_execute("SELECT reco.revoke_model('launch', 'analyst', 'score')").unwrap();
        wait_until("the revocation has arrived", || analyst.query_one(SCORE, &[]).is_err());
    }
    here.batch_execute("SELECT reco.drop_model('launch', force => true)").unwrap();
    wait_until("the model is gone", || there.query_one(SCORE, &[]).is_err());
    refusal(&mut there, SCORE).expect("42704", &["does not exist"], &[]);
}

#[test]
fn a_copy_of_the_catalog_is_not_changed_by_hand() {
    let servers = Servers::new();
    let (_, mut there) = servers.connect();
    for change in [
        "SELECT reco.promote('launch', 1)",
        "SELECT reco.grant_model('launch', 'analyst', 'score')",
        "CALL reco.train('other', 'launch_features', 'purchased')",
        "SELECT reco.log_recommendations(ARRAY[1]::bigint[], '{r1}', 'launch')",
    ] {
        refusal(&mut there, change).expect(
            "55000",
            &["has a copy of another server's"],
            &["publishes the catalog"],
        );
    }
}

#[test]
fn a_copy_that_is_no_longer_kept_is_not_read() {
    let servers = Servers::new();
    let (mut here, mut there) = servers.connect();
    let score = value::<f64>(&mut here, SCORE);
    assert_eq!(value::<f64>(&mut there, SCORE), score);
    there.batch_execute("ALTER SUBSCRIPTION reco_copy DISABLE").unwrap();
    refusal(&mut there, SCORE).expect("55000", &["is disabled"], &["ALTER SUBSCRIPTION"]);
    let fault =
        "SELECT NOT ok AND detail LIKE '%is disabled%' FROM reco.check_setup() WHERE item = 'catalog'";
    assert!(value::<bool>(&mut there, fault));
    there.batch_execute("ALTER SUBSCRIPTION reco_copy ENABLE").unwrap();
    assert_eq!(value::<f64>(&mut there, SCORE), score);

    // Whoever drops the subscription goes on alone with what is there.
    there
        .batch_execute(
            "ALTER SUBSCRIPTION reco_copy DISABLE; ALTER SUBSCRIPTION reco_copy SET (slot_name = NONE); \
                         DROP SUBSCRIPTION reco_copy",
        )
        .unwrap();
    assert_eq!(value::<f64>(&mut there, SCORE), score);
    there.batch_execute("SELECT reco.grant_model('launch', 'analyst', 'score')").unwrap();
}
