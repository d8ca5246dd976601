//! A region of the server's shared memory. The server makes it at its start, empty, if the library is among its
//! `shared_preload_libraries`; then every process of the server finds it at one address. Otherwise there is none.

use crate::pg::guard;
use pgrx::pg_sys;
use std::ffi::{c_void, CStr};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What a region is called, and how large it is to be.
pub struct Region {
    pub name: &'static CStr,
    /// Called when the server starts, with its configuration read. 0 means that no region is wanted.
    pub size: fn() -> usize,
}

/// The region that was asked for. There is one.
static REGION: AtomicPtr<Region> = AtomicPtr::new(std::ptr::null_mut());
/// Its address, its size and its lock, from the server's start on.
static ADDRESS: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static SIZE: AtomicUsize = AtomicUsize::new(0);
static LOCK: AtomicPtr<pg_sys::LWLock> = AtomicPtr::new(std::ptr::null_mut());

static mut PREVIOUS_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_START: pg_sys::shmem_startup_hook_type = None;

/// Asks for the region. Called once, when the library is loaded; without effect if the server runs already.
pub fn ask_for(region: &'static Region) {
    // SAFETY: the server loads its libraries before it has other processes, and in one thread, so nobody else changes these
    // variables meanwhile.
    unsafe {
        if !pg_sys::process_shared_preload_libraries_in_progress {
            return;
        }
        REGION.store(std::ptr::from_ref(region).cast_mut(), Ordering::Relaxed);
        PREVIOUS_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        PREVIOUS_START = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(start);
    }
}

/// The region's first byte, on a border of 64 bytes, and its size; `None` without a region. It was filled with zeros when
/// the server started.
pub fn region() -> Option<(*mut c_void, usize)> {
    let address = ADDRESS.load(Ordering::Relaxed);
    (!address.is_null()).then(|| (address, SIZE.load(Ordering::Relaxed)))
}

/// Calls `change` while no other process of the server is in here; `None` without a region.
pub fn alone<T>(change: impl FnOnce() -> T) -> Option<T> {
    let lock = LOCK.load(Ordering::Relaxed);
    if lock.is_null() {
        return None;
    }
    // SAFETY: the lock is the one that the server made for us. If `change` raised an error, the abort would release it.
    unsafe {
        pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let changed = change();
        pg_sys::LWLockRelease(lock);
        Some(changed)
    }
}

fn asked() -> Option<(&'static Region, usize)> {
    // SAFETY: the pointer is null or that of a static.
    let region: &'static Region = unsafe { REGION.load(Ordering::Relaxed).as_ref() }?;
    Some((region, (region.size)())).filter(|(_, size)| *size > 0)
}

fn reserve() {
    if let Some((region, size)) = asked() {
        // SAFETY: the server calls this while it adds up what is wanted of its shared memory.
        unsafe {
            pg_sys::RequestAddinShmemSpace(size);
            pg_sys::RequestNamedLWLockTranche(region.name.as_ptr(), 1);
        }
    }
}

fn attach() {
    if let Some((region, size)) = asked() {
        // SAFETY: the server calls this before it starts other processes, so nobody else is there who could make the region
        // at the same time. It gave us the room and the lock in `reserve`.
        unsafe {
            let mut found = false;
            let address = pg_sys::ShmemInitStruct(region.name.as_ptr(), size, &mut found);
            if !found {
                address.cast::<u8>().write_bytes(0, size);
            }
            ADDRESS.store(address, Ordering::Relaxed);
            SIZE.store(size, Ordering::Relaxed);
            let locks = pg_sys::GetNamedLWLockTranche(region.name.as_ptr());
            LOCK.store(&raw mut (*locks).lock, Ordering::Relaxed);
        }
    }
}

/// # Safety
/// Only the server calls this. The frame owns nothing: see [`guard`].
unsafe extern "C-unwind" fn request() {
    // SAFETY: the hook before ours is C code, and this frame owns nothing.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST {
            previous();
        }
        guard::within(reserve);
    }
}

/// # Safety
/// Only the server calls this. The frame owns nothing: see [`guard`].
unsafe extern "C-unwind" fn start() {
    // SAFETY: the hook before ours is C code, and this frame owns nothing.
    unsafe {
        if let Some(previous) = PREVIOUS_START {
            previous();
        }
        guard::within(attach);
    }
}
