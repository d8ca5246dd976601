//! A database for each test, which is dropped once its test has left it. Roles are the cluster's, so tests give theirs names of their own.

use crate::cluster::Cluster;
use crate::data;
use crate::training::Training;
use postgres::{Client, NoTls};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// What a session is told, in order: severity and message.
pub type Told = Arc<Mutex<Vec<String>>>;

/// Databases that no test holds any more, though a session of it may still be there.
static LEFT: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub struct Database {
    pub cluster: &'static Cluster,
    pub name: String,
}

impl Database {
    /// With the extension and the training table.
    pub fn with_data() -> Self {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let database = Self::copy_of("template1");
            data::create(&mut database.connect());
            database.into_template()
        });
        Self::copy_of(template)
    }

    /// With a version of the model `launch` besides.
    pub fn trained() -> Self {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let database = Self::with_data();
            Training::new("launch").call(&mut database.connect());
            database.into_template()
        });
        Self::copy_of(template)
    }

    fn copy_of(template: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let cluster = Cluster::shared();
        let name = format!("db{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut client = cluster.connect("postgres");
        drop_left(&mut client);
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        client.batch_execute(&create).expect("the database is created");
        Self { cluster, name }
    }

    /// Its name, for as long as the cluster runs.
    fn into_template(self) -> String {
        let name = self.name.clone();
        std::mem::forget(self);
        name
    }

    pub fn connect(&self) -> Client {
        self.cluster.connect(&self.name)
    }

    /// A connection, and what it is told.
    pub fn listen(&self) -> (Client, Told) {
        let told = Told::default();
        let listener = Arc::clone(&told);
        let mut config = self.cluster.config(&self.name, "postgres");
        config.notice_callback(move |notice| {
            listener.lock().unwrap().push(format!("{}: {}", notice.severity(), notice.message()));
        });
        (config.connect(NoTls).unwrap_or_else(|error| panic!("{error}")), told)
    }

    /// What a statement tells its client.
    pub fn told_by(&self, sql: &str) -> Vec<String> {
        let (mut client, told) = self.listen();
        client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let told = told.lock().unwrap();
        told.clone()
    }

    /// A connection as another role.
    pub fn connect_as(&self, role: &str) -> Client {
        self.cluster.config(&self.name, role).connect(NoTls).unwrap_or_else(|error| panic!("{role}: {error}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        LEFT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(std::mem::take(&mut self.name));
    }
}

/// Drops the databases that are left and have no session: together, those of all tests would take gigabytes.
fn drop_left(client: &mut Client) {
    let mut left = LEFT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    left.retain(|name| {
        let used = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)";
        let is_used: bool = client.query_one(used, &[name]).expect("the sessions are listed").get(0);
        // Another process of the server, such as autovacuum, may come in between.
        is_used || client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).is_err()
    });
}
