//! What every fitting aggregate does with its state: makes it in the aggregate's memory context, feeds it, merges it,
//! and sends it between processes.

use super::call::Call;
use crate::error::Error;
use crate::pg::sql_function::Returned;
use features::encode::State;
use pgrx::{pg_sys, PgMemoryContexts};

/// The state as SQL's type `internal`. Only an aggregate's transition value can be one: SQL cannot make it.
unsafe fn state_at<'call, S>(datum: pg_sys::Datum) -> &'call mut S {
    &mut *datum.cast_mut_ptr::<S>()
}

/// The context in which the state lives; an error outside of an aggregate.
fn context(call: &Call) -> Result<pg_sys::MemoryContext, Error> {
    let mut context = std::ptr::null_mut();
    // SAFETY: the call is running.
    if unsafe { pg_sys::AggCheckCallContext(call.fcinfo, &mut context) } == 0 {
        return Err(Error::invalid("this function is part of an aggregate and cannot be called"));
    }
    Ok(context)
}

/// Puts the state where it lives as long as the context. What it allocates itself is on Rust's heap, and freed then.
unsafe fn place<S>(context: pg_sys::MemoryContext, state: S) -> pg_sys::Datum {
    if std::mem::needs_drop::<S>() {
        return PgMemoryContexts::For(context).leak_and_drop_on_delete(state).into();
    }
    let place = pg_sys::MemoryContextAlloc(context, std::mem::size_of::<S>()).cast::<S>();
    place.write(state);
    place.into()
}

/// The state of the first argument, made if there is none yet.
unsafe fn state_or_new<S: State>(call: &Call) -> Result<pg_sys::Datum, Error> {
    match call.datum(0) {
        Some(datum) => Ok(datum),
        None => Ok(place(context(call)?, S::default())),
    }
}

/// A row: feeds the state.
#[inline]
pub fn step<S: State>(call: &Call, feed: impl FnOnce(&mut S) -> Result<(), Error>) -> Returned {
    // SAFETY: the first argument is this aggregate's state or NULL.
    unsafe {
        let datum = state_or_new::<S>(call)?;
        feed(state_at(datum))?;
        Ok(Some(datum))
    }
}

/// Merges the second state into the first, which lives in the aggregate's context.
pub fn combine<S: State>(call: &Call) -> Returned {
    let Some(other) = call.datum(1) else { return Ok(call.datum(0)) };
    // SAFETY: both arguments are states of this aggregate.
    unsafe {
        let datum = state_or_new::<S>(call)?;
        state_at::<S>(datum).merge(state_at(other))?;
        Ok(Some(datum))
    }
}

/// The state as bytea.
pub fn serialize<S: State>(call: &Call) -> Returned {
    context(call)?;
    // SAFETY: the argument is a state of this aggregate; the function is strict.
    let bytes = call.datum(0).map(|datum| unsafe { state_at::<S>(datum) }.to_bytes());
    // A bytea is laid out as a text is.
    Ok(bytes.map(|bytes| super::call::text(&bytes)))
}

/// The state from bytea, in the context of the moment: it is merged into another and then dropped.
pub fn deserialize<S: State>(call: &Call) -> Returned {
    context(call)?;
    let Some(bytes) = call.text(0) else { return Ok(None) };
    let state = S::from_bytes(bytes)?;
    // SAFETY: the current context is that of the call.
    Ok(Some(unsafe { place(pg_sys::CurrentMemoryContext, state) }))
}

/// The state at the end; `None` without rows. Reading quantiles sorts it, which changes no later answer.
#[allow(clippy::mut_from_ref)]
pub fn finished<S: State>(call: &Call) -> Result<Option<&mut S>, Error> {
    context(call)?;
    // SAFETY: the first argument is this aggregate's state or NULL.
    Ok(call.datum(0).map(|datum| unsafe { state_at(datum) }))
}
