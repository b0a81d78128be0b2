//! Memory does not depend on the size of what passes.

use std::{io, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use isobar_sandbox::Upstream;
use isobar_tests::{eventually, read_answer, read_until, see, status_of};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::binary::{PATIENCE, Place, Running, client};

const SIZE: u64 = 100 << 20;
const PIECE: usize = 256 << 10;
/// What may be added to the memory of an idle gateway, in KiB.
const ROOM: u64 = 32 << 10;

async fn start(rest: &str) -> (Upstream, Place, Running) {
    let a = Upstream::start("a").await.unwrap();
    let mut place = Place::new(&format!(
        "upstreams: {{ a: \"{}\" }}\n\
         routes:\n  - {{ match: \"/exchange/*\", forward: {{ members: [a], mode: exchange, path: \"/{{*}}\" }}, anonymous: true }}\n  \
         - {{ match: \"/*\", forward: [a], anonymous: true }}\n{rest}",
        a.url()
    ));
    let running = place.start().await;
    // Whatever is allocated once is allocated now.
    for path in ["/", "/exchange/"] {
        assert_eq!(
            see(client().post(running.url(path)).body("x")).await.status,
            200
        );
    }
    (a, place, running)
}

fn pieces() -> reqwest::Body {
    let piece = Bytes::from(vec![b'u'; PIECE]);
    let count = SIZE / PIECE as u64;
    reqwest::Body::wrap_stream(stream::iter(
        (0..count).map(move |_| Ok::<_, io::Error>(piece.clone())),
    ))
}

#[tokio::test]
async fn an_idle_connection_holds_no_room_for_what_may_come() {
    const MANY: u64 = 400;
    /// Growth for each, in KiB. A buffer of 64 KiB for reading would not fit.
    const EACH: u64 = 45;
    let (_a, _place, running) = start("").await;
    let before = running.memory("VmRSS");
    let mut clients = Vec::new();
    for _ in 0..MANY {
        let mut client = TcpStream::connect(running.address).await.unwrap();
        let request = b"GET /exchange/ HTTP/1.1\r\nHost: h\r\n\r\n";
        client.write_all(request).await.unwrap();
        let seen = read_answer(&mut client, PATIENCE).await;
        assert_eq!(status_of(&seen), 200);
        clients.push(client);
    }
    let after = running.memory("VmRSS");
    let each = after.saturating_sub(before) / MANY;
    assert!(each < EACH, "{each} KiB for each connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_up_and_down_take_no_more_memory_than_one() {
    let (a, _place, running) = start("").await;
    let before = running.memory("VmRSS");
    let known = client()
        .put(running.url("/"))
        .header("content-length", SIZE)
        .body(pieces());
    let unknown = client().put(running.url("/")).body(pieces());
    for (name, upload) in [("known length", known), ("unknown length", unknown)] {
        let seen = see(upload).await;
        assert_eq!(
            (seen.status, seen.json()["body_length"].as_u64()),
            (200, Some(SIZE)),
            "{name}"
        );
    }
    assert!(
        a.ledger()
            .iter()
            .any(|entry| entry.header("content-length") == Some(&SIZE.to_string()))
    );
    for path in ["/chunked/104857600", "/exchange/chunked/104857600"] {
        let mut answer = client().get(running.url(path)).send().await.unwrap();
        let mut length = 0;
        while let Some(piece) = answer.chunk().await.unwrap() {
            length += piece.len() as u64;
        }
        assert_eq!(length, SIZE, "{path}");
    }
    let peak = running.memory("VmHWM");
    assert!(
        peak < before + ROOM,
        "{before} KiB before, {peak} KiB at most"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_the_vendor_and_is_let_go() {
    let (a, _place, running) = start("limits: { idle: 2s }\n").await;
    let before = running.memory("VmRSS");
    for path in ["/chunked/104857600", "/exchange/chunked/104857600"] {
        let mut client = TcpStream::connect(running.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut client, PATIENCE, |text| text.contains("\r\n\r\n")).await;
        let let_go = a.wait_until(PATIENCE, |ledger| {
            ledger.last().is_some_and(|entry| entry.abandoned)
        });
        assert!(let_go.await, "{path}: the vendor still sends");
    }
    let peak = running.memory("VmHWM");
    assert!(
        peak < before + ROOM,
        "{before} KiB before, {peak} KiB at most"
    );
    let idle = async || {
        let metrics = running.admin("GET", "/metrics").await.text();
        metrics.contains("\nisobar_requests_in_flight 0\n")
    };
    assert!(eventually(PATIENCE, idle).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_memory_budget_are_on_disk_and_not_in_memory() {
    let (a, place, running) = start("limits: { replay: 50MiB, body_memory: 1MiB }\n").await;
    let before = running.memory("VmRSS");
    let gate = isobar_sandbox::Gate::shut();
    a.always(isobar_sandbox::Fault::Held(gate.clone()));
    let uploads: Vec<_> = (0..4)
        .map(|number| {
            let body = vec![b'0' + number; 20 << 20];
            tokio::spawn(see(client().put(running.url("/exchange/")).body(body)))
        })
        .collect();
    let arrived = |ledger: &[isobar_sandbox::Entry]| {
        ledger
            .iter()
            .filter(|entry| entry.complete && entry.method == "PUT")
            .count()
            == 4
    };
    assert!(a.wait_until(PATIENCE, arrived).await);
    let metrics = running.admin("GET", "/metrics").await.text();
    let spooled = format!("isobar_body_bytes{{place=\"spool\"}} {}", 80 << 20);
    assert!(metrics.lines().any(|line| line == spooled), "{metrics}");
    let now = running.memory("VmRSS");
    assert!(
        now < before + ROOM,
        "{before} KiB before, {now} KiB with 80 MiB of bodies"
    );
    gate.let_through(4);
    for upload in uploads {
        let seen = upload.await.unwrap();
        assert_eq!(
            (seen.status, seen.json()["body_length"].as_u64()),
            (200, Some(20 << 20))
        );
    }
    assert_eq!(place.files("state/spool"), [] as [PathBuf; 0]);
    let empty = async || {
        running
            .admin("GET", "/metrics")
            .await
            .text()
            .contains("isobar_body_bytes{place=\"spool\"} 0")
    };
    assert!(eventually(Duration::from_secs(5), empty).await);
}
