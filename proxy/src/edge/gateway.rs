//! The life of a request, from its head to its line in the log.
//!
//! The order of everything we do is in [`Gateway::serve`]. A forwarded request takes the exchange path or the stream path,
//! which differ in their bodies only; an upgrade takes Pingora's pipeline, with the hooks in `upgrade.rs`.

use std::{
    hash::Hasher as _,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use http::{HeaderValue, header};
use isobar_adapters::boxed;
use isobar_config::Mode;
use pingora_core::{
    Error, ErrorSource, ErrorType, Result, protocols::http::ServerSession as Session,
};

use super::{
    access_log::{AccessLog, Line},
    auth::{self, Caller, Stranger, Wanted},
    capability,
    certified::Shown,
    context::{self, Context, InFlight},
    cors, counting,
    document::document,
    headers::{self, Block as _},
    problem::{Kind, Problem},
    render,
    trace::{TRACEPARENT, Trace},
    upgrade::{self, Upgrade},
    upload::Upload,
    validate, write,
};
use crate::{
    admin::failures,
    pool::{Candidate, picker::Picker, settle},
    route::{
        registry::Registry,
        router::{Captures, Found, Subject},
        snapshot::{Action, Forward, Route, Serve, Snapshot},
    },
    serve::{
        self,
        answer::Answer,
        body::{Full, Kept},
        exchange::{Body, Exchange, Forwarding},
        live,
        outgoing::{self, Outgoing},
        tried::Tried,
    },
    telemetry,
};

/// Serves requests.
pub(crate) struct Gateway {
    pub(crate) plan: Arc<ArcSwap<Snapshot>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) log: Arc<AccessLog>,
}

/// A request that may proceed.
pub(super) struct Admitted {
    pub(super) length: Option<u64>,
    pub(super) has_body: bool,
    /// What is answered at once to a browser's question in advance.
    preflight: Option<http::HeaderMap>,
}

impl Gateway {
    /// Prepares the connection for a request whose head has been read.
    pub(super) fn begin(&self, session: &mut Session, cx: &mut Context) {
        cx.in_flight = Some(InFlight::new(&self.registry.metrics.in_flight));
        headers::settle_connection(session.req_header_mut());
        if session.is_http2() {
            headers::settle_http2(session.req_header_mut());
        }
        // Pingora would keep an idle HTTP/1.1 connection for ever.
        if session.get_keepalive().is_some() {
            let seconds = self.plan.load().keep_alive.as_secs().max(1);
            session.set_keepalive(Some(seconds));
        }
        session.set_total_drain_timeout(Some(Duration::from_secs(5)));
        session.set_pipelining_enabled(true);
    }

    /// [`Gateway::serve`], with panics caught.
    pub(super) async fn answer(&self, session: &mut Session, cx: &mut Context) -> Result<bool> {
        let served = {
            // Pinned where it is made: what is handed on by value is copied on its way, whole, and it is large.
            let serving = pin!(self.serve(session, cx));
            AssertUnwindSafe(serving).catch_unwind().await
        };
        served.unwrap_or_else(|_| {
            self.registry.metrics.panics.inc();
            cx.problem = Some(Problem::new(
                500,
                Kind::Internal,
                "the gateway failed while serving the request",
            ));
            Err(Error::explain(ErrorType::InternalError, "panicked"))
        })
    }

    /// Tells the client of a failure, if it is there to be told; the status that it saw, or 0. The connection is of no
    /// further use.
    pub(super) async fn fail(&self, session: &mut Session, cx: &mut Context, error: &Error) -> u16 {
        let begun = session
            .response_written()
            .is_some_and(|head| !head.status.is_informational());
        let client_left =
            cx.gone || *error.esource() == ErrorSource::Downstream && cx.problem.is_none();
        cx.cut |= begun;
        if begun || client_left {
            cx.gone |= client_left;
            return 0;
        }
        let problem = cx
            .problem
            .take()
            .unwrap_or_else(|| upgrade::problem_of(error));
        let status = problem.status;
        session.set_keepalive(None);
        if let Err(error) = write::problem(session, cx, problem).await {
            log::debug!("the client left before it could be told: {error}");
        }
        status
    }

