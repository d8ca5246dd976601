//! One backend at a time makes the file of a model.

use model::image::Content;
use pgrx::pg_sys;

/// Held until dropped, at the latest until the transaction ends.
pub struct Turn(pg_sys::LOCKTAG);

/// Waits until no other backend has the turn; interrupts and deadlocks end the wait as those of any lock.
pub fn take(content: &Content) -> Turn {
    let tag = tag(content);
    // SAFETY: a complete tag, of a method that the server has.
    unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, false) };
    Turn(tag)
}

/// An advisory lock of a kind that SQL cannot take, the same in all databases.
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
        // While an error unwinds, the transaction's abort releases the lock.
        if !std::thread::panicking() {
            // SAFETY: taken in `take`, released once.
            unsafe { pg_sys::LockRelease(&self.0, pg_sys::ExclusiveLock as i32, false) };
        }
    }
}
