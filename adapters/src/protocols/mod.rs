//! Mechanisms that many vendors share: written once, chosen by name in a manifest.

pub(crate) mod auth;
