//! What the edge refuses, and that nothing of it reaches a vendor.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, HEAD, eventually, read, read_answer, read_until, see, status_of};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(5);

async fn behind(limits: &str) -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n\
         limits: {{ {limits} }}\n",
        a.url()
    ))
    .await;
    (a, gateway)
}

#[tokio::test]
async fn heads_that_two_servers_could_read_differently_are_refused() {
    let (a, gateway) = behind("idle: 2s").await;
    let cases: [(&str, u16); 20] = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nhost: h\r\n\r\n", 405),
        ("CONNECT h:443 HTTP/1.1\r\nhost: h\r\n\r\n", 405),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +3\r\n\r\nabc",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -3\r\n\r\nabc",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0x3\r\n\r\nabc",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "POST / HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nhost: h\r\nx : y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\nhost: h\n\n", 400),
        ("GET /../etc/passwd HTTP/1.1\r\nhost: h\r\n\r\n", 400),
        ("GET /%2e%2e/x HTTP/1.1\r\nhost: h\r\n\r\n", 400),
        ("GET /%00 HTTP/1.1\r\nhost: h\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nhost: h\r\n\r\n", 400),
    ];
    for (request, expected) in cases {
        // A refusal ends the connection, so this reads to the end.
        let seen = gateway.raw(request, PATIENCE).await;
        assert_eq!(status_of(&seen), expected, "{request:?} → {seen:?}");
        assert_eq!(
            seen.matches("HTTP/1.1 ").count(),
            1,
            "{request:?} → {seen:?}"
        );
        // A tunnel is refused by the pipeline, which has no words for it.
        assert!(
            expected == 405 || seen.contains("urn:isobar:problem:"),
            "{request:?} → {seen:?}"
        );
    }
    assert_eq!(a.ledger(), []);
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a_refused_connection_is_not_used_for_a_smuggled_request() {
    let (a, gateway) = behind("idle: 2s").await;
    let attack = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n\
                  0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
    let seen = gateway.raw(attack, PATIENCE).await;
    assert_eq!(seen.matches("HTTP/1.1 ").count(), 1, "{seen}");
    assert_eq!(a.ledger(), []);
}

#[tokio::test]
async fn equal_repeated_lengths_are_folded_into_one() {
    let (a, gateway) = behind("idle: 2s").await;
    for request in [
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3, 3\r\nconnection: close\r\n\r\nabc",
    ] {
        let seen = gateway.raw(request, PATIENCE).await;
        assert_eq!(status_of(&seen), 200, "{seen}");
    }
    for entry in a.ledger() {
        let lengths: Vec<_> = entry
            .headers
            .iter()
            .filter(|(name, _)| name == "content-length")
            .collect();
        assert_eq!(lengths, [&("content-length".to_owned(), "3".to_owned())]);
        assert_eq!(&entry.body[..], b"abc");
    }
    assert_eq!(a.ledger().len(), 2);
}

#[tokio::test]
async fn heads_have_a_size() {
    let (a, gateway) = behind("header_bytes: 8KiB, headers: 20").await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n",
        "x".repeat(9_000)
    );
    assert_eq!(status_of(&gateway.raw(long, PATIENCE).await), 431);
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "x: y\r\n".repeat(30));
    assert_eq!(status_of(&gateway.raw(many, PATIENCE).await), 431);
    let endless = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}", "x".repeat(2_000_000));
    let seen = gateway.raw(endless, PATIENCE).await;
    assert!(matches!(status_of(&seen), 400 | 431 | 0), "{seen}");
    assert_eq!(a.ledger(), []);
}

