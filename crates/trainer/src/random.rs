//! Random numbers of libtorch. The process has one generator; whoever draws from it locks it, so that the same seed
//! gives the same numbers whatever other threads do.

use parking_lot::Mutex;

static GENERATOR: Mutex<()> = Mutex::new(());

/// Runs `draw` with the generator seeded. `draw` must not call this function: the lock is not reentrant.
pub fn seeded<T>(seed: u64, draw: impl FnOnce() -> T) -> T {
    let _alone = GENERATOR.lock();
    tch::manual_seed(seed as i64);
    draw()
}
