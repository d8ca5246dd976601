//! What the process may still allocate. The kernel holds the bound (`RLIMIT_DATA`, which the server sets from
//! `reco.max_training_memory` and a shell by `ulimit -d`); here it is read, so that what cannot fit is refused before it
//! is begun.

use crate::error::TrainerError;
use std::fs::read_to_string;

const MEBIBYTE: u64 = 1 << 20;

/// Bytes that may still be allocated; `None` without a bound.
pub fn left() -> Option<u64> {
    let limit = data_limit(&read_to_string("/proc/self/limits").ok()?)?;
    let used = data_used(&read_to_string("/proc/self/status").ok()?)?;
    Some(limit.saturating_sub(used))
}

/// Refuses `what` if it needs more bytes than may still be allocated; `help` is a sentence.
pub fn check(what: &str, bytes: u64, help: &str) -> Result<(), TrainerError> {
    match left() {
        Some(left) if bytes > left => Err(too_little(what, bytes, left, help)),
        _ => Ok(()),
    }
}

/// The error for `what` that needs so many bytes where there are `left`; `help` is a sentence.
pub fn too_little(what: &str, bytes: u64, left: u64, help: &str) -> TrainerError {
    TrainerError::Memory {
        message: format!("{what} would take {} of memory, and {} are left", shown(bytes), shown(left)),
        hint: format!("Raise reco.max_training_memory. {help}"),
    }
}

/// Makes room for `more` elements. The vector grows by an eighth at a time, since doubling would take up to twice the
/// memory that is used.
pub fn grow<T>(values: &mut Vec<T>, more: usize) {
    if values.capacity() - values.len() < more {
        values.reserve_exact(more.max(values.len() / 8));
    }
}

fn shown(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(MEBIBYTE))
}

/// The soft limit in bytes, from the text of `/proc/self/limits`.
fn data_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max data size"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The bytes that count against the limit, from the text of `/proc/self/status`.
fn data_used(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax data size    629145600   unlimited   bytes\n";
        assert_eq!(data_limit(limits), Some(629_145_600));
        assert_eq!(data_limit("Max data size   unlimited  unlimited  bytes"), None);
        assert_eq!(data_used("VmStk:\t132 kB\nVmData:\t   64576 kB\n"), Some(64_576 << 10));
        assert!(data_used(&read_to_string("/proc/self/status").unwrap()).is_some());
    }
}
