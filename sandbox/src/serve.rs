//! From a request on the wire to the vendor's simulator, and its answer back, with whatever is scripted to go wrong.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::{
        FromRequestParts as _, Query, Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderName, HeaderValue, Response, StatusCode, request::Parts},
    response::IntoResponse as _,
    routing::{any, get, post},
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::json;

use crate::{
    answer::{Answer, Content},
    call::{Call, wants_socket},
    faults::{self, Fault, Faults},
    ledger::{Entry, Ledger},
    vendor::{Class, Operation, Reply, Session, Vendor},
    vendors,
};

/// Everything one sandbox holds.
pub(crate) struct Site {
    vendors: Vec<Box<dyn Vendor>>,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    calls: AtomicU64,
}

/// Marks an answer that is to be a reset connection instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropped;

type Answered = Response<Body>;

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            vendors: vendors::all(),
            faults: Faults::default(),
            ledger: Ledger::default(),
            calls: AtomicU64::new(0),
        }
    }

    /// Forgets faults, ledger and the vendors' state, and counts calls from 1 again.
    pub(crate) fn reset(&self) {
        self.calls.store(0, Relaxed);
        self.faults.clear();
        self.ledger.clear();
        self.vendors.iter().for_each(|vendor| vendor.reset());
    }

    fn vendor(&self, name: &str) -> Option<&dyn Vendor> {
        let found = self.vendors.iter().find(|vendor| vendor.name() == name);
        found.map(AsRef::as_ref)
    }
}

/// Routes of one sandbox.
pub(crate) fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/_control/faults", get(show_faults).post(set_faults))
        .route("/_control/ledger", get(show_ledger))
        .route("/_control/reset", post(reset))
        .route("/{vendor}", any(to_vendor))
        .route("/{vendor}/", any(to_vendor))
        .route("/{vendor}/{*rest}", any(to_vendor))
        .fallback(no_vendor)
        .with_state(site)
}

async fn show_faults(State(site): State<Arc<Site>>) -> Answered {
    let rules = site.faults.rules().into_iter();
    let rules: Vec<_> = rules
        .map(|(rule, matched)| json!({ "rule": rule, "matched": matched }))
        .collect();
    wire(Answer::json(200, &json!(rules)))
}

async fn set_faults(State(site): State<Arc<Site>>, text: String) -> Answered {
    match faults::read(&text) {
        Ok(rules) => {
            let count = rules.len();
            site.faults.set(rules);
            wire(Answer::json(200, &json!({ "rules": count })))
        }
        Err(mistake) => wire(Answer::json(400, &json!({ "error": mistake }))),
    }
}

#[derive(Debug, Deserialize)]
struct LedgerQuery {
    vendor: Option<String>,
}

async fn show_ledger(State(site): State<Arc<Site>>, Query(query): Query<LedgerQuery>) -> Answered {
    let entries = site.ledger.entries(query.vendor.as_deref());
    wire(Answer::json(200, &json!(entries)))
}

async fn reset(State(site): State<Arc<Site>>) -> Answered {
    site.reset();
    wire(Answer::empty(204))
}

async fn no_vendor(State(site): State<Arc<Site>>) -> Answered {
    let names: Vec<_> = site.vendors.iter().map(|vendor| vendor.name()).collect();
    let message = "the first segment of the path names a vendor";
    wire(Answer::json(
        404,
        &json!({ "error": message, "vendors": names }),
    ))
}

