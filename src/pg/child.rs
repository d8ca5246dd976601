//! Child processes: how they are confined, and how the server waits for them.

use pgrx::pg_sys;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a child process may take.
pub struct Limits {
    /// Its nice value.
    pub nice: i32,
    /// Bytes that it may allocate; `None`: no bound.
    pub memory: Option<u64>,
}

/// What the child process does to itself between fork and exec, where only plain system calls are safe.
pub fn confine(command: &mut Command, limits: &Limits, descriptors: &[OwnedFd]) {
    let keep: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let parent = std::process::id();
    let Limits { nice, memory } = *limits;
    // SAFETY: the closure only makes system calls, on its own copies of the values.
    unsafe {
        command.pre_exec(move || {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
            // What it makes others may read, as what COPY writes.
            libc::umask(0o022);
            prefer_in_out_of_memory_kill();
            if let Some(bytes) = memory {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                check(libc::setrlimit(libc::RLIMIT_DATA, &limit))?;
            }
            close_all_on_exec()?;
            keep.iter().try_for_each(|descriptor| check(libc::fcntl(*descriptor, libc::F_SETFD, 0)))
        });
    }
}

/// # Safety
/// The caller is a child process that has one thread.
unsafe fn prefer_in_out_of_memory_kill() {
    // SAFETY: the strings are NUL-terminated, and the descriptor is closed once.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
        if file >= 0 {
            let most = c"1000";
            libc::write(file, most.as_ptr().cast(), most.count_bytes());
            libc::close(file);
        }
    }
}

/// Marks every descriptor except the standard streams to be closed by exec. The caller then takes the mark from those that
/// it passes on.
///
/// # Safety
/// The caller is a child process that has one thread.
unsafe fn close_all_on_exec() -> io::Result<()> {
    // SAFETY: these system calls take numbers only. No other thread uses the descriptors, as the caller says.
    unsafe {
        const FIRST: u32 = 3;
        const CLOEXEC: u32 = 4;
        if libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, CLOEXEC) == 0 {
            return Ok(());
        }
        // Kernels before 5.11 do not have that flag of close_range.
        let most = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 1 << 20) as i32;
        for descriptor in FIRST as i32..most {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        Ok(())
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a descriptor is waited for to read or to write.
#[derive(Clone, Copy)]
pub enum For {
    Reading,
    Writing,
}

/// Waits until a pipe can be read or written, or the latch is set. If the server dies, this ends the process.
pub fn wait_for(pipe: RawFd, what: For) {
    let ready = match what {
        For::Reading => pg_sys::WL_SOCKET_READABLE,
        For::Writing => pg_sys::WL_SOCKET_WRITEABLE,
    };
    let events = pg_sys::WL_LATCH_SET | ready | pg_sys::WL_EXIT_ON_PM_DEATH;
    const FOR_EVER: i64 = -1;
    // SAFETY: the latch is this process's own, and the descriptor is open.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            pipe,
            FOR_EVER as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// Lets a pipe hold more, so that both sides wait less often. Where the system refuses, it stays as it is.
pub fn widen(pipe: RawFd) {
    const BYTES: i32 = 1 << 20;
    // SAFETY: the descriptor is open, and it is ours.
    unsafe { libc::fcntl(pipe, libc::F_SETPIPE_SZ, BYTES) };
}

/// An epoll descriptor, which can be read when one of these descriptors can.
pub fn watch(mut descriptors: impl Iterator<Item = RawFd>) -> io::Result<OwnedFd> {
    // SAFETY: the new descriptor belongs to the result alone, the others are open, and the kernel copies the event.
    unsafe {
        let raw = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        check(raw)?;
        let set = OwnedFd::from_raw_fd(raw);
        descriptors.try_for_each(|descriptor| {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            check(libc::epoll_ctl(raw, libc::EPOLL_CTL_ADD, descriptor, &mut event))
        })?;
        Ok(set)
    }
}

/// Makes reads and writes of a descriptor return at once.
pub fn set_nonblocking(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: the descriptor is open, and it is ours.
    let result = unsafe {
        let flags = libc::fcntl(descriptor, libc::F_GETFL);
        libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK)
    };
    check(result)
}
