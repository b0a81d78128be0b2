//! Between a client and the kept answers: what is asked for, what may be given, who fetches it, and what the client is told
//! of that (`Cache-Status`, RFC 9211).

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use pingora_core::{Result, protocols::http::ServerSession as Session};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::{
    auth::{Caller, KEY_HEADERS},
    context::{self, Context},
    gateway::{Admitted, Gateway, path_for, refuse, unreadable},
    headers,
    problem::{Kind, Problem},
    text::Text,
    trace::Trace,
    upload::Upload,
    write,
};
use crate::{
    admin::metrics::CacheCounters,
    pool::{deadline::Deadline, picker::Picker, settle},
    route::snapshot::{Forward, Route, Snapshot, Value},
    serve::{
        answer::{Answer, Body},
        body::Kept,
        cache::{
            policy::{self, Asked, Terms, Use, Wishes},
            store::{Ended, Key, Lead, Place, Stamp, Store, Stored, Turn, part},
        },
        exchange::{self, Exchange, Forwarding},
        outgoing::Outgoing,
        tried::Tried,
    },
};

/// Headers by which some servers take a request for another than it is, so that its answer must not be kept.
const OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// How a route keeps answers, ready to go.
pub(crate) struct Cached {
    pub(crate) settings: isobar_config::Cache,
    /// Stands for the route, its pool and credentials: what was kept under others is not given.
    pub(crate) scope: Key,
    pub(crate) store: Arc<Store>,
    pub(crate) counters: CacheCounters,
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    /// Gave a fresh answer that was kept, or that an equal request had just fetched.
    Hit,
    /// Gave a stale one.
    Stale,
    /// Asked about a kept answer, which is still good.
    Confirmed,
    /// Fetched one.
    Miss,
    /// Kept out of it.
    Bypass,
}

/// What clients and logs are told of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) did: Did,
    pub(crate) header: Option<HeaderValue>,
}

impl Did {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hit,
        Self::Stale,
        Self::Confirmed,
        Self::Miss,
        Self::Bypass,
    ];

    /// Stable name for metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Confirmed => "confirmed",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

impl Note {
    fn new(did: Did, told: impl FnOnce(&mut Text)) -> Self {
        let mut text = Text::default();
        text.push("isobar; ");
        told(&mut text);
        Self {
            did,
            header: text.value(),
        }
    }

    fn hit(did: Did, stored: &Stored, now: SystemTime) -> Self {
        Self::new(did, |text| {
            let terms = &stored.terms;
            text.push("hit; ttl=");
            let left = terms.left(now).as_secs();
            if left == 0 {
                text.push("-");
            }
            text.number(if left == 0 {
                terms.overdue(now).as_secs()
            } else {
                left
            });
        })
    }

    fn forwarded(did: Did, why: &str, status: Option<StatusCode>, more: &str) -> Self {
        Self::new(did, |text| {
            text.push("fwd=").push(why);
            if let Some(status) = status {
                text.push("; fwd-status=").number(status.as_u16().into());
            }
            text.push(more);
        })
    }
}

/// One request as the cache sees it, apart from its client's connection, which it may outlive.
struct Asking {
    plan: Arc<Snapshot>,
    route: usize,
    method: Method,
    uri: http::Uri,
    /// The client's, without its conditions.
    headers: HeaderMap,
    place: Place,
    address: Option<IpAddr>,
    trace: Trace,
    secure: bool,
    key_consumed: bool,
    authorised: bool,
    document: Option<Json>,
    sticky: u64,
    wishes: Wishes,
    base: Key,
}

/// What came of fetching.
enum Fetched {
    /// To be given from what is, or was, kept; the status that the upstream answered with.
    Kept(Arc<Stored>, Did, Option<StatusCode>, bool),
    /// To be passed on.
    Passing(Box<Answer>),
}

