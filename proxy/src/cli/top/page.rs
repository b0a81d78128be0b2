//! What is shown: the difference of two looks as rates and latencies, and the state of the second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::sample::{Account, Failure, Metrics, Sample};

/// One page.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) state: String,
    pub(super) generation: u64,
    /// Since the gateway started.
    pub(super) up: Duration,
    pub(super) connections: i64,
    pub(super) in_flight: i64,
    /// Sentences that an operator should read first.
    pub(super) warnings: Vec<String>,
    /// Why there is nothing newer.
    pub(super) trouble: Option<String>,
    /// Busiest first.
    pub(super) routes: Vec<Route>,
    /// Those that are not well first, then the busiest.
    pub(super) accounts: Vec<AccountRow>,
    /// Newest first.
    pub(super) failures: Vec<FailureRow>,
}

/// A route in the last interval; rates are a second.
#[derive(Debug, Clone, Default)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) requests: f64,
    /// Share of answers that are 5xx.
    pub(super) broken: f64,
    pub(super) limited: f64,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
}

/// An account: its state, and its attempts in the last interval.
#[derive(Debug, Clone, Default)]
pub(super) struct AccountRow {
    pub(super) name: String,
    pub(super) condition: String,
    pub(super) is_well: bool,
    pub(super) in_flight: u64,
    pub(super) permits: u64,
    pub(super) attempts: f64,
    /// Share of attempts that failed or were never sent.
    pub(super) failed: f64,
    pub(super) p95: Option<f64>,
    pub(super) latency_ms: f64,
}

/// A request in which something failed.
#[derive(Debug, Clone, Default)]
pub(super) struct FailureRow {
    /// Time of day, in UTC.
    pub(super) time: String,
    pub(super) route: String,
    pub(super) outcome: String,
    pub(super) request: String,
    pub(super) attempts: String,
    /// Whether the client was failed, too.
    pub(super) felt: bool,
}

impl Page {
    /// From a look, and the one before where there is one.
    pub(super) fn between(before: Option<&Sample>, now: &Sample, name: &str) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = Duration::from_secs(now.status.started);
        Self::at(
            before,
            now,
            name,
            clock.unwrap_or_default().saturating_sub(started),
        )
    }

    fn at(before: Option<&Sample>, now: &Sample, name: &str, up: Duration) -> Self {
        let status = &now.status;
        let change = Change { before, now };
        let mut routes: Vec<Route> = status
            .routes
            .iter()
            .map(String::as_str)
            .chain(["unrouted"])
            .map(|name| change.route(name))
            .filter(|route| route.name != "unrouted" || route.requests > 0.0)
            .collect();
        routes.sort_by(|one, other| other.requests.total_cmp(&one.requests));
        let mut accounts: Vec<AccountRow> = status
            .accounts
            .iter()
            .map(|(name, account)| change.account(name, account))
            .collect();
        accounts.sort_by(|one, other| {
            let well = one.is_well.cmp(&other.is_well);
            well.then(other.attempts.total_cmp(&one.attempts))
        });
        Self {
            name: name.to_owned(),
            version: status.version.clone(),
            state: status.state.clone(),
            generation: status.generation,
            up,
            connections: status.connections,
            in_flight: status.requests_in_flight,
            warnings: warnings(now),
            trouble: None,
            routes,
            accounts,
            failures: status.failures.iter().map(FailureRow::of).collect(),
        }
    }
}

fn warnings(now: &Sample) -> Vec<String> {
    let status = &now.status;
    let mut warnings = Vec::new();
    if status.reload.refused.is_some() {
        warnings.push("the last reload was refused: an older configuration is in force".to_owned());
    }
    if !status.reload.needs_restart.is_empty() {
        let names = status.reload.needs_restart.join(", ");
        warnings.push(format!("a restart is needed for: {names}"));
    }
    if status.effects.review > 0 {
        let count = status.effects.review;
        warnings.push(format!("effects that a person must look at: {count}"));
    }
    if status.effects.open > 0 {
        let count = status.effects.open;
        warnings.push(format!("effects that wait to be taken back: {count}"));
    }
    let panics = now.metrics.sum("isobar_panics_total", &[]);
    if panics > 0.0 {
        warnings.push(format!("panics since the start: {panics}"));
    }
    warnings
}

/// Two looks, the first of which may be missing.
struct Change<'a> {
    before: Option<&'a Sample>,
    now: &'a Sample,
}

