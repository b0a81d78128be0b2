//! Retry budget: further attempts that reach a vendor are bounded by a share of the requests, so that an outage is not
//! answered with a multiple of the load. Attempts that were never sent cost nothing and are not counted.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use isobar_config::Retry;

/// Thousandths of an attempt, so that a share of a request is a whole number.
const ATTEMPT: i64 = 1_000;
/// What is saved up lasts this long.
const SECONDS: i64 = 10;

/// Budget of one pool.
#[derive(Debug)]
pub(crate) struct Budget {
    balance: AtomicI64,
    reserved_at: AtomicU64,
    start: Instant,
}

impl Budget {
    pub(crate) fn new(retry: &Retry, now: Instant) -> Self {
        Self {
            balance: AtomicI64::new(i64::from(retry.reserve) * ATTEMPT * SECONDS),
            reserved_at: AtomicU64::new(0),
            start: now,
        }
    }

    /// A request came in.
    pub(crate) fn deposit(&self, retry: &Retry) {
        if self.balance.load(Relaxed) < ceiling(retry) {
            self.balance.fetch_add(share(retry), Relaxed);
        }
    }

    /// Whether another attempt may follow one that reached a vendor.
    pub(crate) fn withdraw(&self, retry: &Retry, now: Instant) -> bool {
        self.refill(retry, now);
        self.balance
            .fetch_update(Relaxed, Relaxed, |balance| {
                (balance >= ATTEMPT).then(|| balance - ATTEMPT)
            })
            .is_ok()
    }

    fn refill(&self, retry: &Retry, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.start).as_millis())
            .unwrap_or(u64::MAX);
        let last = self.reserved_at.load(Relaxed);
        let passed = millis.saturating_sub(last);
        if passed == 0
            || self
                .reserved_at
                .compare_exchange(last, millis, Relaxed, Relaxed)
                .is_err()
        {
            return;
        }
        let passed = i64::try_from(passed)
            .unwrap_or(i64::MAX)
            .min(SECONDS * 1_000);
        let earned = i64::from(retry.reserve) * passed;
        let _ = self.balance.fetch_update(Relaxed, Relaxed, |balance| {
            Some((balance + earned).min(ceiling(retry)))
        });
    }
}

/// The reserve of ten seconds, and what a steady hundred requests a second save up in that time.
fn ceiling(retry: &Retry) -> i64 {
    share(retry) * 100 * SECONDS + i64::from(retry.reserve) * ATTEMPT * SECONDS
}

/// What one request adds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a budget is at most a few attempts a request"
)]
fn share(retry: &Retry) -> i64 {
    (retry.budget * 1_000.0) as i64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_outage_costs_a_share_of_the_requests_beyond_the_reserve() {
        let retry = Retry {
            attempts: 3,
            budget: 0.2,
            reserve: 0,
        };
        let now = Instant::now();
        let budget = Budget::new(&retry, now);
        let allowed = (0..1_000)
            .filter(|_| {
                budget.deposit(&retry);
                budget.withdraw(&retry, now)
            })
            .count();
        assert_eq!(allowed, 200);
    }

    #[test]
    fn the_reserve_is_there_for_a_quiet_pool_and_comes_back_with_time() {
        let retry = Retry {
            attempts: 3,
            budget: 0.0,
            reserve: 2,
        };
        let now = Instant::now();
        let budget = Budget::new(&retry, now);
        let spend = |at| (0..100).filter(|_| budget.withdraw(&retry, at)).count();
        assert_eq!(spend(now), 20);
        assert_eq!(spend(now + Duration::from_secs(3)), 6);
    }
}
