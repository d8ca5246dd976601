//! Transactions of a procedure: it commits between its steps where the caller allows it, and is one step of the
//! caller's transaction otherwise (inside BEGIN, or called from a function).

use crate::error::Error;
use crate::pg::call::Call;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::{PgSqlErrorCode, PgTryBuilder};
use std::ffi::CStr;
use std::panic::AssertUnwindSafe;

/// Refuses where nothing may be written, in Postgres's words.
pub fn refuse_read_only(command: &CStr) {
    // SAFETY: a NUL-terminated name; both raise an error.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(command.as_ptr());
        pg_sys::PreventCommandDuringRecovery(command.as_ptr());
    }
}

/// The procedure's connection to SPI, for its length.
pub struct Session {
    atomic: bool,
}

impl Session {
    /// Of the procedure that runs.
    pub fn begin(call: &Call) -> Self {
        // SAFETY: the call is running; its context says whether it is a CALL, and of which kind.
        unsafe {
            let context = (*call.info()).context;
            let is_call = !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_CallContext;
            let atomic = !is_call || (*context.cast::<pg_sys::CallContext>()).atomic;
            let options = if atomic { 0 } else { pg_sys::SPI_OPT_NONATOMIC };
            pg_sys::SPI_connect_ext(options as i32);
            Self { atomic }
        }
    }

    /// Whether all happens in the caller's transaction.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// Ends the transaction, so that others see what was done and no snapshot is held, and begins the next.
    pub fn commit(&self) {
        if self.atomic {
            return;
        }
        // SAFETY: the connection is non-atomic and the topmost one.
        unsafe { pg_sys::SPI_commit() };
    }

    /// Runs a step that uses the database. If it fails, all it did is undone and the procedure can go on, to record
    /// the failure. In the caller's transaction there is nothing to go on for: errors of Postgres take their way.
    pub fn attempt<T>(&self, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
        if self.atomic {
            return step().map_err(Failure::Ours);
        }
        let (mut step, mut value) = (Some(step), None);
        self.attempt_to(&mut || {
            value = step.take().map(|step| step()).transpose()?;
            Ok(())
        })?;
        Ok(value.expect("the step was taken"))
    }

    /// Not generic: of this much code there is one copy and not one for each step, which a backend would have to load.
    fn attempt_to(&self, step: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Failure> {
        // SAFETY: the subtransaction is ended on both ways out, and context and owner are those from before.
        unsafe {
            // It goes with the next commit: none is held while a procedure waits.
            pg_sys::EnsurePortalSnapshotExists();
            let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::MemoryContextSwitchTo(context);
            let result = catch(|| {
                step().map_err(Failure::Ours)?;
                // A cancel that waited for what was told on the way is raised here, where it is recorded.
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

    /// Lets `record` write down how the procedure failed, and raises the error.
    pub fn record_and_raise(&self, failure: Failure, record: impl FnOnce(&Failure)) -> ! {
        self.record(|| record(&failure));
        self.raise(failure)
    }

    /// Lets `record` write down a failure. In the caller's transaction there is nothing to record: its abort takes
    /// everything with it.
    pub fn record(&self, record: impl FnOnce()) {
        if !self.atomic {
            // A cancel that is waiting to be raised must not interrupt the record of it.
            let _held = HeldInterrupts::new();
            record();
        }
    }

    /// Raises a failure that is recorded, or the cancel that it comes from.
    pub fn raise(&self, failure: Failure) -> ! {
        pgrx::check_for_interrupts!();
        failure.raise()
    }

    /// Closes the connection. After an error the transaction's abort does it.
    pub fn end(self) {
        // SAFETY: begun once, ended once.
        unsafe { pg_sys::SPI_finish() };
    }
}

/// How a procedure can go wrong: our own error, or one that Postgres raised on the way.
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

/// Runs `step` and catches what it raises.
fn catch<T>(step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    PgTryBuilder::new(AssertUnwindSafe(step))
        .catch_others(|error| Err(Failure::Postgres(Box::new(error))))
        .catch_rust_panic(|error| Err(Failure::Postgres(Box::new(error))))
        .execute()
}

/// Does something that would raise a cancel where nobody would record it: the cancel waits for the end of the step, or for the
/// next look at the trainer. A shutdown does not wait; what says that a run is alive goes with the process.
pub fn between_steps<T>(run: impl FnOnce() -> T) -> T {
    let _held = HeldCancel::new();
    run()
}

/// A cancel waits while this lives.
struct HeldCancel;

impl HeldCancel {
    fn new() -> Self {
        // SAFETY: a counter of this process.
        unsafe { pg_sys::QueryCancelHoldoffCount += 1 };
        Self
    }
}

impl Drop for HeldCancel {
    fn drop(&mut self) {
        // SAFETY: as in `new`. An error on the way has set the counter to zero.
        unsafe { pg_sys::QueryCancelHoldoffCount = pg_sys::QueryCancelHoldoffCount.saturating_sub(1) };
    }
}

/// Cancel and shutdown wait while this lives.
struct HeldInterrupts;

impl HeldInterrupts {
    fn new() -> Self {
        // SAFETY: a counter of this process.
        unsafe { pg_sys::InterruptHoldoffCount += 1 };
        Self
    }
}

impl Drop for HeldInterrupts {
    fn drop(&mut self) {
        // SAFETY: as in `new`. An error on the way has set the counter to zero.
        unsafe { pg_sys::InterruptHoldoffCount = pg_sys::InterruptHoldoffCount.saturating_sub(1) };
    }
}
