//! Locks that say what a backend has under way: a training, a search, a refresh, a retraining, a monitoring or a
//! load of files.
//!
//! They are heavyweight locks on objects of the catalog's own tables, not advisory locks. Any role that knows the key can
//! take an advisory lock, and could so keep a model from being retrained, or make a run that lost its backend look alive.
//! Postgres takes object locks only on objects of system catalogs, and no SQL command takes one on an object of a user's
//! table; `pg_advisory_unlock_all` and `DISCARD ALL` do not release them. `pg_locks` shows them with the `locktype` object.
//!
//! A lock of the session survives the commits between the steps of a procedure. An error that ends the transaction ends
//! these locks too.

use crate::error::Error;
use crate::pg::session::Session;
use pgrx::{pg_sys, Uuid};
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A lock on an object of the catalog.
pub struct CatalogLock(pg_sys::LOCKTAG);

impl CatalogLock {
    /// The lock of a run, a search or a refresh. The id is random, so a part of it is enough: see `reco.run_is_alive`.
    pub fn of_run(id: Uuid) -> Result<Self, Error> {
        let [a, b, c, d, e, f, ..] = *id.as_bytes();
        let (object, part) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
        Self::on(c"run", object, part)
    }

    /// The lock of a model that is retrained, by a hash of the model's name.
    pub fn of_retraining(model: &str) -> Result<Self, Error> {
        Self::of_model(c"model", model)
    }

    /// The lock of a model that is monitored, by the same hash.
    pub fn of_monitoring(model: &str) -> Result<Self, Error> {
        Self::of_model(c"monitored_model", model)
    }

    fn of_model(table: &CStr, model: &str) -> Result<Self, Error> {
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        let hash = hasher.finish();
        Self::on(table, hash as u32, (hash >> 32) as u16)
    }

    /// The lock of whoever decides which schedules start.
    pub fn of_schedules() -> Result<Self, Error> {
        Self::on(c"schedule", 0, 0)
    }

    /// The lock of a table that files of a data lake are loaded into.
    pub fn of_loading(table: pg_sys::Oid) -> Result<Self, Error> {
        Self::on(c"lake_file", table.to_u32(), 0)
    }

    fn on(table: &CStr, object: u32, part: u16) -> Result<Self, Error> {
        let table = table_of_catalog(table)?;
        Ok(Self(pg_sys::LOCKTAG {
            // SAFETY: this variable of the process was set when the backend connected to its database.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: table.to_u32(),
            locktag_field3: object,
            locktag_field4: part,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        }))
    }

    /// Takes the lock, and waits for it if need be. In an atomic session the lock is the transaction's, else it is the
    /// session's and has to be released.
    pub fn take(&self, session: &Session) {
        self.acquire(session, false);
    }

    /// Takes the lock until the transaction ends, and waits for it if need be.
    pub fn take_for_transaction(&self) {
        // SAFETY: as in `acquire`.
        unsafe { pg_sys::LockAcquire(&self.0, MODE, false, false) };
    }

    /// Takes the lock unless another backend holds it; `true` if it was taken.
    pub fn try_take(&self, session: &Session) -> bool {
        self.acquire(session, true) != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Whether nobody else holds the lock at this moment.
    pub fn is_free(&self) -> bool {
        // SAFETY: as in `acquire`; the lock is the transaction's, and is released at once.
        unsafe {
            let taken = pg_sys::LockAcquire(&self.0, MODE, false, true);
            let free = taken != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL;
            if free {
                pg_sys::LockRelease(&self.0, MODE, false);
            }
            free
        }
    }

    fn acquire(&self, session: &Session, give_up: bool) -> pg_sys::LockAcquireResult::Type {
        // SAFETY: every field of the tag is set; a deadlock or a cancel is raised as an error.
        unsafe { pg_sys::LockAcquire(&self.0, MODE, !session.is_atomic(), give_up) }
    }

    /// Releases a lock of the session. A lock of the transaction goes with the transaction.
    pub fn release(&self, session: &Session) {
        if !session.is_atomic() {
            // SAFETY: as in `acquire`; if the lock is not held, Postgres only warns.
            unsafe { pg_sys::LockRelease(&self.0, MODE, true) };
        }
    }
}

/// The mode of these locks, which lets one holder in at a time.
const MODE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;

/// The OID of a table in the schema `reco`, which the extension has made.
pub fn table_of_catalog(name: &CStr) -> Result<pg_sys::Oid, Error> {
    // SAFETY: these are catalog look-ups by NUL-terminated names.
    let table = unsafe {
        let schema = pg_sys::get_namespace_oid(c"reco".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    match table {
        pg_sys::InvalidOid => Err(Error::NotInstalled),
        table => Ok(table),
    }
}
