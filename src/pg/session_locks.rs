//! Advisory locks of the session, which outlive transactions and errors: after SQL of another role the session has each as
//! often as before, and was without none meanwhile.

use pgrx::pg_sys;

/// The session's advisory locks at one moment. Until it is dropped they cannot be let go of, and then they are as they were.
pub struct SessionLocks {
    held: Vec<Held>,
    /// Whose they are besides.
    owner: pg_sys::ResourceOwner,
}

/// An advisory lock that this backend has.
struct Held {
    tag: pg_sys::LOCKTAG,
    mode: pg_sys::LOCKMODE,
    /// How often the session has taken it: not at all where only the transaction has.
    times: i64,
}

impl SessionLocks {
    pub fn now() -> Self {
        // SAFETY: a pointer of this backend; it is alive as long as what is being called.
        let owner = unsafe { pg_sys::CurrentResourceOwner };
        let mut held = held();
        held.retain(|lock| lock.times > 0);
        held.iter().for_each(|lock| take(lock, false));
        Self { held, owner }
    }
}

impl Drop for SessionLocks {
    /// Also while an error unwinds: the transaction's abort leaves the session's locks alone.
    fn drop(&mut self) {
        for lock in held() {
            let before = self.held.iter().find(|held| held.is(&lock)).map_or(0, |held| held.times);
            (before..lock.times).for_each(|_| let_go(&lock, true));
            (lock.times..before).for_each(|_| take(&lock, true));
        }
        // SAFETY: the owner that they were taken for; it is what it was when they are let go of.
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

/// Takes a lock that this backend has already, once more: no other can be in the way.
fn take(lock: &Held, for_session: bool) {
    // SAFETY: a whole tag.
    unsafe { pg_sys::LockAcquire(&lock.tag, lock.mode, for_session, true) };
}

/// Lets go of a lock once.
fn let_go(lock: &Held, of_session: bool) {
    // SAFETY: a whole tag.
    unsafe { pg_sys::LockRelease(&lock.tag, lock.mode, of_session) };
}

/// How often the session has taken a lock that this backend has. Only who takes one is shown the backend's account of it.
fn times(tag: &pg_sys::LOCKTAG, mode: pg_sys::LOCKMODE) -> i64 {
    let mut account = std::ptr::null_mut();
    // SAFETY: a whole tag. The account lasts as long as the lock, which is had once more meanwhile; its owners are as many as
    // it says, and the session is the one that is null.
    unsafe {
        pg_sys::LockAcquireExtended(tag, mode, true, true, false, &mut account);
        let Some(lock) = account.as_ref() else { return 0 };
        let owners = std::slice::from_raw_parts(lock.lockOwners, lock.numLockOwners as usize);
        let times = owners.iter().find(|owner| owner.owner.is_null()).map_or(0, |session| session.nLocks - 1);
        pg_sys::LockRelease(tag, mode, true);
        times
    }
}

/// The advisory locks that this backend has.
fn held() -> Vec<Held> {
    // SAFETY: a copy of the server's table of locks, of as many as it says.
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
