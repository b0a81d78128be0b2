//! Closed-loop load: so many clients, each sends its next request when the last is answered.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;
use isobar_benches::{
    load::{BEARER, Loaded},
    process::cpu,
    spread::percentile,
};
use tokio::task::JoinSet;

use super::{h1, h2, wire::Dialer};

#[derive(Args)]
pub(super) struct Arguments {
    pub(super) address: SocketAddr,
    #[arg(long, default_value_t = 32)]
    pub(super) connections: usize,
    #[arg(long, default_value_t = 5.0)]
    pub(super) seconds: f64,
    #[arg(long, default_value = "/v1/items/42")]
    pub(super) path: String,
    /// Bytes to POST; GET without
    #[arg(long)]
    post: Option<usize>,
    /// File to POST
    #[arg(long, conflicts_with = "post")]
    body: Option<PathBuf>,
    /// Media type of the body
    #[arg(long)]
    pub(super) content_type: Option<String>,
    /// Value of `authorization`
    #[arg(long, default_value = BEARER)]
    pub(super) authorization: String,
    /// Requests sent before any is counted, over all connections
    #[arg(long, default_value_t = 2_000)]
    pub(super) warm_up: usize,
    /// Speak TLS with a server of this certificate
    #[arg(long)]
    pub(super) certificate: Option<PathBuf>,
    /// Speak HTTP/2, with so many GETs at once on each connection
    #[arg(long, requires = "certificate", conflicts_with_all = ["post", "body"])]
    pub(super) streams: Option<usize>,
    /// Calls of which `Server-Timing` tells, `first,one|other`: says what requests took beyond them
    #[arg(long)]
    calls: Option<h1::Calls>,
    /// Process whose processor time is told
    #[arg(long)]
    process: Option<u32>,
}

/// One client: a connection, or a stream of one.
pub(super) enum Client {
    Http1(h1::Client),
    Http2(h2::Client),
}

impl Client {
    /// One request and its whole answer.
    async fn exchange(&mut self) -> io::Result<h1::Answered> {
        match self {
            Self::Http1(client) => client.exchange().await,
            Self::Http2(client) => Ok(h1::Answered {
                ok: client.exchange().await?,
                calls: None,
            }),
        }
    }
}

pub(super) async fn run(arguments: &Arguments) -> io::Result<Loaded> {
    let clients = connect(arguments).await?;
    let each = arguments.warm_up.div_ceil(clients.len().max(1));
    let mut warming = JoinSet::new();
    for mut client in clients {
        warming.spawn(async move {
            for _ in 0..each {
                client.exchange().await?;
            }
            Ok::<_, io::Error>(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(warm) = warming.join_next().await {
        clients.push(warm.map_err(io::Error::other)??);
    }

    let spent = |process: Option<u32>| process.map_or(Ok(0.0), cpu);
    let before = spent(arguments.process)?;
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(arguments.seconds);
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let (mut latencies, mut errors) = (Vec::with_capacity(64 * 1024), 0);
            let mut beyond = Vec::new();
            // At least one, so that a server that answers nothing else than errors is found out.
            loop {
                let sent = Instant::now();
                match client.exchange().await {
                    Ok(answered) if answered.ok => {
                        let took = sent.elapsed();
                        latencies.push(micros(took));
                        beyond.extend(
                            answered
                                .calls
                                .map(|calls| micros(took.saturating_sub(calls))),
                        );
                    }
                    Ok(_) => errors += 1,
                    Err(_) => {
                        errors += 1;
                        break;
                    }
                }
                if Instant::now() >= end {
                    break;
                }
            }
            (latencies, beyond, errors)
        });
    }
    let (mut all, mut beyond, mut errors) = (Vec::new(), Vec::new(), 0);
    while let Some(done) = running.join_next().await {
        let (latencies, more, failed) = done.map_err(io::Error::other)?;
        all.extend(latencies);
        beyond.extend(more);
        errors += failed;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = spent(arguments.process)? - before;
    all.sort_unstable();
    beyond.sort_unstable();
    Ok(Loaded {
        requests: all.len() as u64,
        errors,
        seconds,
        p50: percentile(&all, 50),
        p99: percentile(&all, 99),
        beyond: (!beyond.is_empty()).then(|| percentile(&beyond, 50)),
        cpu,
    })
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

async fn connect(arguments: &Arguments) -> io::Result<Vec<Client>> {
    let certificate = arguments.certificate.as_deref();
    let mut clients = Vec::new();
    if let Some(streams) = arguments.streams {
        let dialer = Dialer::new(arguments.address, certificate, "h2")?;
        for _ in 0..arguments.connections {
            let connection = h2::connect(dialer.dial().await?, arguments).await?;
            clients.extend((0..streams).map(|_| Client::Http2(connection.clone())));
        }
        return Ok(clients);
    }
    let body = match (&arguments.body, arguments.post) {
        (Some(file), _) => Some(Bytes::from(std::fs::read(file)?)),
        (None, length) => length.map(|length| vec![b'x'; length].into()),
    };
    let request = h1::request(arguments, body);
    let dialer = Dialer::new(arguments.address, certificate, "http/1.1")?;
    for _ in 0..arguments.connections {
        let wire = dialer.dial().await?;
        let client = h1::Client::new(wire, request.clone(), arguments.calls.clone());
        clients.push(Client::Http1(client));
    }
    Ok(clients)
}
