//! Regions on several servers, by postgres_fdw: the same answers as from one server, work done where the rows are, and what is
//! said where it is not.

use super::parallel::FORCED;
use super::support::artifact;
use integration::{data, refusal, rows, value, Cluster, Training};
use postgres::config::Host;
use postgres::Client;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

/// The first server has the database `whole`, with all regions, the shard `near`, with two of them, and `coordinator`, which has
/// foreign tables only. The second server has the shard `far`, with the other two regions.
struct Servers {
    first: Cluster,
    second: Cluster,
}

const NEAR: &str = "'r0', 'r1'";
const FAR: &str = "'r2', 'r3'";

/// Sales, a feature view over them that looks at one region at a time, and that of the template, which looks at all.
const SALES: &str = "
CREATE TABLE products AS SELECT DISTINCT product_id, category, launched_on FROM launch_features;
CREATE TABLE stores AS SELECT DISTINCT region AS store_id, region FROM launch_features;
CREATE TABLE sold AS
SELECT product_id, region, region AS store_id, week + 2 + time '10:00' AS sold_at, (1.5 * households)::numeric(8, 2) AS amount,
       1 + (product_id % 3)::integer AS quantity, clicks AS customer
FROM launch_features WHERE households > 3;
ANALYZE sold;
SELECT reco.create_feature_view('demand', $$
    SELECT product_id, region, reco.week(sold_at) AS week, sum(quantity)::real AS quantity, sum(quantity) > 2 AS many
    FROM sold WHERE sold_at >= $1 AND sold_at < $2 + 7 GROUP BY 1, 2, 3 $$,
    keys => '{product_id,region}', label => 'many',
    available => 'SELECT min(sold_at), date_trunc(''week'', max(sold_at)) + interval ''7 days'' FROM sold');
SELECT reco.create_launch_features('new_products', sales => 'sold', products => 'products', stores => 'stores', customer => 'customer',
    launch_date => 'launched_on', launch_weeks => 30)";

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let servers = Servers { first: Cluster::new(), second: Cluster::new() };
        let mut admin = servers.first.connect("postgres");
        for name in ["whole", "near", "coordinator"] {
            admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        }
        fill(&mut servers.first.connect("whole"), &format!("{NEAR}, {FAR}"));
        fill(&mut servers.first.connect("near"), NEAR);
        servers.second.connect("postgres").batch_execute("CREATE DATABASE far").unwrap();
        fill(&mut servers.second.connect("far"), FAR);
        servers.coordinate(&mut servers.first.connect("coordinator"));
        servers
    })
}

fn fill(client: &mut Client, regions: &str) {
    data::create(client);
    client.batch_execute(&format!("DELETE FROM launch_features WHERE region NOT IN ({regions})")).unwrap();
    client.batch_execute(SALES).unwrap();
    for view in ["demand", "new_products"] {
        client.batch_execute(&format!("CALL reco.refresh_features('{view}')")).unwrap();
    }
}

impl Servers {
    /// Foreign tables of both shards, as partitions of one table.
    fn coordinate(&self, client: &mut Client) {
        let near = connection(&self.first, "near");
        let far = connection(&self.second, "far");
        client
            .batch_execute(
                "CREATE EXTENSION pg_recommend; CREATE EXTENSION postgres_fdw;
                 CREATE TYPE pack_size AS ENUM ('small', 'medium', 'large')",
            )
            .unwrap();
        for (shard, connection) in [("near", near), ("far", far)] {
            let options = "extensions 'pg_recommend', async_capable 'true', fetch_size '10000'";
            client
                .batch_execute(&format!(
                    "CREATE SERVER {shard} FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({connection}, {options});
                     CREATE USER MAPPING FOR postgres SERVER {shard} OPTIONS (user 'postgres');
                     CREATE SCHEMA {shard};
                     IMPORT FOREIGN SCHEMA public LIMIT TO (launch_features, sold, demand, new_products) FROM SERVER {shard} INTO {shard}"
                ))
                .unwrap();
        }
        for table in ["launch_features", "sold", "demand", "new_products"] {
            client
                .batch_execute(&format!(
                    "CREATE TABLE {table} (LIKE near.{table}) PARTITION BY LIST (region);
                     ALTER TABLE {table} ATTACH PARTITION near.{table} FOR VALUES IN ({NEAR});
                     ALTER TABLE {table} ATTACH PARTITION far.{table} FOR VALUES IN ({FAR})"
                ))
                .unwrap();
        }
    }

