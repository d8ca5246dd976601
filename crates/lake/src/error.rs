//! Errors of the process, in the words in which the backend raises them.

use crate::masked::masked;
use lake_protocol::message::{Cause, Event};
use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
#[error("{message}")]
pub struct LakeError {
    cause: Cause,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, LakeError>;

impl LakeError {
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), detail: None, hint: None }
    }

    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Cause::Argument, message)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Cause::Data, message)
    }

    pub fn process(message: impl Into<String>) -> Self {
        Self::new(Cause::Process, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The error for a file of the machine.
    pub fn io(what: &str, cause: &io::Error) -> Self {
        let kind = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::DiskFull,
            io::ErrorKind::NotFound => Cause::Missing,
            io::ErrorKind::PermissionDenied => Cause::Denied,
            _ => Cause::Store,
        };
        Self::new(kind, format!("{what}: {cause}"))
    }

    /// The error for an object of a store.
    pub fn store(what: &str, cause: &object_store::Error) -> Self {
        use object_store::Error::{NotFound, PermissionDenied, Precondition, Unauthenticated};
        let (kind, hint) = match cause {
            NotFound { .. } => (Cause::Missing, None),
            PermissionDenied { .. } | Unauthenticated { .. } => (Cause::Denied, Some(DENIED)),
            Precondition { .. } => return Self::changed(what),
            other => match io_kind(other) {
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => (Cause::DiskFull, None),
                // S3 says so with the status of a bad request.
                _ if chain(other).contains("ExpiredToken") => (Cause::Denied, Some(DENIED)),
                _ => (Cause::Store, Some(UNREACHABLE)),
            },
        };
        let mut error = Self::new(kind, what).detail(chain(cause));
        error.hint = hint.map(str::to_owned);
        error
    }

    pub fn changed(what: &str) -> Self {
        Self::new(Cause::Data, format!("{what}: it was changed while it was read"))
            .hint("Nothing was loaded. Call again when nobody writes to it any more.")
    }

    /// The message, with every secret replaced that the process knows.
    pub fn event(&self) -> Event {
        Event::Failed {
            cause: self.cause,
            message: masked(&self.message),
            detail: self.detail.as_deref().map(masked),
            hint: self.hint.clone(),
        }
    }
}

const DENIED: &str = "The credentials have expired, are wrong, or may not do this: look at the file that reco.lake_credentials_file \
                      names, or at the machine's identity and its rights in the store.";
const UNREACHABLE: &str =
    "Look whether the store can be reached from the server; nothing was left half done.";

/// An error with those that caused it, which say what the first one leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = cause.source();
    }
    None
}
