//! Prometheus metrics. Handles are looked up when a plan is compiled, never per request.

use std::time::SystemTime;

use isobar_adapters::Verdict;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, proto::MetricFamily,
};

use crate::{edge::caching::Did, journal::Outages, telemetry::Counters};

/// Upper bounds of the latency histograms, in seconds.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What a request may be one too many of: a client's, an address's, a route's, or an address's wrong keys.
const LIMITS: [&str; 4] = ["client", "ip", "route", "key"];

/// Every metric of one gateway.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    bytes: IntCounterVec,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    cut: IntCounterVec,
    limited: IntCounterVec,
    shared_checks: IntCounterVec,
    spans: IntCounterVec,
    exports: IntCounterVec,
    cache: IntCounterVec,
    pub(crate) cache_evictions: IntCounter,
    cache_answers: IntGauge,
    cache_bytes: IntGauge,
    pub(crate) in_flight: IntGauge,
    /// Effects of runs that wait to be taken back, and those that a person must look at.
    pub(crate) open_effects: IntGauge,
    pub(crate) review_effects: IntGauge,
    store_failures: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) refused_connections: IntCounterVec,
    pub(crate) reloads: IntCounterVec,
    pub(crate) generation: IntGauge,
    pub(crate) panics: IntCounter,
    breaker: IntGaugeVec,
    account_in_flight: IntGaugeVec,
    account_available: IntGaugeVec,
    account_latency: prometheus::GaugeVec,
    certificates: IntGaugeVec,
    body_bytes: IntGaugeVec,
    unlogged: IntGauge,
}

/// Counters of one route.
#[derive(Debug, Clone)]
pub(crate) struct RouteCounters {
    /// By class of status: `1xx` to `5xx`, and `none` for a client that left before the answer.
    by_class: [IntCounter; 6],
    pub(crate) seconds: Histogram,
    pub(crate) bytes_in: IntCounter,
    pub(crate) bytes_out: IntCounter,
    pub(crate) limited: [IntCounter; LIMITS.len()],
}

/// Counters of one route's cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheCounters([IntCounter; Did::ALL.len()]);

/// Counters of one account in one pool.
#[derive(Debug, Clone)]
pub(crate) struct AttemptCounters {
    by_verdict: [IntCounter; Verdict::ALL.len()],
    /// Given up because a later attempt was faster.
    pub(crate) overtaken: IntCounter,
    /// Answers that began and broke off.
    pub(crate) cut: IntCounter,
    pub(crate) seconds: Histogram,
}

/// What is read at scrape time.
pub(crate) struct Scrape<'a> {
    pub(crate) accounts: Vec<AccountGauges<'a>>,
    /// Name of each certificate of the listeners, and when it expires.
    pub(crate) certificates: Vec<(&'a str, SystemTime)>,
    pub(crate) body_memory: u64,
    pub(crate) body_spool: u64,
    pub(crate) unlogged: usize,
    /// Answers and bytes that are kept.
    pub(crate) cache: (u64, u64),
}

