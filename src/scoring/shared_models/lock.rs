//! A lock that lets one backend at a time make the file of a model.

use model::image::Content;
use pgrx::pg_sys;

/// The right to make the file. It is held until this value is dropped, and at most to the end of the transaction.
pub struct Turn(pg_sys::LOCKTAG);

/// Waits until no other backend holds the lock. An interrupt or a deadlock ends the wait, as it does for any lock.
pub fn take(content: &Content) -> Turn {
    let tag = tag(content);
    // SAFETY: every field of the tag is set, and the server knows its lock method.
    unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, false) };
    Turn(tag)
}

/// The tag of an advisory lock of a kind that SQL cannot take. It is the same in all databases.
fn tag(content: &Content) -> pg_sys::LOCKTAG {
    const KIND: u16 = 0x7265;
    let [a, b, c, d, e, f, g, h, ..] = *content;
    pg_sys::LOCKTAG {
        locktag_field1: 0,
        locktag_field2: u32::from_be_bytes([a, b, c, d]),
        locktag_field3: u32::from_be_bytes([e, f, g, h]),
        locktag_field4: KIND,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the transaction releases the lock.
        if !std::thread::panicking() {
            // SAFETY: `take` has taken the lock, and it is released once.
            unsafe { pg_sys::LockRelease(&self.0, pg_sys::ExclusiveLock as i32, false) };
        }
    }
}
