//! What adapters cost: a request rendered, an answer read, and whole calls through a gateway beside the same by hand.
//! Called by `benches/adapters`, which builds what it needs.

mod memory;
mod work;

use std::io;

use clap::{Parser, ValueEnum};
use isobar_benches::calls;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Adapters side by side with what one would write by hand.
#[derive(Parser)]
struct Arguments {
    /// Rounds; subjects alternate within each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load for each subject in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only this part
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Requests rendered and answers read, in this process
    Work,
    /// Calls through a gateway
    Calls,
    /// Memory under large uploads
    Memory,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let wants = |part| arguments.only.is_none_or(|only| only == part);
    if wants(Part::Work) {
        work::run(arguments.rounds)?;
    }
    if wants(Part::Calls) {
        for section in calls::run(arguments.rounds, arguments.seconds)? {
            println!("{}", section.markdown());
        }
    }
    if wants(Part::Memory) {
        memory::run()?;
    }
    Ok(())
}
