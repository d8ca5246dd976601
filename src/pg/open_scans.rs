//! Index scans that stay open while a query runs, so that many keys cost one opening of table and index.
//!
//! The executor says when a run begins and ends: what was opened for its expressions is closed before anything looks for what
//! was left open. After an error the abort closes it, and here it is only forgotten: as the error passes by, and once more when
//! the (sub)transaction is rolled back. Nothing stays open for an expression that PL/pgSQL evaluates without the executor:
//! until its transaction ended, the table could not be altered.

use crate::pg::changes;
use crate::pg::guard;
use crate::pg::relations::open_if_there;
use pgrx::pg_sys;
use std::cell::RefCell;

/// An open scan of one index, with its table.
pub struct OpenScan {
    pub table: pg_sys::Relation,
    index: pg_sys::Relation,
    scan: pg_sys::IndexScanDesc,
    snapshot: pg_sys::Snapshot,
    /// What the scan allocates on its way must live as long as it.
    memory: pg_sys::MemoryContext,
}

/// A run of the executor and what is open for it.
struct Run {
    query: *mut pg_sys::QueryDesc,
    /// The memory of its query, in which its expressions live.
    context: pg_sys::MemoryContext,
    /// What is open for it is this owner's; under another one nothing is kept.
    owner: pg_sys::ResourceOwner,
    /// How deep in subtransactions it began.
    level: i32,
    open: Vec<OpenScan>,
}

thread_local! {
    /// The runs under way, the innermost last.
    static RUNS: RefCell<Vec<Run>> = const { RefCell::new(Vec::new()) };
}

impl OpenScan {
    /// Opens both under locks that are held to the transaction's end; `None` where they may no longer be what was found.
    ///
    /// # Safety
    /// `index` was an index of `table` as of `found_at`; there is an active snapshot.
    unsafe fn begin(
        memory: pg_sys::MemoryContext,
        Indexed { table, index, found_at }: Indexed,
        keys: i32,
    ) -> Option<Self> {
        // SAFETY: the relations are open from here on, locked to the transaction's end; the memory and the snapshot are those of the call site.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(memory);
            let Some(table) = open_if_there(table, pg_sys::AccessShareLock) else {
                pg_sys::MemoryContextSwitchTo(previous);
                return None;
            };
            // With the lock comes the news of what happened before; from then on nobody can take away or alter either.
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

    /// Puts the first row that the keys let through into the slot, if there is one.
    ///
    /// # Safety
    /// As many keys as it was begun with, for columns of the index; a slot for rows of the table.
    pub unsafe fn first(
        &self,
        keys: &mut [pg_sys::ScanKeyData],
        direction: pg_sys::ScanDirection::Type,
        slot: *mut pg_sys::TupleTableSlot,
    ) -> bool {
        // SAFETY: the scan is open, and reads with the keys and the slot that the caller promises.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(self.memory);
            pg_sys::index_rescan(self.scan, keys.as_mut_ptr(), keys.len() as i32, std::ptr::null_mut(), 0);
            let found = pg_sys::index_getnext_slot(self.scan, direction, slot);
            pg_sys::MemoryContextSwitchTo(previous);
            found
        }
    }

    /// # Safety
    /// It was opened under the resource owner of now, and nothing that came from it is used afterwards.
    unsafe fn close(self) {
        // SAFETY: all three were opened in `begin`, and `self` is used no more.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::index_close(self.index, pg_sys::NoLock as i32);
            pg_sys::table_close(self.table, pg_sys::NoLock as i32);
        }
    }
}

/// A table and an index of it.
#[derive(Clone, Copy)]
pub struct Indexed {
    pub table: pg_sys::Oid,
    pub index: pg_sys::Oid,
    /// The state of the relation cache in which they were found.
    pub found_at: u64,
}

