//! Runs SQL with the rights of another role than the caller's, under a fixed search path, so that the caller's own search
//! path cannot change what the SQL means.

use crate::error::Error;
use crate::pg::catalog_lock::table_of_catalog;
use crate::pg::relations;
use crate::pg::session_locks::SessionLocks;
use crate::pg::two_versions::explained;
use pgrx::spi::SpiClient;
use pgrx::{pg_sys, Spi};
use std::ffi::CString;

/// The current role's name.
pub fn current_user() -> String {
    // SAFETY: the call only reads a variable of this process.
    relations::role_name(unsafe { pg_sys::GetUserId() })
}

/// Runs SQL as the owner of the extension, with a search path whose schemas nobody else can write to.
pub fn as_owner<T>(run: impl FnOnce(&mut SpiClient) -> Result<T, Error>) -> Result<T, Error> {
    let owner = relations::owner(table_of_catalog(c"version")?)?;
    let path = setting("search_path", FIXED_PATH)?;
    acting_as(owner, 0, &[path], |client| explained(|| run(client)))
}

/// Names of settings, each with its value as text.
pub type Settings = Vec<(String, String)>;

/// Runs SQL that the role `author` wrote, with that role's rights, whoever the caller is. The SQL can do nothing to the
/// caller's session.
pub fn as_author<T>(
    author: pg_sys::Oid,
    search_path: &str,
    settings: &Settings,
    run: impl FnOnce(&mut SpiClient) -> Result<T, Error>,
) -> Result<T, Error> {
    let path = setting("search_path", search_path);
    let others = settings.iter().map(|(name, value)| setting(name, value));
    let all = [path].into_iter().chain(others).collect::<Result<Vec<_>, _>>()?;
    let _as_they_are = SessionLocks::now();
    acting_as(author, pg_sys::SECURITY_RESTRICTED_OPERATION, &all, run)
}

/// Runs `run` as the caller, with a search path whose schemas nobody else can write to.
pub fn with_fixed_path<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    with_settings(&[("search_path", FIXED_PATH)], run)
}

/// Runs code with moments in UTC, whatever zone the session has.
pub fn in_utc<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    with_settings(&[("TimeZone", "UTC")], run)
}

/// The same as [`with_fixed_path`], with moments in UTC and dates as ISO 8601 has them.
pub fn with_fixed_words<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    with_settings(&[("search_path", FIXED_PATH), ("TimeZone", "UTC"), ("DateStyle", "ISO, YMD")], run)
}

/// Runs code as the caller, with these settings.
fn with_settings<T>(settings: &[(&str, &str)], run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // SAFETY: the call only reads a variable of this process.
    let caller = unsafe { pg_sys::GetUserId() };
    let settings =
        settings.iter().map(|(name, value)| setting(name, value)).collect::<Result<Vec<_>, _>>()?;
    acting_as(caller, 0, &settings, |_| run())
}

/// Only superusers can make objects in `pg_catalog`. `pg_temp` is named and stands last, so that no temporary relation or
/// type hides one of `pg_catalog`.
const FIXED_PATH: &str = "pg_catalog, pg_temp";

fn setting(name: &str, value: &str) -> Result<(CString, CString), Error> {
    let owned = |text: &str| CString::new(text).map_err(|_| Error::invalid("a setting contains a zero byte"));
    Ok((owned(name)?, owned(value)?))
}

fn acting_as<T>(
    role: pg_sys::Oid,
    restriction: u32,
    settings: &[(CString, CString)],
    run: impl FnOnce(&mut SpiClient) -> Result<T, Error>,
) -> Result<T, Error> {
    let (mut run, mut result) = (Some(run), None);
    run_as(role, restriction, settings, &mut |client| result = run.take().map(|run| run(client)));
    result.expect("it was run")
}

/// After an error, the abort of the transaction restores the user and the settings. Settings that only a superuser may
/// change are refused. The function is not generic, so that the library holds one copy of it and not one for each caller:
/// every backend would have to load them all.
fn run_as(
    role: pg_sys::Oid,
    restriction: u32,
    settings: &[(CString, CString)],
    run: &mut dyn FnMut(&mut SpiClient),
) {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    let restriction = (restriction | pg_sys::SECURITY_LOCAL_USERID_CHANGE) as i32;
    // SAFETY: the strings are NUL-terminated and outlive the calls. User and settings are restored below, in reverse order,
    // on every path that returns; after an error the abort restores them.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        // The role is set first, so that Postgres lets only those settings through that this role may change.
        pg_sys::SetUserIdAndSecContext(role, context | restriction);
        for (name, value) in settings {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        Spi::connect_mut(run);
        pg_sys::SetUserIdAndSecContext(user, context);
        // `false` takes back what the SQL has set, as an abort does.
        pg_sys::AtEOXact_GUC(false, level);
    }
}
