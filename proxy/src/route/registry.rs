//! State that must survive a reload, by name: health and breakers, connections, limiters, budgets, metrics.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use isobar_adapters::Transport;
use isobar_config::{BaseUrl, ClientTls, Rate, Retry, ServerTls, SharedState, Spend};
use parking_lot::Mutex;
use pingora_core::listeners::tls::Acceptor;

use crate::{
    admin::{
        failures::Failures,
        metrics::{Metrics, RouteCounters},
    },
    edge::{
        door,
        limit::Limit,
        shared::Link,
        token::issuer::{Fetching, Issuer},
    },
    journal::{Store, StoreError, exists},
    pool::{budget::Budget, health::Health},
    serve::{
        body::Space,
        cache,
        cached::Answers,
        client::{self, Client},
        once::{Progress, Watched},
        resolver::Resolver,
        spend::Meter,
        transport::Wire,
    },
    telemetry::Queue,
};

/// Everything that outlives a plan.
pub(crate) struct Registry {
    pub(crate) metrics: Metrics,
    /// Counters of requests that no route took.
    pub(crate) unrouted: RouteCounters,
    /// Spans that wait for the collector.
    pub(crate) spans: Queue,
    /// The last requests in which something failed.
    pub(crate) failures: Failures,
    pub(crate) resolver: Resolver,
    pub(crate) space: Space,
    state: PathBuf,
    /// Tokens that vendors' keys were exchanged for.
    pub(crate) tokens: isobar_adapters::Tokens,
    /// Answers that may be given again.
    pub(crate) answers: Answers,
    /// Answers of upstreams that may be given again.
    cache: Mutex<Option<Arc<cache::store::Store>>>,
    /// Keys that tokens are checked with and that are fetched.
    issuers: Mutex<HashMap<String, Arc<Issuer>>>,
    /// Told of vendors' answers, where somebody watches.
    pub(crate) progress: Option<Progress>,
    /// Milliseconds that idle clients get to send another request when this gateway stops.
    linger: AtomicU64,
    /// Opened when a composition first has a use for it.
    store: tokio::sync::OnceCell<Store>,
    tls: Arc<rustls::ClientConfig>,
    wires: Mutex<Vec<(Duration, Option<ClientTls>, Arc<Wire>)>>,
    /// For hosts that callers choose.
    guarded: Mutex<Option<Arc<Wire>>>,
    meters: Mutex<HashMap<String, Arc<Meter>>>,
    health: Mutex<HashMap<String, Arc<Health>>>,
    clients: Mutex<HashMap<String, (BaseUrl, client::Settings, Client)>>,
    limits: Mutex<HashMap<String, Arc<Limit>>>,
    link: Mutex<Option<Arc<Link>>>,
    budgets: Mutex<HashMap<String, (Retry, Arc<Budget>)>>,
    acceptors: Mutex<HashMap<usize, (ServerTls, Arc<Acceptor>)>>,
}

