//! `isobar openapi`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

use super::{Source, style::Style};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Print the page for people instead
    #[arg(long)]
    html: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let checked = match isobar::load(&arguments.source.config) {
        Ok(loaded) => loaded.checked,
        Err(report) => {
            let text = report.text(Style::stderr().is_coloured());
            io::stderr().write_all(text.as_bytes())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let document = isobar::openapi::document(&checked);
    let mut out = io::stdout().lock();
    if arguments.html {
        out.write_all(isobar::openapi::page(&document).as_bytes())?;
    } else {
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}
