//! Writing answers to the client.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, response::Parts,
};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pingora_core::{Error, ErrorType, Result, protocols::http::ServerSession as Session};
use pingora_http::ResponseHeader;

use super::{
    composition::Told,
    context::Context,
    gateway::{Unread, is_grpc},
    headers,
    limit::whole_seconds,
    problem::{MEDIA_TYPE, Problem},
    render::Written,
    upload::Upload,
};
use crate::{
    journal::Kept,
    route::snapshot::{Edits, Respond},
    serve::{
        answer,
        cache::{policy::has_already, store::Stored},
        client::Coming,
        outgoing,
    },
};

/// What a message of gRPC cannot have as it is.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Answers with a problem document, or a call of gRPC with a status.
pub(crate) async fn problem(
    session: &mut Session,
    cx: &mut Context,
    problem: Problem,
) -> Result<()> {
    if is_grpc(session) {
        return grpc_status(session, cx, problem).await;
    }
    let attempts: Vec<_> = cx
        .tried
        .iter()
        .map(crate::serve::tried::Tried::attempt)
        .collect();
    let body = problem.document(&cx.trace.id(), &attempts);
    let mut head = fresh(problem.status, 10);
    let fields = &mut head.headers;
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = problem.retry_after {
        fields.insert(header::RETRY_AFTER, whole_seconds(wait).max(1).into());
    }
    if let Some(challenge) = &problem.challenge {
        fields.insert(header::WWW_AUTHENTICATE, challenge.clone());
    } else if problem.status == 401 {
        fields.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if !problem.allow.is_empty() {
        set(fields, header::ALLOW, &problem.allow.join(", "));
    }
    cx.problem = Some(problem);
    whole(session, cx, head, body).await
}

/// Answers a call of gRPC with nothing but its status, which then stands in the head ("trailers-only").
async fn grpc_status(session: &mut Session, cx: &mut Context, problem: Problem) -> Result<()> {
    let mut head = fresh(StatusCode::OK, 10);
    let fields = &mut head.headers;
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    let code = problem.kind.grpc_code().to_string();
    set(fields, HeaderName::from_static("grpc-status"), &code);
    let message = utf8_percent_encode(&problem.detail, ESCAPED).to_string();
    set(fields, HeaderName::from_static("grpc-message"), &message);
    if let Some(wait) = problem.retry_after {
        let name = HeaderName::from_static("grpc-retry-pushback-ms");
        set(fields, name, &wait.as_millis().to_string());
    }
    cx.refused = Some(problem.status);
    cx.problem = Some(problem);
    cx.tell(&mut head.headers);
    head_and_body(session, head, Bytes::new()).await
}

/// Answers with a route's fixed answer.
pub(crate) async fn fixed(session: &mut Session, cx: &Context, respond: &Respond) -> Result<()> {
    let mut head = fresh(respond.status, respond.headers.len() + 6);
    for (name, value) in &respond.headers {
        head.headers.insert(name.clone(), value.clone());
    }
    whole(session, cx, head, respond.body.clone()).await
}

/// Answers a browser's question in advance.
pub(crate) async fn preflight(
    session: &mut Session,
    cx: &Context,
    headers: http::HeaderMap,
) -> Result<()> {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = StatusCode::NO_CONTENT;
    head.headers = headers;
    whole(session, cx, head, Bytes::new()).await
}

/// Answers with what an operation gave.
pub(crate) async fn capability(
    session: &mut Session,
    cx: &Context,
    written: Written,
    cache: Option<&'static str>,
) -> Result<()> {
    let mut head = fresh(StatusCode::OK, 10);
    let fields = &mut head.headers;
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(written.media_type),
    );
    if let Some(cache) = cache {
        let name = HeaderName::from_static("isobar-cache");
        fields.insert(name, HeaderValue::from_static(cache));
    }
    whole(session, cx, head, written.body).await
}

/// A head with room for so many fields. Pingora's own would keep the case of names, which costs two copies of each.
fn fresh(status: impl TryInto<StatusCode>, room: usize) -> Parts {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status
        .try_into()
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    head.headers = HeaderMap::with_capacity(room);
    head
}

/// Sets a field whose text may be unfit for one, and then is left out.
fn set(fields: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        fields.insert(name, value);
    }
}

async fn whole(session: &mut Session, cx: &Context, mut head: Parts, body: Bytes) -> Result<()> {
    cx.tell(&mut head.headers);
    let body = frame(session, &mut head, Some(body.len() as u64)).then_some(body);
    head_and_body(session, head, body.unwrap_or_default()).await
}

