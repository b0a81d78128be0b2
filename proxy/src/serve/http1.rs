//! A connection of HTTP/1.1 to a vendor.
//!
//! It has no task of its own: the request that uses it drives it, until the answer is through. So nothing is woken twice
//! for one answer, and a request that is dropped closes its connection. Nobody drives an idle connection; what happened
//! to it meanwhile is seen when it is taken out again.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    os::fd::AsFd as _,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use isobar_adapters::Fault;
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    task::coop::unconstrained,
};
use tokio_rustls::client::TlsStream;

use super::{
    body::Replay,
    client::INTERIM,
    framing::{self, Decoded, Decoder, Framing},
};

/// Bytes that are read at once at first, and at most: as many as come.
const READ: (usize, usize) = (8 * 1024, 512 * 1024);
/// Bytes of a body that are taken before they are written.
const QUEUE: usize = 256 * 1024;
/// Pieces of a body that are written at once.
const PIECES: usize = 16;
/// A piece up to this size is copied behind the head.
const SMALL: usize = 4 * 1024;
/// Room for writing that an idle connection keeps.
const WRITTEN: usize = 16 * 1024;

type Plain = TokioIo<TcpStream>;

/// What a connection lies on.
pub(super) enum Socket {
    Plain(TcpStream),
    Secure(Box<TlsStream<TokioIo<Plain>>>),
}

/// One connection.
pub(super) struct Connection {
    socket: Socket,
    sending: Sending,
    /// Read, and not yet understood.
    read: Bytes,
    /// For what is read next; what is in it belongs before that.
    room: BytesMut,
    /// Bytes to read at once.
    ahead: usize,
    answer: Decoder,
    /// It may serve another request.
    stays: bool,
}

/// A request on its way out.
#[derive(Default)]
struct Sending {
    /// The head, what is small of the body, and what stands between chunks.
    out: Vec<u8>,
    /// How much of it has been taken.
    taken: usize,
    /// What follows it.
    pieces: VecDeque<Bytes>,
    /// Bytes in the pieces.
    queued: usize,
    /// The body, while there is more of it.
    body: Option<(Replay, Framing)>,
    /// The socket has taken something.
    began: bool,
    /// What the socket has taken may not have left.
    unflushed: bool,
    /// The socket takes no more.
    refused: bool,
}

/// What became of a request that was not answered.
pub(super) enum Lost {
    /// Nothing of it was sent.
    Unsent(Box<Request<Replay>>),
    Broken(Fault),
}

