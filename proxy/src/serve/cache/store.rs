//! Where answers are kept: weighed by bytes, found by who asked for what, forgotten by use, time, writes and purges; and
//! who of several that ask for the same at once fetches it for all.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use moka::{Expiry, notification::RemovalCause, sync::Cache};
use parking_lot::Mutex;
use prometheus::IntCounter;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::policy::Terms;
use crate::pool::Account;

/// What makes two requests equal.
pub(crate) type Key = [u8; 32];

/// Headers in which answers name what they are about, for purges.
static TAGS: [HeaderName; 2] = [
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("surrogate-key"),
];
/// Tags that are read of one answer.
const MOST_TAGS: usize = 128;
/// Counters of writes; two paths that share one cost each other a question to the upstream, and nothing else.
const WRITES: usize = 4096;
/// What an entry weighs beside its texts.
const OVERHEAD: usize = 512;

/// Kept answers.
pub(crate) struct Store {
    kept: Cache<Key, Entry>,
    limit: u64,
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Ended>>>>,
    writes: Box<[AtomicU64]>,
    purges: AtomicU64,
    /// Bytes of answers that are being read.
    reading: AtomicU64,
}

#[derive(Clone)]
enum Entry {
    /// Answers differ by these headers of the request.
    Varies(Arc<[HeaderName]>),
    Answer(Arc<Stored>),
}

/// A kept answer.
pub(crate) struct Stored {
    pub(crate) status: StatusCode,
    /// As the upstream sent them, without those of its connection.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) terms: Terms,
    /// Who gave it.
    pub(crate) account: Arc<Account>,
    pub(crate) place: Place,
    pub(crate) stamp: Stamp,
}

/// What a kept answer is the answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

/// How many writes and purges there had been when an answer was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    writes: u64,
    purges: u64,
}

/// What to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purge {
    All,
    /// Every answer to this.
    Place(Place),
    /// Every answer whose host and path begin so.
    Prefix(String),
    /// Every answer that names this.
    Tag(String),
}

/// How the one who fetched for all fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The answer is kept.
    Kept,
    /// It is not, so that everyone needs an answer of its own.
    Unkept,
    /// Its client left.
    Left,
}

/// Whether to fetch, or to wait for somebody who does.
pub(crate) enum Turn {
    Lead(Lead),
    Follow(Follow),
}

/// The duty to fetch for all. Dropping it without a word means that another one has to.
pub(crate) struct Lead {
    store: Arc<Store>,
    key: Key,
    tell: watch::Sender<Option<Ended>>,
    ended: Ended,
}

/// Waits for the one who fetches.
pub(crate) struct Follow(watch::Receiver<Option<Ended>>);

/// Room for the bytes of an answer that is being read.
pub(crate) struct Reading {
    store: Arc<Store>,
    bytes: u64,
}

struct Lives;

impl Expiry<Key, Entry> for Lives {
    fn expire_after_create(&self, _: &Key, entry: &Entry, _: Instant) -> Option<Duration> {
        entry.lives()
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        entry.lives()
    }
}

impl Entry {
    fn lives(&self) -> Option<Duration> {
        match self {
            Self::Varies(_) => None,
            Self::Answer(stored) => Some(stored.terms.keeps(SystemTime::now())),
        }
    }

    fn weight(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Varies(names) => names.iter().map(|name| name.as_str().len()).sum(),
                Self::Answer(stored) => stored.weight(),
            }
    }
}

impl Stored {
    fn weight(&self) -> usize {
        let headers = self.headers.iter();
        let place = &self.place;
        self.body.len()
            + headers
                .map(|(name, value)| name.as_str().len() + value.len() + 32)
                .sum::<usize>()
            + place.host.len()
            + place.path.len()
            + place.query.as_ref().map_or(0, String::len)
    }

    fn is_named(&self, tag: &str) -> bool {
        let values = TAGS.iter().flat_map(|name| self.headers.get_all(name));
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split([',', ' ']))
            .filter(|word| !word.is_empty())
            .take(MOST_TAGS)
            .any(|word| word == tag)
    }

    fn is_of(&self, purge: &Purge) -> bool {
        let place = &self.place;
        match purge {
            Purge::All => true,
            Purge::Place(named) => place == named,
            Purge::Prefix(prefix) => match prefix.strip_prefix(place.host.as_str()) {
                Some(rest) => place.path.starts_with(rest),
                None => false,
            },
            Purge::Tag(tag) => self.is_named(tag),
        }
    }
}

