//! What an attempt's verdict does to the account: breaker, latency, ejection and pause.

use std::time::{Duration, Instant};

use isobar_adapters::Verdict;
use isobar_config::Outlier;

use super::{Candidate, breaker::Pass};

/// Longest pause that a `Retry-After` may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Settles one attempt. `pool` are all candidates, so that ejection leaves enough of them.
pub(crate) fn settle(
    candidate: &Candidate,
    pool: &[Candidate],
    outlier: &Outlier,
    pass: Pass,
    verdict: Verdict,
    retry_after: Option<Duration>,
    now: Instant,
) {
    let account = &candidate.account;
    let failed = verdict.is_failure();
    // A refusal that names no time to come back (a revoked key, a bare 429) would otherwise cost every request an
    // attempt, for as long as it lasts.
    let unwilling = verdict == Verdict::Refused && retry_after.is_none() && pool.len() > 1;
    if failed || unwilling {
        pass.failed(&account.settings.breaker, now);
    } else {
        pass.succeeded(&account.settings.breaker);
    }
    if let (Verdict::Refused, Some(wait)) = (verdict, retry_after) {
        account.health.pause(wait.min(LONGEST_PAUSE), now);
    }
    count(candidate, pool, outlier, failed, now);
}

/// Notes that an answer which began well broke off. Its attempt is settled already; only ejection still looks at it.
pub(crate) fn broke_off(
    candidate: &Candidate,
    pool: &[Candidate],
    outlier: &Outlier,
    now: Instant,
) {
    candidate.counters.cut.inc();
    count(candidate, pool, outlier, true, now);
}

fn count(candidate: &Candidate, pool: &[Candidate], outlier: &Outlier, failed: bool, now: Instant) {
    let account = &candidate.account;
    if account.health.count(failed, outlier, now) && may_eject(pool, outlier, now) {
        log::warn!(
            "`{}` fails more than its peers and is left out for {:?}",
            account.name(),
            outlier.eject_for
        );
        account.health.eject(outlier.eject_for, now);
    }
}

/// Whether one more ejection leaves enough of the pool, and at least one account.
fn may_eject(pool: &[Candidate], outlier: &Outlier, now: Instant) -> bool {
    let ejected = pool
        .iter()
        .filter(|candidate| candidate.account.health.is_ejected(now))
        .count()
        + 1;
    ejected < pool.len() && ejected * 100 <= pool.len() * outlier.max_ejected_percent as usize
}
