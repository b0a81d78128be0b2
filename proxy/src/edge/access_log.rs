//! One JSON object a request, written by a thread of its own; when it falls behind, lines are dropped and counted
//! rather than requests slowed down. Holds no key, no body and no query.
//!
//! Lines gather in memory and are written a few times a second: waking the writer for each would cost more than
//! everything else about the log.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use isobar_config::AccessLog as Destination;
use parking_lot::Mutex;

use super::{
    problem::Reason,
    text::{address_to, fraction_to, json_to, number_to},
    trace::Trace,
};
use crate::serve::tried::Tried;

/// Bytes that may wait for the writer.
const BACKLOG: usize = 8 * 1024 * 1024;
/// Longest time that a line waits.
const PERIOD: Duration = Duration::from_millis(100);

/// Writes access log lines.
pub(crate) struct AccessLog {
    shared: Option<Arc<Shared>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Vec<u8>>,
    dropped: AtomicUsize,
    stopping: AtomicBool,
}

/// One request, as logged.
pub(crate) struct Line<'a> {
    /// Time since the epoch.
    pub(crate) time: Duration,
    pub(crate) request: Trace,
    pub(crate) client: Option<&'a str>,
    /// Whom its token speaks of.
    pub(crate) subject: Option<&'a str>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) route: &'a str,
    /// 0 when the client left before an answer.
    pub(crate) status: u16,
    /// Time from the head to the last byte.
    pub(crate) ms: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) vendor: Option<&'a str>,
    pub(crate) attempts: &'a [Tried],
    pub(crate) problem: Option<&'static str>,
    /// What the route's cache did.
    pub(crate) cache: Option<&'static str>,
    /// The client saw less than the whole answer.
    pub(crate) cut: bool,
    pub(crate) generation: u64,
}

impl Line<'_> {
    /// Appends the line as JSON, by hand: a line is written for every request, and its keys never change.
    fn write(&self, out: &mut Vec<u8>) {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        out.extend_from_slice(b"{\"time\":");
        fraction_to(out, millis, 3);
        out.extend_from_slice(b",\"request\":\"");
        self.request.write_id(out);
        out.push(b'"');
        if let Some(client) = self.client {
            string(out, b",\"client\":", client);
        }
        if let Some(subject) = self.subject {
            string(out, b",\"subject\":", subject);
        }
        out.extend_from_slice(b",\"ip\":\"");
        if let Some(ip) = self.ip {
            address_to(out, ip);
        }
        string(out, b"\",\"method\":", self.method);
        string(out, b",\"host\":", self.host);
        string(out, b",\"path\":", self.path);
        string(out, b",\"route\":", self.route);
        number(out, b",\"status\":", u64::from(self.status));
        let micros = u64::try_from(self.ms.as_micros()).unwrap_or(u64::MAX);
        out.extend_from_slice(b",\"ms\":");
        fraction_to(out, micros, 3);
        number(out, b",\"bytes_in\":", self.bytes_in);
        number(out, b",\"bytes_out\":", self.bytes_out);
        if let Some(vendor) = self.vendor {
            string(out, b",\"vendor\":", vendor);
        }
        out.extend_from_slice(b",\"attempts\":[");
        for (index, tried) in self.attempts.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            attempt(out, tried);
        }
        out.push(b']');
        if let Some(problem) = self.problem {
            string(out, b",\"problem\":", problem);
        }
        if let Some(cache) = self.cache {
            string(out, b",\"cache\":", cache);
        }
        if self.cut {
            out.extend_from_slice(b",\"cut\":true");
        }
        number(out, b",\"generation\":", self.generation);
        out.extend_from_slice(b"}\n");
    }
}

