//! HTTPS in front: who the gateway is to which client, and what a handshake may cost.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use isobar::{Host, Origin};
use isobar_sandbox::Upstream;
use isobar_tests::{
    Gateway, eventually, read, read_answer, read_until, see, status_of,
    tls::{Authority, Pair, connect},
};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PATIENCE: Duration = Duration::from_secs(5);
const ASK: &str = "GET / HTTP/1.1\r\nhost: a.example.com\r\n\r\n";

/// A gateway with HTTPS, and the folder that its certificates are in.
pub(crate) struct Secure {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: Gateway,
}

/// Starts one whose certificates are `a.pem` and `b.pem`; `more` stands beside them, `rest` at the end.
pub(crate) async fn secure(pairs: &[(&str, &Pair)], more: &str, rest: &str) -> Secure {
    secure_with(pairs, None, more, rest).await
}

/// The same with clients' authority in `clients.pem`.
pub(crate) async fn secure_with(
    pairs: &[(&str, &Pair)],
    clients: Option<&Authority>,
    more: &str,
    rest: &str,
) -> Secure {
    let folder = tempfile::tempdir().unwrap();
    if let Some(authority) = clients {
        fs::write(folder.path().join("clients.pem"), authority.pem()).unwrap();
    }
    let mut certificates = Vec::new();
    for (name, pair) in pairs {
        pair.write(folder.path(), name).unwrap();
        certificates.push(format!(
            "{{ cert: file({name}.pem), key: file({name}.key) }}"
        ));
    }
    let text = format!(
        "isobar: 1\nlisten: [ {{ https: \"127.0.0.1:0\", certificates: [ {} ]{more} }} ]\n\
         admin: \"127.0.0.1:0\"\nlog: {{ access: \"off\" }}\n{rest}",
        certificates.join(", ")
    );
    fs::write(folder.path().join("isobar.yaml"), text).unwrap();
    let gateway = started(folder.path()).await;
    Secure { folder, gateway }
}

pub(crate) async fn started(folder: &Path) -> Gateway {
    let path = folder.join("isobar.yaml");
    let loaded =
        isobar_config::load(&path).unwrap_or_else(|report| panic!("{}", report.text(false)));
    let files = loaded.files;
    let host = Host::start(loaded.config, Some(Origin { path, files })).await;
    Gateway::around(host.unwrap())
}

pub(crate) fn forwarding(upstream: &Upstream) -> String {
    format!(
        "upstreams: {{ a: \"{}\" }}\nroutes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n",
        upstream.url()
    )
}

impl Secure {
    /// The certificate that a client gets who asks for this name.
    async fn shown(&self, name: &str, config: ClientConfig) -> Vec<u8> {
        let stream = connect(self.gateway.address(), name, config).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown[0].to_vec()
    }

    async fn metric(&self, line: &str) -> bool {
        let url = format!("http://{}/metrics", self.gateway.host.admin().unwrap());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        text.lines().any(|known| known == line)
    }
}

#[tokio::test]
async fn https_is_served_with_the_certificate_of_the_name_asked_for() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let (first, second) = (
        authority.issue(&["a.example.com"]),
        authority.issue(&["*.example.org", "127.0.0.1"]),
    );
    let pairs = [("a", &first), ("b", &second)];
    let secure = secure(&pairs, "", &forwarding(&a)).await;
    let config = || authority.client(None, &["http/1.1"]);
    let mut stream = connect(secure.gateway.address(), "a.example.com", config())
        .await
        .unwrap();
    // Two requests on one connection.
    for _ in 0..2 {
        stream.write_all(ASK.as_bytes()).await.unwrap();
        let seen = read_answer(&mut stream, PATIENCE).await;
        assert_eq!(status_of(&seen), 200, "{seen}");
    }
    let ledger = a.ledger();
    assert_eq!(ledger[0].header("x-forwarded-proto"), Some("https"));
    assert_eq!(ledger[1].header("x-forwarded-for"), Some("127.0.0.1"));
    assert_ne!(
        secure.shown("a.example.com", config()).await,
        secure.shown("b.example.org", config()).await
    );
    // A name that no certificate has gets the first, which such a client does not take.
    let other = connect(secure.gateway.address(), "c.example.net", config()).await;
    assert!(other.is_err());
}

#[tokio::test]
async fn a_changed_certificate_is_taken_up_and_no_connection_is_dropped() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let old = authority.issue(&["a.example.com"]);
    let secure = secure(&[("a", &old)], "", &forwarding(&a)).await;
    let config = || authority.client(None, &["http/1.1"]);
    let mut open = connect(secure.gateway.address(), "a.example.com", config())
        .await
        .unwrap();
    open.write_all(ASK.as_bytes()).await.unwrap();
    assert_eq!(status_of(&read_answer(&mut open, PATIENCE).await), 200);
    let before = secure.shown("a.example.com", config()).await;

    // A key that is there before its certificate is refused and changes nothing.
    let new = authority.issue(&["a.example.com"]);
    fs::write(secure.folder.path().join("a.key"), &new.key).unwrap();
    let refused = secure.gateway.host.reload().await.unwrap_err().to_string();
    assert!(refused.contains("E0822"), "{refused}");
    assert_eq!(secure.shown("a.example.com", config()).await, before);

    fs::write(secure.folder.path().join("a.pem"), &new.cert).unwrap();
    let changed = async || secure.shown("a.example.com", config()).await != before;
    assert!(eventually(PATIENCE, changed).await, "without a word to it");
    open.write_all(ASK.as_bytes()).await.unwrap();
    assert_eq!(status_of(&read_answer(&mut open, PATIENCE).await), 200);
    let until = "isobar_certificate_expires_seconds{name=\"a.example.com\"} 32472144000";
    assert!(secure.metric(until).await, "when it expires is told");
    let reload = secure.gateway.host.reload().await.unwrap();
    assert!(reload.needs_restart.is_empty(), "{reload:?}");
}

