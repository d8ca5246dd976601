//! Rows into a table as `COPY … FROM` writes them: with its defaults, triggers, constraints and partitions, and refused where
//! it refuses. The server asks for the rows by a callback, which reads them from the object-storage process.

use super::process::{unasked, Incoming, Process};
use crate::error::{or_raise, Error};
use crate::pg::guard;
use crate::pg::relations::{self, Opened};
use lake_protocol::message::Event;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::{c_int, c_void, CString};
use std::time::{Duration, Instant};

/// The rows on their way, and what was said of them.
pub struct Source<'a> {
    process: &'a mut Process,
    /// The files that were read to their end, with their rows.
    pub loaded: Vec<(usize, u64)>,
    /// How many there are to read.
    files: usize,
    told: Instant,
    ended: bool,
}

/// How often the client is told how far it is.
const EVERY: Duration = Duration::from_secs(10);

thread_local! {
    /// What the callback reads, which has no argument for it. A trigger may begin another load, which ends before this one
    /// goes on.
    static SOURCE: Cell<*mut c_void> = const { Cell::new(std::ptr::null_mut()) };
}

impl<'a> Source<'a> {
    pub fn new(process: &'a mut Process, files: usize) -> Self {
        Self { process, loaded: Vec::new(), files, told: Instant::now(), ended: false }
    }

    /// Bytes of the rows, at least one; 0 after the last.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        while !self.ended {
            let length = self.process.read_rows(into)?;
            if length > 0 {
                return Ok(length);
            }
            match self.process.incoming()? {
                Incoming::Rows => {}
                Incoming::Event(Event::Loaded { file, rows }) => self.note(file, rows),
                Incoming::Event(Event::Finished { .. }) => self.ended = true,
                Incoming::Event(_) => return Err(unasked()),
            }
        }
        Ok(0)
    }

    fn note(&mut self, file: usize, rows: u64) {
        self.loaded.push((file, rows));
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let rows: u64 = self.loaded.iter().map(|(_, rows)| rows).sum();
            say!("{} of {} files loaded, {rows} rows", self.loaded.len(), self.files);
        }
    }
}

/// Refuses what `COPY` refuses to the caller: a table into which it may not insert, and one with row security.
pub fn check_rights(table: &Opened, columns: &[i16]) -> Result<(), Error> {
    // SAFETY: the relation is open, and the names and numbers are of its columns; Postgres raises what it refuses.
    unsafe {
        let state = range_table(table, columns);
        pg_sys::free_parsestate(state);
        let oid = (*table.relation()).rd_id;
        let security = pg_sys::check_enable_rls(oid, pg_sys::InvalidOid, false);
        match security == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 {
            false => Ok(()),
            true => Err(Error::InvalidArgument(
                format!(
                    "{} has row security, which COPY FROM does not know",
                    relations::qualified_name(oid)?
                ),
                Some("Load into a table of its own, and INSERT from there.".into()),
            )),
        }
    }
}

/// Writes the rows. Returns their number.
pub fn copy(source: &mut Source, table: &Opened, names: &[String], columns: &[i16]) -> Result<u64, Error> {
    let _encoding = Utf8::set();
    let _reading = Reading::of(source);
    let names: Vec<CString> = names
        .iter()
        .map(|name| CString::new(name.as_str()).map_err(|_| Error::invalid("a name contains a zero byte")))
        .collect::<Result<_, _>>()?;
    // SAFETY: the relation is open under the lock that COPY takes; lists and strings are allocated in the current memory
    // context, which outlives the calls. The callback reads what `Reading` holds.
    unsafe {
        let state = range_table(table, columns);
        let mut list = std::ptr::null_mut();
        for name in &names {
            list = pg_sys::lappend(list, pg_sys::makeString(pg_sys::pstrdup(name.as_ptr())).cast());
        }
        let format = pg_sys::makeString(pg_sys::pstrdup(c"binary".as_ptr()));
        let option = pg_sys::makeDefElem(pg_sys::pstrdup(c"format".as_ptr()), format.cast(), -1);
        let options = pg_sys::lappend(std::ptr::null_mut(), option.cast());
        let copying = pg_sys::BeginCopyFrom(
            state,
            table.relation(),
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
            Some(read_for_copy),
            list,
            options,
        );
        let rows = pg_sys::CopyFrom(copying);
        pg_sys::EndCopyFrom(copying);
        pg_sys::free_parsestate(state);
        Ok(rows)
    }
}

/// The range table of a statement that inserts into these columns, once the caller's rights are checked.
///
/// # Safety
/// The relation is open, and has these columns.
unsafe fn range_table(table: &Opened, columns: &[i16]) -> *mut pg_sys::ParseState {
    // SAFETY: as the caller says; Postgres raises what it refuses.
    unsafe {
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        let item = pg_sys::addRangeTableEntryForRelation(
            state,
            table.relation(),
            pg_sys::RowExclusiveLock as i32,
            std::ptr::null_mut(),
            false,
            false,
        );
        let mut inserted = std::ptr::null_mut();
        for column in columns {
            let number = i32::from(*column) - pg_sys::FirstLowInvalidHeapAttributeNumber;
            inserted = pg_sys::bms_add_member(inserted, number);
        }
        #[cfg(feature = "pg15")]
        {
            let entry = (*item).p_rte;
            (*entry).requiredPerms = pg_sys::ACL_INSERT as _;
            (*entry).insertedCols = inserted;
            pg_sys::ExecCheckRTPerms((*state).p_rtable, true);
        }
        #[cfg(not(feature = "pg15"))]
        {
            let rights = (*item).p_perminfo;
            (*rights).requiredPerms = pg_sys::ACL_INSERT as _;
            (*rights).insertedCols = inserted;
            pg_sys::ExecCheckPermissions((*state).p_rtable, (*state).p_rteperminfos, true);
        }
        state
    }
}

/// What the callback reads as long as this value lives.
struct Reading(*mut c_void);

impl Reading {
    fn of(source: &mut Source) -> Self {
        Self(SOURCE.replace(std::ptr::from_mut(source).cast()))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        SOURCE.set(self.0);
    }
}

/// COPY's callback: fills a buffer of `most` bytes from the source that is being read.
///
/// # Safety
/// `into` has room for `most` bytes, and a [`Reading`] is alive.
unsafe extern "C-unwind" fn read_for_copy(into: *mut c_void, _: c_int, most: c_int) -> c_int {
    // SAFETY: the server gives a buffer of `most` bytes. `copy` is running, so its source is alive and nobody else uses it.
    // The frames from here to the server's code own nothing.
    unsafe {
        guard::within(|| {
            let into = std::slice::from_raw_parts_mut(into.cast::<u8>(), most as usize);
            let source = &mut *SOURCE.get().cast::<Source>();
            or_raise(source.read(into)) as c_int
        })
    }
}

/// Binary COPY takes texts in the client's encoding. The process sends UTF-8, so that is the encoding while this value lives.
pub struct Utf8 {
    before: c_int,
}

impl Utf8 {
    pub fn set() -> Self {
        // SAFETY: these calls look up and set what converts texts, in a transaction.
        unsafe {
            let before = pg_sys::pg_get_client_encoding();
            let utf8 = pg_sys::pg_enc::PG_UTF8 as c_int;
            if before != utf8 && pg_sys::PrepareClientEncoding(utf8) >= 0 {
                pg_sys::SetClientEncoding(utf8);
            }
            Self { before }
        }
    }
}

impl Drop for Utf8 {
    fn drop(&mut self) {
        // SAFETY: that encoding was set before, so that it is prepared.
        unsafe { pg_sys::SetClientEncoding(self.before) };
    }
}
