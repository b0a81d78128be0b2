//! What was tried for one request, for headers, logs and problem documents.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use isobar_adapters::Verdict;

use crate::{
    edge::problem::{Attempt, Reason},
    pool::Account,
};

/// One attempt, or one account passed over.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) account: Arc<Account>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    pub(crate) took: Duration,
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
    fn name(self) -> &'static str {
        match self {
            Self::Ended(verdict) => verdict.name(),
            Self::Overtaken => "overtaken",
            Self::PassedOver => "skipped",
        }
    }
}

impl Tried {
    fn is_attempt(&self) -> bool {
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
pub(crate) fn server_timing(tried: &[Tried], total: Duration) -> String {
    let mut text = String::with_capacity(64);
    for (index, tried) in tried.iter().filter(|tried| tried.is_attempt()).enumerate() {
        let verdict = tried.outcome.name();
        let millis = tried.took.as_secs_f64() * 1e3;
        let _ = write!(
            text,
            "attempt-{};desc=\"{} {verdict}\";dur={millis:.2}, ",
            index + 1,
            tried.account.name()
        );
    }
    let _ = write!(text, "total;dur={:.2}", total.as_secs_f64() * 1e3);
    text
}
