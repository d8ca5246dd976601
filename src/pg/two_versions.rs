//! Where library and catalog are of two versions: changes are refused, and what is missing is explained.
//!
//! The rule ([decision 31](../../docs/decisions/0031-one-version-to-change-either-to-score.md)): whoever scores or reads goes on
//! as long as what it reads is where it was, and pays nothing for it, since the version is looked up only after something was
//! missing. Whoever changes the catalog looks first.

use crate::error::{or_raise, Error};
use crate::pg::catalog_lock::table_of_catalog;
use crate::pg::catalog_place::check_writable;
use crate::pg::extension::other_version;
use crate::pg::session::{catch, refuse_read_only};
use std::ffi::CStr;

/// Refuses the command, which changes the catalog, in a read-only transaction, on a standby, where the catalog is a copy of
/// another server's, and where library and catalog are of different versions: neither knows all that the other relies on.
pub fn require_writable(command: &CStr) {
    refuse_read_only(command);
    if let Some(catalog) = other_version() {
        let command = command.to_string_lossy();
        let why =
            format!("{command} changes the catalog, and needs both to be of one version; scoring goes on.");
        Error::OtherVersion { catalog, why }.raise();
    }
    or_raise(table_of_catalog(c"model").and_then(|table| check_writable(&command.to_string_lossy(), table)));
}

/// Runs SQL on the catalog's tables. If the catalog is of another version and lacks what the SQL names, that is what is
/// raised, and not Postgres's words for it. The version is looked up before, because nothing may be looked up after an error
/// of Postgres.
pub fn explained<T>(run: impl FnOnce() -> T) -> T {
    let Some(catalog) = other_version() else { return run() };
    match catch(|| Ok(run())) {
        Ok(done) => done,
        // It is raised, as Postgres's error would be: what was set for the SQL goes with the transaction.
        Err(failure) if comes_of_version(&failure.sqlstate()) => {
            Error::lacking(catalog, &failure.message()).raise()
        }
        Err(failure) => failure.raise(),
    }
}

/// Whether it is a SQLSTATE of SQL that names what is not there, or of a row that the table does not take.
fn comes_of_version(sqlstate: &str) -> bool {
    let denied = "42501";
    (sqlstate.starts_with("42") && sqlstate != denied) || ["3F000", "23502", "23514"].contains(&sqlstate)
}
