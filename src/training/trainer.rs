//! The trainer: a process of its own, without a connection to the database and without credentials.
//!
//! It is killed when its [`Trainer`] is dropped, and the kernel kills it when the backend dies. For a training it inherits
//! the descriptors of its files besides its standard streams: spec, data and outputs; for a conversion those of model, spec and
//! output. For a check it inherits none.

use super::temp_file::TempFile;
use crate::error::{Error, TEMPORARY_SPACE};
use crate::pg::child::{confine, set_nonblocking, watch, Limits};
use crate::pg::extension::LIBRARY;
use crate::pg::session::between_steps;
use crate::settings;
use model::protocol::{Cause, Event};
use pgrx::pg_sys;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The result of a look at the trainer's output.
pub enum News {
    Event(Box<Event>),
    /// The trainer has sent nothing more yet.
    None,
    /// The trainer has closed its output, so it has ended or is about to end.
    End,
}

pub struct Trainer {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// The bytes that the trainer has sent and that are no whole line yet.
    unread: Vec<u8>,
    /// The end of what the trainer has written to its standard error.
    last_words: Vec<u8>,
    ended: bool,
    /// The paths by which the trainer knows its files, each with the words that errors use for that file.
    files: Vec<(String, String)>,
}

/// A longer line cannot be an event.
const LONGEST_LINE: usize = 16 << 20;
const MOST_LAST_WORDS: usize = 4096;
const MEMORY_HINT: &str = "It may need more memory: see reco.max_training_memory, or train on fewer rows.";
/// The system's words for a disk that is full.
const NO_SPACE: &str = "No space left on device";
/// The exit status of the dynamic linker if a library is missing.
const CANNOT_LOAD: i32 = 127;

/// The files that a trainer writes.
pub struct Output {
    /// The model that is served.
    pub served: TempFile,
    /// The model that was measured, if another is served; else nothing.
    pub measured: TempFile,
}

impl Output {
    pub fn create() -> Self {
        let [served, measured] = ["the trained model", "the measured model"].map(TempFile::create);
        Self { served, measured }
    }
}

impl Trainer {
    pub fn start(spec: &TempFile, data: &TempFile, output: &Output) -> Result<Self, Error> {
        Self::start_with(&[
            ("--spec", spec),
            ("--data", data),
            ("--out", &output.served),
            ("--measured", &output.measured),
        ])
    }

    /// Starts a trainer that converts a model in ONNX: it sends one event, [`Event::Converted`].
    pub fn start_conversion(model: &TempFile, spec: &TempFile, out: &TempFile) -> Result<Self, Error> {
        Self::start_with(&[("--convert", model), ("--spec", spec), ("--out", out)])
    }

    /// Starts a trainer that writes what a network would read of the rows.
    pub fn start_preparation(data: &TempFile, spec: &TempFile, out: &TempFile) -> Result<Self, Error> {
        Self::start_with(&[("--prepare", data), ("--spec", spec), ("--out", out)])
    }

    /// Starts a trainer that gets these files, each under the name of an argument.
    fn start_with(files: &[(&str, &TempFile)]) -> Result<Self, Error> {
        let descriptors = files.iter().map(|(_, file)| file.descriptor()).collect::<Result<Vec<_>, _>>()?;
        let paths = descriptors.iter().map(|open| format!("/proc/self/fd/{}", open.as_raw_fd()));
        let paths: Vec<String> = paths.collect();
        let arguments =
            files.iter().zip(&paths).flat_map(|((name, _), path)| [(*name).to_owned(), path.clone()]);
        let mut trainer = Self::spawn(arguments, &descriptors)?;
        let names = files.iter().map(|(_, file)| format!("the temporary file \"{}\"", file.path()));
        trainer.files = paths.into_iter().zip(names).collect();
        Ok(trainer)
    }

    /// Starts a trainer that only says what a training would run on: it sends one event, [`Event::Setup`].
    pub fn start_check() -> Result<Self, Error> {
        Self::spawn(["--check".to_owned()], &[])
    }

