//! Names to addresses, asynchronously, cached for as long as the DNS says.
//!
//! Pingora resolves blocking and panics on failure, so it is only ever given addresses. A stale answer is used while a
//! fresh one is fetched; a name that no longer resolves keeps its last addresses for a while, since a DNS outage must
//! not become ours.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hickory_resolver::{
    ResolverBuilder, TokioResolver, config::ResolverConfig, net::runtime::TokioRuntimeProvider,
};
use hyper_util::client::legacy::connect::dns::Name;
use moka::future::Cache;

/// A short TTL is stretched to this, so that a name with TTL 0 does not cost a lookup a request.
const SHORTEST: Duration = Duration::from_secs(1);
/// A long TTL is cut to this, so that a moved service is found again.
const LONGEST: Duration = Duration::from_mins(5);
/// Names that nobody asks for are forgotten.
const FORGET: Duration = Duration::from_mins(10);

/// Shared resolver; clones share the cache.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<Inner>);

struct Inner {
    lookup: Option<TokioResolver>,
    answers: Cache<String, Arc<Answer>>,
}

struct Answer {
    addresses: Vec<IpAddr>,
    fresh_until: Instant,
    refreshing: AtomicBool,
    turn: AtomicUsize,
}

/// A name that did not resolve.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{name}` does not resolve: {reason}")]
pub(crate) struct ResolveError {
    name: String,
    reason: String,
}

impl Resolver {
    /// Uses the system's DNS settings and hosts file.
    pub(crate) fn from_system() -> Self {
        let built = TokioResolver::builder_tokio().and_then(ResolverBuilder::build);
        let lookup = built.or_else(|error| {
            log::warn!(
                "no usable DNS settings on this system ({error}); only the hosts file is read"
            );
            TokioResolver::builder_with_config(
                ResolverConfig::default(),
                TokioRuntimeProvider::default(),
            )
            .build()
        });
        Self::with(lookup.ok())
    }

    fn with(lookup: Option<TokioResolver>) -> Self {
        let answers = Cache::builder()
            .max_capacity(1_024)
            .time_to_idle(FORGET)
            .build();
        Self(Arc::new(Inner { lookup, answers }))
    }

    /// Makes `host` known at these addresses.
    #[cfg(test)]
    pub(crate) async fn learn(&self, host: &str, addresses: Vec<IpAddr>) {
        let answer = Answer {
            addresses,
            fresh_until: Instant::now() + LONGEST,
            refreshing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        };
        self.0
            .answers
            .insert(host.to_owned(), Arc::new(answer))
            .await;
    }

    /// One address for `host`, in turn when it has several, and how many it has.
    pub(crate) async fn address(
        &self,
        host: &str,
        port: u16,
    ) -> Result<(SocketAddr, usize), ResolveError> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok((SocketAddr::new(literal, port), 1));
        }
        let answer = self.answer(host).await?;
        let count = answer.addresses.len();
        let turn = answer.turn.fetch_add(1, Relaxed) % count.max(1);
        let address = answer.addresses.get(turn).copied();
        address
            .map(|address| (SocketAddr::new(address, port), count))
            .ok_or_else(|| failed(host, "no addresses"))
    }

    /// Every address of `host`, the next in turn first.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(vec![literal]);
        }
        let answer = self.answer(host).await?;
        let turn = answer.turn.fetch_add(1, Relaxed) % answer.addresses.len().max(1);
        let (later, first) = answer.addresses.split_at(turn);
        Ok(first.iter().chain(later).copied().collect())
    }

    async fn answer(&self, host: &str) -> Result<Arc<Answer>, ResolveError> {
        let known = self.0.answers.get(host).await;
        if let Some(answer) = known {
            if answer.fresh_until <= Instant::now() && !answer.refreshing.swap(true, Relaxed) {
                self.refresh_in_background(host.to_owned(), Arc::clone(&answer));
            }
            return Ok(answer);
        }
        let looked_up = self
            .0
            .answers
            .try_get_with(host.to_owned(), self.look_up(host))
            .await;
        looked_up.map_err(|error| (*error).clone())
    }

    fn refresh_in_background(&self, host: String, stale: Arc<Answer>) {
        let resolver = self.clone();
        tokio::spawn(async move {
            match resolver.look_up(&host).await {
                Ok(fresh) => resolver.0.answers.insert(host, fresh).await,
                Err(error) => {
                    log::warn!("{error}; keeping its last addresses");
                    tokio::time::sleep(SHORTEST).await;
                    stale.refreshing.store(false, Relaxed);
                }
            }
        });
    }

    async fn look_up(&self, host: &str) -> Result<Arc<Answer>, ResolveError> {
        let Some(lookup) = &self.0.lookup else {
            return Err(failed(host, "no resolver"));
        };
        let found = lookup
            .lookup_ip(host)
            .await
            .map_err(|error| failed(host, &error.to_string()))?;
        let now = Instant::now();
        let ttl = found
            .valid_until()
            .saturating_duration_since(now)
            .clamp(SHORTEST, LONGEST);
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() {
            return Err(failed(host, "no addresses"));
        }
        Ok(Arc::new(Answer {
            addresses,
            fresh_until: now + ttl,
            refreshing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        }))
    }
}

