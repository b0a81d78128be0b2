//! What is remembered of one request while it is served.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue};
use isobar_config::Effect;
use prometheus::IntGauge;
use serde_json::Value as Json;

use super::{
    auth::{Caller, Identity, Remembered, Wanted},
    caching::Note,
    cors::Cors,
    headers::{self, About, Block},
    limit::Standing,
    problem::Problem,
    text::Text,
    trace::Trace,
    upgrade::Upgrade,
};
use crate::{
    pool::{Account, Candidate, Pool, deadline::Deadline},
    route::snapshot::{Action, Forward, Route, Snapshot},
    serve::tried::{self, Tried},
    telemetry::Run,
};

/// Context of one request. Dropping it gives back everything it holds, also when serving panics.
pub(crate) struct Context {
    pub(crate) started: Instant,
    pub(crate) plan: Option<Arc<Snapshot>>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) trace: Trace,
    pub(crate) ip: Option<IpAddr>,
    /// The client came over TLS.
    pub(crate) secure: bool,
    pub(crate) route: Option<usize>,
    pub(crate) identity: Identity,
    /// Keys of an issuer that are not known and that its token names.
    pub(crate) wanted: Option<Wanted>,
    /// The key that is good on this connection.
    pub(crate) remembered: Option<Remembered>,
    pub(crate) host: String,
    /// Path as matched.
    pub(crate) path: String,
    pub(crate) document: Option<Json>,
    pub(crate) standing: Option<Standing>,
    pub(crate) tried: Vec<Tried>,
    /// The run of a composition, where it is traced.
    pub(crate) run: Option<Run>,
    pub(crate) served_by: Option<Arc<Account>>,
    pub(crate) problem: Option<Problem>,
    /// The status of a refusal whose answer has another one: calls of gRPC are always answered 200.
    pub(crate) refused: Option<u16>,
    pub(crate) upgrade: Option<Upgrade>,
    /// Which pages may use the answer, and the one that asks.
    pub(crate) cors: Option<(Arc<Cors>, Option<HeaderValue>)>,
    /// What the route's cache did.
    pub(crate) cache: Option<Note>,
    /// The client left, or its answer broke off.
    pub(crate) cut: bool,
    pub(crate) gone: bool,
}

/// Counts a request while it lives.
pub(crate) struct InFlight(IntGauge);

impl InFlight {
    pub(crate) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Context {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            plan: None,
            in_flight: None,
            trace: Trace::NONE,
            ip: None,
            secure: false,
            route: None,
            identity: Identity::of(Caller::Anonymous),
            wanted: None,
            remembered: None,
            host: String::new(),
            path: String::new(),
            document: None,
            standing: None,
            tried: Vec::new(),
            run: None,
            served_by: None,
            problem: None,
            refused: None,
            upgrade: None,
            cors: None,
            cache: None,
            cut: false,
            gone: false,
        }
    }

    /// Whether spans of this request are wanted.
    pub(crate) fn is_traced(&self) -> bool {
        let traces = self.plan.as_ref().is_some_and(|plan| plan.traces);
        traces && self.trace.is_sampled()
    }

    pub(crate) fn client_name<'p>(&self, plan: &'p Snapshot) -> Option<&'p str> {
        plan.clients.name(self.identity.caller)
    }

    /// Who calls, as a name that is nobody else's: the client's, with the subject of a token.
    pub(crate) fn caller_name<'p>(&self, plan: &'p Snapshot) -> Cow<'p, str> {
        let client = self.client_name(plan).unwrap_or_default();
        match self.identity.subject() {
            Some(subject) => Cow::Owned(format!("{client}/{subject}")),
            None => Cow::Borrowed(client),
        }
    }

    /// What the vendor is told of the client.
    pub(crate) fn about(&self, upgrade: bool) -> About<'_> {
        let key_consumed = self.identity.consumed;
        about(
            self.ip,
            &self.host,
            self.trace,
            key_consumed,
            upgrade,
            self.secure,
        )
    }

    /// Adds what every answer carries.
    pub(crate) fn tell(&self, headers: &mut impl Block) {
        let vendor = match &self.served_by {
            Some(account) => account.label.clone(),
            None => HeaderValue::from_static("none"),
        };
        headers.set(headers::VENDOR, vendor);
        let attempts = match tried::made(&self.tried) {
            1 => HeaderValue::from_static("1"),
            made => HeaderValue::from(made),
        };
        headers.set(headers::ATTEMPTS, attempts);
        let timing = tried::server_timing(&self.tried, self.started.elapsed());
        let standing = self.standing.as_ref();
        let others = [
            (headers::SERVER_TIMING, timing),
            (
                headers::RATE_LIMIT_POLICY,
                standing.and_then(|standing| standing.policy.clone()),
            ),
            (headers::RATE_LIMIT, standing.and_then(Standing::header)),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                headers.set(name, value);
            }
        }
        if let Some(value) = self.cache.as_ref().and_then(|note| note.header.clone()) {
            headers.append(headers::CACHE_STATUS, value);
        }
        if let Some((cors, origin)) = &self.cors {
            cors.tell(origin.as_ref(), headers);
        }
    }

    /// See [`members`].
    pub(crate) fn members<'p>(&self, pool: &'p Pool) -> &'p [Candidate] {
        members(pool, self.document.as_ref())
    }

    /// Hash of the value that ties this request to an account, under `sticky`; the client's address where the value is
    /// missing.
    pub(crate) fn sticky(&self, pool: &Pool) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let isobar_config::Policy::Sticky { by } = &pool.policy else {
            return 0;
        };
        let mut hasher = DefaultHasher::new();
        match by.render(self.document.as_ref().unwrap_or(&Json::Null)) {
            Ok(Some(value)) if !value.is_null() => value.to_string().hash(&mut hasher),
            _ => self.ip.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// The pool's members for a request of this document: those of the first rule that holds, or all.
pub(crate) fn members<'p>(pool: &'p Pool, document: Option<&Json>) -> &'p [Candidate] {
    let document = document.unwrap_or(&Json::Null);
    let chosen = pool
        .rules
        .iter()
        .find(|(when, _)| match when.holds(document) {
            Ok(holds) => holds,
            Err(error) => {
                log::debug!(
                    "a rule of pool `{}` cannot be decided and counts as false: {error}",
                    pool.name
                );
                false
            }
        });
    chosen.map_or(&pool.members, |(_, members)| members)
}

