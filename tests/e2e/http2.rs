//! HTTP/2 in front and behind: what passes, in which order things end, and what a failure proves.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{ResponseFuture, SendRequest},
    server,
};
use http::{HeaderMap, Request, Response};
use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{
    Gateway, HEAD, eventually, read,
    tls::{Authority, connect},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::tls::{forwarding, secure};

const PATIENCE: Duration = Duration::from_secs(5);

/// What came back on one stream.
#[derive(Debug, Default)]
struct Seen {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection of HTTP/2 on this stream.
async fn speak<S>(stream: S) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// A connection to a plain listener, by prior knowledge.
async fn prior(gateway: &Gateway) -> SendRequest<Bytes> {
    speak(TcpStream::connect(gateway.address()).await.unwrap())
        .await
        .0
}

fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("http://api.example.com{path}"));
    request.body(()).unwrap()
}

async fn seen(answer: ResponseFuture) -> Result<Seen, h2::Error> {
    let (head, mut body) = tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("an answer in time")?
        .into_parts();
    let mut seen = Seen {
        status: head.status.as_u16(),
        headers: head.headers,
        ..Seen::default()
    };
    while let Some(piece) = tokio::time::timeout(PATIENCE, body.data())
        .await
        .expect("more of it in time")
    {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len()).unwrap();
        seen.body.extend_from_slice(&piece);
    }
    seen.trailers = body.trailers().await?.unwrap_or_default();
    Ok(seen)
}

/// One request without a body, or with a small one.
async fn ask(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &[u8],
) -> Result<Seen, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (answer, mut stream) = sender.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body), true)?;
    }
    seen(answer).await
}

#[tokio::test]
async fn many_requests_share_a_connection_over_tls_and_by_prior_knowledge() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let own = authority.issue(&["a.example.com"]);
    let secure = secure(&[("a", &own)], "", &forwarding(&a)).await;
    let config = authority.client(None, &["h2", "http/1.1"]);
    let stream = connect(secure.gateway.address(), "a.example.com", config)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let plain = Gateway::start(&forwarding(&a)).await;
    for (sender, scheme) in [
        (speak(stream).await.0, "https"),
        (prior(&plain).await, "http"),
    ] {
        let asked = (0..50).map(|number| {
            let path = format!("/{scheme}/{number}");
            let sender = sender.clone();
            let mut request = request("POST", &path);
            // As browsers write them.
            for cookie in ["a=1", "b=2"] {
                let cookie = cookie.parse().unwrap();
                request.headers_mut().append("cookie", cookie);
            }
            async move { ask(&sender, request, b"hello").await.unwrap() }
        });
        let answers = futures_util::future::join_all(asked).await;
        for (number, seen) in answers.iter().enumerate() {
            assert_eq!((seen.status, seen.header("isobar-vendor")), (200, "a"));
            let told: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            assert_eq!(told["path"], format!("/{scheme}/{number}"));
            assert_eq!(told["body_length"], 5);
        }
        let entry = a.ledger().pop().unwrap();
        assert_eq!(entry.header("x-forwarded-proto"), Some(scheme));
        assert_eq!(entry.header("x-forwarded-host"), Some("api.example.com"));
        assert_eq!(entry.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(entry.header("cookie"), Some("a=1; b=2"));
    }
}

#[tokio::test]
async fn bodies_without_a_length_pass_both_ways_and_events_one_by_one() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&forwarding(&a)).await;
    let sender = prior(&gateway).await;
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, mut stream) = ready.send_request(request("POST", "/up"), false).unwrap();
    for _ in 0..100 {
        let mut left = Bytes::from(vec![b'u'; 30_000]);
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
            let part = left.split_to(room.unwrap().unwrap().min(left.len()));
            stream.send_data(part, false).unwrap();
        }
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert_eq!(seen(answer).await.unwrap().status, 200);
    assert_eq!(a.ledger()[0].body_length, 3_000_000);
    let got = ask(&sender, request("GET", "/chunked/3000000"), b"").await;
    assert!(got.unwrap().body.len() >= 3_000_000);
    let head = ask(&sender, request("HEAD", "/bytes/1000"), b"")
        .await
        .unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, "1000"));

    let gate = Gate::shut();
    a.always(Fault::Held(gate.clone()));
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, _) = ready
        .send_request(request("GET", "/sse/3/0"), true)
        .unwrap();
    let mut body = answer.await.unwrap().into_body();
    for number in 0..3 {
        gate.let_through(1);
        let piece = tokio::time::timeout(PATIENCE, body.data()).await;
        let piece = piece.unwrap_or_else(|_| panic!("event {number} is held back"));
        assert_eq!(&piece.unwrap().unwrap()[..], b"data: {\"event\":true}\n\n");
    }
}

