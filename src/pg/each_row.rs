//! The rows of a query as the executor makes them, without a copy of each: for reading many of them.

use crate::error::Error;
use crate::pg::cursor::Parameter;
use crate::pg::layout::Layout;
use crate::pg::open_scans::running_query;
use crate::pg::storage_age;
use crate::pg::tuples::Attributes;
use pgrx::spi::{Spi, SpiClient};
use pgrx::{pg_guard, pg_sys};
use std::ffi::CString;

/// What is done with a row, of which it gets the descriptor and the values; `false` ends the query.
pub type Take<'a> = &'a mut dyn FnMut(pg_sys::TupleDesc, Attributes) -> Result<bool, Error>;

/// Shows `take` the first `width` columns of every row of a query that only reads, with the rights and row security of the
/// current user and under the statement's snapshot. An error of `take` ends the query and is returned, and so is that for rows
/// which are not of this layout. `parameters` are the values of $1 and so on.
pub fn each_row(
    _: &SpiClient,
    query: &str,
    parameters: &[Parameter],
    (width, layout): (usize, &Layout),
    take: Take,
) -> Result<(), Error> {
    let query = CString::new(query).map_err(|_| Error::invalid("a name contains a zero byte"))?;
    // SAFETY: SPI is connected, as the client shows; the receiver outlives the query.
    unsafe {
        let mut receiver = Receiver::new(width, layout, take);
        let options = pg_sys::SPIExecuteOptions {
            params: list(parameters),
            read_only: true,
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        Spi::check_status(pg_sys::SPI_execute_extended(query.as_ptr(), &options))?;
        receiver.refused.map_or(Ok(()), Err)
    }
}

/// # Safety
/// The memory context lives as long as the query.
unsafe fn list(parameters: &[Parameter]) -> pg_sys::ParamListInfo {
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

/// Where the executor sends rows. It knows the first field only.
#[repr(C)]
struct Receiver<'a> {
    callbacks: pg_sys::DestReceiver,
    /// The query's columns. A row's own descriptor may be that of a part of the plan, which has no names.
    columns: pg_sys::TupleDesc,
    width: usize,
    layout: &'a Layout,
    take: Take<'a>,
    refused: Option<Error>,
}

impl<'a> Receiver<'a> {
    fn new(width: usize, layout: &'a Layout, take: Take<'a>) -> Self {
        let callbacks = pg_sys::DestReceiver {
            receiveSlot: Some(receive),
            rStartup: Some(start),
            rShutdown: Some(shut_down),
            rDestroy: Some(destroy),
            mydest: pg_sys::CommandDest::DestNone,
        };
        Self { callbacks, columns: std::ptr::null_mut(), width, layout, take, refused: None }
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
    // SAFETY: the executor's own, and ours.
    unsafe {
        let receiver = &mut *receiver.cast::<Receiver>();
        receiver.columns = columns;
        // By now the query's relations are locked.
        let as_expected = receiver.layout.check(columns);
        let in_place = || {
            storage_age::check(running_query().map_or(Vec::new(), |query| storage_age::relations_of(query)))
        };
        receiver.refused = as_expected.and_then(|()| in_place()).err();
    }
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
    let width = receiver.width.min((*receiver.columns).natts as usize);
    if usize::try_from((*row).tts_nvalid).is_ok_and(|valid| valid < width) {
        pg_sys::slot_getsomeattrs_int(row, width as i32);
    }
    let attributes = Attributes {
        values: std::slice::from_raw_parts((*row).tts_values, width),
        nulls: std::slice::from_raw_parts((*row).tts_isnull, width),
    };
    match (receiver.take)(receiver.columns, attributes) {
        Ok(more) => more,
        Err(error) => {
            receiver.refused = Some(error);
            false
        }
    }
}

/// # Safety
/// Called by the executor after the last row.
#[pg_guard]
unsafe extern "C-unwind" fn shut_down(_receiver: *mut pg_sys::DestReceiver) {}

/// # Safety
/// Called by nobody: the receiver is the caller's.
#[pg_guard]
unsafe extern "C-unwind" fn destroy(_receiver: *mut pg_sys::DestReceiver) {}
