//! The aggregate `reco.rollup(sales_summary)`. Only its transition function differs from those of `reco.sales_summary(…)`.

use super::sales_summary::Sales;
use crate::pg::aggregate::{step, unchanged};
use crate::pg::call::Call;
use crate::pg::memory::Palloc;
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::View;

sql_function!(rollup_step, rollup_step);

/// (state, summary)
fn rollup_step(call: &Call) -> Returned {
    let Some(summary) = call.bytes(1) else { return unchanged(call) };
    let summary = View::parse(summary)?;
    step(call, |state: &mut Sales| Ok(state.0.merge_stored(&summary, Palloc)?))
}