impl From<MaybeHttpsStream<Plain>> for Socket {
    fn from(stream: MaybeHttpsStream<Plain>) -> Self {
        match stream {
            MaybeHttpsStream::Http(stream) => Self::Plain(stream.into_inner()),
            MaybeHttpsStream::Https(stream) => Self::Secure(Box::new(stream.into_inner())),
        }
    }
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            sending: Sending::default(),
            read: Bytes::new(),
            room: BytesMut::new(),
            ahead: READ.0,
            answer: Decoder::Over,
            stays: true,
        }
    }

    /// Has the current runtime wait for the socket from here on: what another's wakes comes late.
    pub(super) fn move_here(&mut self) -> io::Result<()> {
        let tcp = match &mut self.socket {
            Socket::Plain(tcp) => tcp,
            Socket::Secure(tls) => tls.get_mut().0.inner_mut().inner_mut(),
        };
        let copy = tcp.as_fd().try_clone_to_owned()?;
        *tcp = TcpStream::from_std(copy.into())?;
        Ok(())
    }

    /// Sends a request, whose URI is path and query, and waits for the answer's head. More of the body is sent while its
    /// answer is read.
    pub(super) async fn send(&mut self, request: Request<Replay>) -> Result<Response<()>, Lost> {
        let framing = self.sending.begin(&request);
        let head = self.sending.out.len();
        let (parts, body) = request.into_parts();
        let (waiting, sending) = match framing {
            Framing::Length(0) => (Some(body), None),
            Framing::Length(_) | Framing::Chunked => (None, Some((body, framing))),
        };
        self.sending.body = sending;
        // Until the answer's head is here, nothing but its end would make this connection fit for another request.
        self.stays = false;
        let mut interim = 0;
        let answered = poll_fn(|cx| {
            if self.poll_send(cx).is_err() {
                return Poll::Ready(Err(Some(Fault::Reset)));
            }
            if self.sending.refused && !self.sending.began {
                return Poll::Ready(Err(None));
            }
            self.poll_head(cx, &parts.method, &mut interim)
                .map_err(Some)
        });
        match answered.await {
            Ok(answer) => Ok(answer),
            Err(Some(fault)) => Err(Lost::Broken(fault)),
            Err(None) => {
                let body = waiting.or_else(|| self.sending.untaken(head));
                Err(body.map_or(Lost::Broken(Fault::Reset), |body| {
                    Lost::Unsent(Box::new(Request::from_parts(parts, body)))
                }))
            }
        }
    }

    /// Whether the answer is through and another request may follow, as far as is known.
    pub(super) fn is_done(&self) -> bool {
        self.stays
            && self.answer == Decoder::Over
            && self.sending.is_done()
            && self.read.is_empty()
            && self.room.is_empty()
    }

    /// Lets go of what an idle connection does not need.
    pub(super) fn rest(&mut self) {
        if self.ahead > READ.0 {
            self.room = BytesMut::new();
        }
        self.sending.out.shrink_to(WRITTEN);
    }

    /// Whether nothing has come on an idle connection, not even its end; leaves nobody to be woken by it.
    pub(super) fn is_free(&mut self) -> bool {
        // A task that has had its turn would be told that nothing is there.
        let looked = unconstrained(poll_fn(|cx| self.poll_more(cx)));
        let mut nobody = Context::from_waker(Waker::noop());
        let is_silent = pin!(looked).poll(&mut nobody).is_pending();
        is_silent && self.is_done()
    }

    /// The next part of the answer's body; sends more of the request's meanwhile.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.poll_send(cx)?;
        loop {
            match self
                .answer
                .decode(&mut self.read)
                .map_err(io::Error::from)?
            {
                Decoded::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Decoded::Trailers(trailers) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Decoded::Over => return Poll::Ready(None),
                Decoded::More => {
                    if ready!(self.poll_more(cx))? == 0 {
                        self.answer.closed()?;
                        return Poll::Ready(None);
                    }
                }
            }
        }
    }

    /// Bytes of the answer's body that are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.answer.exact()
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        interim: &mut u32,
    ) -> Poll<Result<Response<()>, Fault>> {
        loop {
            let head = if self.read.is_empty() {
                Ok(None)
            } else {
                framing::read_head(&mut self.read, method)
            };
            match head.map_err(|_| Fault::Malformed)? {
                Some(head) => {
                    let status = head.answer.status();
                    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                        self.answer = head.body;
                        self.stays = head.stays;
                        return Poll::Ready(Ok(head.answer));
                    }
                    *interim += 1;
                    if *interim > INTERIM {
                        return Poll::Ready(Err(Fault::Malformed));
                    }
                }
                None => {
                    if ready!(self.poll_more(cx)).map_err(|_| Fault::Reset)? == 0 {
                        return Poll::Ready(Err(Fault::Reset));
                    }
                }
            }
        }
    }

    /// Reads what comes, behind what is not understood yet; no bytes when the connection is closed.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wanted = match self.answer {
            Decoder::Over => READ.0,
            Decoder::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(self.ahead),
            Decoder::UntilClosed | Decoder::Chunked { .. } => self.ahead,
        };
        // What is left of the last room will often do.
        let enough = wanted.min(self.ahead / 2);
        if self.room.capacity() - self.room.len() < enough || !self.read.is_empty() {
            self.room.reserve(wanted + self.read.len());
            self.room.extend_from_slice(&self.read);
            self.read = Bytes::new();
        }
        let offered = self.room.capacity() - self.room.len();
        let count = match &mut self.socket {
            Socket::Plain(stream) => ready!(pin!(stream.read_buf(&mut self.room)).poll(cx)),
            Socket::Secure(stream) => ready!(pin!(stream.read_buf(&mut self.room)).poll(cx)),
        }?;
        if count == offered {
            self.ahead = (self.ahead * 2).min(READ.1);
        } else if count < self.ahead / 4 {
            self.ahead = (self.ahead / 2).max(READ.0);
        }
        self.read = self.room.split().freeze();
        Poll::Ready(Ok(count))
    }

    /// Sends what can be sent. The error is the request's own: its body broke off, and must not seem whole.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let sending = &mut self.sending;
        loop {
            if sending.body.is_some() {
                sending.gather(cx)?;
            }
            let wrote = if sending.is_written() {
                if !sending.unflushed {
                    return Ok(());
                }
                self.socket.poll_flush(cx).map_ok(|()| {
                    sending.unflushed = false;
                })
            } else {
                sending.poll_write(&mut self.socket, cx)
            };
            match wrote {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return Ok(()),
                // There may be an answer all the same.
                Poll::Ready(Err(_)) => {
                    sending.refused = true;
                    sending.unflushed = false;
                    return Ok(());
                }
            }
        }
    }
}