#[tokio::test]
async fn a_drain_says_goodbye_and_lets_running_requests_end() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&forwarding(&a)).await;
    let gate = Gate::shut();
    a.script([Fault::Held(gate.clone())]);
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (busy, closed) = speak(stream).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (idle, idle_closed) = speak(stream).await;
    let running = tokio::spawn({
        let busy = busy.clone();
        async move { ask(&busy, request("GET", "/slow"), b"").await }
    });
    assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 1).await);
    assert_eq!(
        ask(&idle, request("GET", "/"), b"").await.unwrap().status,
        200
    );
    let draining = tokio::spawn(gateway.host.drain(Some(PATIENCE)));
    // The idle one closes by itself, cleanly.
    let ended = tokio::time::timeout(PATIENCE, idle_closed).await.unwrap();
    assert!(ended.unwrap().is_ok());
    assert!(!draining.is_finished());
    gate.let_through(1);
    assert_eq!(running.await.unwrap().unwrap().status, 200);
    let drained = draining.await.unwrap();
    assert_eq!(drained.cut, 0);
    assert!(
        tokio::time::timeout(PATIENCE, closed)
            .await
            .unwrap()
            .unwrap()
            .is_ok()
    );
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [0, length[0], length[1], kind, flags, 0, 0, 0, stream];
    [&head[..], payload].concat()
}

/// Fields as they are written without a table and without compression.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Attacks: a name, how they begin, and what is then sent thousands of times.
fn floods() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let usual = block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/x"),
        (":authority", "h"),
    ]);
    let more = block(&[("x-more", &"v".repeat(100))]).repeat(10);
    // One large field is put into the table, and then referred to again and again.
    let large = "v".repeat(126);
    let mut kept = vec![0x40, 1, b'x', 126];
    kept.extend_from_slice(large.as_bytes());
    let bomb = [&usual[..], &kept, &vec![0xbe; 8_000]].concat();
    vec![
        (
            "continuation",
            frame(1, 1, 1, &usual),
            frame(9, 0, 1, &more),
        ),
        (
            "empty continuation",
            frame(1, 1, 1, &usual),
            frame(9, 0, 1, &[]),
        ),
        ("ping", vec![], frame(6, 0, 0, b"12345678")),
        ("settings", vec![], frame(4, 0, 0, &[0, 4, 0, 0, 255, 255])),
        ("empty data", vec![], frame(0, 0, 1, &[])),
        ("priority", vec![], frame(2, 0, 3, &[0, 0, 0, 0, 16])),
        ("window", vec![], frame(8, 0, 0, &[0x7f, 255, 255, 255])),
        ("hpack bomb", vec![], frame(1, 5, 1, &bomb)),
        ("unknown frames", vec![], frame(77, 0, 0, &[0; 100])),
    ]
}

