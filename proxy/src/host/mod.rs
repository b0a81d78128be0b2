//! The process around the gateway: binds sockets first, starts Pingora's service on them, swaps plans, drains.
//!
//! Pingora's `Server` is not used: everything here starts and stops inside a test, on port 0, in milliseconds.

mod accept;
mod hand_over;
mod recovery;
mod reload;
mod watch;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::{sync::watch as signal, task::JoinHandle};

pub use self::{
    accept::Workers,
    hand_over::{Gone, Offer, Predecessor, Successor},
    reload::{Reload, ReloadError},
};
use crate::{
    admin::{self, metrics::Metrics},
    edge::{access_log::AccessLog, door::Door, front::Front, gateway::Gateway, pipeline::Hooks},
    pool::probe,
    route::{compile, registry::Registry, snapshot::Snapshot},
    serve::{trust, vendors::Checked},
    telemetry,
};

/// Idle connections to vendors kept by Pingora's pipeline, in all: after upgrades that were refused.
const PIPELINE_POOL: usize = 1_024;
/// Times that Pingora may go round its retry loop; the pool's own limits stop it sooner.
const PIPELINE_TRIES: usize = 128;
/// Time for open connections to close when the last request has ended.
const GOODBYE: Duration = Duration::from_millis(500);
/// Time to send the last traces and metrics when the gateway stops.
const FLUSH: Duration = Duration::from_secs(2);
/// How long idle clients of a gateway that was succeeded may send another request.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes of an answer that the system holds for a client before it sends them. What more there is waits with us: thousands
/// that ask for something large and do not read must not cost a copy of it each.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;
/// How often state at rest is forgotten.
const SWEEP: Duration = Duration::from_mins(1);

/// A gateway that serves.
pub struct Host {
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    inner: Arc<Inner>,
    stop: signal::Sender<bool>,
    serving: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
    admin_stop: Option<admin::Stop>,
    /// The listening sockets, for a successor.
    kept: hand_over::Kept,
    /// Those that serve; dropped with the host, and whatever they still serve then.
    _workers: Arc<Workers>,
}

/// What the host and the admin port share.
pub(crate) struct Inner {
    pub(crate) plan: Arc<ArcSwap<Snapshot>>,
    /// One for each listener, in the order of the configuration at the start.
    doors: Vec<Arc<Door>>,
    fixed: reload::Fixed,
    pub(crate) registry: Arc<Registry>,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) source: Option<PathBuf>,
    /// Every file that the running configuration was read from.
    files: Mutex<watch::Contents>,
    pub(crate) history: Mutex<reload::History>,
    pub(crate) started: SystemTime,
    pub(crate) draining: std::sync::atomic::AtomicBool,
}

/// Where a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file or folder, from which a reload reads again.
    pub path: PathBuf,
    /// Every file that was read; a change of one of them is a reason to reload.
    pub files: Vec<PathBuf>,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be bound.
    #[error("cannot listen on {address}: {cause}{}", way_out(.cause))]
    Bind {
        /// Address from the configuration.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The access log could not be opened.
    #[error("cannot open the access log: {0}")]
    AccessLog(io::Error),
    /// The configuration cannot be put on the wire.
    #[error("the configuration cannot be compiled: {0}")]
    Compile(String),
    /// TLS or metrics could not be set up.
    #[error("{0}")]
    Setup(String),
}

/// What to do about a socket that cannot be bound, where that is known.
fn way_out(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose a higher port, or give the program CAP_NET_BIND_SERVICE"
        }
        _ => "",
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still running when time was up.
    pub cut: u64,
    /// Time it took.
    pub took: Duration,
}

impl Host {
    /// Starts serving on the current tokio runtime. `origin` is where a reload reads from, if anywhere.
    pub async fn start(
        checked: impl Into<Checked>,
        origin: Option<Origin>,
    ) -> Result<Self, StartError> {
        Self::start_after(checked, origin, None, Workers::here()).await
    }

