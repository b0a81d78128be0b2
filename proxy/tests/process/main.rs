//! The binary itself: started, signalled, killed, and looked at from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a helper's panic is how a test fails, and no test is so long that its texts count"
)]

mod binary;
mod commands;
mod memory;
mod restart;
mod secrets;
mod signals;
mod tls;