/// As problem documents tell it.
fn attempt(out: &mut Vec<u8>, tried: &Tried) {
    string(out, b"{\"vendor\":", tried.account.name());
    string(out, b",\"verdict\":", tried.outcome.name());
    match &tried.reason {
        Reason::Status(status) => {
            number(out, b",\"reason\":\"status_", u64::from(*status));
            out.push(b'"');
        }
        reason => string(out, b",\"reason\":", &reason.to_string()),
    }
    let millis = u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX);
    number(out, b",\"ms\":", millis);
    out.push(b'}');
}

fn string(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    json_to(out, value);
}

fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    number_to(out, value);
}

impl AccessLog {
    pub(crate) fn open(destination: &Destination) -> io::Result<Self> {
        let out: Box<dyn io::Write + Send> = match destination {
            Destination::Off => {
                return Ok(Self {
                    shared: None,
                    writer: None,
                });
            }
            Destination::Stdout => Box::new(io::stdout()),
            Destination::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        let shared = Arc::new(Shared::default());
        let lines = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&lines, out))?;
        Ok(Self {
            shared: Some(shared),
            writer: Some(writer),
        })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Never waits for the disk; a full backlog drops the line and counts it.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let Some(shared) = &self.shared else { return };
        let mut lines = shared.lines.lock();
        if lines.len() < BACKLOG {
            line.write(&mut lines);
        } else {
            shared.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Lines dropped so far.
    pub(crate) fn dropped(&self) -> usize {
        let shared = self.shared.as_ref();
        shared.map_or(0, |shared| shared.dropped.load(Relaxed))
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let (Some(shared), Some(writer)) = (&self.shared, self.writer.take()) {
            shared.stopping.store(true, Relaxed);
            writer.thread().unpark();
            let _ = writer.join();
        }
    }
}

fn write(shared: &Shared, mut out: Box<dyn io::Write + Send>) {
    let mut batch = Vec::new();
    loop {
        // Asked before the swap, so that lines written before the stop are not left behind.
        let last = shared.stopping.load(Relaxed);
        std::mem::swap(&mut *shared.lines.lock(), &mut batch);
        if !batch.is_empty() {
            if let Err(error) = out.write_all(&batch).and_then(|()| out.flush()) {
                log::error!("the access log cannot be written: {error}");
                shared.dropped.fetch_add(line_count(&batch), Relaxed);
            }
            batch.clear();
        }
        if last {
            return;
        }
        thread::park_timeout(PERIOD);
    }
}

#[expect(clippy::naive_bytecount, reason = "counted only after a failed write")]
fn line_count(batch: &[u8]) -> usize {
    batch.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line<'_> = Line {
        time: Duration::from_millis(1_700_000_000_120),
        request: Trace::NONE,
        client: Some("a \"client\""),
        subject: Some("ada"),
        ip: Some(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
        method: "GET",
        host: "h",
        path: "/é\\",
        route: "main",
        status: 200,
        ms: Duration::from_micros(1_500),
        bytes_in: 1,
        bytes_out: 2,
        vendor: None,
        attempts: &[],
        problem: Some("no-route"),
        cache: Some("miss"),
        cut: true,
        generation: 3,
    };

    #[test]
    fn a_line_is_json() {
        let mut line = Vec::new();
        LINE.write(&mut line);
        let seen: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let expected = serde_json::json!({
            "time": 1_700_000_000.12, "request": "0".repeat(32), "client": "a \"client\"", "subject": "ada", "ip": "::1", "method": "GET",
            "host": "h", "path": "/é\\", "route": "main", "status": 200, "ms": 1.5, "bytes_in": 1, "bytes_out": 2,
            "attempts": [], "problem": "no-route", "cache": "miss", "cut": true, "generation": 3,
        });
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_line_is_written_by_the_time_the_log_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let log = AccessLog::open(&Destination::File(file.clone())).unwrap();
        for number in 0..1_000 {
            let ms = Duration::from_millis(number);
            log.write(&Line { ms, ..LINE });
        }
        drop(log);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1_000);
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["ms"], 999.0);
    }
}
