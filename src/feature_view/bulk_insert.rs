//! Writes what a query returns into a new table, a page's rows at a time.
//!
//! `CREATE TABLE AS` inserts and logs each row by itself. Here rows are gathered as `COPY` gathers them, and the query is
//! executed as `CREATE TABLE AS` executes it, by parallel workers too.

use crate::error::Error;
use crate::pg::layout::changed;
use crate::pg::relations::{self, Opened};
use crate::pg::tuples;
use pgrx::spi::{Spi, SpiClient};
use pgrx::{pg_guard, pg_sys, PgMemoryContexts};
use std::ffi::CString;

/// A batch is full at so many rows or bytes, whichever comes first.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 64 * 1024;

/// Inserts the rows of `query`, whose parameters $1 and $2 are the dates given, into `table`, and shows `observe` the
/// date in each row's column `time`, counted from 1. An error of it ends the query and is returned.
///
/// The table has the query's columns, no index, no constraint and no trigger, and the transaction made it.
pub fn insert(
    _: &mut SpiClient,
    table: pg_sys::Oid,
    query: &str,
    dates: [i32; 2],
    time: i32,
    observe: &mut dyn FnMut(Option<i32>) -> Result<(), Error>,
) -> Result<(), Error> {
    let query = CString::new(query).map_err(|_| Error::invalid("a query contains a zero byte"))?;
    // SAFETY: SPI is connected, as the client shows; the receiver outlives the query, and the table is locked by the
    // transaction that made it.
    unsafe {
        let table = Opened::locked(table, pg_sys::RowExclusiveLock)?;
        let mut receiver = Receiver::new(Batch::new(table.relation()), time, observe);
        let options = pg_sys::SPIExecuteOptions {
            params: parameters(dates),
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        Spi::check_status(pg_sys::SPI_execute_extended(query.as_ptr(), &options))?;
        let Receiver { batch, refused, .. } = receiver;
        batch.finish();
        refused.map_or(Ok(()), Err)
    }
}

/// # Safety
/// The memory context lives as long as the query.
unsafe fn parameters(dates: [i32; 2]) -> pg_sys::ParamListInfo {
    let list = pg_sys::makeParamList(dates.len() as i32);
    for (n, date) in dates.into_iter().enumerate() {
        *(*list).params.as_mut_ptr().add(n) = pg_sys::ParamExternData {
            value: pg_sys::Datum::from(date),
            isnull: false,
            pflags: pg_sys::PARAM_FLAG_CONST as u16,
            ptype: pg_sys::DATEOID,
        };
    }
    list
}

/// Where the executor sends rows. It knows the first field only.
#[repr(C)]
struct Receiver<'a> {
    callbacks: pg_sys::DestReceiver,
    batch: Batch,
    time: i32,
    observe: &'a mut dyn FnMut(Option<i32>) -> Result<(), Error>,
    refused: Option<Error>,
}

impl<'a> Receiver<'a> {
    fn new(batch: Batch, time: i32, observe: &'a mut dyn FnMut(Option<i32>) -> Result<(), Error>) -> Self {
        let callbacks = pg_sys::DestReceiver {
            receiveSlot: Some(receive),
            rStartup: Some(start),
            rShutdown: Some(shut_down),
            rDestroy: Some(destroy),
            mydest: pg_sys::CommandDest::DestIntoRel,
        };
        Self { callbacks, batch, time, observe, refused: None }
    }
}

/// # Safety
/// Called by the executor, with a `Receiver`, before the first row.
#[pg_guard]
unsafe extern "C-unwind" fn start(
    receiver: *mut pg_sys::DestReceiver,
    _operation: i32,
    columns: pg_sys::TupleDesc,
) {
    let receiver = &mut *receiver.cast::<Receiver>();
    // Parallel workers run by the next call, and then a command may no longer begin to write.
    receiver.batch.command = pg_sys::GetCurrentCommandId(true);
    receiver.refused = receiver.batch.check(columns).err();
}

/// False ends the query.
///
/// # Safety
/// Called by the executor, with a `Receiver`, for each row.
#[pg_guard]
unsafe extern "C-unwind" fn receive(
    row: *mut pg_sys::TupleTableSlot,
    receiver: *mut pg_sys::DestReceiver,
) -> bool {
    let receiver = &mut *receiver.cast::<Receiver>();
    if receiver.refused.is_some() {
        return false;
    }
    let mut is_null = false;
    let date = pg_sys::slot_getattr(row, receiver.time, &mut is_null);
    match (receiver.observe)((!is_null).then(|| date.value() as i32)) {
        Ok(()) => receiver.batch.add(row),
        Err(error) => receiver.refused = Some(error),
    }
    receiver.refused.is_none()
}

/// # Safety
/// Called by the executor after the last row.
#[pg_guard]
unsafe extern "C-unwind" fn shut_down(_receiver: *mut pg_sys::DestReceiver) {}

/// # Safety
/// Called by nobody: the receiver is the caller's.
#[pg_guard]
unsafe extern "C-unwind" fn destroy(_receiver: *mut pg_sys::DestReceiver) {}

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
        Self {
            table,
            command: 0,
            pages: pg_sys::GetBulkInsertState(),
            // Here and not as rows come, when the memory is the query's, which goes with it.
            rows: (0..BATCH_ROWS).map(|_| pg_sys::table_slot_create(table, std::ptr::null_mut())).collect(),
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
        let copy = pg_sys::ExecCopySlot(self.rows[self.filled], row);
        let mut is_copy = false;
        let tuple = pg_sys::ExecFetchSlotHeapTuple(copy, true, &mut is_copy);
        self.bytes += (*tuple).t_len as usize;
        if is_copy {
            pg_sys::pfree(tuple.cast());
        }
        self.filled += 1;
        if self.filled == BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.write();
        }
    }

    /// # Safety
    /// As for `add`.
    unsafe fn write(&mut self) {
        let Self { table, command, pages, rows, filled, .. } = self;
        self.memory.switch_to(|_| {
            let options = pg_sys::TABLE_INSERT_SKIP_FSM as i32;
            pg_sys::table_multi_insert(*table, rows.as_mut_ptr(), *filled as i32, *command, options, *pages);
        });
        self.memory.reset();
        for row in &self.rows[..self.filled] {
            pg_sys::ExecClearTuple(*row);
        }
        (self.filled, self.bytes) = (0, 0);
    }

    /// # Safety
    /// As for `add`.
    unsafe fn finish(mut self) {
        if self.filled > 0 {
            self.write();
        }
        for row in self.rows {
            pg_sys::ExecDropSingleTupleTableSlot(row);
        }
        pg_sys::FreeBulkInsertState(self.pages);
        pg_sys::table_finish_bulk_insert(self.table, pg_sys::TABLE_INSERT_SKIP_FSM as i32);
    }
}
