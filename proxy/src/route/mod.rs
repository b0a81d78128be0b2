//! From a checked configuration to the immutable [`Snapshot`] that requests are served by.

pub(crate) mod compile;
pub(crate) mod registry;
pub(crate) mod router;
pub(crate) mod snapshot;