/// Writes an answer whose body is at hand.
async fn head_and_body(session: &mut Session, head: Parts, body: Bytes) -> Result<()> {
    let head = ResponseHeader::from(head);
    if body.is_empty()
        && let Session::H2(stream) = session
    {
        // The head says that nothing follows; some clients tell an empty body from none.
        return stream.write_response_header(Box::new(head), true);
    }
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(body, true).await
}

/// Passes a vendor's answer on.
pub(crate) async fn answer(
    session: &mut Session,
    cx: &mut Context,
    answer: answer::Answer,
    edits: &Edits,
    idle: Duration,
    mut upload: Upload,
) -> Result<()> {
    let answer::Answer {
        account,
        mut head,
        body,
        permit,
    } = answer;
    head.version = Version::HTTP_11;
    headers::to_client(&mut head.headers, &account);
    cx.served_by = Some(account);
    if let Err(error) = outgoing::apply(edits, &mut head.headers, cx.document.as_ref()) {
        return Err(Error::explain(ErrorType::InternalError, error.to_string()));
    }
    cx.tell(&mut head.headers);
    let first = match &body {
        answer::Body::Begun(first, _) => first.clone(),
        answer::Body::Whole(_) | answer::Body::Stream(_) => Bytes::new(),
    };
    match body {
        answer::Body::Whole(bytes) => {
            let bytes = frame(session, &mut head, Some(bytes.len() as u64)).then_some(bytes);
            head_and_body(session, head, bytes.unwrap_or_default()).await?;
        }
        answer::Body::Stream(body) | answer::Body::Begun(_, body) => {
            let mut body = body;
            let rest = body.size_hint().exact();
            let length = rest.map(|rest| rest + first.len() as u64);
            let has_body = frame(session, &mut head, length);
            if !has_body || (first.is_empty() && body.is_end_stream()) {
                return head_and_body(session, head, Bytes::new()).await;
            }
            session.write_response_header(Box::new(head.into())).await?;
            if !first.is_empty() {
                session.write_response_body(first, false).await?;
            }
            let mut trailers = None;
            while let Some(frame) = next_frame(session, cx, &mut body, idle, &mut upload).await? {
                match frame.into_data() {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => session.write_response_body(piece, false).await?,
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            match trailers {
                // They have no place in an HTTP/1 answer that did not announce them.
                Some(mut trailers) if session.is_http2() => {
                    headers::trailers_to_client(&mut trailers);
                    session.write_response_trailers(trailers).await?;
                }
                _ => session.write_response_body(Bytes::new(), true).await?,
            }
        }
    }
    drop(permit);
    Ok(())
}

/// Answers with what is kept, or says that the client has it already.
pub(crate) async fn stored(
    session: &mut Session,
    cx: &Context,
    stored: &Stored,
    edits: &Edits,
    now: SystemTime,
) -> Result<()> {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = stored.status;
    head.headers.clone_from(&stored.headers);
    let age = stored.terms.age(now).as_secs();
    head.headers.insert(header::AGE, HeaderValue::from(age));
    let request = &session.req_header().headers;
    let is_known = stored.status == StatusCode::OK && has_already(request, &stored.headers);
    if is_known {
        head.status = StatusCode::NOT_MODIFIED;
    }
    if let Err(error) = outgoing::apply(edits, &mut head.headers, cx.document.as_ref()) {
        return Err(Error::explain(ErrorType::InternalError, error.to_string()));
    }
    cx.tell(&mut head.headers);
    let body = frame(session, &mut head, Some(stored.body.len() as u64));
    let body = body.then(|| stored.body.clone());
    head_and_body(session, head, body.unwrap_or_default()).await
}

/// The next part of the vendor's body, while the client sends the rest of its body or is watched.
async fn next_frame(
    session: &mut Session,
    cx: &mut Context,
    body: &mut Coming,
    idle: Duration,
    upload: &mut Upload,
) -> Result<Option<Frame<Bytes>>> {
    let mut cut = |why: &'static str| {
        cx.cut = true;
        Error::explain(ErrorType::ConnectionClosed, why).into_up()
    };
    loop {
        let framed = tokio::select! {
            biased;
            framed = tokio::time::timeout(idle, body.frame()) => framed,
            unread = upload.go_on(session) => return match unread {
                Unread::Gone(error) => {
                    cx.gone = true;
                    Err(error)
                }
                Unread::Problem(problem) => Err(cut(problem.kind.name())),
            },
        };
        return match framed {
            Err(_) if upload.is_moving(idle) => continue,
            Err(_) => Err(cut("the vendor stopped sending")),
            Ok(Some(Err(_))) => Err(cut("the vendor's answer broke off")),
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => Ok(Some(frame)),
        };
    }
}

/// Sets one unambiguous framing; `false` when the answer has no body.
fn frame(session: &mut Session, head: &mut Parts, length: Option<u64>) -> bool {
    let request = session.req_header();
    let (is_head, is_old) = (
        request.method == Method::HEAD,
        request.version == Version::HTTP_10,
    );
    let status = head.status;
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        head.headers.remove(header::CONTENT_LENGTH);
        return false;
    }
    if is_head || status == StatusCode::NOT_MODIFIED {
        // The vendor's length says what a GET would have had.
        return false;
    }
    if let Some(length) = length {
        head.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        return true;
    }
    head.headers.remove(header::CONTENT_LENGTH);
    if is_old {
        session.set_keepalive(None);
    } else if !session.is_http2() {
        head.headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
    true
}

/// Answers with what a composition gave.
pub(crate) async fn composed(
    session: &mut Session,
    cx: &mut Context,
    answer: isobar_compositions::run::Answer,
    told: Told,
) -> Result<()> {
    use isobar_compositions::run::AnswerBody;
    let (media_type, body) = match answer.body {
        AnswerBody::Json(json) => (HeaderValue::from_static("application/json"), json),
        AnswerBody::Blob(blob) => {
            let bytes = tokio::task::spawn_blocking(move || {
                blob.to_bytes()
                    .map(|bytes| (blob.media_type().to_owned(), bytes))
            });
            let (media_type, bytes) = bytes
                .await
                .map_err(|_| broken("a blob cannot be read"))?
                .map_err(|_| broken("a blob cannot be read"))?;
            let plain = HeaderValue::from_static("application/octet-stream");
            (HeaderValue::try_from(media_type).unwrap_or(plain), bytes)
        }
    };
    let mut head = fresh(answer.status, 12);
    head.headers.insert(header::CONTENT_TYPE, media_type);
    for (name, value) in answer.headers {
        head.headers.insert(name, value);
    }
    whole_of_run(session, cx, head, body, told).await
}

fn broken(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, why)
}

