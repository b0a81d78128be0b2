//! Promises about speed, measured: `benches/compare` runs Isobar beside what people use instead.
//!
//! Everything runs on loopback: `origin` (the upstream) and `load` (the clients) share one core, the proxy under test
//! has another. Rounds alternate between the subjects, since a machine's speed drifts; only ratios within one run mean
//! anything.

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
