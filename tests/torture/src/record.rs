//! What all sessions know of each other: counts, failures, when to stop.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// A thing that must not happen.
#[derive(Debug, Clone)]
pub struct Failure {
    /// None of what is found at the end.
    pub session: Option<usize>,
    /// The statement's number in its session.
    pub number: usize,
    pub what: String,
    /// The session's last statements, the one that failed last.
    pub history: Vec<String>,
}

#[derive(Default)]
pub struct Counts {
    pub statements: BTreeMap<&'static str, usize>,
    pub errors: BTreeMap<String, usize>,
    /// Answers held against what is right.
    pub compared: usize,
    /// Of them, with what a fresh session was told.
    pub by_fresh_session: usize,
    pub terminated: usize,
}

pub struct Record {
    began: Instant,
    deadline: Option<Instant>,
    keep_going: bool,
    stop: AtomicBool,
    pub statements: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
    counts: Mutex<Counts>,
    /// Backends that were terminated: their connections may be lost.
    killed: Mutex<HashSet<i32>>,
    /// Every backend there was, with its session.
    backends: Mutex<Vec<(i32, usize)>>,
    trace: Option<Mutex<std::fs::File>>,
}

/// So many failures are enough.
const MOST_FAILURES: usize = 60;
const OF_ONE_KIND: usize = 2;

impl Failure {
    /// What it has in common with others: of a wrong answer the statement's kind, of an error its words without numbers.
    fn kind(&self) -> String {
        let words = match self.what.split_once("): ") {
            Some((kind, _)) if kind.starts_with("wrong answer") => kind,
            _ => &self.what,
        };
        words.chars().filter(|c| !c.is_ascii_digit()).take(70).collect()
    }
}

impl Record {
    pub fn new(options: &crate::options::Options) -> Self {
        let began = Instant::now();
        Self {
            began,
            deadline: options.time.map(|time| began + time),
            keep_going: options.keep_going,
            stop: AtomicBool::new(false),
            statements: AtomicUsize::new(0),
            failures: Mutex::default(),
            counts: Mutex::default(),
            killed: Mutex::default(),
            backends: Mutex::default(),
            trace: options.trace.as_ref().map(|file| {
                Mutex::new(std::fs::File::create(file).unwrap_or_else(|error| panic!("{file}: {error}")))
            }),
        }
    }

    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Each kind of failure a few times; the first ends the run unless it is to go on.
    pub fn fail(&self, failure: Failure) {
        let mut failures = lock(&self.failures);
        let kind = failure.kind();
        if failures.iter().filter(|known| known.kind() == kind).count() < OF_ONE_KIND {
            failures.push(failure);
        }
        if !self.keep_going || failures.len() >= MOST_FAILURES {
            self.end();
        }
    }

    pub fn failures(&self) -> Vec<Failure> {
        lock(&self.failures).clone()
    }

    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    pub fn kill(&self, backend: i32) {
        lock(&self.killed).insert(backend);
    }

    pub fn was_killed(&self, backend: i32) -> bool {
        lock(&self.killed).contains(&backend)
    }

    pub fn began_backend(&self, backend: i32, session: usize) {
        lock(&self.backends).push((backend, session));
    }

    /// The newest backend of a session.
    pub fn backend_of(&self, session: usize) -> Option<i32> {
        lock(&self.backends).iter().rev().find(|(_, of)| *of == session).map(|(backend, _)| *backend)
    }

    /// Whose backend it is.
    pub fn session_of(&self, backend: i32) -> Option<usize> {
        lock(&self.backends).iter().rev().find(|(pid, _)| *pid == backend).map(|(_, session)| *session)
    }

    pub fn trace(&self, session: usize, number: usize, text: &str) {
        if let Some(trace) = &self.trace {
            let at = self.began.elapsed().as_secs_f64();
            let _ = writeln!(lock(trace), "{at:.6} {session} {number} {text}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
