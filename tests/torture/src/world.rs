//! The database that is asked: sources, models, and what is right of them.

use integration::cluster::Stop;
use integration::Cluster;
use postgres::Client;

/// A relation that a model of the same name recommends from.
pub struct Source {
    pub name: &'static str,
    pub shape: &'static str,
}

const fn source(name: &'static str, shape: &'static str) -> Source {
    Source { name, shape }
}

pub const STABLE: &[Source] = &[
    source("s_table", "table"),
    source("s_text", "text"),
    source("s_bare", "bare"),
    source("s_part", "part"),
    source("s_view", "view"),
    source("s_mat", "matview"),
    source("s_feature", "feature"),
];
pub const SHAKEN: &[Source] = &[
    source("h_table", "table"),
    source("h_text", "text"),
    source("h_part", "part"),
    source("h_mat", "matview"),
];
pub const CHURNED: &[Source] = &[
    source("c_table", "table"),
    source("c_part", "part"),
    source("c_view", "view"),
    source("c_mat", "matview"),
    source("c_feature", "feature"),
];

/// A model that only this session changes.
pub fn own_model(session: usize) -> String {
    format!("own_{session}")
}

/// What servers in production load.
const PRELOAD: &[(&str, &str)] = &[("shared_preload_libraries", "'pg_stat_statements', 'auto_explain'")];

/// How they are set.
const SETTINGS: &[(&str, &str)] = &[
    ("pg_stat_statements.track", "'all'"),
    ("auto_explain.log_analyze", "on"),
    ("auto_explain.log_min_duration", "0"),
    ("auto_explain.log_nested_statements", "on"),
    ("auto_explain.log_level", "debug5"), // all the work, and nothing of it in the log
    ("auto_explain.log_verbose", "on"),
    ("auto_explain.log_buffers", "on"),
    ("autovacuum", "on"),
    ("autovacuum_naptime", "'5s'"),
    ("deadlock_timeout", "'100ms'"),
    ("lock_timeout", "'2s'"),
    ("statement_timeout", "'20s'"),
    ("max_connections", "100"),
    ("max_worker_processes", "16"),
    ("max_prepared_transactions", "4"),
    ("log_line_prefix", "'%m [%p] %e '"),
    ("max_wal_size", "'2GB'"),
    ("checkpoint_timeout", "'30s'"),
    ("client_min_messages", "error"),
];

/// Algorithms, and parameters that make their models tiny.
pub const ALGORITHMS: &[(&str, &str)] = &[
    ("logistic", r#"{"epochs": 2, "threads": 1, "importance": false}"#),
    ("boosted_trees", r#"{"trees": 4, "threads": 1, "importance": false}"#),
    ("mlp", r#"{"epochs": 2, "hidden": [4], "threads": 1, "importance": false}"#),
    ("popularity", r#"{"importance": false}"#),
];

pub const DATABASE: &str = "torture";

/// A server with all of it.
pub fn create(sessions: usize) -> Cluster {
    let cluster = Cluster::new();
    run(&mut cluster.connect("postgres"), &format!("CREATE DATABASE {DATABASE}"));
    // Settings of a library exist once it is loaded.
    for settings in [PRELOAD, SETTINGS] {
        let mut client = cluster.connect("postgres");
        for (name, value) in settings {
            run(&mut client, &format!("ALTER SYSTEM SET {name} = {value}"));
        }
        drop(client);
        cluster.stop(Stop::Fast);
        cluster.start();
    }
    let mut client = cluster.connect(DATABASE);
    run(&mut client, "SET lock_timeout = 0; SET statement_timeout = 0; CREATE EXTENSION pg_stat_statements");
    run(&mut client, include_str!("world.sql"));
    let sources: Vec<_> = [STABLE, SHAKEN, CHURNED].into_iter().flatten().collect();
    for (number, source) in sources.iter().enumerate() {
        run(
            &mut client,
            &format!("CALL torture.make_source('{}', '{}', {number})", source.name, source.shape),
        );
    }
    train(&mut client);
    for (number, source) in sources.iter().enumerate() {
        add_model(&mut client, source.name, source.name, number);
    }
    for session in 0..sessions {
        add_model(&mut client, &own_model(session), "s_table", session);
    }
    run(&mut client, GRANTS);
    expect(&cluster, &mut client, sessions);
    cluster
}

const GRANTS: &str = "
GRANT USAGE ON SCHEMA torture, elsewhere, reco TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA torture TO keeper, reader;
GRANT SELECT ON torture.expected, torture.keys, torture.moments TO PUBLIC;
GRANT INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA torture TO keeper;
SELECT reco.grant_model(m.model, 'reader', 'score'), reco.grant_model(m.model, 'keeper', 'manage') FROM reco.models AS m;
";

fn train(client: &mut Client) {
    for (algorithm, params) in &ALGORITHMS[..3] {
        run(
            client,
            &format!("CALL reco.train('seed', 'torture.s_table', 'purchased', '{algorithm}', '{params}')"),
        );
    }
    let (network, params) = ALGORITHMS[2];
    run(
        client,
        &format!("CALL reco.train('numbers', 'torture.numbers', 'purchased', '{network}', '{params}')"),
    );
    let params = params.replace('{', r#"{"exclude": ["purchased"], "#);
    run(
        client,
        &format!("CALL reco.train('units', 'torture.s_table', 'households', '{network}', '{params}')"),
    );
}

fn add_model(client: &mut Client, model: &str, source: &str, number: usize) {
    run(client, &format!("SELECT torture.restore_model('{model}', 'torture.{source}', {number})"));
}

/// Asks in a new session for each version, so that nothing is kept from one to the next.
fn expect(cluster: &Cluster, client: &mut Client, sessions: usize) {
    let fixed = [STABLE, SHAKEN].into_iter().flatten().map(|source| (source.name.to_owned(), source.name));
    let own = (0..sessions).map(|session| (own_model(session), "s_table"));
    for (model, source) in fixed.chain(own) {
        for version in [2, 3, 1] {
            run(client, &format!("SELECT reco.promote('{model}', {version})"));
            run(
                &mut cluster.connect(DATABASE),
                &format!(
                    "INSERT INTO torture.expected
                     SELECT '{model}', {version}, k.product_id, k.region, m.as_of,
                            (SELECT reco.predict('{model}', f) FROM torture.{source} AS f
                             WHERE f.product_id::text = k.product_id::text AND f.region = k.region AND f.week <= m.as_of
                             ORDER BY f.week DESC LIMIT 1)
                     FROM torture.keys AS k, torture.moments AS m"
                ),
            );
        }
    }
    run(client, "ANALYZE torture.expected");
}

fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
}
