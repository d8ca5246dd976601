//! Postgres's own temporary files: `temp_file_limit` counts them, and the server removes them after a crash. They outlive a
//! commit and are deleted when dropped. Postgres puts such files into the database's default tablespace, whatever
//! `temp_tablespaces` says, so that they do not keep anybody from dropping another tablespace.

use crate::error::Error;
use model::bytes::Bytes;
use pgrx::pg_sys;
use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

pub struct TempFile {
    file: pg_sys::File,
    size: i64,
    /// What the file holds, in words for an error.
    holds: &'static str,
}

impl TempFile {
    /// An empty file. `holds` says what it is for, such as "the rows of a training".
    pub fn create(holds: &'static str) -> Self {
        // SAFETY: `true` detaches the file from the transaction, and `drop` closes it.
        Self { file: unsafe { pg_sys::OpenTemporaryFile(true) }, size: 0, holds }
    }

    /// A file with this content.
    pub fn with_content(holds: &'static str, content: &[u8]) -> Result<Self, Error> {
        let mut file = Self::create(holds);
        io::Write::write_all(&mut file, content)
            .map_err(Error::system("could not write a temporary file"))?;
        Ok(file)
    }

    /// The error for a write that failed: it says what was to be written, and where.
    fn cannot_write(&self, cause: io::Error) -> Error {
        Error::TempFile { holds: self.holds, path: self.path(), written: self.size as u64, cause }
    }

    /// The file's path, relative to the data directory.
    pub fn path(&self) -> String {
        // SAFETY: the file is open, and its name is NUL-terminated.
        unsafe { CStr::from_ptr(pg_sys::FilePathName(self.file)) }.to_string_lossy().into_owned()
    }

    /// A duplicate of the file's descriptor. Its number is above those that other code expects to be free.
    pub fn descriptor(&self) -> Result<OwnedFd, Error> {
        const LOWEST: i32 = 64;
        // SAFETY: the raw descriptor is valid now, and the duplicate belongs to the result alone.
        unsafe {
            let raw = pg_sys::FileGetRawDesc(self.file);
            let duplicate = libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, LOWEST);
            if duplicate < 0 {
                let cause = io::Error::last_os_error();
                return Err(Error::System { context: "could not share a temporary file".into(), cause });
            }
            Ok(OwnedFd::from_raw_fd(duplicate))
        }
    }
}

/// How many bytes one call reads or writes at most: older servers pass lengths as a C `int`.
const MOST_AT_ONCE: usize = 1 << 30;

impl Bytes for TempFile {
    fn size(&self) -> io::Result<usize> {
        // SAFETY: the file is open.
        usize::try_from(unsafe { pg_sys::FileSize(self.file) }).map_err(|_| io::Error::last_os_error())
    }

    fn piece<'a>(&'a self, at: usize, length: usize, room: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        pgrx::check_for_interrupts!();
        room.clear();
        room.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        room.resize(length, 0);
        let mut done = 0;
        while done < length {
            let rest = &mut room[done..];
            let amount = rest.len().min(MOST_AT_ONCE) as _;
            let wait = pg_sys::WaitEventIO::WAIT_EVENT_BUFFILE_READ;
            // SAFETY: the file is open, and the buffer has room for `amount` bytes.
            let read = unsafe {
                pg_sys::FileRead(self.file, rest.as_mut_ptr().cast(), amount, (at + done) as _, wait)
            };
            match usize::try_from(read) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(room)
    }
}

impl io::Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wait = pg_sys::WaitEventIO::WAIT_EVENT_BUFFILE_WRITE;
        let amount = bytes.len().min(MOST_AT_ONCE) as _;
        // SAFETY: the file is open, and the buffer holds `amount` bytes. The server only reads them, although the signature
        // says otherwise in some versions.
        let written = unsafe {
            pg_sys::FileWrite(self.file, bytes.as_ptr().cast_mut().cast(), amount, self.size, wait)
        };
        match usize::try_from(written) {
            Ok(written) => {
                self.size += written as i64;
                Ok(written)
            }
            // The error is raised here, as the server does where `temp_file_limit` is reached, because only here it is
            // known what was to be written where.
            Err(_) => self.cannot_write(io::Error::last_os_error()).raise(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // SAFETY: the file was opened in `create` and is closed once. Closing writes a failure to the log and never raises
        // an error.
        unsafe { pg_sys::FileClose(self.file) };
    }
}
