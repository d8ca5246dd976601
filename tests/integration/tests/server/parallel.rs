use integration::{rows, value, Database};
use postgres::Client;

pub const FORCED: &str =
    "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; \
                      SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off";

fn assert_same_in_parallel(client: &mut Client, sql: &str) {
    client.batch_execute("SET max_parallel_workers_per_gather = 0").unwrap();
    let serial: f64 = value(client, sql);
    client.batch_execute(FORCED).unwrap();
    let plan = rows(client, "SELECT 1").join("") + &explain(client, sql);
    assert!(plan.contains("Gather") && plan.contains("Workers Launched: 2"), "{plan}");
    let parallel: f64 = value(client, sql);
    assert!((serial - parallel).abs() <= 1e-9 * serial.abs(), "{serial} and {parallel}");
}

pub fn explain(client: &mut Client, sql: &str) -> String {
    let lines = client.query(&format!("EXPLAIN (ANALYZE, VERBOSE) {sql}"), &[]).unwrap();
    lines.iter().map(|line| line.get::<_, String>(0) + "\n").collect()
}

#[test]
fn predict_runs_in_parallel_workers() {
    let mut client = Database::trained().connect();
    assert_same_in_parallel(&mut client, "SELECT sum(reco.predict('launch', f)) FROM launch_features AS f");
}

#[test]
fn recommend_runs_in_parallel_workers() {
    let mut client = Database::trained().connect();
    client
        .batch_execute("CREATE TABLE keys AS SELECT product_id, region FROM launch_features; ANALYZE keys")
        .unwrap();
    assert_same_in_parallel(&mut client, "SELECT sum(reco.recommend(product_id, region)) FROM keys");
}

#[test]
fn an_error_in_a_worker_is_the_users_error() {
    let mut client = Database::trained().connect();
    client.batch_execute(FORCED).unwrap();
    let sql = "SELECT sum(reco.predict('nobody', f)) FROM launch_features AS f";
    integration::refusal(&mut client, sql).expect(
        "42704",
        &["model \"nobody\" does not exist"],
        &["reco.models"],
    );
    assert!(
        value::<f64>(&mut client, "SELECT sum(reco.predict('launch', f)) FROM launch_features AS f") > 0.0
    );
}
