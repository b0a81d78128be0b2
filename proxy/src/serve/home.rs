//! Where a connection to a vendor is waited for: by the runtime of the thread that opened it, or that moved it to itself.

use std::cell::Cell;

thread_local! {
    static HOME: Cell<usize> = const { Cell::new(0) };
}

/// Says that this thread alone runs the runtime of this number, which is not zero.
pub(crate) fn set(number: usize) {
    HOME.set(number);
}

/// Number of this thread's runtime; zero where threads share one.
pub(crate) fn here() -> usize {
    HOME.get()
}