impl Gateway {
    /// Gives a kept answer, or has one fetched, kept and given.
    pub(super) async fn cached(
        &self,
        session: &mut Session,
        cx: &mut Context,
        plan: &Arc<Snapshot>,
        (route, forward, cached): (&Route, &Forward, &Cached),
        admitted: &Admitted,
    ) -> Result<bool> {
        let request = session.req_header();
        let wishes = Wishes::of(&request.headers);
        if let Some(why) = keeps_out(&request.method, &request.headers, wishes, admitted) {
            self.note(cx, cached, Note::forwarded(Did::Bypass, why, None, ""));
            return self.forward(session, cx, route, forward, admitted).await;
        }
        let base = base_key(cached, forward, cx, plan, request);
        let deadline = context::deadline(cx.started, route.limits.deadline, &request.headers);
        let store = &cached.store;
        // Whether to wait for another that fetches the same, and whether one was waited for.
        let (mut may_wait, mut waited) = (true, false);
        let (found, lead, why, may_stand_in) = loop {
            let headers = &session.req_header().headers;
            let now = SystemTime::now();
            let (key, found, varies) = store.find(base, headers);
            let held = found.as_ref().map(|stored| {
                let outdated = store.is_outdated(stored);
                stored.terms.now(wishes, outdated, now)
            });
            let (stored, may_stand_in) = match (found, held) {
                (Some(stored), Some(Use::Fresh)) => {
                    let note = if waited {
                        Note::forwarded(Did::Hit, "uri-miss", None, "; collapsed")
                    } else {
                        Note::hit(Did::Hit, &stored, now)
                    };
                    self.note(cx, cached, note);
                    return self.give(session, cx, forward, &stored, now).await;
                }
                (Some(stored), Some(usage @ (Use::Accepted | Use::Refresh))) => {
                    if usage == Use::Refresh
                        && let Turn::Lead(lead) = store.turn(key)
                    {
                        let asking = asking(session, cx, plan, forward, base, wishes);
                        refresh(asking, Arc::clone(&stored), lead);
                    }
                    self.note(cx, cached, Note::hit(Did::Stale, &stored, now));
                    return self.give(session, cx, forward, &stored, now).await;
                }
                (Some(stored), Some(Use::Ask { may_stand_in })) => (Some(stored), may_stand_in),
                _ => (None, false),
            };
            if wishes.only_if_cached {
                let detail = "nothing is kept that may be given, and the client wants nothing else";
                let problem = Problem::new(504, Kind::NotCached, detail);
                return refuse(session, cx, problem).await;
            }
            let why = match (&stored, wishes.no_cache, varies) {
                (Some(_), true, _) => "request",
                (Some(_), false, _) => "stale",
                (None, _, true) => "vary-miss",
                (None, _, false) => "uri-miss",
            };
            if !may_wait || wishes.no_cache {
                break (stored, None, why, may_stand_in);
            }
            let follow = match store.turn(key) {
                Turn::Lead(lead) => break (stored, Some(lead), why, may_stand_in),
                Turn::Follow(follow) => follow,
            };
            let left = deadline.left(Instant::now()).unwrap_or_default();
            let mut watching = Upload::default();
            let ended = tokio::select! {
                biased;
                ended = tokio::time::timeout(left, follow.ended()) => ended,
                unread = watching.go_on(session) => return unreadable(session, cx, unread).await,
            };
            match ended {
                Ok(Ended::Left) => {}
                Ok(Ended::Kept) => (may_wait, waited) = (false, true),
                Ok(Ended::Unkept) => may_wait = false,
                Err(_) => {
                    let detail = "an equal request is being answered, and was not in time";
                    let problem = Problem::new(504, Kind::VendorTimeout, detail);
                    return refuse(session, cx, problem).await;
                }
            }
        };
        let asking = asking(session, cx, plan, forward, base, wishes);
        let mut tried = Vec::with_capacity(1);
        let mut upload = Upload::default();
        let fetched = {
            let work = asking.fetch(found.as_ref(), may_stand_in, lead, deadline, &mut tried);
            let mut work = Box::pin(work);
            tokio::select! {
                biased;
                fetched = &mut work => Ok(fetched),
                unread = upload.go_on(session) => Err(unread),
            }
        };
        cx.tried = tried;
        match fetched {
            Err(unread) => unreadable(session, cx, unread).await,
            Ok(Err(problem)) => {
                self.note(cx, cached, Note::forwarded(Did::Miss, why, None, ""));
                refuse(session, cx, problem).await
            }
            Ok(Ok(Fetched::Kept(stored, did, status, is_kept))) => {
                let more = match (did, is_kept) {
                    (Did::Stale, _) => "; detail=stale-if-error",
                    (_, true) => "; stored",
                    (_, false) => "",
                };
                self.note(cx, cached, Note::forwarded(did, why, status, more));
                self.give(session, cx, forward, &stored, SystemTime::now())
                    .await
            }
            Ok(Ok(Fetched::Passing(answer))) => {
                let status = answer.head.status;
                let note = Note::forwarded(Did::Miss, why, Some(status), "");
                self.note(cx, cached, note);
                let edits = &forward.response_headers;
                write::answer(session, cx, *answer, edits, route.limits.idle, upload).await?;
                Ok(true)
            }
        }
    }

