//! `isobar serve`.

use std::{
    env,
    io::{self, Write as _},
    num::NonZeroUsize,
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use clap::Args;
use isobar::{Gone, Host, Offer, Origin, Predecessor, Reload, ReloadError, Successor, Workers};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Source, check, logging, notify, style::Style};

#[derive(Debug, Args)]
#[command(
    after_help = "A configuration with a mistake is not started, and a reload that has one changes nothing.\n\
        A second SIGTERM or Ctrl-C stops at once. SIGUSR2 starts the program that is on the disk now with the same arguments,\n\
        which takes the sockets over.\n\
        ISOBAR_LOG sets what is told on standard error: `warn`, `debug`, `error,isobar=debug`; by default\n\
        `error,isobar=info`. The access log goes where `log` in the configuration says."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Take the sockets of the gateway that runs with the same `state`, which then drains and leaves
    #[arg(long)]
    upgrade: bool,
    /// Threads that serve requests; by default as many as there are cores
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
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
    let predecessor = arguments
        .upgrade
        .then(|| Predecessor::ask(&loaded.checked.config.state))
        .transpose()?;
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = arguments.threads.unwrap_or_else(cores);
    let origin = Origin {
        path: arguments.source.config,
        files: loaded.files,
    };
    // What is not a client's connection: accepting them, signals, probes, what is sent to collectors.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let workers = Workers::start(threads)?;
        serve(loaded.checked, origin, predecessor, workers, style).await
    })
}

async fn serve(
    checked: isobar::Checked,
    origin: Origin,
    mut predecessor: Option<Predecessor>,
    workers: Workers,
    style: Style,
) -> io::Result<ExitCode> {
    // Listened for before the first request, so that none of them kills a request.
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut upgrade = signal(SignalKind::user_defined2())?;
    // By its name now: when another version has taken its place, that is the one to start.
    let program = env::current_exe()?;
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
    let state = checked.config.state.clone();
    let host = Box::pin(Host::start_after(
        checked,
        Some(origin),
        predecessor.as_mut(),
        workers,
    ))
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
    // Before the older process may leave: its end must not be taken for the service's.
    notify::ready();
    let mut older = None;
    if let Some(predecessor) = predecessor {
        let process = predecessor.process();
        older = Some(host.relieve(predecessor).await?);
        writeln!(
            out(),
            "  {}",
            style.dim(&format!("process {process} leaves to this one"))
        )?;
    }
    let hint = "SIGHUP or a changed file reloads; Ctrl-C drains and stops";
    writeln!(out(), "  {}", style.dim(hint))?;
    let mut successor = None;
    // One gateway at a time is beside another.
    let mut offer = older.is_none().then(|| offered(&host, &state)).flatten();
    loop {
        tokio::select! {
            _ = hang_up.recv() => tell(&host.reload().await, style)?,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = upgrade.recv() => match &offer {
                Some(_) => succeed(&program, style),
                None => writeln!(out(), "not upgraded: this process cannot be succeeded yet")?,
            },
            () = left(&mut older) => {
                older = None;
                offer = offered(&host, &state);
            }
            taken = taken(&mut offer) => {
                successor = Some(taken);
                break;
            }
        }
    }
    drop(offer);
    let reason = if successor.is_some() {
        "another process serves now; "
    } else {
        notify::stopping();
        ""
    };
    writeln!(out(), "{reason}draining; a second signal stops at once")?;
    let drained = async {
        match &mut successor {
            Some(successor) => host.hand_over(successor, None).await,
            None => host.drain(None).await,
        }
    };
    tokio::select! {
        drained = drained => {
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

/// Starts the program that is on the disk now, with the arguments of this process, to take its place.
fn succeed(program: &Path, style: Style) {
    let mut command = tokio::process::Command::new(program);
    command.args(env::args_os().skip(1)).stdin(Stdio::null());
    if env::args_os().all(|argument| argument != "--upgrade") {
        command.arg("--upgrade");
    }
    let failed = move |why: &dyn std::fmt::Display| {
        let _ = writeln!(io::stderr(), "{}: {why}", style.bad("not upgraded"));
    };
    match command.spawn() {
        // One that takes over outlives this process, and its end is nobody's business here.
        Ok(mut child) => drop(tokio::spawn(async move {
            if let Ok(ended) = child.wait().await {
                failed(&ended);
            }
        })),
        Err(error) => failed(&error),
    }
}

/// Where a successor is waited for; a gateway that cannot be succeeded serves all the same.
fn offered(host: &Host, state: &Path) -> Option<Offer> {
    let offer = host.offer(state);
    let why = |error| log::warn!("the sockets cannot be handed over later: {error}");
    offer.map_err(why).ok()
}

/// Resolves when the older gateway has left, if there is one.
async fn left(older: &mut Option<Gone>) {
    match older {
        Some(gone) => gone.wait().await,
        None => std::future::pending().await,
    }
}

/// Resolves when a successor serves.
async fn taken(offer: &mut Option<Offer>) -> Successor {
    match offer {
        Some(offer) => offer.taken().await,
        None => std::future::pending().await,
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
