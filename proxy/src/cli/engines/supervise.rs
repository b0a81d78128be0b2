//! `isobar engines`: runs the engine, and again when it dies or hangs.
//!
//! The engine's standard input is a pipe that nothing is written to. It ends when this process does, however that comes
//! about, and the engine leaves then: none is left behind.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    LISTEN, MODEL, PACKAGE, SERVER, Stop, VERSION,
    home::{Home, State},
};
use crate::cli::style::Style;

/// Time that the engine has to come up.
const START: Duration = Duration::from_mins(1);
/// Time between two looks while it comes up.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two looks at an engine that is up.
const PERIOD: Duration = Duration::from_secs(2);
/// Time that an engine has to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Looks without an answer after which it is taken to hang.
const MISSED: u32 = 3;
/// Pause before the first restart; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An engine that was up so long is new to trouble.
const STEADY: Duration = Duration::from_mins(1);
/// Time that the engine has to leave by itself.
const FAREWELL: Duration = Duration::from_secs(5);
/// Time that is waited for what it still has to say.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) async fn run(home: &Home, listen: SocketAddr) -> io::Result<ExitCode> {
    let style = Style::stderr();
    match home.state()? {
        State::Ready => {}
        State::Empty | State::Foreign => {
            return Err(io::Error::other(format!(
                "the speech engine is not installed in {}: run `isobar engines install`",
                home.folder().display()
            )));
        }
        State::Unfinished => {
            return Err(io::Error::other(format!(
                "the speech engine in {} is of another version or was not installed to the end: \
                 run `isobar engines install`",
                home.folder().display()
            )));
        }
    }
    let mut stop = Stop::listen()?;
    let address = free(listen)?;
    tell(&format!(
        "{} {PACKAGE} {VERSION} ({MODEL})",
        style.bold("speech engine")
    ));
    let mut pause = PAUSE;
    let mut ever = false;
    loop {
        let mut engine = Engine::start(home, address)?;
        let mut up = None;
        let why = tokio::select! {
            why = watch(&mut engine.child, address, &mut up, style) => why,
            () = stop.asked() => {
                engine.end().await?;
                tell("stopped");
                return Ok(ExitCode::SUCCESS);
            }
        };
        engine.end().await?;
        ever |= up.is_some();
        if !ever {
            return Err(io::Error::other(format!(
                "the speech engine does not start: it {why}; `isobar engines install` looks whether all of it is there"
            )));
        }
        if up.is_some_and(|since: Instant| since.elapsed() >= STEADY) {
            pause = PAUSE;
        }
        tell(&format!(
            "{} it {why}; it is started again in {:.1} s",
            style.bad("speech engine:"),
            pause.as_secs_f64()
        ));
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.asked() => {
                tell("stopped");
                return Ok(ExitCode::SUCCESS);
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The address, with a port of the system's choice for port 0, after a look whether it can be had.
fn free(listen: SocketAddr) -> io::Result<SocketAddr> {
    let bound = std::net::TcpListener::bind(listen).map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::AddrInUse {
            "; is another `isobar engines` running? `--listen ADDRESS` chooses another place"
        } else {
            ""
        };
        io::Error::new(
            error.kind(),
            format!("cannot listen on {listen}: {error}{hint}"),
        )
    })?;
    bound.local_addr()
}

/// An engine that runs.
struct Engine {
    child: Child,
    /// Its standard input. Apart from the child, because waiting for that would close it.
    lifeline: Option<ChildStdin>,
    relay: Option<JoinHandle<()>>,
}

impl Engine {
    fn start(home: &Home, address: SocketAddr) -> io::Result<Self> {
        let python = home.python();
        let mut child = Command::new(&python)
            .args(["-I", "-u", "-c", SERVER])
            .args([address.ip().to_string(), address.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let python = python.display();
                let what = format!(
                    "`{python}` cannot be run ({error}): run `isobar engines install` again"
                );
                io::Error::new(error.kind(), what)
            })?;
        Ok(Self {
            lifeline: child.stdin.take(),
            relay: child.stderr.take().map(|pipe| tokio::spawn(relay(pipe))),
            child,
        })
    }

    /// Lets it leave, and kills it when it does not.
    async fn end(mut self) -> io::Result<()> {
        drop(self.lifeline.take());
        if timeout(FAREWELL, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        // What it said last is worth waiting for; who else has its pipe is not.
        if let Some(relay) = self.relay.take() {
            let _ = timeout(LAST_WORDS, relay).await;
        }
        Ok(())
    }
}

/// Passes on what the engine says.
async fn relay(pipe: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        tell(&format!("speech  {}", String::from_utf8_lossy(&line)));
    }
}

/// Looks after an engine until something is wrong with it; what that is, in words that follow "it". `up` is when it
/// answered first.
async fn watch(
    child: &mut Child,
    address: SocketAddr,
    up: &mut Option<Instant>,
    style: Style,
) -> String {
    let looks = async {
        let started = Instant::now();
        while !answers(address).await {
            if started.elapsed() > START {
                return format!("did not answer within {} s", START.as_secs());
            }
            sleep(LOOK).await;
        }
        *up = Some(Instant::now());
        announce(address, style);
        let mut missed = 0;
        while missed < MISSED {
            sleep(PERIOD).await;
            missed = if answers(address).await {
                0
            } else {
                missed + 1
            };
        }
        "answers no more".to_owned()
    };
    tokio::select! {
        biased;
        left = child.wait() => left.map_or_else(
            |error| format!("is lost: {error}"),
            |status| format!("died ({status})"),
        ),
        why = looks => why,
    }
}

fn announce(address: SocketAddr, style: Style) {
    tell(&format!(
        "  serving  http://{address}/v1/audio/transcriptions"
    ));
    let more = if address == LISTEN {
        String::new()
    } else {
        format!(", address: \"http://{address}\"")
    };
    tell(&format!(
        "  account  accounts: {{ local: {{ vendor: local{more} }} }}"
    ));
    tell(&format!("  {}", style.dim("Ctrl-C stops it")));
}

/// Whether an engine says that it is well.
pub(super) async fn answers(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0_u8; 12];
        stream.read_exact(&mut head).await?;
        io::Result::Ok(head.ends_with(b" 200"))
    };
    matches!(timeout(ANSWER, ask).await, Ok(Ok(true)))
}

fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
