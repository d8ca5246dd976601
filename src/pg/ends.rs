//! Tells one listener of a higher floor that a statement of the client, or a transaction, is over.

use std::cell::Cell;

thread_local! {
    static LISTENER: Cell<Option<fn(Ended)>> = const { Cell::new(None) };
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Well,
    WithError,
}

/// From now on `listener` is called when the outermost run of a query ends, and when a transaction ends. It raises no
/// error. A process may load the library once only, so there is one listener.
pub fn listen(listener: fn(Ended)) {
    LISTENER.set(Some(listener));
}

pub fn tell(ended: Ended) {
    // When the process exits, the cell may be gone already.
    if let Ok(Some(listener)) = LISTENER.try_with(Cell::get) {
        listener(ended);
    }
}