    /// The same with workers that serve the connections, and on the sockets of a running gateway where it has those that
    /// are wanted; [`Host::relieve`] it then.
    pub async fn start_after(
        checked: impl Into<Checked>,
        origin: Option<Origin>,
        mut predecessor: Option<&mut Predecessor>,
        workers: Workers,
    ) -> Result<Self, StartError> {
        let checked = checked.into();
        let config = &checked.config;
        // Everything that can fail comes before anything is served.
        let mut kept = Vec::new();
        let mut open = |address: SocketAddr| {
            let taken = predecessor.as_mut().and_then(|older| older.take(address));
            let (actual, listener) =
                taken.map_or_else(|| bind(address), |taken| named(address, taken))?;
            let failed = |cause| StartError::Bind { address, cause };
            kept.push((address, listener.try_clone().map_err(failed)?));
            Ok((actual, listener))
        };
        let sockets = config
            .listen
            .iter()
            .map(|listen| open(listen.address))
            .collect::<Result<Vec<_>, _>>()?;
        let admin_socket = config.admin.map(open).transpose()?;
        let trust = tokio::task::spawn_blocking(trust::Trust::load)
            .await
            .map_err(|error| StartError::Setup(error.to_string()))?;
        let trust = trust.map_err(|error| StartError::Setup(error.to_string()))?;
        let metrics = Metrics::new().map_err(|error| StartError::Setup(error.to_string()))?;
        let log = Arc::new(AccessLog::open(&config.log.access).map_err(StartError::AccessLog)?);
        let registry = Registry::new(metrics, &config.state, Arc::clone(&trust.client));
        let own = sockets.iter().chain(&admin_socket);
        let own = own.map(|(address, _)| *address).collect();
        registry.resolver.set_own(own);
        let registry = Arc::new(registry);
        let snapshot = compile::compile(checked, &registry, 1)
            .map_err(|error| StartError::Compile(error.to_string()))?;
        registry.metrics.generation.set(1);
        let plan = Arc::new(ArcSwap::from_pointee(snapshot));
        let (source, files) = match origin {
            Some(origin) => (Some(origin.path), origin.files),
            None => (None, Vec::new()),
        };
        let doors: Vec<Arc<Door>> = {
            let listen = &plan.load().config.listen;
            let door = |listen| Arc::new(Door::new(listen));
            listen.iter().map(door).collect()
        };
        open_doors(&doors, &plan.load());
        let inner = Arc::new(Inner {
            plan: Arc::clone(&plan),
            doors,
            fixed: reload::Fixed::of(&plan.load().config),
            registry: Arc::clone(&registry),
            log: Arc::clone(&log),
            source,
            files: Mutex::new(watch::contents(files)),
            history: Mutex::default(),
            started: SystemTime::now(),
            draining: false.into(),
        });

        let (addresses, endpoints): (Vec<SocketAddr>, Vec<TcpListener>) =
            sockets.into_iter().unzip();
        let gateway = Gateway {
            plan: Arc::clone(&plan),
            registry: Arc::clone(&registry),
            log,
        };
        let sockets = addresses.iter().copied().zip(endpoints);
        let workers = Arc::new(workers);
        let (stop, serving) = serve(gateway, &inner.doors, sockets, &trust, &workers)
            .map_err(|error| StartError::Setup(error.to_string()))?;
        // Pingora has read the file; what a kill would leave behind must not stay on the disk.
        drop(trust);
        let (admin, admin_stop) = match admin_socket {
            Some((address, socket)) => {
                let stop = admin::start(socket, Arc::clone(&inner))
                    .map_err(|error| StartError::Setup(error.to_string()))?;
                (Some(address), Some(stop))
            }
            None => (None, None),
        };
        let sweeper = sweep(Arc::clone(&registry), Arc::clone(&plan));
        let recovery = recovery::run(Arc::clone(&registry), Arc::clone(&plan));
        let mut background = vec![
            tokio::spawn(probe::run(plan)),
            tokio::spawn(sweeper),
            tokio::spawn(recovery),
            tokio::spawn(telemetry::run(Arc::clone(&inner))),
        ];
        background.extend(watch::start(&inner));
        Ok(Self {
            addresses,
            admin,
            inner,
            stop,
            serving,
            background,
            admin_stop,
            kept: Arc::new(Mutex::new(kept)),
            _workers: workers,
        })
    }

    /// Addresses that serve clients, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Address of the admin port.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Reads the source again and swaps plans; a broken one leaves the running plan alone.
    pub async fn reload(&self) -> Result<Reload, ReloadError> {
        self.inner.reload().await
    }

    /// Swaps in another configuration.
    pub fn swap(&self, checked: impl Into<Checked>) -> Result<Reload, ReloadError> {
        self.inner.swap(checked.into())
    }

    /// Stops accepting and leaves when no request is running, or when `patience` is over (by default the
    /// configuration's).
    pub async fn drain(self, patience: Option<Duration>) -> Drained {
        self.end(patience, Duration::ZERO).await
    }

    /// Leaves to a successor that serves on the same sockets: accepts nothing more, and leaves the clients whose connections
    /// are idle some seconds to send another request, after which their connection is closed.
    pub async fn hand_over(
        mut self,
        successor: &mut Successor,
        patience: Option<Duration>,
    ) -> Drained {
        // The successor has an admin port of its own, on the same socket.
        if let Some(stop) = self.admin_stop.take() {
            stop.stop();
        }
        if let Err(error) = successor.told() {
            log::warn!("the successor does not hear that this gateway leaves: {error}");
        }
        self.end(patience, LINGER).await
    }

