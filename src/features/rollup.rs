//! The aggregate `reco.rollup(sales_summary)`. All but the transition is that of `reco.sales_summary(…)`.

use super::sales_summary::update;
use crate::pg::call_site::argument;
use crate::pg::memory::{bytes, Palloc};
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::View;
use pgrx::pg_sys;

sql_function!(rollup_step, |fcinfo| step(fcinfo));

/// (state, summary)
unsafe fn step(fcinfo: pg_sys::FunctionCallInfo) -> Returned {
    let Some(summary) = argument(fcinfo, 1) else { return Ok(argument(fcinfo, 0)) };
    let summary = View::parse(bytes(summary))?;
    update(fcinfo, |state| Ok(state.merge_stored(&summary, Palloc)?))
}
