//! What is said to the client while something is under way.
//!
//! At the end of every message Postgres raises a cancel that has come meanwhile; and a message that cannot be written in the
//! client's encoding is an error itself. pgrx sends messages past its guards, so that either would jump over Rust's frames, and
//! nobody would record it. Here a cancel waits for the next step, and an error becomes a panic as any other.

use crate::pg::guard;
use crate::pg::session::between_steps;
use pgrx::{pg_sys, PgLogLevel};
use std::ffi::{c_char, c_int, CString};

/// A notice to the client.
macro_rules! say {
    ($($words:tt)*) => { $crate::pg::tell::tell(pgrx::PgLogLevel::NOTICE, format!($($words)*)) };
}

/// A warning to the client.
macro_rules! warn {
    ($($words:tt)*) => { $crate::pg::tell::tell(pgrx::PgLogLevel::WARNING, format!($($words)*)) };
}

/// Something for those who look for the cause of a fault, with `client_min_messages` or `log_min_messages` of `debug1`.
macro_rules! whisper {
    ($($words:tt)*) => { $crate::pg::tell::tell(pgrx::PgLogLevel::DEBUG1, format!($($words)*)) };
}

extern "C-unwind" {
    // From elog.h; pgrx has no bindings for them.
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

/// Sends a message of less than an error, on behalf of the macros.
pub fn tell(level: PgLogLevel, words: String) {
    // What is said of damaged or foreign bytes may hold a zero; the rest is said all the same.
    let words = CString::new(words.replace('\0', "")).unwrap_or_default();
    // SAFETY: the words outlive the call, which copies them; the closure in the guard owns nothing.
    between_steps(|| unsafe {
        guard::call(|| {
            if errstart(level as c_int, std::ptr::null()) {
                pg_sys::errmsg_internal(c"%s".as_ptr(), words.as_ptr());
                errfinish(std::ptr::null(), 0, std::ptr::null());
            }
        });
    });
}
