//! What puts load on a server: the program `load`, as the benches call it.

use std::{
    fs, io,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::process::{LOAD_CORE, command};

/// The key of the one client.
pub const KEY: &str = "bench-key-0123456789abcdef";
/// Value of `authorization` with it.
pub const BEARER: &str = "Bearer bench-key-0123456789abcdef";
/// Name in the certificate, and what clients ask for.
pub const HOST: &str = "api.example.com";

/// What `load requests` reports.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Loaded {
    /// Requests answered with 200.
    pub requests: u64,
    /// Everything else.
    pub errors: u64,
    /// Seconds it ran.
    pub seconds: f64,
    /// Median latency, microseconds.
    pub p50: u32,
    /// 99th percentile, microseconds.
    pub p99: u32,
    /// Median of what requests took beyond the calls they were asked about ([`Request::calls`]), microseconds.
    pub beyond: Option<u32>,
    /// Processor time of the process that was watched, seconds.
    pub cpu: f64,
}

impl Loaded {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.count() / self.seconds
    }

    /// Microseconds of the watched process's time for each request.
    pub fn cpu_each(&self) -> f64 {
        self.cpu * 1e6 / self.count()
    }

    fn count(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
        let count = self.requests as f64;
        count
    }
}

/// What `load events` reports: microseconds from leaving the upstream to arriving at the client.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Heard {
    /// Streams that were heard to their end.
    pub streams: u64,
    /// Events in them.
    pub events: u64,
    /// Reads from the socket that brought events: as many as events if each came alone and in one piece.
    pub reads: u64,
    /// First events of streams: median and 99th percentile.
    pub first: (u32, u32),
    /// All others.
    pub later: (u32, u32),
}

/// What `load idle` reports once all connections are open.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Opened {
    /// Connections that were answered once and are kept.
    pub connections: u64,
}

/// Clients of a bench.
pub struct Load<'a> {
    /// Where the benches' programs are.
    pub folder: &'a Path,
    /// For files.
    pub scratch: &'a Path,
    /// Whether it has a core of its own.
    pub pinned: bool,
    /// Seconds of load.
    pub seconds: f64,
    /// Requests sent before any is counted, over all connections.
    pub warm_up: u32,
}

/// How clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// HTTP/1.1 in plain.
    Plain,
    /// HTTP/1.1 over TLS, with a server of this certificate.
    Tls(&'a Path),
    /// HTTP/2 over TLS, so many requests at once on each connection.
    Http2(&'a Path, usize),
}

/// What is sent with a request.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Nothing: GET.
    None,
    /// POST.
    Bytes(&'a [u8]),
    /// POST of so many equal bytes.
    Length(usize),
}

/// A request that is sent over and over.
pub struct Request<'a> {
    /// Path.
    pub path: &'a str,
    /// Media type of the body.
    pub media_type: Option<&'a str>,
    /// Value of `authorization`.
    pub authorization: &'a str,
    /// Body.
    pub body: Body<'a>,
    /// How.
    pub way: Way<'a>,
    /// Calls that the server makes for it and tells of in `Server-Timing`, in their order: `first,one|other`, where `one` and
    /// `other` run side by side.
    pub calls: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Asks for a path.
    pub fn get(path: &'a str) -> Self {
        Self {
            path,
            media_type: None,
            authorization: BEARER,
            body: Body::None,
            way: Way::Plain,
            calls: None,
        }
    }

    /// Sends a body of a media type.
    pub fn post(path: &'a str, media_type: &'a str, body: &'a [u8]) -> Self {
        Self {
            media_type: Some(media_type),
            body: Body::Bytes(body),
            ..Self::get(path)
        }
    }
}

impl Load<'_> {
    /// Loads a server, watching a process; an error if any request failed.
    pub fn on(
        &self,
        (address, process): (SocketAddr, u32),
        connections: usize,
        request: &Request<'_>,
    ) -> io::Result<Loaded> {
        let mut load = self.program("requests", address);
        load.args(["--process", &process.to_string()])
            .args(["--connections", &connections.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--warm-up", &self.warm_up.to_string()])
            .args(["--path", request.path])
            .args(["--authorization", request.authorization]);
        if let Some(media_type) = request.media_type {
            load.args(["--content-type", media_type]);
        }
        if let Some(calls) = request.calls {
            load.args(["--calls", calls]);
        }
        match request.body {
            Body::None => {}
            Body::Bytes(bytes) => {
                let file = self.scratch.join("body");
                fs::write(&file, bytes)?;
                load.arg("--body").arg(file);
            }
            Body::Length(length) => {
                load.args(["--post", &length.to_string()]);
            }
        }
        match request.way {
            Way::Plain => {}
            Way::Tls(certificate) => {
                load.arg("--certificate").arg(certificate);
            }
            Way::Http2(certificate, streams) => {
                load.arg("--certificate").arg(certificate);
                load.args(["--streams", &streams.to_string()]);
            }
        }
        let loaded: Loaded = report(&mut load)?;
        if loaded.errors > 0 || loaded.requests == 0 {
            return Err(io::Error::other(format!(
                "{}: {} of {} requests failed",
                request.path,
                loaded.errors,
                loaded.requests + loaded.errors
            )));
        }
        Ok(loaded)
    }

    /// Hears streams of events, on so many connections at once.
    pub fn events(&self, address: SocketAddr, connections: usize, path: &str) -> io::Result<Heard> {
        let mut load = self.program("events", address);
        load.args(["--connections", &connections.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--path", path]);
        report(&mut load)
    }

    /// Opens connections, asks once on each, and keeps them while `then` runs.
    pub fn idle<T>(
        &self,
        address: SocketAddr,
        connections: u64,
        then: impl FnOnce(Opened) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut load = self.program("idle", address);
        load.args(["--connections", &connections.to_string()]);
        let mut load = load.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let then = opened(&mut load).and_then(then);
        // It ends with its input.
        drop(load.stdin.take());
        load.wait()?;
        then
    }

    fn program(&self, kind: &str, address: SocketAddr) -> Command {
        let mut load = command(self.pinned, LOAD_CORE, &self.folder.join("load"));
        load.arg(kind).arg(address.to_string());
        load
    }
}

fn opened(load: &mut Child) -> io::Result<Opened> {
    let mut line = String::new();
    if let Some(out) = load.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    serde_json::from_str(&line).map_err(|_| io::Error::other("connections could not be opened"))
}

fn report<T: DeserializeOwned>(load: &mut Command) -> io::Result<T> {
    let output = load.stderr(Stdio::inherit()).output()?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| io::Error::other(format!("the load failed: {error}")))
}
