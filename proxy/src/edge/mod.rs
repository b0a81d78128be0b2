//! Where clients come in: connection guard, validation, authentication, limits, routing, both paths, and what is told
//! of each request afterwards.

pub(crate) mod access_log;
pub(crate) mod announced;
pub(crate) mod auth;
pub(crate) mod caching;
pub(crate) mod capability;
mod certified;
pub(crate) mod composition;
pub(crate) mod context;
pub(crate) mod cors;
mod counting;
pub(crate) mod document;
pub(crate) mod door;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod headers;
mod http1;
mod http2;
pub(crate) mod limit;
pub(crate) mod pipeline;
pub(crate) mod problem;
mod reading;
pub(crate) mod render;
pub(crate) mod shared;
mod socket;
pub(crate) mod strict;
pub(crate) mod text;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod upgrade;
mod upload;
pub(crate) mod validate;
mod write;
