//! The exchange path: read the request, try accounts until one answers, write the answer.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod cache;
pub(crate) mod cached;
pub(crate) mod capability;
pub(crate) mod client;
pub(crate) mod composing;
pub mod compositions;
pub(crate) mod exchange;
pub(crate) mod framing;
pub(crate) mod home;
mod http1;
mod http2;
pub(crate) mod live;
pub(crate) mod once;
pub mod openapi;
pub(crate) mod outgoing;
pub(crate) mod resolver;
pub(crate) mod running;
pub(crate) mod spend;
pub(crate) mod transport;
pub(crate) mod tried;
pub(crate) mod trust;
pub mod trying;
pub(crate) mod vendors;
