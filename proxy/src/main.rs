//! The binary `isobar`.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

// Its feature `override` puts it in malloc's place: docs/decisions/0006-allocator-and-threads.md.
use mimalloc as _;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