async fn to_vendor(State(site): State<Arc<Site>>, request: Request) -> Answered {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let name = path.split('/').nth(1).unwrap_or_default().to_owned();
    let Some(vendor) = site.vendor(&name) else {
        return no_vendor(State(site)).await;
    };
    let mut call = call(&site, &parts, &name, &path);
    match read(body, vendor.body_limit()).await {
        Received::Whole(bytes) => call.body = bytes,
        Received::TooLarge => {
            let answer = vendor.error(&call, Class::TooLarge, "the request body is too large");
            let entry = entry(vendor, &call, vendor.operation(&call), None);
            return wire(record(&site, entry, answer.header("connection", "close")));
        }
        Received::Broken => return dropped(),
    }
    let operation = vendor.operation(&call);
    let admitted = vendor.authenticate(&call);
    if let Ok(account) = &admitted {
        call.account.clone_from(account);
    }
    let account = (!call.account.is_empty()).then_some(call.account.as_str());
    let fault = site.faults.strike(&name, operation, account);
    let mut entry = entry(vendor, &call, operation, fault.as_ref());
    if let Some(Fault::Delay(span)) = &fault {
        tokio::time::sleep(*span).await;
    }
    if fault == Some(Fault::Refuse) {
        site.ledger.record(entry);
        return dropped();
    }
    call.fail_job = fault == Some(Fault::FailJob);
    let instead = instead(vendor, &call, fault.as_ref());
    let session = match &instead {
        Some(failure) => Failing::session(failure),
        None if admitted.is_ok() => vendor.socket(&call),
        None => None,
    };
    if wants_socket(&call.headers)
        && let Some(session) = session
        && let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await
    {
        entry.status = Some(101);
        return upgrade.on_upgrade(move |socket| converse(site, socket, session, entry, fault));
    }
    if let Some(answer) = instead {
        return wire(record(&site, entry, answer.not_executed()));
    }
    let served = admitted.and_then(|_| vendor.serve(&call));
    let answer = served.unwrap_or_else(|refusal| refusal);
    match fault {
        Some(Fault::Reset) => {
            record(&site, entry, answer);
            dropped()
        }
        Some(Fault::Status { code, .. }) if answer.executed => {
            let failure = vendor.error(
                &call,
                class_of(code),
                "scripted failure after the work was done",
            );
            let mut failure = failure.with_status(code);
            failure.executed = true;
            failure.facts = answer.facts;
            wire(record(&site, entry, failure))
        }
        Some(fault) => misshape(record(&site, entry, answer), &fault),
        None => wire(record(&site, entry, answer)),
    }
}

/// A request's body, as far as it came.
enum Received {
    Whole(Bytes),
    TooLarge,
    Broken,
}

/// Bytes of a too large body that are read and thrown away, so that its sender lives to read the answer.
const SPARE: usize = 64 * 1024 * 1024;

async fn read(mut body: Body, most: usize) -> Received {
    let mut kept = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Received::Broken;
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= most {
            kept.extend_from_slice(&data);
        } else if length - most > SPARE {
            break;
        } else {
            kept = BytesMut::new();
        }
    }
    if length > most {
        return Received::TooLarge;
    }
    Received::Whole(kept.freeze())
}

fn call(site: &Site, parts: &Parts, name: &str, path: &str) -> Call {
    let host = parts
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| {
        parts
            .uri
            .authority()
            .map(axum::http::uri::Authority::as_str)
    });
    let rest = path.get(name.len() + 1..).unwrap_or_default();
    Call {
        number: site.calls.fetch_add(1, Relaxed) + 1,
        now: SystemTime::now(),
        method: parts.method.clone(),
        base: format!("http://{}/{name}", host.unwrap_or("localhost")),
        full_path: path.to_owned(),
        path: if rest.is_empty() { "/" } else { rest }.to_owned(),
        raw_query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
        body: Bytes::new(),
        account: String::new(),
        fail_job: false,
    }
}

/// What is answered without executing anything.
fn instead(vendor: &dyn Vendor, call: &Call, fault: Option<&Fault>) -> Option<Answer> {
    match fault? {
        Fault::Error { class } => Some(vendor.error(call, *class, "scripted refusal")),
        Fault::Code(code) => {
            let message = "scripted refusal";
            let unknown = || vendor.error(call, Class::Internal, &format!("no code {code} here"));
            Some(vendor.coded(call, code, message).unwrap_or_else(unknown))
        }
        Fault::Rate { retry_after } => {
            let answer = vendor.error(call, Class::Rate, "scripted refusal: too many calls");
            Some(match retry_after {
                Some(seconds) => answer.header("retry-after", seconds.to_string()),
                None => answer,
            })
        }
        Fault::Status {
            code,
            executed: false,
        } => {
            let answer = vendor.error(call, class_of(*code), "scripted failure");
            Some(answer.with_status(*code))
        }
        _ => None,
    }
}

