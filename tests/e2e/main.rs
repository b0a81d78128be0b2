//! The whole gateway over real sockets, against servers that misbehave by script.

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
