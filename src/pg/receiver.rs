//! Takes the rows of a query as the executor makes them, without a copy of each.

use crate::error::Error;
use crate::pg::cursor::Parameter;
use crate::pg::guard;
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient};
use std::ffi::CString;

/// A receiver of rows. An error ends the query and is returned.
pub trait Receive {
    /// Called before the first row, when the query's relations are locked.
    ///
    /// # Safety
    /// `columns` are those of the query, and live as long as it runs.
    unsafe fn start(&mut self, columns: pg_sys::TupleDesc) -> Result<(), Error>;

    /// Called for each row; `false` ends the query.
    ///
    /// # Safety
    /// The slot holds a row of the query's columns, until the next call.
    unsafe fn row(&mut self, row: *mut pg_sys::TupleTableSlot) -> Result<bool, Error>;
}

/// What a query's execution may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The query reads, under the statement's snapshot.
    Read,
    /// The query's rows are written into a table, as those of `CREATE TABLE AS` are.
    Write,
}

/// Runs a query with the rights and row security of the current user. `parameters` are the values of $1 and so on.
pub fn run<R: Receive>(
    _: &SpiClient,
    query: &str,
    parameters: &[Parameter],
    purpose: Purpose,
    to: &mut R,
) -> Result<(), Error> {
    let query = CString::new(query).map_err(|_| Error::invalid("a name contains a zero byte"))?;
    let mydest = match purpose {
        Purpose::Read => pg_sys::CommandDest::DestNone,
        Purpose::Write => pg_sys::CommandDest::DestIntoRel,
    };
    let callbacks = pg_sys::DestReceiver {
        receiveSlot: Some(receive::<R>),
        rStartup: Some(start::<R>),
        rShutdown: Some(shut_down),
        rDestroy: Some(destroy),
        mydest,
    };
    let mut receiver = Receiver { callbacks, to, refused: None };
    // SAFETY: SPI is connected, as the client shows; the receiver and the parameters outlive the query.
    unsafe {
        let options = pg_sys::SPIExecuteOptions {
            params: list(parameters),
            read_only: purpose == Purpose::Read,
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        Spi::check_status(pg_sys::SPI_execute_extended(query.as_ptr(), &options))?;
    }
    receiver.refused.map_or(Ok(()), Err)
}

/// The parameters as the executor's list, in the current memory context.
fn list(parameters: &[Parameter]) -> pg_sys::ParamListInfo {
    // SAFETY: the list is made with room for this number of parameters.
    unsafe {
        let list = pg_sys::makeParamList(parameters.len() as i32);
        for (n, (oid, value)) in parameters.iter().enumerate() {
            *(*list).params.as_mut_ptr().add(n) = pg_sys::ParamExternData {
                value: value.unwrap_or(pg_sys::Datum::from(0)),
                isnull: value.is_none(),
                pflags: pg_sys::PARAM_FLAG_CONST as u16,
                ptype: *oid,
            };
        }
        list
    }
}

/// The receiver in memory. The executor knows its first field only, so that field comes first.
#[repr(C)]
struct Receiver<'a, R> {
    callbacks: pg_sys::DestReceiver,
    to: &'a mut R,
    refused: Option<Error>,
}

/// # Safety
/// Only the executor calls this, before the first row, with the `Receiver<R>` that it was given.
unsafe extern "C-unwind" fn start<R: Receive>(
    receiver: *mut pg_sys::DestReceiver,
    _operation: i32,
    columns: pg_sys::TupleDesc,
) {
    // SAFETY: the receiver is ours, and nobody else uses it while the query runs; the columns are the executor's. A panic
    // becomes an error of Postgres here, and the error passes over a frame that owns nothing.
    unsafe {
        guard::within(|| {
            let receiver = &mut *receiver.cast::<Receiver<R>>();
            receiver.refused = receiver.to.start(columns).err();
        })
    }
}

/// Returns `false` to end the query.
///
/// # Safety
/// Only the executor calls this, for each row, with the `Receiver<R>` that it was given.
unsafe extern "C-unwind" fn receive<R: Receive>(
    row: *mut pg_sys::TupleTableSlot,
    receiver: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: as in `start`; the slot holds a row.
    unsafe {
        guard::within(|| {
            let receiver = &mut *receiver.cast::<Receiver<R>>();
            if receiver.refused.is_some() {
                return false;
            }
            receiver.to.row(row).unwrap_or_else(|error| {
                receiver.refused = Some(error);
                false
            })
        })
    }
}

/// # Safety
/// Only the executor calls this, after the last row.
unsafe extern "C-unwind" fn shut_down(_receiver: *mut pg_sys::DestReceiver) {}

/// # Safety
/// Nobody calls this: the receiver belongs to the frame of `run`.
unsafe extern "C-unwind" fn destroy(_receiver: *mut pg_sys::DestReceiver) {}