impl Registry {
    /// `state` is the folder of the start, and stays it until a restart.
    pub(crate) fn new(metrics: Metrics, state: &Path, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            state: state.to_owned(),
            space: Space::new(state),
            unrouted: metrics.route("unrouted"),
            spans: Queue::new(metrics.telemetry()),
            metrics,
            failures: Failures::default(),
            resolver: Resolver::from_system(),
            tokens: isobar_adapters::Tokens::default(),
            answers: Answers::default(),
            cache: Mutex::default(),
            issuers: Mutex::default(),
            progress: None,
            linger: AtomicU64::new(0),
            store: tokio::sync::OnceCell::new(),
            tls,
            wires: Mutex::default(),
            guarded: Mutex::default(),
            meters: Mutex::default(),
            health: Mutex::default(),
            clients: Mutex::default(),
            limits: Mutex::default(),
            link: Mutex::default(),
            budgets: Mutex::default(),
            acceptors: Mutex::default(),
        }
    }

    pub(crate) fn health(&self, account: &str) -> Arc<Health> {
        let mut known = self.health.lock();
        let health = known
            .entry(account.to_owned())
            .or_insert_with(|| Arc::new(Health::new(Instant::now())));
        Arc::clone(health)
    }

    /// The store of the state folder. Where it cannot be opened, an operator is told.
    pub(crate) async fn store(&self) -> Result<Store, StoreError> {
        let open = || Store::open(&self.state, self.metrics.store_outages());
        let store = self.store.get_or_try_init(open).await.cloned();
        store.inspect_err(|error| self.metrics.store_outages().tell(error))
    }

    /// Lets idle clients send another request for so long once this gateway stops.
    pub(crate) fn linger(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.linger.store(millis, Relaxed);
    }

    /// How long idle clients may send another request once this gateway stops.
    pub(crate) fn lingers(&self) -> Duration {
        Duration::from_millis(self.linger.load(Relaxed))
    }

    /// Whether the state folder has a store, opened or not.
    pub(crate) fn has_store(&self) -> bool {
        self.store.initialized() || exists(&self.state)
    }

    /// The account's connections, kept while its address and settings stay the same.
    pub(crate) fn client(
        &self,
        account: &str,
        url: &BaseUrl,
        origin: http::Uri,
        settings: client::Settings,
    ) -> Result<Client, rustls::Error> {
        let mut known = self.clients.lock();
        if let Some((same_url, same, client)) = known.get(account)
            && same_url == url
            && *same == settings
        {
            return Ok(client.clone());
        }
        let client = Client::new(&settings, origin, self.resolver.clone(), &self.tls)?;
        known.insert(account.to_owned(), (url.clone(), settings, client.clone()));
        Ok(client)
    }

    /// How adapters' requests get out; one for each time to connect and TLS of their own, so that all other accounts share
    /// connections.
    pub(crate) fn wire(
        &self,
        connect_timeout: Duration,
        tls: Option<&ClientTls>,
    ) -> Result<Arc<dyn Transport>, rustls::Error> {
        let mut known = self.wires.lock();
        let is_it = |(time, own, _): &&(Duration, Option<ClientTls>, Arc<Wire>)| {
            *time == connect_timeout && own.as_ref() == tls
        };
        let wire = if let Some((_, _, wire)) = known.iter().find(is_it) {
            Arc::clone(wire)
        } else {
            let wire = Wire::new(connect_timeout, self.resolver.clone(), &self.tls, tls)?;
            let wire = Arc::new(wire);
            known.push((connect_timeout, tls.cloned(), Arc::clone(&wire)));
            wire
        };
        Ok(self.watched(wire))
    }

    /// How requests get out whose host a caller chose. It shares no connection with others, which may lead into this
    /// network.
    pub(crate) fn guarded_wire(
        &self,
        connect_timeout: Duration,
    ) -> Result<Arc<dyn Transport>, rustls::Error> {
        let mut known = self.guarded.lock();
        let wire = match &*known {
            Some(wire) => Arc::clone(wire),
            None => {
                let resolver = self.resolver.public_only();
                let wire = Arc::new(Wire::new(connect_timeout, resolver, &self.tls, None)?);
                Arc::clone(known.insert(wire))
            }
        };
        Ok(self.watched(wire))
    }

    fn watched(&self, wire: Arc<Wire>) -> Arc<dyn Transport> {
        match &self.progress {
            None => wire,
            Some(progress) => Arc::new(Watched {
                wire,
                progress: Arc::clone(progress),
            }),
        }
    }

    /// The meter of an account's cost, kept while its ceiling stays the same.
    pub(crate) fn meter(&self, account: &str, ceiling: Spend) -> Arc<Meter> {
        let mut known = self.meters.lock();
        if let Some(meter) = known.get(account)
            && meter.ceiling == ceiling
        {
            return Arc::clone(meter);
        }
        let meter = Arc::new(Meter::new(ceiling, Instant::now()));
        known.insert(account.to_owned(), Arc::clone(&meter));
        meter
    }

    /// Where answers are kept, with all that is in it while its limit stays the same.
    pub(crate) fn cache(&self, limit: u64) -> Arc<cache::store::Store> {
        let mut known = self.cache.lock();
        if let Some(store) = &*known
            && store.limit() == limit
        {
            return Arc::clone(store);
        }
        let evicted = self.metrics.cache_evictions.clone();
        let store = Arc::new(cache::store::Store::new(limit, evicted));
        *known = Some(Arc::clone(&store));
        store
    }

    /// The keys of a client's issuer, kept while they are fetched from the same place.
    pub(crate) fn issuer(
        &self,
        client: &str,
        fetching: Fetching,
        transport: Arc<dyn Transport>,
    ) -> Arc<Issuer> {
        let mut known = self.issuers.lock();
        if let Some(issuer) = known.get(client)
            && issuer.fetching() == Some(&fetching)
        {
            return Arc::clone(issuer);
        }
        let issuer = Arc::new(Issuer::fetched(client, fetching, transport));
        known.insert(client.to_owned(), Arc::clone(&issuer));
        issuer
    }

    /// A limiter under an id that is unique to its place in the configuration, kept while its rate stays the same.
    pub(crate) fn limit(&self, id: String, name: &'static str, rate: Rate) -> Arc<Limit> {
        let mut known = self.limits.lock();
        if let Some(limit) = known.get(&id)
            && limit.rate == rate
        {
            return Arc::clone(limit);
        }
        let limit = Arc::new(Limit::new(name, rate));
        known.insert(id, Arc::clone(&limit));
        limit
    }

    /// The way to the shared store, kept while its settings stay the same. Connects when it is first asked.
    pub(crate) fn link(&self, settings: &SharedState) -> redis::RedisResult<Arc<Link>> {
        let mut known = self.link.lock();
        if let Some(link) = &*known
            && link.settings() == settings
        {
            return Ok(Arc::clone(link));
        }
        let (counted, failed) = self.metrics.shared_checks();
        let link = Arc::new(Link::new(settings.clone(), counted, failed)?);
        *known = Some(Arc::clone(&link));
        Ok(link)
    }

    pub(crate) fn budget(&self, pool: &str, retry: &Retry) -> Arc<Budget> {
        let mut known = self.budgets.lock();
        if let Some((same, budget)) = known.get(pool)
            && same == retry
        {
            return Arc::clone(budget);
        }
        let budget = Arc::new(Budget::new(retry, Instant::now()));
        known.insert(pool.to_owned(), (retry.clone(), Arc::clone(&budget)));
        budget
    }

    /// What shakes hands for the listener at this place, kept while its certificates stay the same, so that clients can take
    /// sessions up again.
    pub(crate) fn acceptor(
        &self,
        place: usize,
        tls: &ServerTls,
    ) -> Result<Arc<Acceptor>, rustls::Error> {
        let mut known = self.acceptors.lock();
        if let Some((same, acceptor)) = known.get(&place)
            && same == tls
        {
            return Ok(Arc::clone(acceptor));
        }
        let acceptor = Arc::new(door::acceptor(tls)?);
        known.insert(place, (tls.clone(), Arc::clone(&acceptor)));
        Ok(acceptor)
    }

    /// Forgets what no plan names any more, and limiter keys at rest.
    pub(crate) fn sweep(&self, is_account: impl Fn(&str) -> bool) {
        self.health.lock().retain(|name, _| is_account(name));
        self.clients.lock().retain(|name, _| is_account(name));
        self.meters.lock().retain(|name, _| is_account(name));
        self.wires
            .lock()
            .retain(|(_, own, wire)| own.is_none() || Arc::strong_count(wire) > 1);
        self.limits.lock().retain(|_, limit| {
            limit.sweep();
            Arc::strong_count(limit) > 1
        });
        self.issuers
            .lock()
            .retain(|_, issuer| Arc::strong_count(issuer) > 1);
        self.budgets
            .lock()
            .retain(|_, (_, budget)| Arc::strong_count(budget) > 1);
    }
}
