//! A client of HTTP/1.1 that reads as little of an answer as it must.

use std::{io, sync::Arc};

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

pub(super) struct Client {
    wire: Box<dyn Wire>,
    request: Request,
}

impl Client {
    pub(super) fn new(wire: Box<dyn Wire>, request: Request) -> Self {
        Self { wire, request }
    }

    /// One request and its whole answer; whether it was 200.
    pub(super) async fn exchange(&mut self) -> io::Result<bool> {
        self.wire.write_all(&self.request.head).await?;
        if !self.request.body.is_empty() {
            self.wire.write_all(&self.request.body).await?;
        }
        self.wire.flush().await?;
        answer(&mut self.wire).await
    }
}

/// Reads an answer to its end; whether it was 200.
pub(super) async fn answer(wire: &mut Box<dyn Wire>) -> io::Result<bool> {
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
        let length = answer
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .and_then(|header| {
                std::str::from_utf8(header.value)
                    .ok()?
                    .parse::<usize>()
                    .ok()
            })
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        let ok = answer.code == Some(200);
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
        return Ok(ok);
    }
}