    /// Everything that happens to a request outside Pingora's pipeline, in order; `true` when it has been answered.
    async fn serve(&self, session: &mut Session, cx: &mut Context) -> Result<bool> {
        let plan = self.plan.load_full();
        cx.plan = Some(Arc::clone(&plan));
        let mut admitted = admit(session, cx, &plan);
        if let Some(wanted) = cx.wanted.take() {
            Box::pin(wanted.issuer.renew(&wanted.seen)).await;
            admitted = admit(session, cx, &plan);
            if let Some(wanted) = cx.wanted.take() {
                admitted = Err(unverified(session, cx, &plan, &wanted));
            }
        }
        let mut admitted = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => {
                if matches!(problem.kind, Kind::BadRequest | Kind::HeadTooLarge) {
                    // What follows a head that two parsers read differently may be a part of it.
                    session.set_keepalive(None);
                }
                return refuse(session, cx, problem).await;
            }
        };
        let Some(route) = cx.route.and_then(|index| plan.routes.get(index)) else {
            return refuse(
                session,
                cx,
                Problem::new(500, Kind::Internal, "the route is gone"),
            )
            .await;
        };
        if let Some(headers) = admitted.preflight.take() {
            Box::pin(write::preflight(session, cx, headers)).await?;
            return Ok(true);
        }
        if route.limits.shared
            && let Err(problem) = Box::pin(counting::limit_together(cx, &plan, route)).await
        {
            return refuse(session, cx, problem).await;
        }
        match &route.action {
            Action::Respond(respond) => {
                write::fixed(session, cx, respond).await?;
                Ok(true)
            }
            Action::Compose(composed) => {
                boxed(|| self.compose(session, cx, &plan, route, composed, &admitted)).await
            }
            Action::Serve(serve) => {
                cx.document = serve
                    .needs_document
                    .then(|| describe(session, cx, &plan, route));
                boxed(|| self.capability(session, cx, &plan, route, serve, &admitted)).await
            }
            Action::Forward(forward) => {
                cx.document = forward
                    .needs_document
                    .then(|| describe(session, cx, &plan, route));
                if session.is_upgrade_req() {
                    self.begin_upgrade(session, cx, route, forward);
                    return Ok(false);
                }
                if let Some(cached) = route.cache.as_deref() {
                    let work = self.cached(session, cx, &plan, (route, forward, cached), &admitted);
                    return Box::pin(work).await;
                }
                self.forward(session, cx, route, forward, &admitted).await
            }
        }
    }

    /// Prepares what the hooks of Pingora's pipeline need.
    fn begin_upgrade(
        &self,
        session: &mut Session,
        cx: &mut Context,
        route: &Route,
        forward: &Forward,
    ) {
        // Interim answers are read by us, as elsewhere; what a vendor says in one is not filtered.
        session.set_ignore_info_resp(true);
        let request = session.req_header();
        let effect = context::effect(forward, &request.method, &request.headers);
        let has_key = request.headers.contains_key(headers::IDEMPOTENCY_KEY);
        let deadline = context::deadline(cx.started, route.limits.deadline, &request.headers);
        let picker = Picker::new(cx.members(&forward.pool).len(), cx.sticky(&forward.pool));
        forward.pool.budget.deposit(&forward.pool.retry);
        cx.upgrade = Some(Upgrade::new(picker, effect, has_key, deadline));
    }

    /// Tries accounts until one answers and passes its answer on, while the client sends its body or is watched.
    pub(super) async fn forward(
        &self,
        session: &mut Session,
        cx: &mut Context,
        route: &Route,
        forward: &Forward,
        admitted: &Admitted,
    ) -> Result<bool> {
        let (body, mut upload) = match self.body(session, route, forward, admitted).await {
            Ok(body) => body,
            Err(unread) => return unreadable(session, cx, unread).await,
        };
        // The client's connection is watched while the vendor is called, so the head is looked at in a copy.
        let request = session.req_header().as_owned_parts();
        let mut tried: Vec<Tried> = Vec::with_capacity(1);
        let outcome = {
            let members = cx.members(&forward.pool);
            let exchange = Exchange {
                work: Forwarding {
                    outgoing: Outgoing {
                        method: &request.method,
                        path: path_for(forward, route, &cx.path),
                        query: request.uri.query(),
                        headers: &request.headers,
                        about: cx.about(false),
                        edits: &forward.request_headers,
                        document: cx.document.as_ref(),
                    },
                    body,
                },
                pool: &forward.pool,
                members,
                effect: context::effect(forward, &request.method, &request.headers),
                has_key: request.headers.contains_key(headers::IDEMPOTENCY_KEY),
                deadline: context::deadline(cx.started, route.limits.deadline, &request.headers),
                attempt: route.limits.attempt,
            };
            let picker = Picker::new(members.len(), cx.sticky(&forward.pool));
            let mut work = pin!(exchange.run(picker, &mut tried));
            tokio::select! {
                biased;
                outcome = &mut work => Ok(outcome),
                unread = upload.go_on(session) => Err(unread),
            }
        };
        cx.tried = tried;
        if !request.method.is_safe() {
            outdate(cx, outcome.as_ref().ok());
        }
        match outcome {
            Err(unread) => unreadable(session, cx, unread).await,
            Ok(Err(problem)) => refuse(session, cx, problem).await,
            Ok(Ok(answer)) => {
                let edits = &forward.response_headers;
                write::answer(session, cx, answer, edits, route.limits.idle, upload).await?;
                Ok(true)
            }
        }
    }

    /// The request's body: kept for replay, or passed on as it comes.
    async fn body(
        &self,
        session: &mut Session,
        route: &Route,
        forward: &Forward,
        admitted: &Admitted,
    ) -> Result<(Body, Upload), Unread> {
        if !is_streamed(forward, route, admitted) && !is_grpc(session) {
            let kept = self.read_body(session, route, admitted).await?;
            return Ok((Body::Kept(kept), Upload::default()));
        }
        let idle = route.limits.idle;
        if !admitted.has_body {
            return Ok((Body::Stream(None, idle), Upload::default()));
        }
        expect_continue(session).await.map_err(Unread::Gone)?;
        let (feed, live) = live::live(admitted.length);
        let upload = Upload::new(feed, route.limits.body, idle);
        Ok((Body::Stream(Some(live), idle), upload))
    }

    /// Reads the inputs, serves them while watching that the client is still there, and writes the answers.
    async fn capability(
        &self,
        session: &mut Session,
        cx: &mut Context,
        plan: &Snapshot,
        route: &Route,
        serve: &Serve,
        admitted: &Admitted,
    ) -> Result<bool> {
        expect_continue(session).await?;
        let limit = route.limits.body;
        let space = &self.registry.space;
        let read = {
            let length = admitted.length;
            let reading = pin!(capability::read(
                session,
                serve.contract,
                space,
                length,
                limit
            ));
            tokio::time::timeout(route.limits.deadline, reading).await
        };
        let asked = match read.unwrap_or_else(|_| Err(Unread::slow())) {
            Ok(asked) => asked,
            Err(unread) => return unreadable(session, cx, unread).await,
        };
        let headers = &session.req_header().headers;
        let deadline = context::deadline(cx.started, route.limits.deadline, headers);
        let id = serve::composing::uuid(cx.trace.unique());
        let mut tried: Vec<Tried> = Vec::with_capacity(1);
        let outcome = {
            let wanted = serve::capability::Asked {
                contract: serve.contract,
                jobs: &asked.jobs,
                id: &id,
                extra: asked.extra,
                deadline,
                attempt: route.limits.attempt,
            };
            let pool = &serve.pool;
            let (members, sticky) = (cx.members(pool), cx.sticky(pool));
            let tokens = &self.registry.tokens;
            let mut work = pin!(async {
                let serving = pin!(serve::capability::serve(
                    &wanted, pool, members, sticky, tokens, &mut tried
                ));
                let Some(lives) = serve.cache else {
                    return serving.await.map(|served| (Arc::new(served), false));
                };
                let client = cx.caller_name(plan);
                let key = serve::cached::key(
                    &client,
                    serve.contract.name,
                    &pool.name,
                    &asked.jobs,
                    asked.extra,
                );
                boxed(|| self.registry.answers.get(key, lives, serving)).await
            });
            let mut upload = Upload::default();
            tokio::select! {
                biased;
                outcome = &mut work => Ok(outcome),
                unread = upload.go_on(session) => Err(unread),
            }
        };
        cx.tried = tried;
        let (served, cached) = match outcome {
            Err(unread) => return unreadable(session, cx, unread).await,
            Ok(Err(problem)) => return refuse(session, cx, problem).await,
            Ok(Ok(served)) => served,
        };
        let first = served.iter().flatten().next();
        cx.served_by = first.map(|answered| Arc::clone(&answered.account));
        match render::write(&asked, &served) {
            Ok(written) => {
                let cache = serve.cache.map(|_| if cached { "hit" } else { "miss" });
                write::capability(session, cx, written, cache).await?;
                Ok(true)
            }
            Err(problem) => refuse(session, cx, problem).await,
        }
    }

    /// Reads the whole body, within the route's limits and the budget.
    async fn read_body(
        &self,
        session: &mut Session,
        route: &Route,
        admitted: &Admitted,
    ) -> Result<Kept, Unread> {
        if !admitted.has_body {
            return Ok(Kept::Empty);
        }
        expect_continue(session).await.map_err(Unread::Gone)?;
        let limit = route.limits.replay.min(route.limits.body);
        let reading = async {
            let mut keeping = self
                .registry
                .space
                .keep(admitted.length.unwrap_or(limit))
                .await?;
            let mut read = 0_u64;
            while let Some(piece) = session
                .read_request_body()
                .await
                .map_err(Unread::from_client)?
            {
                read += piece.len() as u64;
                if read > limit {
                    return Err(Unread::Problem(too_large(limit)));
                }
                if !piece.is_empty() {
                    keeping.push(piece).await?;
                }
            }
            Ok(keeping.done().await?)
        };
        match tokio::time::timeout(route.limits.deadline, pin!(reading)).await {
            Ok(read) => read,
            Err(_) => Err(Unread::slow()),
        }
    }

    /// Tells of a request that is over: counters and the access log.
    pub(super) fn settle(&self, session: &Session, cx: &mut Context) {
        let is_traced = cx.is_traced();
        let Some(plan) = cx.plan.take() else { return };
        let status = match session.response_written() {
            Some(head) => cx.refused.unwrap_or_else(|| head.status.as_u16()),
            None => 0,
        };
        let (bytes_in, bytes_out) = (
            session.body_bytes_read() as u64,
            session.body_bytes_sent() as u64,
        );
        let took = cx.started.elapsed();
        let route = cx.route.and_then(|index| plan.routes.get(index));
        let counters = route.map_or(&self.registry.unrouted, |route| &route.counters);
        counters.ended(status);
        counters.seconds.observe(took.as_secs_f64());
        counters.bytes_in.inc_by(bytes_in);
        counters.bytes_out.inc_by(bytes_out);
        if cx.cut && !cx.gone {
            note_cut(cx, &plan);
        }
        let cut = cx.cut && !cx.gone;
        if failures::is_failure(status, cut, &cx.tried) {
            self.registry.failures.note(failures::Over {
                request: cx.trace.id(),
                route: route.map_or("", |route| &route.name),
                status,
                problem: cx.problem.as_ref().map(|problem| problem.kind.name()),
                cut,
                tried: &cx.tried,
            });
        }
        if is_traced {
            self.registry.spans.offer(telemetry::of(&telemetry::Over {
                trace: cx.trace,
                started: cx.started,
                method: session.req_header().method.as_str(),
                route: route.map_or("", |route| &route.name),
                pattern: route.map_or("", |route| &route.pattern.text),
                client: cx.client_name(&plan),
                status,
                problem: cx.problem.as_ref().map(|problem| problem.kind.name()),
                cut,
                vendor: cx.served_by.as_ref().map(|account| account.name()),
                tried: &cx.tried,
                run: cx.run.as_ref(),
            }));
        }
        if !self.log.is_on() {
            return;
        }
        let time = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        self.log.write(&Line {
            time,
            request: cx.trace,
            client: cx.client_name(&plan),
            subject: cx.identity.subject(),
            ip: cx.ip,
            method: session.req_header().method.as_str(),
            host: &cx.host,
            path: &cx.path,
            route: route.map_or("", |route| &route.name),
            status,
            ms: took,
            bytes_in,
            bytes_out,
            vendor: cx.served_by.as_ref().map(|account| account.name()),
            attempts: &cx.tried,
            problem: cx.problem.as_ref().map(|problem| problem.kind.name()),
            cache: cx.cache.as_ref().map(|note| note.did.name()),
            cut: cx.cut || cx.gone,
            generation: plan.generation,
        });
    }
}

