//! The seam between what is called and how it gets there.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use isobar_adapters::{Blob, Contract, Output};
use isobar_config::Secret;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{plan::Pool, run::Slot};

/// One call of an operation.
#[derive(Debug)]
pub struct OperationCall<'a> {
    /// The operation.
    pub contract: &'static Contract,
    /// Its input, not yet checked against the contract.
    pub input: Map<String, Value>,
    /// Its blobs, by field.
    pub blobs: Vec<(&'static str, Blob)>,
    /// Who may serve it.
    pub pool: &'a Pool,
    /// When the answer must be there, over all attempts.
    pub deadline: Instant,
    /// When a second account is asked as well.
    pub hedge: Option<Duration>,
    /// How long an equal call's answer may be used again.
    pub cache: Option<Duration>,
    /// Unique to the run.
    pub run: &'a str,
    /// For effects that are safe with the same key: unique to the run's step and item, the same when it is tried again.
    pub key: &'a str,
}

/// One plain HTTP request. Its host has been looked at: it is one of the composition's.
#[derive(Debug)]
pub struct HttpCall {
    /// Request without its body.
    pub head: http::request::Parts,
    /// Body.
    pub body: HttpContent,
    /// Credential, as a bearer token.
    pub bearer: Option<Secret>,
    /// Whether its host was made at run time, and so must not be a private address unless it is written as one.
    pub made: bool,
    /// When the answer must be there.
    pub deadline: Instant,
    /// Most bytes of the answer.
    pub most: u64,
}

/// Body of an HTTP request.
#[derive(Debug, Clone)]
pub enum HttpContent {
    /// None.
    None,
    /// Bytes.
    Bytes(bytes::Bytes),
    /// A blob, sent piece by piece.
    Blob(Blob),
}

/// An operation's answer, and who gave it.
#[derive(Debug, Clone)]
pub struct Called {
    /// The answer: the operation's output with `vendor`, and its blobs.
    pub output: Slot,
    /// Every attempt, in order; none for an answer that was kept.
    pub attempts: Vec<Attempt>,
}

impl Called {
    /// An operation's answer as steps see it.
    pub fn of(output: &Output, vendor: &str, attempts: Vec<Attempt>) -> Self {
        Self {
            output: Slot::of_output(output, vendor),
            attempts,
        }
    }
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct HttpCalled {
    /// Status and headers.
    pub head: HttpHead,
    /// Body.
    pub body: bytes::Bytes,
}

/// Status and headers of an answer.
#[derive(Debug, Clone, Default)]
pub struct HttpHead {
    /// Status.
    pub status: http::StatusCode,
    /// Headers.
    pub headers: http::HeaderMap,
}

/// One attempt at one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Account.
    pub vendor: String,
    /// What it proved: `ok`, `failed` …
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// Time it took, in milliseconds.
    pub millis: u64,
}

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CallFailed {
    /// Status that the client should see, such as 502, 503 or 504.
    pub status: u16,
    /// Name of the problem, as in problem documents.
    pub kind: &'static str,
    /// Why, in words for the client.
    pub reason: String,
    /// Whether the vendor may have acted all the same.
    pub outcome_unknown: bool,
    /// Whether a later try may end otherwise.
    pub passing: bool,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// Sends calls to vendors, with everything that pools do: order, failover, breakers, deadlines. Dropping a future cancels
/// its call.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Calls an operation.
    async fn operation(&self, call: OperationCall<'_>) -> Result<Called, CallFailed>;

    /// Makes a plain HTTP request, once.
    async fn http(&self, call: HttpCall) -> Result<HttpCalled, CallFailed>;
}
