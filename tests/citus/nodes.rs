//! A coordinator and two workers, each a private server.

use integration::catalog_copy::subscribe;
use integration::installation::output;
use integration::{value, wait_until, Cluster};
use postgres::{Client, SimpleQueryMessage};
use std::path::Path;

/// Citus wants to be the first library. It cannot explain and analyze every statement that it can run, so auto_explain is not there.
const SETTINGS: &str = "
shared_preload_libraries = 'citus,pg_stat_statements'
wal_level = logical
max_connections = 200
max_prepared_transactions = 200
max_worker_processes = 64
citus.shard_count = 4
citus.enable_statistics_collection = off
";

/// The database of every server that belongs together.
pub const DATABASE: &str = "sharded";

pub struct Nodes {
    pub coordinator: Cluster,
    pub workers: [Cluster; 2],
}

impl Nodes {
    /// Servers that know each other, with the extension.
    pub fn new() -> Self {
        let node = || {
            let cluster = Cluster::with(SETTINGS);
            let (socket, _) = cluster.address();
            cluster.reconfigure(&format!("citus.local_hostname = '{}'", socket.display()));
            cluster.connect("postgres").batch_execute(&format!("CREATE DATABASE {DATABASE}")).unwrap();
            cluster.connect(DATABASE).batch_execute("CREATE EXTENSION citus").unwrap();
            cluster
        };
        let this = Self { coordinator: node(), workers: [node(), node()] };
        let mut client = this.connect();
        let (socket, port) = this.coordinator.address();
        let set = format!("SELECT citus_set_coordinator_host('{}', {port})", socket.display());
        client.batch_execute(&set).unwrap();
        for worker in &this.workers {
            let (socket, port) = worker.address();
            client.batch_execute(&format!("SELECT citus_add_node('{}', {port})", socket.display())).unwrap();
        }
        // Citus makes it on the workers.
        client.batch_execute("CREATE EXTENSION pg_recommend").unwrap();
        this
    }

    pub fn connect(&self) -> Client {
        self.coordinator.connect(DATABASE)
    }

    /// Lets the workers have the catalog by logical replication. A session that waits for them (`synchronous_commit =
    /// remote_apply`) finds what it has committed on each of them.
    pub fn replicate_catalog(&self) {
        let mut client = self.connect();
        client.batch_execute("SELECT reco.publish_catalog()").unwrap();
        for (n, worker) in self.workers.iter().enumerate() {
            let name = format!("reco_worker_{n}");
            subscribe(&self.coordinator, &mut worker.connect(DATABASE), DATABASE, &name);
        }
        client
            .batch_execute(
                "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 2 (reco_worker_0, reco_worker_1)'",
            )
            .unwrap();
        client.batch_execute("ALTER SYSTEM SET synchronous_commit = local").unwrap();
        client.batch_execute("SELECT pg_reload_conf()").unwrap();
        let both = "SELECT count(*) = 2 FROM pg_stat_replication WHERE sync_state = 'sync'";
        wait_until("both are waited for", || value::<bool>(&mut client, both));
    }
}

/// What a query answers: its rows as psql shows them. Citus plans it as it was written.
pub fn answer(client: &mut Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let fields = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL").to_owned());
            Some(fields.collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

/// Runs a file of the demo with psql.
pub fn demo(cluster: &Cluster, database: &str, file: &str, variables: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo").join(file);
    let mut command = cluster.client_program("psql");
    command.args(["-X", "-q", "-d", database]).arg("-f").arg(file);
    for variable in variables {
        command.args(["-v", variable]);
    }
    output(&mut command);
}