/// Who called what: everything the ledger knows before the call is served.
fn entry(vendor: &dyn Vendor, call: &Call, operation: Operation, fault: Option<&Fault>) -> Entry {
    let mut path = call.path.clone();
    if !call.raw_query.is_empty() {
        path = format!("{path}?{}", call.raw_query);
    }
    path.truncate(path.floor_char_boundary(2048));
    Entry {
        n: call.number,
        vendor: vendor.name().to_owned(),
        call: operation.call.to_owned(),
        operation: operation.of.map(str::to_owned),
        account: (!call.account.is_empty()).then(|| call.account.clone()),
        method: call.method.to_string(),
        path,
        status: None,
        executed: false,
        fault: fault.map(|fault| fault.name().to_owned()),
        digest: call.digest(),
        bytes: call.body.len(),
        facts: serde_json::Map::new(),
    }
}

/// The class that a vendor would give such a status.
fn class_of(status: u16) -> Class {
    match status {
        401 | 403 => Class::Auth,
        402 => Class::Quota,
        404 => Class::NotFound,
        413 => Class::TooLarge,
        415 => Class::Unsupported,
        429 => Class::Rate,
        502..=504 => Class::Unavailable,
        400..=499 => Class::Invalid,
        _ => Class::Internal,
    }
}

/// Notes what was answered.
fn record(site: &Site, mut entry: Entry, answer: Answer) -> Answer {
    entry.executed = answer.executed;
    let facts = answer.facts.iter();
    entry.facts = facts
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    entry.status = (entry.fault.as_deref() != Some("reset")).then(|| answer.status.as_u16());
    site.ledger.record(entry);
    answer
}

/// A conversation that fails as soon as it begins.
struct Failing(Vec<Reply>);

impl Failing {
    /// Of an answer in frames that is still to be given over a websocket.
    fn session(answer: &Answer) -> Option<Box<dyn Session>> {
        match &answer.content {
            Content::Frames(replies) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                Some(Box::new(Self(replies.clone())))
            }
            _ => None,
        }
    }
}

impl Session for Failing {
    fn receive(&mut self, _frame: &[u8]) -> Vec<Reply> {
        std::mem::take(&mut self.0)
    }

    fn finish(&mut self) -> (bool, Vec<(&'static str, serde_json::Value)>) {
        (false, Vec::new())
    }
}

async fn converse(
    site: Arc<Site>,
    mut socket: WebSocket,
    mut session: Box<dyn Session>,
    mut entry: Entry,
    fault: Option<Fault>,
) {
    let silent = matches!(
        fault,
        Some(Fault::Reset | Fault::Status { executed: true, .. })
    );
    let cut = fault == Some(Fault::Truncated);
    let mut ended = false;
    'talk: while let Some(Ok(frame)) = socket.recv().await {
        let replies = match frame {
            Message::Text(text) => session.receive(text.as_bytes()),
            Message::Binary(bytes) => session.receive(&bytes),
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        for reply in replies {
            let last = matches!(reply, Reply::Close(_));
            if silent {
                if last {
                    break 'talk;
                }
                continue;
            }
            if let Some(Fault::Slow { pause }) = fault {
                tokio::time::sleep(pause).await;
            }
            let last = last || cut;
            let message = match reply {
                Reply::Text(text) => Message::Text(spoilt_frame(text, fault.as_ref()).into()),
                Reply::Close(code) => Message::Close(Some(CloseFrame {
                    code,
                    reason: "".into(),
                })),
            };
            let sent = socket.send(message).await.is_ok();
            if !sent || last {
                ended = sent && !cut;
                break 'talk;
            }
        }
    }
    let (executed, facts) = session.finish();
    entry.executed = executed;
    entry.facts = facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    site.ledger.record(entry);
    if ended {
        // What still comes is read to its end: unread, it would make the goodbye a reset.
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    }
}

/// A text frame with the fault that strikes it.
fn spoilt_frame(text: String, fault: Option<&Fault>) -> String {
    if fault == Some(&Fault::Truncated) {
        return text
            .get(..text.floor_char_boundary(text.len() / 2))
            .unwrap_or_default()
            .to_owned();
    }
    match fault.and_then(spoilt) {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => text,
    }
}

/// What stands in the place of the whole body.
fn spoilt(fault: &Fault) -> Option<Bytes> {
    match fault {
        Fault::Malformed => Some(Bytes::from_static(b"<html>{\"not\": json")),
        Fault::WrongShape => Some(Bytes::from_static(b"{\"unexpected\":true}")),
        Fault::Huge { bytes } => {
            let mut text = vec![b'x'; (*bytes).max(2)];
            for end in [0, text.len() - 1] {
                if let Some(byte) = text.get_mut(end) {
                    *byte = b'"';
                }
            }
            Some(text.into())
        }
        _ => None,
    }
}

/// Puts an answer on the wire as it is.
fn wire(answer: Answer) -> Answered {
    let (mut response, content) = head(answer);
    *response.body_mut() = match content {
        Content::Whole(bytes) => Body::from(bytes),
        Content::Pieces(pieces) => {
            Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)))
        }
        Content::Frames(replies) => Body::from(texts(&replies)),
    };
    response
}

