//! A private server. It listens on a socket in a folder of its own and nowhere else.

use crate::installation::{output, Installation};
use postgres::{Client, Config, NoTls};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

/// Without TCP the port is only a part of the socket's name, and its folder is ours alone.
const PORT: u16 = 5432;
/// The path of a socket has room for this many bytes.
const LONGEST_SOCKET_PATH: usize = 107;

const SETTINGS: &str = "
listen_addresses = ''
fsync = off
autovacuum = off
max_connections = 60
max_worker_processes = 32
shared_buffers = 64MB
timezone = 'UTC'
jit = off
logging_collector = off
# As nearly every production server has them. What is explained is not logged: nobody would read it.
shared_preload_libraries = 'pg_stat_statements,auto_explain'
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_nested_statements = on
auto_explain.log_level = debug5
reco.training_threads = 1
reco.min_training_nice = 0
";

pub struct Cluster {
    folder: PathBuf,
    socket: PathBuf,
    installation: &'static Installation,
    guardian: Guardian,
}

/// How a server is stopped.
#[derive(Clone, Copy)]
pub enum Stop {
    Fast,
    Immediate,
}

impl Cluster {
    /// The server of all tests that do not disturb each other.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    /// A new, running server.
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same, with the library among those that the server loads at its start, and with more settings.
    pub fn preloaded(settings: &str) -> Self {
        let preload = "shared_preload_libraries = 'pg_stat_statements,pg_recommend,auto_explain'";
        Self::with(&format!("{preload}\n{settings}\n"))
    }

    /// A new, running server with further settings.
    pub fn with(settings: &str) -> Self {
        let cluster = Self::stopped(Installation::get(), settings);
        cluster.start();
        cluster
    }

    /// A new, running server of the older PostgreSQL.
    pub fn older() -> Self {
        let cluster = Self::stopped(Installation::older(), "");
        cluster.start();
        cluster
    }

    fn stopped(installation: &'static Installation, settings: &str) -> Self {
        let cluster = Self::without_data(installation);
        let mut initdb = installation.server_command("initdb");
        initdb.args([
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            // What PostgreSQL 18 does by itself; an upgrade asks that both servers do the same.
            "--data-checksums",
            "--no-sync",
        ]);
        output(initdb.arg("-D").arg(cluster.data_folder()));
        cluster.configure(&format!("{SETTINGS}{settings}"));
        cluster
    }

    /// This server, stopped, as pg_upgrade brings it to the PostgreSQL under test.
    pub fn upgraded(self) -> Self {
        self.stop(Stop::Fast);
        let new = Self::stopped(Installation::get(), "");
        let mut upgrade = new.installation.server_command("pg_upgrade");
        upgrade.arg("-b").arg(&self.installation.bin).arg("-d").arg(self.data_folder());
        upgrade.arg("-B").arg(&new.installation.bin).arg("-D").arg(new.data_folder());
        // It writes its scripts into its working folder.
        upgrade.args(["-U", "postgres", "-j2", "-s"]).arg(&new.socket).current_dir(&new.folder);
        let done = upgrade.output().expect("pg_upgrade starts");
        let told = || format!("{}\n{}", String::from_utf8_lossy(&done.stdout), new.logs_of_upgrade());
        assert!(done.status.success(), "{}", told());
        new.start();
        new
    }

    /// The ends of what a failed pg_upgrade has left.
    fn logs_of_upgrade(&self) -> String {
        let mut find = Command::new("find");
        find.arg(self.data_folder().join("pg_upgrade_output.d")).args(["-name", "*.log"]);
        let ends = |file: &str| {
            format!("{file}:\n{}\n", tail(&std::fs::read_to_string(file).unwrap_or_default(), 8))
        };
        output(&mut find).lines().map(ends).collect()
    }

    /// A running standby of this server.
    pub fn standby(&self) -> Self {
        self.standby_with("")
    }

    /// The same, with settings of its own.
    pub fn standby_with(&self, settings: &str) -> Self {
        let standby = Self::without_data(self.installation);
        let mut backup = self.installation.server_command("pg_basebackup");
        backup.args(["-R", "--checkpoint=fast", "--no-sync", "-U", "postgres"]);
        backup.arg("-h").arg(&self.socket).args(["-p", &PORT.to_string()]);
        output(backup.arg("-D").arg(standby.data_folder()));
        standby.configure(settings);
        standby.start();
        standby
    }

