//! Drives client connections of HTTP/2: each stream is a request of its own and is served as any other, in a task of its
//! own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use pingora_core::{
    protocols::{
        Digest, Stream,
        http::{
            ServerSession as Session,
            v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake},
        },
    },
    server::ShutdownWatch,
};

use super::{
    auth::Remembered, context::Context, front::Connection, gateway::Gateway, socket::Socket,
};

/// What a client that knows we speak HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As much of it as no request of HTTP/1 begins with.
const TELLING: usize = 4;
/// Requests that a connection may have running.
const STREAMS: u32 = 100;
/// Bytes of one body that may be on their way to us, and of all bodies of a connection.
const WINDOWS: (u32, u32) = (256 * 1024, 1024 * 1024);
/// Bytes of one answer that may wait to be written.
const UNWRITTEN: usize = 64 * 1024;
/// Requests that are malformed, after which a connection is closed.
const MALFORMED: u32 = 32;
/// Requests that a client may give up before they are answered, unless most of its requests are answered.
const GIVEN_UP: u32 = 100;

/// Whether a connection that begins so speaks HTTP/2.
pub(super) fn begins(head: &[u8]) -> bool {
    head.len() >= TELLING && (PREFACE.starts_with(head) || head.starts_with(PREFACE))
}

/// The stream with what was read of it put back, where that can be done: before TLS.
pub(super) fn rewound(stream: Stream, head: &[u8]) -> Option<Stream> {
    let mut socket = stream.into_any().downcast::<Socket>().ok()?;
    socket.put_back(head);
    Some(socket)
}

/// Requests of one connection, counted.
#[derive(Default)]
struct Count {
    all: AtomicU32,
    given_up: AtomicU32,
}

impl Count {
    /// Whether the client does little but to begin requests and give them up (CVE-2023-44487).
    fn is_abuse(&self) -> bool {
        let given_up = self.given_up.load(Relaxed);
        given_up > GIVEN_UP && given_up > self.all.load(Relaxed) / 2
    }
}

/// One request that is served; dropping it ends it for the connection's guard.
struct Running(Arc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stream_ended();
    }
}

/// Serves a connection until it closes. When the gateway stops, or nothing was asked for a long time, the client is told,
/// and what is running ends.
pub(super) async fn drive(
    gateway: &Arc<Gateway>,
    stream: Stream,
    connection: &Arc<Connection>,
    shutdown: &ShutdownWatch,
) {
    connection.multiplexes();
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: Vec::new(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let (options, keep_alive) = {
        let plan = gateway.plan.load();
        (options(plan.head_limits.bytes), plan.keep_alive)
    };
    let mut connected = match handshake(stream, Some(options)).await {
        Ok(connected) => connected,
        Err(error) => return log::debug!("{error}"),
    };
    let (mut shutdown, mut leaving, mut malformed) = (shutdown.clone(), false, 0);
    let count = Arc::new(Count::default());
    // The key that was last good on this connection, while no request holds it.
    let remembered = Arc::new(Mutex::new(None));
    loop {
        let accepted = tokio::select! {
            biased;
            () = over(connection, keep_alive, &mut shutdown), if !leaving => {
                connected.graceful_shutdown();
                leaving = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connected, Arc::clone(&digest)) => accepted,
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => {
                count.all.fetch_add(1, Relaxed);
                if count.is_abuse() {
                    log::debug!("a client gives up most of what it asks for");
                    return;
                }
                connection.stream_began();
                let running = Running(Arc::clone(connection));
                let (gateway, count) = (Arc::clone(gateway), Arc::clone(&count));
                let remembered = Arc::clone(&remembered);
                tokio::spawn(async move {
                    if one(&gateway, session, &remembered).await {
                        count.given_up.fetch_add(1, Relaxed);
                    }
                    drop(running);
                });
            }
            Ok(Some(H2Accept::Rejected)) => {
                malformed += 1;
                if malformed >= MALFORMED {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return log::debug!("{error}"),
        }
    }
}

fn options(head: usize) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buffer_size(UNWRITTEN);
    options
}

/// Resolves when no more requests should come: the gateway stops, or the connection was not used for this long.
async fn over(connection: &Connection, keep_alive: Duration, shutdown: &mut ShutdownWatch) {
    let unused = async {
        while let Some(left) = keep_alive
            .checked_sub(connection.unused_for())
            .filter(|left| !left.is_zero())
        {
            tokio::time::sleep(left).await;
        }
    };
    tokio::select! {
        () = unused => {}
        _ = shutdown.wait_for(|stopping| *stopping) => {}
    }
}

/// One request; whether its client gave it up.
async fn one(
    gateway: &Gateway,
    session: HttpSession,
    remembered: &Mutex<Option<Remembered>>,
) -> bool {
    let mut session = Session::new_http2(session);
    let mut cx = Context::new();
    cx.remembered = remembered.lock().take();
    gateway.begin(&mut session, &mut cx);
    let answered = match gateway.answer(&mut session, &mut cx).await {
        Ok(answered) => answered,
        Err(error) => {
            gateway.fail(&mut session, &mut cx, &error).await;
            false
        }
    };
    gateway.settle(&session, &mut cx);
    if let Some(known) = cx.remembered.take() {
        *remembered.lock() = Some(known);
    }
    if answered && let Err(error) = session.finish().await {
        log::debug!("the client left before its answer ended: {error}");
    }
    cx.gone
}

#[cfg(test)]
mod tests {
    use super::begins;

    #[test]
    fn only_the_preface_begins_http2() {
        let check = |head: &[u8], expected: bool| assert_eq!(begins(head), expected, "{head:?}");
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true);
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", true);
        check(b"PRI * HT", true);
        check(b"PRI ", true);
        check(b"", false);
        check(b"P", false);
        check(b"PRI", false);
        check(b"PRI / HTTP/1.1\r\n", false);
        check(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", false);
        check(b"GET / HTTP/1.1\r\n", false);
    }
}
