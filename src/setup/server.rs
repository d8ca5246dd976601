//! Findings about the server and its machine.

use super::finding::Finding;
use crate::pg::extension;
use crate::settings::training_memory;
use pgrx::pg_sys;
use std::ffi::CStr;
use std::fs::read_to_string;
use std::path::Path;

/// The major versions of PostgreSQL that the tests run on.
const TESTED: &[u32] = &[15, 16, 17, 18];
/// Below this limit, the rows and the weights of a training hardly fit into temporary files.
const FEW_TEMPORARY_BYTES: u64 = 64 << 20;

/// The versions of the extension and of PostgreSQL.
pub fn installation() -> Vec<Finding> {
    vec![extension(), postgres()]
}

fn extension() -> Finding {
    const ITEM: &str = "extension";
    match extension::other_version() {
        None => Finding::good(ITEM, extension::LIBRARY),
        Some(catalog) => Finding::bad(
            ITEM,
            format!("the library is version {}, the catalog {catalog}", extension::LIBRARY),
            &extension::remedy(&catalog),
        ),
    }
}

fn postgres() -> Finding {
    const ITEM: &str = "PostgreSQL";
    // SAFETY: every server has this setting, and its value lives at least as long as this function.
    let version =
        unsafe { CStr::from_ptr(pg_sys::GetConfigOption(c"server_version".as_ptr(), false, false)) };
    let version = version.to_string_lossy();
    // The server refuses to load a library that was built for another major version.
    let major = pg_sys::PG_VERSION_NUM / 10_000;
    match TESTED.contains(&major) {
        true => Finding::good(ITEM, version),
        false => Finding::bad(
            ITEM,
            format!("the tests of this version of pg_recommend were not run on {version}"),
            &format!("They run on {TESTED:?}. Try your own models before you rely on it."),
        ),
    }
}

/// The settings, compared with what the machine has.
pub fn settings() -> Vec<Finding> {
    vec![memory(training_memory(), machine_memory()), temporary_files(temporary_limit())]
}

/// Both numbers are bytes. `None` means that there is no bound, or that the machine does not say.
fn memory(bound: Option<u64>, machine: Option<u64>) -> Finding {
    const ITEM: &str = "memory";
    let bounded = |bytes| format!("a training may allocate {}", size(bytes));
    match (bound, machine) {
        (Some(bound), Some(machine)) if bound > machine => Finding::bad(
            ITEM,
            format!("{}, but the server has {}", bounded(bound), size(machine)),
            "Lower reco.max_training_memory to what the server can spare.",
        ),
        (Some(bound), Some(machine)) => {
            Finding::good(ITEM, format!("{}; the server has {}", bounded(bound), size(machine)))
        }
        (Some(bound), None) => Finding::good(ITEM, bounded(bound)),
        (None, _) => Finding::good(ITEM, "a training may allocate as much as it needs"),
    }
}

/// The memory that the server may use: that of the machine, or less if a container or a service limits it.
fn machine_memory() -> Option<u64> {
    // SAFETY: both calls only ask the system for a number.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let physical = u64::try_from(pages).ok()?.checked_mul(u64::try_from(size).ok()?)?;
    Some(control_group_limits().fold(physical, u64::min))
}

/// The limits of the process's control group (version 2), and of the groups that it is in.
fn control_group_limits() -> impl Iterator<Item = u64> {
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let folders: Vec<_> =
        Path::new(&group).ancestors().map(|group| Path::new("/sys/fs/cgroup").join(group)).collect();
    folders.into_iter().filter_map(|folder| {
        read_to_string(folder.join("memory.max")).ok().and_then(|text| text.trim().parse().ok())
    })
}

/// `limit` is in bytes; `None` means that there is no limit.
fn temporary_files(limit: Option<u64>) -> Finding {
    const ITEM: &str = "temporary files";
    match limit {
        None => Finding::good(ITEM, "a training's rows may take as much disk as there is"),
        Some(limit) if limit < FEW_TEMPORARY_BYTES => Finding::bad(
            ITEM,
            format!("temp_file_limit leaves a training {} for its rows and weights", size(limit)),
            "Raise temp_file_limit for the roles that train.",
        ),
        Some(limit) => Finding::good(ITEM, format!("a training's rows and weights may take {}", size(limit))),
    }
}

fn temporary_limit() -> Option<u64> {
    // SAFETY: this is a setting of this process. It is in kilobytes, and -1 means that there is no limit.
    let kilobytes = unsafe { pg_sys::temp_file_limit };
    u64::try_from(kilobytes).ok().map(|kilobytes| kilobytes << 10)
}

/// A size in the units of the server's settings.
pub fn size(bytes: u64) -> String {
    const GIGABYTE: f64 = (1_u64 << 30) as f64;
    match bytes as f64 / GIGABYTE {
        gigabytes if gigabytes >= 1.0 => format!("{gigabytes:.1} GB"),
        _ => format!("{} MB", bytes >> 20),
    }
}
