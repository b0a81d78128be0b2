//! HTTPS to upstreams: a certificate is checked before a byte of a request leaves.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use isobar_tests::{Seen, see};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::binary::{Place, client};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }
}

type Identity = (CertificateDer<'static>, KeyPair);

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

fn self_signed(names: &[&str]) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names).self_signed(&key).unwrap();
    (certificate.der().clone(), key)
}

/// An HTTPS server that answers everything and counts the bytes of requests that it could read.
async fn server((certificate, key): Identity) -> (u16, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    let mut piece = [0; 4_096];
                    let length = stream.read(&mut piece).await?;
                    if length == 0 {
                        return Ok(());
                    }
                    count.fetch_add(length, SeqCst);
                    request.extend_from_slice(&piece[..length]);
                }
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret";
                stream.write_all(answer).await?;
                stream.shutdown().await
            });
        }
    });
    (port, read)
}

#[tokio::test]
async fn only_a_certificate_of_a_known_authority_for_the_very_name_is_spoken_to() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2099, 1, 1);
    let cases = [
        (
            "good",
            "localhost",
            known.issue(&["localhost"], |_| {}),
            true,
        ),
        (
            "good_address",
            "127.0.0.1",
            known.issue(&["127.0.0.1"], |_| {}),
            true,
        ),
        (
            "self_signed",
            "localhost",
            self_signed(&["localhost"]),
            false,
        ),
        (
            "unknown_authority",
            "localhost",
            unknown.issue(&["localhost"], |_| {}),
            false,
        ),
        (
            "wrong_name",
            "localhost",
            known.issue(&["example.com"], |_| {}),
            false,
        ),
        (
            "wrong_address",
            "127.0.0.1",
            known.issue(&["127.0.0.2", "localhost"], |_| {}),
            false,
        ),
        (
            "expired",
            "localhost",
            known.issue(&["localhost"], expired),
            false,
        ),
        (
            "not_yet_valid",
            "localhost",
            known.issue(&["localhost"], future),
            false,
        ),
    ];
    let mut rest = "upstreams:\n".to_owned();
    let mut routes = "routes:\n".to_owned();
    let mut servers = Vec::new();
    for (name, host, identity, is_good) in cases {
        let (port, read) = server(identity).await;
        rest.push_str(&format!(
            "  {name}: {{ url: \"https://{host}:{port}\", auth: {{ bearer: \"${{KEY}}\" }} }}\n"
        ));
        for mode in ["exchange", "stream"] {
            for (path, members) in [
                ("only", name.to_owned()),
                ("first", format!("{name}, good")),
            ] {
                if name != "good" || path == "only" {
                    routes.push_str(&format!(
                        "  - {{ match: \"/{mode}/{path}/{name}\", forward: {{ members: [{members}], mode: {mode} }}, anonymous: true }}\n"
                    ));
                }
            }
        }
        servers.push((name, is_good, read));
    }
    let mut place = Place::new(&format!("{rest}{routes}"));
    let authority = place.path("authority.pem");
    std::fs::write(&authority, known.0.pem()).unwrap();
    let file = authority.display().to_string();
    let running = place
        .start_with(&[("SSL_CERT_FILE", &*file), ("KEY", "vendor-key")])
        .await;

    for mode in ["exchange", "stream"] {
        for (name, is_good, read) in &servers {
            let post = |path: &str| {
                see(client()
                    .post(running.url(&format!("/{mode}/{path}/{name}")))
                    .body("once"))
            };
            let seen: Seen = post("only").await;
            if *is_good {
                assert_eq!(
                    (seen.status, seen.text().as_str()),
                    (200, "secret"),
                    "{mode} {name}"
                );
                continue;
            }
            assert_eq!(
                (seen.status, seen.problem().as_str()),
                (503, "no-account-available"),
                "{mode} {name}"
            );
            let attempt = &seen.json()["attempts"][0];
            assert_eq!(
                (&attempt["verdict"], &attempt["reason"]),
                (&"not_sent".into(), &"tls".into()),
                "{mode} {name}"
            );
            // Nothing was sent, so even what must not be repeated goes to the next.
            let seen = post("first").await;
            assert_eq!(
                (seen.status, seen.vendor(), seen.attempts()),
                (200, "good", "2"),
                "{mode} {name}"
            );
            assert_eq!(read.load(SeqCst), 0, "{mode} {name}: it was spoken to");
        }
    }
}