#[tokio::test]
async fn bodies_have_a_size_and_nothing_is_asked_of_a_vendor_before() {
    let (a, gateway) = behind("body: 1KiB").await;
    let announced = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5000\r\n\r\n";
    let seen = gateway.raw(announced, PATIENCE).await;
    assert_eq!(status_of(&seen), 413, "{seen}");
    assert!(seen.contains("body-too-large"), "{seen}");
    assert_eq!((a.ledger().len(), a.accepted()), (0, 0));
    // Of unknown length: found out on the way.
    let chunks = format!(
        "{}0\r\n\r\n",
        format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(4)
    );
    let unknown =
        format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    assert_eq!(status_of(&gateway.raw(unknown, PATIENCE).await), 413);
    assert!(a.ledger().iter().all(|entry| !entry.executed));
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let (_a, gateway) = behind("header_timeout: 300ms, keep_alive: 1s").await;
    let began = Instant::now();
    let mut slow = TcpStream::connect(gateway.address()).await.unwrap();
    // A byte now and then does not buy more time.
    for byte in b"GET / HTTP" {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    read(&mut slow, PATIENCE).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");

    // Nor on a connection that was good before.
    let mut slow = TcpStream::connect(gateway.address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    read_answer(&mut slow, PATIENCE).await;
    let began = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nhost: h\r\nx: a head that takes its time, and then some more" {
        if slow.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(read(&mut slow, PATIENCE).await, "");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );

    let mut idle = TcpStream::connect(gateway.address()).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    let began = Instant::now();
    let seen = read(&mut idle, PATIENCE).await;
    assert_eq!(status_of(&seen), 200, "{seen}");
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(500) && took < Duration::from_secs(4),
        "{took:?}"
    );
}

#[tokio::test]
async fn what_has_come_of_a_small_answer_is_passed_on_before_the_rest() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: stream }}, anonymous: true }} ]\n",
        a.url()
    ))
    .await;
    // Half of it, and nothing more for longer than anybody waits here.
    a.always(Fault::Stall);
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let request = b"GET /bytes/64 HTTP/1.1\r\nhost: h\r\n\r\n";
    client.write_all(request).await.unwrap();
    let half = |text: &str| {
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        body == Some(32)
    };
    let seen = read_until(&mut client, PATIENCE, half).await;
    assert!(half(&seen), "{seen}");
}

/// Bytes that the system holds for a client's connection and that did not arrive yet, by its table of connections.
fn held(gateway: SocketAddr, client: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (near, far) = (
        format!(":{:04X}", gateway.port()),
        format!(":{:04X}", client.port()),
    );
    let queued = table.lines().find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let ours = columns.next()?.ends_with(&near) && columns.next()?.ends_with(&far);
        let (unsent, _) = columns.nth(1)?.split_once(':')?;
        ours.then(|| usize::from_str_radix(unsent, 16).unwrap())
    });
    queued.unwrap_or(0)
}

