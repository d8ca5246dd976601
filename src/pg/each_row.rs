//! The rows of a query that only reads, handed over one by one as the executor makes them: this is the fast way to read
//! many rows.

use crate::error::Error;
use crate::pg::cursor::Parameter;
use crate::pg::layout::Layout;
use crate::pg::open_scans::running_query;
use crate::pg::receiver::{run, Purpose, Receive};
use crate::pg::storage_age;
use crate::pg::tuples::Attributes;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;

/// Called for each row with the row's descriptor and values; `false` ends the query.
pub type Take<'a> = &'a mut dyn FnMut(pg_sys::TupleDesc, Attributes) -> Result<bool, Error>;

/// Calls `take` with the first `width` columns of every row of a query that only reads. The query runs with the rights and
/// row security of the current user, under the statement's snapshot; `parameters` are the values of $1 and so on. If `take`
/// fails the query ends and the error is returned; the same happens if the rows do not have the layout.
pub fn each_row(
    client: &SpiClient,
    query: &str,
    parameters: &[Parameter],
    (width, layout): (usize, &Layout),
    take: Take,
) -> Result<(), Error> {
    let mut rows = Rows { columns: std::ptr::null_mut(), width, layout, take };
    run(client, query, parameters, Purpose::Read, &mut rows)
}

struct Rows<'a> {
    /// The query's columns. The descriptor of a row itself may come from a part of the plan, which has no column names.
    columns: pg_sys::TupleDesc,
    width: usize,
    layout: &'a Layout,
    take: Take<'a>,
}

impl Receive for Rows<'_> {
    unsafe fn start(&mut self, columns: pg_sys::TupleDesc) -> Result<(), Error> {
        self.columns = columns;
        // SAFETY: the descriptor is live, as the caller says. The query that runs has locked its relations by now, and its
        // snapshot is active.
        unsafe {
            self.layout.check(columns)?;
            storage_age::check(running_query().map_or(Vec::new(), |query| storage_age::relations_of(query)))
        }
    }

    #[inline]
    unsafe fn row(&mut self, row: *mut pg_sys::TupleTableSlot) -> Result<bool, Error> {
        // SAFETY: the slot holds a row, as the caller says. Below, its first `width` attributes are read into its arrays if
        // they are not there yet; the arrays have room for every column.
        let attributes = unsafe {
            let width = self.width.min((*self.columns).natts as usize);
            if usize::try_from((*row).tts_nvalid).is_ok_and(|valid| valid < width) {
                pg_sys::slot_getsomeattrs_int(row, width as i32);
            }
            Attributes {
                values: std::slice::from_raw_parts((*row).tts_values, width),
                nulls: std::slice::from_raw_parts((*row).tts_isnull, width),
            }
        };
        (self.take)(self.columns, attributes)
    }
}
