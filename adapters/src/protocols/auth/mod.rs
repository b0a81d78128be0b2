//! How a request proves who sends it: one file per scheme, none of which opens a socket or reads a clock.
//!
//! A scheme either signs a finished request (`sigv4`, `tc3`, `signed_query`), or builds the body of a token call and reads
//! its answer (`key_file`, `oauth`, `token`). Signing comes last, after every other change to the head and the
//! body, and anew for each attempt, since dates are signed. No error and no `Debug` shows a credential.

mod basic;
mod date;
mod digest;
mod encode;
mod error;

pub(crate) mod key_file;
pub(crate) mod oauth;
pub(crate) mod signed_query;
pub(crate) mod sigv4;
pub(crate) mod tc3;
pub(crate) mod token;

pub(crate) use basic::basic;
pub(crate) use error::SignError;