#[tokio::test]
async fn a_large_answer_that_is_not_read_is_not_copied_for_its_client() {
    const SIZE: usize = 900 << 10;
    let gateway = Gateway::start(&format!(
        "routes: [ {{ match: \"/*\", respond: {{ body: \"{}\" }}, anonymous: true }} ]\n",
        "x".repeat(SIZE)
    ))
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut client = socket.connect(gateway.address()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let address = client.local_addr().unwrap();
    let held = || held(gateway.address(), address);
    assert!(eventually(PATIENCE, async || held() > 0).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let most = held();
    assert!(most < 300 << 10, "{most} bytes are held");
    // It is all there for one that reads at last.
    let seen = read(&mut client, PATIENCE).await;
    assert!(seen.ends_with(&"x".repeat(SIZE)), "{} bytes", seen.len());
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (_a, gateway) = behind("header_timeout: 300ms").await;
    let began = Instant::now();
    gateway.raw("", PATIENCE).await;
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn connections_are_capped_in_all_and_by_address() {
    for limits in ["connections: 3", "connections_per_ip: 3"] {
        let (_a, gateway) = behind(limits).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
                .await
                .unwrap();
            assert_eq!(status_of(&read_answer(&mut stream, PATIENCE).await), 200);
            held.push(stream);
        }
        let one = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        assert_eq!(gateway.raw(one, PATIENCE).await, "", "{limits}");
        held.clear();
        let free = eventually(PATIENCE, async || {
            status_of(&gateway.raw(one, PATIENCE).await) == 200
        });
        assert!(free.await, "{limits}");
    }
}

#[tokio::test]
async fn headers_named_in_connection_never_strip_ours() {
    let a = Upstream::start("a").await.unwrap();
    for mode in ["exchange", "stream"] {
        a.reset();
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: {{ url: \"{}\", auth: {{ basic: {{ user: us, password: \"${{X:-secret}}\" }} }} }} }}\n\
             routes:\n  - match: \"/*\"\n    anonymous: true\n    forward:\n      members: [a]\n      effect: keyed\n      mode: {mode}\n      \
             request_headers: {{ set: {{ x-tenant: ours }} }}\n",
            a.url()
        ))
        .await;
        let request = "POST / HTTP/1.1\r\nhost: h\r\nidempotency-key: k1\r\nx-private: hop\r\n\
             connection: close, authorization, idempotency-key, x-tenant, traceparent, content-length, host, x-private\r\n\
             content-length: 2\r\n\r\nhi";
        let seen = gateway.raw(request, PATIENCE).await;
        assert_eq!(status_of(&seen), 200, "{mode}: {seen}");
        let entry = a.ledger().pop().unwrap();
        assert!(
            entry
                .header("authorization")
                .is_some_and(|value| value.starts_with("Basic ")),
            "{mode}: {entry:?}"
        );
        assert_eq!(entry.header("idempotency-key"), Some("k1"), "{mode}");
        assert_eq!(entry.header("x-tenant"), Some("ours"), "{mode}");
        assert_eq!(
            entry.header("x-private"),
            None,
            "{mode}: what is named is hop by hop"
        );
        assert!(entry.header("traceparent").is_some(), "{mode}");
        assert_eq!(&entry.body[..], b"hi", "{mode}");
    }
}

#[tokio::test]
async fn answers_say_who_served_and_how_long_it_took() {
    let (_a, gateway) = behind("idle: 2s").await;
    for path in ["/", "/bytes/200000", "/chunked/100000"] {
        let seen = gateway.get(path).await;
        assert_eq!((seen.vendor(), seen.attempts()), ("a", "1"), "{path}");
        assert!(
            seen.header("server-timing").contains("total;dur="),
            "{path}: {seen:?}"
        );
    }
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let seen = see(gateway.request("GET", "/").header("traceparent", parent)).await;
    let told = seen.json()["headers"]["traceparent"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        told.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && told != parent,
        "{told}"
    );
}

#[tokio::test]
async fn methods_and_pipelining_work_as_http_says() {
    let (a, gateway) = behind("idle: 2s").await;
    let head = see(gateway.request("HEAD", "/bytes/1000")).await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "1000", 0)
    );
    let two = "GET /one HTTP/1.1\r\nhost: h\r\n\r\nGET /two HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let seen = gateway.raw(two, PATIENCE).await;
    assert_eq!(seen.matches("HTTP/1.1 200").count(), 2, "{seen}");
    let order: Vec<_> = a.ledger().into_iter().map(|entry| entry.target).collect();
    assert_eq!(order, ["/bytes/1000", "/one", "/two"]);
    let expecting = "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(expecting.as_bytes()).await.unwrap();
    let interim = read_until(&mut stream, PATIENCE, |text| text.ends_with("\r\n\r\n")).await;
    assert!(interim.starts_with("HTTP/1.1 100"), "{interim:?}");
    stream.write_all(b"hi").await.unwrap();
    assert_eq!(status_of(&read(&mut stream, PATIENCE).await), 200);
}

#[tokio::test]
async fn an_old_client_gets_no_chunks() {
    let a = Upstream::start("a").await.unwrap();
    for mode in ["exchange", "stream"] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: \"{}\" }}\n\
             routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: {mode} }}, anonymous: true }} ]\n",
            a.url()
        ))
        .await;
        for head in [
            "GET /sse/3/1 HTTP/1.0\r\n\r\n",
            "GET /sse/3/1 HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n",
        ] {
            let seen = gateway.raw(head, PATIENCE).await;
            assert_eq!(status_of(&seen), 200, "{mode}: {seen}");
            let (head, body) = seen.split_once("\r\n\r\n").unwrap();
            assert!(
                !head.to_lowercase().contains("transfer-encoding"),
                "{mode}: {head}"
            );
            assert_eq!(body, "data: {\"event\":true}\n\n".repeat(3), "{mode}");
        }
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_no_request_and_is_counted() {
    let gateway = Gateway::start_whole(
        "isobar: 1\nlisten: [ { http: \"127.0.0.1:0\" } ]\nadmin: \"127.0.0.1:0\"\n\
         log: { access: \"file:/dev/full\" }\n\
         routes: [ { match: \"/*\", respond: { body: hi }, anonymous: true } ]\n",
    )
    .await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/").await.text(), "hi");
    }
    let admin = gateway.host.admin().unwrap();
    let counted = eventually(PATIENCE, async || {
        let page = see(reqwest::Client::new().get(format!("http://{admin}/metrics")))
            .await
            .text();
        page.lines()
            .any(|line| line == "isobar_access_log_dropped 20")
    });
    assert!(counted.await);
}

