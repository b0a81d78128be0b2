//! The whole gateway over real sockets, against servers that misbehave by script.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test fails by panicking, and may be slow"
)]

mod admin;
mod auth;
mod bombs;
mod caching;
mod certified;
mod compositions;
mod cors;
mod edge;
mod effects;
mod failover;
mod faults;
mod hostile;
mod http2;
mod identity;
mod limits;
mod objects;
mod operability;
mod otlp;
mod pools;
mod proxied;
mod reach;
mod reload;
mod routes;
mod signed;
mod smuggling;
mod streams;
mod tls;
mod tokens;
mod upstream_tls;