impl Store {
    /// Keeps at most `limit` bytes; `evicted` counts what has to go for that.
    pub(crate) fn new(limit: u64, evicted: IntCounter) -> Self {
        let kept = Cache::builder()
            .max_capacity(limit)
            .weigher(|_: &Key, entry: &Entry| u32::try_from(entry.weight()).unwrap_or(u32::MAX))
            .expire_after(Lives)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evicted.inc();
                }
            })
            .build();
        Self {
            kept,
            limit,
            flights: Mutex::default(),
            writes: (0..WRITES).map(|_| AtomicU64::new(0)).collect(),
            purges: AtomicU64::new(0),
            reading: AtomicU64::new(0),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Answers and bytes that are kept.
    pub(crate) fn used(&self) -> (u64, u64) {
        self.kept.run_pending_tasks();
        (self.kept.entry_count(), self.kept.weighted_size())
    }

    /// The key of a request with these headers, what is kept for it, and whether there are answers to others that differ in
    /// headers only.
    pub(crate) fn find(&self, base: Key, request: &HeaderMap) -> (Key, Option<Arc<Stored>>, bool) {
        match self.kept.get(&base) {
            None => (base, None, false),
            Some(Entry::Answer(stored)) => (base, Some(stored), false),
            Some(Entry::Varies(names)) => {
                let key = variant(base, &names, request);
                match self.kept.get(&key) {
                    Some(Entry::Answer(stored)) => (key, Some(stored), true),
                    _ => (key, None, true),
                }
            }
        }
    }

    /// Keeps an answer, unless something was purged since it was asked for.
    pub(crate) fn put(&self, base: Key, request: &HeaderMap, stored: Arc<Stored>) -> bool {
        if stored.stamp.purges != self.purges.load(SeqCst)
            || stored.terms.keeps(SystemTime::now()).is_zero()
        {
            return false;
        }
        let names = &stored.terms.vary;
        if names.is_empty() {
            self.kept.insert(base, Entry::Answer(stored));
        } else {
            let key = variant(base, names, request);
            let names: Arc<[HeaderName]> = names.as_slice().into();
            self.kept.insert(base, Entry::Varies(names));
            self.kept.insert(key, Entry::Answer(stored));
        }
        true
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.kept.invalidate(key);
    }

    /// Forgets what is named; how many answers that were.
    pub(crate) fn purge(&self, purge: &Purge) -> u64 {
        // Before anything is looked for, so that what is on its way is not kept afterwards.
        self.purges.fetch_add(1, SeqCst);
        let mut purged = 0;
        for (key, entry) in &self.kept {
            if let Entry::Answer(stored) = &entry
                && stored.is_of(purge)
            {
                self.kept.invalidate(&*key);
                purged += 1;
            }
        }
        purged
    }

    /// Notes that something may have changed at a path: what is kept of it must be asked about.
    pub(crate) fn outdate(&self, host: &str, path: &str) {
        if let Some(writes) = self.writes_at(host, path) {
            writes.fetch_add(1, SeqCst);
        }
    }

    pub(crate) fn stamp(&self, host: &str, path: &str) -> Stamp {
        let writes = self.writes_at(host, path);
        Stamp {
            writes: writes.map_or(0, |writes| writes.load(SeqCst)),
            purges: self.purges.load(SeqCst),
        }
    }

    /// Whether something was written where this answer is from since it was asked for.
    pub(crate) fn is_outdated(&self, stored: &Stored) -> bool {
        let place = &stored.place;
        self.stamp(&place.host, &place.path).writes != stored.stamp.writes
    }

    fn writes_at(&self, host: &str, path: &str) -> Option<&AtomicU64> {
        let mut hasher = DefaultHasher::new();
        (host, path).hash(&mut hasher);
        let slot = hasher.finish() % (WRITES as u64);
        self.writes.get(usize::try_from(slot).unwrap_or_default())
    }

    /// Who fetches what is under `key`.
    pub(crate) fn turn(self: &Arc<Self>, key: Key) -> Turn {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&key) {
            return Turn::Follow(Follow(flight.clone()));
        }
        let (tell, told) = watch::channel(None);
        flights.insert(key, told);
        Turn::Lead(Lead {
            store: Arc::clone(self),
            key,
            tell,
            ended: Ended::Left,
        })
    }

    /// Room for an answer that is being read, at first none.
    pub(crate) fn reading(self: &Arc<Self>) -> Reading {
        Reading {
            store: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Lead {
    /// Tells those who wait.
    pub(crate) fn end(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Those who are told look again, and must not find this one.
        self.store.flights.lock().remove(&self.key);
        self.tell.send_replace(Some(self.ended));
    }
}

impl Follow {
    /// Waits until the one who fetches is done.
    pub(crate) async fn ended(mut self) -> Ended {
        let ended = self.0.wait_for(Option::is_some).await;
        ended.ok().and_then(|ended| *ended).unwrap_or(Ended::Left)
    }
}

impl Reading {
    /// Takes room for so many more bytes; `false` when answers that are being read would take more than the store has.
    pub(crate) fn takes(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.bytes += bytes;
        self.store.reading.fetch_add(bytes, SeqCst) + bytes <= self.store.limit
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.store.reading.fetch_sub(self.bytes, SeqCst);
    }
}

/// The key of one of several answers that differ by these headers of the request.
fn variant(base: Key, names: &[HeaderName], request: &HeaderMap) -> Key {
    let mut hash = Sha256::new();
    hash.update(base);
    for name in names {
        part(&mut hash, name.as_str().as_bytes());
        for value in request.get_all(name) {
            part(&mut hash, value.as_bytes().trim_ascii());
        }
        hash.update(u64::MAX.to_le_bytes());
    }
    hash.finalize().into()
}

/// Adds a text in such a way that no two lists of texts look alike.
pub(crate) fn part(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}
