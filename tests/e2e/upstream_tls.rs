//! TLS to upstreams with authorities and certificates of one's own, and what is never believed.

use std::{fs, time::Duration};

use isobar::Host;
use isobar_sandbox::Upstream;
use isobar_tests::{
    Gateway, HEAD, see, status_of,
    tls::{Authority, Pair, Wrapped},
};

use super::tls::started;

const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway whose upstream `a` is at a port of its own behind TLS, with the authority in `ca.pem`, a certificate of ours
/// in `us.pem`, and these settings.
async fn before(
    port: u16,
    authority: &Authority,
    us: &Pair,
    tls: &str,
) -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    us.write(folder.path(), "us").unwrap();
    let text = format!(
        "{HEAD}upstreams: {{ a: {{ url: \"https://127.0.0.1:{port}\", tls: {{ {tls} }} }} }}\n\
         routes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n"
    );
    fs::write(folder.path().join("isobar.yaml"), text).unwrap();
    let gateway = started(folder.path()).await;
    (folder, gateway)
}

#[tokio::test]
async fn tls_is_verified_by_default_and_no_byte_leaves_before() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let us = ours.issue(&["gateway"]);
    let good = ours.issue(&["127.0.0.1"]);
    let cases = [
        (
            "the system's authorities",
            &good,
            "server_name: 127.0.0.1",
            503,
        ),
        ("our authority", &good, "ca: file(ca.pem)", 200),
        (
            "another's",
            &theirs.issue(&["127.0.0.1"]),
            "ca: file(ca.pem)",
            503,
        ),
        (
            "another name",
            &ours.issue(&["example.com"]),
            "ca: file(ca.pem)",
            503,
        ),
        (
            "another address",
            &ours.issue(&["127.0.0.2"]),
            "ca: file(ca.pem)",
            503,
        ),
        (
            "expired",
            &ours.issue_until(&["127.0.0.1"], 2020),
            "ca: file(ca.pem)",
            503,
        ),
        (
            "a name of its own",
            &ours.issue(&["billing.example.com"]),
            "ca: file(ca.pem), server_name: billing.example.com",
            200,
        ),
        (
            "a name that is not its own",
            &good,
            "ca: file(ca.pem), server_name: billing.example.com",
            503,
        ),
        (
            "a name below a wildcard",
            &ours.issue(&["*.example.com"]),
            "ca: file(ca.pem), server_name: billing.example.com",
            200,
        ),
    ];
    for (name, pair, tls, status) in cases {
        let a = Upstream::start("a").await.unwrap();
        let wrapped = Wrapped::start(a.address(), pair.server(None, &["http/1.1"]))
            .await
            .unwrap();
        let (_folder, gateway) = before(wrapped.port(), &ours, &us, tls).await;
        let seen = see(gateway.request("POST", "/").body("pay")).await;
        assert_eq!(seen.status, status, "{name}: {}", seen.text());
        let handshake = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let upgraded = gateway.raw(handshake, Duration::from_secs(1)).await;
        let expected = if status == 200 { 101 } else { 503 };
        assert_eq!(status_of(&upgraded), expected, "{name}: {upgraded}");
        if status == 200 {
            continue;
        }
        assert_eq!(a.accepted(), 0, "{name}: a byte left");
        let attempts = &seen.json()["attempts"];
        assert_eq!(attempts[0]["verdict"], "not_sent", "{name}: {attempts}");
        assert_eq!(attempts[0]["reason"], "tls", "{name}: {attempts}");
    }
}