/// Sends one head, byte for byte, and waits until its stream or the connection ends.
async fn framed(gateway: &Gateway, fields: &[(&str, &str)]) {
    let mut bytes = PREFACE.to_vec();
    bytes.extend_from_slice(&frame(1, 5, 1, &block(fields)));
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let ended = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            let _ = stream.read_exact(&mut rest).await;
            let ends = matches!(head[3], 3 | 7) || matches!(head[3], 0 | 1) && head[4] & 1 == 1;
            if ends {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("an end");
}

#[tokio::test]
async fn shapes_that_http2_forbids_reach_nobody() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&forwarding(&a)).await;
    let sender = prior(&gateway).await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = request("POST", "/");
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let cases = [
        with("content-length", "3"),
        with("content-length", "+5"),
        with("host", "other.example.com"),
        request("TRACE", "/"),
        request("GET", "/a/../b"),
        request("GET", "/%2e%2e/x"),
        request("GET", "/%00"),
    ];
    for refused in cases {
        let shown = format!("{refused:?}");
        match ask(&sender, refused, b"hello").await {
            Ok(seen) => assert!((400..500).contains(&seen.status), "{shown}: {seen:?}"),
            Err(error) => assert!(error.is_reset(), "{shown}: {error}"),
        }
    }
    assert_eq!(a.ledger(), []);
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "h"),
    ];
    let shapes: [&[(&str, &str)]; 12] = [
        &[("transfer-encoding", "chunked")],
        &[("connection", "keep-alive")],
        &[("upgrade", "websocket")],
        &[("te", "gzip")],
        &[("keep-alive", "5")],
        &[("proxy-connection", "close")],
        &[("X-Upper", "case")],
        &[("x-split", "a\r\nx-other: b")],
        &[("x", "y"), (":path", "/after")],
        &[(":path", "/twice")],
        &[(":unknown", "x")],
        &[("host", "a"), ("host", "h")],
    ];
    for more in shapes {
        framed(&gateway, &[&usual[..], more].concat()).await;
        assert_eq!(a.ledger(), [], "{more:?}");
    }
    for (at, field) in [
        (2, (":path", "http://other/x")),
        (2, (":path", "/a\r\nx: y")),
        (2, (":path", "/a b")),
        (2, (":path", "")),
        (3, (":authority", "user@h")),
        (3, (":authority", "h/x")),
        (3, ("x-no", "authority")),
    ] {
        let mut fields = usual;
        fields[at] = field;
        framed(&gateway, &fields).await;
        assert_eq!(a.ledger(), [], "{field:?}");
    }
    framed(&gateway, &usual).await;
    assert_eq!(a.ledger().len(), 1, "the shape without a fault");
    let large = "x".repeat(70_000);
    let mut request = request("GET", "/");
    request
        .headers_mut()
        .insert("x-large", large.parse().unwrap());
    let seen = ask(&sender, request, b"").await.unwrap();
    assert_eq!(seen.status, 431);
    assert_eq!(
        ask(&sender, self::request("GET", "/"), b"")
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn http2_floods_end_the_connection_and_harm_nobody_else() {
    let a = Upstream::start("a").await.unwrap();
    a.always(Fault::Delay(Duration::from_millis(50)));
    let gateway = Gateway::start(&forwarding(&a)).await;
    let other = prior(&gateway).await;
    let flood = prior(&gateway).await;
    let mut given_up = 0;
    while given_up < 20_000 {
        let Ok(mut ready) = flood.clone().ready().await else {
            break;
        };
        let Ok((answer, mut stream)) = ready.send_request(request("GET", "/flood"), true) else {
            break;
        };
        stream.send_reset(Reason::CANCEL);
        drop(answer);
        given_up += 1;
        if given_up % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(given_up < 20_000, "the flood went through");
    for (name, start, frame) in floods() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend_from_slice(&start);
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let many = frame.repeat(20);
        let flooding = async {
            for _ in 0..250 {
                if stream.write_all(&many).await.is_err() {
                    return;
                }
                // What comes back is read, or not kept.
                let _ = stream.try_read(&mut [0; 16 * 1024]);
            }
        };
        let _ = tokio::time::timeout(PATIENCE, flooding).await;
        let began = Instant::now();
        let seen = ask(&other, request("GET", "/"), b"").await.unwrap();
        assert_eq!(seen.status, 200, "{name}");
        assert!(began.elapsed() < Duration::from_secs(3), "{name}");
    }
    let flooded = a
        .ledger()
        .iter()
        .filter(|entry| entry.target == "/x")
        .count();
    assert_eq!(flooded, 0, "heads without an end reach nobody");
    let streams = other.current_max_send_streams();
    assert_eq!(streams, 100, "streams at once");
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_or_never_asks_is_not_waited_for() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "{}limits: {{ idle: 300ms, header_timeout: 300ms, keep_alive: 500ms }}\n",
        forwarding(&a)
    ))
    .await;
    let sender = prior(&gateway).await;
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, mut stream) = ready.send_request(request("POST", "/"), false).unwrap();
    stream
        .send_data(Bytes::from_static(b"and then"), false)
        .unwrap();
    assert_eq!(seen(answer).await.unwrap().status, 408);
    // Nothing more is asked: the connection is closed, cleanly.
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (sender, closed) = speak(stream).await;
    assert_eq!(
        ask(&sender, request("GET", "/"), b"").await.unwrap().status,
        200
    );
    let ended = tokio::time::timeout(PATIENCE, closed).await.unwrap();
    assert!(ended.unwrap().is_ok());
    // Nothing is ever asked, or not even the preface comes to its end.
    for begun in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let began = Instant::now();
        read(&mut stream, PATIENCE).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{begun:?}");
    }
}