/// Tells the cache that something may have changed where a request went that is no read, unless it was refused.
fn outdate(cx: &Context, outcome: Option<&Result<Answer, Problem>>) {
    let Some(store) = cx.plan.as_ref().and_then(|plan| plan.cache.as_ref()) else {
        return;
    };
    let refused = matches!(outcome, Some(Ok(answer)) if answer.head.status.is_client_error());
    if !refused {
        store.outdate(&cx.host, &cx.path);
    }
}

/// Holds an answer that broke off against the account that gave it.
fn note_cut(cx: &Context, plan: &Snapshot) {
    let (Some((_, forward)), Some(account)) = (context::forward_of(plan, cx.route), &cx.served_by)
    else {
        return;
    };
    let members = &forward.pool.members;
    let is_it = |candidate: &&Candidate| Arc::ptr_eq(&candidate.account, account);
    if let Some(candidate) = members.iter().find(is_it) {
        settle::broke_off(candidate, members, &forward.pool.outlier, Instant::now());
    }
}

/// Why a body was not read.
pub(crate) enum Unread {
    Problem(Problem),
    Gone(Box<Error>),
}

impl Unread {
    pub(crate) fn from_client(error: Box<Error>) -> Self {
        if matches!(error.etype, ErrorType::ReadTimedout) {
            Self::slow()
        } else {
            Self::Gone(error.into_down())
        }
    }

