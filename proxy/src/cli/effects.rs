//! `isobar effects`: what compositions did that has not come to its end, and a person's word on it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use isobar::journal::{self, Settled, Standing};

use super::{Source, style::Style};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forget an effect that you have looked at and put in order; its request's key can be used again
    Settle {
        /// The run, as listed and as `isobar-run` told the client
        run: String,
        /// Which of the run's effects, as listed
        #[arg(default_value_t = 0)]
        number: u32,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Debug, Args)]
struct List {
    /// Only those that a person must look at
    #[arg(long)]
    review: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let source = match &arguments.command {
        Some(Command::Settle { source, .. }) => source,
        None => &arguments.list.source,
    };
    let state = match isobar::load(&source.config) {
        Ok(loaded) => loaded.checked.config.state.clone(),
        Err(report) => {
            let text = report.text(Style::stderr().is_coloured());
            io::stderr().write_all(text.as_bytes())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(Command::Settle { run, number, .. }) = &arguments.command {
        let settled = runtime.block_on(journal::settle(&state, run, *number));
        return match settled.map_err(io::Error::other)? {
            Settled::Done => {
                writeln!(io::stdout(), "settled: effect {number} of run {run}")?;
                Ok(ExitCode::SUCCESS)
            }
            Settled::NotForReview => Err(io::Error::other(format!(
                "effect {number} of run {run} needs nobody: the gateway takes it back, or its run is under way"
            ))),
            Settled::Unknown => Err(io::Error::other(format!(
                "no effect {number} of run {run} is open; `isobar effects` lists those that are"
            ))),
        };
    }
    let standing = runtime.block_on(journal::standing(&state));
    let mut standing = standing.map_err(io::Error::other)?;
    if arguments.list.review {
        standing.retain(|effect| effect.state == "needs_review");
    }
    let mut out = io::stdout().lock();
    if arguments.list.json {
        serde_json::to_writer_pretty(&mut out, &standing)?;
        writeln!(out)?;
    } else {
        tell(&mut out, &standing)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &mut impl io::Write, standing: &[Standing]) -> io::Result<()> {
    let style = Style::stdout();
    if standing.is_empty() {
        return writeln!(out, "No effect is open.");
    }
    for effect in standing {
        let state = match effect.state {
            "needs_review" => style.bad("needs review"),
            "done" => "to be taken back".to_owned(),
            _ => "begun".to_owned(),
        };
        writeln!(
            out,
            "{}  {}  {}.{}  {state}",
            effect.run, effect.number, effect.composition, effect.step
        )?;
        if let Some(why) = &effect.why {
            writeln!(out, "    {why}")?;
        }
    }
    if standing.iter().any(|effect| effect.state == "needs_review") {
        let next = "Look at the vendor, put it in order, then: isobar effects settle RUN NUMBER";
        writeln!(out, "\n{}", style.dim(next))?;
    }
    Ok(())
}