    async fn end(mut self, patience: Option<Duration>, linger: Duration) -> Drained {
        let began = Instant::now();
        self.kept.lock().clear();
        self.inner.registry.linger(linger);
        let patience = patience.unwrap_or_else(|| self.inner.plan.load().config.limits.drain.value);
        self.inner
            .draining
            .store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(patience, &mut self.serving).await;
        let running = || self.inner.registry.metrics.in_flight.get();
        let open = || self.inner.registry.metrics.connections.get();
        let lingers = || open() > 0 && began.elapsed() < linger;
        while (running() > 0 || lingers()) && began.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Clients of HTTP/2 that have nothing running are told, too, that no more is taken.
        let told = Instant::now();
        while self.inner.registry.metrics.connections.get() > 0
            && told.elapsed() < GOODBYE
            && began.elapsed() < patience
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // What the last requests left is sent, if the collector is there.
        let _ = tokio::time::timeout(FLUSH, telemetry::flush(&self.inner)).await;
        for task in &self.background {
            task.abort();
        }
        if let Some(stop) = self.admin_stop.take() {
            stop.stop();
        }
        Drained {
            cut: u64::try_from(running()).unwrap_or_default(),
            took: began.elapsed(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for task in &self.background {
            task.abort();
        }
    }
}

/// Binds before anything is served, so that a taken port is an error and not a silent gap.
fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let open = || -> io::Result<(SocketAddr, TcpListener)> {
        let domain = socket2::Domain::for_address(address);
        let socket =
            socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(4_096)?;
        let listener = TcpListener::from(socket);
        Ok((listener.local_addr()?, listener))
    };
    open().map_err(|cause| StartError::Bind { address, cause })
}

/// Gives each listener the certificates that a plan has for it.
fn open_doors(doors: &[Arc<Door>], plan: &Snapshot) {
    for door in doors {
        door.take_up(&plan.config.listen, &plan.acceptors);
    }
}

/// A socket that was taken over, with its address.
fn named(
    address: SocketAddr,
    listener: TcpListener,
) -> Result<(SocketAddr, TcpListener), StartError> {
    let local = listener.local_addr();
    let local = local.map_err(|cause| StartError::Bind { address, cause })?;
    Ok((local, listener))
}

fn serve(
    gateway: Gateway,
    doors: &[Arc<Door>],
    sockets: impl Iterator<Item = (SocketAddr, TcpListener)>,
    trust: &trust::Trust,
    workers: &Arc<Workers>,
) -> io::Result<(signal::Sender<bool>, JoinHandle<()>)> {
    let conf = Arc::new(ServerConf {
        upstream_keepalive_pool_size: PIPELINE_POOL,
        max_retries: PIPELINE_TRIES,
        ca_file: trust.file.path().to_str().map(str::to_owned),
        ..ServerConf::default()
    });
    let gateway = Arc::new(gateway);
    let mut pipeline = HttpProxy::new(Hooks(Arc::clone(&gateway)), conf);
    pipeline.handle_init_modules();
    let (pipeline, open) = (Arc::new(pipeline), Arc::default());
    let (stop, stopped) = signal::channel(false);
    let mut accepting = Vec::new();
    for ((_, endpoint), door) in sockets.zip(doors) {
        // Connections have it from their listener. Where it is refused, they only hold more.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&endpoint).set_tcp_notsent_lowat(UNSENT);
        let (gateway, pipeline) = (Arc::clone(&gateway), Arc::clone(&pipeline));
        let front = Front::new(gateway, pipeline, Arc::clone(&open), Arc::clone(door));
        let listener = tokio::net::TcpListener::from_std(endpoint)?;
        let (front, workers) = (Arc::new(front), Arc::clone(workers));
        accepting.push(accept::accept(listener, front, workers, stopped.clone()));
    }
    let serving = tokio::spawn(async move {
        futures_util::future::join_all(accepting).await;
    });
    Ok((stop, serving))
}

async fn sweep(registry: Arc<Registry>, plan: Arc<ArcSwap<Snapshot>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let snapshot = plan.load_full();
        registry.sweep(|name| {
            snapshot
                .accounts
                .iter()
                .any(|account| account.name() == name)
        });
    }
}

#[cfg(test)]
mod tests {
    use isobar_config::{Config, Nothing, Source};
    use isobar_sandbox::Upstream;

    use super::*;

    fn checked(text: &str) -> Config {
        let (name, text) = ("test.yaml".to_owned(), text.to_owned());
        let (config, report) = isobar_config::check(&[Source { name, text }], &Nothing);
        config.unwrap_or_else(|| panic!("{}", report.text(false)))
    }

    #[tokio::test]
    async fn a_name_with_a_dead_address_is_reached_at_its_next_on_both_paths() {
        // Listens on one loopback address; its port is closed on the others.
        let a = Upstream::start("a").await.unwrap();
        for mode in ["exchange", "stream"] {
            let text = format!(
                "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\nlog: {{ access: \"off\" }}\n\
                 upstreams: {{ a: \"http://two.invalid:{}\" }}\n\
                 routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: {mode} }}, anonymous: true }} ]\n",
                a.address().port()
            );
            let host = Host::start(checked(&text), None).await.unwrap();
            let dead = "127.0.0.2".parse().unwrap();
            let addresses = vec![dead, dead, a.address().ip()];
            host.inner
                .registry
                .resolver
                .learn("two.invalid", addresses)
                .await;
            for number in 0..6 {
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                let url = format!("http://{}/", host.addresses()[0]);
                let answer = client.post(url).body("once").send().await.unwrap();
                let attempts = answer.headers()["isobar-attempts"].clone();
                assert_eq!(
                    (answer.status().as_u16(), attempts.to_str().unwrap()),
                    (200, "1"),
                    "{mode} {number}"
                );
            }
        }
    }
}
