//! A part of the page, which may fail without the others.

use crate::error::Error;
use crate::pg::session::in_savepoint;
use report::Part;

/// A part of the page, or why it is not there. A cancel and a shutdown end the whole report.
pub fn part<T>(what: &str, read: impl FnOnce() -> Result<T, Error>) -> Part<T> {
    match in_savepoint(read) {
        Err(failure) if failure.is_cancel() => failure.raise(),
        Err(failure) => Err(format!("{what} cannot be shown: {}.", failure.message())),
        Ok(read) => Ok(read),
    }
}
