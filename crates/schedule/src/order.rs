//! Which of the things that are due may start.
//!
//! A thing waits for what it needs while that is due, runs, or is to be tried again, but no longer than a day, and no longer
//! than until its own next regular time: what never gets done must not stop everything that stands behind it. Two things of
//! one model never run at once, however long that takes.

use crate::SECOND;

/// How long a thing waits for what it needs, at most.
pub const LONGEST_WAIT: i64 = 24 * 3600 * SECOND;

/// What a thing is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its time came at this moment.
    Due(i64),
    Running,
    /// It failed, and will be tried again.
    Retrying,
    /// Its next time is still to come, or it is paused.
    Idle,
}

/// A thing that is done at its times.
#[derive(Debug, Clone)]
pub struct Task {
    pub state: State,
    /// The places of what it needs in the list of all.
    pub needs: Vec<usize>,
    /// Things of the same model or view: only one of them runs at a time. The number is any that they share.
    pub subject: usize,
    /// Its regular time after the one at which it became due.
    pub next_regular: Option<i64>,
}

/// What becomes of a thing that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Start,
    /// It needs the thing at this place.
    WaitsFor(usize),
    /// The thing at this place is of the same model, and runs.
    TakesTurns(usize),
    /// As many run as may.
    NoRoom,
}

/// Decides of each thing that is due, in the order in which they became due. `most` may run at once.
pub fn decide(tasks: &[Task], now: i64, most: usize) -> Vec<(usize, Decision)> {
    let mut running: Vec<bool> = tasks.iter().map(|task| task.state == State::Running).collect();
    let mut due: Vec<(i64, usize)> = tasks
        .iter()
        .enumerate()
        .filter_map(|(place, task)| match task.state {
            State::Due(since) => Some((since, place)),
            _ => None,
        })
        .collect();
    due.sort_unstable();
    let mut decided = Vec::new();
    for (since, place) in due {
        let task = &tasks[place];
        let pending = |needed: &&usize| **needed != place && tasks[**needed].state != State::Idle;
        let same =
            |other: &usize| *other != place && running[*other] && tasks[*other].subject == task.subject;
        let decision = if let Some(other) = (0..tasks.len()).find(same) {
            Decision::TakesTurns(other)
        } else if let Some(needed) = task.needs.iter().find(pending).filter(|_| now < patience(task, since)) {
            Decision::WaitsFor(*needed)
        } else if running.iter().filter(|running| **running).count() >= most {
            Decision::NoRoom
        } else {
            running[place] = true;
            Decision::Start
        };
        decided.push((place, decision));
    }
    decided
}

/// The moment from which a thing no longer waits for what it needs.
fn patience(task: &Task, since: i64) -> i64 {
    let longest = since.saturating_add(LONGEST_WAIT);
    task.next_regular.map_or(longest, |next| next.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = LONGEST_WAIT;

    fn task(state: State, needs: &[usize], subject: usize) -> Task {
        Task { state, needs: needs.to_vec(), subject, next_regular: None }
    }

    #[test]
    fn a_thing_waits_while_what_it_needs_is_under_way() {
        for state in [State::Due(5), State::Running, State::Retrying] {
            let decided = decide(&[task(state, &[], 0), task(State::Due(1), &[0], 1)], 10, 9);
            assert!(decided.contains(&(1, Decision::WaitsFor(0))), "{state:?}: {decided:?}");
        }
        let decided = decide(&[task(State::Idle, &[], 0), task(State::Due(1), &[0], 1)], 10, 9);
        assert_eq!(decided, [(1, Decision::Start)]);
    }

    #[test]
    fn no_thing_waits_for_ever() {
        let wait = |now, next_regular| {
            let waiting = Task { next_regular, ..task(State::Due(0), &[0], 1) };
            decide(&[task(State::Running, &[], 0), waiting], now, 9)[0].1
        };
        assert_eq!(wait(DAY - 1, None), Decision::WaitsFor(0));
        assert_eq!(wait(DAY, None), Decision::Start);
        assert_eq!(wait(99, Some(100)), Decision::WaitsFor(0));
        assert_eq!(wait(100, Some(100)), Decision::Start);
        assert_eq!(wait(DAY, Some(2 * DAY)), Decision::Start);
    }

    #[test]
    fn two_of_one_model_take_turns_however_long_that_takes() {
        let decided = decide(&[task(State::Running, &[], 7), task(State::Due(0), &[], 7)], 9 * DAY, 9);
        assert_eq!(decided, [(1, Decision::TakesTurns(0))]);
        let decided = decide(&[task(State::Due(1), &[], 7), task(State::Due(0), &[], 7)], 9 * DAY, 9);
        assert_eq!(decided, [(1, Decision::Start), (0, Decision::TakesTurns(1))]);
    }

    #[test]
    fn no_more_run_than_may_and_the_longest_due_come_first() {
        let tasks = [
            task(State::Due(3), &[], 0),
            task(State::Due(1), &[], 1),
            task(State::Due(2), &[], 2),
            task(State::Running, &[], 3),
        ];
        assert_eq!(
            decide(&tasks, 9, 2),
            [(1, Decision::Start), (2, Decision::NoRoom), (0, Decision::NoRoom)]
        );
    }

    fn any_state() -> impl Strategy<Value = State> {
        prop_oneof![
            (0..9_i64).prop_map(State::Due),
            Just(State::Running),
            Just(State::Retrying),
            Just(State::Idle)
        ]
    }

    proptest! {
        #[test]
        fn whatever_needs_whatever_nothing_starts_twice_and_in_a_day_something_starts(
            made in proptest::collection::vec((any_state(), proptest::collection::vec(0..6_usize, 0..4), 0..3_usize), 6),
        ) {
            let tasks: Vec<_> = made.iter().map(|(state, needs, subject)| task(*state, needs, *subject)).collect();
            let running: Vec<usize> = (0..6).filter(|n| tasks[*n].state == State::Running).collect();
            let decided = decide(&tasks, 9 + DAY, 6);
            let started: Vec<usize> = decided.iter().filter(|(_, d)| *d == Decision::Start).map(|(n, _)| *n).collect();
            let mut subjects: Vec<_> = started.iter().map(|n| tasks[*n].subject).collect();
            let free = |n: &usize| running.iter().all(|other| tasks[*other].subject != tasks[*n].subject);
            prop_assert!(started.iter().all(free));
            subjects.sort_unstable();
            subjects.dedup();
            prop_assert_eq!(subjects.len(), started.len());
            // Circles of need included.
            let could = decided.iter().any(|(n, _)| free(n));
            prop_assert_eq!(could, !started.is_empty());
        }
    }
}
