//! How a request proves who sends it: one file per scheme, none of which opens a socket or reads a clock.
//!
//! A scheme either signs a finished request (`sigv4`, `tc3`, `iflytek`), or builds the body of a token call and reads
//! its answer (`google`, `oauth`, `baidu`, `token`). Signing comes last, after every other change to the head and the
//! body, and anew for each attempt, since dates are signed. No error and no `Debug` shows a credential.

mod basic;
mod date;
mod digest;
mod encode;
mod error;

pub(crate) mod baidu;
pub(crate) mod google;
pub(crate) mod iflytek;
pub(crate) mod oauth;
pub(crate) mod sigv4;
pub(crate) mod tc3;
pub(crate) mod token;

pub(crate) use basic::basic;
pub(crate) use digest::sha256;
pub(crate) use error::SignError;
