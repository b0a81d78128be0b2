//! Guards client connections before and between requests, where Pingora sets no limits: how many there are, how many
//! from one address, how long a head may take and how long a connection may idle.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use parking_lot::Mutex;
use pingora_core::{
    apps::HttpServerApp as _,
    protocols::{ALPN, Stream, http::ServerSession},
    server::ShutdownWatch,
};
use pingora_proxy::HttpProxy;
use tokio::net::TcpStream;

use super::{
    door::{Door, Refused},
    gateway::Gateway,
    http1::{self, ForPipeline},
    http2,
    pipeline::Hooks,
    socket::Socket,
};
use crate::{admin::metrics::Metrics, route::snapshot::Snapshot};

/// Time between two looks at a connection that is to close.
const GLANCE: Duration = Duration::from_millis(100);
/// Seconds that Pingora waits for the rest of a head; the guard is stricter.
const FIRST_HEAD: u64 = 60;
/// Time for a client of HTTP/2 to hear that no more requests are taken.
const GOODBYE: Duration = Duration::from_millis(500);

tokio::task_local! {
    /// The connection that this task serves in the pipeline.
    static CONNECTION: Arc<Connection>;
}

/// Accepts one listener's connections.
pub(crate) struct Front {
    gateway: Arc<Gateway>,
    pipeline: Arc<HttpProxy<Hooks>>,
    open: Arc<Open>,
    door: Arc<Door>,
}

/// Connections by address, over all listeners.
#[derive(Default)]
pub(crate) struct Open {
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// What the guard knows of one connection.
pub(super) struct Connection {
    start: Instant,
    /// Requests that are being served.
    active: AtomicU32,
    /// A request has been served before.
    reused: AtomicBool,
    /// A head that has begun to come is read bit by bit.
    drips: AtomicBool,
    /// Many requests are served at once, and the client is told when no more are taken.
    multiplexes: AtomicBool,
    /// Milliseconds after `start` at which the connection was accepted or became idle.
    idle_since: AtomicU64,
}

/// Why the guard closes a connection.
#[derive(Clone, Copy)]
enum Closing {
    /// A head took too long, or its connection idled with half a head.
    Late(&'static str),
    /// Nothing came for as long as connections are kept, or the gateway stops.
    Unused,
}

impl Front {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        pipeline: Arc<HttpProxy<Hooks>>,
        open: Arc<Open>,
        door: Arc<Door>,
    ) -> Self {
        Self {
            gateway,
            pipeline,
            open,
            door,
        }
    }

    fn plan(&self) -> &ArcSwap<Snapshot> {
        &self.gateway.plan
    }

    fn metrics(&self) -> &Metrics {
        &self.gateway.registry.metrics
    }

    /// Counts a connection that is closed for this reason.
    fn refused(&self, reason: &str) {
        let counters = &self.metrics().refused_connections;
        counters.with_label_values(&[reason]).inc();
    }

    /// A place for one more connection, or the reason there is none.
    fn admit(&self, address: IpAddr) -> Result<Admitted, &'static str> {
        let plan = self.plan().load();
        let limits = &plan.config.limits;
        let metrics = self.metrics();
        if metrics.connections.get() >= i64::from(limits.connections.value) {
            return Err("total");
        }
        metrics.connections.inc();
        let mut admitted = Admitted {
            gateway: Arc::clone(&self.gateway),
            open: Arc::clone(&self.open),
            peer: address,
            counted: None,
        };
        if !self.door.is_announced() {
            self.count(address, &mut admitted)?;
        }
        Ok(admitted)
    }

