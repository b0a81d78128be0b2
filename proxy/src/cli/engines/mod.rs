//! `isobar engines`: the engine behind speech at vendor `local`. `install` makes a Python environment for it, and without
//! more said it is run and kept running.

mod home;
mod install;
mod status;
mod supervise;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::home::Home;

/// The Python package, which has the weights of its model in it. Later versions do not.
const PACKAGE: &str = "moonshine-voice";
const VERSION: &str = "0.1.0";
/// The model, as it is told.
const MODEL: &str = "moonshine tiny-en, English";
/// The server, in Python.
const SERVER: &str = include_str!("speech.py");
/// Where accounts of vendor `local` look for it.
pub(super) const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8178);

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Speech to text on this machine, without a key: English, by the model moonshine tiny-en. \
        `isobar engines install` sets it up, once: it needs Python 3.8 or later, a package index in reach, and 220 MB of \
        disk. `isobar engines` then runs it, starts it again when it dies, and stops it on Ctrl-C or SIGTERM.\n\n\
        An account is    accounts: { local: { vendor: local } }\n\n\
        Everything else of Isobar, text at vendor `local` included, works without it."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    listening: Listening,
    /// Listen where other machines reach it too; it asks for no key
    #[arg(long)]
    allow_remote: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a Python environment with the engine and its model in it
    Install(InstallArguments),
    /// Say whether it is installed, and whether it answers
    Status(StatusArguments),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Doing it again is no harm: what is there and works is left alone, what is not is made anew. Packages \
        come from where pip is told to take them (PIP_INDEX_URL, pip.conf, https_proxy)."
)]
struct InstallArguments {
    #[command(flatten)]
    place: Place,
    /// Python to make the environment with
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "python3",
        env = "ISOBAR_PYTHON",
        hide_env_values = true
    )]
    python: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "The exit code is 0 only if it is installed and answers.")]
struct StatusArguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    listening: Listening,
}

/// Where the engine is installed.
#[derive(Debug, Args)]
struct Place {
    /// Folder of the engine; by default isobar/engines in $XDG_DATA_HOME or ~/.local/share
    #[arg(
        long,
        value_name = "DIR",
        env = "ISOBAR_ENGINES",
        hide_env_values = true
    )]
    dir: Option<PathBuf>,
}

/// Where the engine serves.
#[derive(Debug, Args)]
struct Listening {
    /// Where it listens; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value_t = LISTEN)]
    listen: SocketAddr,
}

pub(super) fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.what {
            None => {
                let listen = arguments.listening.listen;
                if !listen.ip().is_loopback() && !arguments.allow_remote {
                    return Err(io::Error::other(format!(
                        "{listen} can be reached from elsewhere and the engine asks for no key; \
                         say `--allow-remote` if that is meant"
                    )));
                }
                let home = Home::new(arguments.place.dir)?;
                supervise::run(&home, listen).await
            }
            Some(What::Install(install)) => {
                let home = Home::new(install.place.dir)?;
                let mut stop = Stop::listen()?;
                // Dropping the work ends the programs that it runs.
                tokio::select! {
                    done = install::run(&home, &install.python) => done,
                    () = stop.asked() => Err(io::Error::other(
                        "stopped before it was finished; `isobar engines install` begins anew",
                    )),
                }
            }
            Some(What::Status(status)) => {
                let home = Home::new(status.place.dir)?;
                status::run(&home, status.listening.listen).await
            }
        }
    })
}

/// The signals that ask to stop.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [terminate, interrupt, hang_up] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
