//! What is printed at the end.

use crate::options::Options;
use crate::record::{Failure, Record};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Prints counts and failures; the number of failures.
pub fn print(options: &Options, record: &Record, log: &str, took: Duration) -> usize {
    let failures = record.failures();
    for failure in &failures {
        print_failure(options, failure);
    }
    if !failures.is_empty() {
        let lines: Vec<_> = log.lines().collect();
        println!("the log ends with:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    }
    let statements = record.statements.load(Ordering::Relaxed);
    println!(
        "seed {}, {} sessions, {:.0} s, {statements} statements",
        options.seed,
        options.sessions,
        took.as_secs_f64()
    );
    record.count(|counts| {
        println!("by kind: {}", list(&counts.statements));
        println!("errors by SQLSTATE: {}", list(&counts.errors));
        println!(
            "answers compared: {}, of them with a fresh session's {}; backends terminated: {}",
            counts.compared, counts.by_fresh_session, counts.terminated
        );
        println!("torture: {} passed, {} failed", counts.compared, failures.len());
    });
    failures.len()
}

fn print_failure(options: &Options, failure: &Failure) {
    println!("\nFAILED {}", failure.what);
    match failure.session {
        Some(session) => println!(
            "SEED={} SESSIONS={}, session {session}, statement {}",
            options.seed, options.sessions, failure.number
        ),
        None => println!("SEED={} SESSIONS={}", options.seed, options.sessions),
    }
    for statement in &failure.history {
        println!("  {}", statement.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

fn list<K: std::fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    counts.iter().map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
}
