//! What a vendor answers, before it is put on the wire.

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::Value;

use crate::vendor::Reply;

/// One answer: status, headers, body, and what the ledger is to know about it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: StatusCode,
    /// Headers, sent in this order.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Body.
    pub(crate) content: Content,
    /// Whether what was asked for was done. By default, whether the status is below 400.
    pub(crate) executed: bool,
    /// Facts for the ledger, such as the model or the number of characters.
    pub(crate) facts: Vec<(&'static str, Value)>,
}

/// A body.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Sent at once, with its length.
    Whole(Bytes),
    /// Sent as chunks without a length, one by one: event streams.
    Pieces(Vec<Bytes>),
    /// Sent over the websocket that the call asks for, once its first frame is there.
    Frames(Vec<Reply>),
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            executed: status.as_u16() < 400,
            status,
            headers: Vec::new(),
            content: Content::Whole(Bytes::new()),
            facts: Vec::new(),
        }
    }

    /// `application/json`.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::bytes(status, "application/json", value.to_string())
    }

    /// Text of this content type.
    pub(crate) fn text(status: u16, content_type: &str, text: impl Into<String>) -> Self {
        Self::bytes(status, content_type, text.into())
    }

    /// Bytes of this content type.
    pub(crate) fn bytes(status: u16, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        let mut answer = Self::empty(status).header("content-type", content_type);
        answer.content = Content::Whole(bytes.into());
        answer
    }

    /// `text/event-stream`: each piece becomes one chunk and must end with an empty line.
    pub(crate) fn events(pieces: Vec<String>) -> Self {
        let mut answer =
            Self::empty(200).header("content-type", "text/event-stream; charset=utf-8");
        answer.content = Content::Pieces(pieces.into_iter().map(Bytes::from).collect());
        answer
    }

    /// What a websocket answers to whatever comes first: a vendor that fails inside the conversation.
    pub(crate) fn frames(replies: Vec<Reply>) -> Self {
        let mut answer = Self::empty(101).header("content-type", "application/json");
        answer.content = Content::Frames(replies);
        answer
    }

    /// Adds a header, or replaces the one of that name (lower case).
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a fact for the ledger.
    pub(crate) fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// For vendors that report failure inside a 200: nothing was executed.
    pub(crate) fn not_executed(mut self) -> Self {
        self.executed = false;
        self
    }

    /// The same answer under another status.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        if let Ok(status) = StatusCode::from_u16(status) {
            self.status = status;
        }
        self
    }
}