/// Lets `probe` use a scan of the index, which may be open already; `None` where table and index may no longer be what was
/// found. `context` is that of the call site (`fn_mcxt`).
///
/// # Safety
/// As found, and always asked for with as many keys; there is an active snapshot.
pub unsafe fn with_scan<T>(
    context: pg_sys::MemoryContext,
    of: Indexed,
    keys: i32,
    probe: impl FnOnce(&OpenScan) -> T,
) -> Option<T> {
    // SAFETY: a scan in the list is open; one that reads under another snapshot is closed, not used.
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

impl Run {
    /// Whether a scan at this call site is one for the run to keep.
    fn keeps_for(&self, context: pg_sys::MemoryContext) -> bool {
        // SAFETY: a variable of this process.
        self.context == context && self.owner == unsafe { pg_sys::CurrentResourceOwner }
    }
}

/// What is open on an index for the innermost run, if the call site belongs to it.
///
/// # Safety
/// What is open for the innermost run is open still: every end of a run closes or forgets it.
unsafe fn take(context: pg_sys::MemoryContext, index: pg_sys::Oid) -> Option<OpenScan> {
    // SAFETY: an index that stands in the list is open.
    unsafe {
        RUNS.with_borrow_mut(|runs| {
            let run = runs.last_mut().filter(|run| run.keeps_for(context))?;
            let place = run.open.iter().position(|open| (*open.index).rd_id == index)?;
            Some(run.open.swap_remove(place))
        })
    }
}

/// Keeps a scan open for the innermost run; gives it back if the call site does not belong to it.
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
    // SAFETY: a backend has one thread, and the hook is a variable of its own.
    unsafe {
        PREVIOUS = pg_sys::ExecutorRun_hook;
        pg_sys::ExecutorRun_hook = Some(run);
    }
}

/// The function of Postgres as it is: that of pgrx would make a panic of an error that only passes by.
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
/// Called by the executor. This frame owns nothing: see [`guard`].
#[cfg(not(feature = "pg18"))]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: the arguments are those of the executor.
    unsafe {
        let next = PREVIOUS.unwrap_or(postgres::standard_ExecutorRun);
        watched(query, || next(query, direction, count, once));
    }
}

/// # Safety
/// Called by the executor. This frame owns nothing: see [`guard`].
#[cfg(feature = "pg18")]
unsafe extern "C-unwind" fn run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: the arguments are those of the executor.
    unsafe {
        let next = PREVIOUS.unwrap_or(postgres::standard_ExecutorRun);
        watched(query, || next(query, direction, count));
    }
}

/// Lets a query run, between its begin and its end.
///
/// # Safety
/// `query` is started, and `run` does nothing but run it, in C.
unsafe fn watched(query: *mut pg_sys::QueryDesc, run: impl FnOnce()) {
    // SAFETY: no frame from here to the executor owns anything.
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
    // SAFETY: the caller's promise, a variable of this process, and a plain look-up.
    let (context, owner, level) = unsafe {
        let context = (*(*query).estate).es_query_cxt;
        (context, pg_sys::CurrentResourceOwner, pg_sys::GetCurrentTransactionNestLevel())
    };
    RUNS.with_borrow_mut(|runs| runs.push(Run { query, context, owner, level, open: Vec::new() }));
}

/// The query that runs now, the innermost.
pub fn running_query() -> Option<*mut pg_sys::QueryDesc> {
    RUNS.with_borrow(|runs| runs.last().map(|run| run.query))
}

fn close_innermost() {
    let run = RUNS.with_borrow_mut(Vec::pop);
    // SAFETY: opened in this run, closed once.
    run.into_iter().flat_map(|run| run.open).for_each(|open| unsafe { open.close() });
}

fn forget_innermost() {
    let _ = RUNS.try_with(|runs| runs.borrow_mut().pop());
}

/// Forgets the runs that began so deep in subtransactions, or deeper, and what was open for them: their abort closes it.
pub fn forget_from(level: i32) {
    // When the process exits, the list may be gone already.
    let _ = RUNS.try_with(|runs| runs.borrow_mut().retain(|run| run.level < level));
}