/// Writes an answer with the headers that tell of its run.
async fn whole_of_run(
    session: &mut Session,
    cx: &Context,
    mut head: Parts,
    body: Bytes,
    told: Told,
) -> Result<()> {
    cx.tell(&mut head.headers);
    let fields = &mut head.headers;
    set(fields, headers::RUN, &told.run);
    if !told.vendors.is_empty() {
        set(fields, headers::VENDOR, &told.vendors);
    }
    if !told.degraded.is_empty() {
        set(fields, headers::DEGRADED, &told.degraded);
    }
    let mut timing = told.timing;
    let total = cx.started.elapsed().as_micros() / 10;
    timing.push("total;dur=");
    timing.fraction(u64::try_from(total).unwrap_or(u64::MAX), 2);
    if let Some(timing) = timing.value() {
        fields.insert(headers::SERVER_TIMING, timing);
    }
    let body = frame(session, &mut head, Some(body.len() as u64)).then_some(body);
    head_and_body(session, head, body.unwrap_or_default()).await
}

/// Answers once more with what was kept for a key.
pub(crate) async fn kept(session: &mut Session, cx: &Context, kept: Kept) -> Result<()> {
    let mut head = fresh(kept.status, kept.headers.len() + 8);
    for (name, value) in &kept.headers {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        ) {
            head.headers.insert(name, value);
        }
    }
    let name = HeaderName::from_static("isobar-replayed");
    head.headers.insert(name, HeaderValue::from_static("true"));
    whole(session, cx, head, kept.body.into()).await
}

/// Begins an answer of server-sent events.
pub(crate) async fn event_head(session: &mut Session, cx: &Context) -> Result<()> {
    let mut head = fresh(StatusCode::OK, 10);
    let fields = &mut head.headers;
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    cx.tell(fields);
    frame(session, &mut head, None);
    session.write_response_header(Box::new(head.into())).await
}

/// Sends one event.
pub(crate) async fn event(
    session: &mut Session,
    name: &str,
    value: &serde_json::Value,
) -> Result<()> {
    let text = format!("event: {name}\ndata: {value}\n\n");
    session.write_response_body(text.into(), false).await
}

/// Ends an answer of server-sent events.
pub(crate) async fn event_end(session: &mut Session) -> Result<()> {
    session.write_response_body(Bytes::new(), true).await
}
