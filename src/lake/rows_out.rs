//! Rows of a query as the object-storage process reads them: each value as its type sends it.

use super::process::Process;
use crate::error::Error;
use crate::pg::cursor::Fetched;
use crate::pg::memory::in_context;
use crate::pg::tuples::Deformed;
use lake_protocol::frame::{LONGEST_ROWS, ROWS};
use pgrx::{pg_sys, PgMemoryContexts};

/// How many bytes of rows are sent at a time.
const PIECE: usize = 256 << 10;

pub struct RowsOut {
    /// The send function of each column.
    senders: Vec<pg_sys::FmgrInfo>,
    deformed: Deformed,
    waiting: Vec<u8>,
    memory: PgMemoryContexts,
}

impl RowsOut {
    pub fn new(types: impl Iterator<Item = pg_sys::Oid>) -> Self {
        let sender = |type_oid| {
            let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
            let mut info = pg_sys::FmgrInfo::default();
            // SAFETY: these are look-ups of a type and its function, which is raised as an error where there is none. The
            // current memory context outlives the rows.
            unsafe {
                pg_sys::getTypeBinaryOutputInfo(type_oid, &mut function, &mut is_varlena);
                pg_sys::fmgr_info(function, &mut info);
            }
            info
        };
        let senders = types.map(sender).collect();
        let memory = PgMemoryContexts::new("pg_recommend rows for files");
        Self { senders, deformed: Deformed::default(), waiting: Vec::with_capacity(2 * PIECE), memory }
    }

    pub fn send(&mut self, rows: &Fetched, process: &mut Process) -> Result<(), Error> {
        for n in 0..rows.len() {
            // SAFETY: the row is one of the batch, which has this descriptor.
            unsafe { self.append(rows.tuple(n), rows.descriptor())? };
            if self.waiting.len() >= PIECE {
                self.flush(process)?;
            }
        }
        Ok(())
    }

    /// # Safety
    /// The tuple is live and has this descriptor, whose columns have the types that were given.
    unsafe fn append(
        &mut self,
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
    ) -> Result<(), Error> {
        let began = self.waiting.len();
        let Self { senders, deformed, waiting, memory } = self;
        // SAFETY: as the caller says. What a send function returns is a varlena in the current memory context, which is reset
        // after its bytes are copied.
        unsafe {
            let row = deformed.take_apart(tuple, descriptor);
            in_context(memory.value(), || {
                for ((sender, value), is_null) in senders.iter_mut().zip(row.values).zip(row.nulls) {
                    if *is_null {
                        waiting.extend_from_slice(&(-1_i32).to_be_bytes());
                        continue;
                    }
                    let sent = pg_sys::SendFunctionCall(sender, *value);
                    let bytes = pgrx::varlena::varlena_to_byte_slice(sent.cast());
                    waiting.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                    waiting.extend_from_slice(bytes);
                }
            });
            memory.reset();
        }
        match waiting.len() - began > LONGEST_ROWS {
            false => Ok(()),
            true => Err(Error::Limit {
                message: "a row has more than a gigabyte".into(),
                hint: "Leave its largest column out.".into(),
            }),
        }
    }

    /// Sends the rows that wait.
    pub fn flush(&mut self, process: &mut Process) -> Result<(), Error> {
        if !self.waiting.is_empty() {
            process.send(ROWS, &self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}
