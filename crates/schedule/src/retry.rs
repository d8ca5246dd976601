//! How long a failed attempt waits for the next.

use crate::SECOND;

/// However often it failed, the next attempt comes within a day.
pub const LONGEST_DELAY: i64 = 24 * 3600 * SECOND;

/// The wait after so many failed attempts, 1 or more: `delay` at first, twice as long each time, [`LONGEST_DELAY`] at most.
pub fn retry_after(delay: i64, failed: u32) -> i64 {
    let doubled = failed.saturating_sub(1).min(62);
    delay.saturating_mul(1 << doubled).clamp(0, LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_the_one_before() {
        let waits: Vec<_> = (1..=4).map(|failed| retry_after(5 * SECOND, failed) / SECOND).collect();
        assert_eq!(waits, [5, 10, 20, 40]);
    }

    #[test]
    fn no_wait_is_longer_than_a_day() {
        assert_eq!(retry_after(SECOND, 40), LONGEST_DELAY);
        assert_eq!(retry_after(LONGEST_DELAY, u32::MAX), LONGEST_DELAY);
        assert_eq!(retry_after(i64::MAX, 2), LONGEST_DELAY);
    }
}
