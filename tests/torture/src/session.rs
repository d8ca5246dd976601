//! One session: what it asks, one statement after the other, and whether what comes back may be.

use crate::dice::Dice;
use crate::errors::is_allowed;
use crate::kinds::Place;
use crate::oracle::{ask_fresh, first_wrong, may_be_parallel, memberships, rows, Rows};
use crate::record::{Failure, Record};
use crate::scenario;
use crate::step::{Disturb, Expect, Step};
use crate::world::DATABASE;
use integration::query::backend_pid;
use integration::Cluster;
use postgres::{Client, Error, NoTls, Row};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Statements that are shown with a failure.
const HISTORY: usize = 30;

pub struct Session<'a> {
    cluster: &'a Cluster,
    record: &'a Record,
    number: usize,
    place: Place,
    dice: Dice,
    client: Client,
    backend: i32,
    /// Whether the transaction has failed: what is not its end would be refused.
    refused: bool,
    /// Statements so far.
    count: usize,
    history: VecDeque<String>,
}

/// How statements begin that a failed transaction takes.
const ENDS: [&str; 2] = ["COMMIT", "ROLLBACK"];

/// Why a session goes on no more.
struct Over;

impl<'a> Session<'a> {
    pub fn new(cluster: &'a Cluster, record: &'a Record, seed: u64, number: usize, sessions: usize) -> Self {
        let mut client = cluster.connect(DATABASE);
        let backend = backend_pid(&mut client);
        record.began_backend(backend, number);
        let (place, dice) = (Place::new(number, sessions), Dice::of(seed, number));
        Self {
            cluster,
            record,
            number,
            place,
            dice,
            client,
            backend,
            refused: false,
            count: 0,
            history: VecDeque::new(),
        }
    }

