//! What is known of an account's health, apart from its breakers: requests in flight, latency, recent failures, probes
//! and pauses that the vendor asked for. Keyed by the account's name, so that it survives reloads.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use isobar_config::Outlier;
use parking_lot::Mutex;

use super::breaker::Breaker;

/// Half of a latency sample's weight is gone after about this long (peak-EWMA decay).
const DECAY: Duration = Duration::from_secs(10);
/// Failures are counted over two windows of this length.
const WINDOW: Duration = Duration::from_secs(10);

/// Health of one account.
#[derive(Debug)]
pub(crate) struct Health {
    start: Instant,
    in_flight: AtomicU32,
    latency: Mutex<Latency>,
    recent: Mutex<Recent>,
    probed_down: AtomicBool,
    paused_until: AtomicU64,
    ejected_until: AtomicU64,
    breakers: Mutex<HashMap<String, Arc<Breaker>>>,
}

/// One request in flight; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Health>);

/// Peak-EWMA: rises at once, falls slowly (Finagle's balancer).
#[derive(Debug)]
struct Latency {
    micros: f64,
    at: Instant,
}

#[derive(Debug, Default)]
struct Recent {
    window: u64,
    current: Counts,
    previous: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    requests: u32,
    failures: u32,
}

impl Health {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            in_flight: AtomicU32::new(0),
            latency: Mutex::new(Latency {
                micros: 0.0,
                at: now,
            }),
            recent: Mutex::new(Recent::default()),
            probed_down: AtomicBool::new(false),
            paused_until: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            breakers: Mutex::new(HashMap::new()),
        }
    }

    /// The breaker for one operation of this account.
    pub(crate) fn breaker(&self, operation: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock();
        if let Some(known) = breakers.get(operation) {
            return Arc::clone(known);
        }
        let fresh = Arc::new(Breaker::new());
        breakers.insert(operation.to_owned(), Arc::clone(&fresh));
        fresh
    }

    /// A place among the requests in flight, if one is free.
    pub(crate) fn permit(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        self.in_flight
            .fetch_update(Relaxed, Relaxed, |running| {
                (running < limit).then_some(running + 1)
            })
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Time from sending to the answer's head.
    pub(crate) fn observe(&self, took: Duration, now: Instant) {
        let sample = took.as_secs_f64() * 1e6;
        let mut latency = self.latency.lock();
        let age = now.saturating_duration_since(latency.at).as_secs_f64();
        let keep = if sample > latency.micros {
            0.0
        } else {
            (-age / DECAY.as_secs_f64()).exp()
        };
        latency.micros = latency.micros * keep + sample * (1.0 - keep);
        latency.at = now;
    }

    /// Expected cost of one more request, for `fastest`.
    pub(crate) fn cost(&self) -> f64 {
        (self.latency.lock().micros + 1.0) * f64::from(self.in_flight() + 1)
    }

    /// Peak-EWMA latency in milliseconds.
    pub(crate) fn latency_ms(&self) -> f64 {
        self.latency.lock().micros / 1e3
    }

    /// Counts a request's end; `true` when the account now fails often enough to be left out.
    pub(crate) fn count(&self, failed: bool, settings: &Outlier, now: Instant) -> bool {
        let window = self.millis(now) / millis(WINDOW);
        let mut recent = self.recent.lock();
        if recent.window != window {
            recent.previous = if recent.window + 1 == window {
                recent.current
            } else {
                Counts::default()
            };
            recent.current = Counts::default();
            recent.window = window;
        }
        recent.current.requests += 1;
        recent.current.failures += u32::from(failed);
        let requests = recent.current.requests + recent.previous.requests;
        let failures = recent.current.failures + recent.previous.failures;
        failed
            && requests >= settings.min_requests
            && u64::from(failures) * 100
                >= u64::from(requests) * u64::from(settings.failure_percent)
    }

    /// Leaves the account out for a while and forgets its counts.
    pub(crate) fn eject(&self, lasting: Duration, now: Instant) {
        self.ejected_until
            .store(self.millis(now + lasting), Relaxed);
        *self.recent.lock() = Recent::default();
    }

    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.load(Relaxed) > self.millis(now)
    }

    /// The vendor asked to be left alone for this long (`Retry-After`).
    pub(crate) fn pause(&self, lasting: Duration, now: Instant) {
        self.paused_until
            .fetch_max(self.millis(now + lasting), Relaxed);
    }

    /// How long the pause still lasts.
    pub(crate) fn paused(&self, now: Instant) -> Option<Duration> {
        let left = self
            .paused_until
            .load(Relaxed)
            .checked_sub(self.millis(now))?;
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// What the last active probes said.
    pub(crate) fn set_probed_down(&self, down: bool) {
        self.probed_down.store(down, Relaxed);
    }

    pub(crate) fn is_probed_down(&self) -> bool {
        self.probed_down.load(Relaxed)
    }

    fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.start))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLIER: Outlier = Outlier {
        failure_percent: 50,
        min_requests: 4,
        eject_for: Duration::from_secs(30),
        max_ejected_percent: 50,
    };

    #[test]
    fn permits_are_bounded_and_come_back() {
        let health = Arc::new(Health::new(Instant::now()));
        let first = health.permit(1);
        assert!(first.is_some() && health.permit(1).is_none());
        drop(first);
        assert!(health.permit(1).is_some());
    }

    #[test]
    fn latency_rises_at_once_and_falls_slowly() {
        let start = Instant::now();
        let health = Health::new(start);
        health.observe(Duration::from_millis(100), start);
        assert!((health.latency_ms() - 100.0).abs() < 0.1);
        health.observe(Duration::from_millis(1), start + Duration::from_millis(100));
        assert!(health.latency_ms() > 90.0);
        health.observe(Duration::from_millis(1), start + Duration::from_mins(1));
        assert!(health.latency_ms() < 2.0);
    }

    #[test]
    fn half_the_requests_failing_is_enough_only_after_enough_requests() {
        let now = Instant::now();
        let health = Health::new(now);
        let failing: Vec<bool> = [true, false, true, true]
            .iter()
            .map(|failed| health.count(*failed, &OUTLIER, now))
            .collect();
        assert_eq!(failing, [false, false, false, true]);
        assert!(
            !health.count(true, &OUTLIER, now + Duration::from_mins(1)),
            "old failures are forgotten"
        );
    }

    #[test]
    fn pauses_and_ejections_end() {
        let now = Instant::now();
        let health = Health::new(now);
        health.pause(Duration::from_secs(2), now);
        health.eject(Duration::from_secs(3), now);
        assert_eq!(health.paused(now), Some(Duration::from_secs(2)));
        assert!(health.is_ejected(now));
        assert_eq!(health.paused(now + Duration::from_secs(2)), None);
        assert!(!health.is_ejected(now + Duration::from_secs(3)));
    }
}
