//! The last requests in which something failed, for `/status`. Bounded, and with nothing of what clients or vendors said: no
//! path, no key, no body.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use isobar_adapters::Verdict;
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    edge::problem::Attempt,
    serve::tried::{Outcome, Tried},
};

/// Failures that are remembered.
const KEPT: usize = 64;
/// Attempts that are told of one.
const ATTEMPTS: usize = 8;

/// The last failures, newest last.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

/// One request in which something failed, though perhaps not for its client.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// When it was over, in seconds since 1970.
    at: f64,
    /// Trace id, as in the access log.
    request: String,
    route: String,
    /// As the client saw it; 0 for none.
    status: u16,
    problem: Option<&'static str>,
    /// The client saw less than the whole answer.
    cut: bool,
    attempts: Vec<Attempt>,
}

/// What is known of a request that is over.
pub(crate) struct Over<'a> {
    pub(crate) request: String,
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) problem: Option<&'static str>,
    pub(crate) cut: bool,
    pub(crate) tried: &'a [Tried],
}

/// Whether this is worth remembering: the client was failed, or an attempt was in vain.
pub(crate) fn is_failure(status: u16, cut: bool, tried: &[Tried]) -> bool {
    let in_vain = |tried: &Tried| {
        let Outcome::Ended(verdict) = tried.outcome else {
            return false;
        };
        !matches!(verdict, Verdict::Ok | Verdict::RejectedFinal)
    };
    status >= 500 || cut || tried.iter().any(in_vain)
}

impl Failures {
    /// Remembers one; forgets the oldest when there are too many. Never waits: while somebody else is at it, this one is lost.
    pub(crate) fn note(&self, over: Over<'_>) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        let failure = Failure {
            at: at.unwrap_or_default().as_secs_f64(),
            request: over.request,
            route: over.route.to_owned(),
            status: over.status,
            problem: over.problem,
            cut: over.cut,
            attempts: over
                .tried
                .iter()
                .take(ATTEMPTS)
                .map(Tried::attempt)
                .collect(),
        };
        let Some(mut kept) = self.0.try_lock() else {
            return;
        };
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(failure);
    }

    /// Newest first.
    pub(crate) fn newest(&self) -> Vec<Failure> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let failures = Failures::default();
        for number in 0..1_000_usize {
            failures.note(Over {
                request: number.to_string(),
                route: "main",
                status: 502,
                problem: None,
                cut: false,
                tried: &[],
            });
        }
        let kept: Vec<String> = failures
            .newest()
            .into_iter()
            .map(|one| one.request)
            .collect();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].as_str(), kept[KEPT - 1].as_str()), ("999", "936"));
    }

    #[test]
    fn what_the_client_was_failed_in_counts() {
        assert!(is_failure(502, false, &[]));
        assert!(is_failure(200, true, &[]));
        assert!(
            !is_failure(200, false, &[])
                && !is_failure(404, false, &[])
                && !is_failure(0, false, &[])
        );
    }
}