#[tokio::test]
async fn clients_show_a_certificate_where_they_must() {
    let a = Upstream::start("a").await.unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.issue(&["a.example.com"]);
    let (friend, foe) = (authority.issue(&["shop"]), stranger.issue(&["shop"]));
    let over = authority.issue_until(&["shop"], 2020);
    for (whether, without) in [("", false), (", client_certificate: optional", true)] {
        let more = format!(", client_ca: file(clients.pem){whether}");
        let authorities = Some(&authority);
        let secure = secure_with(&[("a", &own)], authorities, &more, &forwarding(&a)).await;
        let cases = [
            (Some(&friend), true),
            (None, without),
            (Some(&foe), false),
            (Some(&over), false),
        ];
        for (pair, expected) in cases {
            let config = authority.client(pair, &["http/1.1"]);
            assert_eq!(
                is_served(&secure, config).await,
                expected,
                "{whether:?} {expected}"
            );
        }
    }
    let served = a.ledger().len();
    assert_eq!(served, 3, "nothing of a refused client reaches an upstream");
}

/// Whether a client with this configuration gets an answer.
async fn is_served(secure: &Secure, config: ClientConfig) -> bool {
    let Ok(mut stream) = connect(secure.gateway.address(), "a.example.com", config).await else {
        return false;
    };
    let _ = stream.write_all(ASK.as_bytes()).await;
    status_of(&read_answer(&mut stream, PATIENCE).await) == 200
}

#[tokio::test]
async fn a_handshake_takes_no_longer_than_a_head_may() {
    let a = Upstream::start("a").await.unwrap();
    let own = Authority::new().issue(&["a.example.com"]);
    let rest = format!("{}limits: {{ header_timeout: 300ms }}\n", forwarding(&a));
    let secure = secure(&[("a", &own)], "", &rest).await;
    // The beginning of a handshake, a byte now and then.
    let began = Instant::now();
    let mut stream = TcpStream::connect(secure.gateway.address()).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    let drips = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if stream.write_all(b"\x00").await.is_err() || stream.try_read(&mut [0; 8]).is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, drips).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    let slow = "isobar_connections_refused_total{reason=\"slow_head\"} 1";
    assert!(eventually(PATIENCE, async || secure.metric(slow).await).await);

    let plain = secure.gateway.raw(ASK, PATIENCE).await;
    assert!(!plain.contains("HTTP/1.1"), "{plain:?}");
    let tls = "isobar_connections_refused_total{reason=\"tls\"} 1";
    assert!(eventually(PATIENCE, async || secure.metric(tls).await).await);
    assert_eq!(a.ledger(), []);
}

#[tokio::test]
async fn websockets_and_event_streams_pass_over_tls() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let own = authority.issue(&["a.example.com"]);
    let secure = secure(&[("a", &own)], "", &forwarding(&a)).await;
    let config = authority.client(None, &["http/1.1"]);
    let mut stream = connect(secure.gateway.address(), "a.example.com", config.clone())
        .await
        .unwrap();
    let ask = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, PATIENCE, |text| text.contains("\r\n\r\n")).await;
    assert_eq!(status_of(&head), 101, "{head}");
    for size in [1, 70_000] {
        let sent = vec![b'w'; size];
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        let mut back = vec![0; size];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut back)).await;
        read.unwrap().unwrap();
        assert_eq!(back, sent);
    }
    let mut stream = connect(secure.gateway.address(), "a.example.com", config)
        .await
        .unwrap();
    let ask = "GET /sse/3/0 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let seen = read(&mut stream, PATIENCE).await;
    assert_eq!(seen.matches("data: ").count(), 3, "{seen}");
}

#[tokio::test]
async fn large_bodies_pass_over_tls_both_ways() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let own = authority.issue(&["a.example.com"]);
    let secure = secure(&[("a", &own)], "", &forwarding(&a)).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(authority.client(None, &[]))
        .resolve("a.example.com", secure.gateway.address())
        .build()
        .unwrap();
    let base = format!("https://a.example.com:{}", secure.gateway.address().port());
    let sent = vec![b'k'; 5 << 20];
    let seen = see(client.post(format!("{base}/")).body(sent)).await;
    assert_eq!(seen.status, 200);
    assert_eq!(a.ledger()[0].body_length, 5 << 20);
    let seen = see(client.get(format!("{base}/bytes/5000000"))).await;
    assert!(seen.whole && seen.body.len() == 5_000_000);
}
