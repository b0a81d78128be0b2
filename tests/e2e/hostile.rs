//! Vendors that mean harm: no crash, no tunnel, no splitting, nothing that grows without end.

use std::time::Duration;

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, read_until, see, try_see};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

async fn behind(mode: &str, auth: &str) -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\nupstreams: {{ a: {{ url: \"{}\", auth: {auth}, breaker: {{ failures: 1000000 }} }} }}\n\
         routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: {mode} }}, anonymous: true, limits: {{ attempt: 2s, idle: 1s }} }} ]\n",
        a.url()
    ))
    .await;
    (a, gateway)
}

const NO_AUTH: &str = "{ header: { name: x-k, value: \"${X:-vendor-key}\" } }";

/// Answers that are none. Whatever becomes of them, it is an error that the client can tell.
fn broken() -> Vec<(&'static str, String)> {
    let ok = "HTTP/1.1 200 OK\r\n";
    vec![
        (
            "header flood",
            format!("{ok}{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(5_000)),
        ),
        (
            "header too long",
            format!(
                "{ok}x: {}\r\ncontent-length: 0\r\n\r\n",
                "x".repeat(3 << 20)
            ),
        ),
        (
            "head without end",
            format!("{ok}{}", "x: y\r\n".repeat(100)),
        ),
        (
            "two lengths",
            format!("{ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ),
        (
            "negative length",
            format!("{ok}content-length: -1\r\n\r\nab"),
        ),
        (
            "length that is none",
            format!("{ok}content-length: abc\r\n\r\nab"),
        ),
        (
            "length without end",
            format!("{ok}content-length: 99999999999999999999999\r\n\r\nab"),
        ),
        ("short body", format!("{ok}content-length: 100\r\n\r\nab")),
        (
            "chunk size that is none",
            format!("{ok}transfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "chunk size without end",
            format!("{ok}transfer-encoding: chunked\r\n\r\nfffffffffffffffffff\r\nab\r\n"),
        ),
        (
            "chunks without end",
            format!("{ok}transfer-encoding: chunked\r\n\r\n2\r\nab\r\n"),
        ),
        (
            "status that is none",
            "HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        (
            "status of four digits",
            "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        (
            "name with a space",
            format!("{ok}x y: z\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "carriage return in a value",
            format!("{ok}x: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "NUL in a value",
            format!("{ok}x: a\0b\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "interim flood",
            format!(
                "{}{ok}content-length: 0\r\n\r\n",
                "HTTP/1.1 103 Hints\r\nx: y\r\n\r\n".repeat(10_000)
            ),
        ),
        (
            "100s without end",
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000),
        ),
        (
            "unasked upgrade",
            "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw bytes"
                .to_owned(),
        ),
        ("nothing", String::new()),
    ]
}

#[tokio::test]
async fn answers_that_are_none_are_errors_on_both_paths() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode, NO_AUTH).await;
        for (name, answer) in broken() {
            a.always(Fault::raw(answer));
            let seen = tokio::time::timeout(PATIENCE, try_see(gateway.request("GET", "/"))).await;
            let seen = seen.unwrap_or_else(|_| panic!("{mode} {name}: no end"));
            if let Ok(seen) = seen {
                assert!(seen.status == 502 || !seen.whole, "{mode} {name}: {seen:?}");
                assert_ne!(seen.status, 101, "{mode} {name}");
                assert_eq!(seen.header("set-cookie"), "", "{mode} {name}");
            }
            a.always(Fault::None);
            assert_eq!(gateway.get("/").await.status, 200, "{mode} after {name}");
        }
        let admin = gateway.host.admin().unwrap();
        let page = see(reqwest::Client::new().get(format!("http://{admin}/metrics")))
            .await
            .text();
        for line in [
            "isobar_panics_total 0",
            "isobar_requests_in_flight 0",
            "isobar_account_in_flight{account=\"a\"} 0",
        ] {
            assert!(
                page.lines().any(|known| known == line),
                "{mode}: {line} is missing"
            );
        }
    }
}

/// Answers that a reader of JSON comes to harm by.
fn bombs() -> Vec<(&'static str, String)> {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let told = |body: String| format!("{ok}content-length: {}\r\n\r\n{body}", body.len());
    let keys: String = (0..300_000).map(|key| format!("\"k{key}\":0,")).collect();
    vec![
        ("deep lists", told("[".repeat(1 << 20))),
        ("deep objects", told("{\"documents\":".repeat(100_000))),
        ("many keys", told(format!("{{{keys}\"z\":0}}"))),
        (
            "many values",
            told(format!(
                "{{\"results\":{{\"documents\":[{}0]}}}}",
                "0,".repeat(1 << 20)
            )),
        ),
        (
            "packed, unasked",
            format!("{ok}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\u{8}\0\0"),
        ),
        ("not text", told("\"\u{0}\u{1}".to_owned())),
        ("nothing but a number", told("1e999".to_owned())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_errors_of_capabilities_and_steps_too() {
    let a = Upstream::start("a").await.unwrap();
    let address = a.address();
    let text = format!(
        "composition: step
expose: POST /v1/step
hosts: [ \"{address}\" ]
steps: {{ got: {{ http: {{ method: GET, url: \"http://{address}/x\", returns: {{ name: string }} }} }} }}
deadline: 3s
output: {{ name: $.got.body.name }}
"
    );
    let source = isobar_config::Source {
        name: "step.yaml".to_owned(),
        text,
    };
    let more = format!(
        "  azure: {{ vendor: azure, key: \"${{X:-vendor-key}}\", endpoint: \"http://{address}\", breaker: {{ failures: 1000000 }} }}\n\
         admin: \"127.0.0.1:0\"\nlimits: {{ attempt: 2s, deadline: 4s }}\n"
    );
    let stand = super::compositions::Stand::with(&[], &more, vec![source]).await;
    let input = serde_json::json!({ "text": "I like it" });
    for (name, answer) in broken().into_iter().chain(bombs()) {
        a.always(Fault::raw(answer));
        for path in ["/v1/text/sentiment", "/v1/step"] {
            let asked = stand.json(path, &input);
            let seen = tokio::time::timeout(PATIENCE, asked).await;
            let seen = seen.unwrap_or_else(|_| panic!("{path} {name}: no end"));
            assert!(matches!(seen.status, 502 | 504), "{path} {name}: {seen:?}");
            assert!(!seen.text().contains("vendor-key"), "{path} {name}");
        }
    }
    a.always(Fault::Stall);
    for path in ["/v1/text/sentiment", "/v1/step"] {
        let seen = tokio::time::timeout(PATIENCE, stand.json(path, &input)).await;
        let seen = seen.unwrap_or_else(|_| panic!("{path}: held for ever"));
        assert!(matches!(seen.status, 502 | 504), "{path}: {seen:?}");
    }
    let page = stand.metrics().await;
    for line in ["isobar_panics_total 0", "isobar_requests_in_flight 0"] {
        assert!(page.lines().any(|known| known == line), "{line} is missing");
    }
}

#[tokio::test]
async fn an_unasked_upgrade_opens_no_tunnel() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode, NO_AUTH).await;
        a.always(Fault::raw(
            "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\ntunnel",
        ));
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        let seen = read_until(&mut client, PATIENCE, |text| text.contains("\r\n\r\n")).await;
        assert!(seen.starts_with("HTTP/1.1 502"), "{mode}: {seen}");
        assert!(!seen.contains("tunnel"), "{mode}: {seen}");
    }
}

#[tokio::test]
async fn a_vendor_that_drips_is_cut_off_by_its_silences_and_not_held_for_ever() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode, NO_AUTH).await;
        a.always(Fault::Stall);
        for path in ["/", "/bytes/300000"] {
            let seen = tokio::time::timeout(PATIENCE, see(gateway.request("GET", path))).await;
            let seen = seen.unwrap_or_else(|_| panic!("{mode} {path}: no end"));
            assert!(seen.status == 504 || !seen.whole, "{mode} {path}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_vendors_word_on_our_own_headers_does_not_pass() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode, NO_AUTH).await;
        a.always(Fault::Status(
            200,
            vec![
                ("isobar-vendor", "forged".to_owned()),
                ("isobar-attempts", "99".to_owned()),
                ("server-timing", "forged;dur=1".to_owned()),
                ("keep-alive", "timeout=9999".to_owned()),
                ("proxy-authenticate", "Basic".to_owned()),
                ("connection", "x-hop".to_owned()),
                ("x-own", "kept".to_owned()),
            ],
        ));
        let seen = gateway.get("/").await;
        assert_eq!(
            (seen.status, seen.vendor(), seen.attempts()),
            (200, "a", "1"),
            "{mode}"
        );
        assert!(
            !format!("{:?}", seen.headers).contains("forged"),
            "{mode}: {seen:?}"
        );
        for name in ["keep-alive", "proxy-authenticate"] {
            assert_eq!(seen.header(name), "", "{mode} {name}");
        }
        assert_eq!(seen.header("x-own"), "kept", "{mode}");
    }
}

#[tokio::test]
async fn interim_answers_are_the_vendors_and_ours_to_read_and_not_passed_on() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode, NO_AUTH).await;
        let hints = "HTTP/1.1 103 Hints\r\nisobar-vendor: forged\r\nlink: </x>\r\n\r\n".repeat(3);
        a.always(Fault::raw(format!(
            "{hints}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        )));
        for version in ["1.0", "1.1"] {
            let request = format!("GET / HTTP/{version}\r\nHost: h\r\nConnection: close\r\n\r\n");
            let seen = gateway.raw(request, PATIENCE).await;
            assert!(
                seen.starts_with("HTTP/1.1 200") && seen.ends_with("\r\n\r\nok"),
                "{mode}: {seen}"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_is_the_answer() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode, NO_AUTH).await;
        a.always(Fault::EarlyStatus(403));
        for size in [100, 900_000] {
            let seen = see(gateway.request("POST", "/").body(vec![b'x'; size])).await;
            // The vendor closes while we send. Either its answer was read, or the outcome is unknown; nothing else.
            let told = (seen.status, seen.problem());
            let fine = told == (403, String::new()) || told == (502, "outcome-unknown".to_owned());
            assert!(fine, "{mode} {size}: {seen:?}");
            assert_eq!(seen.attempts(), "1", "{mode} {size}");
        }
    }
}

#[tokio::test]
async fn a_redirect_does_not_give_our_key_away() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(
            mode,
            "{ query: { name: key, value: \"${X:-vendor-key}\" } }",
        )
        .await;
        for (told, expected) in [
            (
                "http://vendor/x/?a=1&key=vendor-key",
                "http://vendor/x/?a=1",
            ),
            ("/x?key=vendor%2Dkey", "/x"),
            ("/elsewhere?key=its-own", "/elsewhere?key=its-own"),
        ] {
            a.script([Fault::Status(301, vec![("location", told.to_owned())])]);
            let seen = gateway.get("/x?a=1").await;
            assert_eq!(
                (seen.status, seen.header("location")),
                (301, expected),
                "{mode}"
            );
        }
    }
}
