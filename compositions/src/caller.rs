//! The seam between what is called and how it gets there.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// One HTTP call to a pool, by name.
#[derive(Debug, Clone)]
pub struct Call {
    /// Name of the pool.
    pub pool: String,
    /// Request with its whole body; the target's host is the account's.
    pub request: http::Request<Bytes>,
    /// Time allowed, over all attempts.
    pub deadline: Duration,
}

/// An answer, and which account gave it.
#[derive(Debug, Clone)]
pub struct Called {
    /// Answer with its whole body.
    pub response: http::Response<Bytes>,
    /// Account that answered.
    pub vendor: String,
    /// Attempts made, this one included.
    pub attempts: u32,
}

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailed {
    /// Status that the client should see: 502, 503 or 504.
    pub status: u16,
    /// Why, in words for the client.
    pub reason: String,
    /// Whether the vendor may have acted all the same.
    pub outcome_unknown: bool,
}

/// Sends calls to vendors, with everything that pools do: order, failover, breakers, deadlines.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Makes one call; dropping the future cancels it.
    async fn call(&self, call: Call) -> Result<Called, CallFailed>;
}
