//! `isobar completions`: what a shell needs to complete commands, made from the same declarations as the help.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

#[derive(Debug, Args)]
#[command(
    after_help = "bash:  isobar completions bash > ~/.local/share/bash-completion/completions/isobar\n\
        zsh:   isobar completions zsh > ~/.zfunc/_isobar, with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc\n\
        fish:  isobar completions fish > ~/.config/fish/completions/isobar.fish"
)]
pub(super) struct Arguments {
    /// Shell to complete in
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    // Made as a whole first: the maker panics when its reader has had enough.
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "isobar", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
