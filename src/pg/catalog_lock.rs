//! Locks that say what a backend has under way: a training, a search, a refresh, a retraining.
//!
//! Heavyweight locks on objects of the catalog's own tables, not advisory ones: those can be taken by any role that knows the
//! key, which would then keep a model from being retrained, or make a run that lost its backend look alive. Postgres itself
//! takes such locks only on objects of system catalogs, and no SQL does on those of a user's table; nor do
//! `pg_advisory_unlock_all` and `DISCARD ALL` let go of them. `pg_locks` shows them, with `locktype` object.
//!
//! The session's survive the commits between a procedure's steps. Whatever ends the transaction by an error ends them too.

use crate::error::Error;
use crate::pg::session::Session;
use pgrx::{pg_sys, Uuid};
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A lock on an object of the catalog.
pub struct CatalogLock(pg_sys::LOCKTAG);

impl CatalogLock {
    /// Of a run, a search or a refresh. Its id is random, so that a part of it will do: see `reco.run_is_alive`.
    pub fn of_run(id: Uuid) -> Result<Self, Error> {
        let [a, b, c, d, e, f, ..] = *id.as_bytes();
        let (object, part) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
        Self::on(c"run", object, part)
    }

    /// Of a model that is retrained, by a hash of its name.
    pub fn of_retraining(model: &str) -> Result<Self, Error> {
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        let hash = hasher.finish();
        Self::on(c"model", hash as u32, (hash >> 32) as u16)
    }

    fn on(table: &CStr, object: u32, part: u16) -> Result<Self, Error> {
        let table = table_of_catalog(table)?;
        Ok(Self(pg_sys::LOCKTAG {
            // SAFETY: set when the backend connected to its database.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: table.to_u32(),
            locktag_field3: object,
            locktag_field4: part,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        }))
    }

    /// Takes it, and waits for that: as the transaction's where all is one, else as the session's, which is to be released.
    pub fn take(&self, session: &Session) {
        self.acquire(session, false);
    }

    /// Takes it unless somebody has it; whether it was taken.
    pub fn try_take(&self, session: &Session) -> bool {
        self.acquire(session, true) != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    fn acquire(&self, session: &Session, give_up: bool) -> pg_sys::LockAcquireResult::Type {
        // SAFETY: a whole tag; a deadlock or a cancel is raised.
        unsafe { pg_sys::LockAcquire(&self.0, MODE, !session.is_atomic(), give_up) }
    }

    /// Lets go of the session's. The transaction's goes with the transaction.
    pub fn release(&self, session: &Session) {
        if !session.is_atomic() {
            // SAFETY: as in `acquire`; that it is not held would be a warning.
            unsafe { pg_sys::LockRelease(&self.0, MODE, true) };
        }
    }
}

/// One holder at a time.
const MODE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;

/// A table of the schema `reco`, as the extension has made it.
pub fn table_of_catalog(name: &CStr) -> Result<pg_sys::Oid, Error> {
    // SAFETY: catalog look-ups by NUL-terminated names.
    let table = unsafe {
        let schema = pg_sys::get_namespace_oid(c"reco".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    match table {
        pg_sys::InvalidOid => {
            Err(Error::invalid("the extension pg_recommend is not installed in this database"))
        }
        table => Ok(table),
    }
}
