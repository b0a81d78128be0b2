//! `isobar serve`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use isobar::{Host, Origin, Reload, ReloadError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Source, check, logging, style::Style};

#[derive(Debug, Args)]
#[command(
    after_help = "A configuration with a mistake is not started, and a reload that has one changes nothing.\n\
        A second SIGTERM or Ctrl-C stops at once.\n\
        ISOBAR_LOG sets what is told on standard error: `warn`, `debug`, `error,isobar=debug`; by default\n\
        `error,isobar=info`. The access log goes where `log` in the configuration says."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Threads that serve requests; by default as many as there are cores
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

pub(super) fn run(arguments: Arguments) -> io::Result<ExitCode> {
    logging::start();
    let style = Style::stderr();
    let loaded = match isobar::load(&arguments.source.config) {
        Ok(loaded) => loaded,
        Err(report) => {
            let mut out = io::stderr().lock();
            out.write_all(report.text(style.is_coloured()).as_bytes())?;
            writeln!(
                out,
                "{}  {}",
                style.bad("not started"),
                check::counts(&report)
            )?;
            return Ok(ExitCode::FAILURE);
        }
    };
    io::stderr().write_all(loaded.report.text(style.is_coloured()).as_bytes())?;
    let runtime = runtime(arguments.threads.map(std::num::NonZeroUsize::get))?;
    let origin = Origin {
        path: arguments.source.config,
        files: loaded.files,
    };
    runtime.block_on(serve(loaded.checked, origin, style))
}

/// The runtime that serves requests.
pub(super) fn runtime(threads: Option<usize>) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("serve").build()
}

async fn serve(checked: isobar::Checked, origin: Origin, style: Style) -> io::Result<ExitCode> {
    // Listened for before the first request, so that none of them kills a request.
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (summary, open) = (
        check::summary(&checked.config),
        checked.config.clients.is_none(),
    );
    let listen = checked.config.listen.iter();
    let schemes: Vec<&str> = listen
        .map(|listen| {
            if listen.tls.is_some() {
                "https"
            } else {
                "http"
            }
        })
        .collect();
    let host = Host::start(checked, Some(origin))
        .await
        .map_err(io::Error::other)?;
    let out = || io::stderr().lock();
    writeln!(
        out(),
        "{} {}: {summary}",
        style.bold("isobar"),
        env!("CARGO_PKG_VERSION")
    )?;
    for (scheme, address) in schemes.iter().zip(host.addresses()) {
        writeln!(out(), "  serving  {scheme}://{address}")?;
    }
    if let Some(address) = host.admin() {
        writeln!(out(), "  admin    http://{address}/status")?;
    }
    if open {
        let note = "no `clients` section: only loopback is served and any key is accepted";
        writeln!(out(), "  note     {note}")?;
    }
    let hint = "SIGHUP or a changed file reloads; Ctrl-C drains and stops";
    writeln!(out(), "  {}", style.dim(hint))?;
    loop {
        tokio::select! {
            _ = hang_up.recv() => tell(&host.reload().await, style)?,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    writeln!(out(), "draining; a second signal stops at once")?;
    tokio::select! {
        drained = host.drain(None) => {
            let millis = drained.took.as_millis();
            if drained.cut > 0 {
                let cut = check::count(usize::try_from(drained.cut).unwrap_or_default(), "request");
                writeln!(out(), "stopped after {millis} ms; time was up for {cut}")?;
                return Ok(ExitCode::FAILURE);
            }
            writeln!(out(), "stopped after {millis} ms; nothing was cut off")?;
            Ok(ExitCode::SUCCESS)
        }
        () = again(terminate, interrupt) => {
            writeln!(out(), "stopped at once")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn again(mut terminate: Signal, mut interrupt: Signal) {
    // Some shells send the first signal twice in a row.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn tell(reloaded: &Result<Reload, ReloadError>, style: Style) -> io::Result<()> {
    let mut out = io::stderr().lock();
    match reloaded {
        Ok(reload) if reload.needs_restart.is_empty() => {
            writeln!(
                out,
                "{}: generation {}",
                style.good("reloaded"),
                reload.generation
            )
        }
        Ok(reload) => writeln!(
            out,
            "{}: generation {}; a restart is needed for: {}",
            style.good("reloaded"),
            reload.generation,
            reload.needs_restart.join(", ")
        ),
        Err(ReloadError::Mistakes(report)) => {
            out.write_all(report.text(style.is_coloured()).as_bytes())?;
            let counts = check::counts(report);
            writeln!(
                out,
                "{}: {counts}; the running plan is kept",
                style.bad("not reloaded")
            )
        }
        Err(error) => writeln!(out, "{}: {error}", style.bad("not reloaded")),
    }
}