#[tokio::test]
async fn each_request_is_one_line_of_json_with_what_was_tried() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let gateway = Gateway::start_whole(&format!(
        "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\nlog: {{ access: \"file:{}\" }}\n\
         clients: {{ shop: {{ key: \"{}\" }} }}\nupstreams: {{ a: \"{}\", b: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", name: main, forward: [a, b] }} ]\n",
        file.display(),
        isobar_config::hash_key("shop-key-0123456789abcdef"),
        a.url(),
        b.url()
    ))
    .await;
    a.script([Fault::status(500)]);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let asked = gateway
        .request("GET", "/p?q=hidden")
        .header("x-api-key", "shop-key-0123456789abcdef")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    assert_eq!(see(asked).await.vendor(), "b");
    assert_eq!(gateway.get("/p").await.status, 401);
    gateway.host.drain(None).await;
    let written = eventually(PATIENCE, async || {
        std::fs::read_to_string(&file).unwrap().lines().count() == 2
    });
    assert!(written.await);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let served = &lines[0];
    for (name, value) in [
        ("request", trace),
        ("client", "shop"),
        ("ip", "127.0.0.1"),
        ("method", "GET"),
        ("host", "127.0.0.1"),
        ("path", "/p"),
        ("route", "main"),
        ("vendor", "b"),
    ] {
        assert_eq!(served[name], value, "{text}");
    }
    assert_eq!(served["status"], 200);
    let attempts = served["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| (&attempt["vendor"], &attempt["verdict"], &attempt["reason"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"a".into(), &"failed".into(), &"status_500".into()),
            (&"b".into(), &"ok".into(), &"status_200".into())
        ]
    );
    assert!(
        served["ms"].as_f64().is_some_and(|ms| ms > 0.0) && served["bytes_out"].as_u64() > Some(0),
        "{text}"
    );
    let refused = &lines[1];
    assert_eq!(
        (&refused["status"], &refused["problem"]),
        (&401.into(), &"unauthenticated".into())
    );
    assert!(!text.contains("hidden"), "a query may hold secrets: {text}");
}

#[tokio::test]
async fn a_listener_that_is_taken_is_an_error_and_not_a_silence() {
    let (_a, gateway) = behind("idle: 2s").await;
    let text = HEAD.replace("127.0.0.1:0", &gateway.address().to_string());
    let config = isobar_tests::checked(&format!(
        "{text}routes: [ {{ match: /, respond: {{ body: hi }}, anonymous: true }} ]\n"
    ));
    let error = isobar::Host::start(config, None)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("cannot listen on"), "{error}");
}

#[tokio::test]
async fn a_request_without_a_host_is_refused_and_its_line_has_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let gateway = Gateway::start_whole(&format!(
        "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\nlog: {{ access: \"file:{}\" }}\n\
         routes: [ {{ match: \"/*\", respond: {{ body: hi }}, anonymous: true }} ]\n",
        file.display(),
    ))
    .await;
    let requests = [
        ("GET / HTTP/1.1\r\nHost: h\r\n", 200),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", 400),
        ("GET / HTTP/1.0\r\n", 200),
    ];
    for (head, status) in requests {
        let request = format!("{head}Connection: close\r\n\r\n");
        let seen = gateway.raw(request, PATIENCE).await;
        assert_eq!(status_of(&seen), status, "{head}: {seen}");
    }
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    assert!(eventually(PATIENCE, async || read().lines().count() == requests.len()).await);
    let fields: Vec<Vec<String>> = read()
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object().unwrap().keys().cloned().collect()
        })
        .collect();
    // What is not known is told as such; the good request has the same fields as the others, but for why they were refused.
    for line in &fields {
        for field in &fields[0] {
            let told = line.contains(field) || field == "route";
            assert!(told, "`{field}` is missing in {line:?}");
        }
    }
}
