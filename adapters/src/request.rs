//! Messages out and in: a request to a vendor, and its answer.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use sha2::{Digest as _, Sha256};

use crate::blob::Blob;

/// Bytes of a blob that are encoded at a time; a multiple of three, so that pieces join without padding.
const ENCODED: usize = 48 * 1024;

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute URI.
    pub uri: Uri,
    /// Headers, `host` among them.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// How to talk: one answer, or messages over a WebSocket.
    pub talk: Talk,
}

/// How a request is carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Talk {
    /// HTTP: one request, one answer.
    Http,
    /// A WebSocket: these messages are sent at this pace, and the answer's body is the JSON array of all that came back.
    Socket {
        /// Text messages to send.
        messages: Vec<Bytes>,
        /// Milliseconds between two of them.
        pace: u64,
        /// Name in a received message, and its value, that ends the talk.
        until: (Vec<String>, serde_json::Value),
    },
}

/// A body in pieces; blobs are read when it is sent.
#[derive(Debug, Clone, Default)]
pub struct Body(pub Vec<Piece>);

/// A piece of a body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// A blob's bytes.
    Blob(Blob),
    /// A blob's bytes in base64.
    Base64(Blob),
}

/// A vendor's answer with its whole body.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Body {
    /// A body in memory.
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() {
            Vec::new()
        } else {
            vec![Piece::Bytes(bytes)]
        })
    }

    /// Bytes in all, as they go on the wire.
    pub fn length(&self) -> u64 {
        let piece = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Blob(blob) => blob.length(),
            Piece::Base64(blob) => blob.length().div_ceil(3) * 4,
        };
        self.0.iter().map(piece).sum()
    }

    /// Whether reading it never blocks.
    pub fn in_memory(&self) -> bool {
        self.0.iter().all(|piece| match piece {
            Piece::Bytes(_) => true,
            Piece::Blob(blob) | Piece::Base64(blob) => blob.in_memory(),
        })
    }

    /// The body as it goes on the wire, piece by piece. Blocks where [`Body::in_memory`] is false.
    pub fn pieces(self) -> impl Iterator<Item = io::Result<Bytes>> + Send {
        self.0.into_iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => Reading {
                blob: None,
                offset: 0,
                encode: false,
                once: Some(bytes),
            },
            Piece::Blob(blob) => Reading {
                blob: Some(blob),
                offset: 0,
                encode: false,
                once: None,
            },
            Piece::Base64(blob) => Reading {
                blob: Some(blob),
                offset: 0,
                encode: true,
                once: None,
            },
        })
    }

    /// The whole body in one piece.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        if let [Piece::Bytes(bytes)] = self.0.as_slice() {
            return Ok(bytes.clone());
        }
        let mut whole = Vec::with_capacity(usize::try_from(self.length()).unwrap_or_default());
        for piece in self.clone().pieces() {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.into())
    }

    /// SHA-256 of the body as it goes on the wire. Blocks where [`Body::in_memory`] is false.
    pub fn digest(&self) -> io::Result<[u8; 32]> {
        match self.0.as_slice() {
            [] => Ok(Sha256::digest([]).into()),
            [Piece::Bytes(bytes)] => Ok(Sha256::digest(bytes).into()),
            [Piece::Blob(blob)] => Ok(blob.digest()),
            _ => {
                let mut hash = Sha256::new();
                for piece in self.clone().pieces() {
                    hash.update(&piece?);
                }
                Ok(hash.finalize().into())
            }
        }
    }
}

struct Reading {
    blob: Option<Blob>,
    offset: u64,
    encode: bool,
    once: Option<Bytes>,
}

impl Iterator for Reading {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(bytes) = self.once.take() {
            return Some(Ok(bytes));
        }
        let blob = self.blob.as_ref()?;
        if self.offset >= blob.length() {
            return None;
        }
        let piece = if self.encode {
            self.exactly(blob)
        } else {
            blob.read(self.offset, ENCODED)
        };
        match piece {
            Ok(piece) if piece.is_empty() => {
                self.blob = None;
                Some(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Ok(piece) => {
                self.offset += piece.len() as u64;
                Some(Ok(if self.encode {
                    STANDARD.encode(&piece).into()
                } else {
                    piece
                }))
            }
            Err(error) => {
                self.blob = None;
                Some(Err(error))
            }
        }
    }
}

impl Reading {
    /// A full piece, unless the blob ends in it: sources may give less than they are asked for.
    fn exactly(&self, blob: &Blob) -> io::Result<Bytes> {
        let first = blob.read(self.offset, ENCODED)?;
        let wanted = (blob.length() - self.offset).min(ENCODED as u64);
        if first.len() as u64 == wanted {
            return Ok(first);
        }
        let mut whole = first.to_vec();
        while (whole.len() as u64) < wanted {
            let more = blob.read(self.offset + whole.len() as u64, ENCODED - whole.len())?;
            if more.is_empty() {
                break;
            }
            whole.extend_from_slice(&more);
        }
        Ok(whole.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::Memory, media::Media};

    #[test]
    fn a_blob_in_base64_is_what_encoding_it_whole_gives() {
        for length in [
            0,
            1,
            2,
            3,
            1_000,
            ENCODED - 1,
            ENCODED,
            ENCODED + 1,
            3 * ENCODED + 2,
        ] {
            let content: Vec<u8> = (0..length)
                .map(|at| u8::try_from(at * 31 % 251).unwrap())
                .collect();
            let pieces = content.chunks(7_001).map(Bytes::copy_from_slice).collect();
            let blob = Blob::new(
                Box::new(Memory(pieces)),
                Media::default(),
                String::new(),
                String::new(),
            )
            .unwrap();
            let body = Body(vec![
                Piece::Bytes(Bytes::from_static(b"\"")),
                Piece::Base64(blob),
                Piece::Bytes(Bytes::from_static(b"\"")),
            ]);
            let expected = format!("\"{}\"", STANDARD.encode(&content));
            assert_eq!(body.length(), expected.len() as u64);
            assert_eq!(body.to_bytes().unwrap(), expected);
            assert_eq!(
                body.digest().unwrap(),
                <[u8; 32]>::from(Sha256::digest(&expected))
            );
        }
    }
}
