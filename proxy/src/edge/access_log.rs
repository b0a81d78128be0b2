//! One JSON object a request, written by a thread of its own; when it falls behind, lines are dropped and counted
//! rather than requests slowed down. Holds no key, no body and no query.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write as _},
};

use isobar_config::AccessLog as Destination;
use serde::Serialize;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use super::problem::Attempt;

/// Lines that may wait for the writer.
const BACKLOG: usize = 16 * 1024;

/// Writes access log lines.
pub(crate) struct AccessLog {
    out: Option<(NonBlocking, ErrorCounter)>,
    _flush_on_drop: Option<WorkerGuard>,
}

/// One request, as logged.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    /// Seconds since the epoch.
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

impl AccessLog {
    pub(crate) fn open(destination: &Destination) -> io::Result<Self> {
        let start = |writer: Box<dyn io::Write + Send>| {
            let (out, guard) = NonBlockingBuilder::default()
                .buffered_lines_limit(BACKLOG)
                .thread_name("access-log")
                .finish(BufWriter::new(writer));
            let dropped = out.error_counter();
            Self {
                out: Some((out, dropped)),
                _flush_on_drop: Some(guard),
            }
        };
        Ok(match destination {
            Destination::Off => Self {
                out: None,
                _flush_on_drop: None,
            },
            Destination::Stdout => start(Box::new(io::stdout())),
            Destination::File(path) => start(Box::new(
                OpenOptions::new().create(true).append(true).open(path)?,
            )),
        })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.out.is_some()
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        let Some((out, _)) = &self.out else { return };
        let mut text = Vec::with_capacity(512);
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
            // Never blocks; a full backlog drops the line and counts it.
            let _ = out.clone().write(&text);
        }
    }

    /// Lines dropped so far.
    pub(crate) fn dropped(&self) -> usize {
        self.out
            .as_ref()
            .map_or(0, |(_, dropped)| dropped.dropped_lines())
    }
}
