//! SQL under the rights of another role than the caller's, with a search path that is fixed for the purpose.

use crate::error::Error;
use crate::pg::catalog_lock::table_of_catalog;
use crate::pg::relations;
use crate::pg::session_locks::SessionLocks;
use pgrx::spi::SpiClient;
use pgrx::{pg_sys, Spi};
use std::ffi::CString;

/// The current role's name.
pub fn current_user() -> String {
    // SAFETY: a plain look-up.
    relations::role_name(unsafe { pg_sys::GetUserId() })
}

/// Runs SQL as the owner of the extension with a search path that nobody else can write to.
pub fn as_owner<T>(run: impl FnOnce(&mut SpiClient) -> Result<T, Error>) -> Result<T, Error> {
    let owner = relations::owner(table_of_catalog(c"version")?)?;
    acting_as(owner, 0, &[setting("search_path", FIXED_PATH)?], run)
}

/// Settings by name, as they are written.
pub type Settings = Vec<(String, String)>;

/// Runs SQL that a role wrote, with that role's rights, whoever calls: it can do nothing to the caller's session.
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

/// Runs `run` as the caller, with a search path that nobody else can write to.
pub fn with_fixed_path<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // SAFETY: a plain look-up.
    let caller = unsafe { pg_sys::GetUserId() };
    acting_as(caller, 0, &[setting("search_path", FIXED_PATH)?], |_| run())
}

/// Nobody but superusers makes objects in its schemas, and in its last place no relation or type stands in for another.
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

/// After an error the transaction's abort restores user and settings. Settings that only a superuser may change are
/// refused. Not generic: of this much code there is one copy and not one for each use, which a backend would have to load.
fn run_as(
    role: pg_sys::Oid,
    restriction: u32,
    settings: &[(CString, CString)],
    run: &mut dyn FnMut(&mut SpiClient),
) {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    let restriction = (restriction | pg_sys::SECURITY_LOCAL_USERID_CHANGE) as i32;
    // SAFETY: user and settings are restored below, in reverse order, on every path that returns.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        // First, so that the settings are those that this role may change.
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
        // As after an error: what the SQL has set is set back too.
        pg_sys::AtEOXact_GUC(false, level);
    }
}
