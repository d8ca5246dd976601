//! The PostgreSQL under test, as `make test` names it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// PostgreSQL refuses to run as root; then it runs as this user.
const SERVER_USER: &str = "postgres";

pub struct Installation {
    pub bin: PathBuf,
    /// The folder of the server's libraries, and that of its other files.
    pub libraries: PathBuf,
    pub share: PathBuf,
    /// The state folder; tests make their clusters in it.
    pub state: PathBuf,
    root: bool,
}

impl Installation {
    pub fn get() -> &'static Self {
        static FOUND: OnceLock<Installation> = OnceLock::new();
        FOUND.get_or_init(|| Self::of("PG_RECOMMEND_PG_CONFIG"))
    }

    /// An older PostgreSQL with the extension, from which a server is upgraded to the one under test.
    pub fn older() -> &'static Self {
        static FOUND: OnceLock<Installation> = OnceLock::new();
        FOUND.get_or_init(|| Self::of("PG_RECOMMEND_OLD_PG_CONFIG"))
    }

    fn of(variable: &str) -> Self {
        let asked = |what| PathBuf::from(output(Command::new(from_environment(variable)).arg(what)).trim());
        let root = std::fs::metadata("/proc/self").expect("/proc is mounted").uid() == 0;
        let state = from_environment("PG_RECOMMEND_STATE").into();
        Self {
            bin: asked("--bindir"),
            libraries: asked("--pkglibdir"),
            share: asked("--sharedir"),
            state,
            root,
        }
    }

    /// One of PostgreSQL's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The words that run what follows them as the server's user; none where that is who we are.
    pub fn as_server_user(&self) -> &'static [&'static str] {
        if self.root {
            &["runuser", "-u", SERVER_USER, "--"]
        } else {
            &[]
        }
    }

    /// One of PostgreSQL's programs, run as the server's user.
    pub fn server_command(&self, name: &str) -> Command {
        let mut words: Vec<_> = self.as_server_user().iter().map(PathBuf::from).collect();
        words.push(self.program(name));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/").stdin(Stdio::null());
        // With it set, errors that pass through Rust would carry a backtrace as their DETAIL.
        command.env_remove("RUST_BACKTRACE");
        command
    }

    /// Makes a folder that only the server's user (and root) may enter.
    pub fn make_server_folder(&self, folder: &Path) {
        let mut command = Command::new("install");
        command.args(["-d", "-m", "700"]);
        if self.root {
            command.args(["-o", SERVER_USER]);
        }
        output(command.arg(folder));
    }

    /// Writes a program that the server's user can run.
    pub fn write_program(&self, file: &Path, text: &str) {
        std::fs::write(file, text).expect("the program is written");
        output(Command::new("chmod").arg("755").arg(file));
    }
}

fn from_environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run these tests with `make test`, which builds and installs what they need"
        )
    })
}

/// What the command prints; panics with its errors if it fails.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
