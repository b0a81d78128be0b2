//! One request, sent over and over on some connections.

use std::io;

use isobar_benches::{
    contenders::{BARE, CONTENDERS, Kind},
    load::{Body, Request, Way},
    process::{Running, forget_peak, peak},
    report::{Figure, Row, Section},
    rounds::alternate,
};

use super::bench::Bench;

/// Which protocol clients speak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speak {
    Plain,
    Tls,
    /// Over TLS, with so many requests at once on each connection.
    Http2(usize),
}

pub(super) struct Requests {
    pub(super) name: &'static str,
    title: &'static str,
    connections: usize,
    path: &'static str,
    /// Bytes of the body that is sent.
    post: Option<usize>,
    /// Bytes of a large body, sent or answered.
    large: Option<usize>,
    speak: Speak,
    /// Whether bare proxies run, too.
    bare: bool,
    /// Threads of each contender.
    threads: usize,
}

/// Larger bodies than this are not kept by Isobar (`replay` in its configuration), so that one way cannot serve them.
const KEPT: usize = 2 << 20;
/// Rounds of workloads whose requests are long.
const LONG_ROUNDS: usize = 7;
const MIB: usize = 1 << 20;

const SMALL: Requests = Requests {
    name: "json-32",
    title: "Small JSON, 32 connections",
    connections: 32,
    path: "/v1/items/42",
    post: None,
    large: None,
    speak: Speak::Plain,
    bare: false,
    threads: 1,
};

pub(super) const ALL: [Requests; 10] = [
    Requests {
        bare: true,
        ..SMALL
    },
    Requests {
        name: "json-1",
        title: "Small JSON, 1 connection",
        connections: 1,
        ..SMALL
    },
    Requests {
        name: "json-256",
        title: "Small JSON, 256 connections",
        connections: 256,
        ..SMALL
    },
    Requests {
        name: "threads",
        title: "Small JSON, 32 connections, two threads each",
        threads: 2,
        ..SMALL
    },
    Requests {
        name: "get-1m",
        title: "GET 1 MiB, 8 connections",
        connections: 8,
        path: "/bytes/1048576",
        large: Some(MIB),
        ..SMALL
    },
    Requests {
        name: "get-100m",
        title: "GET 100 MiB, 8 connections",
        connections: 8,
        path: "/bytes/104857600",
        large: Some(100 * MIB),
        ..SMALL
    },
    Requests {
        name: "post-1m",
        title: "POST 1 MiB, 8 connections",
        connections: 8,
        post: Some(MIB),
        large: Some(MIB),
        ..SMALL
    },
    Requests {
        name: "post-100m",
        title: "POST 100 MiB, 8 connections",
        connections: 8,
        post: Some(100 * MIB),
        large: Some(100 * MIB),
        ..SMALL
    },
    Requests {
        name: "tls",
        title: "Small JSON over TLS, HTTP/1.1, 32 connections",
        speak: Speak::Tls,
        ..SMALL
    },
    Requests {
        name: "h2",
        title: "Small JSON over TLS, HTTP/2, 4 connections with 8 requests at once on each",
        connections: 4,
        speak: Speak::Http2(8),
        ..SMALL
    },
];

impl Requests {
    pub(super) fn run(&self, bench: &Bench) -> io::Result<Section> {
        let mut contenders = CONTENDERS.to_vec();
        if self.bare {
            contenders.extend(BARE);
        }
        if self.post.is_some_and(|length| length > KEPT) {
            contenders.retain(|contender| contender.kind != Kind::Exchange);
        }
        let request = self.request(bench);
        let mut running = Running::default();
        let subjects = bench.subjects(
            &contenders,
            |wanted| {
                wanted.tls = (self.speak != Speak::Plain).then_some(&bench.certificate);
                wanted.threads = self.threads;
            },
            &mut running,
        )?;
        let (subjects, note) = bench.serving(subjects, &request);
        for subject in &subjects {
            forget_peak(subject.process)?;
        }
        // Large bodies want more time for as many requests.
        let long = self.large.is_some_and(|size| size > 10 * MIB);
        let (rounds, stretch) = if long {
            (bench.arguments.rounds.min(LONG_ROUNDS), 2.0)
        } else {
            (bench.arguments.rounds, 1.0)
        };
        let warm_up = match self.large {
            None => 2_000,
            Some(size) if size <= MIB => 64,
            Some(_) => 8,
        };
        let load = bench.load(bench.arguments.seconds * stretch, warm_up);
        let samples = alternate(self.name, rounds, &subjects, |subject| {
            let loaded = load.on(subject.at(), self.connections, &request);
            bench.ground().empty_logs()?;
            loaded.map_err(|error| io::Error::other(format!("{}: {error}", subject.name)))
        })?;
        let mut rows = Vec::new();
        for (subject, kept) in subjects.iter().zip(&samples) {
            let rate = match self.large {
                None => Figure::gain("requests/s", kept.iter().map(|loaded| loaded.rate())),
                Some(size) => {
                    let rates = kept.iter().map(|loaded| loaded.rate() * mib(size));
                    Figure::gain("MiB/s", rates)
                }
            };
            let cpu = match self.large {
                None => Figure::cost(
                    "CPU µs/request",
                    kept.iter().map(|loaded| loaded.cpu_each()),
                ),
                Some(size) => Figure::cost(
                    "CPU µs/MiB",
                    kept.iter().map(|loaded| loaded.cpu_each() / mib(size)),
                ),
            };
            rows.push(Row {
                name: subject.name.clone(),
                figures: vec![
                    cpu.compared(),
                    rate.compared(),
                    Figure::cost("p50 µs", kept.iter().map(|loaded| loaded.p50.into())),
                    Figure::cost("p99 µs", kept.iter().map(|loaded| loaded.p99.into())).compared(),
                    Figure::cost("peak MiB", [in_mib(peak(subject.process)?)]),
                ],
            });
        }
        Ok(Section {
            key: self.name.to_owned(),
            title: self.title.to_owned(),
            note: note.trim().to_owned(),
            rows,
        })
    }

    fn request<'a>(&self, bench: &'a Bench) -> Request<'a> {
        let certificate = &*bench.certificate.certificate;
        Request {
            body: self.post.map_or(Body::None, Body::Length),
            way: match self.speak {
                Speak::Plain => Way::Plain,
                Speak::Tls => Way::Tls(certificate),
                Speak::Http2(streams) => Way::Http2(certificate, streams),
            },
            ..Request::get(self.path)
        }
    }
}

/// Bytes in MiB.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
pub(super) fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn mib(bytes: usize) -> f64 {
    in_mib(bytes as u64)
}
