//! A client of HTTP/1.1 that reads as little of an answer as it must.

use std::{convert::Infallible, io, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use isobar_benches::load::HOST;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{requests::Arguments, wire::Wire};

/// A request as it is written; bodies are shared between connections.
#[derive(Clone)]
pub(super) struct Request {
    head: Arc<[u8]>,
    body: Bytes,
}

/// What is asked for.
pub(super) fn request(arguments: &Arguments, body: Option<Bytes>) -> Request {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: load\r\naccept: */*\r\nauthorization: {}\r\n",
        if body.is_some() { "POST" } else { "GET" },
        arguments.path,
        arguments.authorization,
    );
    if let Some(body) = &body {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    if let Some(media_type) = &arguments.content_type {
        head.push_str(&format!("content-type: {media_type}\r\n"));
    }
    head.push_str("\r\n");
    let mut head = head.into_bytes();
    let mut body = body.unwrap_or_default();
    // What is small leaves in one piece.
    if body.len() <= 64 * 1024 {
        head.extend_from_slice(&body);
        body.clear();
    }
    Request {
        head: head.into(),
        body,
    }
}

/// Which of the durations that an answer's `Server-Timing` names follow each other: `first,one|other`, where the longest of
/// `one` and `other` counts.
#[derive(Clone)]
pub(super) struct Calls(Vec<Vec<String>>);

impl FromStr for Calls {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let names = |group: &str| group.split('|').map(str::to_owned).collect();
        Ok(Self(text.split(',').map(names).collect()))
    }
}

impl Calls {
    /// How long they took together, if the answer names all of them.
    fn took(&self, timing: &str) -> Option<Duration> {
        let took = |name: &String| {
            let entry = timing
                .split(", ")
                .find_map(|entry| entry.strip_prefix(name)?.strip_prefix(';'))?;
            let (_, milliseconds) = entry.rsplit_once("dur=")?;
            let seconds = milliseconds.parse::<f64>().ok()? / 1e3;
            Duration::try_from_secs_f64(seconds).ok()
        };
        let longest = |group: &Vec<String>| {
            let all: Option<Vec<_>> = group.iter().map(took).collect();
            all?.into_iter().max()
        };
        self.0.iter().map(longest).sum()
    }
}

pub(super) struct Client {
    wire: Box<dyn Wire>,
    request: Request,
    calls: Option<Calls>,
}

/// What came of a request.
pub(super) struct Answered {
    /// Whether it was 200.
    pub(super) ok: bool,
    /// Of the time it took, what the calls took that were asked about.
    pub(super) calls: Option<Duration>,
}

impl Client {
    pub(super) fn new(wire: Box<dyn Wire>, request: Request, calls: Option<Calls>) -> Self {
        Self {
            wire,
            request,
            calls,
        }
    }

    /// One request and its whole answer.
    pub(super) async fn exchange(&mut self) -> io::Result<Answered> {
        self.wire.write_all(&self.request.head).await?;
        if !self.request.body.is_empty() {
            self.wire.write_all(&self.request.body).await?;
        }
        self.wire.flush().await?;
        answer(&mut self.wire, self.calls.as_ref()).await
    }
}

/// Reads an answer to its end.
pub(super) async fn answer(
    wire: &mut Box<dyn Wire>,
    calls: Option<&Calls>,
) -> io::Result<Answered> {
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        if wire.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer.parse(&buffer).map_err(io::Error::other)?;
        let httparse::Status::Complete(head) = parsed else {
            continue;
        };
        let header = |name: &str| {
            let mut headers = answer.headers.iter();
            let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let length = header("content-length")
            .and_then(|length| length.parse::<usize>().ok())
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        let answered = Answered {
            ok: answer.code == Some(200),
            calls: calls.and_then(|calls| calls.took(header("server-timing")?)),
        };
        let mut left = (head + length).saturating_sub(buffer.len());
        buffer.clear();
        buffer.reserve(left.min(256 * 1024));
        while left > 0 {
            buffer.clear();
            let read = wire.read_buf(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(read);
        }
        return Ok(answered);
    }
}
