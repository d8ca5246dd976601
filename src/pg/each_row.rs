//! The rows of a query that only reads, one by one: for reading many of them.

use crate::error::Error;
use crate::pg::cursor::Parameter;
use crate::pg::layout::Layout;
use crate::pg::open_scans::running_query;
use crate::pg::receiver::{run, Purpose, Receive};
use crate::pg::storage_age;
use crate::pg::tuples::Attributes;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;

/// What is done with a row, of which it gets the descriptor and the values; `false` ends the query.
pub type Take<'a> = &'a mut dyn FnMut(pg_sys::TupleDesc, Attributes) -> Result<bool, Error>;

/// Shows `take` the first `width` columns of every row of a query that only reads, with the rights and row security of the
/// current user and under the statement's snapshot. An error of `take` ends the query and is returned, and so is that for rows
/// which are not of this layout. `parameters` are the values of $1 and so on.
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
    /// The query's columns. A row's own descriptor may be that of a part of the plan, which has no names.
    columns: pg_sys::TupleDesc,
    width: usize,
    layout: &'a Layout,
    take: Take<'a>,
}

impl Receive for Rows<'_> {
    unsafe fn start(&mut self, columns: pg_sys::TupleDesc) -> Result<(), Error> {
        self.columns = columns;
        // SAFETY: the descriptor lives, and the query that runs has locked its relations by now.
        unsafe {
            self.layout.check(columns)?;
            storage_age::check(running_query().map_or(Vec::new(), |query| storage_age::relations_of(query)))
        }
    }

    #[inline]
    unsafe fn row(&mut self, row: *mut pg_sys::TupleTableSlot) -> Result<bool, Error> {
        // SAFETY: the slot holds a row; it has as many values and flags as it has columns, those below `width` read by now.
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
