//! Answers of upstreams that are kept and given again, as HTTP caching says.
//!
//! `policy` decides, `store` keeps; what happens between them and a client is in `edge/caching.rs`.

pub(crate) mod policy;
pub(crate) mod store;