    fn without_data(installation: &'static Installation) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = installation.state.join("tests").join(&name);
        let mut socket = folder.join("s");
        if socket.as_os_str().len() + "/.s.PGSQL.".len() + PORT.to_string().len() > LONGEST_SOCKET_PATH {
            socket = Path::new("/tmp").join(format!("pg_recommend-test-{name}"));
        }
        installation.make_server_folder(&folder);
        installation.make_server_folder(&socket);
        let guardian = Guardian::new(installation, &folder, &socket);
        Self { folder, socket, installation, guardian }
    }

    fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Appends to the configuration; the last word counts.
    fn configure(&self, settings: &str) {
        let file = self.data_folder().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).expect("the configuration is readable");
        let socket = format!("unix_socket_directories = '{}'\nport = {PORT}\n", self.socket.display());
        std::fs::write(&file, before + settings + &socket).expect("the configuration is writable");
    }

    /// Restarts the server with further settings.
    pub fn reconfigure(&self, settings: &str) {
        self.configure(&format!("{settings}\n"));
        self.stop(Stop::Fast);
        self.start();
    }

    pub fn start(&self) {
        assert!(self.try_start(), "the server does not start:\n{}", self.log());
    }

    /// Whether the server could be started.
    pub fn try_start(&self) -> bool {
        let mut command = self.control("start");
        command.arg("-l").arg(self.folder.join("log"));
        // The server must not keep our output open.
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    pub fn stop(&self, how: Stop) {
        output(self.control("stop").arg("-m").arg(match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        }));
    }

    fn control(&self, action: &str) -> Command {
        let mut command = self.installation.server_command("pg_ctl");
        command.arg(action).args(["-w", "-t", "60", "-D"]).arg(self.data_folder());
        command
    }

    /// The folder of its socket, and its port, by which other servers reach it.
    pub fn address(&self) -> (&Path, u16) {
        (&self.socket, PORT)
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A folder that the server can read.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn config(&self, database: &str, user: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.socket).port(PORT).user(user).dbname(database);
        config
    }

    /// A connection as superuser, certainly to this server.
    pub fn connect(&self, database: &str) -> Client {
        let client = self.try_connect(database);
        client.unwrap_or_else(|error| panic!("no connection to {database}: {error}\n{}", self.log()))
    }

    pub fn try_connect(&self, database: &str) -> Result<Client, postgres::Error> {
        let mut client = self.config(database, "postgres").connect(NoTls)?;
        let found: String = client.query_one("SHOW data_directory", &[])?.get(0);
        assert_eq!(Path::new(&found), self.data_folder(), "connected to somebody else's server");
        Ok(client)
    }

    /// One of PostgreSQL's client programs, told how to connect as superuser.
    pub fn client_program(&self, name: &str) -> Command {
        let mut command = Command::new(self.installation.program(name));
        command.env("PGHOST", &self.socket).env("PGPORT", PORT.to_string()).env("PGUSER", "postgres");
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log ends with:\n{}", tail(&self.log(), 20));
        }
        self.guardian.finish();
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A shell that stops the server and removes its folders when the pipe from us closes: when the cluster is dropped,
/// and also when the tests end without dropping it, whatever ended them.
struct Guardian {
    shell: Child,
}

const WATCH: &str = r#"
read -r _
data=$1 folder=$2 socket=$3
shift 3
"$@" stop -m immediate -D "$data"
rm -rf -- "$folder" "$socket"
"#;

impl Guardian {
    fn new(installation: &Installation, folder: &Path, socket: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "guardian"]).arg(folder.join("data")).arg(folder).arg(socket);
        command.args(installation.as_server_user()).arg(installation.program("pg_ctl"));
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // An interrupt from the keyboard goes to the whole group of the tests; the guardian must outlive it.
        command.process_group(0);
        Self { shell: command.spawn().expect("a shell starts") }
    }

    fn finish(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
