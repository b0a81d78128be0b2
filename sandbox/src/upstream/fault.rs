//! What can go wrong at an upstream, at the level of bytes and connections.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::Semaphore;

/// Holds answers back until it is told to let them go; clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate that lets nothing through.
    pub fn shut() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets this many more answers, or pieces of one, through.
    pub fn let_through(&self, count: usize) {
        self.0.add_permits(count);
    }

    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}

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
    /// The answer, or each piece of one that has pieces, waits at the gate.
    Held(Gate),
    /// Another answer, with headers of its own. Nothing was executed.
    Status(u16, Vec<(&'static str, String)>),
    /// A good answer with these headers beside its own.
    With(Vec<(&'static str, String)>),
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

    /// A good answer with one more header.
    pub fn with(name: &'static str, value: &str) -> Self {
        Self::With(vec![(name, value.to_owned())])
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