    fn spawn(arguments: impl IntoIterator<Item = String>, descriptors: &[OwnedFd]) -> Result<Self, Error> {
        let path = settings::trainer_path();
        settings::check_libtorch_path()?;
        let mut command = Command::new(&path);
        command.args(arguments);
        command.env_clear().current_dir("/");
        // libtorch's threads sleep while they wait, because threads that spin would take cores from the server.
        command.env("OMP_WAIT_POLICY", "passive");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = settings::libtorch_path() {
            command.env("LD_LIBRARY_PATH", folder);
        }
        let limits = Limits { nice: settings::training_nice(), memory: settings::training_memory() };
        confine(&mut command, &limits, descriptors);
        let mut child = command.spawn().map_err(|cause| cannot_start(&path, &cause))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both streams are piped")
        };
        for stream in [stdout.as_raw_fd(), stderr.as_raw_fd()] {
            set_nonblocking(stream).map_err(Error::system("could not prepare the trainer's output"))?;
        }
        let (unread, last_words, files) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { child, stdout, stderr, unread, last_words, ended: false, files })
    }

    /// The next event that the trainer has sent, without waiting. A cancel or a shutdown is the error
    /// [`Error::Interrupted`]; the caller then has to record it and let Postgres raise it.
    pub fn news(&mut self) -> Result<News, Error> {
        if let Some(event) = self.whole_line()? {
            return Ok(News::Event(Box::new(event)));
        }
        if self.ended {
            return Ok(News::End);
        }
        if must_stop() {
            return Err(Error::Interrupted);
        }
        // A cancel that arrives only now is found by the next call.
        between_steps(|| {
            pgrx::check_for_interrupts!();
        });
        self.keep_last_words();
        self.ended = !read_available(&mut self.stdout, &mut self.unread)?;
        if self.unread.len() > LONGEST_LINE {
            return Err(trainer_error("the trainer said something that is too long", self.words(), None));
        }
        Ok(self.whole_line()?.map_or(News::None, |event| News::Event(Box::new(event))))
    }

    fn whole_line(&mut self) -> Result<Option<Event>, Error> {
        let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let mut event = serde_json::from_slice(&line).map_err(|_| {
            let said = String::from_utf8_lossy(&line).trim().to_owned();
            trainer_error("the trainer said something that is no event", Some(said), None)
        })?;
        if let Event::Error { message, .. } = &mut event {
            self.files.iter().for_each(|(from, to)| *message = message.replace(from, to));
        }
        Ok(Some(event))
    }

    /// Waits for a trainer that closed its output without a last event, and says how it ended.
    pub fn cause_of_death(mut self) -> Error {
        let status = self.child.wait();
        self.keep_last_words();
        let words = self.words();
        match status {
            Ok(status) => explain(status, words),
            Err(cause) => Error::System { context: "could not wait for the trainer".into(), cause },
        }
    }

    fn keep_last_words(&mut self) {
        // A failure to read is ignored, because these words only explain another failure.
        let _ = read_available(&mut self.stderr, &mut self.last_words);
        let surplus = self.last_words.len().saturating_sub(MOST_LAST_WORDS);
        self.last_words.drain(..surplus);
    }

    fn words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.last_words).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        // Both calls fail only if the trainer has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the statement was cancelled or the session is to end.
fn must_stop() -> bool {
    // SAFETY: these are flags of this process, which its signal handlers set.
    unsafe { pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0 }
}

