//! `isobar engines` with a Python that is none: what it makes of an installation, and how it looks after an engine. The
//! real engine is tried by `tests/engines`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use isobar_tests::eventually;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::binary::{PATIENCE, PROGRAM, send};

/// Stands in for Python while an engine is installed. `FAKE` says how it fares.
const PYTHON: &str = r#"#!/bin/sh
echo "$2 $3" >> "$CALLS"
case "$*" in
"-I -c import sys"*)
    case "$FAKE" in
    old) echo "3 6"; exit 0 ;;
    "no venv") echo "3 11"; echo "No module named ensurepip" >&2; exit 1 ;;
    *) echo "3 11" ;;
    esac ;;
"-I -m venv "*)
    mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-I -m pip install "*)
    case "$FAKE" in
    "no network")
        echo "WARNING: Retrying after connection broken by 'NewConnectionError(...)'" >&2
        echo "ERROR: No matching distribution found for $5" >&2
        exit 1 ;;
    "no build") echo "ERROR: No matching distribution found for $5" >&2; exit 1 ;;
    slow) sleep 20 ;;
    esac
    echo "Collecting $5" ;;
*--check)
    [ "$FAKE" != "does not run" ] || { echo "ImportError: a library is missing" >&2; exit 1; } ;;
*)
    echo "unexpected: $*" >&2; exit 9 ;;
esac
"#;

/// Stands in for the engine: answers at `/healthz`, and leaves when its standard input ends.
const ENGINE: &str = r#"#!/bin/sh
for port; do :; done
here=$(dirname "$0")
if [ -e "$here/broken" ]; then echo "it is broken" >&2; exit 3; fi
printf 'isobar: 1\nlisten: [ { http: "127.0.0.1:%s" } ]\nlog: { access: "off" }\nroutes: [ { match: GET /healthz, respond: { status: 200 }, anonymous: true } ]\n' "$port" > "$here/engine.yaml"
exec 3<&0
"$PROGRAM" serve -c "$here/engine.yaml" 2> /dev/null &
server=$!
echo $server >> "$here/started"
echo "hello from the engine" >&2
{ cat <&3 > /dev/null; kill $server; } 2> /dev/null &
wait $server
"#;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a program. A shell does it: what this process has open for writing, its other children may hold open.
    async fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"", "sh"]);
        let written = shell.arg(text).arg(&path).status().await.unwrap();
        assert!(written.success());
        path
    }

    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("engines")
            .env("ISOBAR_ENGINES", self.path("home"))
            .env("CALLS", self.path("calls"))
            .env("PROGRAM", PROGRAM)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn install(&self, fake: &str) -> Output {
        let python = self.program("python3", PYTHON).await;
        let mut command = self.command();
        command.arg("install").arg("--python").arg(python);
        command.env("FAKE", fake).output().await.unwrap()
    }

    /// What the stand-in was asked for so far.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// An installation whose engine is the stand-in.
    async fn installed(&self) {
        let done = self.install("").await;
        assert!(done.status.success(), "{}", said(&done));
        self.program("home/bin/python", ENGINE).await;
    }

    fn started(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path("home/bin/started")).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Runs the stand-in and waits until it serves.
    async fn serve(&self) -> Serving {
        let errors = self.path("stderr");
        let mut command = self.command();
        command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors).unwrap());
        let serving = Serving {
            child: command.spawn().unwrap(),
            errors,
        };
        serving.says("Ctrl-C stops it", 1).await;
        serving
    }
}

struct Serving {
    child: Child,
    errors: PathBuf,
}

impl Serving {
    fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    async fn says(&self, words: &str, times: usize) {
        let often = async || self.said().matches(words).count() >= times;
        let heard = eventually(PATIENCE, often).await;
        assert!(
            heard,
            "`{words}` was not said {times} times: {}",
            self.said()
        );
    }

