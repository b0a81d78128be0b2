//! What compositions cost: one that is served, beside the same written by hand in Rust, Node and Python, and the engine
//! alone. Called by `benches/compositions`, which builds and installs what it needs.

mod plans;

use std::{io, path::PathBuf};

use clap::{Parser, ValueEnum};
use isobar_benches::composed;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compositions side by side with what one would write by hand.
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
    /// Only the two that are written in Rust
    #[arg(long)]
    rust: bool,
    /// Folder with Node's and Python's packages
    #[arg(long, default_value = "target/byhand")]
    cache: PathBuf,
    /// Folder with the programs in Node and Python
    #[arg(long, default_value = "benches/byhand")]
    scripts: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A composition, served
    Served,
    /// Plans of many steps over answers that are there at once, in this process
    Plans,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let wants = |part| arguments.only.is_none_or(|only| only == part);
    if wants(Part::Plans) {
        plans::run(arguments.rounds)?;
    }
    if wants(Part::Served) {
        let options = composed::Options {
            rounds: arguments.rounds,
            seconds: arguments.seconds,
            cache: (!arguments.rust).then_some(&*arguments.cache),
            scripts: &arguments.scripts,
        };
        for section in composed::run(&options)? {
            println!("{}", section.markdown());
        }
    }
    Ok(())
}