impl Sending {
    /// Takes up a request's head.
    fn begin(&mut self, request: &Request<Replay>) -> Framing {
        self.out.clear();
        self.taken = 0;
        self.began = false;
        framing::write_head(&mut self.out, request)
    }

    /// Whether all that was gathered has been taken by the socket.
    fn is_written(&self) -> bool {
        self.refused || (self.taken == self.out.len() && self.pieces.is_empty())
    }

    /// Whether all of the request has left.
    fn is_done(&self) -> bool {
        self.body.is_none() && self.is_written() && !self.unflushed && !self.refused
    }

    /// Bytes that were gathered and not taken.
    fn waiting(&self) -> usize {
        self.queued + self.out.len() - self.taken
    }

    /// Takes pieces of the body that are there.
    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.waiting() < QUEUE && self.pieces.len() < PIECES && !self.refused {
            let Some((body, framing)) = &mut self.body else {
                return Ok(());
            };
            // With chunks around it, a body could not be had back from what was gathered.
            if *framing == Framing::Chunked && !self.began {
                return Ok(());
            }
            let data = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(frame)) => frame?.into_data().unwrap_or_default(),
                Poll::Ready(None) => {
                    match framing {
                        Framing::Length(0) => {}
                        Framing::Length(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        Framing::Chunked => self.push(Bytes::from_static(b"0\r\n\r\n")),
                    }
                    self.body = None;
                    return Ok(());
                }
            };
            if data.is_empty() {
                continue;
            }
            match framing {
                Framing::Length(left) => {
                    // What is beyond the length would be taken for another request.
                    *left = left
                        .checked_sub(data.len() as u64)
                        .ok_or(io::ErrorKind::InvalidData)?;
                    if *left == 0 {
                        self.body = None;
                    }
                    self.push(data);
                }
                Framing::Chunked => {
                    self.push(format!("{:x}\r\n", data.len()).into());
                    self.push(data);
                    self.push(Bytes::from_static(b"\r\n"));
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, data: Bytes) {
        if self.pieces.is_empty() && data.len() <= SMALL {
            self.out.extend_from_slice(&data);
            return;
        }
        self.queued += data.len();
        self.pieces.push_back(data);
    }

    fn poll_write(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = self.out.get(self.taken..).unwrap_or_default();
        let count = if self.pieces.is_empty() {
            ready!(socket.poll_write(cx, out))?
        } else {
            let mut slices = [IoSlice::new(&[]); PIECES + 4];
            let parts = std::iter::once(out).chain(self.pieces.iter().map(|piece| piece.as_ref()));
            let mut used = 0;
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            ready!(socket.poll_write_vectored(cx, slices))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.began = true;
        self.unflushed = matches!(socket, Socket::Secure(_));
        let first = count.min(out.len());
        self.taken += first;
        let mut rest = count - first;
        self.queued -= rest;
        while let Some(piece) = self.pieces.front_mut().filter(|_| rest > 0) {
            let part = rest.min(piece.len());
            piece.advance(part);
            rest -= part;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        if self.taken == self.out.len() {
            self.out.clear();
            self.taken = 0;
        } else if self.taken >= QUEUE {
            self.out.drain(..self.taken);
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// The body of a request of which nothing was taken by the socket, as it was before; `head` bytes are its head's.
    fn untaken(&mut self, head: usize) -> Option<Replay> {
        let mut first = BytesMut::from(self.out.get(head..)?);
        first.extend(self.pieces.drain(..).flatten());
        let rest = self.body.take().map(|(body, _)| body);
        Some(Replay::Returned {
            first: first.freeze(),
            rest: rest.map(Box::new),
        })
    }
}

impl Socket {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // What the kernel has taken is on its way.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;
    use hyper::client::conn::http1::handshake;
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    /// What a client makes of what a server sends, in text.
    type Seen = String;

    /// A server that reads a request's head, sends this in pieces of `step` bytes, and closes the connection.
    async fn served(raw: &'static [u8], step: usize) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut head = BytesMut::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            for piece in raw.chunks(step) {
                if stream.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        TcpStream::connect(address).await.unwrap()
    }

    fn request(method: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri("/")
            .header("host", "h")
    }

    fn seen(head: &Response<()>, body: &[u8], trailers: &http::HeaderMap, whole: bool) -> Seen {
        let body = if whole { body } else { b"broken" };
        format!(
            "{} {:?} {:?} {trailers:?}",
            head.status(),
            head.headers(),
            String::from_utf8_lossy(body)
        )
    }

    async fn ours(method: &str, stream: TcpStream) -> Seen {
        let mut connection = Connection::new(Socket::Plain(stream));
        let request = request(method).body(Replay::Once(Bytes::new())).unwrap();
        let Ok(head) = connection.send(request).await else {
            return "refused".to_owned();
        };
        let (mut body, mut trailers) = (Vec::new(), http::HeaderMap::new());
        loop {
            match poll_fn(|cx| connection.poll_frame(cx)).await {
                None => return seen(&head, &body, &trailers, true),
                Some(Err(_)) => return seen(&head, &body, &trailers, false),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().unwrap(),
                },
            }
        }
    }

    async fn hypers(method: &str, stream: TcpStream) -> Seen {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = request(method)
            .body(http_body_util::Empty::<Bytes>::new())
            .unwrap();
        let Ok(answer) = sender.send_request(request).await else {
            return "refused".to_owned();
        };
        let (head, body) = answer.into_parts();
        let head = Response::from_parts(head, ());
        match body.collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned().unwrap_or_default();
                seen(&head, &body.to_bytes(), &trailers, true)
            }
            Err(_) => seen(&head, b"", &http::HeaderMap::new(), false),
        }
    }

    #[tokio::test]
    async fn answers_are_what_hyper_makes_of_them() {
        const ANSWERS: &[&str] = &[
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 \r\nContent-Length: 3\r\nX-A: 1\r\nx-a:2 \r\n\r\nabcd",
            "HTTP/1.1 200 OK\ncontent-length: 1\n\na",
            "\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            "HTTP/1.1 599 Odd reason\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil it closes",
            "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.0 200 OK\r\n\r\nabc",
            "HTTP/1.1 204 No\r\n\r\n",
            "HTTP/1.1 304 No\r\ncontent-length: 12\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            "HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 1\r\n\r\na",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na;b=c\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nx: caf\u{e9}\r\ncontent-length: 0\r\n\r\n",
            // Broken in the head.
            "",
            "HTTP/1.1 200 OK\r\ncontent-le",
            "HTP/7 yes\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 0x3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            // Broken in the body.
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ];
        for method in ["GET", "HEAD"] {
            for raw in ANSWERS {
                for step in [1, 7, usize::MAX] {
                    let ours = ours(method, served(raw.as_bytes(), step).await).await;
                    let theirs = hypers(method, served(raw.as_bytes(), step).await).await;
                    assert_eq!(ours, theirs, "{method} {raw:?} by {step}");
                }
            }
        }
    }

    /// Two connected sockets.
    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        let near = Connection::new(Socket::Plain(near.unwrap()));
        (near, far.unwrap().0)
    }

    async fn whole(connection: &mut Connection) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(frame) = poll_fn(|cx| connection.poll_frame(cx)).await {
            body.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        body
    }

    #[tokio::test]
    async fn what_comes_unasked_makes_a_connection_unfit() {
        for unasked in [&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], b""] {
            let (mut near, mut far) = pair().await;
            let request = request("GET").body(Replay::Once(Bytes::new())).unwrap();
            far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
            assert!(near.send(request).await.is_ok());
            assert!(!near.is_done(), "the body is still to come");
            assert_eq!(whole(&mut near).await, b"ok");
            assert!(near.is_done() && near.is_free());
            if unasked.is_empty() {
                drop(far);
            } else {
                far.write_all(unasked).await.unwrap();
            }
            let Socket::Plain(stream) = &near.socket else {
                unreachable!()
            };
            stream.readable().await.unwrap();
            assert!(!near.is_free());
        }
    }