/// Waits until one of the trainers has sent something, the latch is set, or the time is over. If the server dies, this ends
/// the process.
pub fn wait_for_any<'a>(
    trainers: impl Iterator<Item = &'a Trainer>,
    patience: Duration,
) -> Result<(), Error> {
    // The server's function takes one descriptor, so the trainers' descriptors are put into an epoll set, which has a
    // descriptor itself.
    let set = watch(trainers.map(|trainer| trainer.stdout.as_raw_fd()))
        .map_err(Error::system("could not wait for the trainer"))?;
    let events =
        pg_sys::WL_LATCH_SET | pg_sys::WL_SOCKET_READABLE | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: the latch is this process's own, and the descriptor is open.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            set.as_raw_fd(),
            patience.as_millis() as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    Ok(())
}

/// Appends what can be read without waiting; returns `false` at the end of the stream.
fn read_available(stream: &mut impl Read, into: &mut Vec<u8>) -> Result<bool, Error> {
    let mut chunk = [0; 16 << 10];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(length) => into.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => {
                return Err(Error::System { context: "could not read from the trainer".into(), cause })
            }
        }
        if into.len() > LONGEST_LINE {
            return Ok(true);
        }
    }
}

/// Refuses a trainer of another version: the two may mean different things by the same spec.
pub fn check_version(trainer: &str) -> Result<(), Error> {
    match trainer == LIBRARY {
        true => Ok(()),
        false => Err(trainer_error(
            &model::protocol::other_version(trainer, LIBRARY),
            None,
            Some(model::protocol::OTHER_VERSION_HINT),
        )),
    }
}

/// The error for an event that does not answer what the trainer was started for.
pub fn unasked() -> Error {
    trainer_error("the trainer said something that it was not asked for", None, None)
}

/// The error for a check that takes too long.
pub fn silent(limit: Duration) -> Error {
    trainer_error(
        &format!("the trainer did not answer within {} s", limit.as_secs_f64()),
        None,
        Some("Look for a busy machine or a GPU driver that hangs, or give check_setup() more time."),
    )
}

fn trainer_error(message: &str, detail: Option<String>, hint: Option<&str>) -> Error {
    Error::Trainer {
        cause: Cause::Trainer,
        message: message.to_owned(),
        detail,
        hint: hint.map(str::to_owned),
    }
}

fn cannot_start(path: &Path, cause: &io::Error) -> Error {
    trainer_error(
        &format!("could not start the trainer \"{}\": {cause}", path.display()),
        None,
        Some("Install the package pg-recommend-trainer, or the trainer beside the extension (make install), or set reco.trainer_path."),
    )
}

/// The error for a trainer that ended without a result: it says what killed the trainer, and what can be done about it.
fn explain(status: ExitStatus, words: Option<String>) -> Error {
    let said = |text: &str| words.as_deref().is_some_and(|words| words.contains(text));
    if status.code() == Some(CANNOT_LOAD) && (said("shared librar") || said("symbol lookup")) {
        return trainer_error(
            "the trainer could not load libtorch",
            words,
            Some("Install libtorch beside the trainer (the package pg-recommend-trainer or make install), or set reco.libtorch_path."),
        );
    }
    let memory = Some(MEMORY_HINT);
    match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) => trainer_error("the trainer was killed", words, memory),
        (Some(signal), _) => {
            let hint = if said("alloc") { memory } else { None };
            trainer_error(&format!("the trainer was ended by signal {signal}"), words, hint)
        }
        (None, code) => {
            let code = code.unwrap_or_default();
            trainer_error(&format!("the trainer ended with exit code {code} and no result"), words, None)
        }
    }
}

/// The error for a failure that the trainer itself has reported.
pub fn reported(cause: Cause, message: String, detail: Option<String>, hint: Option<String>) -> Error {
    let said = |text: &str| message.contains(text) || detail.as_deref().is_some_and(|d| d.contains(text));
    let needs_memory = cause == Cause::Trainer && hint.is_none() && (said("alloc") || said("memory"));
    let hint = hint.or_else(|| needs_memory.then(|| MEMORY_HINT.to_owned()));
    let hint = hint.or_else(|| said(NO_SPACE).then(|| TEMPORARY_SPACE.to_owned()));
    Error::Trainer { cause, message, detail, hint }
}