/// Gauges of one account.
pub(crate) struct AccountGauges<'a> {
    pub(crate) name: &'a str,
    pub(crate) in_flight: u32,
    pub(crate) available: bool,
    pub(crate) latency_ms: f64,
    /// Operation, and 0 closed, 1 half open, 2 open.
    pub(crate) breakers: Vec<(&'a str, i64)>,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let register = Register(&registry);
        let metrics = Self {
            requests: register.counters(
                "isobar_requests_total",
                "Requests by route and class of status.",
                &["route", "status"],
            )?,
            request_seconds: register.seconds(
                "isobar_request_seconds",
                "Time from head to last byte.",
                &["route"],
            )?,
            bytes: register.counters(
                "isobar_bytes_total",
                "Body bytes by route and direction.",
                &["route", "direction"],
            )?,
            attempts: register.counters(
                "isobar_attempts_total",
                "Attempts by pool, account and verdict.",
                &["pool", "account", "verdict"],
            )?,
            attempt_seconds: register.seconds(
                "isobar_attempt_seconds",
                "Time from sending to the answer's head.",
                &["pool", "account"],
            )?,
            cut: register.counters(
                "isobar_answers_cut_total",
                "Answers that began well and broke off, by pool and account.",
                &["pool", "account"],
            )?,
            limited: register.counters(
                "isobar_limited_total",
                "Requests over a rate limit.",
                &["route", "scope"],
            )?,
            shared_checks: register.counters(
                "isobar_shared_checks_total",
                "Requests that the shared store counted, or could not count.",
                &["result"],
            )?,
            spans: register.counters(
                "isobar_otlp_spans_total",
                "Spans that were sent, dropped because too many waited, or not taken by the collector.",
                &["result"],
            )?,
            exports: register.counters(
                "isobar_otlp_exports_total",
                "Messages to the collector.",
                &["signal", "result"],
            )?,
            cache: register.counters(
                "isobar_cache_requests_total",
                "Requests by route and what its cache did.",
                &["route", "result"],
            )?,
            cache_evictions: register.counter(
                "isobar_cache_evictions_total",
                "Kept answers that went to make room.",
            )?,
            cache_answers: register.gauge("isobar_cache_answers", "Answers that are kept.")?,
            cache_bytes: register.gauge("isobar_cache_bytes", "Bytes of kept answers.")?,
            open_effects: register.gauge(
                "isobar_effects_open",
                "Effects of failed runs that wait to be taken back.",
            )?,
            review_effects: register.gauge(
                "isobar_effects_review",
                "Effects of failed runs that a person must look at.",
            )?,
            store_failures: register.counter(
                "isobar_store_failures_total",
                "Times that the store of effects and answers could not be used.",
            )?,
            in_flight: register.gauge("isobar_requests_in_flight", "Requests being served.")?,
            connections: register.gauge("isobar_connections", "Open client connections.")?,
            refused_connections: register.counters(
                "isobar_connections_refused_total",
                "Client connections closed by the guard.",
                &["reason"],
            )?,
            reloads: register.counters(
                "isobar_reloads_total",
                "Reloads of the configuration.",
                &["result"],
            )?,
            generation: register.gauge(
                "isobar_config_generation",
                "Plans swapped in since the start.",
            )?,
            panics: register.counter("isobar_panics_total", "Panics caught while serving.")?,
            breaker: register.gauges(
                "isobar_breaker_state",
                "0 closed, 1 half open, 2 open.",
                &["account", "operation"],
            )?,
            account_in_flight: register.gauges(
                "isobar_account_in_flight",
                "Requests in flight at an account.",
                &["account"],
            )?,
            account_available: register.gauges(
                "isobar_account_available",
                "1 unless probes or ejection advise against it.",
                &["account"],
            )?,
            account_latency: register.fractions(
                "isobar_account_latency_ms",
                "Peak-EWMA latency of an account.",
                &["account"],
            )?,
            certificates: register.gauges(
                "isobar_certificate_expires_seconds",
                "When a listener's certificate expires, in seconds since 1970.",
                &["name"],
            )?,
            body_bytes: register.gauges(
                "isobar_body_bytes",
                "Request bodies held for replay.",
                &["place"],
            )?,
            unlogged: register.gauge(
                "isobar_access_log_dropped",
                "Access log lines dropped because the writer was behind.",
            )?,
            registry,
        };
        // Series that are there from the start can be alerted on.
        for reason in ["total", "per_ip", "slow_head", "idle", "tls", "proxy"] {
            metrics.refused_connections.with_label_values(&[reason]);
        }
        for result in ["counted", "failed"] {
            metrics.shared_checks.with_label_values(&[result]);
        }
        metrics.telemetry();
        for result in ["swapped", "refused"] {
            metrics.reloads.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    pub(crate) fn route(&self, name: &str) -> RouteCounters {
        let class = |class: &str| self.requests.with_label_values(&[name, class]);
        let limited = |scope: &str| self.limited.with_label_values(&[name, scope]);
        RouteCounters {
            by_class: ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: self.request_seconds.with_label_values(&[name]),
            bytes_in: self.bytes.with_label_values(&[name, "in"]),
            bytes_out: self.bytes.with_label_values(&[name, "out"]),
            limited: LIMITS.map(limited),
        }
    }

    /// Requests that the shared store counted, and those that it could not.
    pub(crate) fn shared_checks(&self) -> (IntCounter, IntCounter) {
        let counter = |result| self.shared_checks.with_label_values(&[result]);
        (counter("counted"), counter("failed"))
    }

    /// Where it is told that the store cannot be used.
    pub(crate) fn store_outages(&self) -> Outages {
        Outages::counted(self.store_failures.clone())
    }

    /// What becomes of spans and of messages to the collector.
    pub(crate) fn telemetry(&self) -> Counters {
        let spans = |result| self.spans.with_label_values(&[result]);
        let exports = |signal, result| self.exports.with_label_values(&[signal, result]);
        Counters {
            sent: spans("sent"),
            dropped: spans("dropped"),
            failed: spans("failed"),
            traces_ok: exports("traces", "ok"),
            traces_failed: exports("traces", "failed"),
            metrics_ok: exports("metrics", "ok"),
            metrics_failed: exports("metrics", "failed"),
        }
    }

    pub(crate) fn cache(&self, route: &str) -> CacheCounters {
        CacheCounters(Did::ALL.map(|did| self.cache.with_label_values(&[route, did.name()])))
    }

    pub(crate) fn attempts(&self, pool: &str, account: &str) -> AttemptCounters {
        AttemptCounters {
            by_verdict: Verdict::ALL.map(|verdict| {
                self.attempts
                    .with_label_values(&[pool, account, verdict.name()])
            }),
            overtaken: self
                .attempts
                .with_label_values(&[pool, account, "overtaken"]),
            cut: self.cut.with_label_values(&[pool, account]),
            seconds: self.attempt_seconds.with_label_values(&[pool, account]),
        }
    }

    /// The metrics in Prometheus's text format.
    pub(crate) fn render(&self, scrape: &Scrape<'_>) -> String {
        TextEncoder::new()
            .encode_to_string(&self.gather(scrape))
            .unwrap_or_default()
    }

    /// Every metric as it stands.
    pub(crate) fn gather(&self, scrape: &Scrape<'_>) -> Vec<MetricFamily> {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.breaker.reset();
        self.account_in_flight.reset();
        self.account_available.reset();
        self.account_latency.reset();
        for account in &scrape.accounts {
            let name = &[account.name];
            self.account_in_flight
                .with_label_values(name)
                .set(account.in_flight.into());
            self.account_available
                .with_label_values(name)
                .set(account.available.into());
            self.account_latency
                .with_label_values(name)
                .set(account.latency_ms);
            for (operation, state) in &account.breakers {
                self.breaker
                    .with_label_values(&[account.name, operation])
                    .set(*state);
            }
        }
        self.certificates.reset();
        for (name, until) in &scrape.certificates {
            let seconds = until.duration_since(SystemTime::UNIX_EPOCH);
            self.certificates
                .with_label_values(&[name])
                .set(signed(seconds.unwrap_or_default().as_secs()));
        }
        self.body_bytes
            .with_label_values(&["memory"])
            .set(signed(scrape.body_memory));
        self.body_bytes
            .with_label_values(&["spool"])
            .set(signed(scrape.body_spool));
        self.cache_answers.set(signed(scrape.cache.0));
        self.cache_bytes.set(signed(scrape.cache.1));
        self.unlogged
            .set(i64::try_from(scrape.unlogged).unwrap_or(i64::MAX));
        self.registry.gather()
    }
}

impl RouteCounters {
    /// Counts a request that ended with this status, 0 for none.
    pub(crate) fn ended(&self, status: u16) {
        let class = usize::from(status / 100);
        if let Some(counter) = self.by_class.get(class).or(self.by_class.first()) {
            counter.inc();
        }
    }
}

impl CacheCounters {
    pub(crate) fn did(&self, did: Did) {
        let at = Did::ALL.iter().position(|known| *known == did);
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.inc();
        }
    }
}

impl AttemptCounters {
    pub(crate) fn ended(&self, verdict: Verdict) {
        let at = Verdict::ALL.iter().position(|known| *known == verdict);
        if let Some(counter) = at.and_then(|at| self.by_verdict.get(at)) {
            counter.inc();
        }
    }
}

struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn fractions(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<prometheus::GaugeVec> {
        self.add(prometheus::GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(
            HistogramOpts::new(name, help).buckets(SECONDS.to_vec()),
            labels,
        )?)
    }
}
