//! `isobar serve` as a child process, with everything it writes kept.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use isobar_tests::{Seen, eventually, see};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_isobar");

/// A folder with a configuration and with what each run of it wrote.
pub(crate) struct Place {
    folder: TempDir,
    runs: usize,
    /// What `state.shared` is to say, as YAML.
    pub(crate) shared: Option<String>,
}

/// A running gateway. Dropping it kills it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    errors: PathBuf,
}

impl Place {
    /// A folder with this configuration, which begins with `isobar`, `listen`, `admin`, `state` and `log`.
    pub(crate) fn new(rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let place = Self {
            folder,
            runs: 0,
            shared: None,
        };
        place.write("127.0.0.1:0".parse().unwrap(), rest);
        place
    }

    /// Replaces the configuration, as editors do it: written beside, then moved over.
    pub(crate) fn write(&self, listen: SocketAddr, rest: &str) {
        let at = |name: &str| self.path(name).display().to_string();
        let shared = self.shared.as_ref();
        let shared = shared.map_or_else(String::new, |shared| format!(", shared: {shared}"));
        let text = format!(
            "isobar: 1\nlisten: [ {{ http: \"{listen}\" }} ]\nadmin: \"127.0.0.1:0\"\n\
             state: {{ folder: \"{}\"{shared} }}\nlog: {{ access: \"file:{}\" }}\n{rest}",
            at("state"),
            at("access.log"),
        );
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.config()).unwrap();
    }

    /// Replaces the configuration by something that is none.
    pub(crate) fn break_it(&self) {
        fs::write(self.path("new"), "isobar: 1\nlisten: nonsense\nroutes: [").unwrap();
        fs::rename(self.path("new"), self.config()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("isobar.yaml")
    }

    /// Files that lie in a folder of this place.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The access log so far.
    pub(crate) fn access_log(&self) -> String {
        fs::read_to_string(self.path("access.log")).unwrap_or_default()
    }

    pub(crate) async fn start(&mut self) -> Running {
        self.start_with(&[]).await
    }

    /// Starts the gateway on the sockets of the one that runs here.
    pub(crate) async fn upgrade(&mut self) -> Running {
        self.launch(&["--upgrade"], &[]).await
    }

    /// Starts the gateway with so many threads that serve.
    pub(crate) async fn start_on(&mut self, threads: usize) -> Running {
        self.launch(&["--threads", &threads.to_string()], &[]).await
    }

    /// Starts the gateway with these variables and waits until it says where it serves.
    pub(crate) async fn start_with(&mut self, variables: &[(&str, &str)]) -> Running {
        self.launch(&[], variables).await
    }

    async fn launch(&mut self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        self.runs += 1;
        let errors = self.path(&format!("stderr-{}", self.runs));
        let output = self.path(&format!("stdout-{}", self.runs));
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .env("TMPDIR", self.path("tmp"))
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).unwrap())
            .stderr(fs::File::create(&errors).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut is_up = false;
        let settled = async || {
            is_up = address_in(&errors, "admin    http://").is_some();
            is_up || child.try_wait().unwrap().is_some()
        };
        let started = eventually(PATIENCE, settled).await && is_up;
        let told = fs::read_to_string(&errors).unwrap();
        assert!(started, "not started: {told}");
        Running {
            address: address_in(&errors, "serving  http://").unwrap(),
            admin: address_in(&errors, "admin    http://").unwrap(),
            child,
            errors,
        }
    }
}

fn address_in(file: &Path, before: &str) -> Option<SocketAddr> {
    let text = fs::read_to_string(file).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(before))?;
    // A line that is still being written has no end yet.
    text.contains("reloads; Ctrl-C")
        .then(|| line.split('/').next()?.parse().ok())?
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it said on standard error.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Where that is written.
    pub(crate) fn said_at(&self) -> PathBuf {
        self.errors.clone()
    }

    pub(crate) async fn says(&self, words: &str) {
        let heard = eventually(PATIENCE, async || self.said().contains(words)).await;
        assert!(heard, "`{words}` was not said: {}", self.said());
    }

    pub(crate) async fn signal(&self, name: &str) {
        assert!(send(name, self.id()).await);
    }

    /// SIGKILL: no handler runs.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it has left by itself; its exit code.
    pub(crate) async fn left(mut self) -> Option<i32> {
        let left = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        left.expect("it does not leave").unwrap().code()
    }

    /// A figure of `/proc/ID/status`, in KiB.
    pub(crate) fn memory(&self, figure: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(figure))
            .unwrap();
        let number = line
            .trim_start_matches(':')
            .trim()
            .trim_end_matches("kB")
            .trim();
        number.parse().unwrap()
    }

    pub(crate) async fn admin(&self, method: &str, path: &str) -> Seen {
        let url = format!("http://{}{path}", self.admin);
        see(client().request(method.parse().unwrap(), url)).await
    }
}

/// Sends a signal; whether there was a process to send it to. A shell has `kill` where no package for it is installed.
pub(crate) async fn send(name: &str, id: u32) -> bool {
    let mut kill = Command::new("sh");
    kill.arg("-c").arg(format!("kill {name} {id}"));
    kill.output().await.unwrap().status.success()
}

pub(crate) fn client() -> reqwest::Client {
    // The gateway is another process; nobody here has chosen one yet. A second time it is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    client.build().unwrap()
}
