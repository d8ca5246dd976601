//! The window function `reco.trailing_weeks(sales, week, weeks)`. An aggregate over a moving frame would start anew for
//! each row; this function moves its window on, and several of its windows need only one pass over the rows.

use super::sales_summary::stored;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::guard;
use crate::pg::memory::{bytes, in_context, keep, Palloc};
use crate::pg::sql_function::{sql_function, Returned};
use features::trailing::Trailing;
use features::weeks::{Week, MOST_WEEKS_TRAILING};
use pgrx::pg_sys;
use std::ffi::{c_int, c_void};

sql_function!(trailing_weeks, trailing);

// These are declared in windowapi.h. pgrx has no bindings for them; they are the same in every version of PostgreSQL that
// we support.
extern "C-unwind" {
    fn WinGetPartitionLocalMemory(window: *mut pg_sys::Node, size: usize) -> *mut c_void;
    fn WinGetFuncArgCurrent(window: *mut pg_sys::Node, argument: c_int, is_null: *mut bool) -> pg_sys::Datum;
}

/// What the function keeps for the rows of one partition. Postgres zeroes it at the beginning of the partition, and all
/// that it owns is in the partition's memory.
struct Partition {
    window: *mut Trailing<Palloc>,
}

/// (sales summary, date, integer)
fn trailing(call: &Call) -> Returned {
    // SAFETY: the call is running, and every node begins with its tag.
    let window = unsafe {
        let window = (*call.info()).context;
        (!window.is_null() && (*window).type_ == pg_sys::NodeTag::T_WindowObjectData).then_some(window)
    };
    let window = window.ok_or_else(|| Error::invalid("trailing_weeks is a window function"))?;
    let current = |n| {
        let mut is_null = false;
        // SAFETY: the window object belongs to the running call, whose SQL declares more than n arguments.
        let value = unsafe { guard::call(|| WinGetFuncArgCurrent(window, n, &mut is_null)) };
        (!is_null).then_some(value)
    };
    let (Some(day), Some(weeks)) = (current(1), current(2)) else {
        return Err(Error::invalid("trailing_weeks needs a week and a number of weeks"));
    };
    let weeks = weeks.value() as i32;
    if !(1..=MOST_WEEKS_TRAILING).contains(&weeks) {
        return Err(Error::invalid(format!("a window has 1 to {MOST_WEEKS_TRAILING} weeks, not {weeks}")));
    }
    let size = std::mem::size_of::<Partition>();
    // SAFETY: the window object belongs to the running call, and nobody else asks it for memory. The memory was zeroed, and
    // it stays in place as long as the partition is read; so does the window in it, which only this call uses now. Argument
    // 0 is a sales summary, which is a varlena.
    let summary = unsafe {
        let partition = guard::call(|| WinGetPartitionLocalMemory(window, size)).cast::<Partition>();
        let sales = current(0).map(|datum| bytes(datum));
        in_context(pg_sys::GetMemoryChunkContext(partition.cast()), || {
            if (*partition).window.is_null() {
                (*partition).window = keep(Trailing::new_in(Palloc));
            }
            (*(*partition).window).advance(Week::of_day(day.value() as i32), sales, weeks)
        })?;
        (*(*partition).window).summary(Palloc)?
    };
    Ok(summary.map(|summary| stored(&summary)))
}
