//! Traces and metrics at a collector that decodes them with the official messages.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, eventually, see};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::{Span, span::SpanKind, status::StatusCode as Code},
};
use prost::Message as _;
use tokio::sync::Mutex;

use crate::compositions::Stand;

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "no-one-may-see-this-0123456789";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What a collector was sent.
#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    services: Vec<String>,
    metrics: Vec<Metric>,
    headers: Vec<HeaderMap>,
    /// Everything as it came.
    raw: Vec<u8>,
    /// Answers to give before the good ones.
    refusals: Vec<StatusCode>,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Taken>>);

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let routes = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (collector, address)
    }

    async fn spans(&self) -> Vec<Span> {
        self.0.lock().await.spans.clone()
    }

    /// Waits for so many spans.
    async fn wait(&self, count: usize) -> Vec<Span> {
        let came = eventually(PATIENCE, async || self.spans().await.len() >= count).await;
        let spans = self.spans().await;
        assert!(came, "{} of {count} spans came: {spans:?}", spans.len());
        spans
    }
}

async fn traces(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut taken = collector.0.lock().await;
    if let Some(refusal) = taken.refusals.pop() {
        return refusal;
    }
    taken.raw.extend_from_slice(&body);
    taken.headers.push(headers);
    let message = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in message.resource_spans {
        let attributes = resource.resource.unwrap().attributes;
        taken.services.push(text(&attributes, "service.name"));
        let spans = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        taken.spans.extend(spans);
    }
    StatusCode::OK
}

async fn metrics(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let mut taken = collector.0.lock().await;
    taken.raw.extend_from_slice(&body);
    let message = ExportMetricsServiceRequest::decode(body).unwrap();
    let scopes = message
        .resource_metrics
        .into_iter()
        .flat_map(|resource| resource.scope_metrics);
    taken.metrics = scopes.flat_map(|scope| scope.metrics).collect();
    StatusCode::OK
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span {name}: {spans:#?}"))
}

/// Whether one lies within the other, as far as two clocks agree.
fn within(inner: &Span, outer: &Span) -> bool {
    let slack = 2_000_000;
    inner.start_time_unix_nano + slack >= outer.start_time_unix_nano
        && inner.end_time_unix_nano <= outer.end_time_unix_nano + slack
        && inner.start_time_unix_nano <= inner.end_time_unix_nano
}

fn otlp(collector: SocketAddr, more: &str) -> String {
    format!("otlp: {{ endpoint: \"http://{collector}\", {more} }}\n")
}

#[tokio::test]
async fn a_request_is_a_span_with_one_for_each_attempt_and_nothing_secret_in_any() {
    let (collector, at) = Collector::start().await;
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    a.script([Fault::ResetBeforeHead]);
    let gateway = Gateway::start(&format!(
        "{}clients: {{ shop: {{ key: \"{}\" }} }}\nupstreams: {{ north: \"{}\", south: \"{}\" }}\n\
         routes: [ {{ match: \"/v1/{{id}}\", name: things, forward: [north, south] }} ]\n",
        otlp(
            at,
            "sample: 0, metrics: false, service: front, headers: { x-team: blue }"
        ),
        isobar_config::hash_key(SECRET),
        a.url(),
        b.url()
    ))
    .await;
    let request = gateway
        .request("PUT", &format!("/v1/{SECRET}?token={SECRET}"))
        .header("authorization", format!("Bearer {SECRET}"))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(SECRET);
    let seen = see(request).await;
    assert_eq!((seen.status, seen.vendor()), (200, "south"));
    let spans = collector.wait(3).await;
    assert_eq!(spans.len(), 3, "{spans:#?}");

    let whole = named(&spans, "PUT /v1/{id}");
    assert_eq!(hex(&whole.trace_id), TRACE);
    assert_eq!(hex(&whole.parent_span_id), PARENT);
    assert_eq!(whole.kind(), SpanKind::Server);
    for (key, value) in [
        ("http.request.method", "PUT"),
        ("http.route", "/v1/{id}"),
        ("http.response.status_code", "200"),
        ("isobar.route", "things"),
        ("isobar.client", "shop"),
        ("isobar.vendor", "south"),
    ] {
        assert_eq!(text(&whole.attributes, key), value, "{key}");
    }
    assert!(whole.status.is_none(), "the client was served");

    // What vendors were told is a child of the request's span.
    let told = seen.json()["headers"]["traceparent"].clone();
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&whole.span_id)));

    let (first, second) = (
        named(&spans, "attempt north"),
        named(&spans, "attempt south"),
    );
    for (attempt, number, verdict) in [(first, "1", "failed"), (second, "2", "ok")] {
        assert_eq!(hex(&attempt.trace_id), TRACE);
        assert_eq!(attempt.parent_span_id, whole.span_id);
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!(text(&attempt.attributes, "isobar.attempt"), number);
        assert_eq!(text(&attempt.attributes, "isobar.verdict"), verdict);
        assert!(within(attempt, whole), "{attempt:?} {whole:?}");
    }
    assert_eq!(text(&first.attributes, "isobar.reason"), "reset");
    assert_eq!(
        first.status.as_ref().map(|status| status.code()),
        Some(Code::Error)
    );
    assert!(second.status.is_none());
    assert!(first.end_time_unix_nano <= second.start_time_unix_nano + 2_000_000);

    let taken = collector.0.lock().await;
    assert_eq!(taken.services, ["front"]);
    assert_eq!(taken.headers[0]["content-type"], "application/x-protobuf");
    assert_eq!(taken.headers[0]["x-team"], "blue");
    let raw = String::from_utf8_lossy(&taken.raw).into_owned();
    assert!(!raw.contains(SECRET), "{raw}");
}