/// What a vendor is told of a client.
pub(crate) fn about(
    ip: Option<IpAddr>,
    host: &str,
    trace: Trace,
    key_consumed: bool,
    upgrade: bool,
    secure: bool,
) -> About<'_> {
    About {
        address: ip.and_then(|ip| {
            let mut text = Text::default();
            text.address(ip);
            text.value()
        }),
        host,
        secure,
        traceparent: trace.header(),
        key_consumed,
        upgrade,
    }
}

/// The route of a request and its forwarding, once both are known.
pub(crate) fn forward_of(plan: &Snapshot, route: Option<usize>) -> Option<(&Route, &Forward)> {
    let route = plan.routes.get(route?)?;
    match &route.action {
        Action::Forward(forward) => Some((route, forward)),
        Action::Respond(_) | Action::Serve(_) | Action::Compose(_) => None,
    }
}

/// What repeating this request does: as the route says, or by its method and `Idempotency-Key`.
pub(crate) fn effect(forward: &Forward, method: &http::Method, headers: &HeaderMap) -> Effect {
    let by_method = match method.as_str() {
        "GET" | "HEAD" | "OPTIONS" => Effect::Read,
        "PUT" | "DELETE" => Effect::Idempotent,
        _ => Effect::Unsafe,
    };
    match forward.effect.unwrap_or(by_method) {
        // Without a key there is nothing to repeat safely with.
        Effect::Keyed if !headers.contains_key(headers::IDEMPOTENCY_KEY) => Effect::Unsafe,
        effect => effect,
    }
}

/// The moment by which an answer must begin: the route's deadline, or the client's if it is sooner.
pub(crate) fn deadline(started: Instant, allowed: Duration, headers: &HeaderMap) -> Deadline {
    let wanted = headers
        .get(headers::DEADLINE)
        .and_then(|value| parse_deadline(value.to_str().ok()?));
    Deadline::after(
        started,
        wanted.map_or(allowed, |wanted| wanted.min(allowed)),
    )
}

/// `1500`, `1500ms` or `2s`.
fn parse_deadline(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    match text.strip_suffix('s') {
        Some(seconds) => seconds.parse().ok().map(Duration::from_secs),
        None => text.parse().ok().map(Duration::from_millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_shorten_the_deadline_and_not_lengthen_it() {
        let start = Instant::now();
        let check = |text: &'static str, expected: u64| {
            let headers =
                HeaderMap::from_iter([(headers::DEADLINE, HeaderValue::from_static(text))]);
            let left = deadline(start, Duration::from_secs(30), &headers).left(start);
            assert_eq!(left, Some(Duration::from_millis(expected)), "{text}");
        };
        check("1500", 1_500);
        check("250ms", 250);
        check("2s", 2_000);
        check("90s", 30_000);
        check("soon", 30_000);
    }
}
