//! What a process counts of a version while a statement runs.
//!
//! A **call** is the part of one process in one statement of the client that scores with a version, however many rows it
//! scores: it begins when the statement looks the version up, and is over with the statement. Statements in functions are part
//! of the statement that calls the function. Statements of procedures and `DO` blocks count one by one, and what these compute
//! without a statement counts as one call in a transaction. A parallel worker counts a call of its own.

use super::counters::Place;
use crate::pg::ends::Ended;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;

/// The counts of one version. Only the process's own thread changes them; they are atomic because models are shared by type,
/// not because they are shared in fact.
pub struct Tally {
    place: Place,
    /// Whether a call is under way.
    begun: AtomicBool,
    /// Whether the model was decoded or mapped since it was looked up before.
    is_fresh: AtomicBool,
    rows: AtomicU64,
}

thread_local! {
    /// The calls that are under way, with their beginning.
    static CALLS: RefCell<Vec<(Arc<Tally>, Instant)>> = const { RefCell::new(Vec::new()) };
}

impl Tally {
    /// Counts for a version of a model in the catalog.
    pub fn of(model: &str, version: i32) -> Arc<Self> {
        Self::at(Place::of(model, version))
    }

    /// Counts nothing: for versions that are in no catalog.
    pub fn none() -> Arc<Self> {
        Self::at(Place::Nowhere)
    }

    fn at(place: Place) -> Arc<Self> {
        let (begun, is_fresh) = (AtomicBool::new(false), AtomicBool::new(true));
        Arc::new(Self { place, begun, is_fresh, rows: AtomicU64::new(0) })
    }

    /// The model was found in the cache. It counts once a call begins: not everything that looks a model up serves scores.
    pub fn was_kept(&self) {
        self.is_fresh.store(false, Relaxed);
    }

    /// A call begins, if none is under way. It began when `clock` was read.
    pub fn begin(self: &Arc<Self>, clock: &Clock) {
        if let (Some(began), false) = (clock.0, self.place.is_nowhere() || self.begun.load(Relaxed)) {
            self.begun.store(true, Relaxed);
            match self.is_fresh.swap(false, Relaxed) {
                true => self.place.cache_miss(),
                false => self.place.cache_hit(),
            }
            CALLS.with_borrow_mut(|calls| calls.push((Arc::clone(self), began)));
        }
    }

    /// Rows were scored. Without a call under way one begins.
    #[inline]
    pub fn rows(self: &Arc<Self>, rows: u64) {
        let before = self.rows.load(Relaxed);
        if before == 0 {
            self.first_rows();
        }
        // A process has one thread, so that nothing comes between the load and the store. Together they cost less than an
        // atomic addition.
        self.rows.store(before + rows, Relaxed);
    }

    #[cold]
    fn first_rows(self: &Arc<Self>) {
        if !self.place.is_nowhere() && !self.begun.load(Relaxed) {
            self.begin(&Clock::read());
        }
    }

    fn end(&self, began: Instant, failed: bool) {
        self.begun.store(false, Relaxed);
        self.place.call(self.rows.swap(0, Relaxed), began.elapsed(), failed);
    }
}

/// The time at which something began; nothing if nothing is counted.
pub struct Clock(Option<Instant>);

impl Clock {
    pub fn read() -> Self {
        Self(super::counters::room().map(|_| Instant::now()))
    }
}

/// A call failed before it had a version: there is no such model, or the caller may not score with it.
pub fn no_version() {
    thread_local! {
        static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
    }
    let place = PLACE.get().unwrap_or_else(|| Place::of("", 0));
    PLACE.set(Some(place));
    place.error();
}

/// A statement or a transaction is over, and with it the calls that are under way.
pub fn end(ended: Ended) {
    // When the process exits, the list may be gone already.
    let _ = CALLS.try_with(|calls| {
        let mut calls = calls.borrow_mut();
        calls.drain(..).for_each(|(tally, began)| tally.end(began, ended == Ended::WithError));
    });
}
