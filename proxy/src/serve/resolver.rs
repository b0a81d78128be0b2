//! Names to addresses, asynchronously, cached for as long as the DNS says.
//!
//! Pingora resolves blocking and panics on failure, so it is only ever given addresses. A stale answer is used while a
//! fresh one is fetched; a name that no longer resolves keeps its last addresses for a while, since a DNS outage must
//! not become ours.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
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
use parking_lot::RwLock;

/// A short TTL is stretched to this, so that a name with TTL 0 does not cost a lookup a request.
const SHORTEST: Duration = Duration::from_secs(1);
/// A long TTL is cut to this, so that a moved service is found again.
const LONGEST: Duration = Duration::from_mins(5);
/// Names that nobody asks for are forgotten.
const FORGET: Duration = Duration::from_mins(10);

/// Shared resolver; clones share the cache.
#[derive(Clone)]
pub(crate) struct Resolver {
    shared: Arc<Inner>,
    /// Whether names that stand for an address of this network do not resolve.
    public_only: bool,
}

struct Inner {
    lookup: Option<TokioResolver>,
    answers: Cache<String, Arc<Answer>>,
    /// Where this gateway itself listens, its admin port included.
    own: RwLock<Vec<SocketAddr>>,
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
        let own = RwLock::default();
        Self {
            shared: Arc::new(Inner {
                lookup,
                answers,
                own,
            }),
            public_only: false,
        }
    }

    /// The same, for names that a caller chose: one that stands for an address of this network does not resolve, at the
    /// very moment of connecting, whatever it stood for before.
    pub(crate) fn public_only(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            public_only: true,
        }
    }

    /// Says where this gateway listens.
    pub(crate) fn set_own(&self, addresses: Vec<SocketAddr>) {
        *self.shared.own.write() = addresses;
    }

    /// Whether an address is one where this gateway listens, under whatever name it was found: requests to it would go in
    /// circles, or reach the admin port.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let own = self.shared.own.read();
        own.iter().any(|known| {
            let there = known.ip().to_canonical();
            // Only an address of this machine can be bound.
            let is_here = || UdpSocket::bind((ip, 0)).is_ok();
            let reaches = there == ip
                || (ip.is_unspecified() && there.is_loopback())
                || (there.is_unspecified() && is_here());
            known.port() == address.port() && reaches
        })
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
        self.shared
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
        if self.public_only && answer.addresses.iter().any(|address| is_private(*address)) {
            return Err(failed(host, "it stands for a private address"));
        }
        let turn = answer.turn.fetch_add(1, Relaxed) % answer.addresses.len().max(1);
        let (later, first) = answer.addresses.split_at(turn);
        Ok(first.iter().chain(later).copied().collect())
    }

    async fn answer(&self, host: &str) -> Result<Arc<Answer>, ResolveError> {
        let known = self.shared.answers.get(host).await;
        if let Some(answer) = known {
            if answer.fresh_until <= Instant::now() && !answer.refreshing.swap(true, Relaxed) {
                self.refresh_in_background(host.to_owned(), Arc::clone(&answer));
            }
            return Ok(answer);
        }
        let looked_up = self
            .shared
            .answers
            .try_get_with(host.to_owned(), self.look_up(host))
            .await;
        looked_up.map_err(|error| (*error).clone())
    }

    fn refresh_in_background(&self, host: String, stale: Arc<Answer>) {
        let resolver = self.clone();
        tokio::spawn(async move {
            match resolver.look_up(&host).await {
                Ok(fresh) => resolver.shared.answers.insert(host, fresh).await,
                Err(error) => {
                    log::warn!("{error}; keeping its last addresses");
                    tokio::time::sleep(SHORTEST).await;
                    stale.refreshing.store(false, Relaxed);
                }
            }
        });
    }

    async fn look_up(&self, host: &str) -> Result<Arc<Answer>, ResolveError> {
        let Some(lookup) = &self.shared.lookup else {
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

/// Whether an address is of this machine or its network rather than of the internet, also where it is written within one of
/// IPv6.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments();
            let within = |high: u16, low: u16| {
                let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
                is_private(Ipv4Addr::new(a, b, c, d).into())
            };
            match (a, b, c, d, e, f) {
                // Unspecified, loopback, and IPv4 as it was once written.
                (0, 0, 0, 0, 0, 0) => true,
                // Mapped and translated (RFC 4291 §2.5.5.2, RFC 2765, RFC 6052, RFC 3056).
                (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) => within(g, h),
                (0x64, 0xff9b, 0, 0, 0, 0) => within(g, h),
                (0x64, 0xff9b, 1, ..) => true,
                (0x2002, high, low, ..) => within(high, low),
                _ => {
                    v6.is_multicast()
                        || v6.is_unique_local()
                        || v6.is_unicast_link_local()
                        || a & 0xffc0 == 0xfec0
                }
            }
        }
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
    use tokio::net::UdpSocket as Socket;

    use super::*;

    /// A DNS server that gives every name one address with a TTL of a second, or fails.
    struct Server {
        says: Arc<Mutex<Option<[u8; 4]>>>,
        asked: Arc<AtomicUsize>,
    }

    impl Server {
        async fn start() -> (Self, Resolver) {
            let socket = Socket::bind("127.0.0.1:0").await.unwrap();
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

    #[test]
    fn addresses_of_this_network_are_told_from_those_of_the_internet() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.19.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "93.184.216.34",
            "8.8.8.8",
            "2606:4700::1111",
            "100.128.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_name_that_a_caller_chose_never_leads_into_this_network_whatever_it_stood_for_before()
    {
        let (server, resolver) = Server::start().await;
        let guarded = resolver.public_only();
        server.say(Some([93, 184, 216, 34]));
        let found = guarded.lookup("api.example.com").await.unwrap();
        assert_eq!(found, ["93.184.216.34".parse::<IpAddr>().unwrap()]);
        // Rebound: whoever connects asks again, and is told no.
        server.say(Some([127, 0, 0, 1]));
        until(&resolver, "127.0.0.1").await;
        let error = guarded.lookup("api.example.com").await.unwrap_err();
        assert!(error.to_string().contains("private address"), "{error}");
        // For names that the configuration chose it is an address as any other.
        assert!(resolver.lookup("api.example.com").await.is_ok());
    }

    #[test]
    fn this_gateway_is_known_under_every_address_of_its_own() {
        let resolver = Resolver::with(None);
        let own = |text: &str| resolver.is_own(text.parse().unwrap());
        assert!(!own("127.0.0.1:9900"));
        resolver.set_own(vec![
            "127.0.0.1:9900".parse().unwrap(),
            "0.0.0.0:8080".parse().unwrap(),
        ]);
        for address in [
            "127.0.0.1:9900",
            "[::ffff:127.0.0.1]:9900",
            "0.0.0.0:9900",
            "127.0.0.1:8080",
            "127.1.2.3:8080",
            "0.0.0.0:8080",
        ] {
            assert!(own(address), "{address}");
        }
        for address in ["127.0.0.1:9901", "127.0.0.2:9900", "192.0.2.1:8080"] {
            assert!(!own(address), "{address}");
        }
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
            .shared
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
