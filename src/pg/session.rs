//! The transactions of a procedure. Where the caller allows it, the procedure commits between its steps; otherwise (inside
//! BEGIN, or called from a function) it is one step of the caller's transaction.

use crate::error::Error;
use crate::pg::call::Call;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::{PgSqlErrorCode, PgTryBuilder};
use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

/// Refuses the command in a read-only transaction and on a standby, with Postgres's own error.
pub fn refuse_read_only(command: &CStr) {
    // SAFETY: the name is NUL-terminated; both calls only raise an error or return.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(command.as_ptr());
        pg_sys::PreventCommandDuringRecovery(command.as_ptr());
    }
}

/// The procedure's SPI connection, which lasts as long as the procedure runs.
pub struct Session {
    atomic: bool,
}

impl Session {
    /// Opens the connection for the procedure that runs.
    pub fn begin(call: &Call) -> Self {
        // SAFETY: the call is running; its context node says whether it is a CALL, and whether that CALL is atomic.
        unsafe {
            let context = (*call.info()).context;
            let is_call = !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_CallContext;
            let atomic = !is_call || (*context.cast::<pg_sys::CallContext>()).atomic;
            let options = if atomic { 0 } else { pg_sys::SPI_OPT_NONATOMIC };
            pg_sys::SPI_connect_ext(options as i32);
            Self { atomic }
        }
    }

    /// Whether the whole procedure runs in the caller's transaction.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Commits and begins the next transaction, so that others see what was done and no snapshot is held. In an atomic
    /// session it does nothing.
    pub fn commit(&self) {
        if self.atomic {
            return;
        }
        // SAFETY: the connection is non-atomic, and it is the topmost one.
        unsafe { pg_sys::SPI_commit() };
    }

    /// Runs a step that uses the database. If the step fails, its changes are rolled back and the procedure can go on, so
    /// that it can record the failure. In an atomic session nothing could be recorded, so an error of Postgres is not
    /// caught there.
    pub fn attempt<T>(&self, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
        if self.atomic {
            return step().map_err(Failure::Ours);
        }
        in_savepoint(step)
    }

    /// Calls `record`, which writes down how the procedure failed, and raises the error.
    pub fn record_and_raise(&self, failure: Failure, record: impl FnOnce(&Failure)) -> ! {
        self.record(|| record(&failure));
        self.raise(failure)
    }

    /// Calls `record`, which writes down a failure. In an atomic session nothing is written, because the abort would take
    /// it back.
    pub fn record(&self, record: impl FnOnce()) {
        if !self.atomic {
            // A cancel that waits to be raised must not interrupt the recording of it.
            let _held = HeldInterrupts::new();
            record();
        }
    }

    /// Raises a failure that is recorded, or the cancel that caused it.
    pub fn raise(&self, failure: Failure) -> ! {
        pgrx::check_for_interrupts!();
        failure.raise()
    }

    /// Closes the connection. After an error the abort of the transaction closes it.
    pub fn end(self) {
        // SAFETY: the connection was opened in `begin`, and `self` is consumed, so it is closed once.
        unsafe { pg_sys::SPI_finish() };
    }
}

/// Runs a step in a savepoint, and takes back what it has done if it fails. Not in a parallel query, which has none.
pub fn in_savepoint<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
    let (mut step, mut value) = (Some(step), None);
    step_in_savepoint(&mut || {
        value = step.take().map(|step| step()).transpose()?;
        Ok(())
    })?;
    Ok(value.expect("the step was taken"))
}

/// The function is not generic, so that the library holds one copy of it and not one for each step: every backend would
/// have to load them all.
fn step_in_savepoint(step: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Failure> {
    // SAFETY: the subtransaction is ended on both ways out, and the memory context and the resource owner are set back
    // to those from before.
    unsafe {
        // The next commit drops this snapshot, so a procedure that waits holds none.
        pg_sys::EnsurePortalSnapshotExists();
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = catch(|| {
            step().map_err(Failure::Ours)?;
            // A cancel that was held back while a message was sent is raised here, where the failure is recorded.
            pgrx::check_for_interrupts!();
            Ok(())
        });
        pg_sys::MemoryContextSwitchTo(context);
        match &result {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Why a step failed: with an error of ours, or with one that Postgres raised.
pub enum Failure {
    Ours(Error),
    Postgres(Box<CaughtError>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Failure {
    pub fn is_cancel(&self) -> bool {
        match self {
            Self::Ours(error) => matches!(error, Error::Interrupted),
            Self::Postgres(error) => matches!(
                report(error).sql_error_code(),
                PgSqlErrorCode::ERRCODE_QUERY_CANCELED | PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN
            ),
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::Ours(error) => error.message(),
            Self::Postgres(error) => report(error).message().to_owned(),
        }
    }

    /// The error's SQLSTATE, as five characters.
    pub fn sqlstate(&self) -> String {
        let code = match self {
            Self::Ours(error) => error.code(),
            Self::Postgres(error) => report(error).sql_error_code(),
        };
        // Five letters or digits of six bits each, counted from the digit zero.
        (0..5).map(|n| char::from(((code as i32 >> (6 * n)) & 0x3F) as u8 + b'0')).collect()
    }

    pub fn raise(self) -> ! {
        match self {
            Self::Ours(error) => error.raise(),
            Self::Postgres(error) => error.rethrow(),
        }
    }
}

fn report(error: &CaughtError) -> &ErrorReportWithLevel {
    match error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report,
    }
}

/// Runs `step` and catches the error or the panic that it raises.
pub fn catch<T>(step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    PgTryBuilder::new(AssertUnwindSafe(step))
        .catch_others(|error| Err(Failure::Postgres(Box::new(error))))
        .catch_rust_panic(|error| Err(Failure::Postgres(Box::new(error))))
        .execute()
}

/// Runs code in which a cancel would be raised where nobody records it: the cancel waits for the end of the step, or for
/// the next time that the procedure looks at the trainer. A shutdown does not wait; the lock that says that a run is alive
/// goes with the process.
pub fn between_steps<T>(run: impl FnOnce() -> T) -> T {
    let _held = HeldCancel::new();
    run()
}

/// A cancel waits as long as this value lives.
struct HeldCancel;

impl HeldCancel {
    fn new() -> Self {
        // SAFETY: this is a counter of this process, which has one thread.
        unsafe { pg_sys::QueryCancelHoldoffCount += 1 };
        Self
    }
}

impl Drop for HeldCancel {
    fn drop(&mut self) {
        // SAFETY: as in `new`. An error meanwhile may have set the counter to zero.
        unsafe { pg_sys::QueryCancelHoldoffCount = pg_sys::QueryCancelHoldoffCount.saturating_sub(1) };
    }
}

/// A cancel and a shutdown wait as long as this value lives.
struct HeldInterrupts;

impl HeldInterrupts {
    fn new() -> Self {
        // SAFETY: this is a counter of this process, which has one thread.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        Self
    }
}

impl Drop for HeldInterrupts {
    fn drop(&mut self) {
        // SAFETY: as in `new`. An error meanwhile may have set the counter to zero.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}
