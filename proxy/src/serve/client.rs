//! The HTTP client for passing requests on, one for each account, and what its errors prove.

use std::{
    collections::VecDeque,
    error::Error as StdError,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use hyper_rustls::{
    DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, MaybeHttpsStream,
    ResolveServerName,
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use isobar_adapters::{Evidence, Fault};
use isobar_config::{ClientTls, Protocol};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::sync::OwnedMutexGuard;
use tower_service::Service;

use super::{
    body::Replay,
    home,
    http1::{self, Connection},
    http2::{self, Place, Shared},
    resolver::{ResolveError, Resolver},
    trust,
};

/// Idle connections kept for each account.
const IDLE_CONNECTIONS: usize = 256;
/// Times that a request which was not processed is sent again on another connection of HTTP/2.
const UNPROCESSED: usize = 3;

/// Interim answers (1xx) that a vendor may send before the final one.
pub(crate) const INTERIM: u32 = 16;

type Connector = HttpsConnector<HttpConnector<Resolver>>;
/// A connection of HTTP/1, which lies still where it was made.
type Link = Box<Connection>;

/// Keeps connections to one account.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    resolver: Resolver,
    /// Scheme, host and port.
    origin: Uri,
    connect_timeout: Duration,
    keep_alive: Duration,
    protocol: Protocol,
    idle: Mutex<Idle>,
    /// Connections of HTTP/2.
    shared: Shared,
}

/// Connections that wait for a request, the longest idle first.
#[derive(Default)]
struct Idle {
    links: VecDeque<Resting>,
    /// Somebody closes those that wait too long.
    swept: bool,
}

/// A connection that waits.
struct Resting {
    link: Link,
    since: Instant,
    /// The runtime that waits for it.
    home: usize,
}

/// What a client needs to know; clients with equal settings can stand for each other across reloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) protocol: Protocol,
    pub(crate) tls: Option<ClientTls>,
}

/// A fresh connection, by what the server speaks.
enum Opened {
    Alone(Link),
    Shared(Place),
}

/// What came of asking for HTTP/2.
enum Asked {
    Answered(Response<Coming>),
    /// The server speaks HTTP/1 now.
    Alone(Request<Replay>, Link),
}

/// An answer's body as it comes. Its connection is kept for other requests when all of it has come; when it is dropped
/// before, the connection of HTTP/1 is closed, and the stream of HTTP/2.
pub(crate) struct Coming(Way);

enum Way {
    /// Without its connection, the body is over.
    Alone(Option<Link>, Client),
    Shared(Box<http2::Coming>),
}

impl Client {
    /// A client for one origin: scheme, host and port.
    pub(crate) fn new(
        settings: &Settings,
        origin: Uri,
        resolver: Resolver,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        tcp.set_keepalive(Some(Duration::from_mins(1)));
        let own = settings.tls.as_ref();
        let mut tls = (*trust::client(tls, own)?).clone();
        let offered: &[&[u8]] = match settings.protocol {
            Protocol::Auto => &[b"h2", b"http/1.1"],
            Protocol::Http1 => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
        };
        tls.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let names: Arc<dyn ResolveServerName + Send + Sync> =
            match own.and_then(|own| own.server_name.clone()) {
                None => Arc::new(DefaultServerNameResolver::default()),
                Some(name) => {
                    let name = ServerName::try_from(name);
                    let name = name.map_err(|error| rustls::Error::General(error.to_string()))?;
                    Arc::new(FixedServerNameResolver::new(name))
                }
            };
        let shared = Shared::default();
        shared.set_spoken(settings.protocol == Protocol::Http2);
        Ok(Self(Arc::new(Inner {
            connector: HttpsConnector::new(tcp, tls, false, names),
            resolver,
            origin,
            connect_timeout: settings.connect_timeout,
            keep_alive: settings.keep_alive,
            protocol: settings.protocol,
            idle: Mutex::default(),
            shared,
        })))
    }