/// What the server does with a connection, or with a request.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The request's stream is reset.
    Reset(Reason),
    /// The connection says goodbye before it takes the request.
    Goodbye,
    /// The connection answers with these frames, and these again and again.
    Frames(&'static str),
}

/// A server of HTTP/2 that echoes, and misbehaves by script.
struct Server {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Act>>,
    connections: AtomicUsize,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    streams: AtomicUsize,
}

impl Server {
    async fn start(tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                shared.connections.fetch_add(1, SeqCst);
                let (state, acceptor) = (Arc::clone(&shared), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => converse(stream, state).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                converse(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.state.script.lock().unwrap().extend(acts);
    }

    fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse<S>(mut stream: S, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let of_connection = {
        let mut script = state.script.lock().unwrap();
        let is_its = matches!(script.front(), Some(Act::Goodbye | Act::Frames(_)));
        is_its.then(|| script.pop_front()).flatten()
    };
    if let Some(act) = of_connection {
        // SETTINGS, and once a request is there, GOAWAY: no stream was taken, no error.
        stream
            .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let mut read = Vec::new();
        while !read
            .windows(4)
            .any(|frame| frame == [1, 4, 0, 0] || frame == [1, 5, 0, 0])
        {
            let mut piece = [0; 4_096];
            match stream.read(&mut piece).await {
                Ok(length @ 1..) => read.extend_from_slice(&piece[..length]),
                _ => return,
            }
        }
        let (once, again) = match act {
            Act::Frames(name) => hostile(name),
            _ => (frame(7, 0, 0, &[0; 8]), vec![]),
        };
        let _ = stream.write_all(&once).await;
        while !again.is_empty() && stream.write_all(&again).await.is_ok() {
            state.streams.fetch_add(1, SeqCst);
            if state.streams.load(SeqCst) > 20_000 {
                break;
            }
        }
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        return;
    }
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(20);
    let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let requests = &state.requests;
        requests.lock().unwrap().push((path.clone(), head.headers));
        let act = state.script.lock().unwrap().pop_front();
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let running = state.streams.fetch_add(1, SeqCst) + 1;
            answer(&path, running, act, body, respond).await;
            state.streams.fetch_sub(1, SeqCst);
        });
    }
}

/// What a server sends that means ill: once, and then without end.
fn hostile(name: &str) -> (Vec<u8>, Vec<u8>) {
    let status = |status: &str| block(&[(":status", status)]);
    match name {
        "interim answers" => (vec![], frame(1, 4, 1, &status("103"))),
        "a switch that nobody asked for" => {
            (frame(1, 4, 1, &status("101")), frame(0, 0, 1, b"raw"))
        }
        "a head without an end" => {
            let more = block(&[("x-more", &"v".repeat(100))]).repeat(10);
            (frame(1, 0, 1, &status("200")), frame(9, 0, 1, &more))
        }
        "a pushed answer" => (
            frame(5, 4, 1, &[&[0, 0, 0, 2][..], &status("200")].concat()),
            vec![],
        ),
        "no status" => (frame(1, 5, 1, &block(&[("x", "y")])), vec![]),
        "a length that is not kept" => {
            let head = block(&[(":status", "200"), ("content-length", "3")]);
            let body = frame(0, 1, 1, b"four");
            ([frame(1, 4, 1, &head), body].concat(), vec![])
        }
        "data without a head" => (vec![], frame(0, 0, 1, b"data")),
        _ => (frame(6, 0, 0, b"short"), vec![]),
    }
}

async fn answer(
    path: &str,
    running: usize,
    act: Option<Act>,
    mut body: RecvStream,
    mut respond: server::SendResponse<Bytes>,
) {
    if let Some(Act::Reset(reason)) = act {
        return respond.send_reset(reason);
    }
    if path == "/refused" {
        // A call of gRPC that fails before it begins: nothing but headers.
        let head = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "7");
        let _ = respond.send_response(head.body(()).unwrap(), true);
        return;
    }
    let head = Response::builder().header("content-type", "application/grpc");
    let mut stream = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).unwrap();
        if stream.send_data(piece, false).is_err() {
            return;
        }
    }
    if path == "/busy" {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream
            .send_data(Bytes::from(running.to_string()), false)
            .unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("grpc-message", "done".parse().unwrap());
    trailers.insert("isobar-vendor", "forged".parse().unwrap());
    let _ = stream.send_trailers(trailers);
}

