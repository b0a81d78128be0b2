//! A Redis server of a test's own, where the program is installed.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::eventually;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server on a port of its own, that keeps nothing on the disk. Dropping it kills it.
pub struct Server {
    address: SocketAddr,
    /// Arguments besides those of every server.
    more: Vec<String>,
    /// What comes before the address in its URL.
    before: String,
    child: Child,
}

impl Server {
    /// Starts one; `None` where there is no `redis-server`.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn start() -> Option<Self> {
        Self::launched("redis://".to_owned(), |_| Vec::new()).await
    }

    /// Starts one that speaks TLS only, with this certificate, and wants a password.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn start_tls(certificate: &Path, key: &Path, password: &str) -> Option<Self> {
        let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
        Self::launched(format!("rediss://:{password}@"), |port| {
            [
                ["--port", "0"],
                ["--tls-port", port],
                ["--tls-cert-file", &certificate],
                ["--tls-key-file", &key],
                ["--tls-ca-cert-file", &certificate],
                ["--tls-auth-clients", "no"],
                ["--requirepass", password],
            ]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
        })
        .await
    }

    async fn launched(before: String, more: impl Fn(&str) -> Vec<String>) -> Option<Self> {
        for _ in 0..5 {
            // Another program may take the port in between: then the next one is tried.
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            let address = free.local_addr().ok()?;
            drop(free);
            let more = more(&address.port().to_string());
            if let Some(child) = launch(address, &more).await.ok()? {
                return Some(Self {
                    address,
                    more,
                    before,
                    child,
                });
            }
        }
        None
    }

    /// `redis://…`.
    pub fn url(&self) -> String {
        format!("{}{}", self.before, self.address)
    }

    /// Kills it.
    pub async fn stop(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    /// When it does not listen.
    #[expect(
        clippy::expect_used,
        reason = "a server that does not start fails the test"
    )]
    pub async fn start_again(&mut self) {
        let launched = launch(self.address, &self.more).await.ok().flatten();
        self.child = launched.expect("the server starts again");
    }

    /// Keeps it from answering, with its connections open.
    pub async fn pause(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on.
    pub async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        if let Some(id) = self.child.id() {
            let mut kill = Command::new("sh");
            let _ = kill
                .arg("-c")
                .arg(format!("kill -{name} {id}"))
                .output()
                .await;
        }
    }
}

/// An error where there is no such program; nothing when it ended by itself.
async fn launch(address: SocketAddr, more: &[String]) -> io::Result<Option<Child>> {
    let started = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args([
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            "/tmp",
            "--daemonize",
            "no",
        ])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = started?;
    let mut ended = false;
    let up = eventually(PATIENCE, async || {
        ended = child.try_wait().is_ok_and(|left| left.is_some());
        ended || TcpStream::connect(address).await.is_ok()
    });
    let up = up.await && !ended;
    Ok(up.then_some(child))
}
