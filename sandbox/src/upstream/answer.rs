//! What a well-behaved upstream answers, by path.
//!
//! `/bytes/N`, `/chunked/N`, `/sse/N/MILLIS`, `/status/CODE`, `/slow/MILLIS`; any other path describes the request.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use serde_json::json;

use super::wire::{Body, Head};

/// An answer before it is put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) wait: Duration,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// With `Content-Length`.
    Whole(Bytes),
    /// Chunked, this piece so many times, with a pause before each but the first.
    Pieces {
        piece: Bytes,
        times: u64,
        pause: Duration,
    },
}

impl Answer {
    pub(super) fn new(status: u16, kind: &str, content: Content) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            wait: Duration::ZERO,
            content,
        }
    }

    /// What `server` answers to a request.
    pub(super) fn to(server: &str, head: &Head, body: &Body) -> Self {
        let path = head.target.split('?').next().unwrap_or_default();
        let mut words = path.trim_start_matches('/').split('/');
        let (what, first) = (words.next().unwrap_or_default(), words.next());
        let number = first.and_then(|word| word.parse::<u64>().ok());
        let millis = words.next().and_then(|word| word.parse().ok());
        let mut answer = match (what, number) {
            ("bytes", Some(length)) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Self::new(
                    200,
                    "application/octet-stream",
                    Content::Whole(filler(length)),
                )
            }
            ("chunked", Some(length)) => {
                let piece = filler(16 * 1024);
                let times = length.div_ceil(piece.len() as u64);
                let pause = Duration::ZERO;
                Self::new(
                    200,
                    "application/octet-stream",
                    Content::Pieces {
                        piece,
                        times,
                        pause,
                    },
                )
            }
            ("sse", Some(times)) => {
                let piece = Bytes::from_static(b"data: {\"event\":true}\n\n");
                let pause = Duration::from_millis(millis.unwrap_or_default());
                Self::new(
                    200,
                    "text/event-stream",
                    Content::Pieces {
                        piece,
                        times,
                        pause,
                    },
                )
            }
            ("status", Some(code)) => {
                let code = u16::try_from(code).unwrap_or(500);
                Self::new(
                    code,
                    "text/plain",
                    Content::Whole(Bytes::from_static(b"as asked\n")),
                )
            }
            _ => Self::new(
                200,
                "application/json",
                Content::Whole(describe(server, head, body)),
            ),
        };
        if let ("slow", Some(millis)) = (what, number) {
            answer.wait = Duration::from_millis(millis);
        }
        answer
            .headers
            .push(("x-served-by".to_owned(), server.to_owned()));
        answer
    }

    /// The head as it goes on the wire.
    pub(super) fn head(&self) -> Bytes {
        let mut text = format!("HTTP/1.1 {} As-Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        match &self.content {
            Content::Whole(body) => {
                let _ = write!(text, "content-length: {}\r\n\r\n", body.len());
            }
            Content::Pieces { .. } => text.push_str("transfer-encoding: chunked\r\n\r\n"),
        }
        text.into()
    }
}

fn describe(server: &str, head: &Head, body: &Body) -> Bytes {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let mut headers = serde_json::Map::new();
    for (name, value) in &head.headers {
        headers.insert(name.clone(), value.as_str().into());
    }
    let kept = body
        .kept
        .get(..body.kept.len().min(4 * 1024))
        .unwrap_or_default();
    let told = json!({
        "server": server,
        "method": head.method,
        "path": path,
        "query": query,
        "headers": headers,
        "body_length": body.length,
        "body": String::from_utf8_lossy(kept),
    });
    let mut text = told.to_string();
    text.push('\n');
    text.into()
}

/// Bytes that differ by position, so that a piece lost or repeated shows.
pub(super) fn filler(length: usize) -> Bytes {
    let mut bytes = b"abcdefghijklmnopqrstuvwxyz".repeat(length.div_ceil(26));
    bytes.truncate(length);
    bytes.into()
}
