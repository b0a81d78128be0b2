//! Closed-loop load: so many connections, each sends its next request when the last is answered.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use isobar_benches::Loaded;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    address: SocketAddr,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    #[arg(long, default_value = "/v1/items/42")]
    path: String,
    /// Bytes to POST; GET without
    #[arg(long)]
    post: Option<usize>,
    /// File to POST
    #[arg(long, conflicts_with = "post")]
    body: Option<PathBuf>,
    /// Media type of the body
    #[arg(long)]
    content_type: Option<String>,
    /// Value of `authorization`
    #[arg(long, default_value = "Bearer bench-key-0123456789abcdef")]
    authorization: String,
    /// Requests sent before any is counted, over all connections
    #[arg(long, default_value_t = 2_000)]
    warm_up: usize,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let loaded = runtime.block_on(run(&arguments))?;
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

async fn run(arguments: &Arguments) -> io::Result<Loaded> {
    let body = match (&arguments.body, arguments.post) {
        (Some(file), _) => Some(std::fs::read(file)?),
        (None, length) => length.map(|length| vec![b'x'; length]),
    };
    let mut request = format!(
        "{} {} HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: load\r\naccept: */*\r\nauthorization: {}\r\n",
        if body.is_some() { "POST" } else { "GET" },
        arguments.path,
        arguments.authorization,
    )
    .into_bytes();
    if let Some(body) = &body {
        request.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    if let Some(media_type) = &arguments.content_type {
        request.extend_from_slice(format!("content-type: {media_type}\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(&body.unwrap_or_default());

    let mut streams = Vec::new();
    for _ in 0..arguments.connections {
        let stream = TcpStream::connect(arguments.address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let each = arguments.warm_up.div_ceil(arguments.connections);
    let mut warming = JoinSet::new();
    for mut stream in streams {
        let request = request.clone();
        warming.spawn(async move {
            for _ in 0..each {
                exchange(&mut stream, &request).await?;
            }
            Ok::<_, io::Error>(stream)
        });
    }
    let mut streams = Vec::new();
    while let Some(warm) = warming.join_next().await {
        streams.push(warm.map_err(io::Error::other)??);
    }

    let began = Instant::now();
    let end = began + Duration::from_secs_f64(arguments.seconds);
    let mut running = JoinSet::new();
    for mut stream in streams {
        let request = request.clone();
        running.spawn(async move {
            let (mut latencies, mut errors) = (Vec::with_capacity(64 * 1024), 0);
            while Instant::now() < end {
                let sent = Instant::now();
                match exchange(&mut stream, &request).await {
                    Ok(true) => latencies
                        .push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX)),
                    Ok(false) => errors += 1,
                    Err(_) => {
                        errors += 1;
                        break;
                    }
                }
            }
            (latencies, errors)
        });
    }
    let (mut all, mut errors) = (Vec::new(), 0);
    while let Some(done) = running.join_next().await {
        let (latencies, failed) = done.map_err(io::Error::other)?;
        all.extend(latencies);
        errors += failed;
    }
    let seconds = began.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |share: usize| {
        all.get(all.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    Ok(Loaded {
        requests: all.len() as u64,
        errors,
        seconds,
        p50: at(50),
        p99: at(99),
    })
}

/// One request and its whole answer; whether it was 200.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<bool> {
    stream.write_all(request).await?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer.parse(&buffer).map_err(io::Error::other)?;
        let httparse::Status::Complete(head) = parsed else {
            continue;
        };
        let length = answer
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .and_then(|header| {
                std::str::from_utf8(header.value)
                    .ok()?
                    .parse::<usize>()
                    .ok()
            })
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        let ok = answer.code == Some(200);
        let mut left = (head + length).saturating_sub(buffer.len());
        buffer.clear();
        buffer.reserve(left.min(256 * 1024));
        while left > 0 {
            buffer.clear();
            let read = stream.read_buf(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(read);
        }
        return Ok(ok);
    }
}
