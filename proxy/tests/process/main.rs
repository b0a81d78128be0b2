//! The binary itself: started, signalled, killed, and looked at from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test fails by panicking, and may be slow"
)]

mod binary;
mod bombs;
mod commands;
mod compositions;
#[path = "../../../tests/e2e/effects.rs"]
mod effects;
mod engines;
mod memory;
mod restart;
mod secrets;
mod signals;
mod store;
mod threads;
mod tls;
mod top;
mod upgrade;
mod upgrade_http2;
