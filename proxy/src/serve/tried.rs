//! What was tried for one request, for headers, logs and problem documents.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use isobar_adapters::Verdict;

use crate::{
    edge::{
        problem::{Attempt, Reason},
        text::Text,
    },
    pool::Account,
};

/// One attempt, or one account passed over.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) account: Arc<Account>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    pub(crate) took: Duration,
    /// When it was over.
    pub(crate) ended: Instant,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The attempt ended with this verdict.
    Ended(Verdict),
    /// Another attempt, started later, was faster; this one was given up.
    Overtaken,
    /// Nothing was sent, for the reason beside it.
    PassedOver,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ended(verdict) => verdict.name(),
            Self::Overtaken => "overtaken",
            Self::PassedOver => "skipped",
        }
    }
}

impl Tried {
    pub(crate) fn is_attempt(&self) -> bool {
        self.outcome != Outcome::PassedOver
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt {
            vendor: self.account.name().to_owned(),
            verdict: self.outcome.name(),
            reason: self.reason.clone(),
            millis: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// How many requests were sent, or tried to be.
pub(crate) fn made(tried: &[Tried]) -> usize {
    tried.iter().filter(|tried| tried.is_attempt()).count()
}

/// `Server-Timing`: each attempt, then the total; durations in milliseconds.
pub(crate) fn server_timing(tried: &[Tried], total: Duration) -> Option<HeaderValue> {
    let mut text = Text::default();
    for (number, tried) in (1..).zip(tried.iter().filter(|tried| tried.is_attempt())) {
        text.push("attempt-").number(number);
        text.push(";desc=\"").push(tried.account.name());
        text.push(" ").push(tried.outcome.name());
        text.push("\";dur=").fraction(hundredths(tried.took), 2);
        text.push(", ");
    }
    text.push("total;dur=").fraction(hundredths(total), 2);
    text.value()
}

/// Hundredths of a millisecond.
fn hundredths(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros() / 10).unwrap_or(u64::MAX)
}
