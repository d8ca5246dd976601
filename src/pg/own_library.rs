//! The file that this library was loaded from.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Its folder. It is not the server's own where `dynamic_library_path` has led elsewhere.
pub fn folder() -> PathBuf {
    let server = || {
        // SAFETY: the server fills this array with a NUL-terminated path before it loads any module.
        path(unsafe { CStr::from_ptr((&raw const pgrx::pg_sys::pkglib_path).cast()) })
    };
    file().and_then(|file| file.parent().map(Path::to_owned)).unwrap_or_else(server)
}

/// `None` where the dynamic linker does not say.
fn file() -> Option<PathBuf> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let here = folder as fn() -> PathBuf as *const std::ffi::c_void;
    // SAFETY: the address is one of this library's code. The name that is returned lives as long as the library, which is never
    // unloaded.
    unsafe {
        (libc::dladdr(here, &mut found) != 0 && !found.dli_fname.is_null())
            .then(|| path(CStr::from_ptr(found.dli_fname)))
    }
}

fn path(name: &CStr) -> PathBuf {
    OsStr::from_bytes(name.to_bytes()).into()
}
