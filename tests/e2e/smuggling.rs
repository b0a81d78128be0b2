//! Requests that two parsers could read differently: each published class, on each kind of route.
//!
//! What must hold is one thing: a request that is hidden in another one is never served, to a vendor or by ourselves.

use std::time::Duration;

use futures_util::future::join_all;
use isobar_sandbox::Upstream;
use isobar_tests::{Gateway, eventually, raw, read, see, status_of};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where requests go: both paths, one whose answers are kept, a fixed answer, a refusal by key, and nowhere.
const ROUTES: [&str; 6] = [
    "/exchange",
    "/stream",
    "/kept",
    "/fixed",
    "/locked",
    "/nowhere",
];

async fn behind() -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\n\
         clients: {{ shop: {{ key: \"{}\" }} }}\n\
         upstreams: {{ a: \"{}\" }}\n\
         routes:\n  - {{ match: /exchange, forward: {{ members: [a], mode: exchange }}, anonymous: true }}\n  \
         - {{ match: /stream, forward: {{ members: [a], mode: stream }}, anonymous: true }}\n  \
         - {{ match: /kept, forward: [a], cache: {{ shared: true, fresh: 1h }}, anonymous: true }}\n  \
         - {{ match: /fixed, respond: {{ body: fixed }}, anonymous: true }}\n  \
         - {{ match: /locked, forward: [a] }}\n  \
         - {{ match: /smuggled, forward: [a], anonymous: true }}\n\
         limits: {{ header_timeout: 2s, keep_alive: 1s, idle: 3s }}\n",
        isobar_config::hash_key("shop-key-0123456789abcdef"),
        a.url()
    ))
    .await;
    (a, gateway)
}

/// Heads and bodies of POSTs, without the request line and the host; each carries `{hidden}` where a second parser could
/// find a request.
const AMBIGUOUS: &[&str] = &[
    // CL.TE and TE.CL, in either order and spelling.
    "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n{hidden}",
    "transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n{hidden}",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    // TE.TE: one of two parsers does not see `chunked`.
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{hidden}",
    "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "X: y\0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}",
    "Transfer-Encoding: identity\r\n\r\n{hidden}",
    // The client takes its framing back through `Connection`.
    "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{hidden}",
    // Lengths that are none, or two.
    "Content-Length: 5\r\nContent-Length: 0\r\n\r\n{hidden}",
    "Content-Length: 0\r\nContent-Length: 5\r\n\r\n{hidden}",
    "Content-Length: 0, 5\r\n\r\n{hidden}",
    "Content-Length: +0\r\n\r\n{hidden}",
    "Content-Length: -1\r\n\r\n{hidden}",
    "Content-Length: 0x0\r\n\r\n{hidden}",
    "Content-Length: 0 0\r\n\r\n{hidden}",
    "Content-Length: 0\x0b\r\n\r\n{hidden}",
    "Content-Length: \"0\"\r\n\r\n{hidden}",
    "Content-Length: 0;\r\n\r\n{hidden}",
    "Content-Length: 18446744073709551616\r\n\r\n{hidden}",
    "Content-Length : 0\r\n\r\n{hidden}",
    "Content-Length:\r\n\t0\r\n\r\n{hidden}",
    "Content-Length:\r\n\r\n{hidden}",
];

/// Chunked bodies that are none: the head is good, the body is not.
const BROKEN_CHUNKS: &[&str] = &[
    "0x0\r\n\r\n{hidden}",
    "-1\r\n\r\n{hidden}",
    "+0\r\n\r\n{hidden}",
    "g\r\n\r\n{hidden}",
    " 0\r\n\r\n{hidden}",
    "\r\n\r\n{hidden}",
    "10000000000000000\r\n{hidden}",
    "fffffffffffffffff\r\n{hidden}",
    "1\r\nab\r\n0\r\n\r\n{hidden}",
    "1\r\na{hidden}",
    "3\r\nabc0\r\n\r\n{hidden}",
    "1\r\na\n0\r\n\r\n{hidden}",
    "1\r\na\r0\r\n\r\n{hidden}",
    "0\r\r\n{hidden}",
    "3\r\nabc\r\n\r\n\r\n{hidden}",
    // An extension that one parser ends at the line feed, and a size that another reads on.
    "2;\nxx\r\n0\r\n\r\n{hidden}\r\n0\r\n\r\n",
    "2;x=\n\r\nxx\r\n0\r\n\r\n{hidden}",
    "0;\n\r\n\r\n{hidden}",
    "0 \r\n\r\n{hidden}",
    "0\r\nX: y\r\n\r\n{hidden}",
    "0\r\nContent-Length: 5\r\n\r\n{hidden}",
];

