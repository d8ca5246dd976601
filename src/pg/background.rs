//! Background workers: processes of the server that run a procedure on their own.
//!
//! A worker connects as the role whose procedure it runs. That role is the session's user, so that nothing its SQL does
//! can bring it another role's rights.

use crate::error::Error;
use crate::pg::guard;
use crate::pg::session::{catch, Failure};
use pgrx::pg_sys;
use std::ffi::{c_char, c_int, CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many bytes a worker is told.
pub const TOLD: usize = pg_sys::BGW_EXTRALEN as usize;
/// The library that the server loads into the worker.
const LIBRARY: &str = "pg_recommend";

/// Asks the server for a worker that calls `function` of this library; `false` if the server has none left. `name` is what
/// lists of processes show.
pub fn start(function: &str, name: &str, told: [u8; TOLD]) -> bool {
    let mut worker = pg_sys::BackgroundWorker {
        bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION) as c_int,
        bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished,
        bgw_restart_time: pg_sys::BGW_NEVER_RESTART,
        bgw_extra: told.map(|byte| byte as c_char),
        ..Default::default()
    };
    write(&mut worker.bgw_name, name);
    write(&mut worker.bgw_type, "pg_recommend schedule");
    write(&mut worker.bgw_library_name, LIBRARY);
    write(&mut worker.bgw_function_name, function);
    let mut handle = std::ptr::null_mut();
    // SAFETY: every field is set, and the texts end with a zero byte. Nobody asks for the handle.
    unsafe { pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle) }
}

/// Writes as much of a text as there is room for, and a zero byte.
fn write(to: &mut [c_char], text: &str) {
    let room = to.len() - 1;
    let whole = (0..=text.len().min(room)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    for (to, byte) in to.iter_mut().zip(text.as_bytes()[..whole].iter().filter(|byte| **byte != 0)) {
        *to = *byte as c_char;
    }
}

/// What this worker was told.
pub fn told() -> [u8; TOLD] {
    // SAFETY: in a worker the server has set the entry, before it calls the worker's function.
    unsafe { (*pg_sys::MyBgworkerEntry).bgw_extra.map(|byte| byte as u8) }
}

static TERMINATED: AtomicBool = AtomicBool::new(false);

/// Whether somebody has asked the worker to end.
pub fn is_terminated() -> bool {
    TERMINATED.load(Ordering::Relaxed)
}

/// # Safety
/// Only the system calls this.
unsafe extern "C-unwind" fn terminate(signal: c_int) {
    TERMINATED.store(true, Ordering::Relaxed);
    // SAFETY: this is the server's own handler, which may be called in one.
    unsafe { pg_sys::die(signal) }
}

/// Connects the worker to a database as a role, under the role's own settings. The server ends the worker if the role may
/// not connect.
pub fn connect(database: pg_sys::Oid, role: pg_sys::Oid) {
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    let flags = pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    let flags = 0;
    #[cfg(not(feature = "pg18"))]
    use pg_sys::pqsignal;
    #[cfg(feature = "pg18")]
    use pg_sys::pqsignal_be as pqsignal;
    // SAFETY: signals are blocked until the handler is in its place. A cancel has the server's own handler already.
    unsafe {
        pqsignal(libc::SIGTERM, Some(terminate));
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, role, flags);
    }
}

/// Whether a worker may connect as a role that cannot log in.
pub const NEEDS_LOGIN: bool = !cfg!(any(feature = "pg17", feature = "pg18"));

/// Calls `end` when the process ends, also by a shutdown in the middle of a statement.
pub fn at_exit(end: unsafe extern "C-unwind" fn(c_int, pg_sys::Datum)) {
    // SAFETY: the function is part of the library, which is never unloaded.
    unsafe { pg_sys::before_shmem_exit(Some(end), pg_sys::Datum::from(0)) };
}

/// Whether the whole server is being shut down. The worker's signal is the same as if a person had ended it; the difference
/// is in the server's lock file, which pg_ctl reads as well.
pub fn server_is_stopping() -> bool {
    const LINE_OF_STATUS: usize = 7;
    // SAFETY: the server has set the path of its data directory.
    let folder = unsafe { CStr::from_ptr(pg_sys::DataDir) }.to_string_lossy();
    let lines = std::fs::read_to_string(format!("{folder}/postmaster.pid")).unwrap_or_default();
    lines.lines().nth(LINE_OF_STATUS).is_some_and(|status| status.trim() == "stopping")
}

