//! Traces and metrics for a collector, as OTLP over HTTP.
//!
//! Requests hand their spans to a bounded queue and never wait: what does not fit is dropped and counted. One task empties
//! the queue, and reads the metrics from time to time. Nothing that a client or a vendor said is in a span: no path, no key,
//! no body.

mod metrics;
mod sampler;
mod spans;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use isobar_adapters::{Body, Request, Talk};
use isobar_config::Otlp;
use prometheus::IntCounter;
use prost::Message;
use tokio::sync::mpsc;

pub(crate) use self::{
    sampler::Sampler,
    spans::{Over, Run, of},
};
use crate::{admin, host::Inner, route::registry::Registry};

/// Requests whose spans may wait.
const WAITING: usize = 2_048;
/// Requests whose spans are sent at once.
const BATCH: usize = 512;
/// Longest time that spans wait for others.
const PERIOD: Duration = Duration::from_millis(500);
/// Time to connect, and for a whole export.
const CONNECT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses before an export is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// The spans of one request.
pub(crate) type Spans = Vec<wire::Span>;

/// What waits to be sent.
pub(crate) struct Queue {
    send: mpsc::Sender<Spans>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Spans>>,
    counters: Counters,
}

/// What became of spans and exports.
pub(crate) struct Counters {
    pub(crate) sent: IntCounter,
    pub(crate) dropped: IntCounter,
    pub(crate) failed: IntCounter,
    pub(crate) traces_ok: IntCounter,
    pub(crate) traces_failed: IntCounter,
    pub(crate) metrics_ok: IntCounter,
    pub(crate) metrics_failed: IntCounter,
}

impl Queue {
    pub(crate) fn new(counters: Counters) -> Self {
        let (send, waiting) = mpsc::channel(WAITING);
        Self {
            send,
            waiting: tokio::sync::Mutex::new(waiting),
            counters,
        }
    }

    /// Never waits: spans that do not fit are dropped and counted.
    pub(crate) fn offer(&self, spans: Spans) {
        let count = spans.len() as u64;
        if self.send.try_send(spans).is_err() {
            self.counters.dropped.inc_by(count);
        }
    }

    /// Sends what waits, a batch after the other, until nothing does.
    async fn empty(&self, otlp: &Otlp, registry: &Registry, pauses: &[Duration]) {
        let mut waiting = self.waiting.lock().await;
        let mut batch = Vec::new();
        loop {
            batch.clear();
            while batch.len() < BATCH
                && let Ok(spans) = waiting.try_recv()
            {
                batch.push(spans);
            }
            if batch.is_empty() {
                return;
            }
            let spans: Spans = batch.drain(..).flatten().collect();
            let count = spans.len() as u64;
            let message = wire::traces(&otlp.service, spans);
            if export(otlp, registry, "/v1/traces", &message, pauses).await {
                self.counters.traces_ok.inc();
                self.counters.sent.inc_by(count);
            } else {
                self.counters.traces_failed.inc();
                self.counters.failed.inc_by(count);
            }
        }
    }
}

/// Runs for as long as the gateway does. Costs nothing while no collector is configured.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut measured = Instant::now();
    loop {
        tokio::time::sleep(PERIOD).await;
        let plan = inner.plan.load_full();
        let Some(otlp) = &plan.config.otlp else {
            continue;
        };
        if otlp.traces {
            let queue = &inner.registry.spans;
            queue.empty(otlp, &inner.registry, &PAUSES).await;
        }
        if otlp.metrics && measured.elapsed() >= otlp.every {
            measured = Instant::now();
            measure(&inner, otlp, &PAUSES).await;
        }
    }
}

/// Sends what is left, once and without trying again.
pub(crate) async fn flush(inner: &Inner) {
    let plan = inner.plan.load_full();
    let Some(otlp) = &plan.config.otlp else {
        return;
    };
    if otlp.traces {
        inner.registry.spans.empty(otlp, &inner.registry, &[]).await;
    }
    if otlp.metrics {
        measure(inner, otlp, &[]).await;
    }
}

async fn measure(inner: &Inner, otlp: &Otlp, pauses: &[Duration]) {
    let families = admin::families(inner);
    let message = metrics::message(
        &otlp.service,
        &families,
        nanos(inner.started),
        nanos(SystemTime::now()),
    );
    let sent = export(otlp, &inner.registry, "/v1/metrics", &message, pauses).await;
    let counters = &inner.registry.spans.counters;
    if sent {
        counters.metrics_ok.inc();
    } else {
        counters.metrics_failed.inc();
    }
}

/// Posts a message; again after each pause while the collector may take it later. Whether it was taken.
async fn export(
    otlp: &Otlp,
    registry: &Registry,
    path: &str,
    message: &impl Message,
    pauses: &[Duration],
) -> bool {
    let body = Bytes::from(message.encode_to_vec());
    let mut pauses = pauses.iter();
    loop {
        let why = match post(otlp, registry, path, body.clone()).await {
            Ok(()) => return true,
            Err(Lost::ForGood(why)) => {
                log::warn!("the collector of traces and metrics does not take {path}: {why}");
                return false;
            }
            Err(Lost::ForNow(why)) => why,
        };
        let Some(pause) = pauses.next() else {
            log::warn!("the collector of traces and metrics cannot be reached: {why}");
            return false;
        };
        tokio::time::sleep(*pause).await;
    }
}

/// Why a message was not taken.
enum Lost {
    ForNow(String),
    ForGood(String),
}

async fn post(otlp: &Otlp, registry: &Registry, path: &str, body: Bytes) -> Result<(), Lost> {
    let for_good = |why: String| Lost::ForGood(why);
    let at = &otlp.endpoint;
    let host = if at.host.contains(':') {
        format!("[{}]", at.host)
    } else {
        at.host.clone()
    };
    let scheme = if at.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{host}:{}{}{path}", at.port, at.path);
    let mut headers = HeaderMap::new();
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert(header::CONTENT_TYPE, protobuf);
    for (name, value) in &otlp.headers {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::try_from(value.expose());
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    let request = Request {
        method: Method::POST,
        uri: uri
            .parse()
            .map_err(|_| for_good("its URL cannot be called".to_owned()))?,
        headers,
        body: Body::of(body),
        talk: Talk::Http,
    };
    let wire = registry.wire(CONNECT, None);
    let wire = wire.map_err(|error| for_good(error.to_string()))?;
    match wire.send(request, PATIENCE).await {
        Ok(answer) if answer.status.is_success() => Ok(()),
        // What OTLP says may be tried again.
        Ok(answer) if matches!(answer.status.as_u16(), 429 | 502..=504) => {
            Err(Lost::ForNow(answer.status.to_string()))
        }
        Ok(answer) => Err(for_good(answer.status.to_string())),
        Err(_) => Err(Lost::ForNow("no answer".to_owned())),
    }
}

/// Nanoseconds since 1970.
fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
