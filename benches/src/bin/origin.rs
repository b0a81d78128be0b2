//! The upstream of every bench: reads heads, answers from memory. `/bytes/N` answers N bytes, any other path 200 bytes
//! of JSON; `/events/N/GAP` sends N server-sent events, GAP microseconds apart, each with the time at which it leaves. Bodies
//! are read and dropped. Two vendors' paths have answers as those vendors give them, and `/heard`,
//! `/mood` and `/people` those of a composition's three calls.

use std::{
    io,
    time::{Duration, SystemTime},
};

use isobar_benches::{HEARD, MOOD, PEOPLE, SMALL, TRANSLATED, answer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream));
        }
    })
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let json = |body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let heard = String::from_utf8(answer(2 * 1024)).map_err(io::Error::other)?;
    let (small, heard, translated) = (json(SMALL), json(&heard), json(TRANSLATED));
    let calls = (json(HEARD), json(MOOD), json(PEOPLE));
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(head)) = request.parse(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let length = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .and_then(|header| {
                std::str::from_utf8(header.value)
                    .ok()?
                    .parse::<usize>()
                    .ok()
            })
            .unwrap_or_default();
        let size = request
            .path
            .and_then(|path| path.strip_prefix("/bytes/")?.parse::<usize>().ok());
        let events = request.path.and_then(events);
        let whole = match request.path {
            Some(path) if path.contains("/v1/listen") => heard.as_bytes(),
            Some(path) if path.contains("/v2/translate") => translated.as_bytes(),
            Some("/heard") => calls.0.as_bytes(),
            Some("/mood") => calls.1.as_bytes(),
            Some("/people") => calls.2.as_bytes(),
            _ => small.as_bytes(),
        };
        let here = buffer.len() - head;
        buffer.drain(..head + here.min(length));
        let mut left = length.saturating_sub(here);
        let mut sink = vec![0; left.min(256 * 1024)];
        while left > 0 {
            let most = left.min(sink.len());
            let read = stream
                .read(sink.get_mut(..most).unwrap_or_default())
                .await?;
            if read == 0 {
                return Ok(());
            }
            left -= read;
        }
        if let Some((count, gap)) = events {
            send_events(&mut stream, count, gap).await?;
            continue;
        }
        match size {
            None => stream.write_all(whole).await?,
            Some(size) => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                let piece = vec![b'x'; size.min(256 * 1024)];
                let mut left = size;
                while left > 0 {
                    let most = left.min(piece.len());
                    stream
                        .write_all(piece.get(..most).unwrap_or_default())
                        .await?;
                    left -= most;
                }
            }
        }
    }
}

/// How many events are asked for, and how far apart.
fn events(path: &str) -> Option<(u32, Duration)> {
    let (count, gap) = path.strip_prefix("/events/")?.split_once('/')?;
    Some((
        count.parse().ok()?,
        Duration::from_micros(gap.parse().ok()?),
    ))
}

/// The first event follows the head after as long as each follows the one before.
async fn send_events(stream: &mut TcpStream, count: u32, gap: Duration) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for _ in 0..count {
        tokio::time::sleep(gap).await;
        let now = SystemTime::UNIX_EPOCH.elapsed().map_err(io::Error::other)?;
        let event = format!("data: {}\n\n", now.as_nanos());
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        stream.write_all(chunk.as_bytes()).await?;
    }
    stream.write_all(b"0\r\n\r\n").await
}
