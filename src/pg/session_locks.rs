//! The session's advisory locks, which outlive transactions and errors. After SQL of another role has run, the session
//! holds each of them as often as before, and it lost none of them meanwhile.

use pgrx::pg_sys;

/// The session's advisory locks at one moment. As long as this value lives none of them can be released, and dropping it
/// sets them back to what they were.
pub struct SessionLocks {
    held: Vec<Held>,
    /// The resource owner that holds each lock once more, so that it cannot be released.
    owner: pg_sys::ResourceOwner,
}

/// An advisory lock that this backend holds.
struct Held {
    tag: pg_sys::LOCKTAG,
    mode: pg_sys::LOCKMODE,
    /// How often the session has taken the lock; 0 if only the transaction has.
    times: i64,
}

impl SessionLocks {
    pub fn now() -> Self {
        // SAFETY: this only reads a variable of this process; the resource owner lives as long as the call that runs.
        let owner = unsafe { pg_sys::CurrentResourceOwner };
        let mut held = held();
        held.retain(|lock| lock.times > 0);
        held.iter().for_each(|lock| take(lock, false));
        Self { held, owner }
    }
}

impl Drop for SessionLocks {
    /// This runs also while an error unwinds, because the abort of the transaction does not touch locks of the session.
    fn drop(&mut self) {
        for lock in held() {
            let before = self.held.iter().find(|held| held.is(&lock)).map_or(0, |held| held.times);
            (before..lock.times).for_each(|_| let_go(&lock, true));
            (lock.times..before).for_each(|_| take(&lock, true));
        }
        // SAFETY: the locks were taken for this resource owner. The current owner is changed only while they are released.
        unsafe {
            let now = pg_sys::CurrentResourceOwner;
            pg_sys::CurrentResourceOwner = self.owner;
            self.held.iter().for_each(|lock| let_go(lock, false));
            pg_sys::CurrentResourceOwner = now;
        }
    }
}

impl Held {
    fn is(&self, other: &Self) -> bool {
        let key = |tag: &pg_sys::LOCKTAG| {
            (tag.locktag_field1, tag.locktag_field2, tag.locktag_field3, tag.locktag_field4)
        };
        self.mode == other.mode && key(&self.tag) == key(&other.tag)
    }
}

/// Takes a lock that this backend holds, once more. No other backend can be in the way.
fn take(lock: &Held, for_session: bool) {
    // SAFETY: every field of the tag is set.
    unsafe { pg_sys::LockAcquire(&lock.tag, lock.mode, for_session, true) };
}

/// Releases a lock once.
fn let_go(lock: &Held, of_session: bool) {
    // SAFETY: every field of the tag is set.
    unsafe { pg_sys::LockRelease(&lock.tag, lock.mode, of_session) };
}

/// How often the session has taken a lock that this backend holds. Postgres shows the backend's own count only to a caller
/// that takes the lock, so this function takes it and releases it again.
fn times(tag: &pg_sys::LOCKTAG, mode: pg_sys::LOCKMODE) -> i64 {
    let mut account = std::ptr::null_mut();
    // SAFETY: every field of the tag is set. The entry lives as long as the lock, which is held once more meanwhile. The
    // entry says how many owners it has, and the owner that is null is the session.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::LockAcquireExtended(tag, mode, true, true, false, &mut account);
        #[cfg(feature = "pg18")]
        pg_sys::LockAcquireExtended(tag, mode, true, true, false, &mut account, false);
        let Some(lock) = account.as_ref() else { return 0 };
        let owners = std::slice::from_raw_parts(lock.lockOwners, lock.numLockOwners as usize);
        let times = owners.iter().find(|owner| owner.owner.is_null()).map_or(0, |session| session.nLocks - 1);
        pg_sys::LockRelease(tag, mode, true);
        times
    }
}

/// The advisory locks that this backend holds.
fn held() -> Vec<Held> {
    // SAFETY: the call returns a copy of the server's table of locks, and says how many locks are in it. The copy is freed
    // after its last use.
    unsafe {
        let all = pg_sys::GetLockStatusData();
        let locks = std::slice::from_raw_parts((*all).locks, (*all).nelements as usize);
        let ours = locks.iter().filter(|lock| {
            lock.pid == pg_sys::MyProcPid
                && u32::from(lock.locktag.locktag_lockmethodid) == pg_sys::USER_LOCKMETHOD
        });
        let held = ours.flat_map(|lock| {
            let modes = [pg_sys::ShareLock, pg_sys::ExclusiveLock].map(|mode| mode as pg_sys::LOCKMODE);
            let held = modes.into_iter().filter(|mode| lock.holdMask & (1 << mode) != 0);
            held.map(|mode| Held { tag: lock.locktag, mode, times: times(&lock.locktag, mode) })
        });
        let held = held.collect();
        pg_sys::pfree((*all).locks.cast());
        pg_sys::pfree(all.cast());
        held
    }
}
