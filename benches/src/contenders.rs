//! Who is compared: a bare Pingora proxy, both ways through Isobar, and what people use instead. Each is started anew for
//! a workload, with one thread or worker, in front of the same upstream.

mod envoy;
mod haproxy;
mod isobar;
mod nginx;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub use isobar::gateway;

use crate::process::{PROXY_CORE, Running, command, free_port, installed, wait_for};

/// One way to stand before an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sixty lines over Pingora, no features: the floor.
    Floor,
    /// Isobar, which reads requests first.
    Exchange,
    /// Isobar, which passes bodies on as they come.
    Stream,
    /// Isobar, which takes the way that fits each request.
    Auto,
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
    /// Envoy.
    Envoy,
    /// The upstream itself, with nobody before it.
    Direct,
}

/// A proxy, with a key for the client, a rate limit, a hundred routes and an access log, or bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// Which.
    pub kind: Kind,
    /// Whether it has the features of Isobar's, as far as it has them at all.
    pub features: bool,
}

/// All that are asked for where nothing else is said; the first is what the others are measured against.
pub const CONTENDERS: [Contender; 6] = [
    Contender {
        kind: Kind::Floor,
        features: false,
    },
    Contender {
        kind: Kind::Exchange,
        features: true,
    },
    Contender {
        kind: Kind::Stream,
        features: true,
    },
    Contender {
        kind: Kind::Nginx,
        features: true,
    },
    Contender {
        kind: Kind::Haproxy,
        features: true,
    },
    Contender {
        kind: Kind::Envoy,
        features: true,
    },
];

/// The others without any feature.
pub const BARE: [Contender; 3] = [
    Contender {
        kind: Kind::Nginx,
        features: false,
    },
    Contender {
        kind: Kind::Haproxy,
        features: false,
    },
    Contender {
        kind: Kind::Envoy,
        features: false,
    },
];

/// What the features are, in words.
pub const FEATURES: &str = "Isobar: API key, rate limit, 100 routes, metrics, JSON access log to a file. nginx, HAProxy and Envoy: the same key asked for, \
     a rate limit, 100 routes and an access log to a file; \"bare\": none of these.";

impl Contender {
    /// What it is called in tables.
    pub fn name(self) -> String {
        let name = match self.kind {
            Kind::Floor => "bare Pingora",
            Kind::Exchange => "Isobar, exchange",
            Kind::Stream => "Isobar, stream",
            Kind::Auto => "Isobar",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "HAProxy",
            Kind::Envoy => "Envoy",
            Kind::Direct => "no proxy",
        };
        match (self.kind, self.features) {
            (Kind::Nginx | Kind::Haproxy | Kind::Envoy, false) => format!("{name}, bare"),
            _ => name.to_owned(),
        }
    }
}

/// A certificate of the listeners, in PEM files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Both in one file, as `HAProxy` wants them.
    pub both: PathBuf,
}

impl Certificate {
    /// Makes one for the host that clients ask for.
    pub fn make(folder: &Path) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed([crate::load::HOST.to_owned()])
            .map_err(io::Error::other)?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let files = Self {
            certificate: folder.join("site.pem"),
            key: folder.join("site.key"),
            both: folder.join("site.both"),
        };
        fs::write(&files.certificate, &certificate)?;
        fs::write(&files.key, &key)?;
        fs::write(&files.both, certificate + &key)?;
        Ok(files)
    }
}

/// What a workload wants of a proxy.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it passes requests on to.
    pub upstream: SocketAddr,
    /// Routes, the last of which are those that are asked for.
    pub routes: usize,
    /// TLS with HTTP/1.1 and HTTP/2.
    pub tls: Option<&'a Certificate>,
    /// Client connections at once.
    pub connections: u64,
    /// Threads that serve. With more than one, a contender has no core of its own.
    pub threads: usize,
}

/// The paths that are asked for; all other routes are beside them.
const PATHS: [&str; 3] = ["/v1/items/", "/bytes/", "/events/"];

/// Where contenders are started.
pub struct Ground<'a> {
    /// Where this build's programs are.
    pub folder: &'a Path,
    /// For their files.
    pub scratch: &'a Path,
    /// Whether proxies have a core of their own.
    pub pinned: bool,
    /// The upstream.
    pub origin: SocketAddr,
    /// Envoy, if there is one.
    pub envoy: Option<&'a Path>,
}

/// A proxy under test.
#[derive(Debug, Clone)]
pub struct Subject {
    /// As in tables.
    pub name: String,
    /// Which.
    pub contender: Contender,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: u32,
}

impl Subject {
    /// What a load is put on.
    pub fn at(&self) -> (SocketAddr, u32) {
        (self.address, self.process)
    }
}

