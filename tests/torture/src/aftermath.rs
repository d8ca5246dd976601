//! What must not be left when all sessions are gone.

use crate::record::{Failure, Record};
use crate::world::DATABASE;
use integration::{value, wait_until, Cluster};
use postgres::Client;
use std::path::Path;

/// Words of the log that mean memory or resources were handled wrongly, wherever they stand.
const BAD_WORDS: &[&str] = &[
    "leak",
    "not owned by resource owner",
    "PANIC",
    "TRAP:",
    "terminated by signal",
    "server process (",
    "corrupt",
    "panicked",
    "still referenced",
    "detected write past",
    "problem in alloc set",
    "bogus",
    "AbortTransaction",
    "already been released",
    "refcount",
    "portal snapshots",
    "invalid memory alloc",
    "not closed",
];

/// Parts of lines that have such words and mean nothing bad.
const HARMLESS: &[&str] = &["shared_buffers", "auto_explain.log_buffers", "STATEMENT:", "CONTEXT:"];

pub fn check(cluster: &Cluster, record: &Record) {
    log(&cluster.log(), record);
    let Ok(mut client) = cluster.try_connect(DATABASE) else {
        fail(record, "the server answers no more".into());
        return;
    };
    let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    wait_until("the other backends end", || value::<i64>(&mut client, others) == 0);
    for (what, query) in LEFT_OVERS {
        let found: i64 = value(&mut client, query);
        if found != 0 {
            fail(record, format!("{found} {what}"));
        }
    }
    scores(&mut client, record);
    trainers(cluster, record);
    temporary_files(cluster.folder(), record);
}

const LEFT_OVERS: &[(&str, &str)] = &[
    ("runs that still run", "SELECT count(*) FROM reco.runs WHERE status = 'running'"),
    ("advisory locks", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
    (
        "feature refreshes that still run",
        "SELECT count(*) FROM reco.feature_refreshes WHERE status = 'running'",
    ),
];

/// Once more, when nothing moves: every known answer.
fn scores(client: &mut Client, record: &Record) {
    let sql = "
        SELECT k.model, k.product_id, k.region,
               CASE WHEN k.model LIKE '%text' THEN reco.recommend(k.product_id, k.region, k.model)
                    ELSE reco.recommend(k.product_id::bigint, k.region, k.model) END AS got, k.score
        FROM torture.expected AS k
        WHERE k.as_of = 'infinity' AND k.version = torture.version_of(k.model, k.product_id, k.region)";
    let asked = client.batch_execute("SET statement_timeout = 0").and_then(|()| client.simple_query(sql));
    match asked {
        Ok(messages) => {
            let rows = crate::oracle::rows(messages);
            record.count(|counts| counts.compared += rows.len());
            if let Some(wrong) = crate::oracle::first_wrong(&rows) {
                fail(record, format!("wrong answer at the end: {wrong}"));
            }
        }
        Err(error) => fail(record, format!("no answers at the end: {error}")),
    }
}

/// Lines of the log with bad words, each with the session whose backend wrote it.
fn log(text: &str, record: &Record) {
    for line in text.lines() {
        let is_bad = BAD_WORDS.iter().any(|word| line.contains(word));
        if !is_bad || HARMLESS.iter().any(|part| line.contains(part)) {
            continue;
        }
        let backend = line
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .and_then(|(pid, _)| pid.parse().ok());
        let message = line.split_once("] ").map_or(line, |(_, message)| message);
        let session = backend.and_then(|backend| record.session_of(backend));
        fail_in(record, session, format!("in the log: {message} [{}]", backend.unwrap_or_default()));
    }
}

/// The trainer's working folder is the server's data folder.
fn trainers(cluster: &Cluster, record: &Record) {
    let data = cluster.folder().join("data");
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let in_data = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder == data);
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if in_data && name.starts_with("pg_recommend") {
            fail(record, format!("a trainer is left: process {}", entry.file_name().display()));
        }
    }
}

/// Files of Postgres' own kind; the folder beside them holds the models that backends share.
fn temporary_files(folder: &Path, record: &Record) {
    let files = std::fs::read_dir(folder.join("data/base/pgsql_tmp")).into_iter().flatten().flatten();
    for file in files.filter(|file| file.path().is_file()) {
        fail(record, format!("a temporary file is left: {}", file.path().display()));
    }
}

fn fail(record: &Record, what: String) {
    fail_in(record, None, what);
}

fn fail_in(record: &Record, session: Option<usize>, what: String) {
    record.fail(Failure { session, number: 0, what, history: Vec::new() });
}
