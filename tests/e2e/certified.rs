//! Clients that are known by their certificates: who they are to limits, caches, logs and upstreams, and who is not.

use std::time::Duration;

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{
    eventually, read_answer, status_of,
    tls::{Authority, Pair, connect},
};
use rustls::{ClientConfig, HandshakeKind};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::client::TlsStream;

use super::tls::{Secure, secure_with};

const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &str = "partner-key-0123456789abcdef";

/// A gateway that asks for certificates, and an upstream.
struct Stand {
    a: Upstream,
    authority: Authority,
    secure: Secure,
}

impl Stand {
    async fn start() -> Self {
        let a = Upstream::start("a").await.unwrap();
        let authority = Authority::new();
        let own = authority.issue(&["a.example.com"]);
        let rest = format!(
            "clients:\n  shops: {{ certificate: {{ uri: \"spiffe://mesh/shops/*\" }}, scopes: [read] }}\n  \
             partner: {{ certificate: {{ dns: partner.example.com }}, key: \"{}\", scopes: [read, write] }}\n  \
             old: {{ certificate: {{ cn: The old one }} }}\n\
             upstreams:\n  a: \"{1}\"\n  own: {{ url: \"{1}\", auth: {{ bearer: \"${{X:-vendors-key}}\" }} }}\n\
             routes:\n  - {{ match: \"/partner/*\", forward: [a], clients: [partner] }}\n  \
             - {{ match: \"/write/*\", forward: [a], scopes: [write] }}\n  \
             - {{ match: \"/few/*\", forward: [a], limits: {{ rate: 1/h }} }}\n  \
             - {{ match: \"/kept/*\", forward: [a], cache: {{ fresh: 1h }} }}\n  \
             - {{ match: \"/own/*\", forward: [own] }}\n  \
             - {{ match: \"/open/*\", forward: [a], anonymous: true }}\n  \
             - match: \"/*\"\n    forward: {{ members: [a], request_headers: {{ set: {{ x-client: $.client.name, x-subject: $.client.subject }} }} }}\n",
            isobar_config::hash_key(KEY),
            a.url(),
        );
        let more = ", client_ca: file(clients.pem), client_certificate: optional";
        let secure = secure_with(&[("a", &own)], Some(&authority), more, &rest).await;
        Self {
            a,
            authority,
            secure,
        }
    }

    fn shop(&self, name: &str) -> Pair {
        let uri = format!("spiffe://mesh/shops/{name}");
        self.authority
            .issue_to("Somebody", &uri, "shop.example.com")
    }

    fn showing(&self, pair: Option<&Pair>) -> ClientConfig {
        self.authority.client(pair, &["http/1.1"])
    }

    async fn connected(&self, config: &ClientConfig) -> TlsStream<TcpStream> {
        let address = self.secure.gateway.address();
        connect(address, "a.example.com", config.clone())
            .await
            .unwrap()
    }

    /// The answer to one request on a connection of its own.
    async fn ask(&self, pair: Option<&Pair>, path: &str, headers: &str) -> String {
        let mut stream = self.connected(&self.showing(pair)).await;
        ask_on(&mut stream, path, headers).await
    }
}

async fn ask_on(stream: &mut TlsStream<TcpStream>, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example.com\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_answer(stream, PATIENCE).await
}

