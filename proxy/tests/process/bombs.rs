//! Requests that are small on the wire and large when they are read, or that no reader comes to the end of: each is refused
//! quickly, takes no memory to speak of, and holds up nobody else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use isobar_sandbox::Upstream;
use isobar_tests::{Seen, raw, see, status_of, try_see};

use super::binary::{PATIENCE, Place, Running, client};

/// What may be added to the memory that a gateway has taken so far, in KiB.
const ROOM: u64 = 64 << 10;
/// Longest that a refusal may take; generous, for an unoptimised program on a busy machine.
const QUICK: Duration = Duration::from_secs(15);

const COMPOSITION: &str = "composition: all
expose: POST /v1/all
input:
  text: string
  list: { type: list(any), default: [] }
steps: { tongue: { use: text.language, with: { text: $.input.text } } }
output: { language: $.tongue.language, list: $.input.list }
";

const WITH_FILE: &str = "composition: file
expose: POST /v1/file
input: { file: blob, note: string? }
steps: { heard: { use: speech.transcribe, with: { audio: $.input.file } } }
output: { text: $.heard.text, note: $.input.note }
";

async fn start() -> (Upstream, Place, Running) {
    let a = Upstream::start("a").await.unwrap();
    let mut place = Place::new("");
    let folder = place.path("compositions");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("all.yaml"), COMPOSITION).unwrap();
    std::fs::write(folder.join("file.yaml"), WITH_FILE).unwrap();
    place.write(
        "127.0.0.1:0".parse().unwrap(),
        &format!(
            "accounts: {{ local: {{ vendor: local, address: \"http://127.0.0.1:1\" }} }}\n\
             compositions: [ \"{}\" ]\nupstreams: {{ a: \"{}\" }}\n\
             routes:\n  - {{ match: /ok, respond: {{ body: ok }}, anonymous: true }}\n  \
             - {{ match: \"/kept/*\", forward: [a], cache: {{}}, anonymous: true }}\n",
            folder.display(),
            a.url()
        ),
    );
    // What is let go of is given back at once, so that what is counted is what is held.
    let running = place.start_with(&[("MIMALLOC_PURGE_DELAY", "0")]).await;
    for path in ["/v1/text/sentiment", "/v1/all"] {
        let seen = post(&running, path, "application/json", "{\"text\":\"good\"}").await;
        assert_eq!(seen.status, 200, "{path}: {}", seen.text());
    }
    (a, place, running)
}

async fn post(running: &Running, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Seen {
    let request = client().post(running.url(path)).bearer_auth("any");
    see(request.header("content-type", kind).body(body)).await
}

/// A bomb's answer, and its size. Of a large one there may be none: who refuses it while it comes closes the connection, and
/// a client that still writes then may not hear why.
struct Refused {
    name: String,
    size: usize,
    seen: reqwest::Result<Seen>,
    took: Duration,
}

async fn throw(running: &Running, path: &str, kind: &str, name: &str, body: Vec<u8>) -> Refused {
    let (size, began) = (body.len(), Instant::now());
    let request = client().post(running.url(path)).bearer_auth("any");
    Refused {
        name: format!("{path}: {name}"),
        size,
        seen: try_see(request.header("content-type", kind).body(body)).await,
        took: began.elapsed(),
    }
}

impl Refused {
    fn check(&self) {
        let Self {
            name, size, took, ..
        } = self;
        assert!(*took < QUICK, "{name}: {took:?}");
        match &self.seen {
            Ok(seen) => assert!(
                (400..432).contains(&seen.status),
                "{name}: {} {}",
                seen.status,
                seen.text()
            ),
            Err(error) => assert!(*size > 1 << 20 && error.is_request(), "{name}: {error:?}"),
        }
    }
}

/// Zeros without end in little: gzip with one block of fixed codes, in which each 13 bits stand for 258 bytes.
fn gzip(repeats: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut held, mut count) = (0_u32, 0);
    let mut put = |code: u32, length: u32, bytes: &mut Vec<u8>| {
        for bit in (0..length).rev() {
            held |= (code >> bit & 1) << count;
            count += 1;
            if count == 8 {
                bytes.push(u8::try_from(held).unwrap());
                (held, count) = (0, 0);
            }
        }
    };
    // The last block, with fixed codes (their numbers go least significant bit first); then a zero byte.
    put(0b1, 1, &mut bytes);
    put(0b10, 2, &mut bytes);
    put(0b0011_0000, 8, &mut bytes);
    for _ in 0..repeats {
        put(0b1100_0101, 8, &mut bytes);
        put(0, 5, &mut bytes);
    }
    put(0, 7, &mut bytes);
    put(0, 7, &mut bytes);
    bytes
}

