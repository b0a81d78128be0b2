//! Servers to try Isobar against without any vendor: they behave, and misbehave on demand.
//!
//! Uses none of Isobar's other crates, so that a mistake there cannot hide here.

pub mod upstream;

pub use upstream::{Entry, Fault, Gate, Upstream, Vacant};
