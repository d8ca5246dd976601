//! What runs on the workers.

use crate::nodes::{answer, Nodes, DATABASE};
use integration::{data, refusal, value, Training};
use postgres::Client;

fn sharded(by: &str) -> (Nodes, Client) {
    let nodes = Nodes::new();
    let mut client = nodes.connect();
    data::create(&mut client);
    Training::new("launch").call(&mut client);
    client.batch_execute(&format!("SELECT create_distributed_table('launch_features', '{by}')")).unwrap();
    nodes.replicate_catalog();
    client.batch_execute("SET synchronous_commit = remote_apply").unwrap();
    (nodes, client)
}

/// Whether Citus runs the words on the servers that have the shards.
#[track_caller]
fn expect_pushed(client: &mut Client, sql: &str, words: &str) {
    let plan = answer(client, &format!("EXPLAIN (VERBOSE, COSTS OFF) {sql}")).join("\n");
    let (_, task) = plan.split_once("Task").unwrap_or_else(|| panic!("{plan}"));
    assert!(task.contains(words), "{plan}");
}

#[test]
fn predict_and_recommend_run_on_the_shards() {
    for by in ["product_id", "region"] {
        let (nodes, mut client) = sharded(by);
        // A local table's rows are scored on the coordinator.
        client.batch_execute("CREATE TEMP TABLE here AS SELECT * FROM launch_features").unwrap();
        for score in [
            "reco.recommend(product_id, region, 'launch')",
            "reco.recommend(product_id, region, 'launch', as_of => week)",
            "reco.predict('launch', k)",
        ] {
            let of = |from: &str| {
                format!("SELECT product_id, region, week, {score} AS score FROM {from} AS k ORDER BY 1, 2, 3")
            };
            let here = answer(&mut client, &of("here"));
            let pushed = of("launch_features");
            expect_pushed(&mut client, &pushed, "reco.");
            assert_eq!(answer(&mut client, &pushed), here, "{by}: {score}");
            // A worker that is asked by a user plans as the coordinator does.
            let mut worker = nodes.workers[1].connect(DATABASE);
            assert_eq!(answer(&mut worker, &pushed), here, "{by}: {score}");
        }
    }
}

#[test]
fn a_key_of_another_servers_shard_is_an_error() {
    let (_nodes, mut client) = sharded("product_id");
    client.batch_execute("CREATE TABLE wanted AS SELECT i AS id, 1 + (i * 7) % 60 AS product FROM generate_series(1::bigint, 40) AS i; \
                          SELECT create_distributed_table('wanted', 'id')").unwrap();
    let asked = "SELECT reco.recommend(product, 'r1', 'launch') FROM wanted";
    refusal(&mut client, asked).expect("55000", &["on another server"], &["temporary"]);
    client.batch_execute("CREATE TEMP TABLE here AS SELECT product FROM wanted").unwrap();
    assert_eq!(
        value::<i64>(&mut client, "SELECT count(reco.recommend(product, 'r1', 'launch')) FROM here"),
        40
    );
}

#[test]
fn a_promotion_is_on_every_worker_when_it_has_committed() {
    let (_nodes, mut client) = sharded("product_id");
    Training::new("launch").param(r#""seed": 5"#).call(&mut client);
    client.batch_execute("CREATE TEMP TABLE here AS SELECT * FROM launch_features").unwrap();
    let here = "SELECT round(sum(reco.predict('launch', f))::numeric, 6) FROM here AS f";
    let pushed = "SELECT round(sum(reco.predict('launch', f))::numeric, 6) FROM launch_features AS f";
    let first = answer(&mut client, here);
    for version in [2, 1, 2, 1, 2] {
        client.batch_execute(&format!("SELECT reco.promote('launch', {version})")).unwrap();
        let now = answer(&mut client, here);
        assert_eq!(now != first, version == 2);
        assert_eq!(answer(&mut client, pushed), now);
    }
    // What is rolled back is nowhere.
    client.batch_execute("BEGIN; SELECT reco.promote('launch', 1); ROLLBACK").unwrap();
    assert_ne!(answer(&mut client, pushed), first);
}