    pub(super) fn slow() -> Self {
        Self::Problem(Problem::new(
            408,
            Kind::ClientTooSlow,
            "the body did not arrive in the time the route allows",
        ))
    }
}

impl From<Full> for Unread {
    fn from(full: Full) -> Self {
        Self::Problem(match full {
            Full::NoSpace => {
                let mut problem = Problem::new(
                    503,
                    Kind::Overloaded,
                    "no memory or spool space is left for the body",
                );
                problem.retry_after = Some(Duration::from_secs(1));
                problem
            }
            Full::Io(error) => {
                log::error!("a spool file cannot be written: {error}");
                Problem::new(500, Kind::Internal, "a spool file cannot be written")
            }
        })
    }
}

pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(
        413,
        Kind::TooLarge,
        format!("the route takes bodies of at most {limit} bytes"),
    )
}

/// Answers with a problem and ends the request.
pub(super) async fn refuse(
    session: &mut Session,
    cx: &mut Context,
    problem: Problem,
) -> Result<bool> {
    write::problem(session, cx, problem).await?;
    Ok(true)
}

/// Ends a request whose body cannot be had: with a problem, or without a word when the client is gone.
pub(super) async fn unreadable(
    session: &mut Session,
    cx: &mut Context,
    unread: Unread,
) -> Result<bool> {
    match unread {
        Unread::Problem(problem) => refuse(session, cx, problem).await,
        Unread::Gone(error) => {
            cx.gone = true;
            Err(error)
        }
    }
}

