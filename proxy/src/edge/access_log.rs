//! One JSON object a request, written by a thread of its own; when it falls behind, lines are dropped and counted
//! rather than requests slowed down. Holds no key, no body and no query.
//!
//! Lines gather in memory and are written a few times a second: waking the writer for each would cost more than
//! everything else about the log.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use isobar_config::AccessLog as Destination;
use parking_lot::Mutex;
use serde::Serialize;

use super::problem::Attempt;

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
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    /// Seconds since the epoch.
    #[serde(serialize_with = "thousandths")]
    pub(crate) time: f64,
    pub(crate) request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<&'a str>,
    pub(crate) ip: &'a str,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) route: &'a str,
    /// 0 when the client left before an answer.
    pub(crate) status: u16,
    #[serde(serialize_with = "thousandths")]
    pub(crate) ms: f64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vendor: Option<&'a str>,
    pub(crate) attempts: &'a [Attempt],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<&'static str>,
    /// The client saw less than the whole answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
    pub(crate) generation: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn thousandths<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e3).round() / 1e3)
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
        let before = lines.len();
        if before < BACKLOG && serde_json::to_writer(&mut *lines, line).is_ok() {
            lines.push(b'\n');
        } else {
            lines.truncate(before);
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

    #[test]
    fn every_line_is_written_by_the_time_the_log_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let log = AccessLog::open(&Destination::File(file.clone())).unwrap();
        for number in 0..1_000 {
            log.write(&Line {
                time: 1.0,
                request: "r",
                client: None,
                ip: "::1",
                method: "GET",
                host: "h",
                path: "/",
                route: "main",
                status: 200,
                ms: f64::from(number),
                bytes_in: 0,
                bytes_out: 0,
                vendor: None,
                attempts: &[],
                problem: None,
                cut: false,
                generation: 1,
            });
        }
        drop(log);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1_000);
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["ms"], 999.0);
    }
}