    fn note(&self, cx: &mut Context, cached: &Cached, note: Note) {
        cached.counters.did(note.did);
        cx.cache = Some(note);
    }

    async fn give(
        &self,
        session: &mut Session,
        cx: &mut Context,
        forward: &Forward,
        stored: &Stored,
        now: SystemTime,
    ) -> Result<bool> {
        cx.served_by = Some(Arc::clone(&stored.account));
        write::stored(session, cx, stored, &forward.response_headers, now).await?;
        Ok(true)
    }
}

impl Asking {
    /// Asks the pool, keeps what may be kept, and tells those who wait for the same. Dropping it has one of them ask instead.
    async fn fetch(
        &self,
        kept: Option<&Arc<Stored>>,
        may_stand_in: bool,
        lead: Option<Lead>,
        deadline: Deadline,
        tried: &mut Vec<Tried>,
    ) -> Result<Fetched, Problem> {
        let fetched = self.fetch_alone(kept, may_stand_in, deadline, tried).await;
        if let Some(lead) = lead {
            lead.end(match &fetched {
                Ok(Fetched::Kept(_, _, _, true)) => Ended::Kept,
                _ => Ended::Unkept,
            });
        }
        fetched
    }

    async fn fetch_alone(
        &self,
        kept: Option<&Arc<Stored>>,
        may_stand_in: bool,
        deadline: Deadline,
        tried: &mut Vec<Tried>,
    ) -> Result<Fetched, Problem> {
        let Some((route, forward, cached)) = self.parts() else {
            return Err(Problem::new(500, Kind::Internal, "the route is gone"));
        };
        let stamp = cached.store.stamp(&self.place.host, &self.place.path);
        let sent = SystemTime::now();
        let answered = self.ask(route, forward, kept, deadline, tried).await;
        let stand_in = |status| {
            let stored = kept.filter(|_| may_stand_in)?;
            Some(Fetched::Kept(Arc::clone(stored), Did::Stale, status, false))
        };
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(problem) => {
                let is_failure = matches!(problem.status, 500..=504);
                return stand_in(None).filter(|_| is_failure).ok_or(problem);
            }
        };
        let status = answer.head.status;
        if policy::is_failure(status)
            && let Some(stale) = stand_in(Some(status))
        {
            return Ok(stale);
        }
        headers::to_client(&mut answer.head.headers, &answer.account);
        let asked = Asked {
            method: &self.method,
            wishes: self.wishes,
            authorised: self.authorised,
            sent,
        };
        if let Some(kept) = kept.filter(|_| status == StatusCode::NOT_MODIFIED) {
            let (stored, is_kept) = self.confirm(cached, asked, kept, &answer, stamp);
            return Ok(Fetched::Kept(stored, Did::Confirmed, Some(status), is_kept));
        }
        let received = SystemTime::now();
        let terms = Terms::of(
            asked,
            status,
            &answer.head.headers,
            received,
            &cached.settings,
        );
        let Some(terms) = terms.filter(|terms| can_differ_by(&terms.vary, forward)) else {
            if kept.is_some() && !policy::is_failure(status) {
                let (key, ..) = cached.store.find(self.base, &self.headers);
                cached.store.forget(&key);
            }
            return Ok(Fetched::Passing(Box::new(answer)));
        };
        let mut reading = cached.store.reading();
        let collected = collect(&mut answer, cached.settings.answer, route, &mut reading).await;
        match collected {
            Ok(true) => {}
            Ok(false) => return Ok(Fetched::Passing(Box::new(answer))),
            Err(problem) => {
                note_broken(&answer, forward);
                return stand_in(Some(status)).ok_or(problem);
            }
        }
        let Body::Whole(body) = answer.body else {
            return Ok(Fetched::Passing(Box::new(answer)));
        };
        let stored = Arc::new(Stored {
            status,
            headers: answer.head.headers,
            // What came may be a piece of a larger buffer, which would be kept with it.
            body: bytes::Bytes::copy_from_slice(&body),
            terms,
            account: answer.account,
            place: self.place.clone(),
            stamp,
        });
        let is_kept = cached
            .store
            .put(self.base, &self.headers, Arc::clone(&stored));
        Ok(Fetched::Kept(stored, Did::Miss, Some(status), is_kept))
    }

    fn parts(&self) -> Option<(&Route, &Forward, &Cached)> {
        let (route, forward) = context::forward_of(&self.plan, Some(self.route))?;
        Some((route, forward, route.cache.as_deref()?))
    }

    async fn ask(
        &self,
        route: &Route,
        forward: &Forward,
        kept: Option<&Arc<Stored>>,
        deadline: Deadline,
        tried: &mut Vec<Tried>,
    ) -> Result<Answer, Problem> {
        let mut block = self.headers.clone();
        if let Some(stored) = kept {
            let conditions = [
                (header::IF_NONE_MATCH, &stored.terms.etag),
                (header::IF_MODIFIED_SINCE, &stored.terms.last_modified),
            ];
            for (name, value) in conditions {
                if let Some(value) = value {
                    block.insert(name, value.clone());
                }
            }
        }
        let members = context::members(&forward.pool, self.document.as_ref());
        let exchange = Exchange {
            work: Forwarding {
                outgoing: Outgoing {
                    method: &self.method,
                    path: path_for(forward, route, &self.place.path),
                    query: self.uri.query(),
                    headers: &block,
                    about: context::about(
                        self.address,
                        &self.place.host,
                        self.trace,
                        self.key_consumed,
                        false,
                        self.secure,
                    ),
                    edits: &forward.request_headers,
                    document: self.document.as_ref(),
                },
                body: exchange::Body::Kept(Kept::Empty),
            },
            pool: &forward.pool,
            members,
            effect: context::effect(forward, &self.method, &self.headers),
            has_key: self.headers.contains_key(headers::IDEMPOTENCY_KEY),
            deadline,
            attempt: route.limits.attempt,
        };
        let picker = Picker::new(members.len(), self.sticky);
        exchange.run(picker, tried).await
    }

    /// The kept answer with what a 304 says of it, and whether it is kept on.
    fn confirm(
        &self,
        cached: &Cached,
        asked: Asked<'_>,
        kept: &Stored,
        answer: &Answer,
        stamp: Stamp,
    ) -> (Arc<Stored>, bool) {
        let mut headers = kept.headers.clone();
        // Its age counts from now, whatever it was when it came.
        headers.remove(header::AGE);
        policy::freshen(&mut headers, &answer.head.headers);
        let received = SystemTime::now();
        let terms = Terms::of(asked, kept.status, &headers, received, &cached.settings);
        let is_to_be_kept = terms.is_some();
        let stored = Arc::new(Stored {
            status: kept.status,
            headers,
            body: kept.body.clone(),
            terms: terms.unwrap_or_else(|| kept.terms.clone()),
            account: Arc::clone(&answer.account),
            place: kept.place.clone(),
            stamp,
        });
        if is_to_be_kept {
            let is_kept = cached
                .store
                .put(self.base, &self.headers, Arc::clone(&stored));
            return (stored, is_kept);
        }
        let (key, ..) = cached.store.find(self.base, &self.headers);
        cached.store.forget(&key);
        (stored, false)
    }
}