fn failed(name: &str, reason: &str) -> ResolveError {
    ResolveError {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

/// The form in which the HTTP client asks: every address, the next in turn first.
impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.lookup(name.as_str()).await?;
            let addresses: Vec<SocketAddr> = found
                .into_iter()
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use parking_lot::Mutex;
    use tokio::net::UdpSocket;

    use super::*;

    /// A DNS server that gives every name one address with a TTL of a second, or fails.
    struct Server {
        says: Arc<Mutex<Option<[u8; 4]>>>,
        asked: Arc<AtomicUsize>,
    }

    impl Server {
        async fn start() -> (Self, Resolver) {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut connection = ConnectionConfig::udp();
            connection.port = socket.local_addr().unwrap().port();
            let server = Self {
                says: Arc::default(),
                asked: Arc::default(),
            };
            let (says, asked) = (Arc::clone(&server.says), Arc::clone(&server.asked));
            tokio::spawn(async move {
                let mut query = [0; 512];
                while let Ok((length, from)) = socket.recv_from(&mut query).await {
                    let says = *says.lock();
                    let answer = answer(&query[..length], says, &asked);
                    let _ = socket.send_to(&answer, from).await;
                }
            });
            let mut name_server = NameServerConfig::udp("127.0.0.1".parse().unwrap());
            name_server.connections = vec![connection];
            let config = ResolverConfig::from_name_servers(vec![name_server]);
            let lookup =
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            (server, Resolver::with(lookup.build().ok()))
        }

        fn say(&self, address: Option<[u8; 4]>) {
            *self.says.lock() = address;
        }
    }

    /// RFC 1035 §4: a header, the question again, and for an A question one answer.
    fn answer(query: &[u8], says: Option<[u8; 4]>, asked: &AtomicUsize) -> Vec<u8> {
        let name_length = query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
        let question = &query[12..12 + name_length + 4];
        let is_a = question[name_length..name_length + 2] == [0, 1];
        asked.fetch_add(usize::from(is_a), Relaxed);
        let found = says.filter(|_| is_a);
        let code = if says.is_none() { 2 } else { 0 };
        let mut answer = query[..2].to_vec();
        answer.extend([
            0x81,
            0x80 | code,
            0,
            1,
            0,
            u8::from(found.is_some()),
            0,
            0,
            0,
            0,
        ]);
        answer.extend(question);
        if let Some(address) = found {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(address);
        }
        answer
    }

    async fn until(resolver: &Resolver, expected: &str) {
        for _ in 0..500 {
            let (address, _) = resolver.address("api.example.com", 80).await.unwrap();
            if address.ip().to_string() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never at {expected}");
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_a_ttl_and_keeps_its_address_while_dns_fails() {
        let (server, resolver) = Server::start().await;
        server.say(None);
        let error = resolver.address("api.example.com", 80).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`api.example.com` does not resolve"),
            "{error}"
        );

        server.say(Some([10, 0, 0, 1]));
        until(&resolver, "10.0.0.1").await;
        let (known_at, asked) = (Instant::now(), server.asked.load(Relaxed));
        for _ in 0..100 {
            resolver.address("api.example.com", 80).await.unwrap();
        }
        assert!(server.asked.load(Relaxed) == asked || known_at.elapsed() >= SHORTEST);

        server.say(Some([10, 0, 0, 2]));
        until(&resolver, "10.0.0.2").await;
        assert!(known_at.elapsed() >= SHORTEST, "the TTL was not kept");

        server.say(None);
        let asked = server.asked.load(Relaxed);
        while server.asked.load(Relaxed) < asked + 3 {
            until(&resolver, "10.0.0.2").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.say(Some([10, 0, 0, 3]));
        until(&resolver, "10.0.0.3").await;
    }

    #[tokio::test]
    async fn addresses_pass_through_and_the_hosts_file_is_read() {
        let resolver = Resolver::from_system();
        assert_eq!(
            resolver.address("127.0.0.1", 80).await.unwrap(),
            ("127.0.0.1:80".parse().unwrap(), 1)
        );
        assert_eq!(
            resolver.address("::1", 80).await.unwrap(),
            ("[::1]:80".parse().unwrap(), 1)
        );
        assert!(
            resolver
                .address("localhost", 80)
                .await
                .unwrap()
                .0
                .ip()
                .is_loopback()
        );
    }

    #[tokio::test]
    async fn several_addresses_are_used_in_turn_and_a_stale_answer_is_served_while_it_is_refreshed()
    {
        let resolver = Resolver::from_system();
        let answer = Answer {
            addresses: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
            fresh_until: Instant::now(),
            refreshing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        };
        resolver
            .0
            .answers
            .insert("stale.invalid".to_owned(), Arc::new(answer))
            .await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(
                resolver
                    .address("stale.invalid", 1)
                    .await
                    .unwrap()
                    .0
                    .ip()
                    .to_string(),
            );
        }
        assert_eq!(seen, ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
    }
}
