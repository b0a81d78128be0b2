//! `isobar sandbox`: simulators of every vendor, to try a configuration without any key.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use isobar_sandbox::{Sandbox, faults::read};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where it listens; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8999")]
    listen: SocketAddr,
    /// Print an `accounts:` section that points every vendor here, and end
    #[arg(long)]
    print_config: bool,
    /// Script of what goes wrong (YAML); more at `POST /_control/faults`
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    if arguments.print_config {
        let section = isobar_sandbox::print_config(&format!("http://{}", arguments.listen));
        io::stdout().lock().write_all(section.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let rules = match &arguments.faults {
        None => Vec::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)?;
            read(&text).map_err(|why| io::Error::other(format!("{}: {why}", path.display())))?
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(arguments.listen).await.map_err(|error| {
            io::Error::other(format!("cannot listen on {}: {error}", arguments.listen))
        })?;
        sandbox.faults().set(rules);
        let url = sandbox.url();
        let mut out = io::stdout().lock();
        writeln!(out, "every vendor is simulated at {url}/VENDOR/")?;
        writeln!(
            out,
            "  accounts:  isobar sandbox --listen {} --print-config",
            sandbox.address()
        )?;
        writeln!(
            out,
            "  faults:    POST {url}/_control/faults   ledger: GET {url}/_control/ledger"
        )?;
        writeln!(out, "Ctrl-C stops it")?;
        out.flush()?;
        drop(out);
        tokio::signal::ctrl_c().await
    })?;
    Ok(ExitCode::SUCCESS)
}