/// Fetches a new answer while a stale one is given.
fn refresh(asking: Asking, stored: Arc<Stored>, lead: Lead) {
    let Some((route, ..)) = asking.parts() else {
        return;
    };
    let deadline = Deadline::after(Instant::now(), route.limits.deadline);
    tokio::spawn(async move {
        let mut tried = Vec::with_capacity(1);
        let work = asking.fetch(Some(&stored), false, Some(lead), deadline, &mut tried);
        if let Err(problem) = Box::pin(work).await {
            log::debug!("a stale answer was not renewed: {}", problem.detail);
        }
    });
}

/// Why a request is none of the cache's, if it is not.
fn keeps_out(
    method: &Method,
    headers: &HeaderMap,
    wishes: Wishes,
    admitted: &Admitted,
) -> Option<&'static str> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some("method");
    }
    let partial = [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    let has = |name: &HeaderName| headers.contains_key(name);
    let kept_out = wishes.no_store
        || admitted.has_body
        || partial.iter().any(has)
        || OVERRIDES.iter().any(has);
    kept_out.then_some("bypass")
}

/// What makes requests equal but for the headers that answers differ by: route, scheme, host, method, path and query; the
/// client, unless clients share; and whatever says to the upstream who is asking.
fn base_key(
    cached: &Cached,
    forward: &Forward,
    cx: &Context,
    plan: &Snapshot,
    request: &pingora_http::RequestHeader,
) -> Key {
    let mut hash = Sha256::new();
    hash.update(cached.scope);
    part(&mut hash, request.method.as_str().as_bytes());
    // A part of the address that is asked for (RFC 9111 §2), and told to the upstream, unless the route tells it another.
    if !forward
        .request_headers
        .decide(headers::FORWARDED_PROTO.as_str())
    {
        hash.update([u8::from(cx.secure)]);
    }
    part(&mut hash, cx.host.as_bytes());
    part(&mut hash, cx.path.as_bytes());
    match request.uri.query() {
        Some(query) => part(&mut hash, query.as_bytes()),
        None => hash.update(u64::MAX.to_le_bytes()),
    }
    if !cached.settings.shared {
        match cx.identity.caller {
            Caller::Client(_) => {
                hash.update(b"client");
                part(&mut hash, cx.caller_name(plan).as_bytes());
            }
            Caller::AnyKey(number) => {
                hash.update(b"key");
                hash.update(number.to_le_bytes());
            }
            Caller::Anonymous => hash.update(b"nobody"),
        }
    }
    for name in credentials(cx.identity.consumed) {
        // One that the route sets or removes is the same for everybody.
        if forward.request_headers.decide(name.as_str()) {
            continue;
        }
        for value in request.headers.get_all(name) {
            part(&mut hash, name.as_str().as_bytes());
            part(&mut hash, value.as_bytes());
        }
    }
    hash.finalize().into()
}

