//! How vendors check who calls. Each scheme is verified for real, with code of its own.
//!
//! A function here says which of the vendor's credentials it was, or why none; the vendor puts that in its own words.

pub(crate) mod iflytek;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod sigv4;
pub(crate) mod tc3;

pub(crate) use keys::{Keys, same};