#[tokio::test]
async fn a_certificate_says_who_its_client_is_on_new_and_resumed_connections() {
    let stand = Stand::start().await;
    let shop = stand.shop("seven");
    let config = stand.showing(Some(&shop));
    for number in 0..3 {
        let mut stream = stand.connected(&config).await;
        for _ in 0..2 {
            let answer = ask_on(&mut stream, "/x", "").await;
            assert_eq!(status_of(&answer), 200, "{answer}");
        }
        let kind = stream.get_ref().1.handshake_kind();
        let expected = if number == 0 {
            HandshakeKind::Full
        } else {
            HandshakeKind::Resumed
        };
        assert_eq!(kind, Some(expected), "{number}");
    }
    let old = stand
        .authority
        .issue_to("The old one", "spiffe://other/x", "old.example.org");
    assert_eq!(status_of(&stand.ask(Some(&old), "/x", "").await), 200);
    let told: Vec<_> = stand
        .a
        .ledger()
        .iter()
        .map(|entry| {
            let header = |name| entry.header(name).unwrap_or_default().to_owned();
            (header("x-client"), header("x-subject"))
        })
        .collect();
    let mut expected = vec![("shops".to_owned(), "spiffe://mesh/shops/seven".to_owned()); 6];
    expected.push(("old".to_owned(), "The old one".to_owned()));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_stranger_with_a_good_certificate_stays_one() {
    let stand = Stand::start().await;
    let stranger = stand
        .authority
        .issue_to("shops", "spiffe://mesh/shops", "mesh");
    let partner = stand.authority.issue(&["partner.example.com"]);
    let key = format!("x-api-key: {KEY}\r\n");
    let shop = stand.shop("a");
    for (who, path, headers, status) in [
        (None, "/x", "", 401),
        (Some(&stranger), "/x", "", 401),
        (Some(&stranger), "/open/x", "", 200),
        (Some(&stranger), "/x", "x-api-key: wrong\r\n", 401),
        (Some(&stranger), "/partner/x", &key, 200),
        (None, "/partner/x", &key, 200),
        (Some(&partner), "/partner/x", "", 200),
        (Some(&shop), "/partner/x", "", 403),
        (Some(&shop), "/partner/x", &key, 200),
        (Some(&shop), "/write/x", "", 403),
        (Some(&partner), "/write/x", "", 200),
        (Some(&shop), "/write/x", &key, 200),
    ] {
        let answer = stand.ask(who, path, headers).await;
        assert_eq!(status_of(&answer), status, "{path} {headers}: {answer}");
    }
    // A connection is not remembered as whoever sent a key on it.
    let mut stream = stand.connected(&stand.showing(Some(&shop))).await;
    for (path, headers, status) in [
        ("/partner/x", "", 403),
        ("/partner/x", &*key, 200),
        ("/partner/x", "", 403),
        ("/x", "", 200),
    ] {
        let answer = ask_on(&mut stream, path, headers).await;
        assert_eq!(status_of(&answer), status, "{path} {headers}: {answer}");
    }
}

#[tokio::test]
async fn each_subject_of_a_certificate_has_limits_and_answers_of_its_own() {
    let stand = Stand::start().await;
    stand.a.always(Fault::with("cache-control", "max-age=60"));
    let (one, two) = (stand.shop("one"), stand.shop("two"));
    for (who, status) in [(&one, 200), (&one, 429), (&two, 200), (&two, 429)] {
        let answer = stand.ask(Some(who), "/few/x", "").await;
        assert_eq!(status_of(&answer), status, "{answer}");
    }
    let before = stand.a.ledger().len();
    for (who, fetched) in [(&one, 1), (&one, 1), (&two, 2), (&one, 2), (&two, 2)] {
        stand.ask(Some(who), "/kept/x", "").await;
        assert_eq!(stand.a.ledger().len() - before, fetched);
    }
}

#[tokio::test]
async fn what_a_certified_client_sends_of_keys_is_its_upstreams_business() {
    let stand = Stand::start().await;
    let shop = stand.shop("a");
    let own = "authorization: Bearer its-own\r\n";
    for path in ["/x", "/own/x"] {
        let answer = stand.ask(Some(&shop), path, own).await;
        assert_eq!(status_of(&answer), 200, "{answer}");
    }
    let ledger = stand.a.ledger();
    let told: Vec<_> = ledger
        .iter()
        .map(|entry| entry.header("authorization"))
        .collect();
    assert_eq!(told, [Some("Bearer its-own"), Some("Bearer vendors-key")]);
}

#[tokio::test]
async fn a_client_that_is_withdrawn_is_nobody_on_its_open_connection() {
    let stand = Stand::start().await;
    let mut stream = stand
        .connected(&stand.showing(Some(&stand.shop("a"))))
        .await;
    assert_eq!(status_of(&ask_on(&mut stream, "/x", "").await), 200);
    let file = stand.secure.folder.path().join("isobar.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let without = text.replace("spiffe://mesh/shops/*", "spiffe://mesh/markets/*");
    assert_ne!(text, without);
    std::fs::write(&file, without).unwrap();
    let admin = stand.secure.gateway.host.admin().unwrap();
    let status = async || -> Value {
        let asked = reqwest::get(format!("http://{admin}/status"))
            .await
            .unwrap();
        serde_json::from_str(&asked.text().await.unwrap()).unwrap()
    };
    assert!(eventually(PATIENCE, async || status().await["generation"] == 2).await);
    assert_eq!(status_of(&ask_on(&mut stream, "/x", "").await), 401);
}
