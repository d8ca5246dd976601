//! What is not on this server is never read here, and what may be out of date is refused.

use crate::nodes::{answer, Nodes, DATABASE};
use integration::{data, refusal, value, Training};
use postgres::{Client, NoTls};

const SCORES: &str = "SELECT p, r, reco.recommend(p, 'r' || r, 'launch'), reco.recommend(p, 'r' || r, 'launch', as_of => '2024-03-04') \
                      FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r ORDER BY p, r";
/// Other readers of a version's source, which are queries.
const READERS: [&str; 6] = [
    "SELECT * FROM reco.top_products('r1', 10, 'launch')",
    "SELECT * FROM reco.top_regions(7, 4, 'launch')",
    "SELECT product_id, probability FROM reco.forecast_products('r2', 'launch') ORDER BY 1",
    "SELECT column_name, value, contribution FROM reco.explain(7, 'r1', 'launch')",
    "SELECT rows, auroc, log_loss FROM reco.evaluate('launch', 'launch_features')",
    "SELECT similar_product, week, outcome FROM reco.similar_launches(7, 'r1', model => 'launch')",
];

/// A coordinator with the training table and a model.
fn trained() -> (Nodes, Client) {
    let nodes = Nodes::new();
    let mut client = nodes.connect();
    data::create(&mut client);
    Training::new("launch").call(&mut client);
    (nodes, client)
}

#[test]
fn rows_in_shards_are_scored_and_the_shell_is_not() {
    let (_nodes, mut client) = trained();
    let scores = answer(&mut client, SCORES);
    let read: Vec<_> = READERS.iter().map(|sql| answer(&mut client, sql)).collect();
    for (distribute, undo) in [
        ("create_distributed_table('launch_features', 'product_id')", true),
        ("create_distributed_table('launch_features', 'region')", true),
        ("create_reference_table('launch_features')", true),
        ("citus_add_local_table_to_metadata('launch_features')", false),
    ] {
        client.batch_execute(&format!("SELECT {distribute}")).unwrap();
        assert_eq!(answer(&mut client, SCORES), scores, "{distribute}");
        for (sql, read) in READERS.iter().zip(&read) {
            assert_eq!(answer(&mut client, sql), *read, "{distribute}: {sql}");
        }
        // What the shell has left from before is not there any more, in the session that has scored it.
        client.batch_execute("BEGIN; DELETE FROM launch_features WHERE product_id = 7").unwrap();
        let gone = "SELECT reco.recommend(7, 'r1', 'launch') IS NULL AND reco.recommend(8, 'r1', 'launch') IS NOT NULL";
        assert!(value::<bool>(&mut client, gone), "{distribute}");
        client.batch_execute("ROLLBACK").unwrap();
        if undo {
            client.batch_execute("SELECT undistribute_table('launch_features')").unwrap();
        }
        assert_eq!(answer(&mut client, SCORES), scores, "after {distribute}");
    }
}

#[test]
fn a_catalog_in_shards_is_an_error_and_its_old_rows_no_answer() {
    let (nodes, mut client) = trained();
    client.batch_execute("CREATE ROLE analyst LOGIN; GRANT USAGE ON SCHEMA reco TO analyst; GRANT SELECT ON launch_features TO analyst; \
                          SELECT reco.grant_model('launch', 'analyst', 'score')").unwrap();
    let mut analyst = nodes.coordinator.config(DATABASE, "analyst").connect(NoTls).unwrap();
    let score = "SELECT reco.recommend(7, 'r1', 'launch')";
    assert!(value::<Option<f64>>(&mut analyst, score).is_some());
    let expect_refused = |session: &mut Client, table: &str| {
        refusal(session, score).expect(
            "55000",
            &[&format!("Citus keeps the rows of reco.{table} in shards")],
            &["dump"],
        );
    };
    let distribute = |client: &mut Client, table: &str| {
        client.batch_execute(&format!("SELECT create_reference_table('reco.{table}')")).unwrap();
    };
    // Superusers need no privilege, so these are not read for them.
    for table in ["model_privilege", "model"] {
        distribute(&mut client, table);
        expect_refused(&mut analyst, table);
        expect_refused(&mut nodes.coordinator.config(DATABASE, "analyst").connect(NoTls).unwrap(), table);
    }
    refusal(&mut client, "SELECT reco.promote('launch', 1)").expect("55000", &["in shards"], &[]);
    // The weights that a session has read are kept by it.
    for (table, is_kept) in
        [("artifact_chunk", true), ("artifact", true), ("version", false), ("alias", false)]
    {
        distribute(&mut client, table);
        expect_refused(&mut nodes.connect(), table);
        if !is_kept {
            expect_refused(&mut client, table);
        }
    }
}

#[test]
fn a_worker_scores_with_a_catalog_that_is_kept_up_to_date_or_not_at_all() {
    let (nodes, mut client) = trained();
    client.batch_execute("SELECT create_distributed_table('launch_features', 'product_id')").unwrap();
    let pushed = "SELECT count(reco.predict('launch', f)) FROM launch_features AS f";
    refusal(&mut client, pushed).expect("55000", &["is a worker of Citus"], &["subscribe"]);
    nodes.replicate_catalog();
    assert_eq!(value::<i64>(&mut client, pushed), data::ROWS);

    let mut worker = nodes.workers[0].connect(DATABASE);
    refusal(&mut worker, "SELECT reco.promote('launch', 1)").expect(
        "55000",
        &["has a copy of another server's"],
        &["publishes"],
    );
    refusal(&mut worker, "CALL reco.train('other', 'launch_features', 'purchased')").expect(
        "55000",
        &["has a copy"],
        &[],
    );

    worker.batch_execute("ALTER SUBSCRIPTION reco_worker_0 DISABLE").unwrap();
    refusal(&mut client, pushed).expect("55000", &["is disabled"], &["ALTER SUBSCRIPTION"]);
    worker.batch_execute("ALTER SUBSCRIPTION reco_worker_0 ENABLE").unwrap();
    assert_eq!(value::<i64>(&mut client, pushed), data::ROWS);
}

#[test]
fn nobody_scores_on_workers_with_what_was_revoked_or_dropped() {
    let (nodes, mut client) = trained();
    client.batch_execute("SELECT create_distributed_table('launch_features', 'product_id')").unwrap();
    nodes.replicate_catalog();
    client
        .batch_execute(
            "SET synchronous_commit = remote_apply; CREATE ROLE analyst LOGIN; \
                          GRANT USAGE ON SCHEMA reco TO analyst; GRANT SELECT ON launch_features TO analyst; \
                          SELECT reco.grant_model('launch', 'analyst', 'score')",
        )
        .unwrap();
    let mut analyst = nodes.coordinator.config(DATABASE, "analyst").connect(NoTls).unwrap();
    let pushed = "SELECT count(reco.predict('launch', f)) FROM launch_features AS f";
    for _ in 0..3 {
        assert_eq!(value::<i64>(&mut analyst, pushed), data::ROWS);
        client.batch_execute("SELECT reco.revoke_model('launch', 'analyst', 'score')").unwrap();
        refusal(&mut analyst, pushed).expect("42501", &["permission denied to score with model"], &[]);
        client.batch_execute("SELECT reco.grant_model('launch', 'analyst', 'score')").unwrap();
    }
    client.batch_execute("SELECT reco.drop_model('launch', force => true)").unwrap();
    refusal(&mut analyst, pushed).expect("42704", &["does not exist"], &[]);
}