impl Ground<'_> {
    /// The program of a contender; none where it is not installed.
    pub fn program(&self, kind: Kind) -> Option<PathBuf> {
        match kind {
            Kind::Floor => Some(self.folder.join("floor")),
            Kind::Exchange | Kind::Stream | Kind::Auto => Some(self.folder.join("isobar")),
            Kind::Nginx => installed("nginx"),
            Kind::Haproxy => installed("haproxy"),
            Kind::Envoy => self.envoy.map(Path::to_owned),
            Kind::Direct => None,
        }
    }

    /// Name and version of a contender, as it tells them.
    pub fn version(&self, kind: Kind) -> Option<String> {
        let flag = match kind {
            Kind::Floor | Kind::Direct => return None,
            Kind::Nginx | Kind::Haproxy => "-v",
            Kind::Exchange | Kind::Stream | Kind::Auto | Kind::Envoy => "--version",
        };
        let output = Command::new(self.program(kind)?).arg(flag).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| line.contains('.'))?.trim();
        Some(match line.split_once("version: ") {
            // The commit, the version, and how it was built.
            Some((_, version)) if kind == Kind::Envoy => {
                format!("Envoy {}", version.split('/').nth(1).unwrap_or(version))
            }
            _ => line.to_owned(),
        })
    }

    /// Starts a contender as it is wanted and waits until it listens; none if it is not installed.
    pub fn start<'a>(
        &self,
        contender: Contender,
        wants: impl FnOnce(&mut Wanted<'a>),
        running: &mut Running,
    ) -> io::Result<Option<Subject>> {
        if contender.kind == Kind::Direct {
            return Ok(Some(Subject {
                name: contender.name(),
                contender,
                address: self.origin,
                process: std::process::id(),
            }));
        }
        let Some(program) = self.program(contender.kind) else {
            return Ok(None);
        };
        let mut wanted = Wanted {
            address: free_port()?,
            upstream: self.origin,
            routes: 100,
            tls: None,
            connections: 4096,
            threads: 1,
        };
        wants(&mut wanted);
        // A folder of its own for the files of each.
        let home = self.scratch.join(wanted.address.port().to_string());
        fs::create_dir_all(&home)?;
        let pinned = self.pinned && wanted.threads == 1;
        let mut command = command(pinned, PROXY_CORE, &program);
        command
            .args(arguments(contender, &wanted, &home)?)
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(appended(&home.join("stdout.log"))?)
            .stderr(appended(&home.join("stderr.log"))?);
        let process = command.spawn()?;
        let id = process.id();
        running.extend([process]);
        wait_for(wanted.address).map_err(|error| {
            let said = fs::read_to_string(home.join("stderr.log")).unwrap_or_default();
            let name = contender.name();
            io::Error::other(format!("{name} does not answer: {error}\n{said}"))
        })?;
        Ok(Some(Subject {
            name: contender.name(),
            contender,
            address: wanted.address,
            process: id,
        }))
    }

    /// Empties the logs of all contenders, which append to them: an access log of minutes under load has gigabytes.
    pub fn empty_logs(&self) -> io::Result<()> {
        for home in fs::read_dir(self.scratch)? {
            let home = home?.path();
            for file in fs::read_dir(&home).into_iter().flatten() {
                let file = file?.path();
                if file.extension().is_some_and(|end| end == "log") {
                    fs::OpenOptions::new().write(true).open(&file)?.set_len(0)?;
                }
            }
        }
        Ok(())
    }
}

fn appended(file: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).open(file)
}

/// Writes a contender's configuration and returns its command line.
fn arguments(contender: Contender, wanted: &Wanted<'_>, home: &Path) -> io::Result<Vec<String>> {
    let write = |name: &str, text: String| -> io::Result<String> {
        let file = home.join(name);
        fs::write(&file, text)?;
        Ok(file.display().to_string())
    };
    let threads = wanted.threads.to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Ok(match contender.kind {
        Kind::Direct => Vec::new(),
        Kind::Floor => {
            let addresses = [wanted.address, wanted.upstream].map(|at| at.to_string());
            let mut words = addresses.to_vec();
            words.push(threads);
            if let Some(tls) = wanted.tls {
                words.push(tls.certificate.display().to_string());
                words.push(tls.key.display().to_string());
            }
            words
        }
        Kind::Exchange | Kind::Stream | Kind::Auto => {
            let mode = match contender.kind {
                Kind::Exchange => "exchange",
                Kind::Stream => "stream",
                _ => "auto",
            };
            let file = write("isobar.yaml", gateway(wanted, mode))?;
            words(&["serve", "--threads", &threads, "-c", &file])
        }
        Kind::Nginx => {
            let file = write(
                "nginx.conf",
                nginx::configuration(wanted, contender.features),
            )?;
            words(&["-p", &home.display().to_string(), "-c", &file])
        }
        Kind::Haproxy => {
            write("routes.map", haproxy::routes(wanted))?;
            let text = haproxy::configuration(wanted, contender.features);
            words(&["-db", "-f", &write("haproxy.cfg", text)?])
        }
        Kind::Envoy => {
            let text = envoy::configuration(wanted, contender.features).to_string();
            let file = write("envoy.json", text)?;
            words(&[
                "-c",
                &file,
                "--concurrency",
                &threads,
                "--disable-hot-restart",
                "--log-level",
                "error",
            ])
        }
    })
}

/// Prefixes of the routes that nobody asks for.
fn others(wanted: &Wanted<'_>) -> impl Iterator<Item = String> + use<> {
    (0..wanted.routes.saturating_sub(PATHS.len())).map(|number| format!("/v{number}/things/"))
}
