//! The whole gateway over real sockets, against servers that misbehave by script.

mod failover;
mod faults;