/// A call of gRPC.
fn call(path: &str) -> Request<()> {
    let mut call = request("POST", path);
    let headers = call.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("te", "trailers".parse().unwrap());
    call
}

#[tokio::test]
async fn grpc_passes_as_a_conversation_with_its_trailers() {
    let authority = Authority::new();
    let own = authority.issue(&["127.0.0.1", "a.example.com"]);
    for (scheme, tls) in [
        ("http", None),
        ("https", Some(own.server(None, &["h2", "http/1.1"]))),
    ] {
        let server = Server::start(tls).await;
        let (folder, more) = if scheme == "http" {
            (None, "protocol: http2".to_owned())
        } else {
            let folder = tempfile::tempdir().unwrap();
            let ca = folder.path().join("ca.pem");
            std::fs::write(&ca, authority.pem()).unwrap();
            let more = format!("tls: {{ ca: \"file({})\" }}", ca.display());
            (Some(folder), more)
        };
        let rest = format!(
            "upstreams: {{ a: {{ url: \"{scheme}://{}\", {more} }} }}\n\
             routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: exchange }}, anonymous: true }} ]\n",
            server.address
        );
        let secure = secure(&[("a", &own)], "", &rest).await;
        let config = authority.client(None, &["h2"]);
        let stream = connect(secure.gateway.address(), "a.example.com", config)
            .await
            .unwrap();
        let (sender, _) = speak(stream).await;
        let mut ready = sender.clone().ready().await.unwrap();
        let (answer, mut stream) = ready.send_request(call("/chat.Chat/Talk"), false).unwrap();
        // Each message is answered before the next is sent.
        stream.send_data(Bytes::from_static(b"one"), false).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert_eq!(answer.headers()["isobar-vendor"], "a");
        let mut body = answer.into_body();
        for word in ["one", "two", "three"] {
            let piece = tokio::time::timeout(PATIENCE, body.data()).await.unwrap();
            assert_eq!(piece.unwrap().unwrap(), word);
            match word {
                "one" => stream.send_data(Bytes::from_static(b"two"), false).unwrap(),
                "two" => stream
                    .send_data(Bytes::from_static(b"three"), true)
                    .unwrap(),
                _ => {}
            }
        }
        assert!(body.data().await.is_none());
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["grpc-message"], "done");
        assert!(!trailers.contains_key("isobar-vendor"));
        let refused = ask(&sender, call("/refused"), b"x").await.unwrap();
        assert_eq!(refused.header("grpc-status"), "7");
        let (_, headers) = server.requests().remove(0);
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["x-forwarded-proto"], "https");
        drop(folder);
    }
}

