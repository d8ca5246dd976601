//! Writes what a query returns into a new table, a page's rows at a time.
//!
//! `CREATE TABLE AS` inserts and logs each row by itself. Here rows are gathered as `COPY` gathers them, and the query is
//! executed as `CREATE TABLE AS` executes it, by parallel workers too.

use crate::error::Error;
use crate::pg::layout::changed;
use crate::pg::receiver::{run, Purpose, Receive};
use crate::pg::relations::{self, Opened};
use crate::pg::tuples;
use pgrx::spi::SpiClient;
use pgrx::{pg_sys, PgMemoryContexts};

/// A batch is full at so many rows or bytes, whichever comes first.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 64 * 1024;

/// Inserts the rows of `query`, whose parameters $1 and $2 are the dates given, into `table`, and shows `observe` the
/// date in each row's column `time`, counted from 1. An error of it ends the query and is returned.
///
/// The table has the query's columns, no index, no constraint and no trigger, and the transaction made it.
pub fn insert(
    client: &mut SpiClient,
    table: pg_sys::Oid,
    query: &str,
    dates: [i32; 2],
    time: i32,
    observe: &mut dyn FnMut(Option<i32>) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = Opened::locked(table, pg_sys::RowExclusiveLock)?;
    // SAFETY: the table stays open until the end of this function.
    let batch = unsafe { Batch::new(table.relation()) };
    let mut rows = Rows { batch, time, observe };
    let parameters = dates.map(|date| (pg_sys::DATEOID, Some(pg_sys::Datum::from(date))));
    run(client, query, &parameters, Purpose::Write, &mut rows)?;
    rows.batch.finish();
    Ok(())
}

struct Rows<'a> {
    batch: Batch,
    time: i32,
    observe: &'a mut dyn FnMut(Option<i32>) -> Result<(), Error>,
}

impl Receive for Rows<'_> {
    unsafe fn start(&mut self, columns: pg_sys::TupleDesc) -> Result<(), Error> {
        // SAFETY: parallel workers run by the next call, and then a command may no longer begin to write. The descriptor lives.
        unsafe {
            self.batch.command = pg_sys::GetCurrentCommandId(true);
            self.batch.check(columns)
        }
    }

    unsafe fn row(&mut self, row: *mut pg_sys::TupleTableSlot) -> Result<bool, Error> {
        let mut is_null = false;
        // SAFETY: the slot holds a row, whose column `time` is a date.
        let date = unsafe { pg_sys::slot_getattr(row, self.time, &mut is_null) };
        (self.observe)((!is_null).then(|| date.value() as i32))?;
        // SAFETY: the columns are the table's, which was checked before the first row.
        unsafe { self.batch.add(row) };
        Ok(true)
    }
}

/// Rows that are copied, but not yet in the table. After an error the transaction's abort frees what it holds.
struct Batch {
    table: pg_sys::Relation,
    command: pg_sys::CommandId,
    pages: pg_sys::BulkInsertState,
    rows: Vec<*mut pg_sys::TupleTableSlot>,
    filled: usize,
    bytes: usize,
    /// Of what the table's code leaves behind when it inserts.
    memory: PgMemoryContexts,
}

impl Batch {
    /// # Safety
    /// The table stays open until the batch is finished.
    unsafe fn new(table: pg_sys::Relation) -> Self {
        // Here and not as rows come, when the memory is the query's, which goes with it.
        // SAFETY: the table is open.
        let slot = |_| unsafe { pg_sys::table_slot_create(table, std::ptr::null_mut()) };
        Self {
            table,
            command: 0,
            // SAFETY: allocates only.
            pages: unsafe { pg_sys::GetBulkInsertState() },
            rows: (0..BATCH_ROWS).map(slot).collect(),
            filled: 0,
            bytes: 0,
            memory: PgMemoryContexts::new("rows of a new partition"),
        }
    }

    /// Refuses a query whose columns are not those that the table was made with.
    ///
    /// # Safety
    /// `columns` is a live tuple descriptor.
    unsafe fn check(&self, columns: pg_sys::TupleDesc) -> Result<(), Error> {
        // SAFETY: the table is open.
        unsafe {
            let types = |of| tuples::attributes(of).map(|(_, column)| (column.atttypid, column.atttypmod));
            match types((*self.table).rd_att).eq(types(columns)) {
                true => Ok(()),
                false => Err(changed(relations::qualified_name((*self.table).rd_id)?)),
            }
        }
    }

    /// # Safety
    /// The row is that of a query with the table's columns.
    unsafe fn add(&mut self, row: *mut pg_sys::TupleTableSlot) {
        // SAFETY: slots of the table take the row, as the caller says. The copy of a tuple is ours.
        unsafe {
            let copy = pg_sys::ExecCopySlot(self.rows[self.filled], row);
            let mut is_copy = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(copy, true, &mut is_copy);
            self.bytes += (*tuple).t_len as usize;
            if is_copy {
                pg_sys::pfree(tuple.cast());
            }
        }
        self.filled += 1;
        if self.filled == BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.write();
        }
    }

    /// Inserts the rows that the batch holds.
    fn write(&mut self) {
        let Self { table, command, pages, rows, filled, .. } = self;
        // SAFETY: the table is open, and the first `filled` slots hold rows of it.
        unsafe {
            self.memory.switch_to(|_| {
                let options = pg_sys::TABLE_INSERT_SKIP_FSM as i32;
                let count = *filled as i32;
                pg_sys::table_multi_insert(*table, rows.as_mut_ptr(), count, *command, options, *pages);
            });
            self.memory.reset();
            for row in &self.rows[..self.filled] {
                pg_sys::ExecClearTuple(*row);
            }
        }
        (self.filled, self.bytes) = (0, 0);
    }

    fn finish(mut self) {
        if self.filled > 0 {
            self.write();
        }
        // SAFETY: each made in `new`, freed once; the table is open.
        unsafe {
            for row in self.rows {
                pg_sys::ExecDropSingleTupleTableSlot(row);
            }
            pg_sys::FreeBulkInsertState(self.pages);
            pg_sys::table_finish_bulk_insert(self.table, pg_sys::TABLE_INSERT_SKIP_FSM as i32);
        }
    }
}
