//! The seam between what is said to a vendor and how it gets there.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::lock::Mutex as AsyncMutex;
use parking_lot::Mutex;

use crate::{
    Evidence,
    protocols::auth::token::Token,
    request::{Request, Response},
};

/// Sends requests and waits; what has sockets and clocks implements it, and so does a test with canned answers.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one request and reads its whole answer, in at most this time.
    async fn send(&self, request: Request, allowed: Duration) -> Result<Response, Evidence>;
    /// Waits.
    async fn pause(&self, time: Duration);
    /// The time of day: signatures and tokens say it, and expire by it.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    /// Does work that keeps a processor busy or reads a file, and returns when it is done. What serves other requests
    /// meanwhile gives it to a thread of its own; by default it is done where it is asked for.
    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// How long before its end a token is replaced.
const EARLY: Duration = Duration::from_mins(1);

/// One account's token; locked while one is fetched, so that only one is.
pub(crate) type Cell = Arc<AsyncMutex<Option<Token>>>;

/// Tokens that keys were exchanged for, kept until shortly before their end.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<String, Cell>>);

impl Tokens {
    /// The place of the token for an account's service.
    pub(crate) fn cell(&self, key: &str) -> Cell {
        let mut cells = self.0.lock();
        if let Some(cell) = cells.get(key) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        cells.insert(key.to_owned(), Arc::clone(&cell));
        cell
    }
}

/// Whether a token can still be used.
pub(crate) fn is_fresh(token: &Token, now: SystemTime) -> bool {
    token
        .expires_at
        .checked_sub(EARLY)
        .is_some_and(|end| now < end)
}
