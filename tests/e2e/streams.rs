//! Bodies of any size, event streams, upgrades, and clients that leave.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{Gateway, read_answer, read_until, see, status_of};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const PATIENCE: Duration = Duration::from_secs(10);

async fn behind(forward: &str, limits: &str) -> (Upstream, Upstream, Gateway) {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\", b: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: {{ members: [a, b]{forward} }}, anonymous: true, limits: {{ {limits} }} }} ]\n",
        a.url(),
        b.url()
    ))
    .await;
    (a, b, gateway)
}

#[tokio::test]
async fn large_uploads_and_downloads_pass_whole() {
    let (a, _b, gateway) = behind("", "body: 64MiB").await;
    let known = vec![b'k'; 20 << 20];
    let seen = see(gateway.request("POST", "/").body(known)).await;
    assert_eq!((seen.status, seen.vendor()), (200, "a"));
    let pieces = (0..160).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'u'; 128 << 10])));
    let unknown = reqwest::Body::wrap_stream(stream::iter(pieces));
    assert_eq!(
        see(gateway.request("PUT", "/").body(unknown)).await.status,
        200
    );
    let lengths: Vec<_> = a.ledger().iter().map(|entry| entry.body_length).collect();
    assert_eq!(lengths, [20 << 20, 20 << 20]);
    let seen = gateway.get("/bytes/20000000").await;
    assert!(seen.whole && seen.body.len() == 20_000_000);
    assert!(
        seen.body
            .iter()
            .enumerate()
            .all(|(at, byte)| usize::from(byte - b'a') == at % 26)
    );
    let seen = gateway.get("/chunked/5000000").await;
    assert!(seen.whole && seen.body.len() >= 5_000_000);
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    for mode in ["exchange", "stream"] {
        let (a, _b, gateway) = behind(&format!(", mode: {mode}"), "idle: 30s").await;
        let gate = Gate::shut();
        a.always(Fault::Held(gate.clone()));
        // The head comes before any event, and each event before the next has happened.
        let mut answer = gateway.request("GET", "/sse/5/0").send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        for number in 0..5 {
            gate.let_through(1);
            let piece = tokio::time::timeout(PATIENCE, answer.chunk()).await;
            let piece = piece.unwrap_or_else(|_| panic!("{mode}: event {number} is held back"));
            assert_eq!(
                &piece.unwrap().unwrap()[..],
                b"data: {\"event\":true}\n\n",
                "{mode}: event {number}"
            );
        }
        assert_eq!(answer.chunk().await.unwrap(), None, "{mode}");
    }
}

#[tokio::test]
async fn a_body_kept_for_replay_reaches_the_next_account_whole_from_memory_and_from_disk() {
    for limits in ["replay: 8MiB", "replay: 8MiB, deadline: 20s"] {
        let (a, b) = (
            Upstream::start("a").await.unwrap(),
            Upstream::start("b").await.unwrap(),
        );
        let state = tempfile::tempdir().unwrap();
        let memory = if limits.contains("deadline") {
            "body_memory: 64KiB"
        } else {
            "body_memory: 64MiB"
        };
        let gateway = Gateway::start(&format!(
            "state: \"{}\"\nupstreams: {{ a: \"{}\", b: \"{}\" }}\n\
             routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true, limits: {{ {limits} }} }} ]\nlimits: {{ {memory} }}\n",
            state.path().display(),
            a.url(),
            b.url()
        ))
        .await;
        a.always(Fault::ResetBeforeHead);
        let body: Vec<u8> = (0..3_000_000_u32)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let seen = see(gateway.request("PUT", "/").body(body.clone())).await;
        assert_eq!(
            (seen.status, seen.vendor(), seen.attempts()),
            (200, "b", "2"),
            "{memory}: {}",
            seen.text()
        );
        let entry = b.ledger().pop().unwrap();
        assert_eq!(entry.body_length, 3_000_000, "{memory}");
        assert!(
            entry.body[..] == body[..entry.body.len()],
            "{memory}: the body differs"
        );
        let spool = std::fs::read_dir(state.path().join("spool"));
        let left = spool.map(Iterator::count).unwrap_or_default();
        assert_eq!(left, 0, "{memory}: nothing is left behind");
    }
}

