//! One look at the admin port: `/status`, and the samples of `/metrics`.

use std::{
    collections::BTreeMap,
    error::Error as _,
    time::{Duration, Instant},
};

use serde::Deserialize;

/// Time that a look may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where to look.
pub(super) struct Source {
    url: String,
    client: reqwest::Client,
}

/// What was seen.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) status: Status,
    pub(super) metrics: Metrics,
}

/// `/status`, as far as it is shown. Everything has a default: the gateway may be older than we are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) started: u64,
    pub(super) generation: u64,
    pub(super) connections: i64,
    pub(super) requests_in_flight: i64,
    pub(super) reload: Reload,
    pub(super) routes: Vec<String>,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) effects: Effects,
    pub(super) failures: Vec<Failure>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reload {
    pub(super) refused: Option<serde_json::Value>,
    pub(super) needs_restart: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Effects {
    pub(super) open: i64,
    pub(super) review: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) in_flight: u64,
    pub(super) permits: u64,
    pub(super) latency_ms: f64,
    pub(super) probes: String,
    pub(super) ejected: bool,
    pub(super) paused_ms: Option<u64>,
    /// By operation: `closed`, `half_open`, `open`.
    pub(super) breakers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) at: f64,
    pub(super) request: String,
    pub(super) route: String,
    pub(super) status: u16,
    pub(super) problem: Option<String>,
    pub(super) cut: bool,
    pub(super) attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attempt {
    pub(super) vendor: String,
    pub(super) verdict: String,
    pub(super) reason: String,
    pub(super) ms: u64,
}

/// The samples of a page in Prometheus's text format.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics(BTreeMap<String, Vec<Series>>);

#[derive(Debug, Clone, PartialEq)]
struct Series {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Source {
    /// `127.0.0.1:9090`, or a whole URL.
    pub(super) fn new(address: &str) -> reqwest::Result<Self> {
        let url = if address.contains("://") {
            address.trim_end_matches('/').to_owned()
        } else {
            format!("http://{address}")
        };
        // No gateway of this process has chosen one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            url,
            client: client.build()?,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.url
    }

    /// Looks once.
    ///
    /// # Errors
    /// A sentence that says what to look after.
    pub(super) async fn look(&self) -> Result<Sample, String> {
        let (status, metrics) = tokio::try_join!(self.get("/status"), self.get("/metrics"))?;
        let status = serde_json::from_str(&status)
            .map_err(|_| format!("what answers at {} is no admin port of Isobar", self.url))?;
        Ok(Sample {
            at: Instant::now(),
            status,
            metrics: Metrics::parse(&metrics),
        })
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let unreachable = |error: reqwest::Error| {
            let why = if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                root_of(&error)
            };
            format!(
                "cannot reach the admin port at {} ({why}): is the gateway running, with this address as `admin` in its configuration?",
                self.url
            )
        };
        let request = self.client.get(format!("{}{path}", self.url));
        let answer = request.send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(format!(
                "what answers at {} is no admin port of Isobar: {path} is {}",
                self.url,
                answer.status().as_u16()
            ));
        }
        answer.text().await.map_err(unreachable)
    }
}

/// The innermost cause, which is what the system said.
fn root_of(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut told = error.to_string();
    while let Some(inner) = cause {
        told = inner.to_string();
        cause = inner.source();
    }
    told
}

impl Metrics {
    /// Lines that are none are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut all: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, series)) = series(line) {
                all.entry(name.to_owned()).or_default().push(series);
            }
        }
        Self(all)
    }

    /// The sum over all series of a metric that have these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let wanted = all.iter().filter(|series| series.has(labels));
        wanted.map(|series| series.value).sum()
    }

    /// Upper bounds of a histogram with the counts up to each, over all series that have these labels.
    pub(super) fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        let all = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        for series in all.iter().filter(|series| series.has(labels)) {
            let bound = match series.label("le") {
                Some("+Inf") => f64::INFINITY,
                Some(bound) => bound.parse().unwrap_or(f64::INFINITY),
                None => continue,
            };
            match buckets
                .iter_mut()
                .find(|(known, _)| known.total_cmp(&bound).is_eq())
            {
                Some((_, count)) => *count += series.value,
                None => buckets.push((bound, series.value)),
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }
}

impl Series {
    fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        let is = |(name, value): &(&str, &str)| self.label(name) == Some(*value);
        labels.iter().all(is)
    }
}

/// `name{label="value",…} 1.5`.
fn series(line: &str) -> Option<(&str, Series)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.trim().to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.get(1..)?;
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, Series { labels, value }))
}

/// A value up to its closing quote, and what comes behind.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_whatever_is_in_their_labels() {
        let check = |line: &str, expected: Option<(&str, &[(&str, &str)], f64)>| {
            let read = series(line);
            let read = read.as_ref().map(|(name, series)| {
                let labels: Vec<(&str, &str)> = series
                    .labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                (*name, labels, series.value)
            });
            let expected = expected.map(|(name, labels, value)| (name, labels.to_vec(), value));
            assert_eq!(read, expected, "{line}");
        };
        check("up 1", Some(("up", &[], 1.0)));
        check("a{b=\"c\"} 2.5", Some(("a", &[("b", "c")], 2.5)));
        check(
            "a{b=\"c,d}\",e=\"say \\\"hi\\\" \\\\ \\n\"} 3 1700000000",
            Some(("a", &[("b", "c,d}"), ("e", "say \"hi\" \\ \n")], 3.0)),
        );
        check(
            "a{route=\"GET /x/{id} y\"} 1e3",
            Some(("a", &[("route", "GET /x/{id} y")], 1_000.0)),
        );
        check("a{b=\"c} 1", None);
        check("a", None);
        check("", None);
    }

    #[test]
    fn series_add_up_and_buckets_are_in_order() {
        let metrics = Metrics::parse(
            "# HELP x y\nx{a=\"1\",b=\"1\"} 2\nx{a=\"1\",b=\"2\"} 3\nx{a=\"2\",b=\"2\"} 9\n\
             h_bucket{a=\"1\",le=\"+Inf\"} 7\nh_bucket{a=\"1\",le=\"0.5\"} 4\nh_bucket{a=\"2\",le=\"0.5\"} 1\n",
        );
        assert!((metrics.sum("x", &[("a", "1")]) - 5.0).abs() < 1e-9);
        assert!((metrics.sum("none", &[])).abs() < 1e-9);
        assert_eq!(
            metrics.buckets("h_bucket", &[("a", "1")]),
            [(0.5, 4.0), (f64::INFINITY, 7.0)]
        );
        assert_eq!(
            metrics.buckets("h_bucket", &[]),
            [(0.5, 5.0), (f64::INFINITY, 7.0)]
        );
    }
}