#[tokio::test]
async fn refusals_are_told_to_clients_of_grpc_in_its_own_codes() {
    const SHOP: &str = "shop-key-0123456789abcdef";
    const LAB: &str = "lab-key-0123456789abcdefgh";
    let server = Server::start(None).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let gateway = Gateway::start_whole(&format!(
        "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\nlog: {{ access: \"file:{}\" }}\n\
         clients: {{ shop: {{ key: \"{}\" }}, lab: {{ key: \"{}\" }} }}\n\
         upstreams:\n  a: {{ url: \"http://{}\", protocol: http2 }}\n  gone: {{ url: \"http://{nobody}\", protocol: http2 }}\n\
         routes:\n  - {{ match: \"/all/*\", forward: [a] }}\n  - {{ match: \"/shop/*\", forward: [a], clients: [shop] }}\n  \
         - {{ match: \"/scoped/*\", forward: [a], scopes: [\"100%\"] }}\n  - {{ match: \"GET /get/*\", forward: [a] }}\n  \
         - {{ match: \"/few/*\", forward: [a], limits: {{ rate: 1/h }} }}\n  - {{ match: \"/gone/*\", forward: [gone] }}\n  \
         - {{ match: \"/small/*\", forward: [a], limits: {{ body: 1KiB }} }}\n",
        log.display(),
        isobar_config::hash_key(SHOP),
        isobar_config::hash_key(LAB),
        server.address,
    ))
    .await;
    let sender = prior(&gateway).await;
    let asking = |path: &str, key: &str, media_type: &str| {
        let mut call = call(path);
        let headers = call.headers_mut();
        headers.insert("content-type", media_type.parse().unwrap());
        if !key.is_empty() {
            headers.insert("x-api-key", key.parse().unwrap());
        }
        call
    };
    assert_eq!(
        ask(&sender, asking("/few/x", LAB, "application/grpc"), b"x")
            .await
            .unwrap()
            .trailers["grpc-status"],
        "0"
    );
    let cases = [
        ("/all/x", "", "16", 401, "unauthenticated"),
        ("/shop/x", LAB, "7", 403, "forbidden"),
        ("/scoped/x", LAB, "7", 403, "forbidden"),
        ("/nowhere/x", LAB, "12", 404, "no-route"),
        ("/get/x", LAB, "12", 405, "method-not-allowed"),
        ("/few/x", LAB, "8", 429, "rate-limited"),
        ("/small/x", LAB, "8", 413, "body-too-large"),
        ("/gone/x", LAB, "14", 503, "no-account-available"),
        ("/all/reset", LAB, "2", 502, "outcome-unknown"),
    ];
    for (path, key, code, _, problem) in cases {
        let mut call = asking(path, key, "application/grpc+proto");
        let body = vec![b'x'; 2_000];
        if path == "/small/x" {
            let headers = call.headers_mut();
            headers.insert("content-length", "2000".parse().unwrap());
        }
        if path == "/all/reset" {
            server.script([Act::Reset(Reason::INTERNAL_ERROR)]);
        }
        let seen = ask(&sender, call, &body).await.unwrap();
        assert_eq!(
            (seen.status, seen.header("grpc-status")),
            (200, code),
            "{problem}: {:?}",
            seen.headers
        );
        assert_eq!(seen.header("content-type"), "application/grpc");
        assert!(!seen.header("grpc-message").is_empty(), "{problem}");
        assert!(
            seen.body.is_empty() && seen.trailers.is_empty(),
            "{problem}"
        );
        let has_pushback = !seen.header("grpc-retry-pushback-ms").is_empty();
        assert_eq!(has_pushback, problem == "rate-limited", "{problem}");
        if path == "/scoped/x" {
            assert!(seen.header("grpc-message").contains("`100%25`"));
        }
    }
    // gRPC-Web has no trailers, and is HTTP like any other.
    let web = asking("/all/x", "", "application/grpc-web+proto");
    let seen = ask(&sender, web, b"x").await.unwrap();
    assert_eq!(seen.status, 401);
    assert_eq!(seen.header("content-type"), "application/problem+json");
    // The log has what became of each.
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    let wanted = cases.len() + 2;
    assert!(eventually(PATIENCE, async || lines().lines().count() >= wanted).await);
    for (line, (path, _, _, status, problem)) in lines().lines().skip(1).zip(cases) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["path"], &line["status"], &line["problem"]),
            (&path.into(), &status.into(), &problem.into())
        );
    }
}

/// A gateway in front of two servers of HTTP/2, with one attempt each.
async fn two() -> (Server, Server, Gateway) {
    let (a, b) = (Server::start(None).await, Server::start(None).await);
    let gateway = Gateway::start_whole(&format!(
        "{HEAD}upstreams:\n  a: {{ url: \"http://{}\", protocol: http2 }}\n  b: {{ url: \"http://{}\", protocol: http2 }}\n\
         routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true }} ]\n",
        a.address, b.address
    ))
    .await;
    (a, b, gateway)
}

#[tokio::test]
async fn a_refused_stream_goes_to_the_next_account_and_a_reset_one_only_where_it_may() {
    let cases = [
        ("POST", Reason::REFUSED_STREAM, 200, "b", "", 1),
        (
            "POST",
            Reason::INTERNAL_ERROR,
            502,
            "none",
            "outcome-unknown",
            0,
        ),
        ("POST", Reason::CANCEL, 502, "none", "outcome-unknown", 0),
        (
            "POST",
            Reason::ENHANCE_YOUR_CALM,
            502,
            "none",
            "outcome-unknown",
            0,
        ),
        ("GET", Reason::INTERNAL_ERROR, 200, "b", "", 1),
    ];
    for (method, reason, status, vendor, problem, reached) in cases {
        let (a, b, gateway) = two().await;
        a.script([Act::Reset(reason)]);
        let body = if method == "POST" { "pay" } else { "" };
        let seen = isobar_tests::see(gateway.request(method, "/").body(body)).await;
        let shown = format!("{method} {reason}: {}", seen.text());
        assert_eq!((seen.status, seen.vendor()), (status, vendor), "{shown}");
        assert_eq!(seen.problem(), problem, "{shown}");
        assert_eq!(b.requests().len(), reached, "{shown}");
    }
}

