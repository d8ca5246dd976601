//! What is asked for, from the environment.

use std::str::FromStr;
use std::time::Duration;

pub struct Options {
    pub seed: u64,
    /// Of all sessions together.
    pub statements: usize,
    pub sessions: usize,
    /// Stop after so long, however many statements that were.
    pub time: Option<Duration>,
    /// Whether it goes on after a failure, so that several are found.
    pub keep_going: bool,
    /// A file that gets every statement with its time and its end, to see how sessions met.
    pub trace: Option<String>,
}

impl Options {
    pub fn from_environment() -> Self {
        let statements = number("STATEMENTS");
        let seconds = number("SECONDS");
        Self {
            seed: number("SEED").unwrap_or(1),
            statements: statements.unwrap_or(if seconds.is_some() { usize::MAX } else { 20_000 }),
            sessions: number("SESSIONS").unwrap_or(6),
            time: seconds.map(Duration::from_secs),
            keep_going: number::<u8>("KEEP_GOING").unwrap_or(0) != 0,
            trace: std::env::var("TRACE").ok().filter(|file| !file.is_empty()),
        }
    }
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is expected")))
}
