//! Rules of the house that no compiler knows.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod code;
mod security;
mod vendors;
