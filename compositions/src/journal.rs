//! The durable record of effects that can be taken back: written before they happen, so that a run that was cut off, even
//! by the end of the process, is taken back all the same.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One effect of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The run.
    pub run: String,
    /// Place in the run's order of effects; they are taken back from the last to the first.
    pub number: u32,
    /// Composition that has the step: that of the run, or one that it uses.
    pub composition: String,
    /// The step.
    pub step: String,
}

/// An undo, with its values worked out. Credentials and accounts are not in it: they are the plan's of the day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoCall {
    /// An operation.
    Operation {
        /// Its input.
        input: Map<String, Value>,
    },
    /// A plain HTTP request.
    Http {
        /// Where it goes.
        url: String,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body, if it has one.
        body: Option<String>,
    },
}

/// What is known of an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was about to happen. The undo is there if it needs nothing of the step's output.
    Begun(Option<UndoCall>),
    /// It happened.
    Done(UndoCall),
    /// A person must look.
    NeedsReview(String),
}

/// An effect of a run that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// Which.
    pub entry: Entry,
    /// What is known of it.
    pub state: State,
    /// How often taking it back has been tried.
    pub tries: u32,
}

/// The journal cannot be written or read: no effect may happen. Whoever keeps the journal tells its operator why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be used: {0}")]
pub struct JournalError(pub String);

/// Where effects are recorded. Every call has reached the disk when it returns.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The effect is about to happen.
    async fn begin(&self, entry: &Entry, undo: Option<&UndoCall>) -> Result<(), JournalError>;

    /// It happened.
    async fn done(&self, entry: &Entry, undo: &UndoCall) -> Result<(), JournalError>;

    /// It is proven not to have happened, or it is taken back: nothing is left to do.
    async fn closed(&self, entry: &Entry) -> Result<(), JournalError>;

    /// Taking it back failed once more.
    async fn tried(&self, entry: &Entry) -> Result<(), JournalError>;

    /// A person must look.
    async fn review(&self, entry: &Entry, why: &str) -> Result<(), JournalError>;

    /// The run ended well: its effects stay.
    async fn kept(&self, run: &str) -> Result<(), JournalError>;
}