#[tokio::test]
async fn a_hostile_server_of_http2_is_given_up_and_harms_nobody_else() {
    for name in [
        "interim answers",
        "a switch that nobody asked for",
        "a head without an end",
        "a pushed answer",
        "no status",
        "a length that is not kept",
        "data without a head",
        "a broken frame",
    ] {
        let (a, b, gateway) = two().await;
        a.script([Act::Frames(name)]);
        let began = Instant::now();
        let seen = isobar_tests::see(gateway.request("POST", "/").body("pay")).await;
        assert_eq!(seen.status, 502, "{name}: {}", seen.text());
        assert_eq!(seen.problem(), "outcome-unknown", "{name}");
        assert!(began.elapsed() < PATIENCE, "{name}");
        assert_eq!(b.requests().len(), 0, "{name}");
        let seen = isobar_tests::see(gateway.request("POST", "/").body("pay")).await;
        assert_eq!((seen.status, seen.text().as_str()), (200, "pay"), "{name}");
    }
}

#[tokio::test]
async fn a_request_that_a_goodbye_left_behind_is_sent_again_at_the_same_account() {
    let (a, b, gateway) = two().await;
    a.script([Act::Goodbye]);
    let seen = isobar_tests::see(gateway.request("POST", "/").body("pay")).await;
    assert_eq!(
        (seen.status, seen.vendor(), seen.attempts()),
        (200, "a", "1")
    );
    assert_eq!(seen.text(), "pay");
    assert_eq!((a.requests().len(), b.requests().len()), (1, 0));
    assert_eq!(a.state.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn connections_are_shared_within_what_the_server_allows() {
    let (a, _b, gateway) = two().await;
    assert_eq!(gateway.get("/").await.status, 200);
    let asked = (0..60).map(|_| gateway.get("/busy"));
    for seen in futures_util::future::join_all(asked).await {
        assert_eq!((seen.status, seen.vendor()), (200, "a"));
        let at_once: usize = seen.text().parse().unwrap();
        assert!(at_once <= 60);
    }
    let connections = a.state.connections.load(SeqCst);
    assert!(
        (3..=4).contains(&connections),
        "{connections}, for 60 requests of 20 at once"
    );
    // A large body, both ways, on a shared connection.
    let sent = vec![b'l'; 5 << 20];
    let seen = isobar_tests::see(gateway.request("POST", "/large").body(sent.clone())).await;
    assert!(seen.whole && seen.body == sent);
    assert_eq!(a.state.connections.load(SeqCst), connections);
}

#[tokio::test]
async fn an_upstream_without_http2_is_spoken_to_as_before() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let own = authority.issue(&["127.0.0.1"]);
    let wrapped = isobar_tests::tls::Wrapped::start(a.address(), own.server(None, &["http/1.1"]))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    for (protocol, status) in [("auto", 200), ("http1", 200), ("http2", 503)] {
        let rest = format!(
            "upstreams: {{ a: {{ url: \"https://127.0.0.1:{}\", protocol: {protocol}, tls: {{ ca: \"file({})\" }} }} }}\n\
             routes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n",
            wrapped.port(),
            ca.display()
        );
        let secure = secure(&[("a", &own)], "", &rest).await;
        let config = authority.client(None, &["h2"]);
        let stream = connect(secure.gateway.address(), "127.0.0.1", config)
            .await
            .unwrap();
        let (sender, _) = speak(stream).await;
        for _ in 0..2 {
            let seen = ask(&sender, request("POST", "/"), b"hello").await.unwrap();
            assert_eq!(seen.status, status, "{protocol}: {}", seen.text());
        }
    }
    assert_eq!(a.ledger().len(), 4);
    assert!(eventually(PATIENCE, async || a.open() == 0).await);
}
