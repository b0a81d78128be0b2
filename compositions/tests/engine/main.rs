//! The engine over canned answers: order, parallelism, failure, degradation, races, compensation, limits.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod compensation;
mod faults;
mod order;
mod stage;
