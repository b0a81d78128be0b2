//! What a vendor is: messages in, messages out, no sockets.
//!
//! A manifest (YAML) compiles into a [`Vendor`]; a [`Call`] does one of its operations for an account over a
//! [`Transport`], which this crate does not implement. What an attempt proved ([`Verdict`]) and what may be done next is
//! the same for vendors and for plain HTTP upstreams.

mod blob;
mod boxed;
mod call;
pub mod capabilities;
mod capability;
mod conversion;
pub mod dialects;
mod draft;
mod engine;
mod failure;
mod hook;
mod language;
mod limits;
mod manifest;
pub mod media;
mod prepare;
mod price;
mod projection;
mod protocols;
mod request;
mod signature;
mod template;
#[cfg(test)]
mod testing;
mod transform;
mod transport;
mod tree;
mod vendor;
mod vendors;
mod verdict;

pub use blob::{Blob, Memory, Source};
pub use boxed::boxed;
pub use call::{Call, Job, Output, language_of};
pub use capability::{CONTRACTS, Content, Contract, contract};
pub use failure::{Failure, Kind};
pub use manifest::Files;
pub use price::Usage;
pub use request::{Body, Piece, Request, Response, Talk};
pub use signature::{EMPTY_BODY, Unsigned, sign};
pub use transport::{Tokens, Transport};
pub use vendor::{Account, Field, Operation, Vendor};
pub use vendors::{Vendors, built_in};
pub use verdict::{Evidence, Fault, Next, Verdict, next};
