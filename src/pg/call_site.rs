//! What a function knows of its call in C's own terms: the arguments as Postgres hands them over, and the state that is
//! kept from call to call.

use pgrx::{pg_sys, PgMemoryContexts};

/// A memory context that is deleted when this value is dropped. Its parent is the topmost context. A child of the call
/// site's context would be deleted too early: Postgres deletes the children of a context before it drops what the call site
/// keeps.
pub struct OwnContext(pg_sys::MemoryContext);

impl OwnContext {
    /// Runs `make`; what `make` allocates lives as long as the context.
    ///
    /// # Safety
    /// What `make` returns is not used after the context is dropped.
    pub unsafe fn holding<T>(make: impl FnOnce() -> T) -> (Self, T) {
        // SAFETY: the topmost context lives as long as the process, and only `drop` deletes the context that is made in it.
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
        // SAFETY: this is the context that was current before, which outlives this call.
        unsafe { pg_sys::MemoryContextSwitchTo(previous) };
        (own, made)
    }
}

impl Drop for OwnContext {
    fn drop(&mut self) {
        // SAFETY: the context was created in `holding` and is deleted once; the deletion raises no error.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
    }
}

/// The state that a call site keeps in `fn_extra`. The first call makes it.
///
/// # Safety
/// `fcinfo` is that of the running call, and every use at this call site has the same `T`.
#[inline]
pub unsafe fn state<'call, T: Default>(fcinfo: pg_sys::FunctionCallInfo) -> &'call mut T {
    // SAFETY: the call is running, as the caller says. The call site outlives its calls, and its state lies in the call
    // site's own memory context.
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
    // SAFETY: the call is running and has more than `n` arguments, as the caller says; they follow the call's data.
    let argument = unsafe { &*(*fcinfo).args.as_ptr().add(n) };
    (!argument.isnull).then_some(argument.value)
}
