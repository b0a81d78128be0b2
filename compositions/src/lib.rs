//! How several calls make one answer.
//!
//! A composition is a YAML file: text → checked [`Plan`] → run over a [`Caller`], which this crate does not implement:
//! the gateway does, with its pools, deadlines and verdicts, and a test does with canned answers.

mod caller;
mod check;
pub mod journal;
mod library;
mod outline;
pub mod plan;
pub mod run;
mod schema;
mod shape;

pub use caller::{
    Attempt, CallFailed, Called, Caller, HttpCall, HttpCalled, HttpContent, HttpHead, OperationCall,
};
pub use check::{Known, KnownAccount, KnownPool, check, is_composition};
pub use library::library;
pub use plan::Plan;
pub use schema::schema;
pub use shape::{Shape, operation_output};
