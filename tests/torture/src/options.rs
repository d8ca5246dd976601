//! What is asked for: NAME=VALUE arguments. A name without a value is as if it were not there.

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

const NAMES: &[&str] = &["SEED", "STATEMENTS", "SESSIONS", "SECONDS", "KEEP_GOING", "TRACE"];

impl Options {
    pub fn from_arguments() -> Self {
        let given: Vec<(String, String)> = std::env::args().skip(1).map(|argument| read(&argument)).collect();
        let value = |name| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let seconds = number(value("SECONDS"));
        Self {
            seed: number(value("SEED")).unwrap_or(1),
            statements: number(value("STATEMENTS")).unwrap_or(if seconds.is_some() {
                usize::MAX
            } else {
                20_000
            }),
            sessions: number(value("SESSIONS")).unwrap_or(6),
            time: seconds.map(Duration::from_secs),
            keep_going: number::<u8>(value("KEEP_GOING")).unwrap_or(0) != 0,
            trace: value("TRACE").filter(|file| !file.is_empty()),
        }
    }
}

fn read(argument: &str) -> (String, String) {
    match argument.split_once('=') {
        Some((name, value)) if NAMES.contains(&name) => (name.to_owned(), value.to_owned()),
        _ => panic!("{argument}: NAME=VALUE is expected, with a name of {NAMES:?}"),
    }
}

fn number<T: FromStr>(text: Option<String>) -> Option<T> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{text}: a number is expected")))
}
