//! The learning rate of each step.

use model::params::Schedule;
use std::f64::consts::PI;

/// The share of a one-cycle schedule (Smith and Topin 2018) in which the rate rises; PyTorch's default.
const RISE: f64 = 0.3;
/// The share of the full rate that a one-cycle schedule starts with; PyTorch's default.
const START: f64 = 1.0 / 25.0;

/// The factor of the learning rate at `step` (from 0) of `steps`.
pub fn factor(schedule: Schedule, step: usize, steps: usize) -> f64 {
    let place = step as f64 / (steps.max(2) - 1) as f64;
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine => between(1.0, 0.0, step as f64 / steps.max(1) as f64),
        Schedule::OneCycle if place < RISE => between(START, 1.0, place / RISE),
        Schedule::OneCycle => between(1.0, 0.0, (place - RISE) / (1.0 - RISE)),
    }
}

/// Half a cosine from one value to the other.
fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_begin_and_end_where_they_say() {
        let at = |schedule, step| (factor(schedule, step, 101) * 1e9).round() / 1e9;
        assert_eq!((at(Schedule::Constant, 0), at(Schedule::Constant, 100)), (1.0, 1.0));
        assert_eq!(at(Schedule::Cosine, 0), 1.0);
        assert!(at(Schedule::Cosine, 100) < 1e-3);
        assert_eq!([0, 30, 100].map(|step| at(Schedule::OneCycle, step)), [0.04, 1.0, 0.0]);
        assert!(factor(Schedule::OneCycle, 0, 1).is_finite());
    }
}
