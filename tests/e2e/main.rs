//! The whole gateway over real sockets, against servers that misbehave by script.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a helper's panic is how a test fails, and no test is so long that its texts count"
)]

mod admin;
mod auth;
mod edge;
mod failover;
mod faults;
mod hostile;
mod identity;
mod limits;
mod pools;
mod reload;
mod routes;
mod smuggling;
mod streams;
