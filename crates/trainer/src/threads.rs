//! Work on several threads at once, where it can be cut into slices.

/// Runs `f` on every item, on up to `threads` threads, each of which gets a slice of the items.
pub fn on_each<T: Send>(items: &mut [T], threads: usize, f: impl Fn(&mut T) + Sync) {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let f = &f;
    std::thread::scope(|scope| {
        for slice in items.chunks_mut(share) {
            scope.spawn(move || slice.iter_mut().for_each(f));
        }
    });
}
