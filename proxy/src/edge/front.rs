//! Guards client connections before and between requests, where Pingora sets no limits: how many there are, how many
//! from one address, how long a head may take and how long a connection may idle.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::BytesMut;
use parking_lot::Mutex;
use pingora_core::{
    apps::{HttpServerApp, ServerApp},
    protocols::{Stream, http::ServerSession},
    server::ShutdownWatch,
};
use pingora_proxy::HttpProxy;

use super::{
    gateway::Gateway,
    http1::{self, ForPipeline},
    pipeline::Hooks,
};
use crate::{admin::metrics::Metrics, route::snapshot::Snapshot};

/// Time between two looks at a connection that is to close.
const GLANCE: Duration = Duration::from_millis(100);
/// Seconds that Pingora waits for the rest of a head; the guard is stricter.
const FIRST_HEAD: u64 = 60;

tokio::task_local! {
    /// The connection that this task serves in the pipeline.
    static CONNECTION: Arc<Connection>;
}

/// Accepts connections.
pub(crate) struct Front {
    gateway: Arc<Gateway>,
    pipeline: Arc<HttpProxy<Hooks>>,
    open: Arc<Open>,
}

/// Connections by address.
#[derive(Default)]
struct Open {
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// What the guard knows of one connection.
pub(super) struct Connection {
    start: Instant,
    /// A request is being served.
    active: AtomicBool,
    /// A request has been served before.
    reused: AtomicBool,
    /// A head that has begun to come is read bit by bit.
    drips: AtomicBool,
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
    pub(crate) fn new(gateway: Arc<Gateway>, pipeline: HttpProxy<Hooks>) -> Self {
        Self {
            gateway,
            pipeline: Arc::new(pipeline),
            open: Arc::default(),
        }
    }

    fn plan(&self) -> &ArcSwap<Snapshot> {
        &self.gateway.plan
    }

    fn metrics(&self) -> &Metrics {
        &self.gateway.registry.metrics
    }

    /// A place for one more connection, or the reason there is none.
    fn admit(&self, address: Option<IpAddr>) -> Result<Admitted, &'static str> {
        let plan = self.plan().load();
        let limits = &plan.config.limits;
        let metrics = self.metrics();
        if metrics.connections.get() >= i64::from(limits.connections.value) {
            return Err("total");
        }
        if let Some(address) = address {
            let mut open = self.open.by_address.lock();
            let count = open.entry(address).or_insert(0);
            if *count >= limits.connections_per_ip.value {
                return Err("per_ip");
            }
            *count += 1;
        }
        metrics.connections.inc();
        Ok(Admitted {
            gateway: Arc::clone(&self.gateway),
            open: Arc::clone(&self.open),
            address,
        })
    }

    /// Serves a connection's requests, one after the other.
    async fn serve(&self, stream: Stream, connection: &Arc<Connection>, shutdown: &ShutdownWatch) {
        let driven = http1::drive(&self.gateway, stream, connection, shutdown);
        let Some(ForPipeline { stream, head }) = driven.await else {
            return;
        };
        connection.drips.store(true, Relaxed);
        let piped = CONNECTION.scope(Arc::clone(connection), self.pipe(stream, head, shutdown));
        Box::pin(piped).await;
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
            let is_active = connection.active.load(Relaxed);
            if let Some(since) = stopping
                && !is_active
                && since.elapsed() >= self.gateway.registry.lingers()
            {
                return Closing::Unused;
            }
            let limits = &self.plan().load().config.limits;
            let (keep_alive, head) = (limits.keep_alive.value, limits.header_timeout.value);
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
    address: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gateway.registry.metrics.connections.dec();
        let Some(address) = self.address else { return };
        let mut open = self.open.by_address.lock();
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let peer = stream
            .get_socket_digest()
            .and_then(|digest| digest.peer_addr().cloned());
        let address = peer.and_then(|peer| peer.as_inet().map(std::net::SocketAddr::ip));
        let admitted = match self.admit(address) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.metrics()
                    .refused_connections
                    .with_label_values(&[reason])
                    .inc();
                return None;
            }
        };
        let connection = Arc::new(Connection {
            start: Instant::now(),
            active: AtomicBool::new(false),
            reused: AtomicBool::new(false),
            drips: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
        });
        tokio::select! {
            biased;
            () = self.serve(stream, &connection, shutdown) => {}
            closing = self.expired(&connection, shutdown.clone()) => {
                if let Closing::Late(reason) = closing {
                    self.metrics().refused_connections.with_label_values(&[reason]).inc();
                }
            }
        }
        drop(admitted);
        None
    }

    async fn cleanup(&self) {
        self.pipeline.http_cleanup().await;
    }
}

impl Connection {
    /// A request's head has been read.
    pub(super) fn request_began(&self) {
        self.active.store(true, Relaxed);
    }

    /// The request is over and the connection idle.
    pub(super) fn request_ended(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.idle_since.store(now, Relaxed);
        self.reused.store(true, Relaxed);
        self.active.store(false, Relaxed);
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
