//! The engine over canned answers: order, parallelism, failure, degradation, races, compensation, limits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a test fails by panicking"
)]

mod compensation;
mod faults;
mod order;
mod stage;
