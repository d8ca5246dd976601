//! Transactions of a procedure: it commits between its steps where the caller allows it, and is one step of the
//! caller's transaction otherwise (inside BEGIN, or called from a function).

use pgrx::pg_sys;

/// The procedure's connection to SPI, for its length.
pub struct Session {
    atomic: bool,
}

impl Session {
    /// # Safety
    /// `fcinfo` is that of the running procedure.
    pub unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        let context = (*fcinfo).context;
        let is_call = !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_CallContext;
        let atomic = !is_call || (*context.cast::<pg_sys::CallContext>()).atomic;
        let options = if atomic { 0 } else { pg_sys::SPI_OPT_NONATOMIC };
        pg_sys::SPI_connect_ext(options as i32);
        Self { atomic }
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
        unsafe {
            pg_sys::SPI_commit();
            pg_sys::EnsurePortalSnapshotExists();
        }
    }

    /// Undoes what was done since the last commit and begins a new transaction; also after an error that was caught.
    pub fn rollback(&self) {
        if self.atomic {
            return;
        }
        // SAFETY: as in `commit`.
        unsafe {
            pg_sys::SPI_rollback();
            pg_sys::EnsurePortalSnapshotExists();
        }
    }

    /// Closes the connection. After an error the transaction's abort does it.
    pub fn end(self) {
        // SAFETY: begun once, ended once.
        unsafe { pg_sys::SPI_finish() };
    }
}
