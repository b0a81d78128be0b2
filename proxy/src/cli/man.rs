//! `isobar man`: manual pages, made from the same declarations as the help.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

#[derive(Debug, Args)]
#[command(after_help = "Read one:     isobar man serve | man -l -\n\
        Install all:  isobar man --into /usr/local/share/man/man1")]
pub(super) struct Arguments {
    /// Command whose page is printed, such as `serve` or `engines install`; without it, that of the program
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the page of every command into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    into: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut program = super::Arguments::command().disable_help_subcommand(true);
    if let Some(folder) = &arguments.into {
        fs::create_dir_all(folder)?;
        clap_mangen::generate_to(program, folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Gives every command its full name.
    program.build();
    let mut command = &program;
    for name in &arguments.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            let known: Vec<&str> = command
                .get_subcommands()
                .map(clap::Command::get_name)
                .collect();
            let known = match known.as_slice() {
                [] => "it has no commands".to_owned(),
                known => format!("there are: {}", known.join(", ")),
            };
            let of = command.get_bin_name().unwrap_or("isobar");
            io::Error::other(format!("`{of}` has no command `{name}`; {known}"))
        })?;
    }
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    io::stdout().lock().write_all(&page)?;
    Ok(ExitCode::SUCCESS)
}