    fn address(&self) -> SocketAddr {
        let said = self.said();
        let line = said.lines().find_map(|line| line.split_once("http://"));
        line.unwrap().1.split('/').next().unwrap().parse().unwrap()
    }

    async fn left(&mut self) -> Option<i32> {
        let left = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        left.expect("it does not leave").unwrap().code()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_alive(id: u32) -> bool {
    // What has died and was not waited for is not alive.
    let state = fs::read_to_string(format!("/proc/{id}/stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

async fn is_gone(id: u32) {
    assert!(
        eventually(PATIENCE, async || !is_alive(id)).await,
        "{id} lives"
    );
}

#[tokio::test]
async fn without_an_installation_the_next_step_is_told() {
    let place = Place::new();
    let done = place.command().output().await.unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said(&done).contains("run `isobar engines install`"),
        "{}",
        said(&done)
    );
    let mut status = place.command();
    let told = status
        .args(["status", "--listen", "127.0.0.1:1"])
        .output()
        .await
        .unwrap();
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.contains("no: run `isobar engines install`"), "{text}");
}

#[tokio::test]
async fn what_an_installation_lacks_is_told() {
    for (fake, expected) in [
        ("old", "is Python 3.6; the speech engine needs 3.8 or later"),
        ("no venv", "apt-get install python3-venv"),
        ("no network", "no package index can be reached"),
        ("no build", "has no build of it for this machine"),
        ("does not run", "ImportError: a library is missing"),
    ] {
        let place = Place::new();
        let done = place.install(fake).await;
        assert_eq!(done.status.code(), Some(1), "{fake}");
        assert!(said(&done).contains(expected), "{fake}: {}", said(&done));
        let run = place.command().output().await.unwrap();
        assert_eq!(run.status.code(), Some(1), "{fake}");
        assert!(
            said(&run).contains("run `isobar engines install`"),
            "{fake}: {}",
            said(&run)
        );
    }
    let place = Place::new();
    let mut command = place.command();
    command.args(["install", "--python", "/no/such/python3"]);
    let done = command.output().await.unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(
        said(&done).contains("apt-get install python3 python3-venv"),
        "{}",
        said(&done)
    );
}

#[tokio::test]
async fn installing_again_is_no_harm_and_mends_what_is_broken() {
    let place = Place::new();
    let fetched = |place: &Place| {
        place
            .calls()
            .iter()
            .filter(|call| *call == "-m pip")
            .count()
    };
    assert_eq!(place.install("no network").await.status.code(), Some(1));
    // What was half made is made anew.
    let left = place.path("home/bin/left");
    fs::write(&left, "of the first time").unwrap();
    assert_eq!(place.install("").await.status.code(), Some(0));
    assert!(
        !left.exists() && fetched(&place) == 2,
        "{:?}",
        place.calls()
    );
    let again = place.install("").await;
    assert_eq!(again.status.code(), Some(0));
    assert!(
        said(&again).contains("is installed already"),
        "{}",
        said(&again)
    );
    assert_eq!(fetched(&place), 2);
    fs::remove_dir_all(place.path("home/bin")).unwrap();
    assert_eq!(place.install("").await.status.code(), Some(0));
    assert_eq!(fetched(&place), 3);
}

#[tokio::test]
async fn an_installation_that_is_broken_off_never_looks_finished() {
    for signal in ["-TERM", "-KILL"] {
        let place = Place::new();
        let python = place.program("python3", PYTHON).await;
        let mut command = place.command();
        command
            .arg("install")
            .arg("--python")
            .arg(python)
            .env("FAKE", "slow");
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let fetching = async || place.calls().contains(&"-m pip".to_owned());
        assert!(eventually(PATIENCE, fetching).await, "{:?}", place.calls());
        // Two at once would undo each other's work.
        let second = place.install("").await;
        assert!(
            said(&second).contains("another `isobar engines install`"),
            "{}",
            said(&second)
        );
        assert!(send(signal, child.id().unwrap()).await);
        assert_ne!(child.wait().await.unwrap().code(), Some(0), "{signal}");
        let run = place.command().output().await.unwrap();
        assert_eq!(run.status.code(), Some(1), "{signal}");
        assert!(
            said(&run).contains("was not installed to the end"),
            "{signal}: {}",
            said(&run)
        );
        assert_eq!(place.install("").await.status.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home/letter"), "dear").unwrap();
    let done = place.install("").await;
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("not of Isobar"), "{}", said(&done));
    assert!(Path::new(&place.path("home/letter")).exists() && place.calls().is_empty());
}

#[tokio::test]
async fn an_engine_that_dies_is_started_again() {
    let place = Place::new();
    place.installed().await;
    let mut serving = place.serve().await;
    serving.says("speech  hello from the engine", 1).await;
    let address = serving.address();
    for times in 2..=3 {
        let last = *place.started().last().unwrap();
        assert!(send("-KILL", last).await);
        serving.says("it died", times - 1).await;
        serving.says("Ctrl-C stops it", times).await;
        assert_eq!(place.started().len(), times);
    }
    // Each pause is longer than the one before.
    let told = serving.said();
    assert!(
        told.contains("again in 0.5 s") && told.contains("again in 1.0 s"),
        "{told}"
    );
    let mut status = place.command();
    let listen = address.to_string();
    let seen = status
        .args(["status", "--listen", &listen])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert_eq!(seen.status.code(), Some(0), "{text}");
    assert!(text.contains("answers    yes"), "{text}");
    // A second one is told who has the port.
    let mut second = place.command();
    let refused = second.args(["--listen", &listen]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("is another `isobar engines` running?"),
        "{}",
        said(&refused)
    );
    assert!(send("-TERM", serving.id()).await);
    assert_eq!(serving.left().await, Some(0));
}

#[tokio::test]
async fn an_engine_that_hangs_is_started_again() {
    let place = Place::new();
    place.installed().await;
    let mut serving = place.serve().await;
    let first = place.started()[0];
    assert!(send("-STOP", first).await);
    serving.says("it answers no more", 1).await;
    // The stand-in's server is a process of its own, which has the port.
    assert!(send("-KILL", first).await);
    serving.says("Ctrl-C stops it", 2).await;
    assert!(send("-INT", serving.id()).await);
    assert_eq!(serving.left().await, Some(0));
    is_gone(*place.started().last().unwrap()).await;
}

#[tokio::test]
async fn the_engine_ends_with_the_program_however_that_ends() {
    for (signal, code) in [
        ("-TERM", Some(0)),
        ("-INT", Some(0)),
        ("-HUP", Some(0)),
        ("-KILL", None),
    ] {
        let place = Place::new();
        place.installed().await;
        let mut serving = place.serve().await;
        let engine = place.started()[0];
        assert!(is_alive(engine));
        assert!(send(signal, serving.id()).await);
        assert_eq!(serving.left().await, code, "{signal}");
        is_gone(engine).await;
    }
}

#[tokio::test]
async fn an_engine_that_never_starts_is_given_up() {
    let place = Place::new();
    place.installed().await;
    fs::write(place.path("home/bin/broken"), "").unwrap();
    let mut command = place.command();
    let done = command
        .args(["--listen", "127.0.0.1:0"])
        .output()
        .await
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let told = said(&done);
    assert!(told.contains("speech  it is broken"), "{told}");
    assert!(
        told.contains("does not start: it died (exit status: 3)"),
        "{told}"
    );
}

#[tokio::test]
async fn it_listens_to_others_only_when_told() {
    let place = Place::new();
    place.installed().await;
    let mut command = place.command();
    let done = command
        .args(["--listen", "0.0.0.0:0"])
        .output()
        .await
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("--allow-remote"), "{}", said(&done));
    assert!(place.started().is_empty());
}
