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
use parking_lot::Mutex;
use pingora_core::{apps::ServerApp, protocols::Stream, server::ShutdownWatch};
use pingora_proxy::HttpProxy;
use tokio::sync::Notify;

use super::gateway::Gateway;
use crate::{
    admin::metrics::Metrics,
    route::{registry::Registry, snapshot::Snapshot},
};

tokio::task_local! {
    /// The connection that this task serves.
    static CONNECTION: Arc<Connection>;
}

/// Accepts connections for the proxy.
pub(crate) struct Front {
    proxy: Arc<HttpProxy<Gateway>>,
    plan: Arc<ArcSwap<Snapshot>>,
    registry: Arc<Registry>,
    open: Arc<Open>,
}

/// Connections by address.
#[derive(Default)]
struct Open {
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// What the guard knows of one connection.
struct Connection {
    start: Instant,
    /// A request is being served.
    active: AtomicBool,
    /// A request has been served before.
    reused: AtomicBool,
    /// Milliseconds after `start` at which the connection was accepted or became idle.
    idle_since: AtomicU64,
    changed: Notify,
}

impl Front {
    pub(crate) fn new(
        proxy: HttpProxy<Gateway>,
        plan: Arc<ArcSwap<Snapshot>>,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            proxy: Arc::new(proxy),
            plan,
            registry,
            open: Arc::default(),
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.registry.metrics
    }

    /// A place for one more connection, or the reason there is none.
    fn admit(&self, address: Option<IpAddr>) -> Result<Admitted, &'static str> {
        let plan = self.plan.load();
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
            registry: Arc::clone(&self.registry),
            open: Arc::clone(&self.open),
            address,
        })
    }

    /// Resolves when the connection has been without a request for too long.
    async fn timed_out(&self, connection: &Connection) -> &'static str {
        loop {
            if connection.active.load(Relaxed) {
                connection.changed.notified().await;
                continue;
            }
            let limits = &self.plan.load().config.limits;
            let (allowed, reason) = if connection.reused.load(Relaxed) {
                // Pingora closes a silent connection at `keep_alive`; this also closes one that drips.
                (
                    limits.keep_alive.value + limits.header_timeout.value,
                    "idle",
                )
            } else {
                (limits.header_timeout.value, "slow_head")
            };
            let since = Duration::from_millis(connection.idle_since.load(Relaxed));
            let left = (since + allowed).saturating_sub(connection.start.elapsed());
            if left.is_zero() {
                return reason;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = connection.changed.notified() => {}
            }
        }
    }
}

/// A connection's place; dropping it gives it back.
struct Admitted {
    registry: Arc<Registry>,
    open: Arc<Open>,
    address: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.registry.metrics.connections.dec();
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
            idle_since: AtomicU64::new(0),
            changed: Notify::new(),
        });
        let serving = CONNECTION.scope(
            Arc::clone(&connection),
            ServerApp::process_new(&self.proxy, stream, shutdown),
        );
        tokio::select! {
            biased;
            _ = serving => {}
            reason = self.timed_out(&connection) => {
                self.metrics().refused_connections.with_label_values(&[reason]).inc();
            }
        }
        drop(admitted);
        None
    }

    async fn cleanup(&self) {
        ServerApp::cleanup(&*self.proxy).await;
    }
}

/// Tells the guard that this connection's request has a whole head.
pub(crate) fn request_began() {
    let _ = CONNECTION.try_with(|connection| connection.active.store(true, Relaxed));
}

/// Tells the guard that the request is over and the connection idle.
pub(crate) fn request_ended() {
    let _ = CONNECTION.try_with(|connection| {
        let now = u64::try_from(connection.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        connection.idle_since.store(now, Relaxed);
        connection.reused.store(true, Relaxed);
        connection.active.store(false, Relaxed);
        connection.changed.notify_one();
    });
}
