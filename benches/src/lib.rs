//! Promises about speed, measured: `benches/compare` runs Isobar beside what people use instead.
//!
//! Everything runs on loopback: `origin` (the upstream) and `load` (the clients) share one core, the proxy under test
//! has another. Rounds alternate between the subjects, since a machine's speed drifts; only ratios within one run mean
//! anything.

use std::{fmt::Write as _, net::SocketAddr};

/// Answer that every subject passes on: 200 bytes of JSON.
pub const SMALL: &str = concat!(
    r#"{"id":"evt_0123456789abcdef","object":"event","amount":1999,"currency":"eur","status":"succeeded","#,
    r#""created":1764000000,"livemode":false,"customer":"cus_0123456789","note":"two hundred bytes, padded"}"#,
    "..."
);

/// What `load` reports.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Loaded {
    /// Requests answered with 200.
    pub requests: u64,
    /// Everything else.
    pub errors: u64,
    /// Seconds it ran.
    pub seconds: f64,
    /// Median latency, microseconds.
    pub p50: u32,
    /// 99th percentile, microseconds.
    pub p99: u32,
}

/// Isobar with its whole pipeline on: key, limits, a hundred routes, metrics, access log.
pub fn gateway(address: SocketAddr, upstream: SocketAddr, mode: &str) -> String {
    let key = isobar_config::hash_key("bench-key-0123456789abcdef");
    let mut text = format!(
        "isobar: 1\nlisten: [ {{ http: \"{address}\" }} ]\nlog: {{ access: \"file:./access-{mode}.log\" }}\n\
         clients: {{ bench: {{ key: \"{key}\" }} }}\nupstreams: {{ origin: \"http://{upstream}\" }}\n\
         pools: {{ main: [origin] }}\nlimits: {{ rate: 1000000000/s, replay: 2MiB, connections_per_ip: 100000 }}\nroutes:\n"
    );
    for number in 0..98 {
        let _ = writeln!(
            text,
            "  - {{ match: \"/v{number}/things/{{id}}/*\", forward: main }}"
        );
    }
    for path in ["/v1/items/{id}", "/bytes/{n}"] {
        let _ = writeln!(
            text,
            "  - {{ match: \"{path}\", forward: {{ pool: main, mode: {mode} }} }}"
        );
    }
    text
}
