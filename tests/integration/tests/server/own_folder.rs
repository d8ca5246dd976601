//! A library that lies in a folder of its own, to which `dynamic_library_path` leads.

use super::schedules::{attempts, run_now, schedule_refresh};
use super::views;
use integration::installation::{output, Installation};
use integration::{data, rows, value, Cluster, Training};
use postgres::Client;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server and a folder `lib` with the extension's library and its trainer, which the server reads first.
pub fn with_own_folder(settings: &str) -> (Cluster, PathBuf) {
    let cluster = Cluster::with(settings);
    let folder = cluster.folder().join("extension");
    Installation::get().make_server_folder(&folder);
    let theirs = &Installation::get().libraries;
    copy(&theirs.join("pg_recommend.so"), &folder.join("lib/pg_recommend.so"));
    copy(
        &theirs.join("pg_recommend/pg_recommend_trainer"),
        &folder.join("lib/pg_recommend/pg_recommend_trainer"),
    );
    let libtorch = std::fs::canonicalize(theirs.join("pg_recommend/lib")).expect("libtorch is installed");
    symlink(libtorch, folder.join("lib/pg_recommend/lib")).expect("a link is made");
    let path = format!("dynamic_library_path = '{}:$libdir'", folder.join("lib").display());
    cluster.reconfigure(&path);
    (cluster, folder)
}

/// A copy that the server's user can read, in a folder that may be missing.
pub fn copy(from: &Path, to: &Path) {
    output(Command::new("install").args(["-D", "-m", "755"]).arg(from).arg(to));
}

/// That a training, and the worker of a schedule, run with what is in the folder.
#[track_caller]
pub fn assert_all_from(client: &mut Client, folder: &Path) {
    data::create(client);
    let trainer = "SELECT detail FROM reco.check_setup() WHERE item = 'trainer' AND ok";
    let found: String = value(client, trainer);
    assert!(
        found.contains(&folder.join("lib/pg_recommend/pg_recommend_trainer").display().to_string()),
        "{found}"
    );
    Training::new("launch").call(client);
    // A server without the folder's library could not start it.
    let mapped = format!("/proc/{}/maps", value::<i32>(client, "SELECT pg_backend_pid()"));
    let mapped = std::fs::read_to_string(mapped).expect("the backend is there");
    let libraries: Vec<_> = mapped.lines().filter(|line| line.ends_with("pg_recommend.so")).collect();
    assert!(!libraries.is_empty());
    let ours = folder.display().to_string();
    assert!(libraries.iter().all(|line| line.contains(&ours)), "{libraries:?}");
    views::create(client, "");
    schedule_refresh(client, "");
    run_now(client);
    assert_eq!(attempts(client, "refresh"), ["1 succeeded"]);
    assert!(rows(client, "SELECT 1 FROM demand").len() > 10);
}

#[test]
fn the_trainer_is_found_beside_a_library_that_lies_elsewhere() {
    let (cluster, folder) = with_own_folder("");
    assert_all_from(&mut cluster.connect("postgres"), &folder);
}