#[tokio::test]
async fn a_small_streamed_request_still_fails_over() {
    let (a, _b, gateway) = behind(", mode: stream", "idle: 5s").await;
    a.always(Fault::ResetBeforeHead);
    let seen = see(gateway.request("PUT", "/").body(vec![b'x'; 20_000])).await;
    assert_eq!(
        (seen.status, seen.vendor(), seen.attempts()),
        (200, "b", "2")
    );
    assert_eq!(seen.json()["body_length"], 20_000);
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_call_on_both_paths() {
    for mode in ["exchange", "stream"] {
        for method in ["GET", "POST"] {
            let (a, b, gateway) = behind(&format!(", mode: {mode}"), "idle: 30s").await;
            a.always(Fault::Hang);
            let request = format!("{method} / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi");
            let mut client = TcpStream::connect(gateway.address()).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            assert!(
                a.wait_until(PATIENCE, |ledger| ledger.iter().any(|entry| entry.complete))
                    .await,
                "{mode} {method}"
            );
            drop(client);
            let gone = a
                .wait_until(PATIENCE, |ledger| {
                    ledger.iter().all(|entry| entry.abandoned)
                })
                .await;
            assert!(gone, "{mode} {method}: the vendor is still waiting");
            assert_eq!(
                b.ledger().len(),
                0,
                "{mode} {method}: nothing more is tried for a client that left"
            );
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_mid_upload_has_nothing_carried_out() {
    for mode in ["exchange", "stream"] {
        let (a, b, gateway) = behind(&format!(", mode: {mode}"), "idle: 30s, replay: 8MiB").await;
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        let head = "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 2000000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        if mode == "stream" {
            assert!(a.wait_until(PATIENCE, |ledger| !ledger.is_empty()).await);
        }
        drop(client);
        let admin_idle = isobar_tests::eventually(PATIENCE, async || a.open() == 0);
        assert!(admin_idle.await, "{mode}: the vendor's connection stays");
        for entry in a.ledger().iter().chain(&b.ledger()) {
            assert!(!entry.complete && !entry.executed, "{mode}: {entry:?}");
        }
        assert_eq!(
            b.ledger().len(),
            0,
            "{mode}: nothing more is tried for a client that left"
        );
        assert_eq!(gateway.get("/").await.status, 200, "{mode}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_hedged_read_calls_both_off() {
    let (a, b, gateway) = behind(", hedge: 10ms", "idle: 30s").await;
    for server in [&a, &b] {
        server.always(Fault::Hang);
    }
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    for server in [&a, &b] {
        assert!(
            server
                .wait_until(PATIENCE, |ledger| ledger.len() == 1)
                .await
        );
    }
    drop(client);
    for server in [&a, &b] {
        assert!(
            server
                .wait_until(PATIENCE, |ledger| ledger[0].abandoned)
                .await
        );
    }
}

#[tokio::test]
async fn a_client_that_leaves_mid_answer_cancels_the_rest() {
    for mode in ["exchange", "stream"] {
        let (a, _b, gateway) = behind(&format!(", mode: {mode}"), "idle: 30s").await;
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        client
            .write_all(b"GET /sse/10000/20 HTTP/1.1\r\nhost: h\r\n\r\n")
            .await
            .unwrap();
        let begun = read_until(&mut client, PATIENCE, |text| text.contains("data: ")).await;
        assert_eq!(status_of(&begun), 200, "{mode}");
        drop(client);
        let gone = a
            .wait_until(PATIENCE, |ledger| {
                ledger.iter().all(|entry| entry.abandoned)
            })
            .await;
        assert!(gone, "{mode}: the vendor still sends");
    }
}

#[tokio::test]
async fn an_upgrade_that_was_asked_for_becomes_a_tunnel() {
    let (_a, _b, gateway) = behind("", "idle: 5s").await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let ask = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(ask.as_bytes()).await.unwrap();
    let head = read_until(&mut client, PATIENCE, |text| text.ends_with("\r\n\r\n")).await;
    assert_eq!(status_of(&head), 101, "{head}");
    assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
    for word in ["one", "two"] {
        client.write_all(word.as_bytes()).await.unwrap();
        let echoed = read_until(&mut client, PATIENCE, |text| text.len() >= word.len()).await;
        assert_eq!(echoed, word);
    }
}

#[tokio::test]
async fn an_upgrade_may_follow_requests_and_requests_a_refused_upgrade() {
    let (_a, _b, gateway) = behind("", "idle: 5s").await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let plain = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    let upgrade = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // An upgrade to anything but a WebSocket is none.
    let refused = upgrade.replace("upgrade: websocket", "upgrade: h2c");
    for ask in [plain, &refused, plain, plain] {
        client.write_all(ask.as_bytes()).await.unwrap();
        let answer = read_answer(&mut client, PATIENCE).await;
        assert_eq!(status_of(&answer), 200, "{ask}: {answer}");
    }
    client.write_all(upgrade.as_bytes()).await.unwrap();
    let head = read_until(&mut client, PATIENCE, |text| text.ends_with("\r\n\r\n")).await;
    assert_eq!(status_of(&head), 101, "{head}");
    client.write_all(b"word").await.unwrap();
    let echoed = read_until(&mut client, PATIENCE, |text| text.len() >= 4).await;
    assert_eq!(echoed, "word");
}

#[tokio::test]
async fn heads_come_in_any_pieces() {
    let (_a, _b, gateway) = behind("", "idle: 5s").await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi";
    client
        .write_all(request.repeat(2).as_bytes())
        .await
        .unwrap();
    let both = |text: &str| text.matches("\"body_length\":2").count() == 2;
    let answers = read_until(&mut client, PATIENCE, both).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    let (start, end) = request.split_at(30);
    for piece in [start, end, request] {
        client.write_all(piece.as_bytes()).await.unwrap();
        if piece == start {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let answer = read_answer(&mut client, PATIENCE).await;
        assert_eq!(status_of(&answer), 200, "{answer}");
        assert!(answer.contains("\"body_length\":2"), "{answer}");
    }
}

#[tokio::test]
async fn a_slow_upload_is_no_silence_of_the_vendor() {
    for framing in ["content-length: 8", "transfer-encoding: chunked"] {
        let (_a, _b, gateway) = behind(", mode: stream", "attempt: 400ms, idle: 5s").await;
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let chunked = framing.starts_with("transfer");
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let piece = if chunked { "1\r\nx\r\n" } else { "x" };
            client.write_all(piece.as_bytes()).await.unwrap();
        }
        if chunked {
            client.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let answer = read_answer(&mut client, PATIENCE).await;
        assert_eq!(status_of(&answer), 200, "{framing}: {answer}");
        assert!(answer.contains("\"body_length\":8"), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn a_stale_pooled_connection_is_not_the_clients_trouble() {
    for mode in ["exchange", "stream"] {
        let (a, _b, gateway) = behind(&format!(", mode: {mode}"), "idle: 5s").await;
        a.always(Fault::SilentClose);
        for number in 0..20 {
            let seen = gateway.get("/").await;
            assert_eq!(
                (seen.status, seen.whole),
                (200, true),
                "{mode}: request {number}"
            );
            if number % 4 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_poison_no_other_request() {
    for mode in ["exchange", "stream"] {
        let (a, _b, gateway) = behind(&format!(", mode: {mode}"), "idle: 5s").await;
        let forged = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
        a.script([Fault::Trailing(forged.into())]);
        for _ in 0..5 {
            let seen = gateway.get("/").await;
            assert_ne!(seen.text(), "forged", "{mode}");
            assert_eq!(seen.status, 200, "{mode}");
        }
    }
}
