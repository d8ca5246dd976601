//! Index scans that stay open while a query runs, so that a query with many keys opens the table and the index only once.
//!
//! A hook of the executor says when a run of a query begins and ends. At the end of the run the scans that its expressions
//! opened are closed, before Postgres looks for relations that were left open. After an error the abort closes them, and
//! this file only forgets them: once when the error passes the hook, and again when the (sub)transaction is rolled back.
//! For an expression that PL/pgSQL evaluates without the executor no scan stays open: the table could not be altered until
//! the end of the transaction.

use crate::pg::changes;
use crate::pg::ends::{self, Ended};
use crate::pg::guard;
use crate::pg::relations::open_if_there;
use pgrx::pg_sys;
use std::cell::RefCell;

/// An open index scan, with its table.
pub struct OpenScan {
    pub table: pg_sys::Relation,
    index: pg_sys::Relation,
    scan: pg_sys::IndexScanDesc,
    snapshot: pg_sys::Snapshot,
    /// The memory context for what the scan allocates, which must live as long as the scan.
    memory: pg_sys::MemoryContext,
}

/// A run of the executor, with the scans that are open for it.
struct WatchedRun {
    query: *mut pg_sys::QueryDesc,
    /// The memory context of the run's query, in which the state of its expressions lives.
    context: pg_sys::MemoryContext,
    /// The resource owner of the open scans. Under another owner no scan is kept.
    owner: pg_sys::ResourceOwner,
    /// The nesting level of subtransactions at which the run began.
    level: i32,
    open: Vec<OpenScan>,
}

thread_local! {
    /// The runs under way; the innermost is the last.
    static RUNS: RefCell<Vec<WatchedRun>> = const { RefCell::new(Vec::new()) };
}

impl OpenScan {
    /// Opens the table and the index under locks that are held to the end of the transaction; `None` if they may have
    /// changed since they were found.
    ///
    /// # Safety
    /// `index` was an index of `table` as of `found_at`; there is an active snapshot.
    unsafe fn begin(
        memory: pg_sys::MemoryContext,
        Indexed { table, index, found_at }: Indexed,
        keys: i32,
    ) -> Option<Self> {
        // SAFETY: the relations are open from here on and locked to the end of the transaction. The memory context is that
        // of the call site, and there is an active snapshot, as the caller says.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(memory);
            let Some(table) = open_if_there(table, pg_sys::AccessShareLock) else {
                pg_sys::MemoryContextSwitchTo(previous);
                return None;
            };
            // Taking the lock brings the invalidations of what happened before. From then on nobody can drop or alter the
            // table or the index.
            let index = match found_at == changes::relations() {
                true => open_if_there(index, pg_sys::AccessShareLock),
                false => None,
            };
            let Some(index) = index else {
                pg_sys::table_close(table, pg_sys::NoLock as i32);
                pg_sys::MemoryContextSwitchTo(previous);
                return None;
            };
            let snapshot = pg_sys::GetActiveSnapshot();
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), keys, 0);
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(table, index, snapshot, keys, 0);
            pg_sys::MemoryContextSwitchTo(previous);
            Some(Self { table, index, scan, snapshot, memory })
        }
    }

    /// Puts the first row that satisfies the keys into the slot; `false` if there is none.
    ///
    /// # Safety
    /// There are as many keys as the scan was opened with, for columns of the index, and the slot takes rows of the table.
    pub unsafe fn first(
        &self,
        keys: &mut [pg_sys::ScanKeyData],
        direction: pg_sys::ScanDirection::Type,
        slot: *mut pg_sys::TupleTableSlot,
    ) -> bool {
        // SAFETY: the scan is open, and the keys and the slot fit it, as the caller says.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(self.memory);
            pg_sys::index_rescan(self.scan, keys.as_mut_ptr(), keys.len() as i32, std::ptr::null_mut(), 0);
            let found = pg_sys::index_getnext_slot(self.scan, direction, slot);
            pg_sys::MemoryContextSwitchTo(previous);
            found
        }
    }

    /// # Safety
    /// The scan was opened under the current resource owner, and nothing that came from it is used afterwards.
    unsafe fn close(self) {
        // SAFETY: all three were opened in `begin`, and `self` is consumed.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::index_close(self.index, pg_sys::NoLock as i32);
            pg_sys::table_close(self.table, pg_sys::NoLock as i32);
        }
    }
}

/// A table with one of its indexes.
#[derive(Clone, Copy)]
pub struct Indexed {
    pub table: pg_sys::Oid,
    pub index: pg_sys::Oid,
    /// The number of relation changes (`changes::relations`) at which they were found.
    pub found_at: u64,
}

/// Calls `probe` with a scan of the index, which may be open already; `None` if the table or the index may have changed
/// since they were found. `context` is that of the call site (`fn_mcxt`).
///
/// # Safety
/// `of.index` was an index of `of.table` as of `of.found_at`, each call for this index has the same number of keys, and
/// there is an active snapshot.
pub unsafe fn with_scan<T>(
    context: pg_sys::MemoryContext,
    of: Indexed,
    keys: i32,
    probe: impl FnOnce(&OpenScan) -> T,
) -> Option<T> {
    // SAFETY: a scan in the list is open. A scan that reads under another snapshot is closed and not used.
    unsafe {
        let open = match take(context, of.index) {
            Some(open) if open.snapshot == pg_sys::GetActiveSnapshot() => open,
            stale => {
                if let Some(stale) = stale {
                    stale.close();
                }
                OpenScan::begin(context, of, keys)?
            }
        };
        let result = probe(&open);
        if let Some(open) = keep(context, open) {
            open.close();
        }
        Some(result)
    }
}

