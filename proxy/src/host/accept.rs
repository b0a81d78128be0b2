//! Accepts connections, and gives each to the thread that has the fewest.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use pingora_core::server::ShutdownWatch;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::{edge::front::Front, serve::home};

/// How long nothing is accepted when the system gives no connection, for want of open files for example.
const PAUSE: Duration = Duration::from_millis(100);

/// The threads that serve connections, each with a runtime of its own. A connection stays where it was put, and so does what
/// its requests start: no thread takes work from another. Dropping this ends them.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Connections that it has.
    open: Arc<AtomicUsize>,
    /// Dropped, it ends the thread; none where the runtime is the caller's own.
    _alive: Option<oneshot::Sender<()>>,
}

impl Workers {
    /// The runtime that this is called on, with no thread beside it.
    pub(super) fn here() -> Self {
        Self(vec![Worker {
            runtime: Handle::current(),
            open: Arc::default(),
            _alive: None,
        }])
    }

    /// Starts so many threads. A single one is the caller's own.
    ///
    /// # Errors
    ///
    /// When the system gives no thread, or none that can wait for sockets.
    ///
    /// # Panics
    ///
    /// For a single thread, when it is called outside of a runtime.
    pub fn start(threads: NonZeroUsize) -> io::Result<Self> {
        if threads == NonZeroUsize::MIN {
            return Ok(Self::here());
        }
        let start = |number: usize| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (alive, over) = oneshot::channel();
            let worker = Worker {
                runtime: runtime.handle().clone(),
                open: Arc::default(),
                _alive: Some(alive),
            };
            let name = format!("serve-{number}");
            thread::Builder::new().name(name).spawn(move || {
                home::set(number);
                let _ = runtime.block_on(over);
                // What blocks a thread of its own is not waited for.
                runtime.shutdown_background();
            })?;
            Ok(worker)
        };
        (1..=threads.get())
            .map(start)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Gives a connection to the thread that has the fewest.
    fn give(&self, tcp: TcpStream, peer: SocketAddr, front: &Arc<Front>, stop: &ShutdownWatch) {
        let fewest = self.0.iter().min_by_key(|worker| worker.open.load(Relaxed));
        let Some(worker) = fewest else { return };
        let had = Had::new(&worker.open);
        let (front, stop) = (Arc::clone(front), stop.clone());
        // Its runtime has to be the one that waits for it.
        let moved = tcp.into_std();
        worker.runtime.spawn(async move {
            let _had = had;
            match moved.and_then(TcpStream::from_std) {
                Ok(tcp) => front.connected(tcp, peer, stop).await,
                Err(error) => log::error!("a connection cannot be waited for: {error}"),
            }
        });
    }
}

/// A connection that a worker has.
struct Had(Arc<AtomicUsize>);

impl Had {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Had {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Accepts a listener's connections until the gateway stops.
pub(super) async fn accept(
    listener: TcpListener,
    front: Arc<Front>,
    workers: Arc<Workers>,
    stop: ShutdownWatch,
) {
    let (mut stopped, mut failing) = (stop.clone(), false);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                failing = false;
                // A client that has gone is seen when it is read from.
                let _ = tcp.set_nodelay(true);
                workers.give(tcp, peer, &front, &stop);
            }
            // The client has left again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    log::error!("no connection can be accepted: {error}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    front.closed().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_knows_which_it_is_and_ends_when_it_is_let_go_of() {
        let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let (say, said) = std::sync::mpsc::channel();
        for worker in &workers.0 {
            let say = say.clone();
            worker.runtime.spawn(async move {
                let name = thread::current().name().map(ToOwned::to_owned);
                say.send((home::here(), name)).unwrap();
                // Held until the runtime is gone.
                let _say = say;
                std::future::pending::<()>().await;
            });
        }
        drop(say);
        let mut heard: Vec<_> = said.iter().take(3).collect();
        heard.sort();
        let expected: Vec<_> = (1..=3).map(|n| (n, Some(format!("serve-{n}")))).collect();
        assert_eq!((heard, home::here()), (expected, 0));
        drop(workers);
        assert!(said.recv_timeout(Duration::from_secs(10)).is_err());
    }
}
