//! The gateway: the only crate that names Pingora or opens sockets. The binary `isobar` is a thin shell around it.

mod admin;
mod edge;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod host;
pub mod journal;
mod pool;
mod route;
mod serve;
mod telemetry;

pub use host::{
    Drained, Gone, Host, Offer, Origin, Predecessor, Reload, ReloadError, StartError, Successor,
    Workers,
};
pub use route::route_for;
pub use serve::{
    compositions,
    once::{Outcome, Progress, call},
    openapi,
    running::run,
    trying,
    vendors::{Checked, Loaded, all as vendors, catalog, load},
};