impl Change<'_> {
    /// What a counter gained. One that is less than before began anew.
    fn gained(&self, read: impl Fn(&Metrics) -> f64) -> f64 {
        let Some(before) = self.before else {
            return 0.0;
        };
        let (before, now) = (read(&before.metrics), read(&self.now.metrics));
        if now < before { now } else { now - before }
    }

    fn seconds(&self) -> f64 {
        let before = self.before.map_or(self.now.at, |before| before.at);
        let passed = self.now.at.saturating_duration_since(before);
        passed.as_secs_f64().max(0.001)
    }

    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.gained(|metrics| metrics.sum(name, labels)) / self.seconds()
    }

    /// Seconds that this share of the observations stayed below, by the rules of Prometheus's `histogram_quantile`.
    fn quantile(&self, name: &str, labels: &[(&str, &str)], share: f64) -> Option<f64> {
        let now = self.now.metrics.buckets(name, labels);
        let before = self.before?.metrics.buckets(name, labels);
        let gained: Vec<(f64, f64)> = now
            .iter()
            .map(|(bound, count)| {
                let known = before
                    .iter()
                    .find(|(known, _)| known.total_cmp(bound).is_eq());
                (
                    *bound,
                    (count - known.map_or(0.0, |(_, count)| *count)).max(0.0),
                )
            })
            .collect();
        let total = gained.last().map(|(_, count)| *count)?;
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in gained {
            if count >= rank {
                // Nothing is known of how far beyond the last bound.
                let within = (rank - below) / (count - below).max(f64::MIN_POSITIVE);
                return Some(if bound.is_infinite() {
                    lower
                } else {
                    lower + (bound - lower) * within
                });
            }
            (lower, below) = (bound, count);
        }
        None
    }

    fn route(&self, name: &str) -> Route {
        let of = [("route", name)];
        let requests = self.rate("isobar_requests_total", &of);
        let broken = self.rate(
            "isobar_requests_total",
            &[("route", name), ("status", "5xx")],
        );
        let bytes = |direction| {
            self.rate(
                "isobar_bytes_total",
                &[("route", name), ("direction", direction)],
            )
        };
        Route {
            name: name.to_owned(),
            requests,
            broken: share(broken, requests),
            limited: self.rate("isobar_limited_total", &of),
            p50: self.quantile("isobar_request_seconds_bucket", &of, 0.5),
            p99: self.quantile("isobar_request_seconds_bucket", &of, 0.99),
            bytes_in: bytes("in"),
            bytes_out: bytes("out"),
        }
    }

    fn account(&self, name: &str, account: &Account) -> AccountRow {
        let of = [("account", name)];
        let attempts = self.rate("isobar_attempts_total", &of);
        let failed: f64 = ["failed", "unknown", "not_sent"]
            .iter()
            .map(|verdict| {
                self.rate(
                    "isobar_attempts_total",
                    &[("account", name), ("verdict", verdict)],
                )
            })
            .sum();
        let troubles = troubles(account);
        AccountRow {
            name: name.to_owned(),
            is_well: troubles.is_empty(),
            condition: if troubles.is_empty() {
                "well".to_owned()
            } else {
                troubles.join(", ")
            },
            in_flight: account.in_flight,
            permits: account.permits,
            attempts,
            failed: share(failed, attempts),
            p95: self.quantile("isobar_attempt_seconds_bucket", &of, 0.95),
            latency_ms: account.latency_ms,
        }
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Why an account is not used as usual.
fn troubles(account: &Account) -> Vec<String> {
    let mut troubles = Vec::new();
    for (state, words) in [("open", "open"), ("half_open", "on trial")] {
        let names: Vec<&str> = account
            .breakers
            .iter()
            .filter(|(_, at)| *at == state)
            .map(|(name, _)| name.as_str())
            .collect();
        if !names.is_empty() {
            troubles.push(format!("{words}: {}", names.join(" ")));
        }
    }
    if account.ejected {
        troubles.push("ejected".to_owned());
    }
    if account.probes == "failing" {
        troubles.push("probes fail".to_owned());
    }
    if let Some(paused) = account.paused_ms {
        troubles.push(format!("paused {} s", paused.div_ceil(1_000)));
    }
    troubles
}

impl FailureRow {
    fn of(failure: &Failure) -> Self {
        let mut outcome = match failure.status {
            0 => "no answer".to_owned(),
            status => status.to_string(),
        };
        if let Some(problem) = &failure.problem {
            outcome = format!("{outcome} {problem}");
        }
        if failure.cut {
            outcome.push_str(" cut off");
        }
        let attempts: Vec<String> = failure
            .attempts
            .iter()
            .map(|attempt| {
                let why = if attempt.reason == "status_200" || attempt.reason.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", attempt.reason)
                };
                format!(
                    "{} {}{why} {} ms",
                    attempt.vendor, attempt.verdict, attempt.ms
                )
            })
            .collect();
        Self {
            time: time_of_day(failure.at),
            route: failure.route.clone(),
            outcome,
            request: failure.request.clone(),
            attempts: attempts.join(" → "),
            felt: failure.status >= 500 || failure.cut,
        }
    }
}