#[tokio::test]
async fn the_client_decides_and_otherwise_the_share() {
    for (sample, flags, expected) in [
        ("1", None, 1),
        ("0", None, 0),
        ("1", Some("00"), 0),
        ("0", Some("01"), 1),
    ] {
        let (collector, at) = Collector::start().await;
        let gateway = Gateway::start(&format!(
            "{}routes: [ {{ match: /a, respond: {{ body: hi }}, anonymous: true }} ]\n",
            otlp(at, &format!("sample: {sample}, metrics: false"))
        ))
        .await;
        let mut request = gateway.request("GET", "/a");
        if let Some(flags) = flags {
            request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"));
        }
        assert_eq!(see(request).await.status, 200);
        // What is left when the gateway stops is sent, so that nothing has to be waited for.
        gateway.host.drain(None).await;
        assert_eq!(
            collector.spans().await.len(),
            expected,
            "{sample} {flags:?}"
        );
    }
}

#[tokio::test]
async fn steps_of_a_composition_are_spans_with_their_attempts_below() {
    let (collector, at) = Collector::start().await;
    let text = "composition: tone\nexpose: POST /v1/tone\ninput: { text: string }\nsteps:\n  \
        mood: { use: text.sentiment, with: { text: $.input.text } }\n  \
        tongue: { use: text.language, with: { text: $.input.text } }\n\
        output: { mood: $.mood.label, tongue: $.tongue.language }\n";
    let source = isobar_config::Source {
        name: "tone.yaml".to_owned(),
        text: text.to_owned(),
    };
    let stand = Stand::with(
        &["azure", "google"],
        &otlp(at, "sample: 1, metrics: false"),
        vec![source],
    )
    .await;
    let seen = stand
        .json(
            "/v1/tone",
            &serde_json::json!({ "text": format!("I like {SECRET}.") }),
        )
        .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let spans = collector.wait(5).await;
    let whole = named(&spans, "POST /v1/tone");
    for (step, work) in [("mood", "text.sentiment"), ("tongue", "text.language")] {
        let span = named(&spans, &format!("step {step}"));
        assert_eq!(span.parent_span_id, whole.span_id);
        assert_eq!(span.kind(), SpanKind::Internal);
        assert_eq!(crate::otlp::text(&span.attributes, "isobar.work"), work);
        assert_eq!(
            crate::otlp::text(&span.attributes, "isobar.outcome"),
            "done"
        );
        let below: Vec<&Span> = spans
            .iter()
            .filter(|inner| inner.parent_span_id == span.span_id)
            .collect();
        assert_eq!(below.len(), 1, "{spans:#?}");
        assert!(
            below[0].name.starts_with("attempt ") && within(below[0], span) && within(span, whole)
        );
    }
    let raw = String::from_utf8_lossy(&collector.0.lock().await.raw).into_owned();
    assert!(!raw.contains(SECRET));
}

