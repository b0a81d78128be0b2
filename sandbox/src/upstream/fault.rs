//! What can go wrong at an upstream, at the level of bytes and connections.

use std::time::Duration;

use bytes::Bytes;

/// One misbehaviour, for one request (or, before the request is read, for one connection).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing goes wrong; holds a place in a script.
    None,
    /// The connection is reset as soon as it is accepted, before the request is read.
    ResetAtAccept,
    /// The request is read; the connection is reset without a byte of an answer. Nothing was executed.
    ResetBeforeHead,
    /// The request is executed; the connection is reset without a byte of an answer.
    ResetAfterExecuting,
    /// The connection is reset after the answer's head and half of its body.
    ResetMidBody,
    /// The request is read and never answered.
    Hang,
    /// The answer comes this much later.
    Delay(Duration),
    /// Another answer, with headers of its own. Nothing was executed.
    Status(u16, Vec<(&'static str, String)>),
    /// The request is executed, and this status is answered all the same.
    StatusAfterExecuting(u16),
    /// The answer is sent before the request's body was read, and the connection closed.
    EarlyStatus(u16),
    /// The head announces the whole body; half of it comes, then the connection ends in good order.
    Truncated,
    /// A chunked answer that ends in good order before its last chunk.
    TruncatedChunks,
    /// The head and half of the body, then silence.
    Stall,
    /// The body comes in pieces of one sixteenth with this pause between them.
    SlowBody(Duration),
    /// So many interim answers (103), then the answer.
    Interim(u32),
    /// These bytes instead of an answer, then the connection ends in good order.
    Raw(Bytes),
    /// A good answer, more bytes behind it, and the connection stays open.
    Trailing(Bytes),
    /// A good answer that promises to keep the connection, which is closed right behind it.
    SilentClose,
}

impl Fault {
    /// A status without headers of its own.
    pub fn status(code: u16) -> Self {
        Self::Status(code, Vec::new())
    }

    /// 429 with this `Retry-After`, in seconds.
    pub fn busy(seconds: u32) -> Self {
        Self::Status(429, vec![("retry-after", seconds.to_string())])
    }

    /// Raw bytes instead of an answer.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::Raw(bytes.into())
    }

    /// Whether the upstream did what the request asked for.
    pub(super) fn executes(&self) -> bool {
        !matches!(
            self,
            Self::ResetAtAccept
                | Self::ResetBeforeHead
                | Self::Hang
                | Self::Status(..)
                | Self::EarlyStatus(_)
        )
    }
}