/// Headers that tell an upstream who is asking. Keys of ours never get there.
fn credentials(key_consumed: bool) -> impl Iterator<Item = &'static HeaderName> {
    static COOKIE: HeaderName = header::COOKIE;
    static AUTHORIZATION: HeaderName = header::AUTHORIZATION;
    static KEYS: [HeaderName; 3] = KEY_HEADERS;
    let own = [&AUTHORIZATION].into_iter().chain(&KEYS);
    std::iter::once(&COOKIE).chain(own.filter(move |_| !key_consumed))
}

fn asking(
    session: &Session,
    cx: &Context,
    plan: &Arc<Snapshot>,
    forward: &Forward,
    base: Key,
    wishes: Wishes,
) -> Asking {
    let request = session.req_header().as_owned_parts();
    let mut headers = request.headers;
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
    let query = request.uri.query().map(str::to_owned);
    let key_consumed = cx.identity.consumed;
    let is_credential = |name: &HeaderName| name != header::COOKIE && headers.contains_key(name);
    let authorised = credentials(key_consumed)
        .any(|name| is_credential(name) && !forward.request_headers.decide(name.as_str()));
    Asking {
        plan: Arc::clone(plan),
        route: cx.route.unwrap_or(usize::MAX),
        method: request.method,
        uri: request.uri,
        headers,
        place: Place {
            host: cx.host.clone(),
            path: cx.path.clone(),
            query,
        },
        address: cx.ip,
        trace: cx.trace,
        secure: cx.secure,
        key_consumed,
        authorised,
        document: cx.document.clone(),
        sticky: cx.sticky(&forward.pool),
        wishes,
        base,
    }
}

