//! Rate limits: governor's GCRA, keyed by client, address or nothing, and the headers that tell clients about them.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::{NoOpMiddleware, StateInformationMiddleware},
    state::keyed::DashMapStateStore,
};
use http::HeaderValue;
use isobar_config::Rate;

use super::text::Text;

/// One limit; its state survives reloads as long as its rate stays the same.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) rate: Rate,
    name: &'static str,
    limiter: RateLimiter<u64, DashMapStateStore<u64>, MonotonicClock, StateInformationMiddleware>,
}

/// Where a limit stands after a request, as the `RateLimit` headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    pub(crate) rate: Rate,
    pub(crate) remaining: u32,
    /// Time until another request is allowed; set when this one was not.
    pub(crate) wait: Option<Duration>,
}

impl Limit {
    /// A limit under this name (`client`, `ip`, `route`).
    pub(crate) fn new(name: &'static str, rate: Rate) -> Self {
        let requests = rate.requests.max(1);
        let each = (rate.per / requests).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(each)
            .unwrap_or_else(|| Quota::per_second(burst))
            .allow_burst(burst);
        let limiter = RateLimiter::<_, _, _, NoOpMiddleware<Instant>>::new(
            quota,
            DashMapStateStore::default(),
            MonotonicClock,
        )
        .with_middleware::<StateInformationMiddleware>();
        Self {
            rate,
            name,
            limiter,
        }
    }

    /// Counts one request of `key`.
    pub(crate) fn check(&self, key: u64) -> Standing {
        let (remaining, wait) = match self.limiter.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => (0, Some(not_until.wait_time_from(MonotonicClock.now()))),
        };
        Standing {
            name: self.name,
            rate: self.rate,
            remaining,
            wait,
        }
    }

    /// Forgets keys that are at rest.
    pub(crate) fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

impl Standing {
    /// `RateLimit-Policy: "client";q=100;w=1` (draft-ietf-httpapi-ratelimit-headers).
    pub(crate) fn policy_header(&self) -> Option<HeaderValue> {
        let mut text = Text::with_capacity(48);
        text.push("\"").push(self.name);
        text.push("\";q=").number(u64::from(self.rate.requests));
        text.push(";w=").number(whole_seconds(self.rate.per));
        text.value()
    }

    /// `RateLimit: "client";r=42;t=1`: requests left, and seconds until more.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let until = self
            .wait
            .unwrap_or_else(|| self.rate.per / self.rate.requests.max(1));
        let mut text = Text::with_capacity(48);
        text.push("\"").push(self.name);
        text.push("\";r=").number(u64::from(self.remaining));
        text.push(";t=").number(whole_seconds(until));
        text.value()
    }

    /// The tighter of two.
    pub(crate) fn tighter(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.remaining < self.remaining => other,
            _ => self,
        }
    }
}

/// Seconds, rounded up, as header fields want them.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32, per: Duration, burst: u32) -> Rate {
        Rate {
            requests,
            per,
            burst,
        }
    }

    #[test]
    fn a_burst_passes_and_the_next_waits_its_turn() {
        let limit = Limit::new("client", rate(2, Duration::from_mins(1), 3));
        let passed: Vec<bool> = (0..4).map(|_| limit.check(1).wait.is_none()).collect();
        assert_eq!(passed, [true, true, true, false]);
        let wait = limit.check(1).wait.unwrap();
        assert!(
            wait > Duration::from_secs(29) && wait <= Duration::from_secs(30),
            "{wait:?}"
        );
        assert!(limit.check(2).wait.is_none(), "keys are apart");
    }

    #[test]
    fn headers_say_quota_window_rest_and_wait() {
        let limit = Limit::new("ip", rate(10, Duration::from_secs(1), 10));
        let standing = limit.check(7);
        assert_eq!(standing.policy_header().unwrap(), "\"ip\";q=10;w=1");
        assert_eq!(standing.header().unwrap(), "\"ip\";r=9;t=1");
    }
}
