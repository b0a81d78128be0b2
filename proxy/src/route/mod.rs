//! From a checked configuration to the immutable [`Snapshot`] that requests are served by.

pub(crate) mod compile;
pub(crate) mod registry;
pub(crate) mod router;
pub(crate) mod snapshot;

use http::{HeaderMap, Method};
use isobar_config::Config;

/// Index of the route that takes a request without headers of note, for `isobar explain`.
pub fn route_for(config: &Config, method: &Method, host: &str, path: &str) -> Option<usize> {
    let matchers = config.routes.iter().map(|route| route.matcher.clone());
    let headers = HeaderMap::new();
    let subject = router::Subject {
        host,
        path,
        method,
        headers: &headers,
    };
    match router::Router::new(matchers.collect()).find(subject) {
        router::Found::Route(index) => Some(index),
        router::Found::OtherMethods(_) | router::Found::Nothing => None,
    }
}
