//! How several calls make one answer.
//!
//! A composition runs over a [`Caller`], which this crate does not implement: the gateway does, with its pools,
//! deadlines and verdicts, and a test does with canned answers.

mod caller;

pub use caller::{Call, CallFailed, Called, Caller};
