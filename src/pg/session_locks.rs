//! Advisory locks of the session, which outlive transactions and errors: what SQL of another role has taken or let go of is
//! put back.

use crate::error::Error;
use pgrx::pg_sys;
use std::ffi::CStr;

/// The session's advisory locks at one moment. Dropped, it lets go of those that were taken since.
pub struct SessionLocks(Vec<Held>);

/// A lock that this backend holds, for the session or for the transaction.
struct Held {
    tag: pg_sys::LOCKTAG,
    mode: pg_sys::LOCKMODE,
}

impl Held {
    fn is_in(&self, locks: &[Self]) -> bool {
        let key = |tag: &pg_sys::LOCKTAG| {
            (tag.locktag_field1, tag.locktag_field2, tag.locktag_field3, tag.locktag_field4)
        };
        locks.iter().any(|held| held.mode == self.mode && key(&held.tag) == key(&self.tag))
    }
}

impl SessionLocks {
    pub fn now() -> Self {
        Self(held())
    }

    /// Takes those again that were let go of since. Somebody else may have been faster.
    pub fn take_back(&self) -> Result<(), Error> {
        let now = held();
        for lost in self.0.iter().filter(|lock| !lock.is_in(&now)) {
            // SAFETY: the tag is that of a lock that was held; waits for nobody. Only the session's can be let go of.
            let taken = unsafe { pg_sys::LockAcquire(&lost.tag, lost.mode, true, true) };
            if taken == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
                return Err(Error::InUse {
                    message: "the definition of a feature view let go of an advisory lock of this session"
                        .into(),
                    hint: "Another session has taken it meanwhile.".into(),
                });
            }
        }
        Ok(())
    }
}

impl Drop for SessionLocks {
    /// Also while an error unwinds: the transaction's abort leaves such locks alone.
    fn drop(&mut self) {
        let taken: Vec<Held> = held().into_iter().filter(|lock| !lock.is_in(&self.0)).collect();
        if !taken.is_empty() {
            without_warnings(|| taken.iter().for_each(release));
        }
    }
}

/// Lets go of a lock as often as the session has taken it. One of the transaction's goes with it: that is a warning.
fn release(lock: &Held) {
    // SAFETY: a whole tag.
    while unsafe { pg_sys::LockRelease(&lock.tag, lock.mode, true) } {}
}

fn without_warnings(run: impl FnOnce()) {
    const QUIET: [(&CStr, &CStr); 2] = [(c"client_min_messages", c"error"), (c"log_min_messages", c"error")];
    // SAFETY: both settings exist and take these values; they are as before when the level ends.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        for (name, value) in QUIET {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        run();
        pg_sys::AtEOXact_GUC(false, level);
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
            held.map(|mode| Held { tag: lock.locktag, mode })
        });
        let held = held.collect();
        pg_sys::pfree((*all).locks.cast());
        pg_sys::pfree(all.cast());
        held
    }
}
