//! The aggregates `reco.sales_summary(…)` and `reco.rollup(sales_summary)`, which have the same state.

use super::sale_arguments::sale;
use crate::error::Error;
use crate::pg::aggregate::{combine, deserialize, serialize, step, unchanged, State};
use crate::pg::call::Call;
use crate::pg::memory::{varlena, Palloc};
use crate::pg::sql_function::{sql_function, Returned};
use features::stored::View;
use features::summary::Summary;
use pgrx::pg_sys;

/// The transition state.
#[derive(Default)]
struct Sales(Summary<Palloc>);

/// `SSPACE` in sql/features.sql says 128 bytes. palloc would take twice the room for a larger state.
const _: () = assert!(std::mem::size_of::<Sales>() <= 128);

sql_function!(sales_summary_step, sales_summary_step);
sql_function!(sales_summary_combine, combine::<Sales>);
sql_function!(sales_summary_serialize, serialize::<Sales>);
sql_function!(sales_summary_deserialize, deserialize::<Sales>);
// The final function is the serialize function, because the form that is sent to other workers is the stored form of a
// summary.
sql_function!(sales_summary_final, serialize::<Sales>);
// All but the transition is that of `sales_summary`.
sql_function!(rollup_step, rollup_step);

/// (state, amount, quantity, discount, customer, sold_at)
fn sales_summary_step(call: &Call) -> Returned {
    match sale(call)? {
        Some(sale) => step(call, |state: &mut Sales| Ok(state.0.add(&sale, Palloc)?)),
        None => unchanged(call),
    }
}

/// (state, summary)
fn rollup_step(call: &Call) -> Returned {
    let Some(summary) = call.bytes(1) else { return unchanged(call) };
    let summary = View::parse(summary)?;
    step(call, |state: &mut Sales| Ok(state.0.merge_stored(&summary, Palloc)?))
}

impl State for Sales {
    const IN_CONTEXT: bool = true;

    fn copied(&self) -> Result<Self, Error> {
        let mut copy = Self::default();
        copy.merge(self)?;
        Ok(copy)
    }

    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        Ok(self.0.merge(&other.0, Palloc)?)
    }

    fn stored(&self) -> pg_sys::Datum {
        stored(&self.0)
    }

    fn from_stored(bytes: &[u8]) -> Result<Self, Error> {
        let mut state = Self::default();
        state.0.merge_stored(&View::parse(bytes)?, Palloc)?;
        Ok(state)
    }
}

/// A summary as a value of the SQL type `reco.sales_summary`.
pub fn stored(summary: &Summary<Palloc>) -> pg_sys::Datum {
    let encoded = summary.encoded();
    varlena(encoded.length(), |out| encoded.write(out))
}
