//! Rate limits: governor's GCRA, keyed by client, address or nothing, and the headers that tell clients about them.

use std::{
    num::NonZeroU32,
    sync::Arc,
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

#[cfg(test)]
use super::shared::Uncounted;
use super::{shared::SharedLimit, text::Text};

/// A limit, by who counts.
#[derive(Clone)]
pub(crate) enum Limiter {
    /// This gateway alone.
    Own(Arc<Limit>),
    /// Several gateways together.
    Shared(Arc<SharedLimit>),
}

impl Limiter {
    /// Counts one request of `key`, whoever does.
    #[cfg(test)]
    async fn count(&self, key: u64) -> Result<Standing, Uncounted> {
        match self {
            Self::Own(limit) => Ok(limit.check(key)),
            Self::Shared(limit) => limit.count(key).await,
        }
    }
}

/// One limit; its state survives reloads as long as its rate stays the same.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) rate: Rate,
    name: &'static str,
    /// See [`policy`].
    policy: Option<HeaderValue>,
    limiter: RateLimiter<u64, DashMapStateStore<u64>, MonotonicClock, StateInformationMiddleware>,
}

/// Where a limit stands after a request, as the `RateLimit` headers say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    pub(crate) rate: Rate,
    /// See [`policy`].
    pub(crate) policy: Option<HeaderValue>,
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
            policy: policy(name, rate),
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
            policy: self.policy.clone(),
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

/// `RateLimit-Policy: "client";q=100;w=1` (draft-ietf-httpapi-ratelimit-headers).
pub(crate) fn policy(name: &str, rate: Rate) -> Option<HeaderValue> {
    let mut text = Text::default();
    text.push("\"").push(name);
    text.push("\";q=").number(u64::from(rate.requests));
    text.push(";w=").number(whole_seconds(rate.per));
    text.value()
}

impl Standing {
    /// `RateLimit: "client";r=42;t=1`: requests left, and seconds until more.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let until = self
            .wait
            .unwrap_or_else(|| self.rate.per / self.rate.requests.max(1));
        let mut text = Text::default();
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
    use futures_util::future::join_all;
    use isobar_config::{Secret, SharedState, WhenDown};
    use isobar_tests::redis::Server;
    use prometheus::IntCounter;

    use super::{super::shared::Link, *};

    fn rate(requests: u32, per: Duration, burst: u32) -> Rate {
        Rate {
            requests,
            per,
            burst,
            shared: false,
        }
    }

    fn link(url: &str, timeout: Duration) -> Arc<Link> {
        let settings = SharedState {
            url: Secret::new(url),
            timeout,
            when_down: WhenDown::Admit,
            prefix: "test".to_owned(),
        };
        let counter = |name: &str| IntCounter::new(name, "help").unwrap();
        Arc::new(Link::new(settings, counter("counted"), counter("failed")).unwrap())
    }

    /// A server, unless there is none on this machine.
    async fn server() -> Option<Server> {
        let server = Server::start().await;
        if server.is_none() {
            eprintln!("skipped: there is no `redis-server` here (Debian: redis-server)");
        }
        server
    }

