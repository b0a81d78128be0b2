//! Where requests may lead: never to a host that a caller or a vendor chose, never to the gateway itself, and no vendor's key
//! to anybody else.

use std::{net::SocketAddr, time::Duration};

use isobar::compositions;
use isobar_compositions::{Known, check};
use isobar_config::{Nothing, Source};
use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, HEAD, checked, see, status_of};
use serde_json::json;

use super::compositions::Stand;

const PATIENCE: Duration = Duration::from_secs(10);
const KEY: &str = "the-vendors-own-key";

/// Every way to write where a canary sings.
fn disguises(canary: &Upstream) -> Vec<String> {
    let port = canary.address().port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "images.example.com@127.0.0.1",
        "images.example.com:x@127.0.0.1",
        "127.0.0.1%2f@images.example.com",
        "127.0.0.1#.example.com",
        "127.0.0.1?.example.com",
        "127.0.0.1\\.example.com",
        "127.0.0.1%00.example.com",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "example.com.127.0.0.1",
    ];
    let with_port = hosts.map(|host| format!("http://{host}:{port}/"));
    let mut all = with_port.to_vec();
    all.extend(hosts.map(|host| format!("https://{host}:{port}/")));
    all.extend(
        [
            "http://169.254.169.254/latest/meta-data/",
            "http://metadata.google.internal/",
            "http://[fd00:ec2::254]/latest/meta-data/",
            "file:///etc/passwd",
            "unix:///run/docker.sock",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "dict://127.0.0.1:11211/stat",
        ]
        .map(str::to_owned),
    );
    all.push(format!("//127.0.0.1:{port}/"));
    all.push(format!("http:127.0.0.1:{port}/"));
    all.push(format!(" http://127.0.0.1:{port}/"));
    all.push(format!("http://127.0.0.1:{port}\r\nx: y/"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_url_that_a_caller_makes_leads_into_this_network() {
    let canary = Upstream::start("canary").await.unwrap();
    // The last one is listed, and stands for an address of this machine.
    let text = format!(
        "composition: fetch
expose: POST /v1/fetch
hosts: [ images.example.com, \"*.example.com\", \"localhost:{}\" ]
input: {{ url: string }}
steps: {{ got: {{ http: {{ method: GET, url: $.input.url }} }} }}
output: {{ status: $.got.status }}
",
        canary.address().port()
    );
    let stand = Stand::of(&[&text]).await;
    for url in disguises(&canary) {
        let seen = stand.json("/v1/fetch", &json!({ "url": url })).await;
        assert!(
            (400..500).contains(&seen.status),
            "{url}: {} {}",
            seen.status,
            seen.text()
        );
    }
    assert_eq!(canary.accepted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_header_or_query_chooses_whom_a_vendors_key_goes_to() {
    let canary = Upstream::start("canary").await.unwrap();
    let stand = Stand::with(&["deepgram", "azure", "openai"], "", Vec::new()).await;
    let there = canary.url();
    for name in [
        "api_base",
        "base_url",
        "base",
        "url",
        "audio_url",
        "callback",
        "callback_url",
        "webhook_url",
        "endpoint",
        "host",
        "vendor",
        "account",
    ] {
        let body = json!({ "text": "I like it", name: there });
        let seen = stand.json("/v1/text/sentiment", &body).await;
        assert_eq!(seen.status, 400, "{name}: {}", seen.text());
        let seen = stand
            .form("/v1/audio/transcriptions", &[(name, &there)])
            .await;
        assert_eq!(seen.status, 400, "{name}: {}", seen.text());
    }
    let body = json!({ "text": "I like it" });
    for name in [
        "host-override",
        "x-portkey-custom-host",
        "x-api-base",
        "x-base-url",
        "x-target-url",
        "x-forwarded-host",
        "x-original-url",
        "x-rewrite-url",
        "forwarded",
        "isobar-base",
        "isobar-vendor",
        "proxy",
    ] {
        let query = format!("/v1/text/sentiment?api_base={there}&url={there}");
        let seen = stand.with_header(&query, &body, name, &there).await;
        assert_eq!(seen.status, 200, "{name}: {}", seen.text());
    }
    // A recording is what is sent, not where it might be.
    let seen = stand
        .json("/v1/audio/transcriptions", &json!({ "url": there }))
        .await;
    assert_eq!(seen.status, 415, "{}", seen.text());
    assert_eq!(canary.accepted(), 0);
}

#[tokio::test]
async fn a_target_or_host_of_the_clients_chooses_a_route_and_no_address() {
    let (a, canary) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("canary").await.unwrap(),
    );
    for mode in ["exchange", "stream"] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: {{ url: \"{}\", auth: {{ bearer: \"${{X:-{KEY}}}\" }} }} }}\n\
             routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: {mode} }}, anonymous: true }} ]\n",
            a.url()
        ))
        .await;
        let there = canary.address();
        for request in [
            format!("GET http://{there}/x HTTP/1.1\r\nHost: {there}\r\n"),
            format!("GET http://{there}/x HTTP/1.1\r\nHost: h\r\n"),
            format!("GET /x HTTP/1.1\r\nHost: {there}\r\n"),
            format!("GET //{there}/x HTTP/1.1\r\nHost: h\r\n"),
            format!("GET @{there}/x HTTP/1.1\r\nHost: h\r\n"),
            format!("GET /@{there}/x HTTP/1.1\r\nHost: h@{there}\r\n"),
            format!("GET /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: {there}\r\n"),
            format!("CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n"),
        ] {
            let seen = gateway
                .raw(format!("{request}Connection: close\r\n\r\n"), PATIENCE)
                .await;
            let status = status_of(&seen);
            assert!(
                matches!(status, 200 | 400 | 405),
                "{mode} {request}: {seen}"
            );
        }
        assert_eq!(canary.accepted(), 0, "{mode}");
    }
    for entry in a.ledger() {
        assert_eq!(entry.header("host"), Some(&*a.address().to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_by_nobody_and_takes_no_key_along() {
    let (a, canary) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("canary").await.unwrap(),
    );
    let text = format!(
        "composition: step
expose: POST /v1/step
hosts: [ \"{host}\" ]
input: {{ x: string? }}
steps: {{ got: {{ http: {{ method: GET, url: \"http://{host}/x\" , query: {{ x: $.input.x }} }} }} }}
output: {{ status: $.got.status }}
",
        host = a.address()
    );
    let (plans, report) = check(
        &[Source {
            name: "step.yaml".to_owned(),
            text,
        }],
        &Known::default(),
        &Nothing,
    );
    assert!(!report.has_errors(), "{}", report.text(false));
    let config = format!(
        "{HEAD}clients: {{ staff: {{ token: {{ issuer: login, audience: isobar, algorithms: [RS256], jwks: \"{a}/keys\" }} }}, shop: {{ key: \"{}\" }} }}\n\
         accounts: {{ azure: {{ vendor: azure, key: \"${{X:-{KEY}}}\", endpoint: \"{a}\" }} }}\n\
         upstreams: {{ plain: {{ url: \"{a}\", auth: {{ bearer: \"${{X:-{KEY}}}\" }} }} }}\n\
         routes:\n  - {{ match: /exchange, forward: {{ members: [plain], mode: exchange }} }}\n  \
         - {{ match: /stream, forward: {{ members: [plain], mode: stream }} }}\n",
        isobar_config::hash_key("shop-key-0123456789abcdef"),
        a = a.url(),
    );
    let (vendors, _) = isobar_adapters::built_in();
    let source = Source {
        name: "isobar.yaml".to_owned(),
        text: config,
    };
    let (config, report) =
        isobar_config::check_with(&[source], &Nothing, &isobar::catalog(vendors));
    let config = config.unwrap_or_else(|| panic!("{}", report.text(false)));
    let checked = compositions::with(config, plans);
    let host = Box::pin(isobar::Host::start(checked, None)).await.unwrap();
    let gateway = Gateway::around(host);
    // A token that says where its keys are, and one whose keys the issuer says are elsewhere.
    let encoded = |text: String| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let header = format!(
        "{{\"alg\":\"RS256\",\"kid\":\"k\",\"jku\":\"{c}\",\"x5u\":\"{c}\"}}",
        c = canary.url()
    );
    let claims =
        "{\"iss\":\"login\",\"aud\":\"isobar\",\"sub\":\"x\",\"exp\":4000000000}".to_owned();
    let token = format!("{}.{}.c2ln", encoded(header), encoded(claims));
    for status in [301, 302, 303, 307, 308] {
        a.always(Fault::Status(
            status,
            vec![("location", format!("{}/stolen", canary.url()))],
        ));
        for (method, path, passed) in [
            ("GET", "/exchange", true),
            ("GET", "/stream", true),
            ("POST", "/v1/text/sentiment", false),
            ("POST", "/v1/step", false),
        ] {
            let request = gateway
                .request(method, path)
                .header("x-api-key", "shop-key-0123456789abcdef")
                .header("content-type", "application/json")
                .body(if method == "POST" && path.contains("text") {
                    "{\"text\":\"I like it\"}"
                } else {
                    ""
                });
            let seen = see(request).await;
            if passed {
                assert_eq!(seen.status, status, "{path}");
            } else {
                assert!(seen.status >= 500, "{path} {status}: {}", seen.text());
            }
        }
        let bearer = gateway.request("GET", "/exchange").bearer_auth(&token);
        let seen = see(bearer).await;
        assert!(matches!(seen.status, 401 | 503), "{status}: {seen:?}");
    }
    assert!(a.ledger().iter().any(|entry| entry.target == "/keys"));
    assert!(a.ledger().len() >= 20, "{}", a.ledger().len());
    assert_eq!(canary.accepted(), 0);
}

fn to(admin: &str, listen: &str, url: &str) -> String {
    format!(
        "isobar: 1\nlisten: [ {{ http: \"{listen}\" }} ]\nadmin: \"{admin}\"\nlog: {{ access: \"off\" }}\n\
         upstreams: {{ itself: \"{url}\" }}\nroutes: [ {{ match: \"/*\", forward: [itself], anonymous: true }} ]\n"
    )
}

#[test]
fn a_route_to_the_gateway_itself_or_its_admin_port_is_refused_at_load() {
    let codes = |text: String| {
        let source = Source {
            name: "test.yaml".to_owned(),
            text,
        };
        let (config, report) = isobar_config::check(&[source], &Nothing);
        assert!(config.is_none(), "{}", report.text(false));
        report.text(false)
    };
    for (listen, hosts) in [
        (
            "127.0.0.1",
            &[
                "127.0.0.1",
                "localhost",
                "LOCALHOST",
                "localhost.",
                "x.localhost",
                "0.0.0.0",
                "[::ffff:127.0.0.1]",
            ][..],
        ),
        (
            "0.0.0.0",
            &["127.0.0.1", "127.9.9.9", "localhost", "0.0.0.0", "[::1]"],
        ),
    ] {
        for host in hosts {
            for port in [9901, 9902] {
                let (admin, front) = (format!("{listen}:9901"), format!("{listen}:9902"));
                let told = codes(to(&admin, &front, &format!("http://{host}:{port}")));
                assert!(told.contains("E0802"), "{listen} {host}: {told}");
            }
        }
    }
    for url in [
        "unix:///run/isobar.sock",
        "unix:/run/isobar.sock",
        "http+unix://%2Frun%2Fisobar.sock/",
        "/run/isobar.sock",
    ] {
        let told = codes(to("127.0.0.1:9901", "127.0.0.1:9902", url));
        assert!(told.contains("E0401"), "{url}: {told}");
    }
}

#[tokio::test]
async fn a_route_to_the_gateway_itself_or_its_admin_port_leads_nowhere_at_run() {
    let gateway =
        Gateway::start_whole(&to("127.0.0.1:0", "127.0.0.1:0", "http://127.0.0.1:1")).await;
    let (admin, own) = (gateway.host.admin().unwrap(), gateway.address());
    let everywhere = |address: SocketAddr| {
        let port = address.port();
        [
            format!("http://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
            format!("http://[::ffff:127.0.0.1]:{port}"),
            format!("http://0.0.0.0:{port}"),
        ]
    };
    // Ports that the system chose are not known to whoever checks the file.
    for url in everywhere(admin).into_iter().chain(everywhere(own)) {
        for mode in ["exchange", "stream"] {
            let text = to("127.0.0.1:0", "127.0.0.1:0", &url).replace(
                "forward: [itself]",
                &format!("forward: {{ members: [itself], mode: {mode} }}"),
            );
            gateway.host.swap(checked(&text)).unwrap();
            for path in ["/status", "/config", "/healthz"] {
                let seen = gateway.get(path).await;
                assert!(seen.status >= 500, "{url} {path}: {}", seen.text());
                assert_eq!(seen.vendor(), "none", "{url} {path}");
            }
            let upgrade = "GET /status HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let seen = gateway.raw(upgrade, Duration::from_secs(2)).await;
            assert!(status_of(&seen) >= 500, "{url}: {seen}");
            assert!(!seen.contains("generation"), "{url}: {seen}");
        }
    }
}
