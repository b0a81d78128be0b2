//! State that must survive a reload, by name: health and breakers, connections, limiters, budgets, metrics.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use isobar_adapters::Transport;
use isobar_config::{BaseUrl, Rate, Retry, Spend};
use parking_lot::Mutex;

use crate::{
    admin::metrics::{Metrics, RouteCounters},
    edge::{
        limit::Limit,
        token::issuer::{Fetching, Issuer},
    },
    journal::{Store, StoreError},
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
};

/// Everything that outlives a plan.
pub(crate) struct Registry {
    pub(crate) metrics: Metrics,
    /// Counters of requests that no route took.
    pub(crate) unrouted: RouteCounters,
    pub(crate) resolver: Resolver,
    pub(crate) space: Space,
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
    /// Opened when a composition first has a use for it.
    store: tokio::sync::OnceCell<Store>,
    tls: Arc<rustls::ClientConfig>,
    wires: Mutex<HashMap<Duration, Arc<Wire>>>,
    meters: Mutex<HashMap<String, Arc<Meter>>>,
    health: Mutex<HashMap<String, Arc<Health>>>,
    clients: Mutex<HashMap<String, (BaseUrl, client::Settings, Client)>>,
    limits: Mutex<HashMap<String, Arc<Limit>>>,
    budgets: Mutex<HashMap<String, (Retry, Arc<Budget>)>>,
}

impl Registry {
    pub(crate) fn new(metrics: Metrics, space: Space, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            unrouted: metrics.route("unrouted"),
            metrics,
            resolver: Resolver::from_system(),
            space,
            tokens: isobar_adapters::Tokens::default(),
            answers: Answers::default(),
            cache: Mutex::default(),
            issuers: Mutex::default(),
            progress: None,
            store: tokio::sync::OnceCell::new(),
            tls,
            wires: Mutex::default(),
            meters: Mutex::default(),
            health: Mutex::default(),
            clients: Mutex::default(),
            limits: Mutex::default(),
            budgets: Mutex::default(),
        }
    }

    pub(crate) fn health(&self, account: &str) -> Arc<Health> {
        let mut known = self.health.lock();
        let health = known
            .entry(account.to_owned())
            .or_insert_with(|| Arc::new(Health::new(Instant::now())));
        Arc::clone(health)
    }

    /// The store of the state folder; what folder that is stays the same until a restart.
    pub(crate) async fn store(&self, state: &Path) -> Result<Store, StoreError> {
        self.store
            .get_or_try_init(|| Store::open(state))
            .await
            .cloned()
    }

    pub(crate) fn has_store(&self) -> bool {
        self.store.initialized()
    }

    /// The account's connections, kept while its address and settings stay the same.
    pub(crate) fn client(
        &self,
        account: &str,
        url: &BaseUrl,
        origin: http::Uri,
        settings: client::Settings,
    ) -> Client {
        let mut known = self.clients.lock();
        if let Some((same_url, same, client)) = known.get(account)
            && same_url == url
            && *same == settings
        {
            return client.clone();
        }
        let client = Client::new(&settings, origin, self.resolver.clone(), &self.tls);
        known.insert(account.to_owned(), (url.clone(), settings, client.clone()));
        client
    }

    /// How adapters' requests get out; one for each time to connect, so that all accounts share connections.
    pub(crate) fn wire(&self, connect_timeout: Duration) -> reqwest::Result<Arc<dyn Transport>> {
        let mut known = self.wires.lock();
        let wire = if let Some(wire) = known.get(&connect_timeout) {
            Arc::clone(wire)
        } else {
            let wire = Wire::new(connect_timeout, self.resolver.clone(), &self.tls)?;
            let wire = Arc::new(wire);
            known.insert(connect_timeout, Arc::clone(&wire));
            wire
        };
        Ok(match &self.progress {
            None => wire,
            Some(progress) => Arc::new(Watched {
                wire,
                progress: Arc::clone(progress),
            }),
        })
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

    /// Forgets what no plan names any more, and limiter keys at rest.
    pub(crate) fn sweep(&self, is_account: impl Fn(&str) -> bool) {
        self.health.lock().retain(|name, _| is_account(name));
        self.clients.lock().retain(|name, _| is_account(name));
        self.meters.lock().retain(|name, _| is_account(name));
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
