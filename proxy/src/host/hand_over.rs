//! Sockets that pass from a running gateway to its successor, so that an upgrade refuses no connection.
//!
//! The running one listens on a unix socket in its state folder, which only its own user reaches. A successor says hello and
//! is given the listening sockets themselves (SCM_RIGHTS) with the addresses that they were configured by. It starts on them
//! beside the running one, and when it serves it says so; from then on the running one accepts nothing more and drains. A
//! successor that does not get so far changes nothing. The connection between the two stays open until the older one has
//! left, so that the newer knows when it can offer its own.

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::PermissionsExt as _, net::UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt as _, sync::oneshot, task::JoinHandle};

/// Name of the unix socket within the state folder.
const NAME: &str = "hand-over.sock";
/// Whose it is: a file that is locked by the gateway which offers its sockets.
const LOCK: &str = "hand-over.lock";
/// Words of the two, one a line.
const HELLO: &str = "isobar hand-over 1\n";
const READY: &str = "ready\n";
const LEAVING: &str = "leaving\n";
/// Time for a message that is due at once, and for a successor to start.
const SOON: Duration = Duration::from_secs(10);
const START: Duration = Duration::from_mins(2);
/// Sockets that one message may carry: every listener and the admin port.
const MOST: usize = 128;
/// Longest list of them.
const LONGEST: usize = 64 * 1024;

/// A listening socket, under the address that it was configured by.
pub(super) type Kept = Arc<Mutex<Vec<(SocketAddr, TcpListener)>>>;

/// What goes with the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    process: u32,
    /// In the order of the sockets.
    addresses: Vec<SocketAddr>,
}

/// A running gateway whose sockets are taken over.
#[derive(Debug)]
pub struct Predecessor {
    stream: BufReader<UnixStream>,
    listeners: Vec<(SocketAddr, TcpListener)>,
    process: u32,
}

/// Resolves when the older gateway has left.
#[derive(Debug)]
pub struct Gone(oneshot::Receiver<()>);

impl Gone {
    /// Waits for that.
    pub async fn wait(&mut self) {
        // Nobody who could tell is as good as gone.
        let _ = (&mut self.0).await;
    }
}

impl Predecessor {
    /// Asks the gateway of a state folder for its sockets. Blocks for some seconds at most.
    ///
    /// # Errors
    /// When no gateway is there, or it does not give them.
    pub fn ask(state: &Path) -> io::Result<Self> {
        let path = state.join(NAME);
        let mut stream = UnixStream::connect(&path).map_err(|error| {
            let why = format!(
                "no running gateway offers its sockets at {} ({error}): is one running with this `state`? \
                 One that took over a moment ago offers them when the one before has left",
                path.display()
            );
            io::Error::new(error.kind(), why)
        })?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        stream.write_all(HELLO.as_bytes())?;
        let (text, sockets) = receive(&stream)?;
        let letter: Letter = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if letter.addresses.len() != sockets.len() {
            return Err(io::Error::other(
                "the running gateway sent fewer sockets than addresses",
            ));
        }
        let listeners = sockets.into_iter().map(TcpListener::from);
        Ok(Self {
            listeners: letter.addresses.into_iter().zip(listeners).collect(),
            stream: BufReader::new(stream),
            process: letter.process,
        })
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// The socket that was configured by this address, once.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let found = self
            .listeners
            .iter()
            .position(|(known, _)| *known == address)?;
        Some(self.listeners.remove(found).1)
    }

    /// Tells it to leave, since its successor serves. Sockets that were not taken are closed here. Blocks for some seconds at
    /// most.
    fn relieve(mut self) -> io::Result<UnixStream> {
        self.listeners.clear();
        self.stream.get_mut().write_all(READY.as_bytes())?;
        let mut said = String::new();
        self.stream.read_line(&mut said)?;
        if said != LEAVING {
            return Err(io::Error::other(
                "the older gateway does not say that it leaves",
            ));
        }
        Ok(self.stream.into_inner())
    }
}

impl super::Host {
    /// Tells the older gateway to leave, now that this one serves.
    ///
    /// # Errors
    /// When it does not answer; it may go on then, on the same sockets.
    pub async fn relieve(&self, predecessor: Predecessor) -> io::Result<Gone> {
        let stream = tokio::task::spawn_blocking(move || predecessor.relieve());
        let stream = stream.await.map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            // Nothing more is said: what ends is its process, or its last word.
            while let Ok(1..) = stream.read(&mut [0; 16]).await {}
            let _ = tell.send(());
        });
        Ok(Gone(told))
    }

    /// Offers this gateway's sockets to a successor that is started with the same state folder.
    ///
    /// # Errors
    /// When no unix socket can be made there, or another gateway offers its own.
    pub fn offer(&self, state: &Path) -> io::Result<Offer> {
        fs::create_dir_all(state)?;
        let path = state.join(NAME);
        let lock = File::create(state.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                let why = "another running gateway has the same `state`, and offers its own";
                io::Error::new(io::ErrorKind::AddrInUse, why)
            }
            TryLockError::Error(error) => error,
        })?;
        // One that a killed process left behind.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let kept = Arc::clone(&self.kept);
        let (tell, taken) = oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                };
                let kept = Arc::clone(&kept);
                let given = tokio::task::spawn_blocking(move || give(stream.into_std()?, &kept));
                match given.await.map_err(io::Error::other).flatten() {
                    Ok(stream) => {
                        let _ = tell.send(stream);
                        return;
                    }
                    Err(error) => log::warn!("a successor did not take over: {error}"),
                }
            }
        });
        Ok(Offer {
            path,
            taken,
            task,
            _lock: lock,
        })
    }
}

