//! The typed messages that clients see, one file for each capability: built once, the same whichever vendor served.

pub mod speech;
pub mod text;
pub mod translation;
