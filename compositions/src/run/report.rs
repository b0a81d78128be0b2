//! What came of a run, step by step.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use isobar_adapters::Blob;
use serde::Serialize;
use serde_json::Value;

use crate::{caller::Attempt, caller::CallFailed};

/// A run that came to its end.
#[derive(Debug)]
pub struct Ran {
    /// The answer, or why there is none.
    pub result: Result<Answer, RunFailed>,
    /// Every step, in the order written.
    pub steps: Vec<StepReport>,
    /// Steps whose `otherwise` is in the answer, in the order written.
    pub degraded: Vec<String>,
    /// Effects that were taken back, or could not be.
    pub undone: Vec<Undone>,
}

/// What callers get.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: AnswerBody,
}

/// Body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// JSON, as it is sent.
    Json(Bytes),
    /// A blob as it is.
    Blob(Blob),
}

impl AnswerBody {
    /// The value, where it is JSON.
    pub fn value(&self) -> Option<Value> {
        match self {
            // What was written a moment ago can be read.
            Self::Json(text) => serde_json::from_slice(text).ok(),
            Self::Blob(_) => None,
        }
    }
}

/// Why a run has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RunFailed {
    /// Step that failed first; `None` where none did: the time was over, or the output could not be made.
    pub step: Option<String>,
    /// Status that the client should see.
    pub status: u16,
    /// Name of the problem.
    pub kind: &'static str,
    /// Why, in words for the client.
    pub reason: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Whether a vendor may have acted although the run failed, and nothing took it back.
    pub outcome_unknown: bool,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailed {
    /// Step where it began: this one or one that it needs.
    pub step: String,
    /// Status that the client should see.
    pub status: u16,
    /// Name of the problem.
    pub kind: &'static str,
    /// Why, in words for the client.
    pub reason: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Whether the vendor may have acted all the same.
    pub outcome_unknown: bool,
    /// Whether a later try may end otherwise.
    pub passing: bool,
}

impl StepFailed {
    /// A failure of our own making, or of the caller's input.
    pub(crate) fn of(step: &str, status: u16, kind: &'static str, reason: String) -> Self {
        Self {
            step: step.to_owned(),
            status,
            kind,
            reason,
            retry_after: None,
            outcome_unknown: false,
            passing: false,
        }
    }

    pub(crate) fn of_call(step: &str, failed: CallFailed) -> Self {
        Self {
            step: step.to_owned(),
            status: failed.status,
            kind: failed.kind,
            reason: failed.reason,
            retry_after: failed.retry_after,
            outcome_unknown: failed.outcome_unknown,
            passing: failed.passing,
        }
    }

    pub(crate) fn ends_the_run(&self) -> RunFailed {
        RunFailed {
            step: Some(self.step.clone()),
            status: self.status,
            kind: self.kind,
            reason: format!("step `{}` failed: {}", self.step, self.reason),
            retry_after: self.retry_after,
            outcome_unknown: self.outcome_unknown,
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It worked.
    Done,
    /// Its condition did not hold.
    Skipped,
    /// It failed, and its `otherwise` stands in.
    Degraded,
    /// It failed.
    Failed,
    /// It was stopped, or never started, because nobody wanted its output any more.
    Cancelled,
}

impl StepOutcome {
    /// Stable name for people, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// Name.
    pub step: String,
    /// What it does: `speech.transcribe`.
    pub work: Arc<str>,
    /// How it ended.
    pub outcome: StepOutcome,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Milliseconds from the start of the run to the start of the step.
    pub started_ms: f64,
    /// Milliseconds that it took.
    pub took_ms: f64,
    /// Account that answered, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Attempts at accounts, of all its items.
    pub attempts: Vec<Attempt>,
}

/// An effect that was to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Step whose effect it was.
    pub step: String,
    /// What came of it.
    pub outcome: UndoOutcome,
}

/// What came of an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoOutcome {
    /// The effect is taken back.
    Undone,
    /// Not yet: it is tried again until it works.
    Pending,
    /// Nobody knows whether there is anything to take back, or it cannot be: a person must look.
    NeedsReview,
}
