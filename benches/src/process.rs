//! Processes that are measured, and those that measure.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Loaded;

/// Core of what is measured.
pub const PROXY_CORE: &str = "0";
/// Core of the rest.
pub const LOAD_CORE: &str = "1";

/// Whether processes can have cores of their own here.
pub fn pin_is_possible() -> bool {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    cores > 1
        && Command::new("taskset")
            .args(["-c", PROXY_CORE, "true"])
            .status()
            .is_ok_and(|status| status.success())
}

/// A program, on a core of its own where that is possible.
pub fn command(pinned: bool, core: &str, program: &Path) -> Command {
    if pinned {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// An address on loopback that nobody listens on.
pub fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Waits until something listens.
pub fn wait_for(address: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Seconds of user and system time that a process has used.
pub fn cpu(process: u32) -> io::Result<f64> {
    // Nanoseconds on the run queue's clock, of every thread; finer than the ticks of `stat`.
    let mut total = 0_u64;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        total += text
            .split(' ')
            .next()
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or_default();
    }
    if total > 0 {
        return Ok(Duration::from_nanos(total).as_secs_f64());
    }
    // user and system time are fields 14 and 15, in hundredths of a second on every Linux in use.
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| {
        after
            .split_whitespace()
            .nth(field)
            .and_then(|word| word.parse::<f64>().ok())
    };
    Ok((ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0)
}

/// Ends a process that this one started.
pub fn stop(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// Processes that end with this value.
#[derive(Default)]
pub struct Running(pub Vec<Child>);

impl Extend<Child> for Running {
    fn extend<T: IntoIterator<Item = Child>>(&mut self, children: T) {
        self.0.extend(children);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.0 {
            stop(process);
        }
    }
}

/// Folder of this program and the others of the benches.
pub fn programs() -> io::Result<PathBuf> {
    let folder = std::env::current_exe()?.parent().map(Path::to_owned);
    Ok(folder.unwrap_or_default())
}

/// The upstream that answers from memory.
pub fn start_origin(
    folder: &Path,
    pinned: bool,
    running: &mut impl Extend<Child>,
) -> io::Result<SocketAddr> {
    let mut origin = command(pinned, LOAD_CORE, &folder.join("origin"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = Vec::new();
    if let Some(out) = &mut origin.stdout {
        let mut byte = [0];
        while out.read(&mut byte)? == 1 && byte != *b"\n" {
            line.extend_from_slice(&byte);
        }
    }
    running.extend([origin]);
    String::from_utf8_lossy(&line)
        .parse()
        .map_err(io::Error::other)
}

/// What puts load on a server.
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

/// A request that is sent over and over.
pub struct Request<'a> {
    /// Path.
    pub path: &'a str,
    /// Media type of the body.
    pub media_type: &'a str,
    /// Value of `authorization`.
    pub authorization: &'a str,
    /// Body, sent with POST.
    pub body: &'a [u8],
}

impl Load<'_> {
    /// Loads a server; an error if any request failed.
    pub fn at(
        &self,
        address: SocketAddr,
        connections: usize,
        request: &Request<'_>,
    ) -> io::Result<Loaded> {
        let file: PathBuf = self.scratch.join("body");
        fs::File::create(&file)?.write_all(request.body)?;
        let output = command(self.pinned, LOAD_CORE, &self.folder.join("load"))
            .arg(address.to_string())
            .args(["--connections", &connections.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--path", request.path])
            .args(["--content-type", request.media_type])
            .args(["--authorization", request.authorization])
            .args(["--warm-up", &self.warm_up.to_string(), "--body"])
            .arg(&file)
            .stderr(Stdio::inherit())
            .output()?;
        let loaded: Loaded = serde_json::from_slice(&output.stdout)
            .map_err(|error| io::Error::other(format!("the load failed: {error}")))?;
        if loaded.errors > 0 || loaded.requests == 0 {
            return Err(io::Error::other(format!(
                "{}: {} requests failed",
                request.path, loaded.errors
            )));
        }
        Ok(loaded)
    }

    /// Loads a process; also tells the microseconds of its processor time for each request.
    pub fn on(
        &self,
        (address, process): (SocketAddr, u32),
        connections: usize,
        request: &Request<'_>,
    ) -> io::Result<(Loaded, f64)> {
        let before = cpu(process)?;
        let loaded = self.at(address, connections, request)?;
        let spent = cpu(process)? - before;
        // Connections share the warm-up, rounded up.
        let share = u32::try_from(connections).unwrap_or(1);
        let warm = self.warm_up.div_ceil(share) * share;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
        let requests = loaded.requests as f64;
        Ok((loaded, spent * 1e6 / (requests + f64::from(warm))))
    }
}

/// Median, least and most.
pub fn median(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    (
        at(values.len() / 2),
        at(0),
        at(values.len().saturating_sub(1)),
    )
}
