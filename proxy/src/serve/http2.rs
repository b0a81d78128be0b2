//! HTTP/2 to one origin: connections that many requests share, and what their errors prove.
//!
//! Unlike those of HTTP/1, a connection has a task of its own, since no one request could drive it for the others. A
//! request never waits inside a connection for its turn: one that has no room is passed by, so that a request which was
//! not answered in time was sent.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    Ping, PingPong, Reason, RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{HeaderValue, Request, Response, Uri, Version, header, uri::Authority};
use http_body::{Body, Frame, SizeHint};
use isobar_adapters::{Evidence, Fault};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedMutexGuard,
};

use super::{
    body::Replay,
    client::INTERIM,
    framing::{HEAD, says_length},
    outgoing::is_grpc,
};

/// Requests that share a connection, where the server allows as many.
const STREAMS: usize = 100;
/// Connections to an origin that are kept when nothing runs on them.
const IDLE_CONNECTIONS: usize = 8;
/// Bytes of one answer that may be on their way to us, and of all answers of a connection.
const WINDOWS: (u32, u32) = (1024 * 1024, 4 * 1024 * 1024);
/// Bytes of one body that may wait to be written.
const UNWRITTEN: usize = 128 * 1024;
/// Time that a server has to answer the first ping, before which a connection serves one request only.
const SETTLE: Duration = Duration::from_secs(10);
/// Time between two looks whether a connection in use is alive, and the time that the server has to say so.
const LOOK: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Connections to one origin.
#[derive(Default)]
pub(super) struct Shared {
    links: Mutex<Vec<Arc<Link>>>,
    /// Whether the origin spoke HTTP/2 when it was last connected to.
    spoken: AtomicBool,
    /// Held while one request connects for others, too, until the server has said how many may share the connection.
    pub(super) connecting: Arc<tokio::sync::Mutex<()>>,
}

/// One connection.
struct Link {
    sender: SendRequest<Bytes>,
    running: AtomicUsize,
    /// The server has said how many requests it takes at once.
    settled: AtomicBool,
    /// Takes no more requests.
    over: AtomicBool,
    idle_since: Mutex<Instant>,
}

/// A place on a connection; dropping it gives it back.
pub(super) struct Place(Arc<Link>);

/// An answer's body as it comes; dropped before its end, it is called off.
pub(super) struct Coming {
    body: RecvStream,
    /// The request's body, while there is more of it to send.
    sending: Option<Sending>,
    /// What the answer's head says of its length.
    left: Option<u64>,
    over: bool,
    place: Place,
}

type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of a request that could not be answered.
pub(super) enum Lost {
    /// It was not processed, and may be sent on another connection; with its body, where nothing of that was taken.
    Unsent(Option<Replay>),
    Broken(Evidence),
}

impl Shared {
    /// Whether to look for a connection of HTTP/2 first.
    pub(super) fn is_spoken(&self) -> bool {
        self.spoken.load(Relaxed)
    }

    pub(super) fn set_spoken(&self, spoken: bool) {
        self.spoken.store(spoken, Relaxed);
    }

    /// A place on a connection that has one.
    pub(super) fn take(&self) -> Option<Place> {
        let mut links = self.links.lock();
        links.retain(|link| !link.over.load(Relaxed));
        let found = links.iter().find(|link| link.has_place());
        found.map(Place::on)
    }