/// Whether answers that differ by these headers can be told apart by what clients send: not by headers that we write.
fn can_differ_by(vary: &[HeaderName], forward: &Forward) -> bool {
    let made = |name: &HeaderName| {
        let edits = &forward.request_headers;
        edits
            .set
            .iter()
            .any(|(known, value)| known == name && matches!(value, Value::Made(_)))
    };
    vary.iter()
        .all(|name| !headers::is_written_by_us(name.as_str()) && !made(name))
}

/// Reads the whole body, if it is not longer than `limit` and there is room; otherwise leaves it to be passed on, and says
/// `false`.
async fn collect(
    answer: &mut Answer,
    limit: u64,
    route: &Route,
    reading: &mut crate::serve::cache::store::Reading,
) -> Result<bool, Problem> {
    let body = match &mut answer.body {
        Body::Whole(bytes) => return Ok(bytes.len() as u64 <= limit),
        Body::Begun(..) => return Ok(false),
        Body::Stream(body) => body,
    };
    if body.size_hint().lower() > limit {
        return Ok(false);
    }
    let broken = |detail: &str| Problem::new(502, Kind::VendorBroken, detail);
    let mut read = BytesMut::new();
    let mut is_whole = false;
    while read.len() as u64 <= limit {
        let Ok(framed) = tokio::time::timeout(route.limits.idle, body.frame()).await else {
            return Err(broken("the answer stopped before its end"));
        };
        match framed {
            None => {
                is_whole = true;
                break;
            }
            Some(Err(_)) => return Err(broken("the answer broke off before its end")),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                read.extend_from_slice(&data);
                if !reading.takes(data.len()) {
                    break;
                }
            }
        }
    }
    let placeholder = Body::Whole(bytes::Bytes::new());
    let body = std::mem::replace(&mut answer.body, placeholder);
    answer.body = match body {
        Body::Stream(rest) if !is_whole => Body::Begun(read.freeze(), rest),
        _ => Body::Whole(read.freeze()),
    };
    Ok(is_whole)
}

/// Holds an answer that broke off against the account that gave it.
fn note_broken(answer: &Answer, forward: &Forward) {
    let members = &forward.pool.members;
    let found = members
        .iter()
        .find(|candidate| Arc::ptr_eq(&candidate.account, &answer.account));
    if let Some(candidate) = found {
        settle::broke_off(candidate, members, &forward.pool.outlier, Instant::now());
    }
}