/// Tells a client that waits for it to send its body.
pub(super) async fn expect_continue(session: &mut Session) -> Result<()> {
    let waits = session
        .get_header(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if waits {
        // Otherwise Pingora takes the 100 for an early answer and closes the connection.
        session.set_close_on_response_before_downstream_finish(false);
        session.write_continue_response().await?;
    }
    Ok(())
}

/// Validate, route, authenticate, authorise, limit, check the length: in this order, without waiting.
fn admit(session: &mut Session, cx: &mut Context, plan: &Snapshot) -> Result<Admitted, Problem> {
    let raw = session
        .as_http1()
        .map(pingora_core::protocols::http::v1::server::HttpSession::get_headers_raw_bytes);
    let request = session.req_header();
    let parent = request.headers.get(TRACEPARENT).map(HeaderValue::as_bytes);
    cx.trace = Trace::continue_from(parent, plan.sampler);
    cx.ip = session
        .client_addr()
        .and_then(|address| address.as_inet())
        .map(std::net::SocketAddr::ip);
    cx.secure = session
        .digest()
        .is_some_and(|digest| digest.ssl_digest.is_some());
    let head = validate::Head {
        method: &request.method,
        version: request.version,
        path: request.uri.path(),
        headers: &request.headers,
        raw: raw.as_deref(),
    };
    let valid = validate::validate(head, plan.head_limits).map_err(refusal)?;
    cx.host = valid.host.into_owned();
    cx.path = valid.path.into_owned();
    // A body of HTTP/2 needs no header to announce it.
    let unannounced = valid.length.is_none()
        && session
            .as_http2()
            .is_some_and(|stream| !stream.is_body_empty());
    let admitted = Admitted {
        length: valid.length,
        has_body: valid.has_body || unannounced,
        preflight: None,
    };
    // A browser asks in advance for the method that it is going to use.
    let wanted = plan
        .has_cors
        .then(|| cors::asks_in_advance(&request.method, &request.headers))
        .flatten();
    let mut subject = Subject {
        host: &cx.host,
        path: &cx.path,
        method: wanted.as_ref().unwrap_or(&request.method),
        headers: &request.headers,
    };
    if wanted.is_some() {
        if let Found::Route(index) = plan.router.find(subject)
            && let Some(route) = plan.routes.get(index)
            && let Some(cors) = &route.cors
        {
            cx.route = Some(index);
            return Ok(Admitted {
                preflight: Some(cors.preflight(&request.headers)),
                ..admitted
            });
        }
        subject.method = &request.method;
    }
    let index = match plan.router.find(subject) {
        Found::Route(index) => index,
        Found::OtherMethods(allow) => {
            let problem = Problem::new(
                405,
                Kind::MethodNotAllowed,
                "the path is served with other methods",
            );
            return Err(Problem { allow, ..problem });
        }
        Found::Nothing => {
            return Err(Problem::new(
                404,
                Kind::NoRoute,
                "no route takes this host and path",
            ));
        }
    };
    cx.route = Some(index);
    let Some(route) = plan.routes.get(index) else {
        return Err(Problem::new(500, Kind::Internal, "the route is gone"));
    };
    if let Some(cors) = &route.cors {
        cx.cors = Some((Arc::clone(cors), cors::origin(&request.headers).cloned()));
    }
    let identity = plan.clients.recognise(
        plan.generation,
        &mut cx.remembered,
        &request.headers,
        session
            .digest()
            .and_then(|digest| digest.ssl_digest.as_ref()?.extension.get::<Shown>()),
        route.anonymous,
    );
    let identity = match identity {
        Ok(identity) => identity,
        Err(Stranger {
            wanted: Some(wanted),
        }) => {
            cx.wanted = Some(wanted);
            return Err(no_key());
        }
        Err(Stranger { wanted: None }) => {
            return Err(stranger(cx, plan, route, &request.headers));
        }
    };
    if let Some(allowed) = &route.clients
        && !matches!(identity.caller, Caller::Client(client) if allowed.contains(&client))
    {
        cx.identity = identity;
        return Err(Problem::new(
            403,
            Kind::Forbidden,
            "the route is for other clients",
        ));
    }
    let missing = route.scopes.iter();
    let missing = missing
        .filter(|scope| !plan.clients.has_scope(&identity, scope))
        .map(String::as_str)
        .collect::<Vec<_>>();
    cx.identity = identity;
    if !missing.is_empty() {
        let detail = format!("the caller lacks the scope `{}`", missing.join("`, `"));
        let mut problem = Problem::new(403, Kind::Forbidden, detail);
        // RFC 6750 §3.1.
        let scopes = missing.join(" ").replace(['"', '\\'], "");
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\"");
        problem.challenge = HeaderValue::try_from(challenge).ok();
        return Err(problem);
    }
    counting::limit(cx, plan, route)?;
    if let Some(length) = admitted.length.filter(|length| *length > route.limits.body) {
        log::debug!("a body of {length} bytes is over the route's limit");
        return Err(too_large(route.limits.body));
    }
    if admitted.length.is_none() && admitted.has_body {
        // Pingora's parser of chunks (httparse) takes an empty size for zero and lets line feeds into extensions, where
        // a proxy before us may see another end of the body. Nothing behind such a body is read as a request.
        session.set_keepalive(None);
    }
    session.set_read_timeout(Some(route.limits.idle));
    session.set_write_timeout(Some(route.limits.idle));
    if let Some(length) = admitted.length
        && !is_plain_length(&session.req_header().headers)
    {
        let folded = HeaderValue::from(length);
        session.req_header_mut().set(header::CONTENT_LENGTH, folded);
    }
    Ok(admitted)
}

