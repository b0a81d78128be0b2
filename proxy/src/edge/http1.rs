//! Drives client connections past Pingora's pipeline: its HTTP/1 session reads heads and writes answers, and what lies
//! between is ours.
//!
//! The pipeline's futures are so large that moving them costs more than serving a small request. So it only gets what
//! nothing else can serve: upgrades, and heads that do not come in one piece or are no HTTP/1, which it reads, and
//! refuses, as ever.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Poll, ready},
};

use bytes::BytesMut;
use http::header;
use pingora_core::{
    Error, ErrorType, Result,
    protocols::{Stream, http::ServerSession as Session},
    server::ShutdownWatch,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::{
    auth::Remembered,
    context::Context,
    front::Connection,
    gateway::Gateway,
    problem::{Kind, MEDIA_TYPE, Problem},
    trace::Trace,
};
use crate::telemetry::Sampler;

/// Room for a head; a longer one takes the pipeline.
const HEAD: usize = 8 * 1024;

/// A connection between two requests.
struct Ready {
    stream: Stream,
    /// What has been read of the next one.
    head: BytesMut,
    remembered: Option<Remembered>,
}

/// A connection that Pingora's pipeline must serve from here on, with what has been read of its next request.
pub(super) struct ForPipeline {
    pub(super) stream: Stream,
    pub(super) head: BytesMut,
}

/// Serves a connection until it closes, or until a request comes that is the pipeline's.
pub(super) async fn drive(
    gateway: &Gateway,
    stream: Stream,
    connection: &Connection,
    shutdown: &ShutdownWatch,
) -> Option<ForPipeline> {
    let mut next = Some(Ready {
        stream,
        head: BytesMut::new(),
        remembered: None,
    });
    while let Some(mut ready) = next {
        if !is_plain(&ready.head) {
            ready.read().await?;
            if !is_plain(&ready.head) {
                let Ready { stream, head, .. } = ready;
                return Some(ForPipeline { stream, head });
            }
        }
        next = one(gateway, ready, connection, shutdown).await;
        // A client that was told that its connection stays may have sent another request already.
        if *shutdown.borrow() && gateway.registry.lingers().is_zero() {
            break;
        }
    }
    None
}

impl Ready {
    /// Reads what the client sends in one piece; `None` when it closes the connection. The connection's guard limits the
    /// time.
    async fn read(&mut self) -> Option<()> {
        let read = poll_fn(|cx| {
            // On the stack, so that a connection on which nothing comes holds no room for it.
            let mut space = [MaybeUninit::uninit(); HEAD];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            self.head.extend_from_slice(read.filled());
            Poll::Ready(io::Result::Ok(read.filled().len()))
        });
        (read.await.ok()? > 0).then_some(())
    }
}

/// One request, from its head to the line in the log; the connection, if it can serve another.
async fn one(
    gateway: &Gateway,
    Ready {
        stream,
        head,
        remembered,
    }: Ready,
    connection: &Connection,
    shutdown: &ShutdownWatch,
) -> Option<Ready> {
    let mut session = Session::new_http1(stream);
    session.set_pipelined_prefix(head);
    match session.read_request().await {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            refuse_unreadable(session, &error).await;
            return None;
        }
    }
    if *shutdown.borrow() {
        session.set_keepalive(None);
    }
    connection.request_began();
    let mut cx = Context::new();
    cx.remembered = remembered;
    gateway.begin(&mut session, &mut cx);
    let failed = match gateway.answer(&mut session, &mut cx).await {
        Ok(answered) => !answered,
        Err(error) => {
            gateway.fail(&mut session, &mut cx, &error).await;
            true
        }
    };
    connection.request_ended();
    gateway.settle(&session, &mut cx);
    let remembered = cx.remembered.take();
    if failed {
        return None;
    }
    let (stream, head) = session.finish().await.ok()??.into_parts();
    Some(Ready {
        stream,
        head: head.unwrap_or_default(),
        remembered,
    })
}

/// Answers a head that Pingora's parser does not take.
async fn refuse_unreadable(mut session: Session, error: &Error) {
    if matches!(error.etype, ErrorType::InvalidHTTPHeader)
        && let Err(error) = tell_unreadable(&mut session).await
    {
        log::debug!("the client left before it could be told: {error}");
    }
    session.shutdown().await;
}

async fn tell_unreadable(session: &mut Session) -> Result<()> {
    let problem = Problem::new(
        400,
        Kind::BadRequest,
        "the request's head cannot be read as HTTP/1.1",
    );
    let body = problem.document(&Trace::continue_from(None, Sampler::ALL).id(), &[]);
    let mut head = ResponseHeader::build_no_case(400, Some(4))?;
    head.insert_header(header::CONTENT_TYPE, MEDIA_TYPE)?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    session.write_error_response(head, body).await
}

/// Whether this begins with a whole HTTP/1 head that asks neither for an upgrade nor for a tunnel.
fn is_plain(head: &[u8]) -> bool {
    const UPGRADE: &[u8] = b"upgrade:";
    let is_other = |start: &[u8]| start.starts_with(b"CONNECT ") || start.starts_with(b"PRI ");
    if !head.first().is_some_and(u8::is_ascii_uppercase) || is_other(head) {
        return false;
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', head) {
        match head.get(start..end) {
            Some(b"" | b"\r") => return true,
            Some(line) => {
                let name = line.get(..UPGRADE.len());
                if name.is_some_and(|name| name.eq_ignore_ascii_case(UPGRADE)) {
                    return false;
                }
            }
            None => return false,
        }
        start = end + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_whole_heads_without_an_upgrade_are_plain() {
        let check = |head: &str, expected: bool| {
            assert_eq!(is_plain(head.as_bytes()), expected, "{head:?}");
        };
        check("GET / HTTP/1.1\r\nhost: h\r\n\r\n", true);
        check("POST / HTTP/1.1\r\nhost: h\r\n\r\nbody", true);
        check("GET / HTTP/1.1\nhost: h\n\n", true);
        check("", false);
        check("G", false);
        check("GET / HTTP/1.1\r\nhost: h\r\n", false);
        check("GET / HTTP/1.1\r\nhost: h\r\n\r", false);
        check("\r\n\r\nGET / HTTP/1.1\r\n\r\n", false);
        check("\x16\x03\x01\r\n\r\n", false);
        check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false);
        check("CONNECT h:443 HTTP/1.1\r\nhost: h\r\n\r\n", false);
        check("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", false);
        check("GET / HTTP/1.1\r\nhost: h\r\nupGRADE:x\r\n\r\n", false);
        check(
            "GET / HTTP/1.1\r\nupgrade-insecure-requests: 1\r\n\r\n",
            true,
        );
        check(
            "GET / HTTP/1.1\r\nx: upgrade\r\n\r\nupgrade: x\r\n\r\n",
            true,
        );
    }
}
