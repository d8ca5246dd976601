//! What every aggregate does with its state: makes it, changes it row by row, merges it, sends it between processes.
//!
//! A state is of SQL's type `internal`, which nobody can make but a transition function, and it is checked that an aggregate
//! calls: so argument 0 of these functions is a state of the aggregate that its `CREATE AGGREGATE` describes.

use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::memory::{in_context, keep};
use crate::pg::sql_function::Returned;
use pgrx::{pg_sys, PgMemoryContexts};

/// What an aggregate keeps between rows.
pub trait State: Sized {
    /// Whether all that it allocates comes from [`crate::pg::memory::Palloc`]. Then it changes with the aggregate's context being
    /// the current one, counts against `work_mem` where rows are grouped by hash, and is never dropped: what it owns goes
    /// with the context. Any other state is dropped when the context goes.
    const IN_CONTEXT: bool;

    /// A state that has seen the same and owns what it is made of.
    fn copied(&self) -> Result<Self, Error>;

    /// Takes in what another process has seen.
    fn merge(&mut self, other: &Self) -> Result<(), Error>;

    /// The bytea that [`Self::from_stored`] reads.
    fn stored(&self) -> pg_sys::Datum;

    fn from_stored(bytes: &[u8]) -> Result<Self, Error>;
}

/// The state that is argument `n`.
#[inline]
fn state<S: State>(call: &Call, n: usize) -> Option<*mut S> {
    call.datum(n).map(|datum| datum.cast_mut_ptr())
}

/// The context that the running aggregate keeps its states in: what `AggCheckCallContext` says, read without a call. An error
/// outside of an aggregate.
#[inline]
fn context(call: &Call) -> Result<pg_sys::MemoryContext, Error> {
    // SAFETY: the call is running. The tag says which node its context is; an aggregate that calls has a current context.
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

/// Puts a state where it lives as long as the context.
///
/// # Safety
/// `context` is a live memory context.
unsafe fn place<S: State>(context: pg_sys::MemoryContext, state: S) -> *mut S {
    if std::mem::needs_drop::<S>() && !S::IN_CONTEXT {
        return PgMemoryContexts::For(context).leak_and_drop_on_delete(state);
    }
    // SAFETY: as the caller says.
    unsafe { in_context(context, || keep(state)) }
}

/// (state, …): the state as it is, for a row that does not count.
#[inline]
pub fn unchanged(call: &Call) -> Returned {
    Ok(call.datum(0))
}

/// (state, …): changes the state, which begins as its default.
#[inline]
pub fn step<S: State + Default>(call: &Call, change: impl FnOnce(&mut S) -> Result<(), Error>) -> Returned {
    step_or(call, || Ok(S::default()), change)
}

/// (state, …): changes the state, which begins as `new`.
#[inline]
pub fn step_or<S: State>(
    call: &Call,
    new: impl FnOnce() -> Result<S, Error>,
    change: impl FnOnce(&mut S) -> Result<(), Error>,
) -> Returned {
    let work = || {
        let state = match state::<S>(call, 0) {
            Some(state) => state,
            // SAFETY: the aggregate's own context.
            None => unsafe { place(context(call)?, new()?) },
        };
        // SAFETY: a state of this aggregate, which nobody else reads while its function runs.
        change(unsafe { &mut *state })?;
        Ok(Some(pg_sys::Datum::from(state)))
    };
    if S::IN_CONTEXT {
        // SAFETY: the aggregate's own context.
        unsafe { in_context(context(call)?, work) }
    } else {
        work()
    }
}

/// (state, state): merges the second into the first. A lone second state lies in a context of its own, and is copied.
pub fn combine<S: State>(call: &Call) -> Returned {
    let Some(other) = state::<S>(call, 1) else { return unchanged(call) };
    // SAFETY: a state of this aggregate, made by another process and read by nobody else; it is never the first one.
    let other = unsafe { &*other };
    let is_lone = call.datum(0).is_none();
    step_or(call, || other.copied(), |state| if is_lone { Ok(()) } else { state.merge(other) })
}

/// (state): the bytea that other processes take.
pub fn serialize<S: State>(call: &Call) -> Returned {
    Ok(finished::<S>(call)?.map(|state| state.stored()))
}

/// (bytea, internal): the state lies in the context of the moment; it is merged into another.
pub fn deserialize<S: State>(call: &Call) -> Returned {
    context(call)?;
    let Some(bytes) = call.bytes(0) else { return Ok(None) };
    let state = S::from_stored(bytes)?;
    // SAFETY: the current context is live.
    Ok(Some(unsafe { place(pg_sys::CurrentMemoryContext, state) }.into()))
}

/// (state, …): the state at the end; `None` without rows. What it is asked may sort it, which changes no later answer.
#[allow(clippy::mut_from_ref)]
#[inline]
pub fn finished<S: State>(call: &Call) -> Result<Option<&mut S>, Error> {
    context(call)?;
    // SAFETY: a state of this aggregate, which nobody else reads while its function runs.
    Ok(state(call, 0).map(|state| unsafe { &mut *state }))
}