/// Runs a step in a transaction of its own, which is rolled back if the step fails. For a worker, between its statements.
pub fn in_transaction<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
    let result = catch(|| {
        // SAFETY: no transaction is under way. After an error the abort pops the snapshot.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            // What is recorded is ours, even if the role may only read otherwise.
            pg_sys::XactReadOnly = false;
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let value = step().map_err(Failure::Ours)?;
        // SAFETY: the snapshot is the one that was pushed.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(value)
    });
    abort_after(&result);
    result
}

fn abort_after<T>(result: &Result<T, Failure>) {
    if result.is_err() {
        // SAFETY: the error is caught, and nothing of the transaction is used any more.
        unsafe { pg_sys::AbortOutOfAnyTransaction() };
    }
}

extern "C-unwind" {
    // These are declared in timeout.h; pgrx has no bindings for them.
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
    fn get_timeout_active(id: c_int) -> bool;
}

/// The place of `STATEMENT_TIMEOUT` in the server's list, of which each connection has the handler: it cancels the statement.
const STATEMENT_TIMEOUT: c_int = 3;

/// A statement that failed.
pub struct Failed {
    pub failure: Box<Failure>,
    /// Whether its time was over.
    pub timed_out: bool,
}

/// Runs one statement as a client's would be: a procedure can commit. It is cancelled after so many milliseconds.
pub fn run(sql: &str, milliseconds: i32) -> Result<(), Failed> {
    let sql = CString::new(sql).map_err(|_| Failed {
        failure: Box::new(Error::invalid("a statement contains a zero byte").into()),
        timed_out: false,
    })?;
    // SAFETY: the guard's closures do nothing but call C.
    unsafe { guard::call(|| enable_timeout_after(STATEMENT_TIMEOUT, milliseconds)) };
    let result = catch(|| {
        // SAFETY: no transaction is under way, and the text outlives the statement.
        unsafe { execute(&sql) };
        Ok(())
    });
    // SAFETY: as above. A timeout that has passed is no longer active.
    let timed_out = unsafe {
        guard::call(|| {
            let passed = !get_timeout_active(STATEMENT_TIMEOUT);
            disable_timeout(STATEMENT_TIMEOUT, false);
            passed
        })
    };
    abort_after(&result);
    // SAFETY: these are the process's own; the statement's text is about to go.
    unsafe {
        pg_sys::debug_query_string = std::ptr::null();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
    }
    result.map_err(|failure| Failed { failure: Box::new(failure), timed_out })
}

/// Parses a statement and runs it in a portal of its own, at the top level.
///
/// # Safety
/// No transaction is under way, and `sql` lives as long as the process runs the statement.
unsafe fn execute(sql: &CStr) {
    use pg_sys::*;
    // SAFETY: this is the order in which the server itself runs a statement. What is parsed lies in memory that outlives the
    // commits of a procedure; the process ends soon after, so that it is not given back.
    unsafe {
        SetCurrentStatementStartTimestamp();
        pgstat_report_activity(BackendState::STATE_RUNNING, sql.as_ptr());
        debug_query_string = sql.as_ptr();
        StartTransactionCommand();
        MemoryContextSwitchTo(TopMemoryContext);
        let parsed = (*(*pg_parse_query(sql.as_ptr())).elements).ptr_value.cast::<RawStmt>();
        let tag = CreateCommandTag((*parsed).stmt);
        PushActiveSnapshot(GetTransactionSnapshot());
        let none = std::ptr::null_mut();
        let queries = pg_analyze_and_rewrite_fixedparams(parsed, sql.as_ptr(), none, 0, none.cast());
        let plans = pg_plan_queries(queries, sql.as_ptr(), CURSOR_OPT_PARALLEL_OK as c_int, none.cast());
        PopActiveSnapshot();
        let portal = CreatePortal(c"".as_ptr(), true, true);
        PortalDefineQuery(portal, std::ptr::null(), sql.as_ptr(), tag, plans, none.cast());
        PortalStart(portal, none.cast(), 0, none.cast());
        let mut format = 0;
        PortalSetResultFormat(portal, 1, &mut format);
        let receiver = CreateDestReceiver(CommandDest::DestNone);
        let mut completion = QueryCompletion::default();
        const ALL: std::ffi::c_long = std::ffi::c_long::MAX;
        #[cfg(not(feature = "pg18"))]
        PortalRun(portal, ALL, true, true, receiver, receiver, &mut completion);
        #[cfg(feature = "pg18")]
        PortalRun(portal, ALL, true, receiver, receiver, &mut completion);
        PortalDrop(portal, false);
        CommitTransactionCommand();
    }
}

/// Waits for a fraction of a second, or until something wakes this process.
pub fn rest(milliseconds: i64) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: the latch is this process's own.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