/// Whether the length is given once, as nothing but a number: not `3, 3`, not twice, not `003`.
fn is_plain_length(headers: &http::HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let is_plain = values.next().is_some_and(|value| {
        let digits = value.as_bytes();
        digits.iter().all(u8::is_ascii_digit)
            && (digits.len() == 1 || digits.first() != Some(&b'0'))
    });
    is_plain && values.next().is_none()
}

/// The problem for a request without a valid key. Wrong keys are counted by address, so that guessing is slow and shows in
/// the metrics; a valid key always passes, since many clients may share an address.
fn stranger(cx: &Context, plan: &Snapshot, route: &Route, headers: &http::HeaderMap) -> Problem {
    if let Some(wait) = auth::presents_key(headers)
        .then(|| plan.guesses.check(cx.ip.map(hash).unwrap_or_default()).wait)
        .flatten()
    {
        if let Some(counter) = route.counters.limited.last() {
            counter.inc();
        }
        let detail = "too many wrong keys came from this address";
        let mut problem = Problem::new(429, Kind::RateLimited, detail);
        problem.retry_after = Some(wait);
        return problem;
    }
    no_key()
}

fn no_key() -> Problem {
    Problem::new(
        401,
        Kind::Unauthenticated,
        "send a valid key as `Authorization: Bearer KEY` or `x-api-key`",
    )
}

