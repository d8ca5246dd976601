//! A mapped file that may be cut short, or written to, while it is mapped.
//!
//! Nobody but the server's user can do that, and the server never does; an operator, a full disk under a copying tool or a
//! synchronization can. What is cut off raises SIGBUS when it is read, which ends a process and, of a backend, all others.
//! So the signal is caught: where it comes from a mapping, zeros take the mapping's place, which are read as what they are,
//! within bounds, and a loss is counted. Scoring ends with an error once it sees that (`crate::error::or_raise`); the mapping
//! is not used again. No jump out of Rust's frames, and nothing allocated in the handler. A SIGBUS from elsewhere is for
//! whoever had the signal before.

use memmap2::Mmap;
use std::fs::{File, Metadata};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{io, mem, ptr};

/// As many models at a time are mapped by a backend.
const MOST: usize = 256;

/// First byte and end of what is mapped; the end is 0 where nothing is.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    /// Zeros have taken its place.
    lost: AtomicBool,
}

static RANGES: [Range; MOST] =
    [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0), lost: AtomicBool::new(false) } };
        MOST];
/// How often a mapping was lost.
static LOSSES: AtomicU64 = AtomicU64::new(0);
/// How many of them an error has told of.
static TOLD: AtomicU64 = AtomicU64::new(0);
/// Who had the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

pub struct Mapping {
    map: Mmap,
    range: &'static Range,
    /// Open for the mapping's life: by its name another file may be found by now.
    file: File,
    length: u64,
    changed: SystemTime,
}

impl Mapping {
    /// Maps the whole of a file; `None` where that cannot be done.
    pub fn new(file: File) -> Option<Self> {
        catch_signal().ok()?;
        let is = file.metadata().ok()?;
        // SAFETY: what is cut off reads as zeros, see above, and what is in it is only used within bounds.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let range = RANGES.iter().find(|range| range.end.load(Ordering::Relaxed) == 0)?;
        range.lost.store(false, Ordering::Relaxed);
        range.start.store(map.as_ptr() as usize, Ordering::Relaxed);
        range.end.store(map.as_ptr() as usize + map.len().next_multiple_of(page()), Ordering::Release);
        let (length, changed) = (is.len(), is.modified().ok()?);
        Some(Self { map, range, file, length, changed })
    }

    /// Whether nothing of it was lost and the file is as it was when it was mapped. One that was deleted stays so.
    pub fn is_intact(&self) -> bool {
        let as_it_was = |is: Metadata| {
            is.len() == self.length && is.modified().is_ok_and(|changed| changed == self.changed)
        };
        !self.range.lost.load(Ordering::Relaxed) && self.file.metadata().is_ok_and(as_it_was)
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before it is unmapped.
        self.range.end.store(0, Ordering::Release);
    }
}

fn page() -> usize {
    // SAFETY: a question to the system, which always has an answer.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// How many mappings this process has lost.
#[inline]
pub fn losses() -> u64 {
    LOSSES.load(Ordering::Relaxed)
}

/// Whether one was lost that no error has told of: the caller does, of all that were lost so far.
#[inline]
pub fn is_to_be_told() -> bool {
    losses() != TOLD.load(Ordering::Relaxed) && {
        TOLD.store(losses(), Ordering::Relaxed);
        true
    }
}

/// Takes the signal, once.
fn catch_signal() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    // SAFETY: two complete calls; the handler is one for three arguments, and what was before is known when it is first run.
    unsafe {
        let mut before: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &mut before) != 0 {
            return Err(io::Error::last_os_error());
        }
        BEFORE.get_or_init(|| before);
        let mut ours: libc::sigaction = mem::zeroed();
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
        ours.sa_sigaction = handler as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigemptyset(&mut ours.sa_mask);
        match libc::sigaction(libc::SIGBUS, &ours, ptr::null_mut()) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Runs in the middle of anything: loads, stores and system calls only.
extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system calls this with a description of the signal.
    let at = unsafe { (*info).si_addr() } as usize;
    for range in &RANGES {
        let (end, start) = (range.end.load(Ordering::Acquire), range.start.load(Ordering::Relaxed));
        if (start..end).contains(&at) && forget(start, end - start) {
            range.lost.store(true, Ordering::Relaxed);
            LOSSES.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    // SAFETY: the arguments are the signal's.
    unsafe { pass_on(signal, info, context) };
}

/// Puts zeros in the place of a mapping. The instruction that read there is run again.
fn forget(start: usize, length: usize) -> bool {
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the range is a mapping of ours, of whole pages; the code that was interrupted keeps its error number.
    unsafe {
        let number = *libc::__errno_location();
        let zeros = libc::mmap(start as *mut libc::c_void, length, libc::PROT_READ, flags, -1, 0);
        *libc::__errno_location() = number;
        zeros != libc::MAP_FAILED
    }
}

/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what the caller promises.
    unsafe {
        let before = BEFORE
            .get()
            .filter(|before| before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN);
        match before {
            Some(before) if before.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    mem::transmute(before.sa_sigaction);
                handler(signal, info, context);
            }
            Some(before) => {
                let handler: extern "C" fn(libc::c_int) = mem::transmute(before.sa_sigaction);
                handler(signal);
            }
            // The instruction is run again and ends the process, as it would have.
            None => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
