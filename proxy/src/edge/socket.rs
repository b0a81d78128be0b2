//! A client's connection below TLS and HTTP.
//!
//! Pingora reads and writes through it. It holds nothing while nothing passes: an idle connection costs no buffer.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, l4::socket::SocketAddr as Address,
    raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

/// Bytes that are read at once, however few whoever reads asks for: about a record of TLS, which rustls takes in four pieces.
const AT_ONCE: usize = 16 << 10;
/// Bytes that wait for what is written next, or for a flush: about a packet. A head is sent together with what follows.
const TOGETHER: usize = 1_460;

/// A TCP connection. What is written leaves when it is flushed, when there is much of it, or when it is read from.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    /// Read, and not yet taken.
    read: BytesMut,
    /// Written, and not yet sent.
    unsent: BytesMut,
    digest: Arc<SocketDigest>,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, peer: SocketAddr) -> Self {
        let digest = digest(&tcp, peer);
        Self {
            tcp,
            read: BytesMut::new(),
            unsent: BytesMut::new(),
            digest,
        }
    }

    /// Puts back what was read, to be read again first.
    pub(super) fn put_back(&mut self, head: &[u8]) {
        let mut read = BytesMut::from(head);
        read.extend_from_slice(&self.read);
        self.read = read;
    }

    /// Takes this for the client's address from here on.
    pub(super) fn comes_from(&mut self, client: SocketAddr) {
        self.digest = digest(&self.tcp, client);
    }

    /// Sends what waits, and of `next` what goes with it; how much of that.
    fn poll_send(&mut self, cx: &mut Context<'_>, next: &[u8]) -> Poll<io::Result<usize>> {
        while !self.unsent.is_empty() {
            let slices = [IoSlice::new(&self.unsent), IoSlice::new(next)];
            let sent = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, &slices))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let waited = self.unsent.len();
            if sent >= waited {
                self.unsent = BytesMut::new();
                if sent > waited {
                    return Poll::Ready(Ok(sent - waited));
                }
            } else {
                self.unsent.advance(sent);
            }
        }
        if next.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.tcp).poll_write(cx, next)
    }
}

impl Drop for Socket {
    /// An answer that breaks off is not flushed by anybody; what there is of it should arrive.
    fn drop(&mut self) {
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()), &[]);
    }
}

/// What Pingora wants to know of a connection.
fn digest(tcp: &TcpStream, peer: SocketAddr) -> Arc<SocketDigest> {
    let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
    // Fresh, so nothing is in it yet.
    let _ = digest.peer_addr.set(Some(Address::Inet(peer)));
    Arc::new(digest)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever waits for the client has nothing more to say now. An error is told to the next that writes.
        if !self.unsent.is_empty() {
            let _ = self.poll_send(cx, &[]);
        }
        if !self.read.is_empty() {
            let mut read: &[u8] = &self.read;
            ready!(Pin::new(&mut read).poll_read(cx, into))?;
            let left = read.len();
            let taken = self.read.len() - left;
            self.read.advance(taken);
            if left == 0 {
                self.read = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if into.remaining() >= AT_ONCE {
            return Pin::new(&mut self.tcp).poll_read(cx, into);
        }
        let mut space = [MaybeUninit::uninit(); AT_ONCE];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut read))?;
        let length = read.filled().len().min(into.remaining());
        let (now, later) = read.filled().split_at(length);
        into.put_slice(now);
        self.read.extend_from_slice(later);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.len() + bytes.len() <= TOGETHER {
            self.unsent.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.unsent.len() + length <= TOGETHER {
            for slice in slices {
                self.unsent.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(length));
        }
        ready!(self.poll_send(cx, &[]))?;
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            log::debug!("the client was gone before its connection was closed: {error}");
        }
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.tcp.as_raw_fd()
    }
}

impl Ssl for Socket {}

