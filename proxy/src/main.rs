//! The binary `isobar`.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

// Chosen by measurement: docs/decisions/0006-allocator-and-threads.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
