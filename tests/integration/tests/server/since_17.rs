//! What came with PostgreSQL 17: maintenance under a restricted search path, who may do it, and collations that are the
//! server's own.

use super::schedules::{attempts, run_now, schedule_refresh};
use super::support::{artifact, sum_of_scores};
use super::views;
use integration::{data, rows, value, Cluster, Database, Training};

const SCORES: &str = "
CREATE MATERIALIZED VIEW scores AS
SELECT product_id, region, reco.recommend(product_id, region, 'launch') AS score,
       reco.predict('launch', f) AS predicted, reco.total_sales(reco.sales_summary(price, 1, 0, households, week)) AS sales
FROM launch_features AS f WHERE week = '2024-06-10' GROUP BY product_id, region, week, f.*;
CREATE INDEX ON scores (reco.bucketize(score, '{0.1,0.5}'));
";

#[test]
fn maintenance_calls_our_functions_under_its_own_search_path() {
    let database = Database::trained();
    let mut client = database.connect();
    client.batch_execute(SCORES).unwrap();
    let everything = "SELECT * FROM scores ORDER BY product_id, region";
    let before = rows(&mut client, everything);
    assert_eq!(before.len(), 240);
    for statement in
        ["REFRESH MATERIALIZED VIEW scores", "REINDEX TABLE scores", "ANALYZE scores", "VACUUM FULL scores"]
    {
        client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        assert_eq!(rows(&mut client, everything), before, "{statement}");
    }
}

#[test]
fn who_may_maintain_a_materialized_view_refreshes_it_with_its_owners_rights_to_the_model() {
    let database = Database::trained();
    let mut client = database.connect();
    client.batch_execute(SCORES).unwrap();
    client.batch_execute("CREATE ROLE maintains LOGIN; GRANT MAINTAIN ON scores TO maintains").unwrap();
    let mut maintains = database.connect_as("maintains");
    maintains.batch_execute("REFRESH MATERIALIZED VIEW scores; ANALYZE scores").unwrap();
    integration::refusal(&mut maintains, "SELECT * FROM scores").expect("42501", &["permission denied"], &[]);
    assert_eq!(value::<i64>(&mut client, "SELECT count(score) FROM scores"), 240);
}

#[test]
fn a_database_whose_collation_is_built_in_learns_and_scores_the_same() {
    let cluster = Cluster::shared();
    cluster
        .connect("postgres")
        .batch_execute(
            "CREATE DATABASE built_in TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
        )
        .unwrap();
    let mut built_in = cluster.connect("built_in");
    data::create(&mut built_in);
    let training = Training::new("launch");
    training.call(&mut built_in);
    let mut usual = Database::trained().connect();
    assert!(artifact(&mut built_in, "launch", 1) == artifact(&mut usual, "launch", 1));
    assert_eq!(sum_of_scores(&mut built_in, "launch"), sum_of_scores(&mut usual, "launch"));
    let by_key = "SELECT p, r, reco.recommend(p, 'r' || r) FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r";
    assert_eq!(rows(&mut built_in, by_key), rows(&mut usual, by_key));
    // A product of letters, whose index has the database's collation.
    for client in [&mut built_in, &mut usual] {
        client
            .batch_execute(
                "CREATE TABLE lettered AS SELECT chr(64 + product_id::integer % 64) || 'ä' || product_id AS product_id, region, week,
                        sales_1w, category, purchased FROM launch_features;
                 ALTER TABLE lettered ADD PRIMARY KEY (product_id, region, week)",
            )
            .unwrap();
        Training::new("lettered").source("lettered").call(client);
    }
    let lettered =
        "SELECT * FROM (SELECT DISTINCT product_id, region, reco.recommend(product_id, region, 'lettered') AS score FROM lettered) AS l
                    ORDER BY score, product_id COLLATE \"C\", region COLLATE \"C\"";
    assert_eq!(rows(&mut built_in, lettered), rows(&mut usual, lettered));
}

#[test]
fn what_a_role_that_cannot_log_in_has_scheduled_runs_as_that_role() {
    let database = Database::trained();
    let mut client = database.connect();
    client
        .batch_execute(
            "CREATE ROLE never_logs_in NOLOGIN; GRANT USAGE ON SCHEMA reco TO never_logs_in;
             GRANT CREATE ON SCHEMA public TO never_logs_in; SET ROLE never_logs_in",
        )
        .unwrap();
    views::create(&mut client, "");
    schedule_refresh(&mut client, "");
    client.batch_execute("RESET ROLE").unwrap();
    run_now(&mut client);
    assert_eq!(attempts(&mut client, "refresh"), ["1 succeeded"]);
    assert_eq!(value::<String>(&mut client, "SELECT owner FROM reco.schedule_runs"), "never_logs_in");
}