    /// Sends a request, whose URI is path and query, and waits for the answer's head until `over` resolves.
    pub(crate) async fn send(
        &self,
        request: Request<Replay>,
        over: impl Future<Output = ()>,
    ) -> Result<Response<Coming>, Evidence> {
        let asked_to_upgrade = request.headers().contains_key(header::UPGRADE);
        let connected = AtomicBool::new(false);
        let mut answered = pin!(self.answered(request, &connected));
        let answer = tokio::select! {
            biased;
            answered = &mut answered => answered?,
            () = over => {
                return Err(if connected.load(Relaxed) {
                    Evidence::Broken(Fault::Timeout)
                } else {
                    Evidence::NotSent(Fault::ConnectTimeout)
                });
            }
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !asked_to_upgrade {
            return Err(Evidence::Broken(Fault::UnaskedUpgrade));
        }
        Ok(answer)
    }

    async fn answered(
        &self,
        mut request: Request<Replay>,
        connected: &AtomicBool,
    ) -> Result<Response<Coming>, Evidence> {
        let mut ready = None;
        if self.0.shared.is_spoken() {
            match Box::pin(self.shared(request, None, connected)).await? {
                Asked::Answered(answer) => return Ok(answer),
                Asked::Alone(unsent, link) => (request, ready) = (unsent, Some(link)),
            }
        }
        loop {
            let (mut link, reused) = match ready.take() {
                Some(link) => (link, false),
                None => match self.take() {
                    Some(link) => (link, true),
                    // In a box: it is rare, and ten times as large as everything else here.
                    None => match Box::pin(self.connect(None)).await? {
                        Opened::Alone(link) => (link, false),
                        Opened::Shared(place) => {
                            match Box::pin(self.shared(request, Some(place), connected)).await? {
                                Asked::Answered(answer) => return Ok(answer),
                                Asked::Alone(unsent, link) => {
                                    request = unsent;
                                    (link, false)
                                }
                            }
                        }
                    },
                },
            };
            connected.store(true, Relaxed);
            match link.send(request).await {
                Ok(answer) => return Ok(answer.map(|()| self.coming(link))),
                // A kept connection that closed before it took the request proves that nothing was sent.
                Err(http1::Lost::Unsent(unsent)) if reused => request = *unsent,
                Err(http1::Lost::Unsent(_)) => return Err(Evidence::NotSent(Fault::Closed)),
                Err(http1::Lost::Broken(fault)) => return Err(Evidence::Broken(fault)),
            }
        }
    }

    /// Whether a connection waits for a request.
    pub(crate) fn has_idle(&self) -> bool {
        !self.0.idle.lock().links.is_empty()
    }

    /// Sends a request on a connection that it shares with others. One that was not processed is sent again where its body
    /// can be, on another connection.
    async fn shared(
        &self,
        request: Request<Replay>,
        mut ready: Option<Place>,
        connected: &AtomicBool,
    ) -> Result<Asked, Evidence> {
        let (head, body) = http2::head(request, &self.0.origin).map_err(Evidence::NotSent)?;
        let mut next = Some(body);
        for _ in 0..UNPROCESSED {
            let Some(body) = next.take() else { break };
            let place = match ready.take().or_else(|| self.0.shared.take()) {
                Some(place) => place,
                None => {
                    let connecting = Arc::clone(&self.0.shared.connecting).lock_owned().await;
                    match self.0.shared.take() {
                        Some(place) => place,
                        None => match Box::pin(self.connect(Some(connecting))).await? {
                            Opened::Shared(place) => place,
                            Opened::Alone(link) => {
                                self.0.shared.set_spoken(false);
                                let request = http2::unhead(head, body);
                                return Ok(Asked::Alone(request, link));
                            }
                        },
                    }
                }
            };
            let again = body.again();
            match place.send(head.clone(), body, connected).await {
                Ok(answer) => {
                    let answer = answer.map(|body| Coming(Way::Shared(Box::new(body))));
                    return Ok(Asked::Answered(answer));
                }
                Err(http2::Lost::Unsent(unsent)) => next = unsent.or(again),
                Err(http2::Lost::Broken(evidence)) => return Err(evidence),
            }
        }
        Err(Evidence::NotSent(Fault::Closed))
    }

    /// A fresh connection. Whoever waits for the turn may have a place on it when it is let go of.
    async fn connect(&self, turn: Option<OwnedMutexGuard<()>>) -> Result<Opened, Evidence> {
        let lost = |error: Box<dyn StdError + Send + Sync>| {
            Evidence::NotSent(connect_fault(error.as_ref()))
        };
        let mut connector = self.0.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await.map_err(lost)?;
        let connecting = connector.call(self.0.origin.clone());
        // The connector bounds only the time to be let in; encryption has to be settled within the same time.
        let socket = tokio::time::timeout(self.0.connect_timeout, connecting)
            .await
            .map_err(|_| Evidence::NotSent(Fault::ConnectTimeout))?
            .map_err(lost)?;
        let there = match &socket {
            MaybeHttpsStream::Http(stream) => stream.inner().peer_addr(),
            MaybeHttpsStream::Https(stream) => {
                stream.inner().get_ref().0.inner().inner().peer_addr()
            }
        };
        if there.is_ok_and(|there| self.0.resolver.is_own(there)) {
            log::error!(
                "`{}` is this gateway itself; nothing is sent",
                self.0.origin
            );
            return Err(Evidence::NotSent(Fault::Connect));
        }
        let speaks = match &socket {
            MaybeHttpsStream::Http(_) => self.0.protocol == Protocol::Http2,
            MaybeHttpsStream::Https(stream) => {
                let (_, session) = stream.inner().get_ref();
                session.alpn_protocol() == Some(b"h2")
            }
        };
        if speaks {
            let began = self.0.shared.begin(TokioIo::new(socket), turn).await;
            let place = began.map_err(|_| Evidence::NotSent(Fault::Closed))?;
            self.0.shared.set_spoken(true);
            self.sweep_later(&mut self.0.idle.lock());
            return Ok(Opened::Shared(place));
        }
        if self.0.protocol == Protocol::Http2 {
            return Err(Evidence::NotSent(Fault::Tls));
        }
        Ok(Opened::Alone(Box::new(Connection::new(socket.into()))))
    }

    fn coming(&self, link: Link) -> Coming {
        let mut way = Way::Alone(Some(link), self.clone());
        way.release();
        Coming(way)
    }

    /// An idle connection that still seems good, rather one of this thread's.
    fn take(&self) -> Option<Link> {
        let here = home::here();
        loop {
            let Resting {
                mut link,
                since,
                home,
            } = {
                let links = &mut self.0.idle.lock().links;
                let own = links.iter().rposition(|resting| resting.home == here);
                links.remove(own.or(links.len().checked_sub(1))?)?
            };
            let is_good = since.elapsed() < self.0.keep_alive && link.is_free();
            if is_good && (home == here || link.move_here().is_ok()) {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose answer is through, if it can be used again.
    fn keep(&self, mut link: Link) {
        if !link.is_done() {
            return;
        }
        link.rest();
        let mut idle = self.0.idle.lock();
        if idle.links.len() >= IDLE_CONNECTIONS {
            return;
        }
        idle.links.push_back(Resting {
            link,
            since: Instant::now(),
            // Whoever used it has opened it, or moved it.
            home: home::here(),
        });
        self.sweep_later(&mut idle);
    }

    /// Sees to it that somebody closes what is idle for too long.
    fn sweep_later(&self, idle: &mut Idle) {
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.0), self.0.keep_alive));
        }
    }
}

