//! What every aggregate does with its state: it makes the state, changes it row by row, merges it, and sends it between
//! processes.
//!
//! A state has the SQL type `internal`. No SQL expression can make such a value, and each function here checks that an
//! aggregate calls it. So argument 0 of these functions is always a state that the transition function of the same
//! aggregate (as its `CREATE AGGREGATE` says) has made.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::memory::{in_context, keep};
use crate::pg::sql_function::Returned;
use pgrx::{pg_sys, PgMemoryContexts};

/// What an aggregate keeps between rows.
pub trait State: Sized {
    /// Whether [`crate::pg::memory::Palloc`] allocates all that the state owns. Such a state is changed while the
    /// aggregate's memory context is the current one; it counts against `work_mem` where rows are grouped by hash; and it
    /// is never dropped, because its memory goes with the context. Any other state is dropped when the context is deleted.
    const IN_CONTEXT: bool;

    /// A copy that shares no memory with this state.
    fn copied(&self) -> Result<Self, Error>;

    /// Adds what the state of another process has seen.
    fn merge(&mut self, other: &Self) -> Result<(), Error>;

    /// The state as the bytea that [`Self::from_stored`] reads.
    fn stored(&self) -> pg_sys::Datum;

    fn from_stored(bytes: &[u8]) -> Result<Self, Error>;
}

/// The state that is the n-th argument.
#[inline]
fn state<S: State>(call: &Call, n: usize) -> Option<*mut S> {
    call.datum(n).map(|datum| datum.cast_mut_ptr())
}

/// The memory context in which the running aggregate keeps its states: what `AggCheckCallContext` returns, read here
/// without a function call. It is an error if no aggregate calls.
#[inline]
fn context(call: &Call) -> Result<pg_sys::MemoryContext, Error> {
    // SAFETY: the call is running. The node's tag says which type the node has, and an aggregate that calls has a current
    // context.
    unsafe {
        let caller = (*call.info()).context;
        if !caller.is_null() {
            match (*caller).type_ {
                pg_sys::NodeTag::T_AggState => {
                    return Ok((*(*caller.cast::<pg_sys::AggState>()).curaggcontext).ecxt_per_tuple_memory)
                }
                pg_sys::NodeTag::T_WindowAggState => {
                    return Ok((*caller.cast::<pg_sys::WindowAggState>()).curaggcontext)
                }
                _ => {}
            }
        }
    }
    Err(Error::invalid("this function is part of an aggregate and cannot be called"))
}

/// Moves a state into the context, where it lives as long as the context does.
///
/// # Safety
/// `context` is a live memory context.
unsafe fn place<S: State>(context: pg_sys::MemoryContext, state: S) -> *mut S {
    if std::mem::needs_drop::<S>() && !S::IN_CONTEXT {
        return PgMemoryContexts::For(context).leak_and_drop_on_delete(state);
    }
    // SAFETY: the context is live, as the caller says.
    unsafe { in_context(context, || keep(state)) }
}

/// (state, …): returns the state unchanged, for a row that does not count.
#[inline]
pub fn unchanged(call: &Call) -> Returned {
    Ok(call.datum(0))
}

/// (state, …): changes the state; the first row makes the default state.
#[inline]
pub fn step<S: State + Default>(call: &Call, change: impl FnOnce(&mut S) -> Result<(), Error>) -> Returned {
    step_or(call, || Ok(S::default()), change)
}

/// (state, …): changes the state; the first row makes it with `new`.
#[inline]
pub fn step_or<S: State>(
    call: &Call,
    new: impl FnOnce() -> Result<S, Error>,
    change: impl FnOnce(&mut S) -> Result<(), Error>,
) -> Returned {
    let work = || {
        let state = match state::<S>(call, 0) {
            Some(state) => state,
            // SAFETY: `context` returns the running aggregate's own context, which is live.
            None => unsafe { place(context(call)?, new()?) },
        };
        // SAFETY: the argument is a state of this aggregate, of the type `S`, and nobody else uses it while this function
        // runs.
        change(unsafe { &mut *state })?;
        Ok(Some(pg_sys::Datum::from(state)))
    };
    if S::IN_CONTEXT {
        // SAFETY: `context` returns the running aggregate's own context, which is live.
        unsafe { in_context(context(call)?, work) }
    } else {
        work()
    }
}

/// (state, state): merges the second state into the first. If there is only a second state it is copied, because it lies in
/// a short-lived context.
pub fn combine<S: State>(call: &Call) -> Returned {
    let Some(other) = state::<S>(call, 1) else { return unchanged(call) };
    // SAFETY: the argument is a state of this aggregate, of the type `S`. Another process made it, nobody else reads it,
    // and it is never the first argument.
    let other = unsafe { &*other };
    let is_lone = call.datum(0).is_none();
    step_or(call, || other.copied(), |state| if is_lone { Ok(()) } else { state.merge(other) })
}

/// (state): the bytea that is sent to another process.
pub fn serialize<S: State>(call: &Call) -> Returned {
    Ok(finished::<S>(call)?.map(|state| state.stored()))
}

/// (bytea, internal): the state that another process has sent. It lies in the current memory context, because it is merged
/// at once.
pub fn deserialize<S: State>(call: &Call) -> Returned {
    context(call)?;
    let Some(bytes) = call.bytes(0) else { return Ok(None) };
    let state = S::from_stored(bytes)?;
    // SAFETY: the current memory context is live.
    Ok(Some(unsafe { place(pg_sys::CurrentMemoryContext, state) }.into()))
}

/// (state, …): the final state; `None` if there was no row. A final function may sort the state, which changes no later
/// answer.
#[allow(clippy::mut_from_ref)]
#[inline]
pub fn finished<S: State>(call: &Call) -> Result<Option<&mut S>, Error> {
    context(call)?;
    // SAFETY: the argument is a state of this aggregate, of the type `S`, and nobody else uses it while this function runs.
    Ok(state(call, 0).map(|state| unsafe { &mut *state }))
}
