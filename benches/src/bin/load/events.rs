//! Listeners to streams of events. Each event carries the time at which it left the upstream.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use clap::Args;
use isobar_benches::{
    load::{BEARER, HOST, Heard},
    spread::percentile,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use super::wire::{Dialer, Wire};

#[derive(Args)]
pub(super) struct Arguments {
    address: SocketAddr,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    pub(super) seconds: f64,
    #[arg(long, default_value = "/events/20/5000")]
    path: String,
}

/// What was heard on one connection.
#[derive(Default)]
struct Ear {
    streams: u64,
    reads: u64,
    first: Vec<u32>,
    later: Vec<u32>,
}

pub(super) async fn run(arguments: &Arguments) -> io::Result<Heard> {
    let dialer = Dialer::new(arguments.address, None, "http/1.1")?;
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let mut running = JoinSet::new();
    for _ in 0..arguments.connections {
        let mut wire = dialer.dial().await?;
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {HOST}\r\naccept: text/event-stream\r\nauthorization: {BEARER}\r\n\r\n",
            arguments.path
        );
        running.spawn(async move {
            let mut ear = Ear::default();
            while Instant::now() < end {
                wire.write_all(request.as_bytes()).await?;
                hear(&mut wire, &mut ear).await?;
            }
            Ok::<_, io::Error>(ear)
        });
    }
    let mut all = Ear::default();
    while let Some(done) = running.join_next().await {
        let ear = done.map_err(io::Error::other)??;
        all.streams += ear.streams;
        all.reads += ear.reads;
        all.first.extend(ear.first);
        all.later.extend(ear.later);
    }
    let quantiles = |delays: &mut Vec<u32>| {
        delays.sort_unstable();
        (percentile(delays, 50), percentile(delays, 99))
    };
    Ok(Heard {
        streams: all.streams,
        events: (all.first.len() + all.later.len()) as u64,
        reads: all.reads,
        first: quantiles(&mut all.first),
        later: quantiles(&mut all.later),
    })
}

/// One stream, to its last chunk.
async fn hear(wire: &mut Box<dyn Wire>, ear: &mut Ear) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(8 * 1024);
    let (mut in_body, mut events) = (false, 0);
    loop {
        let mut before = buffer.len();
        if wire.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = SystemTime::UNIX_EPOCH.elapsed().map_err(io::Error::other)?;
        if !in_body {
            let Some(end) = find(&buffer, b"\r\n\r\n") else {
                continue;
            };
            if !buffer.starts_with(b"HTTP/1.1 200") {
                let head = String::from_utf8_lossy(&buffer).into_owned();
                return Err(io::Error::other(head));
            }
            buffer.drain(..end + 4);
            (in_body, before) = (true, 0);
        }
        let fresh = buffer.get(before..).unwrap_or_default().trim_ascii_start();
        // Some of an event, or the frame of one; not the end of the stream alone.
        ear.reads += u64::from(!fresh.is_empty() && !fresh.starts_with(b"0\r\n"));
        while let Some(end) = find(&buffer, b"\n\n") {
            let sent = buffer
                .get(..end)
                .and_then(|text| std::str::from_utf8(text).ok()?.rsplit_once("data: "))
                .and_then(|(_, sent)| sent.parse::<u64>().ok())
                .ok_or_else(|| io::Error::other("an event that the upstream did not send"))?;
            buffer.drain(..end + 2);
            let delay = now.saturating_sub(Duration::from_nanos(sent));
            let delay = u32::try_from(delay.as_micros()).unwrap_or(u32::MAX);
            let kept = if events == 0 {
                &mut ear.first
            } else {
                &mut ear.later
            };
            kept.push(delay);
            events += 1;
        }
        if buffer.ends_with(b"0\r\n\r\n") {
            ear.streams += 1;
            return Ok(());
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}
