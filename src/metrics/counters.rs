//! The counters of scoring in shared memory: a slot for each version of each database that was scored with since the server
//! started.
//!
//! A slot is taken under a lock and never given back, so that whoever has found one may keep its address. What is in it is
//! only ever added to, without a lock. When all slots are taken, further versions have none: only how often they were called
//! is counted, for all of them together.

use crate::pg::shared_memory::{self, Region};
use crate::settings;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::Duration;

pub static REGION: Region = Region { name: c"pg_recommend counters", size };

/// Upper bounds of the latency histogram, in seconds. What took longer is in one more bucket.
pub const BOUNDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// The longest name of a model, in bytes.
const LONGEST_NAME: usize = 63;

/// What the region begins with. Zeros are an empty one.
#[repr(C, align(64))]
struct Head {
    used: AtomicU32,
    uncounted: AtomicU64,
}

/// The counters of one version. Zeros are valid.
#[repr(C, align(64))]
pub struct Slot {
    database: u32,
    version: i32,
    /// Filled up with zero bytes. Empty: calls that failed before they had a version.
    model: [u8; LONGEST_NAME + 1],
    calls: AtomicU64,
    rows: AtomicU64,
    errors: AtomicU64,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    nanoseconds: AtomicU64,
    latency: [AtomicU64; BOUNDS.len() + 1],
}

// As the setting says, and small enough for a hundred thousand.
const _: () = assert!(size_of::<Slot>() == 256);

fn size() -> usize {
    match settings::counted_versions() {
        0 => 0,
        slots => size_of::<Head>() + slots * size_of::<Slot>(),
    }
}

/// The head and the room for slots.
fn table() -> Option<(&'static Head, *mut Slot, usize)> {
    let (address, size) = shared_memory::region()?;
    // SAFETY: the region was made with room for a head and whole slots behind it, on a border of 64 bytes, and it was filled
    // with zeros. It stays where it is as long as the process lives.
    unsafe {
        let head = &*address.cast::<Head>();
        let slots = address.cast::<Head>().add(1).cast::<Slot>();
        Some((head, slots, (size - size_of::<Head>()) / size_of::<Slot>()))
    }
}

/// Where something is counted.
#[derive(Clone, Copy)]
pub enum Place {
    /// Nothing is counted: the library is not preloaded.
    Nowhere,
    /// All slots are taken.
    Full(&'static AtomicU64),
    In(&'static Slot),
}

impl Place {
    /// The slot of a version of this database, which is taken if there is none yet.
    pub fn of(model: &str, version: i32) -> Self {
        let Some((head, slots, room)) = table() else { return Self::Nowhere };
        // SAFETY: this only reads a variable of this process.
        let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
        let of_this = |slot: &&Slot| slot.is(database, model, version);
        if let Some(slot) = taken().find(of_this) {
            return Self::In(slot);
        }
        let place = shared_memory::alone(|| {
            // Another process may have taken it since.
            if let Some(slot) = taken().find(of_this) {
                return Self::In(slot);
            }
            let used = head.used.load(Relaxed) as usize;
            if used == room {
                return Self::Full(&head.uncounted);
            }
            // SAFETY: nobody reads a slot behind those that are used, and nobody else is in here.
            let slot = unsafe { &mut *slots.add(used) };
            (slot.database, slot.version) = (database, version);
            let length = model.len().min(LONGEST_NAME);
            slot.model[..length].copy_from_slice(&model.as_bytes()[..length]);
            head.used.store(used as u32 + 1, Release);
            Self::In(slot)
        });
        place.unwrap_or(Self::Nowhere)
    }

    pub fn is_nowhere(&self) -> bool {
        matches!(self, Self::Nowhere)
    }

    pub fn cache_hit(&self) {
        if let Self::In(slot) = self {
            slot.cache_hits.fetch_add(1, Relaxed);
        }
    }

    pub fn cache_miss(&self) {
        if let Self::In(slot) = self {
            slot.cache_misses.fetch_add(1, Relaxed);
        }
    }

    /// Adds an error that no call is counted for.
    pub fn error(&self) {
        match self {
            Self::Nowhere => (),
            Self::Full(calls) => _ = calls.fetch_add(1, Relaxed),
            Self::In(slot) => _ = slot.errors.fetch_add(1, Relaxed),
        }
    }

    /// Adds a call that is over.
    pub fn call(&self, rows: u64, took: Duration, failed: bool) {
        match self {
            Self::Nowhere => (),
            Self::Full(calls) => _ = calls.fetch_add(1, Relaxed),
            Self::In(slot) => slot.call(rows, took, failed),
        }
    }
}

impl Slot {
    fn is(&self, database: u32, model: &str, version: i32) -> bool {
        self.database == database && self.version == version && self.name() == model.as_bytes()
    }

    fn name(&self) -> &[u8] {
        let length = self.model.iter().position(|byte| *byte == 0).unwrap_or(LONGEST_NAME);
        &self.model[..length]
    }

    fn call(&self, rows: u64, took: Duration, failed: bool) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.calls.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows, Relaxed);
        if failed {
            self.errors.fetch_add(1, Relaxed);
        }
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.latency[bucket].fetch_add(1, Relaxed);
    }

    pub fn model(&self) -> String {
        String::from_utf8_lossy(self.name()).into_owned()
    }

    pub fn version(&self) -> i32 {
        self.version
    }

    /// Calls, rows, errors, cache hits and cache misses.
    pub fn counts(&self) -> [i64; 5] {
        [&self.calls, &self.rows, &self.errors, &self.cache_hits, &self.cache_misses]
            .map(|counter| counter.load(Relaxed) as i64)
    }

    pub fn seconds(&self) -> f64 {
        self.nanoseconds.load(Relaxed) as f64 / 1e9
    }

    /// The number of calls that took at most as long as each of the [`BOUNDS`], and of all.
    pub fn latency(&self) -> Vec<i64> {
        let mut sum = 0;
        let up_to = |bucket: &AtomicU64| {
            sum += bucket.load(Relaxed) as i64;
            sum
        };
        self.latency.iter().map(up_to).collect()
    }
}

/// The slots that are taken, of all databases.
fn taken() -> impl Iterator<Item = &'static Slot> {
    let (slots, used) = match table() {
        Some((head, slots, _)) => (slots, head.used.load(Acquire) as usize),
        None => (std::ptr::null_mut(), 0),
    };
    // SAFETY: `used` is written after what is in the slots before it, which from then on changes by atomic additions only.
    (0..used).map(move |place| unsafe { &*slots.add(place) })
}

/// The slots of this database.
pub fn of_this_database() -> impl Iterator<Item = &'static Slot> {
    // SAFETY: this only reads a variable of this process.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    taken().filter(move |slot| slot.database == database)
}

/// How the table is used, in the whole server.
pub struct Room {
    pub slots: i64,
    pub used: i64,
    /// Calls that had no slot.
    pub uncounted: i64,
}

/// `None` if nothing is counted.
pub fn room() -> Option<Room> {
    let (head, _, slots) = table()?;
    let (used, uncounted) = (head.used.load(Relaxed).into(), head.uncounted.load(Relaxed) as i64);
    Some(Room { slots: slots as i64, used, uncounted })
}
