//! C that Rust calls through a pointer, and hooks that stand between C and C.
//!
//! An error in C is a long jump. It must never pass over a frame of Rust that owns something: what it owns would not be given
//! back, and what it promises would not be done. The functions of `pgrx::pg_sys` catch the jump by themselves and make a panic
//! of it. A function pointer does not, and neither does a function that we declare ourselves; so there is one rule: **such a
//! call is made in here, or in a frame that owns nothing and is called by C.**
//!
//! [`around`] is for hooks. The error is none of ours and goes on as it was raised: a panic in between would lose its context
//! lines and the names of constraints, columns and tables that drivers read.

use cee_scape::{call_with_sigsetjmp, SigJmpBufFields};
use pgrx::pg_sys;

extern "C-unwind" {
    // From elog.h; pgrx has no binding for it.
    fn pg_re_throw() -> !;
}

/// Calls C through a pointer or by a name of our own. An error becomes a panic, as those of `pgrx::pg_sys` do: what the frames
/// on its way own is given back.
///
/// # Safety
/// `c` does nothing but call C.
#[inline]
pub unsafe fn call<T>(c: impl FnOnce() -> T) -> T {
    // SAFETY: the caller's promise; a backend has one thread.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(c) }
}

/// Calls C, and `after` when C has returned (`true`) or raised an error (`false`), which then goes on.
///
/// # Safety
/// `call` does nothing but call C. Neither it nor the frames between here and the C that called us own anything, and `after`
/// raises no error.
#[inline]
pub unsafe fn around(call: impl FnOnce(), after: impl FnOnce(bool)) {
    // SAFETY: one thread; handler and context lines are those from before, whichever way C came back. The jump out of here
    // passes over frames that own nothing, as the caller promises.
    unsafe {
        let handler = pg_sys::PG_exception_stack;
        let context_lines = pg_sys::error_context_stack;
        let jumped = call_with_sigsetjmp(false, |here| {
            pg_sys::PG_exception_stack = std::ptr::from_ref::<SigJmpBufFields>(here).cast_mut().cast();
            call();
            0
        });
        pg_sys::PG_exception_stack = handler;
        pg_sys::error_context_stack = context_lines;
        after(jumped == 0);
        if jumped != 0 {
            pg_re_throw();
        }
    }
}

/// Runs Rust in a function that C calls: panics become errors of Postgres here.
///
/// # Safety
/// The frames between here and the C that called us own nothing.
#[inline]
pub unsafe fn within(rust: impl FnOnce()) {
    // SAFETY: the error that a panic becomes passes over frames that own nothing.
    unsafe { pg_sys::panic::pgrx_extern_c_guard(rust) }
}