    /// Counts a connection for the client's address.
    fn count(&self, address: IpAddr, admitted: &mut Admitted) -> Result<(), &'static str> {
        let most = self.plan().load().config.limits.connections_per_ip.value;
        let mut open = self.open.by_address.lock();
        let count = open.entry(address).or_insert(0);
        if *count >= most {
            return Err("per_ip");
        }
        *count += 1;
        admitted.counted = Some(address);
        Ok(())
    }

    /// Serves a client's connection until it is over.
    pub(crate) async fn connected(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
        shutdown: ShutdownWatch,
    ) {
        let mut admitted = match self.admit(peer.ip()) {
            Ok(admitted) => admitted,
            Err(reason) => return self.refused(reason),
        };
        let connection = Arc::new(Connection {
            start: Instant::now(),
            active: AtomicU32::new(0),
            reused: AtomicBool::new(false),
            drips: AtomicBool::new(false),
            multiplexes: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
        });
        let socket = Socket::new(tcp, peer);
        tokio::select! {
            biased;
            () = self.serve(socket, &connection, &shutdown, &mut admitted) => {}
            closing = self.expired(&connection, shutdown.clone()) => {
                if let Closing::Late(reason) = closing {
                    self.refused(reason);
                }
            }
        }
    }

    /// No more connections come.
    pub(crate) async fn closed(&self) {
        self.pipeline.http_cleanup().await;
    }

    /// Serves a connection's requests, one after the other.
    async fn serve(
        &self,
        socket: Socket,
        connection: &Arc<Connection>,
        shutdown: &ShutdownWatch,
        admitted: &mut Admitted,
    ) {
        let stream: Stream = if self.door.is_announced() || self.door.is_secure() {
            match Box::pin(self.enter(socket, admitted)).await {
                Ok(entered) => entered,
                Err(reason) => return self.refused(reason),
            }
        } else {
            Box::new(socket)
        };
        if stream.selected_alpn_proto() == Some(ALPN::H2) {
            let driven = http2::drive(&self.gateway, stream, connection, shutdown);
            return Box::pin(driven).await;
        }
        let driven = http1::drive(&self.gateway, stream, connection, shutdown);
        let Some(ForPipeline { stream, head }) = driven.await else {
            return;
        };
        if http2::begins(&head) && !connection.reused.load(Relaxed) {
            let Some(stream) = http2::rewound(stream, &head) else {
                return;
            };
            let driven = http2::drive(&self.gateway, stream, connection, shutdown);
            return Box::pin(driven).await;
        }
        connection.drips.store(true, Relaxed);
        let piped = CONNECTION.scope(Arc::clone(connection), self.pipe(stream, head, shutdown));
        Box::pin(piped).await;
    }

    /// What comes before the first request: who the client is, and the handshake.
    async fn enter(
        &self,
        mut socket: Socket,
        admitted: &mut Admitted,
    ) -> Result<Stream, &'static str> {
        let named = |refused: Refused| {
            log::debug!("{refused}");
            refused.name()
        };
        if self.door.is_announced() {
            let announced = self.door.announced(&mut socket, admitted.peer).await;
            self.count(announced.map_err(named)?, admitted)?;
        }
        if self.door.is_secure() {
            return self.door.secure(socket).await.map_err(named);
        }
        Ok(Box::new(socket))
    }

    /// Serves the rest of a connection in Pingora's pipeline.
    async fn pipe(&self, stream: Stream, head: BytesMut, shutdown: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive((!*shutdown.borrow()).then_some(FIRST_HEAD));
        session.set_pipelined_prefix(head);
        loop {
            let served = self.pipeline.process_new_http(session, shutdown).await;
            let Some((stream, settings)) = served.map(|reused| reused.consume()) else {
                return;
            };
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
        }
    }

    /// Resolves when the connection has been without a request for too long, or has none when the gateway stops.
    async fn expired(&self, connection: &Connection, mut shutdown: ShutdownWatch) -> Closing {
        let mut stopping = shutdown.borrow().then(Instant::now);
        loop {
            let is_active = connection.active.load(Relaxed) > 0;
            if let Some(since) = stopping
                && !is_active
            {
                if connection.multiplexes.load(Relaxed) {
                    // It was told, and may not have heard yet. When it has, its connection ends by itself.
                    tokio::time::sleep(self.gateway.registry.lingers().max(GOODBYE)).await;
                    if connection.active.load(Relaxed) == 0 {
                        return Closing::Unused;
                    }
                    continue;
                }
                if since.elapsed() >= self.gateway.registry.lingers() {
                    return Closing::Unused;
                }
            }
            let (keep_alive, head) = {
                // Let go of at once: an idle connection must not keep an old plan.
                let plan = self.plan().load();
                let limits = &plan.config.limits;
                (limits.keep_alive.value, limits.header_timeout.value)
            };
            let (allowed, closing) = match (
                connection.reused.load(Relaxed),
                connection.drips.load(Relaxed),
            ) {
                (false, _) => (head, Closing::Late("slow_head")),
                (true, false) => (keep_alive, Closing::Unused),
                // Pingora closes a silent connection at `keep_alive`; this also closes one that drips.
                (true, true) => (keep_alive + head, Closing::Late("idle")),
            };
            // While a request is served, nothing can be over sooner than if it ended now.
            let left = if is_active {
                allowed
            } else {
                let since = Duration::from_millis(connection.idle_since.load(Relaxed));
                (since + allowed).saturating_sub(connection.start.elapsed())
            };
            if left.is_zero() {
                return closing;
            }
            // While a successor has taken over, it is looked at often whether the client has had its time.
            let left = if stopping.is_some() {
                left.min(GLANCE)
            } else {
                left
            };
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                changed = shutdown.changed(), if stopping.is_none() => {
                    stopping = (changed.is_err() || *shutdown.borrow()).then(Instant::now);
                }
            }
        }
    }
}

/// A connection's place; dropping it gives it back.
struct Admitted {
    gateway: Arc<Gateway>,
    open: Arc<Open>,
    /// Who connected.
    peer: IpAddr,
    /// The client's address that it counts for.
    counted: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gateway.registry.metrics.connections.dec();
        let Some(address) = self.counted else { return };
        let mut open = self.open.by_address.lock();
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

impl Connection {
    /// A request's head has been read.
    pub(super) fn request_began(&self) {
        self.active.store(1, Relaxed);
    }

    /// The request is over and the connection idle.
    pub(super) fn request_ended(&self) {
        self.used();
        self.active.store(0, Relaxed);
    }

    /// Like [`Connection::request_began`], beside others.
    pub(super) fn stream_began(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// Like [`Connection::request_ended`], beside others.
    pub(super) fn stream_ended(&self) {
        self.used();
        self.active.fetch_sub(1, Relaxed);
    }

    fn used(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.idle_since.store(now, Relaxed);
        self.reused.store(true, Relaxed);
    }

    /// Says that requests are served beside each other from here on.
    pub(super) fn multiplexes(&self) {
        self.multiplexes.store(true, Relaxed);
        self.drips.store(true, Relaxed);
    }

    /// How long no request has been served.
    pub(super) fn unused_for(&self) -> Duration {
        if self.active.load(Relaxed) > 0 {
            return Duration::ZERO;
        }
        let since = Duration::from_millis(self.idle_since.load(Relaxed));
        self.start.elapsed().saturating_sub(since)
    }
}

/// [`Connection::request_began`], for the pipeline's hooks.
pub(super) fn request_began() {
    let _ = CONNECTION.try_with(|connection| connection.request_began());
}

/// [`Connection::request_ended`], for the pipeline's hooks.
pub(super) fn request_ended() {
    let _ = CONNECTION.try_with(|connection| connection.request_ended());
}
