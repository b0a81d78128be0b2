//! Rate limits that several gateways count together, in a Redis server: the same GCRA as by ourselves, as a script that reads,
//! decides and writes in one step, by the server's clock.
//!
//! A request waits for the server for a bounded time. After a failure nobody asks it for a while, so that a server that is
//! gone costs a moment twice a second and not a moment for each request. Connecting is nobody's request: it goes on when
//! those who waited for it have given up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::HeaderValue;
use isobar_config::{Rate, SharedState, WhenDown};
use parking_lot::Mutex;
use prometheus::IntCounter;
use redis::{RedisError, RedisResult, Script, aio::MultiplexedConnection};
use sha2::{Digest as _, Sha256};

use super::limit::{Standing, policy};

/// How long nobody asks a server that did not answer.
const REST: Duration = Duration::from_millis(500);
/// Time to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// The next request's time is kept; ahead of the clock by no more than the burst. Answers what is left, and the microseconds
/// to wait when it is nothing.
const GCRA: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval
local left = now + interval * burst - due
if left < -0.5 then
    return { 0, math.ceil(-left) }
end
redis.call('SET', KEYS[1], string.format('%.2f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return { math.floor(left / interval + 0.001), 0 }
";

/// The way to the server, shared by every limit that is counted there.
pub(crate) struct Link {
    settings: SharedState,
    client: redis::Client,
    script: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
    connecting: tokio::sync::Mutex<()>,
    started: Instant,
    /// Milliseconds after `started` until which nobody asks.
    rests_until: AtomicU64,
    is_down: AtomicBool,
    counted: IntCounter,
    failed: IntCounter,
}

/// Why a request was not counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Uncounted {
    /// It failed a moment ago.
    #[error("it did not answer a moment ago")]
    Resting,
    #[error("it did not answer in time")]
    Late,
    #[error("{0}")]
    Failed(#[from] RedisError),
}

impl Link {
    /// Connects to nothing yet. Counters are those of requests that were counted, and of those that could not be.
    pub(crate) fn new(
        settings: SharedState,
        counted: IntCounter,
        failed: IntCounter,
    ) -> RedisResult<Self> {
        Ok(Self {
            client: redis::Client::open(settings.url.expose())?,
            settings,
            script: Script::new(GCRA),
            connection: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            started: Instant::now(),
            rests_until: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            counted,
            failed,
        })
    }

    pub(crate) fn settings(&self) -> &SharedState {
        &self.settings
    }

    /// Whether requests that cannot be counted are refused.
    pub(crate) fn refuses(&self) -> bool {
        self.settings.when_down == WhenDown::Refuse
    }

    /// Counts one request under a key: how many are left, and how long to wait if this was one too many.
    async fn count(
        self: &Arc<Self>,
        key: &str,
        interval: f64,
        burst: u32,
    ) -> Result<(u32, Option<Duration>), Uncounted> {
        let answered = self.ask(key, interval, burst).await;
        match &answered {
            Ok(_) => {
                self.counted.inc();
                if self.is_down.swap(false, Relaxed) {
                    log::info!("the shared store answers again");
                }
            }
            Err(Uncounted::Resting) => self.failed.inc(),
            Err(why) => {
                self.failed.inc();
                *self.connection.lock() = None;
                let until = self.started.elapsed() + REST;
                self.rests_until.store(millis(until), Relaxed);
                if !self.is_down.swap(true, Relaxed) {
                    log::error!("the shared store cannot count: {why}");
                }
            }
        }
        answered
    }

    async fn ask(
        self: &Arc<Self>,
        key: &str,
        interval: f64,
        burst: u32,
    ) -> Result<(u32, Option<Duration>), Uncounted> {
        if millis(self.started.elapsed()) < self.rests_until.load(Relaxed) {
            return Err(Uncounted::Resting);
        }
        let asking = async {
            let mut connection = self.connection().await?;
            let mut call = self.script.key(key);
            call.arg(interval).arg(burst);
            let answer: (u32, u64) = call.invoke_async(&mut connection).await?;
            Ok::<_, Uncounted>(answer)
        };
        let answer = tokio::time::timeout(self.settings.timeout, asking).await;
        let (left, wait) = answer.unwrap_or(Err(Uncounted::Late))?;
        Ok((left, (wait > 0).then(|| Duration::from_micros(wait))))
    }

    async fn connection(self: &Arc<Self>) -> Result<MultiplexedConnection, Uncounted> {
        if let Some(connection) = &*self.connection.lock() {
            return Ok(connection.clone());
        }
        let link = Arc::clone(self);
        let connecting = tokio::spawn(async move { link.connect().await });
        connecting.await.unwrap_or(Err(Uncounted::Late))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Uncounted> {
        // One at a time; who waited takes what the first got.
        let _one = self.connecting.lock().await;
        if let Some(connection) = &*self.connection.lock() {
            return Ok(connection.clone());
        }
        let connecting = self.client.get_multiplexed_async_connection();
        let made = tokio::time::timeout(CONNECT, connecting).await;
        let made = made.map_err(|_| Uncounted::Late)??;
        *self.connection.lock() = Some(made.clone());
        Ok(made)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One limit that is counted together. Holds no count itself.
pub(crate) struct SharedLimit {
    pub(crate) link: Arc<Link>,
    name: &'static str,
    rate: Rate,
    policy: Option<HeaderValue>,
    /// What its keys begin with.
    prefix: String,
    /// Microseconds between two requests at the rate.
    interval: f64,
}

impl SharedLimit {
    /// `id` is the limit's place in the configuration; gateways with the same one, and the same rate there, count together.
    pub(crate) fn new(link: Arc<Link>, id: &str, name: &'static str, rate: Rate) -> Self {
        let (requests, per) = (rate.requests.max(1), rate.per.as_millis());
        let interval = rate.per.as_secs_f64() * 1e6 / f64::from(requests);
        let prefix = &link.settings.prefix;
        Self {
            prefix: format!("{prefix}:rate:{id}:{requests}/{per}/{}", rate.burst),
            link,
            name,
            rate,
            policy: policy(name, rate),
            interval: interval.max(1.0),
        }
    }

    /// Counts one request of `key`.
    pub(crate) async fn count(&self, key: u64) -> Result<Standing, Uncounted> {
        let name = format!("{}:{key:016x}", self.prefix);
        let burst = self.rate.burst.max(1);
        let (remaining, wait) = self.link.count(&name, self.interval, burst).await?;
        Ok(Standing {
            name: self.name,
            rate: self.rate,
            policy: self.policy.clone(),
            remaining,
            wait,
        })
    }
}

/// A key for a name, the same in every gateway.
pub(crate) fn key_of(name: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(name));
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
