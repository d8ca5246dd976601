//! The aggregate `reco.sales_summary(…)`, and what every aggregate of summaries shares.

use super::sale_arguments::sale;
use crate::error::Error;
use crate::pg::call_site::argument;
use crate::pg::memory::{aggregate_context, bytes, in_context, keep, varlena, Palloc};
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::View;
use features::summary::Summary;
use pgrx::pg_sys;

/// A transition state. It lies in the aggregate's context and is never dropped: all its memory is that context's.
pub type State = Summary<Palloc>;

/// What SSPACE says in sql/features.sql; palloc would take twice the room for more.
const _: () = assert!(std::mem::size_of::<State>() <= 128);

sql_function!(sales_summary_step, |fcinfo| step(fcinfo));
sql_function!(sales_summary_combine, |fcinfo| combine(fcinfo));
sql_function!(sales_summary_serialize, |fcinfo| finish(fcinfo));
sql_function!(sales_summary_deserialize, |fcinfo| { deserialize(fcinfo) });
sql_function!(sales_summary_final, |fcinfo| finish(fcinfo));

/// (state, amount, quantity, discount, customer, sold_at)
unsafe fn step(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    match sale(fcinfo)? {
        Some(sale) => update(fcinfo, |state| Ok(state.add(&sale, Palloc)?)),
        None => Ok(argument(fcinfo, 0)),
    }
}

/// Changes the state that is argument 0, made if there is none yet, with new room from the aggregate's context.
///
/// # Safety
/// `fcinfo` is that of a transition or combine function whose argument 0 is a [`State`].
#[inline]
pub unsafe fn update(
    fcinfo: pg_sys::FunctionCallInfo,
    change: impl FnOnce(&mut State) -> Result<(), Error>,
) -> Returned {
    let known = state(fcinfo, 0);
    in_context(aggregate_context(fcinfo)?, || {
        let state = known.unwrap_or_else(|| keep(State::new()));
        change(&mut *state)?;
        Ok(Some(pg_sys::Datum::from(state)))
    })
}

/// # Safety
/// As for [`update`], for argument `n`.
#[inline]
unsafe fn state(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<*mut State> {
    argument(fcinfo, n).map(|datum| datum.cast_mut_ptr())
}

/// (state, state): a lone second state lies in a context of its own, and is copied.
unsafe fn combine(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    match state(fcinfo, 1) {
        None => Ok(argument(fcinfo, 0)),
        Some(other) => update(fcinfo, |state| Ok(state.merge(&*other, Palloc)?)),
    }
}

/// (state): the summary, and also what a state is for other workers: the stored form says everything.
unsafe fn finish(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    Ok(state(fcinfo, 0).map(|state| {
        let encoded = (*state).encoded();
        varlena(encoded.length(), |out| encoded.write(out))
    }))
}

/// (bytea, internal)
unsafe fn deserialize(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(datum) = argument(fcinfo, 0) else { return Ok(None) };
    let state = keep(State::new());
    (*state).merge_stored(&View::parse(bytes(datum))?, Palloc)?;
    Ok(Some(pg_sys::Datum::from(state)))
}
