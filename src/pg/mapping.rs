//! A file mapped into memory, which may be cut short or written to while it is mapped.
//!
//! Only the server's user can do that to the file. The server never does, but an operator can, and so can a copying tool
//! when the disk is full. A read of a part that was cut off raises SIGBUS, which ends the backend, and then the server ends
//! all other backends. So this file catches the signal: if it comes from a mapping, the mapping is replaced by zeros and
//! the loss is counted. The zeros are read as data, within bounds. Scoring ends with an error once it sees the loss
//! (`crate::error::or_raise`), and the mapping is not used again. The handler does not jump out of Rust's frames and
//! allocates nothing. A SIGBUS from another place goes to the handler that was there before.

use memmap2::Mmap;
use std::fs::{File, Metadata};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{io, mem, ptr};

/// How many models a backend can map at a time.
const MOST: usize = 256;

/// The first byte and the end of a mapping; the end is 0 if the place is free.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    /// Whether zeros have replaced the mapping.
    lost: AtomicBool,
}

static RANGES: [Range; MOST] =
    [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0), lost: AtomicBool::new(false) } };
        MOST];
/// How many mappings this process has lost.
static LOSSES: AtomicU64 = AtomicU64::new(0);
/// How many of these losses an error has reported.
static TOLD: AtomicU64 = AtomicU64::new(0);
/// The handler that the signal had before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

pub struct Mapping {
    map: Mmap,
    range: &'static Range,
    /// The file stays open as long as the mapping, because its name may belong to another file by now.
    file: File,
    length: u64,
    changed: SystemTime,
}

impl Mapping {
    /// Maps the whole file; `None` where that is not possible.
    pub fn new(file: File) -> Option<Self> {
        catch_signal().ok()?;
        let is = file.metadata().ok()?;
        // SAFETY: a part that is cut off reads as zeros (see above), and the bytes are only used with checked bounds,
        // whatever they are.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let range = RANGES.iter().find(|range| range.end.load(Ordering::Relaxed) == 0)?;
        range.lost.store(false, Ordering::Relaxed);
        range.start.store(map.as_ptr() as usize, Ordering::Relaxed);
        range.end.store(map.as_ptr() as usize + map.len().next_multiple_of(page()), Ordering::Release);
        let (length, changed) = (is.len(), is.modified().ok()?);
        Some(Self { map, range, file, length, changed })
    }

    /// Whether no part of the mapping was lost and the file is as it was when it was mapped. A file that was deleted
    /// meanwhile still counts as intact.
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
        // The place is given up before the file is unmapped, so that the handler never touches memory that is not ours.
        self.range.end.store(0, Ordering::Release);
    }
}

fn page() -> usize {
    // SAFETY: this only asks the system for a number, which it always has.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// How many mappings this process has lost.
#[inline]
pub fn losses() -> u64 {
    LOSSES.load(Ordering::Relaxed)
}

/// Whether a mapping was lost that no error has reported. The caller reports all losses so far.
#[inline]
pub fn is_to_be_told() -> bool {
    losses() != TOLD.load(Ordering::Relaxed) && {
        TOLD.store(losses(), Ordering::Relaxed);
        true
    }
}

/// Installs the handler, once.
fn catch_signal() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    // SAFETY: both calls get complete arguments. The handler takes three arguments, as SA_SIGINFO asks, and the handler
    // from before is stored before ours can run.
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

/// The handler may interrupt any code, so it does nothing but loads, stores and system calls.
extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system calls the handler with a valid description of the signal.
    let at = unsafe { (*info).si_addr() } as usize;
    for range in &RANGES {
        let (end, start) = (range.end.load(Ordering::Acquire), range.start.load(Ordering::Relaxed));
        if (start..end).contains(&at) && forget(start, end - start) {
            range.lost.store(true, Ordering::Relaxed);
            LOSSES.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    // SAFETY: the arguments are those that the system gave to the handler.
    unsafe { pass_on(signal, info, context) };
}

/// Replaces a mapping by zeros. The interrupted instruction then runs again and reads zeros.
fn forget(start: usize, length: usize) -> bool {
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the range is one of our mappings and consists of whole pages. The error number is restored for the code that
    // was interrupted.
    unsafe {
        let number = *libc::__errno_location();
        let zeros = libc::mmap(start as *mut libc::c_void, length, libc::PROT_READ, flags, -1, 0);
        *libc::__errno_location() = number;
        zeros != libc::MAP_FAILED
    }
}

/// # Safety
/// The arguments are those that the system gave to a signal handler.
unsafe fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the arguments are the system's, as the caller says. The flags say how many arguments the handler from before
    // takes.
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
            // The instruction runs again and ends the process, as it would have without our handler.
            None => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
