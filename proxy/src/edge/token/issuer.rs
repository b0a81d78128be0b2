//! Where an issuer's keys come from, and when they are fetched again: when they are old, and when a token names one that is
//! not known; but never more often than the floor allows, whatever tokens ask for.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use isobar_adapters::{Body, Request, Talk, Transport};
use parking_lot::Mutex;

use super::keys::KeySet;

/// Time that fetching may take.
const ALLOWED: Duration = Duration::from_secs(5);
/// Largest key set that is read.
const LARGEST: usize = 512 * 1024;

/// One issuer's keys.
pub(crate) struct Issuer {
    name: String,
    keys: ArcSwap<KeySet>,
    source: Option<Source>,
}

/// Where keys are fetched.
struct Source {
    settings: Fetching,
    transport: Arc<dyn Transport>,
    /// Held by the one who fetches.
    fetching: tokio::sync::Mutex<()>,
    last: Mutex<Last>,
}

/// Where from and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetching {
    pub(crate) url: Uri,
    /// Age at which keys are fetched again.
    pub(crate) refresh: Duration,
    /// Least time between two attempts.
    pub(crate) floor: Duration,
}

#[derive(Default)]
struct Last {
    tried: Option<Instant>,
    succeeded: Option<Instant>,
}

impl Issuer {
    /// Keys that stand in the configuration.
    pub(crate) fn fixed(name: &str, keys: KeySet) -> Self {
        Self {
            name: name.to_owned(),
            keys: ArcSwap::from_pointee(keys),
            source: None,
        }
    }

    /// Keys that are fetched when they are first needed.
    pub(crate) fn fetched(name: &str, settings: Fetching, transport: Arc<dyn Transport>) -> Self {
        Self {
            name: name.to_owned(),
            keys: ArcSwap::default(),
            source: Some(Source {
                settings,
                transport,
                fetching: tokio::sync::Mutex::default(),
                last: Mutex::default(),
            }),
        }
    }

    pub(crate) fn fetching(&self) -> Option<&Fetching> {
        self.source.as_ref().map(|source| &source.settings)
    }

    /// The keys as they are known now.
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Whether no keys could be had yet.
    pub(crate) fn is_without_keys(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| source.last.lock().succeeded.is_none())
    }

    /// Has keys that have grown old fetched again, while those that are known are used.
    pub(crate) fn keep_fresh(self: &Arc<Self>) {
        let Some(source) = &self.source else { return };
        let is_old = |since: Option<Instant>, age| {
            since.is_some_and(|since: Instant| since.elapsed() >= age)
        };
        let due = {
            let last = source.last.lock();
            is_old(last.succeeded, source.settings.refresh)
                && is_old(last.tried, source.settings.floor)
        };
        if due {
            let issuer = Arc::clone(self);
            tokio::spawn(async move { issuer.renew(&issuer.keys()).await });
        }
    }

    /// Fetches keys, unless they are others than those `seen` already, or were asked for a moment ago; whether there are
    /// others now.
    pub(crate) async fn renew(&self, seen: &Arc<KeySet>) -> bool {
        let Some(source) = &self.source else {
            return false;
        };
        // Whoever comes while keys are being fetched waits for them.
        let _fetching = source.fetching.lock().await;
        if !Arc::ptr_eq(&self.keys(), seen) {
            return true;
        }
        {
            let mut last = source.last.lock();
            let floor = source.settings.floor;
            if last.tried.is_some_and(|tried| tried.elapsed() < floor) {
                return false;
            }
            last.tried = Some(Instant::now());
        }
        match source.fetch().await {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                source.last.lock().succeeded = Some(Instant::now());
                true
            }
            Err(why) => {
                log::warn!(
                    "the keys of client `{}` cannot be fetched: {why}",
                    self.name
                );
                false
            }
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Source {
    async fn fetch(&self) -> Result<KeySet, String> {
        let uri = self.settings.url.clone();
        let mut headers = HeaderMap::new();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if let Ok(host) = HeaderValue::from_str(authority) {
            headers.insert(header::HOST, host);
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request {
            method: Method::GET,
            uri,
            headers,
            body: Body::default(),
            talk: Talk::Http,
        };
        let answered = self.transport.send(request, ALLOWED).await;
        let answer = answered.map_err(|evidence| format!("{evidence:?}"))?;
        if answer.status != StatusCode::OK {
            return Err(format!("the answer is {}", answer.status.as_u16()));
        }
        if answer.body.len() > LARGEST {
            return Err(format!("the answer has more than {LARGEST} bytes"));
        }
        KeySet::parse(&answer.body).map_err(|error| error.to_string())
    }
}
