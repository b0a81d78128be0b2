//! Upgrades: what we do at the hooks of Pingora's pipeline, which turns connections into tunnels.
//!
//! A handshake has no body, so another account is tried wherever the verdict table allows it; the table, the picker and
//! the settlement are the exchange path's.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{StatusCode, header};
use isobar_adapters::{Evidence, Fault, Next, Verdict, next};
use isobar_config::{ClientTls, Effect};
use pingora_core::{
    Error, ErrorSource, ErrorType, Result,
    upstreams::peer::{ALPN, HttpPeer},
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use rustls::pki_types::CertificateDer;

use super::{
    context::{Context, forward_of},
    gateway::path_for,
    headers::{self, Block as _},
    problem::{Kind, Problem, Reason},
};
use crate::{
    pool::{
        Account, Candidate, Credential,
        breaker::Pass,
        deadline::Deadline,
        health::Permit,
        picker::{Picker, Ticket},
        settle::settle,
    },
    route::{
        registry::Registry,
        snapshot::{Forward, Route, Snapshot},
    },
    serve::{
        answer::retry_after,
        client::INTERIM,
        exchange::{self, reason},
        outgoing::{self, Outgoing},
        tried::{Outcome, Tried},
    },
};

/// State of one upgrade.
pub(crate) struct Upgrade {
    picker: Picker,
    effect: Effect,
    has_key: bool,
    deadline: Deadline,
    /// Account chosen for the next attempt.
    ticket: Option<Ticket>,
    /// Addresses of that account which this attempt has not tried, once it has tried one.
    addresses: Option<usize>,
    running: Option<Running>,
    /// Held until the answer is through.
    permit: Option<Permit>,
    sent: u32,
    interim: u32,
}

/// The attempt that is under way.
struct Running {
    index: usize,
    pass: Pass,
    permit: Permit,
    started: Instant,
}

impl Upgrade {
    pub(crate) fn new(picker: Picker, effect: Effect, has_key: bool, deadline: Deadline) -> Self {
        Self {
            picker,
            effect,
            has_key,
            deadline,
            ticket: None,
            addresses: None,
            running: None,
            permit: None,
            sent: 0,
            interim: 0,
        }
    }
}

/// The plan's parts that a hook needs, borrowed apart from the context.
struct Scene<'p> {
    plan: &'p Snapshot,
    route: &'p Route,
    forward: &'p Forward,
    members: &'p [Candidate],
}

/// What every hook begins with: the parts of the plan that the request was begun with.
fn on_scene<T>(
    cx: &mut Context,
    hook: impl FnOnce(Scene<'_>, &mut Context) -> Result<T>,
) -> Result<T> {
    let plan = cx.plan.clone().ok_or_else(lost)?;
    let (route, forward) = forward_of(&plan, cx.route).ok_or_else(lost)?;
    let members = cx.members(&forward.pool);
    let scene = Scene {
        plan: &plan,
        route,
        forward,
        members,
    };
    hook(scene, cx)
}

fn lost() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "an upgrade has lost its state")
}

/// Chooses where the next attempt goes.
pub(crate) async fn peer(
    registry: &Registry,
    session: &mut Session,
    cx: &mut Context,
) -> Result<Box<HttpPeer>> {
    loop {
        let account = on_scene(cx, choose)?;
        let url = &account.settings.url;
        let found = tokio::time::timeout(
            account.settings.connect_timeout,
            registry.resolver.address(&url.host, url.port),
        )
        .await;
        let (address, count) = match found {
            Ok(Ok((address, _))) if registry.resolver.is_own(address) => {
                log::error!("`{}` is this gateway itself; nothing is sent", url.host);
                ended(session, cx, Evidence::NotSent(Fault::Connect), None);
                continue;
            }
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                log::debug!("{error}");
                ended(session, cx, Evidence::NotSent(Fault::Dns), None);
                continue;
            }
            Err(_) => {
                ended(session, cx, Evidence::NotSent(Fault::ConnectTimeout), None);
                continue;
            }
        };
        if let Some(asked) = &mut cx.upgrade {
            let left = asked.addresses.unwrap_or(count);
            asked.addresses = Some(left.saturating_sub(1));
        }
        return on_scene(cx, |scene, _| {
            Ok(Box::new(towards(&account, address, &scene)))
        });
    }
}

