//! The command line. Every command prints what it was asked for on standard output and everything else on standard
//! error; the exit code is 0 when it worked, 1 when it did not and 2 for wrong arguments.

mod call;
mod check;
mod completions;
mod composition_text;
mod demo;
mod effects;
mod engines;
mod explain;
mod insights;
mod key;
mod logging;
mod man;
mod notify;
mod openapi;
mod run;
mod sandbox;
mod serve;
mod style;
mod test;
mod top;
mod vendors;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

/// One URL in front of many clouds: picks a vendor, fails over, and can be changed while it runs.
#[derive(Debug, Parser)]
#[command(
    name = "isobar",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Try it:   isobar demo\n\
        Look:     isobar check isobar.yaml && isobar explain -c isobar.yaml\n\
        Start:    isobar serve -c isobar.yaml\n\n\
        Exit codes: 0 it worked, 1 it did not, 2 wrong arguments."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration: SIGHUP reloads, SIGUSR2 upgrades, SIGTERM or Ctrl-C drains and stops
    Serve(serve::Arguments),
    /// Watch a running gateway: routes, accounts, breakers, latencies, the last failures
    Top(top::Arguments),
    /// Check a configuration and report every mistake in it
    Check(check::Arguments),
    /// Say what a request would meet: which accounts, in which order, and its limits
    Explain(explain::Arguments),
    /// Print the JSON Schema of the configuration, of compositions or of their cases, for editors
    Schema(SchemaArguments),
    /// Describe what a configuration serves as OpenAPI 3.1
    Openapi(openapi::Arguments),
    /// Make a client key, or the digest of one, for the `clients` section
    Key(key::Arguments),
    /// Call one operation, such as `speech.transcribe`, with the accounts of a configuration
    Call(call::Arguments),
    /// Run one composition with the accounts of a configuration
    Run(run::Arguments),
    /// Try the cases beside compositions, offline: `NAME.test.yaml`
    Test(test::Arguments),
    /// List what compositions did that has not come to its end, and settle what a person has looked at
    Effects(effects::Arguments),
    /// List the vendors: who offers what, within which limits, at which price
    Vendors(vendors::Arguments),
    /// Simulate every vendor, to try a configuration without any key
    Sandbox(sandbox::Arguments),
    /// Run the speech engine of vendor `local` on this machine; `engines install` sets it up
    Engines(engines::Arguments),
    /// Show failovers and a composition in front of local servers, then keep serving
    Demo(demo::Arguments),
    /// Print what a shell needs to complete these commands
    Completions(completions::Arguments),
    /// Print a manual page, or write all of them into a folder
    Man(man::Arguments),
}

#[derive(Debug, Args)]
struct SchemaArguments {
    /// Print the JSON Schema of composition files instead
    #[arg(long, conflicts_with = "reference")]
    composition: bool,
    /// Print the JSON Schema of the cases beside compositions (`NAME.test.yaml`) instead
    #[arg(long, conflicts_with_all = ["reference", "composition"])]
    cases: bool,
    /// Print the configuration reference (Markdown) instead
    #[arg(long)]
    reference: bool,
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct Source {
    /// Configuration: a YAML file, or a folder of YAML files
    #[arg(
        short,
        long,
        value_name = "FILE|DIR",
        default_value = "isobar.yaml",
        env = "ISOBAR_CONFIG",
        hide_env_values = true
    )]
    config: PathBuf,
}

/// Runs one command.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Schema(arguments) => schema(&arguments),
        Command::Call(arguments) => call::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Effects(arguments) => effects::run(&arguments),
        Command::Vendors(arguments) => vendors::run(&arguments),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::Engines(arguments) => engines::run(arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match done {
        Ok(code) => code,
        // Whoever reads our output has had enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "isobar: {error}");
            ExitCode::FAILURE
        }
    }
}

fn schema(arguments: &SchemaArguments) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if arguments.reference {
        out.write_all(isobar_config::reference().as_bytes())?;
    } else {
        let schema = if arguments.composition {
            isobar_compositions::schema()
        } else if arguments.cases {
            isobar_compositions::cases::schema()
        } else {
            isobar_config::schema()
        };
        serde_json::to_writer_pretty(&mut out, &schema)?;
        out.write_all(b"\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