    /// Begins a connection on a fresh socket, and gives a place on it. `connecting` is let go of when others may have one.
    pub(super) async fn begin<S>(
        &self,
        socket: S,
        connecting: Option<OwnedMutexGuard<()>>,
    ) -> Result<Place, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .max_send_buffer_size(UNWRITTEN)
            .max_header_list_size(HEAD);
        let (sender, mut connection) = builder.handshake(socket).await?;
        let link = Arc::new(Link {
            sender,
            running: AtomicUsize::new(0),
            settled: AtomicBool::new(false),
            over: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
        });
        let (pings, watched) = (connection.ping_pong(), Arc::downgrade(&link));
        tokio::spawn(async move {
            let is_used = || {
                let link = watched.upgrade();
                link.map(|link| link.running.load(Relaxed) > 0)
            };
            let looked_after = async {
                let Some(mut pings) = pings else {
                    return std::future::pending().await;
                };
                // What answers a ping has told its settings before.
                let answered = tokio::time::timeout(SETTLE, pings.ping(Ping::opaque())).await;
                if let Some(link) = watched.upgrade() {
                    link.settled.store(true, Relaxed);
                }
                drop(connecting);
                if answered.is_ok() {
                    unanswered(pings, is_used).await;
                }
            };
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        log::debug!("a connection of HTTP/2 ended: {error}");
                    }
                }
                () = looked_after => {}
            }
            if let Some(link) = watched.upgrade() {
                link.over.store(true, Relaxed);
            }
        });
        let place = Place::on(&link);
        self.links.lock().push(link);
        Ok(place)
    }

    /// Closes connections that have not been used for this long, and more than are kept idle; `false` when none is left.
    pub(super) fn sweep(&self, keep_alive: Duration) -> bool {
        let mut links = self.links.lock();
        let mut idle = 0;
        links.retain(|link| {
            if link.running.load(Relaxed) > 0 {
                return true;
            }
            idle += 1;
            let fresh = link.idle_since.lock().elapsed() < keep_alive;
            fresh && idle <= IDLE_CONNECTIONS && !link.over.load(Relaxed)
        });
        !links.is_empty()
    }
}

/// Resolves when the server of a connection in use does not answer a ping; never while `is_used` is `None` or false.
async fn unanswered(mut pings: PingPong, is_used: impl Fn() -> Option<bool>) {
    loop {
        tokio::time::sleep(LOOK.0).await;
        if is_used() == Some(true)
            && !matches!(
                tokio::time::timeout(LOOK.1, pings.ping(Ping::opaque())).await,
                Ok(Ok(_))
            )
        {
            return;
        }
    }
}

impl Link {
    fn has_place(&self) -> bool {
        let most = if self.settled.load(Relaxed) {
            STREAMS.min(self.sender.current_max_send_streams())
        } else {
            1
        };
        self.running.load(Relaxed) < most
    }
}

impl Place {
    fn on(link: &Arc<Link>) -> Self {
        link.running.fetch_add(1, Relaxed);
        Self(Arc::clone(link))
    }

    /// Sends a request and waits for the answer's head. `sent` is set when it may have left.
    pub(super) async fn send(
        self,
        request: Request<()>,
        body: Replay,
        sent: &AtomicBool,
    ) -> Result<Response<Coming>, Lost> {
        let is_empty = body.is_end_stream();
        let begun = match self.0.sender.clone().ready().await {
            Ok(mut sender) => sender.send_request(request, is_empty),
            Err(error) => Err(error),
        };
        let Ok((mut response, stream)) = begun else {
            self.distrust();
            return Err(Lost::Unsent(Some(body)));
        };
        sent.store(true, Relaxed);
        let mut sending = (!is_empty).then(|| Box::pin(pump(body, stream)) as Sending);
        let mut interim = 0;
        let answered = poll_fn(|cx| {
            go_on(&mut sending, cx);
            while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                interim += 1;
                if interim > INTERIM {
                    return Poll::Ready(None);
                }
            }
            Pin::<&mut ResponseFuture>::new(&mut response)
                .poll(cx)
                .map(Some)
        });
        let malformed = Lost::Broken(Evidence::Broken(Fault::Malformed));
        let (head, body) = match answered.await {
            None => {
                self.distrust();
                return Err(malformed);
            }
            Some(Ok(answer)) => answer.into_parts(),
            Some(Err(error)) => {
                if error.is_library() {
                    self.distrust();
                }
                return Err(lost(&error));
            }
        };
        let length = head.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let over = body.is_end_stream();
        let coming = Coming {
            left: if over { Some(0) } else { length },
            over,
            body,
            sending,
            place: self,
        };
        Ok(Response::from_parts(head, coming))
    }
}

impl Place {
    /// The connection takes no other request: it is lost, or the server broke the protocol on it.
    fn distrust(&self) {
        self.0.over.store(true, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Relaxed) == 1 {
            *self.0.idle_since.lock() = Instant::now();
        }
    }
}