/// Begins the next attempt: with the account that was chosen for it, or the picker's next.
fn choose(scene: Scene<'_>, cx: &mut Context) -> Result<Arc<Account>> {
    let Scene {
        forward, members, ..
    } = scene;
    let asked = cx.upgrade.as_mut().ok_or_else(lost)?;
    let chosen = match asked.ticket.take() {
        Some(ticket) => Some(ticket),
        None => asked
            .picker
            .pick(members, forward.pool.order(), Instant::now()),
    };
    let Some(Ticket {
        index,
        pass,
        permit,
    }) = chosen
    else {
        let problem = if asked.sent == 0 && cx.tried.is_empty() {
            exchange::nobody(&asked.picker)
        } else {
            exchange::unanswered(&cx.tried, false)
        };
        record_skips(cx, members);
        return Err(fail(cx, problem));
    };
    let account = &members.get(index).ok_or_else(lost)?.account;
    asked.running = Some(Running {
        index,
        pass,
        permit,
        started: Instant::now(),
    });
    Ok(Arc::clone(account))
}

/// How Pingora reaches an account at this address.
fn towards(account: &Account, address: SocketAddr, scene: &Scene<'_>) -> HttpPeer {
    let url = &account.settings.url;
    let tls = account.settings.tls.as_ref();
    let name = tls.and_then(|tls| tls.server_name.as_ref());
    let name = name.unwrap_or(&url.host).clone();
    let mut peer = HttpPeer::new(address, url.tls, name);
    if let Some(tls) = tls.filter(|_| url.tls) {
        present(&mut peer, tls);
    }
    let options = &mut peer.options;
    options.alpn = ALPN::H1;
    options.connection_timeout = Some(account.settings.connect_timeout);
    options.total_connection_timeout = Some(account.settings.connect_timeout);
    options.read_timeout = Some(scene.route.limits.idle);
    options.write_timeout = Some(scene.route.limits.idle);
    options.idle_timeout = Some(account.settings.keep_alive);
    // Connections are shared only within one account, as long as its certificates are the same.
    peer.group_key = super::gateway::hash((account.name(), scene.plan.generation));
    peer
}

/// Gives Pingora an account's own authorities and certificate.
fn present(peer: &mut HttpPeer, tls: &ClientTls) {
    let read = |der: &CertificateDer<'_>| WrappedX509::new(der.to_vec(), parse_x509);
    if let Some(authorities) = &tls.ca {
        let certificates = authorities.certificates().iter().map(read);
        peer.options.ca = Some(certificates.collect());
    }
    if let Some(identity) = &tls.identity {
        let chain = identity.chain().iter().map(|der| der.to_vec()).collect();
        let key = identity.key().secret_der().to_vec();
        peer.client_cert_key = Some(Arc::new(CertKey::new(chain, key)));
    }
}

/// Turns the client's head into the account's.
pub(crate) fn write_request(
    session: &Session,
    request: &mut RequestHeader,
    cx: &mut Context,
) -> Result<()> {
    on_scene(cx, |scene, cx| rewrite(session, request, cx, &scene))
}

fn rewrite(
    session: &Session,
    request: &mut RequestHeader,
    cx: &Context,
    scene: &Scene<'_>,
) -> Result<()> {
    let &Scene {
        route,
        forward,
        members,
        ..
    } = scene;
    let asked = cx.upgrade.as_ref().ok_or_else(lost)?;
    let index = asked.running.as_ref().ok_or_else(lost)?.index;
    let account = &members.get(index).ok_or_else(lost)?.account;
    let client = session.req_header();
    let outgoing = Outgoing {
        method: &client.method,
        path: path_for(forward, route, &cx.path),
        query: client.uri.query(),
        headers: &client.headers,
        about: cx.about(true),
        edits: &forward.request_headers,
        document: cx.document.as_ref(),
    };
    let unwritable =
        |error: outgoing::Unwritable| Error::explain(ErrorType::InternalError, error.to_string());
    let target = outgoing.target(account).map_err(unwritable)?;
    request.set_uri(http::Uri::from(target));
    outgoing
        .write_headers(request, account)
        .map_err(unwritable)?;
    if let Credential::Signature(_) = account.credential {
        let mut unsigned = http::Request::new(());
        *unsigned.method_mut() = request.method.clone();
        *unsigned.uri_mut() = request.uri.clone();
        unsigned.headers_mut().clone_from(&request.headers);
        let digest = Some(isobar_adapters::EMPTY_BODY);
        let signed = outgoing::sign(unsigned, account, digest).map_err(unwritable)?;
        for (name, value) in signed.headers() {
            if request.headers.get(name) != Some(value) {
                request.set(name.clone(), value.clone());
            }
        }
    }
    Ok(())
}

