//! What a function in C knows of its call: arguments as they lie there, and state kept from call to call.

use pgrx::{pg_sys, PgMemoryContexts};

/// A memory context that is deleted when dropped. It hangs from the topmost one: the call site's own deletes its
/// children before it drops what the call site keeps.
pub struct OwnContext(pg_sys::MemoryContext);

impl OwnContext {
    /// Runs `make` with what it allocates kept as long as the context.
    ///
    /// # Safety
    /// What `make` returns is not used after the context is dropped.
    pub unsafe fn holding<T>(make: impl FnOnce() -> T) -> (Self, T) {
        // SAFETY: the topmost context lives as long as the process; the one made in it is deleted by `drop` only.
        let (own, previous) = unsafe {
            let context = pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopMemoryContext,
                c"pg_recommend call site".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            );
            (Self(context), pg_sys::MemoryContextSwitchTo(context))
        };
        let made = make();
        // SAFETY: the context that was current before, which outlives this call.
        unsafe { pg_sys::MemoryContextSwitchTo(previous) };
        (own, made)
    }
}

impl Drop for OwnContext {
    fn drop(&mut self) {
        // SAFETY: created in `holding`, deleted once; deleting raises no error.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
    }
}

/// The state that a call site keeps in `fn_extra`, made on the first call.
///
/// # Safety
/// `fcinfo` is that of the running call, and every use at this call site has the same `T`.
#[inline]
pub unsafe fn state<'call, T: Default>(fcinfo: pg_sys::FunctionCallInfo) -> &'call mut T {
    // SAFETY: the call site outlives its calls, and what it keeps lies in its own memory context.
    unsafe {
        let flinfo = (*fcinfo).flinfo;
        if (*flinfo).fn_extra.is_null() {
            let mut context = PgMemoryContexts::For((*flinfo).fn_mcxt);
            (*flinfo).fn_extra = context.leak_and_drop_on_delete(T::default()).cast();
        }
        &mut *(*flinfo).fn_extra.cast::<T>()
    }
}

/// The n-th argument; `None` where it is NULL.
///
/// # Safety
/// `fcinfo` is that of the running call, which has more than `n` arguments.
#[inline]
pub unsafe fn argument(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<pg_sys::Datum> {
    // SAFETY: the arguments follow the call's data, as many as the caller says there are.
    let argument = unsafe { &*(*fcinfo).args.as_ptr().add(n) };
    (!argument.isnull).then_some(argument.value)
}
