//! Writes rows into a new table, in batches: those of a query, or others.
//!
//! `CREATE TABLE AS` inserts each row by itself and writes a WAL record for it. This file gathers rows as `COPY` does, and
//! inserts a batch at a time. The query is executed as `CREATE TABLE AS` executes it, so parallel workers can run it.

use crate::error::Error;
use crate::pg::layout::changed;
use crate::pg::named_rows::Take;
use crate::pg::receiver::{run, Purpose, Receive};
use crate::pg::relations::{self, Opened};
use crate::pg::tuples;
use pgrx::spi::SpiClient;
use pgrx::{pg_sys, PgMemoryContexts};

/// A batch is full at this number of rows or bytes, whichever comes first.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 64 * 1024;

/// Inserts the rows of `query` into `table`. `dates` are the query's parameters $1 and $2. For each row `observe` gets the
/// date in the column `time`, whose number counts from 1; if it fails the query ends and the error is returned.
///
/// The table has the columns of the query, and no index, constraint or trigger. The current transaction has made it.
pub fn insert(
    client: &mut SpiClient,
    table: pg_sys::Oid,
    query: &str,
    dates: [i32; 2],
    time: i32,
    observe: &mut dyn FnMut(Option<i32>) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = Opened::locked(table, pg_sys::RowExclusiveLock)?;
    // SAFETY: the table stays open until the end of this function, and the batch is finished before.
    let batch = unsafe { Batch::new(table.relation()) };
    let mut rows = Rows { batch, time, observe };
    let parameters = dates.map(|date| (pg_sys::DATEOID, Some(pg_sys::Datum::from(date))));
    run(client, query, &parameters, Purpose::Write, &mut rows)?;
    rows.batch.finish();
    Ok(())
}

/// Inserts rows that `make` makes for a table with this descriptor. The table is as [`insert`] wants it.
pub fn insert_made(
    table: pg_sys::Oid,
    make: impl FnOnce(pg_sys::TupleDesc, Take) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = Opened::locked(table, pg_sys::RowExclusiveLock)?;
    // SAFETY: the table stays open until the end of this function, and the batch is finished before. A transaction is open.
    let mut batch =
        unsafe { Batch { command: pg_sys::GetCurrentCommandId(true), ..Batch::new(table.relation()) } };
    // SAFETY: the rows are made for the table.
    make(table.descriptor(), &mut |values, nulls| unsafe { batch.add_values(values, nulls) })?;
    batch.finish();
    Ok(())
}

struct Rows<'a> {
    batch: Batch,
    time: i32,
    observe: &'a mut dyn FnMut(Option<i32>) -> Result<(), Error>,
}

impl Receive for Rows<'_> {
    unsafe fn start(&mut self, columns: pg_sys::TupleDesc) -> Result<(), Error> {
        // SAFETY: the descriptor is live, as the caller says. The command is marked as one that writes before parallel
        // workers run, because Postgres forbids it while they do.
        unsafe {
            self.batch.command = pg_sys::GetCurrentCommandId(true);
            self.batch.check(columns)
        }
    }

    unsafe fn row(&mut self, row: *mut pg_sys::TupleTableSlot) -> Result<bool, Error> {
        let mut is_null = false;
        // SAFETY: the slot holds a row, as the caller says. Its column `time` is a date: the time column of every feature
        // view is one, and `check` has compared the query's columns with the table's.
        let date = unsafe { pg_sys::slot_getattr(row, self.time, &mut is_null) };
        (self.observe)((!is_null).then(|| date.value() as i32))?;
        // SAFETY: `check` has compared the columns with the table's before the first row.
        unsafe { self.batch.add(row) };
        Ok(true)
    }
}

/// Rows that are copied, but are not in the table yet. After an error the abort of the transaction frees what the batch
/// holds.
struct Batch {
    table: pg_sys::Relation,
    command: pg_sys::CommandId,
    pages: pg_sys::BulkInsertState,
    rows: Vec<*mut pg_sys::TupleTableSlot>,
    filled: usize,
    bytes: usize,
    /// The memory context for what the table access method allocates while it inserts.
    memory: PgMemoryContexts,
}

impl Batch {
    /// # Safety
    /// The table stays open until the batch is finished.
    unsafe fn new(table: pg_sys::Relation) -> Self {
        // The slots are made here and not when the rows come: then the current memory context would be the query's, and
        // would end with it.
        // SAFETY: the table is open, as the caller says.
        let slot = |_| unsafe { pg_sys::table_slot_create(table, std::ptr::null_mut()) };
        Self {
            table,
            command: 0,
            // SAFETY: the call only allocates.
            pages: unsafe { pg_sys::GetBulkInsertState() },
            rows: (0..BATCH_ROWS).map(slot).collect(),
            filled: 0,
            bytes: 0,
            memory: PgMemoryContexts::new("rows of a new partition"),
        }
    }

    /// Refuses a query whose columns differ from those of the table.
    ///
    /// # Safety
    /// `columns` is a live tuple descriptor.
    unsafe fn check(&self, columns: pg_sys::TupleDesc) -> Result<(), Error> {
        // SAFETY: the table is open and `columns` is live, as the callers say.
        unsafe {
            let types = |of| tuples::attributes(of).map(|(_, column)| (column.atttypid, column.atttypmod));
            match types((*self.table).rd_att).eq(types(columns)) {
                true => Ok(()),
                false => Err(changed(relations::qualified_name((*self.table).rd_id)?)),
            }
        }
    }

    /// # Safety
    /// `row` comes from a query whose columns are the table's.
    unsafe fn add(&mut self, row: *mut pg_sys::TupleTableSlot) {
        // SAFETY: the slots have the table's columns, and so has the row, as the caller says.
        unsafe {
            let copy = pg_sys::ExecCopySlot(self.rows[self.filled], row);
            self.take(copy);
        }
    }

    /// # Safety
    /// There is a value and a flag for each attribute of the table, of its type.
    unsafe fn add_values(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) {
        // SAFETY: the slot is empty, and has room for an array of each as long as the table has attributes, as the caller says.
        unsafe {
            let slot = self.rows[self.filled];
            std::ptr::copy_nonoverlapping(values.as_ptr(), (*slot).tts_values, values.len());
            std::ptr::copy_nonoverlapping(nulls.as_ptr(), (*slot).tts_isnull, nulls.len());
            pg_sys::ExecStoreVirtualTuple(slot);
            self.take(slot);
        }
    }

    /// Takes the row in the next slot into the batch. From then on the slot has a copy of its own.
    ///
    /// # Safety
    /// The slot is the first that is not filled yet, and holds a row.
    unsafe fn take(&mut self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: the slot holds a row, as the caller says. If the tuple is a copy, it is ours to free.
        unsafe {
            let mut is_copy = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, true, &mut is_copy);
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

    /// Inserts the rows that the batch holds, and empties the batch.
    fn write(&mut self) {
        let Self { table, command, pages, rows, filled, .. } = self;
        // SAFETY: the table is open, and the first `filled` slots hold rows for it.
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
        // SAFETY: all of these were made in `new` and are freed once; the table is open.
        unsafe {
            for row in self.rows {
                pg_sys::ExecDropSingleTupleTableSlot(row);
            }
            pg_sys::FreeBulkInsertState(self.pages);
            pg_sys::table_finish_bulk_insert(self.table, pg_sys::TABLE_INSERT_SKIP_FSM as i32);
        }
    }
}