    /// What every limiter must do, whoever counts. Each limit has an id of its own.
    async fn suite(make: impl Fn(&str, &'static str, Rate) -> Limiter) {
        let passes =
            async |limiter: &Limiter, key| limiter.count(key).await.unwrap().wait.is_none();

        // A burst passes, and the next waits its turn.
        let limiter = make("burst", "client", rate(2, Duration::from_mins(1), 3));
        let mut passed = Vec::new();
        for _ in 0..4 {
            passed.push(passes(&limiter, 1).await);
        }
        assert_eq!(passed, [true, true, true, false]);
        let wait = limiter.count(1).await.unwrap().wait.unwrap();
        assert!(
            wait > Duration::from_secs(28) && wait <= Duration::from_secs(30),
            "{wait:?}"
        );
        assert!(passes(&limiter, 2).await, "keys are apart");

        // What is left is told, down to nothing.
        let limiter = make("left", "ip", rate(5, Duration::from_hours(1), 5));
        for left in [4, 3, 2, 1, 0] {
            let standing = limiter.count(7).await.unwrap();
            assert_eq!((standing.remaining, standing.wait), (left, None));
            assert_eq!(standing.policy.as_ref().unwrap(), "\"ip\";q=5;w=3600");
        }
        let refused = limiter.count(7).await.unwrap();
        assert!(refused.remaining == 0 && refused.wait.is_some());

        // Refused requests do not push the next one away, however many there are: its turn comes after a second.
        let limiter = make("turn", "route", rate(1, Duration::from_secs(1), 1));
        assert!(passes(&limiter, 0).await);
        let began = Instant::now();
        let mut refused = 0;
        while !passes(&limiter, 0).await {
            refused += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let waited = began.elapsed();
        assert!(refused > 5, "{refused}");
        assert!(
            waited > Duration::from_millis(900) && waited < Duration::from_secs(20),
            "{waited:?}"
        );

        // Many at once get exactly what there is.
        let limiter = make("crowd", "route", rate(20, Duration::from_hours(24), 20));
        let all = join_all((0..200).map(|_| passes(&limiter, 9))).await;
        assert_eq!(all.iter().filter(|passed| **passed).count(), 20);

        // A rate that does not divide evenly, and a burst beside it.
        let limiter = make("odd", "client", rate(3, Duration::from_hours(1), 7));
        let mut passed = 0;
        for _ in 0..10 {
            passed += u32::from(passes(&limiter, 3).await);
        }
        assert_eq!(passed, 7);
    }

    #[tokio::test]
    async fn one_that_counts_alone_keeps_the_rules() {
        suite(|_, name, rate| Limiter::Own(Arc::new(Limit::new(name, rate)))).await;
    }

    #[tokio::test]
    async fn one_that_is_shared_keeps_the_same_rules() {
        let Some(server) = server().await else { return };
        let link = link(&server.url(), Duration::from_secs(10));
        suite(|id, name, rate| {
            Limiter::Shared(Arc::new(SharedLimit::new(
                Arc::clone(&link),
                id,
                name,
                rate,
            )))
        })
        .await;
    }

    #[tokio::test]
    async fn gateways_count_together_where_id_and_rate_are_the_same() {
        let Some(server) = server().await else { return };
        let hourly = rate(3, Duration::from_hours(1), 3);
        let limit = |id: &str, rate| {
            let link = link(&server.url(), Duration::from_secs(10));
            SharedLimit::new(link, id, "route", rate)
        };
        let (one, other) = (limit("a", hourly), limit("a", hourly));
        let left = async |limit: &SharedLimit| {
            let standing = limit.count(1).await.unwrap();
            standing.wait.is_none().then_some(standing.remaining)
        };
        assert_eq!(left(&one).await, Some(2));
        assert_eq!(left(&other).await, Some(1));
        assert_eq!(left(&one).await, Some(0));
        assert_eq!(left(&other).await, None);
        assert_eq!(left(&limit("b", hourly)).await, Some(2), "another place");
        let doubled = rate(6, Duration::from_hours(1), 6);
        assert_eq!(left(&limit("a", doubled)).await, Some(5), "another rate");
    }

    #[tokio::test]
    async fn a_server_that_is_gone_or_hangs_costs_a_moment_and_one_that_is_back_counts_again() {
        let Some(mut server) = server().await else {
            return;
        };
        let hourly = rate(100, Duration::from_hours(1), 100);
        let patience = Duration::from_millis(300);
        let link = link(&server.url(), patience);
        let limit = SharedLimit::new(link, "a", "route", hourly);
        assert!(limit.count(1).await.is_ok());
        for hangs in [true, false] {
            if hangs {
                server.pause().await;
            } else {
                server.stop().await;
            }
            let began = Instant::now();
            assert!(limit.count(1).await.is_err());
            // Bounded, on a machine that has other things to do as well.
            assert!(
                began.elapsed() < patience + Duration::from_secs(2),
                "{:?}",
                began.elapsed()
            );
            let began = Instant::now();
            for _ in 0..1_000 {
                assert!(matches!(
                    limit.count(1).await,
                    Err(Uncounted::Resting | Uncounted::Late | Uncounted::Failed(_))
                ));
            }
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "every request waits: {:?}",
                began.elapsed()
            );
            if hangs {
                server.resume().await;
            } else {
                server.start_again().await;
            }
            let back = isobar_tests::eventually(Duration::from_secs(30), async || {
                limit.count(1).await.is_ok()
            });
            assert!(back.await, "it never counts again");
        }
    }

    #[tokio::test]
    async fn headers_say_quota_window_rest_and_wait() {
        let limit = Limit::new("ip", rate(10, Duration::from_secs(1), 10));
        let standing = limit.check(7);
        assert_eq!(standing.policy.as_ref().unwrap(), "\"ip\";q=10;w=1");
        assert_eq!(standing.header().unwrap(), "\"ip\";r=9;t=1");
    }
}
