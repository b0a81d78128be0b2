//! Reads HTTP/1.1 requests off a socket, just as far as a scripted server needs.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// Largest head that is read.
const HEAD: usize = 256 * 1024;
/// Bytes of a body that are kept for the ledger.
const KEPT: usize = 2 * 1024 * 1024;

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

/// What was read of a body.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) length: u64,
    pub(super) kept: BytesMut,
}

/// A connection with what was read ahead.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    ahead: BytesMut,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(same)
            .map(|(_, value)| value.as_str())
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: BytesMut::with_capacity(8 * 1024),
        }
    }

    /// The next head, or `None` when the peer is done.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some((head, length)) = parse(&self.ahead)? {
                self.ahead.advance(length);
                return Ok(Some(head));
            }
            if self.ahead.len() > HEAD {
                return Err(malformed("the head is too long"));
            }
            if self.stream.read_buf(&mut self.ahead).await? == 0 {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads the body that `head` announces into `body`; what came before an error stays there.
    pub(super) async fn body(&mut self, head: &Head, body: &mut Body) -> io::Result<()> {
        if let Some(coding) = head.header("transfer-encoding") {
            if !coding.eq_ignore_ascii_case("chunked") {
                return Err(malformed("another transfer coding than chunked"));
            }
            return self.chunks(body).await;
        }
        let Some(length) = head.header("content-length") else {
            return Ok(());
        };
        let length = length.parse().map_err(|_| malformed("content-length"))?;
        self.exactly(length, body).await
    }

    async fn chunks(&mut self, body: &mut Body) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk's size"))?;
            if size == 0 {
                // Trailers end with an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.exactly(size, body).await?;
            if !self.line().await?.is_empty() {
                return Err(malformed("a chunk's end"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line = self.ahead.split_to(end + 1);
                let text = String::from_utf8_lossy(&line);
                return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: u64, body: &mut Body) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.ahead.is_empty() {
                self.more().await?;
            }
            let here = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(self.ahead.len());
            let piece = self.ahead.split_to(here);
            body.add(&piece.freeze());
            left -= here as u64;
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<()> {
        self.ahead.reserve(64 * 1024);
        if self.stream.read_buf(&mut self.ahead).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Bytes that came ahead of time.
    pub(super) fn take_ahead(&mut self) -> Bytes {
        self.ahead.split().freeze()
    }
}

impl Body {
    fn add(&mut self, piece: &Bytes) {
        self.length += piece.len() as u64;
        let room = KEPT.saturating_sub(self.kept.len()).min(piece.len());
        self.kept.extend_from_slice(&piece.slice(..room));
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let head = Head {
                method: request.method.unwrap_or_default().to_owned(),
                target: request.path.unwrap_or_default().to_owned(),
                headers: request
                    .headers
                    .iter()
                    .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                    .collect(),
            };
            Ok(Some((head, length)))
        }
        Err(error) => Err(malformed(&error.to_string())),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