/// Judges the answer's head; an `Err` that says retry sends Pingora to the next account.
pub(crate) fn answered(
    session: &Session,
    answer: &mut ResponseHeader,
    cx: &mut Context,
) -> Result<()> {
    on_scene(cx, |scene, cx| judge(session, answer, cx, &scene))
}

fn judge(
    session: &Session,
    answer: &mut ResponseHeader,
    cx: &mut Context,
    scene: &Scene<'_>,
) -> Result<()> {
    let &Scene {
        forward, members, ..
    } = scene;
    let asked = cx.upgrade.as_mut().ok_or_else(lost)?;
    if answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS {
        asked.interim += 1;
        if asked.interim > INTERIM {
            return Err(
                Error::explain(ErrorType::InvalidHTTPHeader, "too many interim answers").into_up(),
            );
        }
        return Ok(());
    }
    if answer.status == StatusCode::SWITCHING_PROTOCOLS && !session.is_upgrade_req() {
        return Err(Error::explain(
            ErrorType::InvalidHTTPHeader,
            "an upgrade that nobody asked for",
        )
        .into_up());
    }
    let Some(candidate) = asked
        .running
        .as_ref()
        .and_then(|running| members.get(running.index))
    else {
        return Ok(());
    };
    let account = Arc::clone(&candidate.account);
    let evidence = Evidence::Answered {
        status: answer.status.as_u16(),
        retry_after: answer.headers.contains_key(header::RETRY_AFTER),
        own_credential: account.has_credential(),
    };
    if let Some(running) = &asked.running {
        account
            .health
            .observe(running.started.elapsed(), Instant::now());
    }
    if ended(session, cx, evidence, retry_after(&answer.headers)) {
        let mut error = Error::explain(
            ErrorType::HTTPStatus(answer.status.as_u16()),
            "the next account is tried",
        )
        .into_up();
        error.set_retry(true);
        return Err(error);
    }
    let upgraded = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    let chunked = answer.headers.contains_key(header::TRANSFER_ENCODING);
    let upgrade = upgraded
        .then(|| answer.headers.get(header::UPGRADE).cloned())
        .flatten();
    headers::to_client(answer, &account);
    cx.served_by = Some(account);
    if let Some(protocol) = upgrade {
        answer.set(
            header::CONNECTION,
            http::HeaderValue::from_static("upgrade"),
        );
        answer.set(header::UPGRADE, protocol);
    }
    if chunked {
        // Pingora's framing looks for it.
        answer.set(
            header::TRANSFER_ENCODING,
            http::HeaderValue::from_static("chunked"),
        );
    }
    outgoing::apply(&forward.response_headers, answer, cx.document.as_ref())
        .map_err(|error| Error::explain(ErrorType::InternalError, error.to_string()))?;
    cx.tell(answer);
    Ok(())
}

/// No connection to the account.
pub(crate) fn connect_failed(
    session: &Session,
    cx: &mut Context,
    mut error: Box<Error>,
) -> Box<Error> {
    let fault = match error.etype {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Fault::ConnectTimeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::TLSWantX509Lookup => {
            Fault::Tls
        }
        _ => Fault::Connect,
    };
    if try_another_address(cx) {
        error.set_retry(true);
        return error;
    }
    let again = ended(session, cx, Evidence::NotSent(fault), None);
    error.set_retry(again);
    error
}

/// Prepares the same attempt for the account's next address, when it has one and there is time.
fn try_another_address(cx: &mut Context) -> bool {
    let Some(asked) = &mut cx.upgrade else {
        return false;
    };
    let has_more = asked.addresses.is_some_and(|left| left > 0)
        && asked.deadline.left(Instant::now()).is_some();
    let Some(running) = asked.running.take_if(|_| has_more) else {
        return false;
    };
    asked.ticket = Some(Ticket {
        index: running.index,
        pass: running.pass,
        permit: running.permit,
    });
    true
}

/// The connection was there and something broke.
pub(crate) fn broken(session: &Session, cx: &mut Context, mut error: Box<Error>) -> Box<Error> {
    error.retry.decide_reuse(false);
    if *error.esource() == ErrorSource::Downstream {
        // Nothing is known of the account; its pass is dropped without a verdict.
        cx.gone |= cx.problem.is_none();
        error.set_retry(false);
        return error;
    }
    if matches!(error.etype, ErrorType::HTTPStatus(_)) && (error.retry() || cx.problem.is_some()) {
        return error;
    }
    let running = cx
        .upgrade
        .as_ref()
        .is_some_and(|asked| asked.running.is_some());
    if !running {
        // The head was through: the answer broke off, or one of our own hooks failed.
        cx.cut = true;
        error.set_retry(false);
        return error;
    }
    let fault = match error.etype {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Fault::Timeout,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error => Fault::Malformed,
        _ => Fault::Reset,
    };
    let again = ended(session, cx, Evidence::Broken(fault), None);
    error.set_retry(again);
    error
}

