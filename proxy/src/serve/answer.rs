//! A vendor's answer on its way to the client.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header, response::Parts};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::client::{Coming, body_evidence};
use crate::pool::{Account, health::Permit};
use isobar_adapters::{Evidence, Fault};

/// Answers up to this size are read whole before the client sees anything of them, so that one that breaks off can
/// still be asked for elsewhere.
const WHOLE: u64 = 64 * 1024;

/// An answer with its head read.
pub(crate) struct Answer {
    pub(crate) account: Arc<Account>,
    pub(crate) head: Parts,
    pub(crate) body: Body,
    /// Held until the body is through.
    pub(crate) permit: Permit,
}

/// An answer's body.
pub(crate) enum Body {
    /// All of it.
    Whole(Bytes),
    /// To be passed on piece by piece.
    Stream(Coming),
    /// The same, with its beginning here already.
    Begun(Bytes, Coming),
}

/// Reads small bodies of known length; leaves the others to be streamed.
pub(crate) async fn read(body: Coming, allowed: Duration) -> Result<Body, Evidence> {
    let Some(length) = body.size_hint().exact().filter(|length| *length <= WHOLE) else {
        return Ok(Body::Stream(body));
    };
    if length == 0 {
        return Ok(Body::Whole(Bytes::new()));
    }
    match tokio::time::timeout(allowed, whole(body)).await {
        Ok(Ok(bytes)) => Ok(Body::Whole(bytes)),
        Ok(Err(error)) => Err(body_evidence(&error)),
        Err(_) => Err(Evidence::Broken(Fault::Timeout)),
    }
}

async fn whole(mut body: Coming) -> io::Result<Bytes> {
    let mut gathered = Gathered::default();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            gathered.push(piece);
        }
    }
    Ok(gathered.whole())
}

/// A body's pieces as they come; the first is not copied where it is the only one.
#[derive(Default)]
pub(super) struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    pub(super) fn length(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn whole(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(
        date.duration_since(std::time::SystemTime::now())
            .unwrap_or_default(),
    )
}
