//! Behind a load balancer that says in the PROXY protocol who its clients are.

use std::time::Duration;

use isobar_sandbox::Upstream;
use isobar_tests::{
    Gateway, read_answer, status_of,
    tls::{Authority, connect},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::tls::{forwarding, secure};

const PATIENCE: Duration = Duration::from_secs(5);
const ASK: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

async fn behind(proxy_protocol: &str, limits: &str) -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let text = format!(
        "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\", proxy_protocol: {proxy_protocol} }} ]\n\
         log: {{ access: \"off\" }}\n{}limits: {{ {limits} }}\n",
        forwarding(&a)
    );
    (a, Gateway::start_whole(&text).await)
}

/// The second version's words for a client at `192.0.2.7:80`.
fn binary() -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    bytes.extend_from_slice(&[192, 0, 2, 7, 192, 0, 2, 1, 0, 80, 0, 80]);
    bytes
}

#[tokio::test]
async fn the_address_that_a_balancer_tells_is_the_clients() {
    let (a, gateway) = behind("true", "rate: { ip: 2/h }").await;
    let words = [
        (
            "PROXY TCP4 192.0.2.7 192.0.2.1 51000 443\r\n".into(),
            "192.0.2.7",
        ),
        (binary(), "192.0.2.7"),
        (
            "PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n".into(),
            "2001:db8::7",
        ),
        ("PROXY UNKNOWN\r\n".into(), "127.0.0.1"),
    ];
    for (words, expected) in words {
        let bytes: Vec<u8> = [words, ASK.as_bytes().to_vec()].concat();
        let seen = gateway.raw(bytes, PATIENCE).await;
        assert_eq!(status_of(&seen), 200, "{expected}: {seen}");
        let entry = a.ledger().pop().unwrap();
        assert_eq!(entry.header("x-forwarded-for"), Some(expected));
    }
    // Limits count by it, too: a third request of the same client, and a first of another.
    let third = format!("PROXY TCP4 192.0.2.7 192.0.2.1 51001 443\r\n{ASK}");
    assert_eq!(status_of(&gateway.raw(third, PATIENCE).await), 429);
    let other = format!("PROXY TCP4 192.0.2.8 192.0.2.1 51001 443\r\n{ASK}");
    assert_eq!(status_of(&gateway.raw(other, PATIENCE).await), 200);
}

#[tokio::test]
async fn who_does_not_speak_it_or_may_not_is_refused() {
    for (proxy_protocol, words) in [
        ("true", ""),
        ("true", "PROXY TCP4 999.0.2.7 192.0.2.1 51000 443\r\n"),
        ("true", "PROXY TCP4 192.0.2.7 192.0.2.1 51000\r\n"),
        ("true", "\r\n\r\n\0\r\nQUIT\n\x41\x11\x00\x00"),
        // Only others may say who their clients are.
        (
            "[10.0.0.0/8, \"::1\"]",
            "PROXY TCP4 192.0.2.7 192.0.2.1 51000 443\r\n",
        ),
    ] {
        let (a, gateway) = behind(proxy_protocol, "header_timeout: 1s").await;
        let seen = gateway.raw(format!("{words}{ASK}"), PATIENCE).await;
        assert_eq!(seen, "", "{words:?}");
        assert_eq!(a.ledger(), [], "{words:?}");
    }
    let (_a, gateway) = behind("[127.0.0.0/8]", "header_timeout: 1s").await;
    let good = format!("PROXY TCP4 192.0.2.7 192.0.2.1 51000 443\r\n{ASK}");
    assert_eq!(status_of(&gateway.raw(good, PATIENCE).await), 200);
    // One that drips is not waited for longer than a head.
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(b"PROXY TCP4 192.0").await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 8])).await;
    assert!(matches!(closed.unwrap(), Ok(0) | Err(_)));
}

#[tokio::test]
async fn connections_count_for_the_client_and_not_for_the_balancer() {
    let (_a, gateway) = behind("true", "connections_per_ip: 1").await;
    let mut held = Vec::new();
    for number in 1..=3 {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        let ask = ASK.replace("connection: close\r\n", "");
        let words = format!("PROXY TCP4 192.0.2.{number} 192.0.2.200 51000 443\r\n{ask}");
        stream.write_all(words.as_bytes()).await.unwrap();
        assert_eq!(status_of(&read_answer(&mut stream, PATIENCE).await), 200);
        held.push(stream);
    }
    let again = format!("PROXY TCP4 192.0.2.2 192.0.2.200 51001 443\r\n{ASK}");
    assert_eq!(gateway.raw(again, PATIENCE).await, "");
}

#[tokio::test]
async fn it_comes_before_the_handshake_of_tls() {
    let a = Upstream::start("a").await.unwrap();
    let authority = Authority::new();
    let own = authority.issue(&["a.example.com"]);
    let secure = secure(&[("a", &own)], ", proxy_protocol: true", &forwarding(&a)).await;
    let config = authority.client(None, &["http/1.1"]);
    let refused = connect(secure.gateway.address(), "a.example.com", config.clone()).await;
    assert!(refused.is_err());
    let mut stream = TcpStream::connect(secure.gateway.address()).await.unwrap();
    stream.write_all(&binary()).await.unwrap();
    let name = ServerName::try_from("a.example.com").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    assert_eq!(status_of(&read_answer(&mut stream, PATIENCE).await), 200);
    assert_eq!(a.ledger()[0].header("x-forwarded-for"), Some("192.0.2.7"));
}