    /// Runs so many statements, or until all stop.
    pub fn run(mut self, statements: usize) {
        while self.count < statements && !self.record.is_over() {
            for step in scenario::next(&mut self.dice, &mut self.place) {
                if self.record.is_over() || self.take(&step).is_err() {
                    break;
                }
            }
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), Over> {
        if self.refused && !ENDS.iter().any(|end| step.sql.starts_with(end)) {
            return Ok(());
        }
        self.count += 1;
        self.record.statements.fetch_add(1, Ordering::Relaxed);
        self.record.count(|counts| *counts.statements.entry(step.kind).or_default() += 1);
        let sql = self.disturb(step);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(format!("/* {} {} */ {sql};", self.count, step.kind));
        self.record.trace(self.number, self.count, &sql);
        let asked = self.ask(step, &sql);
        let end = match &asked {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.as_db_error().map_or_else(
                || error.to_string(),
                |error| format!("{} {}", error.code().code(), error.message()),
            ),
        };
        if let Some(last) = self.history.back_mut() {
            last.push_str(&format!(" -- {}", end.replace('\n', " ")));
        }
        self.record.trace(self.number, self.count, &end);
        self.refused = match &asked {
            Ok(_) => false,
            // A savepoint that is not there does not bring the transaction back.
            Err(error) => error
                .code()
                .is_some_and(|code| code.code() == "25P02" || (self.refused && code.code() == "3B001")),
        };
        match asked {
            Ok(wrong) => {
                if let Some(wrong) = wrong {
                    self.fail(format!("wrong answer ({}): {wrong}", step.kind));
                }
                Ok(())
            }
            Err(error) => self.judge(step, &error),
        }
    }

    /// Sends what disturbs the statement on its way; its text.
    fn disturb(&mut self, step: &Step) -> String {
        match step.disturb {
            Some(Disturb::Cancel(after)) => {
                let cancel = self.client.cancel_token();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_micros(after));
                    let _ = cancel.cancel_query(NoTls);
                });
                step.sql.clone()
            }
            Some(Disturb::Meanwhile { sql, after, statement_after }) => {
                // A connection takes its time to come: it is waited for, so that both begin when they are meant to.
                if let Ok(other) = self.cluster.try_connect(DATABASE) {
                    let hold = statement_after / 1000;
                    std::thread::spawn(move || change(other, sql, after, hold));
                }
                std::thread::sleep(Duration::from_micros(statement_after));
                format!("/* with {sql} after {after} us of another session */ {}", step.sql)
            }
            Some(Disturb::Terminate(victim)) => {
                let backend = self.record.backend_of(victim).unwrap_or_default();
                self.record.kill(backend);
                step.sql.replace("$victim", &backend.to_string())
            }
            None => step.sql.clone(),
        }
    }

    /// Asks, and says what is wrong with the answer.
    fn ask(&mut self, step: &Step, sql: &str) -> Result<Option<String>, Error> {
        match step.expect {
            Expect::Nothing => self.client.simple_query(sql).map(|_| None),
            Expect::Itself => {
                self.client.simple_query(sql)?;
                self.compared(1);
                Ok(None)
            }
            Expect::Pairs => {
                let rows = rows(self.client.simple_query(sql)?);
                self.compared(rows.len());
                Ok(first_wrong(&rows))
            }
            Expect::Portal(at_once) => {
                let rows = self.through_portal(sql, at_once)?;
                self.compared(rows.len());
                Ok(first_wrong(&rows))
            }
            Expect::Fresh => {
                let before = memberships(&mut self.client)?;
                let got = rows(self.client.simple_query(sql)?);
                let fresh = ask_fresh(self.cluster, &mut self.client, sql, &before)?;
                let Some(right) = fresh else { return Ok(None) };
                // If this session was terminated meanwhile, its locks held off no change from what the fresh one read.
                self.client.simple_query("SELECT")?;
                self.compared(got.len());
                self.record.count(|counts| counts.by_fresh_session += got.len());
                // A parallel worker takes its locks with it when it ends, and they held off no change either.
                let is_wrong = got != right && !may_be_parallel(&mut self.client)?;
                Ok(is_wrong.then(|| format!("got {got:?}, a fresh session {right:?}")))
            }
        }
    }

    fn compared(&self, answers: usize) {
        self.record.count(|counts| counts.compared += answers);
    }

    fn through_portal(&mut self, sql: &str, at_once: Option<i32>) -> Result<Rows, Error> {
        let texts = |row: &Row| (0..row.len()).map(|n| row.get(n)).collect::<Vec<_>>();
        let Some(at_once) = at_once else {
            return Ok(self.client.query(sql, &[])?.iter().map(texts).collect());
        };
        let mut transaction = self.client.transaction()?;
        let portal = transaction.bind(sql, &[])?;
        let mut all = Rows::new();
        loop {
            let some = transaction.query_portal(&portal, at_once)?;
            let fewer = some.len() < at_once as usize;
            all.extend(some.iter().map(texts));
            // Some are left open, until the transaction ends.
            if fewer || all.len() > 8 * at_once as usize {
                break;
            }
        }
        transaction.commit()?;
        Ok(all)
    }

    /// Whether the statement may end so.
    fn judge(&mut self, step: &Step, error: &Error) -> Result<(), Over> {
        let found = error.as_db_error();
        let code = found.map_or("lost", |found| found.code().code());
        self.record.count(|counts| *counts.errors.entry(code.to_owned()).or_default() += 1);
        if code == "TT001" {
            self.fail(format!("wrong answer ({}): {}", step.kind, found.map_or("", |found| found.message())));
            return Ok(());
        }
        if self.client.is_closed() || found.is_none() {
            return self.lost(error);
        }
        let message = found.map_or("", |found| found.message());
        if !is_allowed(step.kind, code, message) {
            self.fail(format!("unexpected error ({}): {code} {message}", step.kind));
        }
        Ok(())
    }

    /// A connection may only be lost where its backend was terminated.
    fn lost(&mut self, error: &Error) -> Result<(), Over> {
        let killed = self.record.was_killed(self.backend);
        if killed {
            self.record.count(|counts| counts.terminated += 1);
        } else {
            // Where one backend crashes, all others end: it is the statement of that one that matters.
            match crashed(self.cluster) {
                Some(backend) if backend != self.backend => {}
                _ => self.fail(format!("the connection of backend {} was lost: {error}", self.backend)),
            }
            if self.record.is_over() {
                return Err(Over);
            }
        }
        let Some(mut client) = reconnect(self.cluster) else {
            self.fail("the server takes no more connections".into());
            self.record.end();
            return Err(Over);
        };
        self.refused = false;
        self.backend = backend_pid(&mut client);
        self.client = client;
        self.record.began_backend(self.backend, self.number);
        Ok(())
    }

    fn fail(&self, what: String) {
        self.record.fail(Failure {
            session: Some(self.number),
            number: self.count,
            what,
            history: self.history.iter().cloned().collect(),
        });
    }
}

/// Makes a change and keeps its locks for some milliseconds, unless what it needs is locked for too long.
fn change(mut client: Client, sql: &str, after: u64, hold: u64) {
    std::thread::sleep(Duration::from_micros(after));
    let held = format!("SET lock_timeout = '300ms'; BEGIN; {sql}; SELECT pg_sleep({hold} / 1000.0); COMMIT");
    let _ = client.batch_execute(&held);
}

/// The backend that crashed last.
fn crashed(cluster: &Cluster) -> Option<i32> {
    // The postmaster writes it down a moment after.
    std::thread::sleep(Duration::from_millis(200));
    let log = cluster.log();
    let (_, last) = log.rsplit_once("server process (PID ")?;
    last.split_once(')')?.0.parse().ok()
}

/// A new connection; after a crash once the server has recovered.
fn reconnect(cluster: &Cluster) -> Option<Client> {
    (0..300).find_map(|_| {
        let client = cluster.try_connect(DATABASE).ok();
        if client.is_none() {
            std::thread::sleep(Duration::from_millis(100));
        }
        client
    })
}
