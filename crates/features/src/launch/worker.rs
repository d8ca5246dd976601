//! A thread that works on one thing after the other, while its owner prepares the next.

use crate::FeatureError;
use std::panic::resume_unwind;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::thread::{Builder, JoinHandle};

/// So many things are with the thread at most: the one that it works on, the next, and one that is done.
const IN_FLIGHT: usize = 3;

/// A thread with a state `S` that works on things `T`, which come back in the same order.
///
/// The thread has the signal mask of the thread that starts it. A panic in it goes on in its owner. Whoever drops the worker
/// waits until the thread has ended, after the things that it was given.
pub struct Worker<S, T> {
    things: SyncSender<T>,
    done: Receiver<Result<T, FeatureError>>,
    in_flight: usize,
    /// Until it has been waited for.
    thread: Option<JoinHandle<S>>,
}

impl<S: Send + 'static, T: Send + 'static> Worker<S, T> {
    pub fn start(
        name: &str,
        mut state: S,
        work: fn(&mut S, &mut T) -> Result<(), FeatureError>,
    ) -> std::io::Result<Self> {
        let (things, received) = sync_channel::<T>(IN_FLIGHT);
        let (finished, done) = sync_channel(IN_FLIGHT);
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            for mut thing in received {
                let result = work(&mut state, &mut thing).map(|()| thing);
                let failed = result.is_err();
                if finished.send(result).is_err() || failed {
                    break;
                }
            }
            state
        })?;
        Ok(Self { things, done, in_flight: 0, thread: Some(thread) })
    }

    /// Hands over a thing. Where enough are with the thread already, waits for one of them and gives it back. After an
    /// error the worker is of no more use.
    pub fn hand_over(&mut self, thing: T) -> Result<Option<T>, FeatureError> {
        let done = match self.in_flight {
            IN_FLIGHT => self.take_back()?,
            _ => None,
        };
        // Never waits, for there is room for as many as are in flight. It fails where the thread has ended, which the next
        // thing that is taken back tells.
        let _ = self.things.send(thing);
        self.in_flight += 1;
        Ok(done)
    }

    /// Waits for the next thing and takes it back, `None` where the thread has none.
    pub fn take_back(&mut self) -> Result<Option<T>, FeatureError> {
        if self.in_flight == 0 {
            return Ok(None);
        }
        self.in_flight -= 1;
        match self.done.recv() {
            Ok(result) => result.map(Some),
            Err(_) => self.join().and(Err(ended())),
        }
    }

    /// The state, once all things have been taken back.
    pub fn finish(mut self) -> Result<S, FeatureError> {
        while self.take_back()?.is_some() {}
        self.join()
    }

    fn join(&mut self) -> Result<S, FeatureError> {
        self.end().ok_or_else(ended)?.map_err(|panic| resume_unwind(panic))
    }
}

impl<S, T> Worker<S, T> {
    /// Waits for the end of the thread; `None` where it has been waited for.
    fn end(&mut self) -> Option<std::thread::Result<S>> {
        let thread = self.thread.take()?;
        // Nothing more comes, which ends the thread.
        self.things = sync_channel(0).0;
        Some(thread.join())
    }
}

impl<S, T> Drop for Worker<S, T> {
    fn drop(&mut self) {
        // Whatever became of the thread, its owner has an error of its own.
        let _ = self.end();
    }
}

fn ended() -> FeatureError {
    FeatureError::Argument { message: "a worker is used that has ended".into(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn add(sum: &mut u32, number: &mut u32) -> Result<(), FeatureError> {
        match number {
            13 => Err(FeatureError::Text("thirteen".into())),
            14 => panic!("fourteen"),
            _ => {
                *sum += *number;
                *number = *sum;
                Ok(())
            }
        }
    }

    fn worker() -> Worker<u32, u32> {
        Worker::start("test", 0, add).unwrap()
    }

    #[test]
    fn things_come_back_in_order_and_the_state_in_the_end() {
        let mut worker = worker();
        let mut sums: Vec<_> = (1..=10).filter_map(|number| worker.hand_over(number).unwrap()).collect();
        assert_eq!(sums.len(), 10 - IN_FLIGHT);
        while let Some(sum) = worker.take_back().unwrap() {
            sums.push(sum);
        }
        assert_eq!(sums, [1, 3, 6, 10, 15, 21, 28, 36, 45, 55]);
        worker.hand_over(5).unwrap();
        assert_eq!(worker.finish().unwrap(), 60);
    }

    #[test]
    fn an_error_is_told_instead_of_its_thing_and_ends_the_work() {
        let mut worker = worker();
        for number in [1, 13, 2] {
            worker.hand_over(number).unwrap();
        }
        assert_eq!(worker.take_back().unwrap(), Some(1));
        assert_eq!(worker.take_back().unwrap_err(), FeatureError::Text("thirteen".into()));
        assert!(worker.take_back().is_err() && worker.finish().is_err());
    }

    #[test]
    fn a_worker_that_is_dropped_has_ended() {
        let alive = Arc::new(());
        let mut worker = Worker::start("test", alive.clone(), |_, (): &mut ()| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        })
        .unwrap();
        worker.hand_over(()).unwrap();
        drop(worker);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn a_panic_goes_on_in_the_owner() {
        let mut worker = worker();
        worker.hand_over(14).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.take_back()));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"fourteen"));
    }
}