/// `12:34:56`, in UTC.
fn time_of_day(at: f64) -> String {
    let seconds = Duration::try_from_secs_f64(at)
        .unwrap_or_default()
        .as_secs()
        % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use super::*;

    /// Two looks, ten seconds apart, at a gateway that has seen better days.
    pub(in super::super) fn page() -> Page {
        let status = serde_json::json!({
            "version": "0.1.0", "state": "serving", "started": 1_700_000_000, "generation": 3,
            "reload": { "swapped": null, "refused": { "at": 1_700_000_100, "why": "E0201" }, "needs_restart": [] },
            "connections": 12, "requests_in_flight": 3,
            "routes": ["GET /quiet", "main"],
            "accounts": {
                "a": { "in_flight": 1, "permits": 64, "latency_ms": 12.5, "probes": "passing", "ejected": false, "paused_ms": null,
                       "breakers": { "main": "closed" } },
                "b": { "in_flight": 2, "permits": 64, "latency_ms": 900.0, "probes": "failing", "ejected": true, "paused_ms": 1_500,
                       "breakers": { "main": "open", "GET /quiet": "half_open" } },
            },
            "effects": { "open": 0, "review": 1 },
            "failures": [
                { "at": 1_700_000_123.5, "request": "0af7651916cd43dd8448eb211c80319c", "route": "main", "status": 502,
                  "problem": "outcome-unknown", "cut": false,
                  "attempts": [{ "vendor": "b", "verdict": "unknown", "reason": "reset", "ms": 31 }] },
                { "at": 1_700_000_100.0, "request": "11f7651916cd43dd8448eb211c80319c", "route": "main", "status": 200,
                  "problem": null, "cut": false, "attempts": [
                    { "vendor": "b", "verdict": "failed", "reason": "status_500", "ms": 4 },
                    { "vendor": "a", "verdict": "ok", "reason": "status_200", "ms": 12 }] },
            ],
        });
        let metrics = |times: u32| {
            Metrics::parse(&format!(
                "isobar_requests_total{{route=\"main\",status=\"2xx\"}} {}\n\
                 isobar_requests_total{{route=\"main\",status=\"5xx\"}} {}\n\
                 isobar_limited_total{{route=\"main\",scope=\"client\"}} {times}\n\
                 isobar_bytes_total{{route=\"main\",direction=\"in\"}} {}\n\
                 isobar_bytes_total{{route=\"main\",direction=\"out\"}} {}\n\
                 isobar_request_seconds_bucket{{route=\"main\",le=\"0.01\"}} {}\n\
                 isobar_request_seconds_bucket{{route=\"main\",le=\"0.1\"}} {}\n\
                 isobar_request_seconds_bucket{{route=\"main\",le=\"+Inf\"}} {}\n\
                 isobar_attempts_total{{account=\"a\",pool=\"main\",verdict=\"ok\"}} {}\n\
                 isobar_attempts_total{{account=\"b\",pool=\"main\",verdict=\"failed\"}} {}\n\
                 isobar_attempt_seconds_bucket{{account=\"a\",pool=\"main\",le=\"0.01\"}} {}\n\
                 isobar_attempt_seconds_bucket{{account=\"a\",pool=\"main\",le=\"+Inf\"}} {}\n\
                 isobar_panics_total 0\n",
                900 * times,
                100 * times,
                12_000 * times,
                4_200_000 * times,
                500 * times,
                1_000 * times,
                1_000 * times,
                900 * times,
                100 * times,
                900 * times,
                900 * times,
            ))
        };
        let at = Instant::now();
        let sample = |seconds, times| Sample {
            at: at + Duration::from_secs(seconds),
            status: serde_json::from_value(status.clone()).unwrap(),
            metrics: metrics(times),
        };
        let up = Duration::from_secs(7_384);
        Page::at(
            Some(&sample(0, 1)),
            &sample(10, 2),
            "http://127.0.0.1:9090",
            up,
        )
    }

    #[test]
    fn rates_and_latencies_are_those_of_the_interval() {
        let page = page();
        let main = &page.routes[0];
        assert_eq!((main.name.as_str(), page.routes.len()), ("main", 2));
        let near = |seen: f64, expected: f64| {
            assert!((seen - expected).abs() < 1e-6, "{seen} is not {expected}");
        };
        near(main.requests, 100.0);
        near(main.broken, 0.1);
        near(main.limited, 0.1);
        near(main.bytes_out, 420_000.0);
        near(main.p50.unwrap(), 0.01);
        near(main.p99.unwrap(), 0.01 + 0.09 * 0.98);
        assert_eq!(page.routes[1].p50, None);
        // Who is not well stands first.
        let names: Vec<&str> = page.accounts.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        near(page.accounts[0].failed, 1.0);
        assert_eq!(
            page.accounts[0].condition,
            "open: main, on trial: GET /quiet, ejected, probes fail, paused 2 s"
        );
        assert_eq!(page.failures[0].time, "22:15:23");
    }

    #[test]
    fn a_counter_that_began_anew_is_no_negative_rate() {
        let sample = |seconds, count: u32| Sample {
            at: Instant::now() + Duration::from_secs(seconds),
            status: serde_json::from_str("{\"routes\":[\"main\"]}").unwrap(),
            metrics: Metrics::parse(&format!(
                "isobar_requests_total{{route=\"main\",status=\"2xx\"}} {count}\n"
            )),
        };
        let page = Page::between(Some(&sample(0, 1_000)), &sample(10, 20), "x");
        assert!(page.routes[0].requests > 0.0 && page.routes[0].requests < 3.0);
        let first = Page::between(None, &sample(0, 1_000), "x");
        assert!(first.routes[0].requests.abs() < 1e-9, "one look is no rate");
    }
}
