//! The rows of a query, read in batches with the rights and row security of the current user.

use crate::error::Error;
use crate::pg::storage_age;
use pgrx::pg_sys;
use std::ffi::CString;

/// How many rows one fetch reads at most.
const BATCH: i64 = 8192;

/// Under which snapshot a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// A new snapshot, which sees what the statement has done so far: for procedures.
    New,
    /// The statement's snapshot: for functions that only read.
    Statement,
}

/// A value for a query's parameter, with its type; `None` is NULL.
pub type Parameter = (pg_sys::Oid, Option<pg_sys::Datum>);

/// A cursor over a query, in the open SPI connection. It is closed when this value is dropped.
pub struct Cursor {
    portal: pg_sys::Portal,
}

impl Cursor {
    /// Opens the cursor. `parameters` are the values of $1 and so on.
    pub fn open(query: &str, parameters: &[Parameter], snapshot: Snapshot) -> Result<Self, Error> {
        Self::open_with(query, parameters, snapshot, pg_sys::CURSOR_OPT_NO_SCROLL)
    }

    /// Opens a cursor that can be set back to its start.
    pub fn open_for_several_passes(
        query: &str,
        parameters: &[Parameter],
        snapshot: Snapshot,
    ) -> Result<Self, Error> {
        Self::open_with(query, parameters, snapshot, pg_sys::CURSOR_OPT_SCROLL)
    }

    fn open_with(
        query: &str,
        parameters: &[Parameter],
        snapshot: Snapshot,
        options: u32,
    ) -> Result<Self, Error> {
        let query = CString::new(query).map_err(|_| Error::invalid("a name contains a zero byte"))?;
        let mut types: Vec<_> = parameters.iter().map(|(oid, _)| *oid).collect();
        let mut values: Vec<_> =
            parameters.iter().map(|(_, value)| value.unwrap_or(pg_sys::Datum::from(0))).collect();
        let nulls: String =
            parameters.iter().map(|(_, value)| if value.is_none() { 'n' } else { ' ' }).collect();
        // SAFETY: there is one type, one value and one flag for each parameter, and SPI copies them; a failure is raised as
        // an error.
        let portal = unsafe {
            pg_sys::SPI_cursor_open_with_args(
                std::ptr::null(),
                query.as_ptr(),
                types.len() as i32,
                types.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_ptr().cast(),
                snapshot == Snapshot::Statement,
                options as i32,
            )
        };
        let cursor = Self { portal };
        if snapshot == Snapshot::Statement {
            // SAFETY: a query that only reads is started when its cursor is open, and then it holds the locks on its
            // relations; the snapshot that it uses is active.
            unsafe { storage_age::check(storage_age::relations_of((*portal).queryDesc))? };
        }
        Ok(cursor)
    }

    /// The descriptor of the rows.
    pub fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the cursor is open, and its query returns rows.
        unsafe { (*self.portal).tupDesc }
    }

    /// Goes back to before the first row.
    pub fn set_back(&mut self) {
        // SAFETY: the cursor is open, and was opened so that it can be set back.
        unsafe { pg_sys::SPI_scroll_cursor_move(self.portal, pg_sys::FetchDirection::FETCH_ABSOLUTE, 0) };
    }

    /// The next rows; `None` after the last one.
    pub fn fetch(&mut self) -> Option<Fetched> {
        // SAFETY: the cursor is open. The table of tuples is freed when `Fetched` is dropped.
        unsafe {
            pg_sys::SPI_cursor_fetch(self.portal, true, BATCH as _);
            let fetched = Fetched { table: pg_sys::SPI_tuptable, rows: pg_sys::SPI_processed as usize };
            (fetched.rows > 0).then_some(fetched)
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // After an error, the abort of the transaction closes the cursor.
        if !std::thread::panicking() {
            // SAFETY: the portal was opened in `open` and is closed once.
            unsafe { pg_sys::SPI_cursor_close(self.portal) };
        }
    }
}

/// Rows that were fetched together.
pub struct Fetched {
    table: *mut pg_sys::SPITupleTable,
    rows: usize,
}

impl Fetched {
    pub fn len(&self) -> usize {
        self.rows
    }

    /// # Safety
    /// `n` is less than `len`.
    pub unsafe fn tuple(&self, n: usize) -> pg_sys::HeapTuple {
        // SAFETY: the table lives as long as `self`, and has more than `n` rows, as the caller says.
        unsafe { *(*self.table).vals.add(n) }
    }

    pub fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the table, with its descriptor, lives as long as `self`.
        unsafe { (*self.table).tupdesc }
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the table is the one that the fetch made, and it is freed once.
            unsafe { pg_sys::SPI_freetuptable(self.table) };
        }
    }
}
