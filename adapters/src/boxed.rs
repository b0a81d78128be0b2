//! Futures that are made where they stay.

use std::pin::Pin;

/// A future in a box, made in it. `Box::pin(future)` makes the future first and copies it, whole, to its box: what a call
/// needs until its end may be thousands of bytes, and at its beginning hardly any of them says anything.
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
