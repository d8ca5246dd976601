//! Threads beside a backend's own. They run plain Rust and nothing of PostgreSQL's, whose code knows one thread only.

/// Starts a thread that no signal interrupts: a handler of PostgreSQL's belongs to the backend's own thread. `start` starts it
/// and calls nothing of PostgreSQL's.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let _masked = Masked::all();
    start()
}

/// The thread's signal mask, set back on drop.
struct Masked(libc::sigset_t);

impl Masked {
    fn all() -> Self {
        // SAFETY: a set of signals is plain data, and both sets live through the calls.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self(before)
        }
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}
