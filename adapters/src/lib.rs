//! What a vendor is: messages in, messages out, no sockets.
//!
//! So far: what an attempt proved (`Evidence` → [`Verdict`]) and what may be done next, the same for plain HTTP
//! upstreams and for vendors.

pub mod dialects;
pub mod media;
mod verdict;

pub use verdict::{Evidence, Fault, Next, Verdict, next};
