//! Polling with a deadline.

use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `found` brings something; panics with `what` when the deadline passes.
pub fn wait_for<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, what, found)
}

fn wait_within<T>(deadline: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits until the condition holds that something brings about which acts once a minute, or does a dozen trainings.
pub fn wait_minutes_until(what: &str, mut holds: impl FnMut() -> bool) {
    const MINUTES: Duration = Duration::from_secs(150);
    wait_within(MINUTES, what, || holds().then_some(()));
}

/// Waits until the condition holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