impl WatchedRun {
    /// Whether the run keeps the scans of the call site with this memory context.
    fn keeps_for(&self, context: pg_sys::MemoryContext) -> bool {
        // SAFETY: this only reads a variable of this process.
        self.context == context && self.owner == unsafe { pg_sys::CurrentResourceOwner }
    }
}

/// Takes the open scan of an index from the innermost run, if the call site belongs to that run.
///
/// # Safety
/// Every scan in the list of the innermost run is still open: each end of a run closes or forgets its scans.
unsafe fn take(context: pg_sys::MemoryContext, index: pg_sys::Oid) -> Option<OpenScan> {
    // SAFETY: an index that stands in the list is open, as the caller says.
    unsafe {
        RUNS.with_borrow_mut(|runs| {
            let run = runs.last_mut().filter(|run| run.keeps_for(context))?;
            let place = run.open.iter().position(|open| (*open.index).rd_id == index)?;
            Some(run.open.swap_remove(place))
        })
    }
}

/// Leaves a scan open for the innermost run; returns it if the call site does not belong to that run.
fn keep(context: pg_sys::MemoryContext, open: OpenScan) -> Option<OpenScan> {
    RUNS.with_borrow_mut(|runs| match runs.last_mut() {
        Some(run) if run.keeps_for(context) => {
            run.open.push(open);
            None
        }
        _ => Some(open),
    })
}

static mut PREVIOUS: pg_sys::ExecutorRun_hook_type = None;

/// Listens to the executor. Called once, when the library is loaded.
pub fn listen() {
    // SAFETY: a backend has one thread, so nobody else changes these variables meanwhile.
    unsafe {
        PREVIOUS = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(run);
    }
}

/// Postgres's own function, without pgrx's guard: the guard would make a panic of an error that only passes by.
mod postgres {
    use pgrx::pg_sys;

    #[cfg(not(feature = "pg18"))]
    extern "C-unwind" {
        pub fn standard_ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
            once: bool,
        );
    }

    #[cfg(feature = "pg18")]
    extern "C-unwind" {
        pub fn standard_ExecutorRun(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
        );
    }
}

/// # Safety
/// Only the executor calls this. The frame owns nothing: see [`guard`].
#[cfg(not(feature = "pg18"))]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: the arguments are the executor's own.
    unsafe {
        let next = PREVIOUS.unwrap_or(postgres::standard_ExecutorRun);
        watched(query, || next(query, direction, count, once));
    }
}

/// # Safety
/// Only the executor calls this. The frame owns nothing: see [`guard`].
#[cfg(feature = "pg18")]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: the arguments are the executor's own.
    unsafe {
        let next = PREVIOUS.unwrap_or(postgres::standard_ExecutorRun);
        watched(query, || next(query, direction, count));
    }
}

/// Runs a query, and keeps the list of runs up to date before and after.
///
/// # Safety
/// `query` is started, and `run` is C code that does nothing but run it.
unsafe fn watched(query: *mut pg_sys::QueryDesc, run: impl FnOnce()) {
    // SAFETY: no frame from here to the executor owns anything, and `run` only calls C, as the caller says.
    unsafe {
        guard::within(|| begin(query));
        guard::around(run, |returned| {
            if !returned {
                forget_innermost();
            }
        });
        guard::within(close_innermost);
    }
}

/// # Safety
/// `query` is started.
unsafe fn begin(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the query is started, as the caller says, so it has a state; the rest reads variables of this process.
    let (context, owner, level) = unsafe {
        let context = (*(*query).estate).es_query_cxt;
        (context, pg_sys::CurrentResourceOwner, pg_sys::GetCurrentTransactionNestLevel())
    };
    RUNS.with_borrow_mut(|runs| runs.push(WatchedRun { query, context, owner, level, open: Vec::new() }));
}

/// The innermost query that runs now.
pub fn running_query() -> Option<*mut pg_sys::QueryDesc> {
    RUNS.with_borrow(|runs| runs.last().map(|run| run.query))
}

fn close_innermost() {
    let run = RUNS.with_borrow_mut(Vec::pop);
    // SAFETY: the scans were opened in this run, under its resource owner, and each is closed once.
    run.into_iter().flat_map(|run| run.open).for_each(|open| unsafe { open.close() });
    tell_if_outermost(Ended::Well);
}

fn forget_innermost() {
    let _ = RUNS.try_with(|runs| runs.borrow_mut().pop());
    tell_if_outermost(Ended::WithError);
}

/// Tells that a run ended, if it was the run of no other run's function.
fn tell_if_outermost(ended: Ended) {
    if RUNS.try_with(|runs| runs.borrow().is_empty()).unwrap_or(false) {
        ends::tell(ended);
    }
}

/// Forgets the runs that began at this nesting level of subtransactions or deeper, with their scans: the abort closes
/// these.
pub fn forget_from(level: i32) {
    // When the process exits, the list may be gone already.
    let _ = RUNS.try_with(|runs| runs.borrow_mut().retain(|run| run.level < level));
}