/// Asks for something small all the while; the longest that it took.
fn watch(running: &Running) -> (Arc<AtomicBool>, tokio::task::JoinHandle<Duration>) {
    let (over, url) = (Arc::new(AtomicBool::new(false)), running.url("/ok"));
    let told = Arc::clone(&over);
    let watching = tokio::spawn(async move {
        let (client, mut longest) = (client(), Duration::ZERO);
        while !told.load(Relaxed) {
            let seen = see(client.get(&url)).await;
            assert_eq!(seen.status, 200);
            longest = longest.max(seen.took);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        longest
    });
    (over, watching)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_cpu_bombs_at_every_door_that_parses_are_refused_quickly_and_harm_nobody() {
    let (_a, _place, running) = start().await;
    // Reading the configuration takes room of its own.
    let seen = running.admin("POST", "/reload").await;
    assert_eq!(seen.status, 200, "{seen:?}");
    let before = running.memory("VmHWM");
    let (over, watching) = watch(&running);
    let mut refused = Vec::new();
    let million_keys: String = (0..700_000).map(|key| format!(",\"k{key}\":0")).collect();
    let json: Vec<(&str, Vec<u8>)> = vec![
        ("lists in lists", "[".repeat(1 << 20).into()),
        (
            "lists in lists, closed",
            [b"[".repeat(1 << 19), b"]".repeat(1 << 19)].concat(),
        ),
        ("objects in objects", "{\"a\":".repeat(200_000).into()),
        (
            "deep below a field",
            format!(
                "{{\"list\":{}1{}}}",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )
            .into(),
        ),
        (
            "a million keys",
            format!("{{\"text\":\"a\"{million_keys}}}").into(),
        ),
        (
            "four million zeros",
            format!("{{\"list\":[{}0]}}", "0,".repeat(4_000_000)).into(),
        ),
        (
            "lists by the million",
            format!("{{\"list\":[{}0]}}", "[],".repeat(2_000_000)).into(),
        ),
        (
            "a long number",
            format!("{{\"list\":[{}]}}", "9".repeat(1 << 20)).into(),
        ),
        (
            "a long text",
            format!("{{\"text\":\"{}\"}}", "x".repeat(12 << 20)).into(),
        ),
        (
            "escapes",
            format!("{{\"text\":\"{}\"}}", "\\u0000".repeat(2 << 20)).into(),
        ),
        (
            "the same key",
            format!("{{{}\"a\":0}}", "\"a\":0,".repeat(100_000)).into(),
        ),
        (
            "not closed",
            format!("{{\"text\":\"{}", "\\".repeat(1 << 20)).into(),
        ),
        ("gzip", gzip(4 << 20)),
    ];
    for path in ["/v1/text/sentiment", "/v1/all"] {
        for (name, body) in &json {
            let kind = "application/json";
            refused.push(throw(&running, path, kind, name, body.clone()).await);
        }
        let (name, began, body) = ("gzip, declared", Instant::now(), gzip(1 << 20));
        let request = client().post(running.url(path)).bearer_auth("any");
        let request = request.header("content-type", "application/json");
        refused.push(Refused {
            name: format!("{path}: {name}"),
            size: body.len(),
            seen: try_see(request.header("content-encoding", "gzip").body(body)).await,
            took: began.elapsed(),
        });
    }
    let field =
        |name: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
    let file = "--b\r\ncontent-disposition: form-data; name=\"x\"; filename=\"a\"\r\n\r\n";
    let forms: Vec<(&str, Vec<u8>)> = vec![
        (
            "a head without end",
            [&b"--b\r\nx: "[..], &b"x".repeat(20 << 20)].concat(),
        ),
        (
            "a name without end",
            [
                field("").trim_end_matches("\"\r\n\r\n").as_bytes(),
                &b"n".repeat(20 << 20),
            ]
            .concat(),
        ),
        (
            "heads by the thousand",
            [&b"--b\r\n"[..], &b"x: y\r\n".repeat(2 << 20)].concat(),
        ),
        (
            "a large field",
            [
                field("note").as_bytes(),
                &b"x".repeat(4 << 20),
                b"\r\n--b--\r\n",
            ]
            .concat(),
        ),
        (
            "fields by the thousand",
            format!(
                "{}--b--\r\n",
                format!("{}x\r\n", field("note")).repeat(100_000)
            )
            .into(),
        ),
        (
            "files by the thousand",
            format!("{}--b--\r\n", format!("{file}x\r\n").repeat(100_000)).into(),
        ),
        ("no boundary ever", b"x".repeat(20 << 20)),
        (
            "frontiers that are none",
            [file.as_bytes(), &b"\r\n--".repeat(1 << 20)].concat(),
        ),
    ];
    for path in ["/v1/audio/transcriptions", "/v1/file"] {
        for (name, body) in &forms {
            let kind = "multipart/form-data; boundary=b";
            refused.push(throw(&running, path, kind, name, body.clone()).await);
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(8_000));
        refused.push(throw(&running, path, &long, "a long boundary", b"--b".to_vec()).await);
    }
    refused.iter().for_each(Refused::check);
    // Heads: cache, route and admin port.
    let many = "a=b&".repeat(15_000);
    for head in [
        format!("GET /kept/x?{many} HTTP/1.1\r\nHost: h\r\n"),
        format!(
            "GET /kept/x HTTP/1.1\r\nHost: h\r\nCache-Control: {}\r\n",
            "max-age=1,".repeat(1_000)
        ),
        format!(
            "GET /kept/x HTTP/1.1\r\nHost: h\r\nRange: bytes={}0-1\r\n",
            "0-1,".repeat(2_000)
        ),
        format!(
            "GET /kept/x HTTP/1.1\r\nHost: h\r\nIf-None-Match: {}\"x\"\r\n",
            "\"x\",".repeat(2_000)
        ),
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n", "x/".repeat(4_000)),
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n", "%41".repeat(4_000)),
        format!(
            "GET /kept/x HTTP/1.1\r\nHost: h\r\nCookie: {}\r\n",
            "a=b; ".repeat(2_000)
        ),
        format!(
            "GET /kept/x HTTP/1.1\r\nHost: h\r\n{}",
            "x: y\r\n".repeat(5_000)
        ),
    ] {
        for address in [running.address, running.admin] {
            let began = Instant::now();
            let seen = raw(
                address,
                format!("{head}Connection: close\r\n\r\n"),
                PATIENCE,
            )
            .await;
            let status = status_of(&seen);
            assert!(
                status == 0 || (200..432).contains(&status),
                "{head:.60}: {seen:.200}"
            );
            assert!(began.elapsed() < QUICK, "{head:.60}");
        }
    }
    for path in ["/reload", "/cache/purge?all=true", "/nowhere"] {
        let url = format!("http://{}{path}", running.admin);
        let seen = try_see(client().post(url).body(b"[".repeat(20 << 20))).await;
        // Nobody reads the body, so the connection may be closed while it comes.
        let is_well = match &seen {
            Ok(seen) => seen.status < 500,
            Err(error) => error.is_request(),
        };
        assert!(is_well, "{path}: {seen:?}");
    }
    let tag = "t".repeat(30_000);
    let seen = running
        .admin("POST", &format!("/cache/purge?tag={tag}"))
        .await;
    assert!(seen.status < 500, "{seen:?}");

    over.store(true, Relaxed);
    let longest = watching.await.unwrap();
    assert!(longest < QUICK, "another request waited {longest:?}");
    let peak = running.memory("VmHWM");
    assert!(
        peak < before + ROOM,
        "{before} KiB before, {peak} KiB at most"
    );
    let metrics = running.admin("GET", "/metrics").await.text();
    assert!(metrics.contains("\nisobar_panics_total 0\n"));
}
