//! The plan that requests are served by: immutable, swapped whole, pinned by each request.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use isobar_config::{self as config, Effect, Mode, PathPattern, PathRewrite, Template};
use pingora_core::listeners::tls::Acceptor;

use super::router::Router;
use crate::{
    admin::metrics::RouteCounters,
    edge::{
        auth::Clients,
        caching::Cached,
        cors::Cors,
        limit::{Limit, Limiter},
        validate,
    },
    pool::{Account, Pool},
    serve::{cache::store::Store, composing::StepPools},
    telemetry::Sampler,
};

/// A compiled configuration.
pub(crate) struct Snapshot {
    pub(crate) config: config::Config,
    pub(crate) generation: u64,
    /// What shakes hands, for each listener of the configuration that has TLS.
    pub(crate) acceptors: Vec<Option<Arc<Acceptor>>>,
    pub(crate) router: Router,
    pub(crate) routes: Vec<Route>,
    pub(crate) clients: Clients,
    /// Limit of each client over all routes, by client index.
    pub(crate) client_limits: Vec<Option<Limiter>>,
    /// Wrong keys from one address.
    pub(crate) guesses: Arc<Limit>,
    pub(crate) accounts: Vec<Arc<Account>>,
    /// Every composition, also those that only others use.
    pub(crate) compositions: Vec<Arc<isobar_compositions::Plan>>,
    /// Who serves the steps of compositions.
    pub(crate) step_pools: StepPools,
    pub(crate) head_limits: validate::Limits,
    pub(crate) keep_alive: Duration,
    /// Which requests without a client's trace are traced.
    pub(crate) sampler: Sampler,
    /// Whether anybody wants traces.
    pub(crate) traces: bool,
    /// Whether a route says which pages may ask.
    pub(crate) has_cors: bool,
    /// Answers that are kept, where a route keeps any.
    pub(crate) cache: Option<Arc<Store>>,
}

/// One route, ready to serve.
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) pattern: PathPattern,
    pub(crate) anonymous: bool,
    /// Indexes of the clients allowed; `None` is all.
    pub(crate) clients: Option<Vec<usize>>,
    /// Scopes that a caller must have.
    pub(crate) scopes: Vec<String>,
    /// Which pages of other sites may ask.
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) action: Action,
    /// How answers are kept, where they are.
    pub(crate) cache: Option<Box<Cached>>,
    pub(crate) limits: Limits,
    pub(crate) counters: RouteCounters,
}

/// What a route does.
pub(crate) enum Action {
    Forward(Box<Forward>),
    Respond(Respond),
    Serve(Box<Serve>),
    Compose(Arc<isobar_compositions::Plan>),
}

/// Serving an operation, ready to go.
pub(crate) struct Serve {
    pub(crate) contract: &'static isobar_adapters::Contract,
    pub(crate) pool: Pool,
    /// How long an answer may be given again to an equal request.
    pub(crate) cache: Option<Duration>,
    /// Whether rules or stickiness look into the request document.
    pub(crate) needs_document: bool,
}

/// Forwarding, ready to go.
pub(crate) struct Forward {
    pub(crate) pool: Pool,
    pub(crate) path: Option<PathRewrite>,
    pub(crate) request_headers: Edits,
    pub(crate) response_headers: Edits,
    pub(crate) effect: Option<Effect>,
    pub(crate) mode: Mode,
    /// Whether rules, stickiness or edits look into the request document.
    pub(crate) needs_document: bool,
}

/// Changes of a header block.
#[derive(Default)]
pub(crate) struct Edits {
    pub(crate) set: Vec<(HeaderName, Value)>,
    pub(crate) remove: Vec<HeaderName>,
}

impl Edits {
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Whether a header of this name is set or removed.
    pub(crate) fn decide(&self, name: &str) -> bool {
        self.set.iter().any(|(known, _)| known == name)
            || self.remove.iter().any(|known| known == name)
    }
}

/// A header's value: known, or made from the request document.
pub(crate) enum Value {
    Fixed(HeaderValue),
    Made(Template),
}

/// A fixed answer.
pub(crate) struct Respond {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: bytes::Bytes,
}

/// A route's limits without their origins.
pub(crate) struct Limits {
    pub(crate) body: u64,
    pub(crate) replay: u64,
    pub(crate) deadline: Duration,
    pub(crate) attempt: Option<Duration>,
    pub(crate) idle: Duration,
    pub(crate) client: Option<Limiter>,
    pub(crate) ip: Option<Limiter>,
    pub(crate) all: Option<Limiter>,
    /// Whether one that may hold for a request, of the route or of a client, is counted by several gateways.
    pub(crate) shared: bool,
}