#[tokio::test]
async fn metrics_are_those_of_the_admin_port() {
    let (collector, at) = Collector::start().await;
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "{}admin: \"127.0.0.1:0\"\nupstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", name: main, forward: [a], anonymous: true }} ]\n",
        otlp(at, "traces: false, every: 1s"),
        a.url()
    ))
    .await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    let ok = |metric: &Metric| {
        let Some(Data::Sum(sum)) = &metric.data else {
            return None;
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        let point = sum.data_points.iter().find(|point| {
            text(&point.attributes, "route") == "main" && text(&point.attributes, "status") == "2xx"
        })?;
        assert!(
            point.start_time_unix_nano > 0 && point.start_time_unix_nano <= point.time_unix_nano
        );
        Some(point.value == Some(number_data_point::Value::AsDouble(3.0)))
    };
    let find = async |name: &str| {
        let taken = collector.0.lock().await;
        taken
            .metrics
            .iter()
            .find(|metric| metric.name == name)
            .cloned()
    };
    let came = eventually(PATIENCE, async || {
        find("isobar_requests_total")
            .await
            .is_some_and(|metric| ok(&metric) == Some(true))
    });
    assert!(came.await, "{:?}", find("isobar_requests_total").await);

    let Some(Data::Histogram(seconds)) = find("isobar_request_seconds").await.unwrap().data else {
        panic!("no histogram");
    };
    let point = seconds
        .data_points
        .iter()
        .find(|point| text(&point.attributes, "route") == "main")
        .unwrap();
    assert_eq!(point.count, 3);
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 3);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(point.sum.is_some_and(|sum| sum > 0.0 && sum < 60.0));

    // All of them, by the names that Prometheus has.
    let page = format!("http://{}/metrics", gateway.host.admin().unwrap());
    let page = reqwest::get(page).await.unwrap().text().await.unwrap();
    let names = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let taken = collector.0.lock().await;
    let mut count = 0;
    for name in names {
        assert!(
            taken.metrics.iter().any(|metric| metric.name == name),
            "{name} is not sent"
        );
        count += 1;
    }
    assert!(count > 20 && taken.spans.is_empty());
}

#[tokio::test]
async fn a_collector_that_refuses_for_now_is_asked_again() {
    let (collector, at) = Collector::start().await;
    collector.0.lock().await.refusals = vec![StatusCode::SERVICE_UNAVAILABLE];
    let gateway = Gateway::start(&format!(
        "{}routes: [ {{ match: /a, respond: {{ body: hi }}, anonymous: true }} ]\n",
        otlp(at, "sample: 1, metrics: false")
    ))
    .await;
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(collector.wait(1).await[0].name, "GET /a");
}

#[tokio::test]
async fn a_collector_that_hangs_costs_requests_nothing_and_what_does_not_fit_is_counted() {
    // It accepts, by the system's backlog, and never answers.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(&format!(
        "{}admin: \"127.0.0.1:0\"\nroutes: [ {{ match: /a, respond: {{ body: hi }}, anonymous: true }} ]\n",
        otlp(hanging.local_addr().unwrap(), "sample: 1, metrics: false")
    ))
    .await;
    let page = format!("http://{}/metrics", gateway.host.admin().unwrap());
    let dropped = async || {
        let text = reqwest::get(&page).await.unwrap().text().await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("isobar_otlp_spans_total{result=\"dropped\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let (began, mut served, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while dropped().await == 0 {
        assert!(
            began.elapsed() < Duration::from_mins(2),
            "nothing is dropped after {served}"
        );
        let seen = futures_util::future::join_all((0..200).map(|_| gateway.get("/a"))).await;
        assert!(seen.iter().all(|seen| seen.status == 200));
        served += seen.len();
        slowest = slowest.max(seen.iter().map(|seen| seen.took).max().unwrap());
    }
    assert!(
        served > 2_000,
        "the queue holds less than it should: {served}"
    );
    // The collector's own patience is five seconds; no request has waited for that.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // Nor does it keep the gateway from stopping.
    let drained = gateway.host.drain(Some(Duration::from_secs(1))).await;
    assert!(
        drained.cut == 0 && drained.took < Duration::from_secs(10),
        "{drained:?}"
    );
}
