//! Messages to the client while a call is under way.
//!
//! At the end of every message Postgres raises a cancel that has arrived meanwhile, and a message that cannot be written in
//! the client's encoding is an error itself. pgrx sends messages without its guards, so either of these would jump over
//! Rust's frames, and nobody would record the failure. Here a cancel waits for the next step, and an error becomes a panic,
//! as everywhere else.

use crate::pg::guard;
use crate::pg::session::between_steps;
use pgrx::{pg_sys, PgLogLevel};
use std::ffi::{c_char, c_int, CString};

/// Sends a notice to the client.
macro_rules! say {
    ($($words:tt)*) => { $crate::pg::tell::tell(pgrx::PgLogLevel::NOTICE, format!($($words)*)) };
}

/// Sends a warning to the client.
macro_rules! warn {
    ($($words:tt)*) => { $crate::pg::tell::tell(pgrx::PgLogLevel::WARNING, format!($($words)*)) };
}

/// Sends a message for somebody who looks for the cause of a fault. It is shown if `client_min_messages` or
/// `log_min_messages` is `debug1`.
macro_rules! whisper {
    ($($words:tt)*) => { $crate::pg::tell::tell(pgrx::PgLogLevel::DEBUG1, format!($($words)*)) };
}

extern "C-unwind" {
    // These are declared in elog.h; pgrx has no bindings for them.
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errhint(format: *const c_char, ...) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

/// Sends a message whose level is below an error. The macros call this.
pub fn tell(level: PgLogLevel, words: String) {
    send(level, words, None);
}

/// Sends a warning, and what can be done about it.
pub fn advise(words: String, hint: String) {
    send(PgLogLevel::WARNING, words, Some(hint));
}

fn send(level: PgLogLevel, words: String, hint: Option<String>) {
    let [words, hint] = [Some(words), hint].map(|text| text.map(written));
    let (words, hint) = (words.unwrap_or_default(), hint.as_deref());
    // SAFETY: the texts outlive the call, which copies them; the closure in the guard does nothing but call C and owns
    // nothing.
    between_steps(|| unsafe {
        guard::call(|| {
            if errstart(level as c_int, std::ptr::null()) {
                pg_sys::errmsg_internal(c"%s".as_ptr(), words.as_ptr());
                if let Some(hint) = hint {
                    errhint(c"%s".as_ptr(), hint.as_ptr());
                }
                errfinish(std::ptr::null(), 0, std::ptr::null());
            }
        });
    });
}

/// A message that quotes damaged or foreign bytes may hold a zero byte. It is left out, and the rest is sent.
fn written(words: String) -> CString {
    CString::new(words.replace('\0', "")).unwrap_or_default()
}
