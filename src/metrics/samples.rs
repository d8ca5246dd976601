//! The functions `reco.scoring_counters()` and `reco.scoring_slots()`, which the view `reco.metrics` reads.

use super::counters::{self, Room, Slot, BOUNDS};
use crate::pg::call;
use crate::pg::row_set::RowSet;
use crate::pg::sql_function::sql_function;
use pgrx::{pg_sys, IntoDatum};

sql_function!(scoring_counters, |call| {
    RowSet::begin(call)?.put_each(counters::of_this_database(), counted)?;
    Ok(None)
});

/// model, version, calls, rows, errors, cache hits, cache misses, seconds, bounds and cumulative counts of the histogram.
fn counted(slot: &Slot) -> [Option<pg_sys::Datum>; 10] {
    let [calls, rows, errors, hits, misses] = slot.counts().map(IntoDatum::into_datum);
    let bounds: Vec<f64> = BOUNDS.iter().copied().chain([f64::INFINITY]).collect();
    [
        slot.model().into_datum(),
        slot.version().into_datum(),
        calls,
        rows,
        errors,
        hits,
        misses,
        Some(call::float(slot.seconds())),
        bounds.into_datum(),
        slot.latency().into_datum(),
    ]
}

sql_function!(scoring_slots, |call| {
    let fields = |room: Option<Room>| match room {
        Some(room) => [room.slots, room.used, room.uncounted].map(IntoDatum::into_datum),
        None => [None; 3],
    };
    RowSet::begin(call)?.put_each([counters::room()], fields)?;
    Ok(None)
});
