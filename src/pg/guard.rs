//! Guards for C code that Rust calls through a pointer, and for hooks that stand between C and C.
//!
//! An error in C is a long jump. It must never pass over a Rust frame that owns something, because no destructor would run.
//! The functions of `pgrx::pg_sys` catch the jump by themselves and make a panic of it. A call through a function pointer
//! does not catch it, and neither does a function that we declare ourselves. So there is one rule: **such a call is made in
//! this file, or in a frame that owns nothing and is called by C.**
//!
//! [`around`] is for hooks. There the error belongs to somebody else and must go on as it was raised: if it became a panic
//! on the way it would lose its context lines, and the names of constraints, columns and tables that drivers read.

use cee_scape::{call_with_sigsetjmp, SigJmpBufFields};
use pgrx::pg_sys;

extern "C-unwind" {
    // This is declared in elog.h; pgrx has no binding for it.
    fn pg_re_throw() -> !;
}

/// Calls C through a pointer, or by a name that we declare. An error becomes a panic, as it does in the functions of
/// `pgrx::pg_sys`, so the destructors of the frames on its way run.
///
/// # Safety
/// `c` does nothing but call C.
#[inline]
pub unsafe fn call<T>(c: impl FnOnce() -> T) -> T {
    // SAFETY: `c` does nothing but call C, as the caller says, so the jump passes over no frame that owns something. A
    // backend has one thread.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(c) }
}

/// Calls C, and then `after`: with `true` if C has returned, with `false` if C has raised an error. The error then goes on.
///
/// # Safety
/// `call` does nothing but call C. Neither `call` nor any frame between this function and the C code that called us owns
/// anything, and `after` raises no error.
#[inline]
pub unsafe fn around(call: impl FnOnce(), after: impl FnOnce(bool)) {
    // SAFETY: a backend has one thread. The error handler and the context lines are set back to what they were, whichever
    // way C ends. The jump that leaves this function passes only over frames that own nothing, as the caller says.
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

/// Runs Rust code in a function that C calls: a panic becomes an error of Postgres here.
///
/// # Safety
/// The frames between this function and the C code that called us own nothing.
#[inline]
pub unsafe fn within<T: Copy>(rust: impl FnOnce() -> T) -> T {
    // SAFETY: the error that a panic becomes passes only over frames that own nothing, as the caller says.
    unsafe { pg_sys::panic::pgrx_extern_c_guard(rust) }
}