#[tokio::test]
async fn a_service_that_asks_who_we_are_is_shown_our_certificate() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let own = ours.issue(&["127.0.0.1"]);
    let us = theirs.issue(&["gateway"]);
    let stranger = ours.issue(&["gateway"]);
    let cases = [
        (
            &us,
            "ca: file(ca.pem), cert: file(us.pem), key: file(us.key)",
            true,
        ),
        (&us, "ca: file(ca.pem)", false),
        (
            &stranger,
            "ca: file(ca.pem), cert: file(us.pem), key: file(us.key)",
            false,
        ),
    ];
    for (pair, tls, served) in cases {
        let a = Upstream::start("a").await.unwrap();
        let config = own.server(Some(&theirs), &["http/1.1"]);
        let wrapped = Wrapped::start(a.address(), config).await.unwrap();
        let (_folder, gateway) = before(wrapped.port(), &ours, pair, tls).await;
        let seen = see(gateway.request("GET", "/")).await;
        assert_eq!(seen.status == 200, served, "{tls}: {}", seen.text());
        assert_eq!(a.ledger().len(), usize::from(served));
        let handshake = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let upgraded = gateway.raw(handshake, Duration::from_secs(1)).await;
        assert_eq!(status_of(&upgraded) == 101, served, "{tls}: {upgraded}");
    }
}

#[tokio::test]
async fn a_reload_takes_another_authority_and_believes_the_first_no_longer() {
    let (first, second) = (Authority::new(), Authority::new());
    let a = Upstream::start("a").await.unwrap();
    let own = first.issue(&["127.0.0.1"]);
    let wrapped = Wrapped::start(a.address(), own.server(None, &["http/1.1"]))
        .await
        .unwrap();
    let us = first.issue(&["gateway"]);
    let (folder, gateway) = before(wrapped.port(), &first, &us, "ca: file(ca.pem)").await;
    assert_eq!(gateway.get("/").await.status, 200);
    fs::write(folder.path().join("ca.pem"), second.pem()).unwrap();
    gateway.host.reload().await.unwrap();
    let seen = gateway.get("/").await;
    assert_eq!(seen.status, 503, "a kept connection is believed still");
    let served = isobar_tests::eventually(PATIENCE, async || a.open() == 0).await;
    assert!(served, "the old connection stays open");
}

/// A vendor of our own, whose answers have the path of the request in them.
const BABEL: &str = "vendor: babel\ntitle: Babel\naccount: { key: { secret: true, doc: API key } }\n\
    base: https://babel.example.com\ntranslation:\n  translate:\n    call: POST /translate\n    \
    body: { json: { q: $.text, source: $.from | default(auto), target: $.to, format: $.format | default(text), api_key: $.account.key } }\n    \
    returns: { text: $.body.path }\n    limits: { cannot: [formality, glossary] }\n    ignores: [context, model]\n";

#[tokio::test]
async fn an_account_at_a_vendor_has_authorities_and_a_certificate_of_its_own() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (own, us) = (ours.issue(&["127.0.0.1"]), theirs.issue(&["gateway"]));
    let whole = "tls: { ca: file(ca.pem), cert: file(us.pem), key: file(us.key) }";
    for (tls, served) in [
        (whole, true),
        ("tls: { ca: file(ca.pem) }", false),
        ("quota: 10/s", false),
    ] {
        let a = Upstream::start("a").await.unwrap();
        let config = own.server(Some(&theirs), &["http/1.1"]);
        let wrapped = Wrapped::start(a.address(), config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("adapters/babel")).unwrap();
        fs::write(at("adapters/babel/vendor.yaml"), BABEL).unwrap();
        fs::write(at("babel.key"), "a-key-of-babel").unwrap();
        fs::write(at("ca.pem"), ours.pem()).unwrap();
        us.write(folder.path(), "us").unwrap();
        let text = format!(
            "{HEAD}adapters: ./adapters\naccounts: {{ babel: {{ vendor: babel, key: file(babel.key), base: \"https://127.0.0.1:{}\", {tls} }} }}\n",
            wrapped.port()
        );
        fs::write(at("isobar.yaml"), text).unwrap();
        let loaded = isobar::load(&at("isobar.yaml"))
            .unwrap_or_else(|report| panic!("{}", report.text(false)));
        let gateway = Gateway::around(Host::start(loaded.checked, None).await.unwrap());
        let ask = gateway
            .request("POST", "/v1/translate")
            .header("authorization", "Bearer any")
            .header("content-type", "application/json")
            .body(r#"{"text":"Good morning.","to":"fr"}"#);
        let seen = see(ask).await;
        assert_eq!(seen.status == 200, served, "{tls}: {}", seen.text());
        assert_eq!(a.ledger().len(), usize::from(served), "{tls}");
    }
}