/// What is said of a token whose key is not known, though its issuer was asked. Where a route is for everybody, such a
/// token is none of ours, as any other; but it cannot be told apart from one that is, and is not passed on.
fn unverified(session: &Session, cx: &Context, plan: &Snapshot, wanted: &Wanted) -> Problem {
    if wanted.issuer.is_without_keys() {
        let detail = "the keys that tokens are checked with cannot be fetched from their issuer";
        let mut problem = Problem::new(503, Kind::KeysUnavailable, detail);
        problem.retry_after = Some(Duration::from_secs(5));
        return problem;
    }
    let route = cx.route.and_then(|index| plan.routes.get(index));
    let headers = &session.req_header().headers;
    route.map_or_else(no_key, |route| stranger(cx, plan, route, headers))
}

fn refusal(refusal: validate::Refusal) -> Problem {
    let kind = match refusal.status {
        431 => Kind::HeadTooLarge,
        405 => Kind::MethodNotAllowed,
        _ => Kind::BadRequest,
    };
    Problem::new(refusal.status, kind, refusal.reason)
}

pub(crate) fn hash(value: impl std::hash::Hash) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn describe(session: &Session, cx: &Context, plan: &Snapshot, route: &Route) -> serde_json::Value {
    let request = session.req_header();
    let captures = Captures::of(&route.pattern, &cx.path);
    document(
        &request.method,
        &cx.host,
        &cx.path,
        request.uri.query(),
        &request.headers,
        &captures,
        cx.ip,
        cx.client_name(plan),
        cx.identity.subject(),
    )
}

/// Whether this is a call of gRPC, whose two bodies are a conversation.
pub(super) fn is_grpc(session: &Session) -> bool {
    session.is_http2() && outgoing::is_grpc(&session.req_header().headers)
}

/// Whether the body is passed on as it comes: because the route says so, or because it is too large, or of unknown
/// length, to keep for replay.
fn is_streamed(forward: &Forward, route: &Route, admitted: &Admitted) -> bool {
    match forward.mode {
        Mode::Stream => true,
        Mode::Exchange => false,
        Mode::Auto => match admitted.length {
            Some(length) => length > route.limits.replay,
            None => admitted.has_body,
        },
    }
}

/// The path that vendors see, before an account's own prefix.
pub(crate) fn path_for<'a>(
    forward: &Forward,
    route: &Route,
    path: &'a str,
) -> std::borrow::Cow<'a, str> {
    match &forward.path {
        None => std::borrow::Cow::Borrowed(path),
        Some(rewrite) => std::borrow::Cow::Owned(outgoing::rewrite(
            rewrite,
            &Captures::of(&route.pattern, path),
        )),
    }
}
