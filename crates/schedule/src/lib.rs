//! Schedules without a server: when a time comes, how long a retry waits, and which of several things may start now.
//!
//! Moments are microseconds since 1970, as a server counts them but for the day they are counted from.

mod expression;
mod order;
mod retry;

pub use expression::{zone, Calendar, ScheduleError, LONGEST_EXPRESSION};
pub use order::{decide, Decision, State, Task, LONGEST_WAIT};
pub use retry::{retry_after, LONGEST_DELAY};

/// A second, as moments are counted.
pub const SECOND: i64 = 1_000_000;