/// Closes connections that have been idle too long, until none is left.
async fn sweep(client: Weak<Inner>, keep_alive: Duration) {
    loop {
        tokio::time::sleep(keep_alive).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        let mut idle = client.idle.lock();
        while let Some(resting) = idle.links.front()
            && resting.since.elapsed() >= keep_alive
        {
            idle.links.pop_front();
        }
        let shared = client.shared.sweep(keep_alive);
        idle.swept = shared || !idle.links.is_empty();
        if !idle.swept {
            return;
        }
    }
}

impl Way {
    /// Lets go of a connection whose answer is over.
    fn release(&mut self) {
        if let Self::Alone(link, client) = self
            && let Some(link) = link.take_if(|link| link.left() == Some(0))
        {
            client.keep(link);
        }
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let way = &mut self.0;
        match way {
            Way::Alone(None, _) => Poll::Ready(None),
            Way::Alone(Some(link), _) => {
                let frame = link.poll_frame(cx);
                way.release();
                frame
            }
            Way::Shared(coming) => coming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Way::Alone(link, _) => link.is_none(),
            Way::Shared(coming) => coming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Way::Alone(None, _) => SizeHint::with_exact(0),
            Way::Alone(Some(link), _) => link
                .left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            Way::Shared(coming) => coming.size_hint(),
        }
    }
}

/// Why there is no connection.
pub(crate) fn connect_fault(error: &(dyn StdError + 'static)) -> Fault {
    if find::<ResolveError>(error).is_some() {
        return Fault::Dns;
    }
    if find::<rustls::Error>(error).is_some() {
        return Fault::Tls;
    }
    match find::<io::Error>(error) {
        Some(io) if io.kind() == io::ErrorKind::TimedOut => Fault::ConnectTimeout,
        _ => Fault::Connect,
    }
}

/// What an error while reading an answer's body proves: it began and did not end.
pub(crate) fn body_evidence(error: &io::Error) -> Evidence {
    Evidence::Broken(match error.kind() {
        io::ErrorKind::InvalidData => Fault::Malformed,
        _ => Fault::Truncated,
    })
}

/// The first error of this type among the causes.
pub(crate) fn find<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(link) = next {
        if let Some(found) = link.downcast_ref::<E>() {
            return Some(found);
        }
        // What an I/O error was made of is not its source, but its source's source is.
        let inner = link
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => link.source(),
        };
    }
    None
}