/// A unix socket at which a successor is waited for.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    taken: oneshot::Receiver<UnixStream>,
    task: JoinHandle<()>,
    _lock: File,
}

/// The connection to a successor that serves. Dropping it says that this gateway has left.
#[derive(Debug)]
pub struct Successor {
    stream: UnixStream,
}

impl Offer {
    /// Resolves when a successor serves; it waits to be told that this gateway leaves.
    pub async fn taken(&mut self) -> Successor {
        match (&mut self.taken).await {
            Ok(stream) => Successor { stream },
            // The task lives as long as this.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.task.abort();
        // The successor makes its own when this process has left.
        let _ = fs::remove_file(&self.path);
    }
}

impl Successor {
    /// Says that this gateway accepts nothing more.
    pub(super) fn told(&mut self) -> io::Result<()> {
        self.stream.write_all(LEAVING.as_bytes())
    }
}

/// Gives the sockets to a successor, and waits until it serves.
fn give(mut stream: UnixStream, kept: &Kept) -> io::Result<UnixStream> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    let other = rustix::net::sockopt::socket_peercred(&stream)?;
    if other.uid != rustix::process::geteuid() {
        return Err(io::Error::other("it runs as another user"));
    }
    let mut hello = vec![0; HELLO.len()];
    stream.read_exact(&mut hello)?;
    if hello != HELLO.as_bytes() {
        return Err(io::Error::other("it speaks another language"));
    }
    let (addresses, listeners): (Vec<SocketAddr>, Vec<TcpListener>) = {
        let kept = kept.lock();
        let clones = kept
            .iter()
            .map(|(address, listener)| Ok((*address, listener.try_clone()?)))
            .collect::<io::Result<Vec<_>>>()?;
        clones.into_iter().unzip()
    };
    let letter = Letter {
        process: std::process::id(),
        addresses,
    };
    let mut text = serde_json::to_vec(&letter)?;
    text.push(b'\n');
    let sockets: Vec<BorrowedFd<'_>> = listeners.iter().map(|listener| listener.as_fd()).collect();
    send(&stream, &text, &sockets)?;
    stream.set_read_timeout(Some(START))?;
    let mut ready = vec![0; READY.len()];
    stream.read_exact(&mut ready)?;
    if ready != READY.as_bytes() {
        return Err(io::Error::other("it does not say that it serves"));
    }
    Ok(stream)
}

/// Sends a line, and sockets with its first byte.
fn send(mut stream: &UnixStream, text: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other(format!(
            "more than {MOST} sockets cannot be handed over"
        )));
    }
    let sent = rustix::net::sendmsg(
        stream,
        &[IoSlice::new(text)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    stream.write_all(text.get(sent..).unwrap_or_default())
}

/// Receives a line, and the sockets that came with it.
fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut text, mut sockets) = (Vec::new(), Vec::new());
    let mut piece = vec![0; 4_096];
    while text.last() != Some(&b'\n') {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut piece)];
        let got = rustix::net::recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                sockets.extend(more);
            }
        }
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(piece.get(..got.bytes).unwrap_or_default());
        if text.len() > LONGEST {
            return Err(io::Error::other(
                "the running gateway sends too long a list",
            ));
        }
    }
    Ok((text, sockets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    #[test]
    fn sockets_arrive_with_what_is_written_about_them() {
        let (one, other) = UnixStream::pair().unwrap();
        let all: Vec<(SocketAddr, TcpListener)> = (0..70).map(|_| listener()).collect();
        let sockets: Vec<BorrowedFd<'_>> =
            all.iter().map(|(_, listener)| listener.as_fd()).collect();
        // Longer than what is read at once.
        let text = format!("{}\n", "x".repeat(10_000));
        send(&one, text.as_bytes(), &sockets).unwrap();
        let (read, got) = receive(&other).unwrap();
        assert_eq!(read, text.as_bytes());
        let got: Vec<SocketAddr> = got
            .into_iter()
            .map(|socket| TcpListener::from(socket).local_addr().unwrap())
            .collect();
        let sent: Vec<SocketAddr> = all.iter().map(|(address, _)| *address).collect();
        assert_eq!(got, sent);
    }

    #[test]
    fn one_that_speaks_another_language_gets_nothing() {
        let kept: Kept = Arc::new(Mutex::new(vec![listener()]));
        let (one, mut other) = UnixStream::pair().unwrap();
        other.write_all(&[b'x'; 100]).unwrap();
        assert!(give(one, &kept).is_err());
        assert!(receive(&other).is_err(), "a socket was sent");
    }

    #[test]
    fn one_that_does_not_get_to_serve_changes_nothing() {
        let kept: Kept = Arc::new(Mutex::new(vec![listener()]));
        let (one, mut other) = UnixStream::pair().unwrap();
        let giving = {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || give(one, &kept))
        };
        other.write_all(HELLO.as_bytes()).unwrap();
        let (text, sockets) = receive(&other).unwrap();
        let letter: Letter = serde_json::from_slice(&text).unwrap();
        assert_eq!((letter.addresses.len(), sockets.len()), (1, 1));
        drop((other, sockets));
        assert!(giving.join().unwrap().is_err());
        assert_eq!(kept.lock().len(), 1);
    }
}
