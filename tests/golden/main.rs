//! What each vendor is sent: every request of every operation as a snapshot, and against the vendor's own description.
//!
//! Answers come from the sandbox; then the same call is made with them as if to the vendor's own hosts, at a pinned time,
//! and what is rendered for it is kept in `CAPABILITY/VERB_CASE.VENDOR.snap`. A vendor that joins an operation is in the
//! suite by having a manifest; its snapshots are missing until somebody has looked at them.
//!
//! Where `ISOBAR_CONTRACTS` names the folder with the vendors' descriptions, the same requests and many more are checked
//! against them ([`official`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test fails by panicking, and may be slow"
)]

mod cases;
mod exchange;
mod official;
mod render;
mod trials;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    libtest_mimic::run(&arguments, trials::all()).exit_code()
}
