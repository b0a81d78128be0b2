//! Mechanisms that many vendors share: written once, chosen by name in a manifest.

#[allow(
    dead_code,
    unused_imports,
    reason = "the manifest engine, which names them, comes next"
)]
pub(crate) mod auth;
