//! `isobar engines install`: a Python environment, the engine's package in it, and a trial.

use std::{
    io::{self, Write as _},
    path::Path,
    process::{ExitCode, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
};

use super::{
    MODEL, PACKAGE, SERVER, VERSION,
    home::{Home, State},
};
use crate::cli::style::Style;

/// What an environment can be made with.
const OLDEST: (u32, u32) = (3, 8);
/// Asks a Python for its version, and whether it can make environments.
const PROBE: &str =
    "import sys; print('%d %d' % sys.version_info[:2], flush=True); import venv, ensurepip";
/// What pip says when there is no way to a package index.
const UNREACHABLE: [&str; 7] = [
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "NameResolutionError",
    "Connection to ",
    "SSLError",
];
/// Lines of a program that are kept to be told again when it fails.
const KEPT: usize = 12;

pub(super) async fn run(home: &Home, python: &Path) -> io::Result<ExitCode> {
    let style = Style::stderr();
    let folder = home.folder().display();
    let state = home.state()?;
    if state == State::Foreign {
        return Err(io::Error::other(format!(
            "{folder} has files in it that are not of Isobar; name another folder with `--dir DIR`"
        )));
    }
    if state == State::Ready && works(home).await.is_ok() {
        tell(&format!(
            "{PACKAGE} {VERSION} is installed already in {folder}"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    probe(python).await?;
    let mut claim = home.claim()?;
    claim.write(false)?;
    step(style, 1, &format!("a Python environment in {folder}"));
    home.clear()?;
    let mut venv = Command::new(python);
    venv.args(["-I", "-m", "venv"]).arg(home.folder());
    let made = follow(venv, style).await?;
    if !made.worked {
        return Err(failed("the environment cannot be made", &made, None));
    }
    let package = format!("{PACKAGE}=={VERSION}");
    step(
        style,
        2,
        &format!("{package} with its model, about 90 MB to fetch"),
    );
    let mut pip = Command::new(home.python());
    pip.args(["-I", "-m", "pip", "install", &package])
        .args(["--disable-pip-version-check", "--no-input"])
        .args([
            "--only-binary",
            ":all:",
            "--retries",
            "2",
            "--timeout",
            "20",
        ]);
    let fetched = follow(pip, style).await?;
    if !fetched.worked {
        return Err(failed(
            "the engine cannot be fetched",
            &fetched,
            Some(why(&fetched)),
        ));
    }
    step(style, 3, "a trial");
    works(home).await.map_err(|error| {
        io::Error::other(format!("the engine is there and does not run: {error}"))
    })?;
    claim.write(true)?;
    tell(&format!(
        "{} {PACKAGE} {VERSION} ({MODEL}); `isobar engines` runs it",
        style.good("installed:")
    ));
    Ok(ExitCode::SUCCESS)
}

/// Whether there is a Python that can make environments.
async fn probe(python: &Path) -> io::Result<()> {
    let (name, debian) = (
        python.display(),
        "Debian has both in `apt-get install python3 python3-venv`",
    );
    let asked = Command::new(python)
        .args(["-I", "-c", PROBE])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let asked = asked.map_err(|error| {
        let what = if error.kind() == io::ErrorKind::NotFound {
            "is not there".to_owned()
        } else {
            format!("cannot be run: {error}")
        };
        io::Error::other(format!(
            "`{name}` {what}; the speech engine needs Python 3.8 or later with its module `venv` ({debian}), \
             and `--python PROGRAM` names another"
        ))
    })?;
    let told = String::from_utf8_lossy(&asked.stdout);
    let mut numbers = told.split_whitespace().map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(io::Error::other(format!(
            "`{name}` is no Python 3 ({debian})"
        )));
    };
    if (major, minor) < OLDEST {
        return Err(io::Error::other(format!(
            "`{name}` is Python {major}.{minor}; the speech engine needs 3.8 or later"
        )));
    }
    if !asked.status.success() {
        return Err(io::Error::other(format!(
            "`{name}` has no module `venv` to make environments with (Debian: `apt-get install python3-venv`)"
        )));
    }
    Ok(())
}

/// Loads the model and lets it listen to silence.
async fn works(home: &Home) -> io::Result<()> {
    let tried = Command::new(home.python())
        .args(["-I", "-c", SERVER, "--check"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if tried.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tried.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(io::Error::other(
        last.map_or_else(|| tried.status.to_string(), str::to_owned),
    ))
}

/// How a program ended.
struct Ended {
    worked: bool,
    /// What it said last.
    last: Vec<String>,
    /// Whether it spoke of a connection that could not be had.
    unreachable: bool,
}

/// Runs a program and shows what it says.
async fn follow(mut command: Command, style: Style) -> io::Result<Ended> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let said = tokio::sync::Mutex::new((Vec::new(), false));
    let _ = tokio::join!(show(out, &said, style), show(err, &said, style));
    let status = child.wait().await?;
    let (last, unreachable) = said.into_inner();
    Ok(Ended {
        worked: status.success(),
        last,
        unreachable,
    })
}

async fn show(
    pipe: Option<impl AsyncRead + Unpin>,
    said: &tokio::sync::Mutex<(Vec<String>, bool)>,
    style: Style,
) -> io::Result<()> {
    let Some(pipe) = pipe else {
        return Ok(());
    };
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            continue;
        }
        tell(&format!("     {}", style.dim(&line)));
        let mut said = said.lock().await;
        said.1 |= UNREACHABLE.iter().any(|word| line.contains(word));
        if said.0.len() == KEPT {
            said.0.remove(0);
        }
        said.0.push(line);
    }
    Ok(())
}

/// The likeliest reason why pip failed.
fn why(ended: &Ended) -> &'static str {
    let said = |words: &str| ended.last.iter().any(|line| line.contains(words));
    if said("No space left") {
        "the disk is full"
    } else if ended.unreachable {
        "no package index can be reached; pip takes another from PIP_INDEX_URL and a way out from https_proxy"
    } else if said("No matching distribution") {
        "the package index has no build of it for this machine and this Python"
    } else {
        "pip says why above"
    }
}

fn failed(what: &str, ended: &Ended, why: Option<&str>) -> io::Error {
    let last = ended.last.last().map_or("it said nothing", String::as_str);
    io::Error::other(match why {
        Some(why) => format!(
            "{what}: {why}. Nothing was installed; everything but local speech works without it"
        ),
        None => format!("{what}: {last}"),
    })
}

fn step(style: Style, number: u32, what: &str) {
    tell(&format!("{} {what}", style.bold(&format!("{number}/3"))));
}

fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