/// Sends more of the request's body, if it can.
fn go_on(sending: &mut Option<Sending>, cx: &mut Context<'_>) {
    if let Some(pump) = sending
        && pump.as_mut().poll(cx).is_ready()
    {
        *sending = None;
    }
}

/// Sends a body as fast as the server takes it. What becomes of it shows in the answer.
async fn pump(mut body: Replay, mut stream: SendStream<Bytes>) {
    loop {
        let piece = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut body).poll_frame(cx).map(Some),
        });
        let mut data = match piece.await {
            None => return,
            Some(None) => {
                let _ = stream.send_data(Bytes::new(), true);
                return;
            }
            // The client's body broke off, and must not seem whole.
            Some(Some(Err(_))) => return stream.send_reset(Reason::CANCEL),
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => data,
                Err(_) => continue,
            },
        };
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
                return;
            };
            let part = data.split_to(room.min(data.len()));
            let last = data.is_empty() && body.is_end_stream();
            if stream.send_data(part, last).is_err() || last {
                return;
            }
        }
    }
}

/// What an error before the answer's head proves.
fn lost(error: &h2::Error) -> Lost {
    match error.reason() {
        // RFC 9113 §8.7: neither was processed. Of the streams of a connection that says goodbye, only those beyond the
        // last that it takes end with this.
        Some(Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => {
            Lost::Broken(Evidence::NotSent(Fault::Refused))
        }
        Some(Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => Lost::Unsent(None),
        Some(Reason::PROTOCOL_ERROR | Reason::FRAME_SIZE_ERROR | Reason::COMPRESSION_ERROR)
            if error.is_library() =>
        {
            Lost::Broken(Evidence::Broken(Fault::Malformed))
        }
        _ => Lost::Broken(Evidence::Broken(Fault::Reset)),
    }
}

/// The same request as HTTP/2 writes it: where it goes stands in its target, and nothing of the connection in its headers.
pub(super) fn head(request: Request<Replay>, origin: &Uri) -> Result<(Request<()>, Replay), Fault> {
    let (mut head, body) = request.into_parts();
    let host = head.headers.remove(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut target = origin.clone().into_parts();
    if let Some(authority) = authority {
        target.authority = Some(authority);
    }
    target.path_and_query = head.uri.into_parts().path_and_query;
    head.uri = Uri::from_parts(target).map_err(|_| Fault::Connect)?;
    head.version = Version::HTTP_2;
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
    ] {
        head.headers.remove(name);
    }
    if is_grpc(&head.headers) {
        // gRPC's servers take it for a sign that nobody on the way drops trailers.
        head.headers
            .insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(length) = body.size_hint().exact()
        && says_length(&head.method, length)
    {
        head.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok((Request::from_parts(head, ()), body))
}

/// The request that was made so, as HTTP/1 writes it.
pub(super) fn unhead(head: Request<()>, body: Replay) -> Request<Replay> {
    let (mut head, ()) = head.into_parts();
    let target = head.uri.into_parts();
    let host = target
        .authority
        .map(|host| HeaderValue::try_from(host.as_str()));
    if let Some(Ok(host)) = host {
        head.headers.insert(header::HOST, host);
    }
    head.uri = target.path_and_query.map(Uri::from).unwrap_or_default();
    head.version = Version::HTTP_11;
    head.headers.remove(header::TE);
    Request::from_parts(head, body)
}

impl Coming {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        go_on(&mut self.sending, cx);
        if self.over {
            return Poll::Ready(None);
        }
        match ready!(self.body.poll_data(cx)) {
            Some(Ok(data)) => {
                let length = data.len();
                // What was taken makes room for more.
                let _ = self.body.flow_control().release_capacity(length);
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(length as u64);
                }
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Some(Err(error)) => {
                if error.is_library() {
                    self.place.distrust();
                }
                self.over = true;
                return Poll::Ready(Some(Err(io::Error::other(error))));
            }
            None => {}
        }
        let trailers = ready!(self.body.poll_trailers(cx));
        self.over = true;
        Poll::Ready(match trailers {
            Ok(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
