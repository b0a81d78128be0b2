//! What a simulated vendor is: requests in, answers out, no I/O.

use serde::{Deserialize, Serialize};

use crate::{answer::Answer, call::Call};

/// A vendor's simulator. One value lives as long as its sandbox and keeps the vendor's state (jobs, uploads, tokens).
pub(crate) trait Vendor: Send + Sync + 'static {
    /// Its name: first segment of the path, and name of its account in the printed configuration.
    fn name(&self) -> &'static str;

    /// Fields of its account beside `vendor:`, in order, with values that [`Vendor::authenticate`] accepts.
    /// `base` is `http://HOST/NAME`.
    fn account(&self, base: &str) -> Vec<(&'static str, String)>;

    /// Most bytes of a request body; more is answered with [`Class::TooLarge`] unread.
    fn body_limit(&self) -> usize {
        25 * 1024 * 1024
    }

    /// Which of its calls this is. Faults and the ledger go by it.
    fn operation(&self, call: &Call) -> Operation;

    /// Checks the credential for real; the ledger's name for it (`NAME`, `NAME-2`, or `anonymous` where none is
    /// needed), or the vendor's own refusal.
    fn authenticate(&self, call: &Call) -> Result<String, Answer>;

    /// Answers. Both arms are sent as they are; `Err` is there for `?`.
    fn serve(&self, call: &Call) -> Result<Answer, Answer>;

    /// A failure of that class in the vendor's own shape and status.
    fn error(&self, call: &Call, class: Class, message: &str) -> Answer;

    /// A failure with this code of the vendor's own; `None` if it has no codes, or none such.
    fn coded(&self, _call: &Call, _code: &str, _message: &str) -> Option<Answer> {
        None
    }

    /// A conversation over a websocket, when this call opens one. Called after [`Vendor::authenticate`].
    fn socket(&self, _call: &Call) -> Option<Box<dyn Session>> {
        None
    }

    /// Forgets jobs, uploads and tokens.
    fn reset(&self) {}
}

/// A conversation over a websocket: frames in, frames out.
pub(crate) trait Session: Send {
    /// What is sent back for one text or binary frame.
    fn receive(&mut self, frame: &[u8]) -> Vec<Reply>;

    /// At the end: whether the work was done, and facts for the ledger.
    fn finish(&mut self) -> (bool, Vec<(&'static str, serde_json::Value)>);
}

/// One frame sent to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A text frame.
    Text(String),
    /// The end of the conversation, with this code.
    Close(u16),
}

/// Which call a request is, under both its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The vendor's own name for it: `StartTranscriptionJob`, `listen`.
    pub(crate) call: &'static str,
    /// What it is part of: `speech.transcribe`; `None` for what belongs to no operation or to several.
    pub(crate) of: Option<&'static str>,
}

impl Operation {
    /// A call that is part of an operation.
    pub(crate) const fn new(call: &'static str, of: &'static str) -> Self {
        Self { call, of: Some(of) }
    }

    /// A call that is part of no operation.
    pub(crate) const fn other(call: &'static str) -> Self {
        Self { call, of: None }
    }
}

/// Why a vendor refuses or fails. Each vendor has its own words and statuses for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The credential is missing, wrong or expired.
    Auth,
    /// The account has no money or no allowance left.
    Quota,
    /// Too many calls at once or per second.
    Rate,
    /// The request is wrong.
    Invalid,
    /// The request or its content is too large.
    TooLarge,
    /// A language, format or model that is not offered.
    Unsupported,
    /// No such path, job or object.
    NotFound,
    /// The vendor failed, and it is unclear whether it did the work.
    Internal,
    /// The vendor is overloaded or down, and did nothing.
    Unavailable,
}