fn head(answer: Answer) -> (Answered, Content) {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    (response, answer.content)
}

/// Puts an answer on the wire with a fault in its body.
fn misshape(mut answer: Answer, fault: &Fault) -> Answered {
    match fault {
        Fault::Truncated => return truncated(answer),
        Fault::Slow { pause } => return slow(answer, *pause),
        _ => {}
    }
    if let Some(bytes) = spoilt(fault) {
        answer.content = Content::Whole(bytes);
    }
    wire(answer)
}

/// The head announces everything, half of it comes, and the connection is reset.
fn truncated(answer: Answer) -> Answered {
    let (mut response, content) = head(answer);
    let whole = joined(content);
    response
        .headers_mut()
        .insert("content-length", whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    // The pause lets the first half leave before the connection goes.
    let pieces = stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((
                    Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                    None,
                ))
            }
        }
    });
    *response.body_mut() = Body::from_stream(pieces);
    response
}

fn slow(answer: Answer, pause: Duration) -> Answered {
    let (mut response, content) = head(answer);
    let whole = joined(content);
    response
        .headers_mut()
        .insert("content-length", whole.len().into());
    let size = whole.len().div_ceil(16).max(1);
    let pieces = stream::unfold(whole, move |rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.slice(..size.min(rest.len()));
        let rest = rest.slice(piece.len()..);
        Some((Ok::<_, Infallible>(piece), rest))
    });
    *response.body_mut() = Body::from_stream(pieces);
    response
}

fn joined(content: Content) -> Bytes {
    match content {
        Content::Whole(bytes) => bytes,
        Content::Pieces(pieces) => pieces.concat().into(),
        Content::Frames(replies) => texts(&replies).into(),
    }
}

/// The text frames as one body, for a caller without a websocket.
fn texts(replies: &[Reply]) -> String {
    let texts = replies.iter().filter_map(|reply| match reply {
        Reply::Text(text) => Some(text.as_str()),
        Reply::Close(_) => None,
    });
    texts.collect()
}

/// No answer: the connection is reset. Served without this crate's own listener it is an empty 502.
fn dropped() -> Answered {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Dropped);
    response
}

/// Accounts of every vendor, in order.
pub(crate) fn accounts(base_url: &str) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let vendors = vendors::all();
    let account = |vendor: &dyn Vendor| {
        let base = format!("{base_url}/{}", vendor.name());
        (vendor.name(), vendor.account(&base))
    };
    vendors
        .iter()
        .map(|vendor| account(vendor.as_ref()))
        .collect()
}