/// Settles the attempt under way and decides what follows; `true` when another account is ready to be tried. When none
/// is, the problem that the client should see is in the context.
fn ended(session: &Session, cx: &mut Context, evidence: Evidence, wait: Option<Duration>) -> bool {
    let again = on_scene(cx, |scene, cx| {
        Ok(settled(session, cx, &scene, evidence, wait))
    });
    again.unwrap_or(false)
}

fn settled(
    session: &Session,
    cx: &mut Context,
    scene: &Scene<'_>,
    evidence: Evidence,
    wait: Option<Duration>,
) -> bool {
    let &Scene {
        forward, members, ..
    } = scene;
    let Some(asked) = cx.upgrade.as_mut() else {
        return false;
    };
    let Some(Running {
        index,
        pass,
        permit,
        started,
    }) = asked.running.take()
    else {
        return false;
    };
    let Some(candidate) = members.get(index) else {
        return false;
    };
    asked.addresses = None;
    let (now, pool) = (Instant::now(), &forward.pool);
    let verdict = Verdict::of(evidence, asked.effect);
    let took = now.saturating_duration_since(started);
    candidate.counters.ended(verdict);
    candidate.counters.seconds.observe(took.as_secs_f64());
    settle(candidate, members, &pool.outlier, pass, verdict, wait, now);
    cx.tried.push(Tried {
        account: Arc::clone(&candidate.account),
        outcome: Outcome::Ended(verdict),
        reason: reason(evidence),
        took,
        ended: now,
    });
    asked.sent += u32::from(verdict != Verdict::NotSent);

    let then = next(verdict, asked.effect);
    let replayable =
        !session.as_downstream().retry_buffer_truncated() && session.response_written().is_none();
    let allowed = verdict == Verdict::NotSent
        || asked.sent < pool.retry.attempts && pool.budget.withdraw(&pool.retry, now);
    let in_time = asked.deadline.left(now).is_some();
    if replayable && in_time && allowed {
        asked.ticket = match then {
            Next::Other => asked.picker.pick(members, pool.order(), now),
            Next::Resolve if asked.has_key => asked.picker.again(index, members, now),
            Next::Resolve | Next::Answer | Next::Stop => None,
        };
    }
    if asked.ticket.is_some() {
        return true;
    }
    asked.permit = Some(permit);
    if then != Next::Answer {
        if !matches!(evidence, Evidence::Answered { .. }) {
            let unknown = matches!(then, Next::Stop | Next::Resolve);
            cx.problem = Some(exchange::unanswered(&cx.tried, unknown));
        }
        record_skips(cx, members);
    }
    false
}

fn record_skips(cx: &mut Context, members: &[Candidate]) {
    let Some(asked) = &cx.upgrade else {
        return;
    };
    for (index, skip) in asked.picker.skipped() {
        if let Some(candidate) = members.get(*index) {
            let account = Arc::clone(&candidate.account);
            cx.tried.push(Tried {
                account,
                outcome: Outcome::PassedOver,
                reason: Reason::Skipped(skip.name()),
                took: Duration::ZERO,
                ended: Instant::now(),
            });
        }
    }
}

/// Remembers the problem that `fail_to_proxy` writes.
fn fail(cx: &mut Context, problem: Problem) -> Box<Error> {
    let error = Error::explain(
        ErrorType::HTTPStatus(problem.status),
        problem.detail.clone(),
    );
    cx.problem = Some(problem);
    error
}

/// The problem for an error that no hook of ours explained.
pub(crate) fn problem_of(error: &Error) -> Problem {
    match (error.esource(), error.etype()) {
        (
            ErrorSource::Upstream,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout | ErrorType::ConnectTimedout,
        ) => Problem::new(
            504,
            Kind::VendorTimeout,
            "the vendor did not answer in time",
        ),
        (ErrorSource::Upstream, _) => Problem::new(
            502,
            Kind::VendorBroken,
            "the vendor's answer could not be used",
        ),
        (ErrorSource::Downstream, _) => {
            Problem::new(400, Kind::BadRequest, "the request could not be read")
        }
        (ErrorSource::Internal | ErrorSource::Unset, _) => {
            Problem::new(500, Kind::Internal, "the gateway failed")
        }
    }
}