    /// A coordinator of its own, whose servers can be altered.
    fn copy_of_coordinator(&self) -> Client {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("coordinator{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.first.connect("postgres");
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE coordinator")).unwrap();
        let mut client = self.first.connect(&name);
        client.batch_execute("SET enable_partitionwise_aggregate = on").unwrap();
        client
    }
}

/// The options of a foreign server that lead to a database.
fn connection(cluster: &Cluster, database: &str) -> String {
    let config = cluster.config(database, "postgres");
    let Host::Unix(folder) = &config.get_hosts()[0] else { panic!("it listens on a socket") };
    format!("host '{}', port '{}', dbname '{database}'", folder.display(), config.get_ports()[0])
}

fn explain(client: &mut Client, sql: &str) -> String {
    let lines = client.query(&format!("EXPLAIN (VERBOSE, COSTS OFF) {sql}"), &[]).unwrap();
    lines.iter().map(|line| line.get::<_, String>(0) + "\n").collect()
}

/// Asserts that both answer the same, and more than nothing.
#[track_caller]
fn same(one: &mut Client, other: &mut Client, sql: &str) {
    let (found, expected) = (rows(one, sql), rows(other, sql));
    assert!(!expected.is_empty(), "{sql}");
    assert_eq!(found, expected, "{sql}");
}

/// What a model of `launch_features` answers, of every kind.
const ANSWERS: [&str; 9] = [
    // Two of the keys have no row.
    "SELECT p, r, reco.recommend(p, 'r' || r, 'launch') FROM generate_series(1::bigint, 60) AS p, generate_series(0, 3) AS r \
     UNION ALL SELECT 61, 0, reco.recommend(61, 'r0', 'launch') UNION ALL SELECT 1, 9, reco.recommend(1, 'r9', 'launch') \
     ORDER BY 1, 2",
    "SELECT p, reco.recommend(p, 'r3', 'launch', as_of => '2024-03-06') FROM generate_series(1::bigint, 60) AS p ORDER BY 1",
    "SELECT product_id, region, week, reco.predict('launch', f) FROM launch_features AS f ORDER BY 1, 2, 3",
    "SELECT * FROM reco.top_products('r2', 20, 'launch') ORDER BY rank",
    "SELECT * FROM reco.top_regions(7, 4, 'launch') ORDER BY rank",
    "SELECT slice, rows, positives, round(auroc::numeric, 9), round(log_loss::numeric, 9) \
     FROM reco.evaluate('launch', 'launch_features', by => 'region') ORDER BY slice NULLS FIRST",
    "SELECT * FROM reco.explain(5, 'r1', 'launch')",
    "SELECT * FROM reco.similar_launches(5, 'r3', 4, 'launch')",
    "SELECT level, category, product_id, products, round(purchases::numeric, 9) FROM reco.forecast('r1', 'launch', by => 'category')",
];

#[test]
fn a_model_of_several_shards_is_that_of_one_server_and_answers_the_same() {
    let servers = servers();
    let (mut whole, mut client) = (servers.first.connect("whole"), servers.copy_of_coordinator());
    let train = Training::new("launch");
    train.call(&mut whole);
    train.call(&mut client);
    assert!(artifact(&mut client, "launch", 1) == artifact(&mut whole, "launch", 1), "the weights differ");
    for sql in ANSWERS {
        same(&mut client, &mut whole, sql);
    }
    // As one snapshot sees it, and without partitions in between.
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").unwrap();
    same(&mut client, &mut whole, ANSWERS[0]);
    client.batch_execute("COMMIT; CREATE VIEW seen AS TABLE launch_features").unwrap();
    for (model, source) in [("of_view", "seen"), ("of_one", "far.launch_features")] {
        Training::new(model).source(source).with("keys => '{product_id,region}'").call(&mut client);
        let found = format!(
            "SELECT count(reco.recommend(p, 'r3', '{model}')) FROM generate_series(1::bigint, 60) AS p"
        );
        assert_eq!(value::<i64>(&mut client, &found), 60, "{model}");
        let found = format!("SELECT count(*) FROM reco.top_products('r3', 60, '{model}')");
        assert_eq!(value::<i64>(&mut client, &found), 60, "{model}");
    }
    // What becomes of the model goes on here, too.
    for client in [&mut whole, &mut client] {
        client.batch_execute("CALL reco.retrain('launch')").unwrap();
        client.batch_execute("CALL reco.monitor('launch', from_week => '2024-05-13')").unwrap();
    }
    same(
        &mut client,
        &mut whole,
        "SELECT week, region, version, rows, round(auroc::numeric, 9), round(log_loss::numeric, 9) FROM reco.monitoring WHERE model = 'launch' ORDER BY 1, 2",
    );
}

#[test]
fn views_of_the_shards_are_that_of_one_server() {
    let servers = servers();
    let mut client = servers.copy_of_coordinator();
    let sql = "SELECT * FROM demand ORDER BY product_id, region, week";
    same(&mut client, &mut servers.first.connect("whole"), sql);
    // Of a refresh that a shard has not committed nothing is seen.
    let total = "SELECT sum(quantity) FROM demand";
    let before: f32 = value(&mut client, total);
    let mut far = servers.second.connect("far");
    far.batch_execute("BEGIN; UPDATE sold SET quantity = quantity + 1").unwrap();
    far.batch_execute("CALL reco.refresh_features('demand', '2024-01-01')").unwrap();
    assert_eq!(value::<f32>(&mut client, total), before);
    far.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn launch_features_of_a_shard_differ_only_in_what_looks_across_regions() {
    let servers = servers();
    let (mut whole, mut client) = (servers.first.connect("whole"), servers.copy_of_coordinator());
    // With a launch date the rows are the same.
    same(&mut client, &mut whole, "SELECT product_id, region, week FROM new_products ORDER BY 1, 2, 3");
    let sql = "SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = 'new_products'::regclass AND a.attnum > 0";
    let columns: Vec<String> = whole.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    let across = |column: &&String| {
        column.starts_with("all_")
            || ["price_to_category", "regions_sold", "regions_share"].contains(&column.as_str())
    };
    let (looking, others): (Vec<&String>, Vec<&String>) = columns.iter().partition(across);
    assert_eq!(looking.len(), 20);
    let of = |columns: &[&String]| {
        let list = columns.iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ");
        format!("SELECT {list} FROM new_products ORDER BY product_id, region, week")
    };
    same(&mut client, &mut whole, &of(&others));
    assert_ne!(rows(&mut client, &of(&looking)), rows(&mut whole, &of(&looking)));
}

const BY_REGION: &str = "SELECT region, reco.sales_summary(amount, quantity, NULL, customer, sold_at) AS s FROM sold GROUP BY region";
const BY_PRODUCT_AND_REGION: &str =
    "SELECT product_id, region, reco.sales_summary(amount, quantity, NULL, customer, sold_at) AS s \
                                     FROM sold GROUP BY product_id, region";

#[test]
fn summaries_are_made_on_the_shards() {
    let servers = servers();
    let (mut whole, mut client) = (servers.first.connect("whole"), servers.copy_of_coordinator());
    // Of every product of all regions: merged from what the shards have made of theirs.
    let by_product = format!(
        "SELECT product_id, reco.rollup(s) AS s FROM ({BY_PRODUCT_AND_REGION}) AS p GROUP BY product_id"
    );
    for (sql, key) in [
        (BY_REGION, "region"),
        (BY_PRODUCT_AND_REGION, "product_id, region"),
        (by_product.as_str(), "product_id"),
    ] {
        let plan = explain(&mut client, sql);
        let shipped = plan.matches("Remote SQL: SELECT ").count();
        assert_eq!((shipped, plan.matches("Relations: Aggregate on").count()), (2, 2), "{plan}");
        assert_eq!(
            plan.lines().filter(|l| l.contains("Remote SQL") && l.contains("sales_summary(")).count(),
            2,
            "{plan}"
        );
        let read = format!(
            "SELECT {key}, round(reco.total_sales(s)::numeric, 6), reco.unique_customers(s), reco.transactions(s), \
                    reco.last_sale(s) FROM ({sql}) AS q ORDER BY {key}"
        );
        same(&mut client, &mut whole, &read);
    }
    assert_eq!(explain(&mut client, BY_REGION).matches("Async Foreign Scan").count(), 2);
}

/// The details of what check_setup() says of foreign servers, of faults only.
fn faults(client: &mut Client) -> Vec<String> {
    let sql =
        "SELECT detail FROM reco.check_setup() WHERE item = 'foreign servers' AND NOT ok ORDER BY detail";
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn check_setup_says_which_setting_pulls_rows() {
    let mut client = servers().copy_of_coordinator();
    let is_pulled = |client: &mut Client| explain(client, BY_REGION).matches("Aggregate on").count() < 2;
    let found = "SELECT ok, detail FROM reco.check_setup() WHERE item = 'foreign servers'";
    assert_eq!(rows(&mut client, found), ["(t,\"they compute on their own rows: far, near\")"]);
    assert!(!is_pulled(&mut client));

    client.batch_execute("SET enable_partitionwise_aggregate = off").unwrap();
    assert!(is_pulled(&mut client));
    let said = faults(&mut client);
    assert!(said.len() == 1 && said[0].contains("enable_partitionwise_aggregate = on"), "{said:?}");
    client.batch_execute("SET enable_partitionwise_aggregate = on").unwrap();

    for (without, with) in [
        ("DROP extensions", "ADD extensions 'pg_recommend'"),
        ("SET extensions 'postgres_fdw'", "SET extensions 'postgres_fdw, pg_recommend'"),
    ] {
        client.batch_execute(&format!("ALTER SERVER far OPTIONS ({without})")).unwrap();
        assert!(is_pulled(&mut client));
        let said = faults(&mut client);
        assert!(said.len() == 1 && said[0].contains("ALTER SERVER far OPTIONS (ADD extensions"), "{said:?}");
        client.batch_execute(&format!("ALTER SERVER far OPTIONS ({with})")).unwrap();
        assert!(!is_pulled(&mut client) && faults(&mut client).is_empty());
    }

    let waits = |client: &mut Client| 2 - explain(client, BY_REGION).matches("Async Foreign Scan").count();
    client.batch_execute("ALTER SERVER near OPTIONS (DROP async_capable)").unwrap();
    assert_eq!(waits(&mut client), 1);
    let said = faults(&mut client);
    assert!(
        said.len() == 1 && said[0].contains("partitions of near are read one after the other: 4"),
        "{said:?}"
    );
    // A table's own option counts before that of its server.
    client.batch_execute("ALTER FOREIGN TABLE near.sold OPTIONS (ADD async_capable 'on')").unwrap();
    assert_eq!(waits(&mut client), 0);
    assert!(faults(&mut client)[0].contains("one after the other: 3"));

    // A server without a table has nothing to be told of.
    client.batch_execute("DROP SCHEMA near CASCADE; DROP SCHEMA far CASCADE").unwrap();
    assert!(rows(&mut client, found).is_empty());
}

#[test]
fn a_worker_does_not_take_what_it_cannot_see_for_nothing() {
    let mut client = servers().copy_of_coordinator();
    Training::new("launch").call(&mut client);
    client
        .batch_execute(
            "CREATE TABLE wanted AS SELECT p AS product_id, 'r3' AS region FROM generate_series(601::bigint, 1600) AS p;
             ANALYZE wanted;
             BEGIN; INSERT INTO far.launch_features (product_id, region, week) VALUES (777, 'r3', '2024-06-24')",
        )
        .unwrap();
    let sql = "SELECT max(reco.recommend(product_id, region, 'launch')) FROM wanted";
    let seen: Option<f64> = value(&mut client, sql);
    assert!(seen.is_some(), "the transaction sees its own row");
    client.batch_execute(&FORCED.replace("SET ", "SET LOCAL ")).unwrap();
    refusal(&mut client, sql).expect(
        "0A000",
        &["foreign table", "launch_features", "parallel worker"],
        &["max_parallel_workers_per_gather = 0", "top_products"],
    );
    client.batch_execute("ROLLBACK").unwrap();
}

/// On a shard: a version that its coordinator has trained, and the scores of the newest rows.
const SCORES: &str = "
CREATE VIEW scores AS
SELECT product_id, region, week, m.champion AS version, reco.predict('launch', f) AS score
FROM launch_features AS f, reco.models AS m
WHERE m.model = 'launch' AND week = (SELECT max(week) FROM launch_features)";

#[test]
fn a_shard_scores_its_own_rows() {
    let servers = servers();
    let mut client = servers.copy_of_coordinator();
    Training::new("launch").call(&mut client);
    let artifact = artifact(&mut client, "launch", 1);
    for (cluster, shard) in [(&servers.first, "near"), (&servers.second, "far")] {
        let mut there = cluster.connect(shard);
        there.execute("SELECT reco.import_model('launch', $1, 'launch_features')", &[&artifact]).unwrap();
        there.batch_execute(SCORES).unwrap();
        client
            .batch_execute(&format!(
                "IMPORT FOREIGN SCHEMA public LIMIT TO (scores) FROM SERVER {shard} INTO {shard}"
            ))
            .unwrap();
    }
    client
        .batch_execute(&format!(
            "CREATE TABLE scores (LIKE near.scores) PARTITION BY LIST (region);
             ALTER TABLE scores ATTACH PARTITION near.scores FOR VALUES IN ({NEAR});
             ALTER TABLE scores ATTACH PARTITION far.scores FOR VALUES IN ({FAR})"
        ))
        .unwrap();
    let newest = "SELECT product_id, region, score FROM scores ORDER BY 1, 2";
    let here = "SELECT product_id, region, reco.recommend(product_id, region, 'launch') AS score FROM launch_features \
                WHERE week = '2024-06-17' ORDER BY 1, 2";
    assert_eq!(rows(&mut client, newest), rows(&mut client, here));
    assert_eq!(rows(&mut client, newest).len(), 240);
    // The best of a region come first, from its shard alone, and by the version that the row says.
    let best =
        "SELECT product_id, version, score FROM scores WHERE region = 'r3' ORDER BY score DESC LIMIT 5";
    let plan = explain(&mut client, best);
    assert!(plan.contains("ORDER BY score DESC") && !plan.contains("near"), "{plan}");
    let top = "SELECT product_id::bigint, 1 AS version, score FROM reco.top_products('r3', 5, 'launch')";
    assert_eq!(rows(&mut client, best), rows(&mut client, top));
}
