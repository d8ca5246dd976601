//! The object-storage process: a process of its own, without a connection to the database, which the server starts for one
//! call. It is killed when its [`Process`] is dropped, and the kernel kills it when the backend dies.

use crate::error::Error;
use crate::pg::child::{confine, set_nonblocking, wait_for, widen, For, Limits};
use crate::pg::extension::LIBRARY;
use crate::settings;
use lake_protocol::frame::{self, HEADER, MESSAGE, ROWS};
use lake_protocol::message::{Cause, Event, Request, Task};
use serde::Serialize;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Process {
    child: Child,
    /// `None` once it is closed.
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: ChildStderr,
    /// How many bytes of the rows that it sends now are still to be read.
    rows_left: usize,
    /// Whether it removes what it has written if it is left a moment.
    tidies_up: bool,
}

/// What the process has sent.
pub enum Incoming {
    Event(Event),
    /// A piece of the rows, which [`Process::read_rows`] reads.
    Rows,
}

/// What a process is given to remove what it has written, before it is killed.
const TO_TIDY_UP: Duration = Duration::from_millis(800);
/// Variables of the server's environment that tell the machine's own identity, or how the network is reached.
const ENVIRONMENT: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
const NETWORK: [&str; 5] = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];
const LAST_WORDS: u64 = 4096;

impl Process {
    pub fn start(task: Task) -> Result<Self, Error> {
        let tidies_up = matches!(task, Task::Save(_));
        let path = settings::lake_path();
        let mut command = Command::new(&path);
        let told =
            |name: &str| ENVIRONMENT.iter().any(|prefix| name.starts_with(prefix)) || NETWORK.contains(&name);
        let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told));
        command.env_clear().envs(environment.collect::<Vec<_>>()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        confine(&mut command, &Limits { nice: 0, memory: settings::lake_memory() }, &[]);
        let mut child = command.spawn().map_err(|cause| {
            let message = format!("could not start the object-storage process \"{}\": {cause}", path.display());
            ours(message, None, Some("Install the package pg-recommend-trainer, or the process beside the extension (make install), or set reco.lake_path."))
        })?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("the three streams are piped")
        };
        for pipe in [input.as_raw_fd(), output.as_raw_fd(), errors.as_raw_fd()] {
            set_nonblocking(pipe).map_err(Error::system("could not prepare a pipe"))?;
            widen(pipe);
        }
        let mut process = Self { child, input: Some(input), output, errors, rows_left: 0, tidies_up };
        process.say(&Request { version: LIBRARY.into(), task })?;
        Ok(process)
    }

    /// Says something to the process.
    pub fn say(&mut self, message: &impl Serialize) -> Result<(), Error> {
        self.send(MESSAGE, &serde_json::to_vec(message)?)
    }

    /// Sends a frame. If the process has ended, the error is what it said.
    pub fn send(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Error> {
        self.write(&frame::header(kind, bytes.len()))?;
        self.write(bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            pgrx::check_for_interrupts!();
            let Some(input) = &mut self.input else { return Err(self.failure()) };
            match input.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait_for(input.as_raw_fd(), For::Writing)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It has ended, and has said why.
                Err(_) => return Err(self.failure()),
            }
        }
        Ok(())
    }

    /// Waits for what the process sends next. What it reports as a failure is the error.
    pub fn incoming(&mut self) -> Result<Incoming, Error> {
        let mut header = [0; HEADER];
        self.read_exact(&mut header)?;
        match frame::parse(header) {
            Some((ROWS, length)) => {
                self.rows_left = length;
                Ok(Incoming::Rows)
            }
            Some((MESSAGE, length)) => {
                let mut text = vec![0; length];
                self.read_exact(&mut text)?;
                match serde_json::from_slice(&text) {
                    Ok(Event::Failed { cause, message, detail, hint }) => {
                        Err(Error::Lake { cause, message, detail, hint })
                    }
                    Ok(event) => Ok(Incoming::Event(event)),
                    Err(_) => Err(unasked()),
                }
            }
            _ => Err(unasked()),
        }
    }

    /// Reads rows that were announced, as many bytes as there are; 0 after the last of the piece.
    pub fn read_rows(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if self.rows_left == 0 {
            return Ok(0);
        }
        let most = into.len().min(self.rows_left);
        let length = self.read_some(&mut into[..most])?;
        self.rows_left -= length;
        Ok(length)
    }

    fn read_exact(&mut self, mut into: &mut [u8]) -> Result<(), Error> {
        while !into.is_empty() {
            let length = self.read_some(into)?;
            into = &mut into[length..];
        }
        Ok(())
    }

    /// Reads at least a byte, and waits for it. A cancel or a shutdown is raised.
    fn read_some(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        loop {
            pgrx::check_for_interrupts!();
            match self.output.read(into) {
                Ok(0) => return Err(self.cause_of_death()),
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait_for(self.output.as_raw_fd(), For::Reading);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(system(cause)),
            }
        }
    }

    /// Why a process no longer takes what it is sent.
    fn failure(&mut self) -> Error {
        loop {
            match self.incoming() {
                Err(error) => return error,
                Ok(Incoming::Event(_)) => {}
                Ok(Incoming::Rows) => return unasked(),
            }
        }
    }

    /// How a process ended that has closed its output without a last message.
    fn cause_of_death(&mut self) -> Error {
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(cause) => return system(cause),
        };
        let mut words = Vec::new();
        // A failure to read is ignored, because these words only explain another failure.
        let _ = (&mut self.errors).take(LAST_WORDS).read_to_end(&mut words);
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        let memory =
            "It may need more memory: see reco.max_lake_memory, or write the files with smaller row groups.";
        let (message, hint) = match status.signal() {
            Some(libc::SIGKILL) => ("the object-storage process was killed".to_owned(), Some(memory)),
            Some(signal) => {
                let hint = words.contains("alloc").then_some(memory);
                (format!("the object-storage process was ended by signal {signal}"), hint)
            }
            None => {
                let code = status.code().unwrap_or_default();
                (format!("the object-storage process ended with exit code {code} and no result"), None)
            }
        };
        ours(message, Some(words).filter(|words| !words.is_empty()), hint)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        let began = Instant::now();
        while self.tidies_up && began.elapsed() < TO_TIDY_UP && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Both calls fail only if the process has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The version that the process says it is.
pub fn version() -> Result<String, Error> {
    match Process::start(Task::Check)?.incoming()? {
        Incoming::Event(Event::Checked { version }) => Ok(version),
        _ => Err(unasked()),
    }
}

/// The error for what does not answer what the process was started for.
pub fn unasked() -> Error {
    ours("the object-storage process said something that it was not asked for".into(), None, None)
}

fn ours(message: String, detail: Option<String>, hint: Option<&str>) -> Error {
    Error::Lake { cause: Cause::Process, message, detail, hint: hint.map(str::to_owned) }
}

fn system(cause: io::Error) -> Error {
    Error::System { context: "could not read from the object-storage process".into(), cause }
}