    #[tokio::test]
    async fn a_connection_moves_to_whoever_uses_it() {
        let make = || {
            let mut other = tokio::runtime::Builder::new_current_thread();
            let other = other.enable_all().build().unwrap();
            let (near, far) = other.block_on(pair());
            // Nobody runs it any more when the connection is used.
            (near, far.into_std().unwrap(), other)
        };
        let (mut near, far, other) = std::thread::spawn(make).join().unwrap();
        let mut far = TcpStream::from_std(far).unwrap();
        assert!(near.is_free());
        near.move_here().unwrap();
        let answer = async {
            let mut head = BytesMut::new();
            while !head.ends_with(b"\r\n\r\n") {
                far.read_buf(&mut head).await.unwrap();
            }
            // It is waited for by now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            far.write_all(answer).await.unwrap();
        };
        let request = request("GET").body(Replay::Once(Bytes::new())).unwrap();
        let used = async { tokio::join!(near.send(request), answer).0 };
        let used = tokio::time::timeout(Duration::from_secs(10), used).await;
        assert!(used.unwrap().is_ok());
        assert_eq!(whole(&mut near).await, b"ok");
        assert!(near.is_done() && near.is_free());
        other.shutdown_background();
    }

    #[tokio::test]
    async fn an_answer_before_the_end_of_the_request_is_heard_and_the_connection_given_up() {
        let (mut near, mut far) = pair().await;
        let body = Bytes::from(vec![b'x'; 32 << 20]);
        far.write_all(b"HTTP/1.1 413 Large\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
        let request = request("POST").body(Replay::Once(body)).unwrap();
        let answer = near.send(request).await.ok().unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(whole(&mut near).await, b"no");
        assert!(!near.is_done());
    }

    #[tokio::test]
    async fn a_long_body_arrives_whole_while_its_answer_is_read() {
        let (mut near, mut far) = pair().await;
        let pieces: Vec<_> = (0..4000_u32)
            .map(|number| Bytes::from(number.to_string().repeat(number as usize % 300)))
            .collect();
        let expected: Vec<u8> = pieces.iter().flatten().copied().collect();
        let left = expected.len() as u64;
        let pieces = super::super::body::Pieces::Here(Box::new(pieces.into_iter().map(Ok)));
        let request = request("POST")
            .body(Replay::Pieces { pieces, left })
            .unwrap();
        let far = tokio::spawn(async move {
            far.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await
                .unwrap();
            let mut got = BytesMut::new();
            while got.len() < expected.len() || !got.ends_with(&expected) {
                assert!(far.read_buf(&mut got).await.unwrap() > 0);
                far.write_all(b"1\r\n.\r\n").await.unwrap();
            }
            far.write_all(b"0\r\n\r\n").await.unwrap();
            far
        });
        assert!(near.send(request).await.is_ok());
        assert!(whole(&mut near).await.iter().all(|byte| *byte == b'.'));
        let _far = far.await.unwrap();
        assert!(near.is_free());
    }

    #[tokio::test]
    async fn a_body_in_small_pieces_is_not_copied_as_a_whole() {
        let (mut near, mut far) = pair().await;
        let Socket::Plain(stream) = &near.socket else {
            unreachable!()
        };
        // So that it takes parts of what it is given.
        let socket = socket2::SockRef::from(stream);
        socket.set_send_buffer_size(100_000).unwrap();
        let (piece, count) = (Bytes::from(vec![b'z'; SMALL]), 8_000);
        let left = (SMALL * count) as u64;
        let pieces = (0..count).map(move |_| Ok(piece.clone()));
        let request = request("POST")
            .body(Replay::Pieces {
                pieces: super::super::body::Pieces::Here(Box::new(pieces)),
                left,
            })
            .unwrap();
        let read = async {
            let (mut got, mut some) = (0, vec![0; 50_000]);
            while got < left {
                got += far.read(&mut some).await.unwrap() as u64;
            }
            far.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.unwrap();
        };
        // The head is in the first bytes that are counted: the answer comes with the last ones, or just before.
        let (answer, ()) = tokio::join!(near.send(request), read);
        assert!(answer.is_ok());
        assert!(near.sending.out.capacity() <= 4 * QUEUE);
    }

    #[tokio::test]
    async fn a_request_whose_body_breaks_off_is_not_ended() {
        let (mut near, mut far) = pair().await;
        let pieces = vec![Ok(Bytes::from_static(b"begun"))];
        let pieces = super::super::body::Pieces::Here(Box::new(pieces.into_iter()));
        let request = request("POST")
            .body(Replay::Pieces { pieces, left: 9 })
            .unwrap();
        assert!(matches!(
            near.send(request).await,
            Err(Lost::Broken(Fault::Reset))
        ));
        drop(near);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(!got.ends_with(b"begun") || got.len() < 200);
    }

    #[tokio::test]
    async fn a_request_of_which_nothing_was_taken_comes_back_whole() {
        let body = || Replay::Once(Bytes::from_static(b"small"));
        let large = || Replay::Once(Bytes::from(vec![b'x'; 100_000]));
        let pieces = || Replay::Pieces {
            pieces: super::super::body::Pieces::Here(Box::new(
                (0..100).map(|_| Ok(Bytes::from(vec![b'y'; 10_000]))),
            )),
            left: 1_000_000,
        };
        let none = || Replay::Once(Bytes::new());
        for (sent, expected) in [
            (body(), body()),
            (large(), large()),
            (pieces(), pieces()),
            (none(), none()),
        ] {
            let (mut near, _far) = pair().await;
            let Socket::Plain(stream) = &mut near.socket else {
                unreachable!()
            };
            stream.shutdown().await.unwrap();
            let request = request("POST").body(sent).unwrap();
            let Err(Lost::Unsent(request)) = near.send(request).await else {
                panic!("the socket took something")
            };
            let expected = expected.collect().await.unwrap().to_bytes();
            assert_eq!(request.method(), "POST");
            assert_eq!(
                request.body().size_hint().exact(),
                Some(expected.len() as u64)
            );
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert!(body == expected);
        }
    }
}
