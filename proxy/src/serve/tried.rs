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
    /// `None` when the account was passed over.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) reason: Reason,
    pub(crate) took: Duration,
}

impl Tried {
    pub(crate) fn attempt(&self) -> Attempt {
        Attempt {
            vendor: self.account.name().to_owned(),
            verdict: self.verdict.map_or("skipped", Verdict::name),
            reason: self.reason,
            millis: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// How many requests were sent, or tried to be.
pub(crate) fn made(tried: &[Tried]) -> usize {
    tried.iter().filter(|tried| tried.verdict.is_some()).count()
}

/// `Server-Timing`: each attempt, then the total; durations in milliseconds.
pub(crate) fn server_timing(tried: &[Tried], total: Duration) -> String {
    let mut text = String::with_capacity(64);
    for (index, tried) in tried
        .iter()
        .filter(|tried| tried.verdict.is_some())
        .enumerate()
    {
        let verdict = tried.verdict.map_or("skipped", Verdict::name);
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
