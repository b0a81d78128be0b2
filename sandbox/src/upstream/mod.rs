//! An HTTP/1.1 server that misbehaves by script and keeps a ledger of what reached it.
//!
//! Speaks in raw bytes: what a well-made HTTP library would refuse to send is what must be tried.

mod answer;
mod fault;
mod wire;

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{AbortHandle, JoinHandle, JoinSet},
};

pub use self::fault::{Fault, Gate};
use self::{
    answer::{Answer, Content},
    wire::{Body, Wire},
};

/// A scripted server on loopback. Dropping it closes its listener and its connections.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    inner: Arc<Inner>,
    accepting: AbortHandle,
}

/// An address where nothing listens: connections to it are refused.
#[derive(Debug)]
pub struct Vacant {
    address: SocketAddr,
    _reserved: socket2::Socket,
}

/// One request that reached an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of the connection it came on, from 1.
    pub connection: usize,
    /// Method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Headers as sent, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes of body that came.
    pub body_length: u64,
    /// The body's beginning, at most 2 MiB.
    pub body: Bytes,
    /// Whether the body came to its end.
    pub complete: bool,
    /// Whether what it asks for was done.
    pub executed: bool,
    /// Whether the caller went away before it was answered.
    pub abandoned: bool,
}

impl Entry {
    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Inner {
    name: String,
    script: Mutex<VecDeque<Fault>>,
    always: Mutex<Fault>,
    ledger: Mutex<Vec<Entry>>,
    changed: Notify,
    accepted: AtomicUsize,
    open: AtomicUsize,
}

impl Upstream {
    /// Starts on a port that the system chooses.
    pub async fn start(name: &str) -> io::Result<Self> {
        Self::start_at(name, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts on this address.
    pub async fn start_at(name: &str, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            name: name.to_owned(),
            script: Mutex::default(),
            always: Mutex::new(Fault::None),
            ledger: Mutex::default(),
            changed: Notify::new(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let accepting: JoinHandle<()> = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Self {
            address,
            inner,
            accepting: accepting.abort_handle(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds faults for the next requests, one each. [`Fault::ResetAtAccept`] is used up by a connection.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.script.lock().extend(faults);
    }

    /// What goes wrong when the script is at its end; [`Fault::None`] to behave again.
    pub fn always(&self, fault: Fault) {
        *self.inner.always.lock() = fault;
    }

    /// Forgets script and ledger.
    pub fn reset(&self) {
        self.inner.script.lock().clear();
        self.always(Fault::None);
        self.inner.ledger.lock().clear();
    }

    /// Everything that reached it, in order.
    pub fn ledger(&self) -> Vec<Entry> {
        self.inner.ledger.lock().clone()
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.inner.accepted.load(SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.inner.open.load(SeqCst)
    }

    /// Waits until the ledger fulfils `wanted`; `false` when it does not within `patience`.
    pub async fn wait_until(&self, patience: Duration, wanted: impl Fn(&[Entry]) -> bool) -> bool {
        let end = Instant::now() + patience;
        loop {
            let changed = self.inner.changed.notified();
            if wanted(&self.inner.ledger.lock()) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let _ = tokio::time::timeout(left.min(Duration::from_millis(50)), changed).await;
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Vacant {
    /// Takes a port without listening on it.
    pub fn reserve() -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        Ok(Self {
            address: address.ok_or(io::ErrorKind::AddrNotAvailable)?,
            _reserved: socket,
        })
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Inner {
    fn next_fault(&self) -> Fault {
        let scripted = self.script.lock().pop_front();
        scripted.unwrap_or_else(|| self.always.lock().clone())
    }

    fn is_reset_at_accept(&self) -> bool {
        let mut script = self.script.lock();
        match script.front() {
            Some(Fault::ResetAtAccept) => {
                script.pop_front();
                true
            }
            Some(_) => false,
            None => *self.always.lock() == Fault::ResetAtAccept,
        }
    }

    fn enter(&self, entry: Entry) -> usize {
        let mut ledger = self.ledger.lock();
        ledger.push(entry);
        let at = ledger.len() - 1;
        drop(ledger);
        self.changed.notify_waiters();
        at
    }

    fn amend(&self, at: usize, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.ledger.lock().get_mut(at) {
            change(entry);
        }
        self.changed.notify_waiters();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let number = inner.accepted.fetch_add(1, SeqCst) + 1;
                if inner.is_reset_at_accept() {
                    reset(stream);
                    continue;
                }
                let _ = stream.set_nodelay(true);
                let inner = Arc::clone(&inner);
                inner.open.fetch_add(1, SeqCst);
                connections.spawn(async move {
                    // The peer's going away is its own business.
                    let _ = Box::pin(converse(stream, number, &inner)).await;
                    inner.open.fetch_sub(1, SeqCst);
                    inner.changed.notify_waiters();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Closes with RST instead of FIN.
fn reset(stream: TcpStream) {
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

async fn converse(stream: TcpStream, connection: usize, inner: &Inner) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head().await? {
        let fault = inner.next_fault();
        let at = inner.enter(Entry {
            connection,
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.headers.clone(),
            body_length: 0,
            body: Bytes::new(),
            complete: false,
            executed: false,
            abandoned: false,
        });
        if let Fault::EarlyStatus(code) = fault {
            let text =
                format!("HTTP/1.1 {code} Early\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            wire.stream.write_all(text.as_bytes()).await?;
            return wire.stream.shutdown().await;
        }
        if head
            .header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            wire.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        let mut body = Body::default();
        let read = wire.body(&head, &mut body).await;
        inner.amend(at, |entry| {
            entry.body_length = body.length;
            entry.body = Bytes::copy_from_slice(&body.kept);
            entry.complete = read.is_ok();
            entry.executed = read.is_ok() && fault.executes();
            entry.abandoned = read.is_err();
        });
        read?;
        if let Some(protocol) = head.header("upgrade").filter(|_| fault == Fault::None) {
            return Box::pin(upgrade(&mut wire, protocol)).await;
        }
        let answer = Answer::to(&inner.name, &head, &body);
        let acted = act(&mut wire.stream, answer, fault).await;
        if acted.is_err() {
            inner.amend(at, |entry| entry.abandoned = true);
        }
        match acted? {
            After::Keep => {}
            After::Close => return wire.stream.shutdown().await,
            After::Reset => {
                reset(wire.stream);
                return Ok(());
            }
            After::Wait => {
                let mut rest = [0; 1_024];
                while wire.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                inner.amend(at, |entry| entry.abandoned = true);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What becomes of the connection.
enum After {
    Keep,
    Close,
    Reset,
    /// Silence until the peer leaves.
    Wait,
}

async fn act(stream: &mut TcpStream, mut answer: Answer, fault: Fault) -> io::Result<After> {
    tokio::time::sleep(answer.wait).await;
    match fault {
        Fault::None | Fault::ResetAtAccept | Fault::EarlyStatus(_) => {}
        Fault::ResetBeforeHead | Fault::ResetAfterExecuting => return Ok(After::Reset),
        Fault::Hang => return Ok(After::Wait),
        Fault::Delay(pause) => tokio::time::sleep(pause).await,
        Fault::Held(gate) => {
            let Content::Pieces { piece, times, .. } = &answer.content else {
                gate.pass().await;
                write(stream, &answer).await?;
                return Ok(After::Keep);
            };
            stream.write_all(&answer.head()).await?;
            for _ in 0..*times {
                gate.pass().await;
                stream.write_all(&framed(piece)).await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
            return Ok(After::Keep);
        }
        Fault::Status(code, headers) => {
            answer = scripted(code);
            answer.headers.extend(
                headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        Fault::With(headers) => {
            answer.headers.extend(
                headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        Fault::StatusAfterExecuting(code) => answer = scripted(code),
        Fault::ResetMidBody => {
            half(stream, &answer).await?;
            // Let the half arrive before the reset overtakes it.
            tokio::time::sleep(Duration::from_millis(30)).await;
            return Ok(After::Reset);
        }
        Fault::Truncated => {
            half(stream, &answer).await?;
            return Ok(After::Close);
        }
        Fault::Stall => {
            half(stream, &answer).await?;
            return Ok(After::Wait);
        }
        Fault::TruncatedChunks => {
            let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
            stream.write_all(text.as_bytes()).await?;
            return Ok(After::Close);
        }
        Fault::SlowBody(pause) => {
            stream.write_all(&answer.head()).await?;
            let body = whole(&answer);
            for piece in body.chunks(body.len().div_ceil(16).max(1)) {
                tokio::time::sleep(pause).await;
                stream.write_all(piece).await?;
            }
            return Ok(After::Keep);
        }
        Fault::Interim(times) => {
            for _ in 0..times {
                stream
                    .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
                    .await?;
            }
        }
        Fault::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            return Ok(After::Close);
        }
        Fault::Trailing(bytes) => {
            write(stream, &answer).await?;
            stream.write_all(&bytes).await?;
            return Ok(After::Keep);
        }
        Fault::SilentClose => {
            write(stream, &answer).await?;
            return Ok(After::Close);
        }
    }
    write(stream, &answer).await?;
    Ok(After::Keep)
}

fn scripted(code: u16) -> Answer {
    let text = format!("{{\"scripted\":{code}}}\n");
    Answer::new(code, "application/json", Content::Whole(text.into()))
}

fn whole(answer: &Answer) -> Bytes {
    match &answer.content {
        Content::Whole(body) => body.clone(),
        Content::Pieces { piece, .. } => piece.clone(),
    }
}

/// The head, and half of the body it announces.
async fn half(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    stream.write_all(&answer.head()).await?;
    let body = whole(answer);
    stream.write_all(&body.slice(..body.len() / 2)).await
}

async fn write(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    match &answer.content {
        Content::Whole(body) => {
            let head = answer.head();
            let mut both = Vec::with_capacity(head.len() + body.len().min(16 * 1024));
            both.extend_from_slice(&head);
            if body.len() <= 16 * 1024 {
                both.extend_from_slice(body);
                return stream.write_all(&both).await;
            }
            stream.write_all(&both).await?;
            stream.write_all(body).await
        }
        Content::Pieces {
            piece,
            times,
            pause,
        } => {
            stream.write_all(&answer.head()).await?;
            let framed = framed(piece);
            for time in 0..*times {
                if time > 0 && !pause.is_zero() {
                    tokio::time::sleep(*pause).await;
                }
                stream.write_all(&framed).await?;
            }
            stream.write_all(b"0\r\n\r\n").await
        }
    }
}

/// A piece as one chunk.
fn framed(piece: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// Switches protocols and sends back whatever comes.
async fn upgrade(wire: &mut Wire, protocol: &str) -> io::Result<()> {
    let head =
        format!("HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n");
    wire.stream.write_all(head.as_bytes()).await?;
    let ahead = wire.take_ahead();
    wire.stream.write_all(&ahead).await?;
    let mut bytes = [0; 16 * 1024];
    loop {
        let read = wire.stream.read(&mut bytes).await?;
        let Some(piece) = bytes.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(());
        };
        wire.stream.write_all(piece).await?;
    }
}