/// Requests that are good, with something that looks like a request in their body or behind their end.
fn good(hidden: &str) -> Vec<String> {
    let length = hidden.len();
    vec![
        // In the body: it stays there.
        format!("Content-Length: {length}\r\n\r\n{hidden}"),
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("Content-Length: {length}, {length}\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
        format!("Transfer-Encoding: Chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x};x=y\r\n{hidden}\r\n0\r\n\r\n"),
        format!(
            "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
        ),
        format!("Content-Length: {length}\r\nConnection: content-length\r\n\r\n{hidden}"),
        format!("Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n{hidden}"),
        format!(
            "Content-Length: {length}\r\nConnection: expect\r\nExpect: 100-continue\r\n\r\n{hidden}"
        ),
        format!(
            "Content-Length: {length}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{hidden}"
        ),
        format!("Content-Length: {length}\r\nUpgrade: h2c\r\n\r\n{hidden}"),
        format!(
            "content_length: 0\r\ntransfer_encoding: chunked\r\nContent-Length: {length}\r\n\r\n{hidden}"
        ),
    ]
}

fn smuggled(a: &Upstream) -> bool {
    a.ledger()
        .iter()
        .any(|entry| entry.target.contains("smuggled"))
}

#[tokio::test]
async fn a_request_hidden_in_an_ambiguous_one_is_never_served() {
    let (a, gateway) = behind().await;
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut attacks = Vec::new();
    for route in ROUTES {
        // One whose head is ambiguous is refused; where only the body is, an answer may come before it is read.
        let mut attack = |must_refuse: bool, text: String| attacks.push((must_refuse, text));
        for rest in AMBIGUOUS {
            let rest = rest.replace("{hidden}", hidden);
            attack(true, format!("POST {route} HTTP/1.1\r\nHost: h\r\n{rest}"));
        }
        for chunks in BROKEN_CHUNKS {
            let chunks = chunks.replace("{hidden}", hidden);
            attack(
                false,
                format!(
                    "POST {route} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
                ),
            );
        }
        // HTTP/1.0 has no chunks, and no persistence unless asked for.
        attack(
            true,
            format!(
                "POST {route} HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n{hidden}"
            ),
        );
        attack(
            false,
            format!("GET {route} HTTP/1.0\r\nHost: h\r\n\r\n{hidden}"),
        );
        // A target or a host with a second reading.
        attack(
            true,
            format!("GET {route} HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n{hidden}"),
        );
        attack(
            true,
            format!("GET http://other{route} HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        );
        attack(true, format!("GET {route} HTTP/1.1\r\n\r\n{hidden}"));
        attack(
            true,
            format!("GET {route}\x01 HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        );
    }
    let address = gateway.address();
    let answers = join_all(attacks.iter().map(|(_, attack)| async move {
        let b = std::time::Instant::now();
        let s = raw(address, attack, PATIENCE).await;
        if b.elapsed().as_secs() > 4 {
            println!("SLOW {:?} {attack:?} {s:?}", b.elapsed());
        }
        s
    }))
    .await;
    for ((must_refuse, attack), seen) in attacks.iter().zip(&answers) {
        assert!(
            seen.matches("HTTP/1.1 ").count() <= 1,
            "{attack:?} → {seen:?}"
        );
        let status = status_of(seen);
        let refused = matches!(status, 0 | 400 | 405 | 501 | 505);
        let early = matches!(status, 200 | 401 | 404) && !must_refuse;
        assert!(refused || early, "{attack:?} → {seen:?}");
    }
    assert!(!smuggled(&a), "{:?}", a.ledger());
    assert_eq!(gateway.get("/fixed").await.text(), "fixed");
}

#[tokio::test]
async fn what_is_in_a_body_stays_in_it() {
    let (a, gateway) = behind().await;
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let address = gateway.address();
    let mut requests = Vec::new();
    for route in ROUTES {
        for rest in good(hidden) {
            let number = requests.len();
            requests.push((
                route,
                format!("POST {route} HTTP/1.1\r\nHost: h\r\nX-Number: {number}\r\n{rest}"),
            ));
        }
    }
    let answers = join_all(
        requests
            .iter()
            .map(|(_, request)| raw(address, request, PATIENCE)),
    )
    .await;
    assert!(!smuggled(&a), "{:?}", a.ledger());
    for (number, ((route, request), seen)) in requests.iter().zip(&answers).enumerate() {
        let finals = seen.matches("HTTP/1.1 ").count() - seen.matches("HTTP/1.1 100").count();
        assert_eq!(finals, 1, "{request:?} → {seen:?}");
        if !["/exchange", "/stream"].contains(route) {
            continue;
        }
        assert!(seen.contains("HTTP/1.1 200"), "{request:?} → {seen:?}");
        let ledger = a.ledger();
        let number = number.to_string();
        let entry = ledger
            .iter()
            .find(|entry| entry.header("x-number") == Some(&number))
            .unwrap();
        assert_eq!(&entry.body[..], hidden.as_bytes(), "{request:?}");
        let count = |name: &str| {
            entry
                .headers
                .iter()
                .filter(|(known, _)| known == name)
                .count()
        };
        assert_eq!(
            count("content-length") + count("transfer-encoding"),
            1,
            "{request:?}: {entry:?}"
        );
        assert_eq!(
            count("content_length") + count("transfer_encoding"),
            0,
            "{request:?}: {entry:?}"
        );
    }
}

/// The same bytes in every run, from a generator of a few lines (xorshift).
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let odd = [
                0, b'\r', b'\n', b' ', b':', b'\t', b',', b';', 0x7f, 0x80, 0xff, b'0',
            ];
            match self.below(5) {
                0 => bytes[at] = odd[self.below(odd.len())],
                1 => bytes.insert(at, odd[self.below(odd.len())]),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                3 => {
                    let end = (at + 1 + self.below(40)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes.truncate(at.max(1)),
            }
        }
    }
}

#[tokio::test]
async fn spoilt_requests_crash_nothing_and_hold_nothing() {
    let (_a, gateway) = behind().await;
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut requests = Vec::new();
    for number in 0..1_200 {
        let rest = match number % 3 {
            0 => AMBIGUOUS[noise.below(AMBIGUOUS.len())].replace("{hidden}", hidden),
            1 => good(hidden).swap_remove(noise.below(10)),
            _ => format!(
                "Transfer-Encoding: chunked\r\n\r\n{}",
                BROKEN_CHUNKS[noise.below(BROKEN_CHUNKS.len())]
            ),
        };
        let route = ROUTES[noise.below(ROUTES.len())];
        let mut bytes = format!("POST {route} HTTP/1.1\r\nHost: h\r\n{rest}").into_bytes();
        noise.spoil(&mut bytes);
        requests.push(bytes);
    }
    let address = gateway.address();
    for batch in requests.chunks(100) {
        join_all(batch.iter().map(|bytes| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(bytes).await;
            // Nothing more will come, so nothing is waited for.
            let _ = stream.shutdown().await;
            read(&mut stream, PATIENCE).await
        }))
        .await;
    }
    let admin = gateway.host.admin().unwrap();
    let at_rest = eventually(PATIENCE, async || {
        let page = see(reqwest::Client::new().get(format!("http://{admin}/metrics")))
            .await
            .text();
        [
            "isobar_panics_total 0",
            "isobar_requests_in_flight 0",
            "isobar_account_in_flight{account=\"a\"} 0",
        ]
        .iter()
        .all(|wanted| page.lines().any(|line| line == *wanted))
    });
    assert!(at_rest.await);
    assert_eq!(gateway.get("/exchange").await.status, 200);
}

#[tokio::test]
async fn bytes_behind_an_upgrade_wait_for_the_vendors_word() {
    let (a, gateway) = behind().await;
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    a.always(isobar_sandbox::Fault::status(403));
    let ask = format!(
        "GET /stream HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{hidden}"
    );
    let seen = gateway.raw(ask, PATIENCE).await;
    assert_eq!(status_of(&seen), 403, "{seen}");
    // Refused, so what follows is a request of its own or nothing; never bytes for the vendor that refused.
    for entry in a.ledger() {
        assert_eq!((entry.body_length, entry.complete), (0, true), "{entry:?}");
    }
    let all = a.ledger();
    assert!(
        all.iter().filter(|entry| entry.target == "/stream").count() == 1,
        "{all:?}"
    );
}

#[tokio::test]
async fn only_websockets_are_upgrades() {
    let (a, gateway) = behind().await;
    for route in ["/exchange", "/stream"] {
        for upgrade in ["h2c", "foo", "websocket, h2c", "TLS/1.0"] {
            let ask = format!(
                "GET {route} HTTP/1.1\r\nHost: h\r\nConnection: upgrade, http2-settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
            );
            let seen = gateway.raw(ask, PATIENCE).await;
            assert_eq!(status_of(&seen), 200, "{route} {upgrade}: {seen}");
            let entry = a.ledger().pop().unwrap();
            for name in ["upgrade", "http2-settings", "connection"] {
                assert_eq!(entry.header(name), None, "{route} {upgrade}: {entry:?}");
            }
        }
    }
}