impl Peek for Socket {}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (near, peer) = accepted.unwrap();
        (Socket::new(near, peer), client.unwrap())
    }

    /// What can be read at once.
    fn there(client: &TcpStream) -> Vec<u8> {
        let mut space = vec![0; 1 << 20];
        match client.try_read(&mut space) {
            Ok(length) => space[..length].to_vec(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn what_is_little_waits_for_a_flush_and_leaves_with_what_is_much() {
        let (mut socket, mut client) = pair().await;
        socket.write_all(b"head").await.unwrap();
        socket.write_all(b"more").await.unwrap();
        assert_eq!(there(&client), b"");
        socket.flush().await.unwrap();
        client.readable().await.unwrap();
        assert_eq!(there(&client), b"headmore");
        // Nothing is held when nothing waits.
        assert_eq!(socket.unsent.capacity(), 0);
        socket.write_all(b"head").await.unwrap();
        let much = vec![b'x'; TOGETHER];
        socket.write_all(&much).await.unwrap();
        let mut seen = vec![0; 4 + TOGETHER];
        client.read_exact(&mut seen).await.unwrap();
        assert_eq!((&seen[..4], &seen[4..]), (&b"head"[..], &much[..]));
        socket.write_all(b"tail").await.unwrap();
        AsyncWriteExt::shutdown(&mut socket).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"tail");
        let (mut socket, mut client) = pair().await;
        socket.write_all(b"asked").await.unwrap();
        let mut nothing = [0; 8];
        let answered = async {
            client.read_exact(&mut nothing[..5]).await.unwrap();
            client.write_all(b"answered").await.unwrap();
        };
        let mut heard = [0; 8];
        let (read, ()) = tokio::join!(socket.read_exact(&mut heard), answered);
        assert_eq!((read.unwrap(), &heard), (8, b"answered"));
        socket.write_all(b"begun").await.unwrap();
        drop(socket);
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"tailbegun");
    }

    #[tokio::test]
    async fn every_byte_leaves_once_and_in_order_however_little_the_other_side_takes() {
        let (mut socket, mut client) = pair().await;
        let pieces: Vec<Vec<u8>> = (0..2_000_usize)
            .map(|number| vec![u8::try_from(number % 251).unwrap(); number * 7 % 9_000])
            .collect();
        let all = pieces.concat();
        let sending = tokio::spawn(async move {
            for (number, piece) in pieces.iter().enumerate() {
                if number % 3 == 0 {
                    let (near, far) = piece.split_at(piece.len() / 3);
                    let slices = [IoSlice::new(near), IoSlice::new(far)];
                    let sent = socket.write_vectored(&slices).await.unwrap();
                    socket.write_all(&piece[sent..]).await.unwrap();
                } else {
                    socket.write_all(piece).await.unwrap();
                }
                if number % 50 == 0 {
                    socket.flush().await.unwrap();
                }
            }
            AsyncWriteExt::shutdown(&mut socket).await.unwrap();
        });
        let mut seen = Vec::new();
        let mut space = vec![0; 30_000];
        loop {
            let length = client.read(&mut space).await.unwrap();
            if length == 0 {
                break;
            }
            seen.extend_from_slice(&space[..length]);
            if seen.len() % 5 == 0 {
                tokio::task::yield_now().await;
            }
        }
        sending.await.unwrap();
        assert!(seen == all, "{} bytes of {}", seen.len(), all.len());
    }

    #[tokio::test]
    async fn what_was_read_ahead_or_put_back_comes_first() {
        let (mut socket, mut client) = pair().await;
        client.write_all(b"0123456789").await.unwrap();
        let mut three = [0; 3];
        socket.read_exact(&mut three).await.unwrap();
        assert_eq!((&three, &socket.read[..]), (b"012", &b"3456789"[..]));
        socket.put_back(&three);
        client.write_all(b"rest").await.unwrap();
        drop(client);
        let mut seen = Vec::new();
        socket.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"0123456789rest");
        assert_eq!(socket.read.capacity(), 0);
    }
}
