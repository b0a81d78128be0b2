//! What belongs to one client is no other's: not its keys, not its answers, and no header is made of its texts.

use isobar_sandbox::Upstream;
use isobar_tests::{Gateway, Seen, see};
use serde_json::{Value, json};

use super::{compositions::Stand, effects::Shop};

const SHOP: &str = "shop-key-0123456789abcdef";
const LAB: &str = "lab-key-0123456789abcdefgh";

async fn behind(text: &str) -> Stand {
    let clients = format!(
        "clients: {{ shop: {{ key: \"{}\" }}, lab: {{ key: \"{}\" }} }}\n",
        isobar_config::hash_key(SHOP),
        isobar_config::hash_key(LAB)
    );
    let source = isobar_config::Source {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    };
    Stand::with(&["deepgram", "azure"], &clients, vec![source]).await
}

/// A request with exactly this body.
async fn ask(stand: &Stand, path: &str, key: &str, body: &str, repeated: Option<&str>) -> Seen {
    let mut request = reqwest::Client::new()
        .post(stand.url(path))
        .bearer_auth(key)
        .header("content-type", "application/json")
        .body(body.to_owned());
    if let Some(repeated) = repeated {
        request = request.header("idempotency-key", repeated);
    }
    see(request).await
}

fn order(shop: &Shop) -> String {
    format!(
        "composition: order
expose: POST /v1/orders
idempotency: {{ header: Idempotency-Key, keep: 1h }}
hosts: [ \"{host}\" ]
input: {{ sku: string, amount: integer?, details: any? }}
steps:
  held:
    http: {{ method: POST, url: \"http://{host}/holds\", json: {{ sku: $.input.sku, amount: $.input.amount, details: $.input.details }}, key: Idempotency-Key, returns: {{ id: string }} }}
    undo: {{ http: {{ method: DELETE, url: \"http://{host}/holds/{{id}}\", path: {{ id: $.held.body.id }} }} }}
output: {{ hold: $.held.body.id }}
",
        host = shop.host()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_its_clients_own_and_tells_no_other_anything() {
    let shop = Shop::start().await;
    let stand = behind(&order(&shop)).await;
    let mine = ask(&stand, "/v1/orders", SHOP, "{\"sku\":\"a\"}", Some("k")).await;
    assert_eq!(mine.status, 200, "{}", mine.text());
    // Another client's same key is another key: with the same body, and with another.
    let theirs = ask(&stand, "/v1/orders", LAB, "{\"sku\":\"a\"}", Some("k")).await;
    assert_eq!(theirs.status, 200, "{}", theirs.text());
    assert_ne!(mine.json()["hold"], theirs.json()["hold"]);
    assert_eq!(theirs.header("isobar-replayed"), "");
    let other = ask(&stand, "/v1/orders", LAB, "{\"sku\":\"b\"}", Some("k2")).await;
    let mine_again = ask(&stand, "/v1/orders", SHOP, "{\"sku\":\"c\"}", Some("k2")).await;
    assert_eq!((other.status, mine_again.status), (200, 200));
    // A client's own key is its own.
    let again = ask(&stand, "/v1/orders", SHOP, "{\"sku\":\"a\"}", Some("k")).await;
    assert_eq!(again.header("isobar-replayed"), "true");
    assert_eq!(again.json()["hold"], mine.json()["hold"]);
    assert_eq!(shop.count("POST /holds"), 4);
    // Nobody without a key learns whether one is known.
    for key in ["", "wrong-key-0123456789abcdef"] {
        let seen = ask(&stand, "/v1/orders", key, "{\"sku\":\"a\"}", Some("k")).await;
        assert_eq!(seen.status, 401);
        assert_eq!(seen.header("isobar-replayed"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_stands_twice_is_refused_before_any_effect() {
    let shop = Shop::start().await;
    let stand = behind(&order(&shop)).await;
    for body in [
        "{\"sku\":\"a\",\"amount\":1,\"amount\":100}",
        "{\"sku\":\"a\",\"sku\":\"b\"}",
        "{\"sku\":\"a\",\"am\\u006funt\":1,\"amount\":100}",
        "{\"sku\":\"a\",\"details\":{\"amount\":1,\"amount\":100}}",
        "{\"sku\":\"a\",\"details\":[[{\"a\":{\"b\":1,\"b\":2}}]]}",
    ] {
        let seen = ask(&stand, "/v1/orders", SHOP, body, None).await;
        assert_eq!(seen.status, 400, "{body}: {}", seen.text());
        assert!(seen.text().contains("twice"), "{body}: {}", seen.text());
    }
    assert!(shop.log().is_empty(), "{:?}", shop.log());
    // Capabilities read as strictly, and so are fields of a form.
    let twice = "{\"text\":\"a\",\"text\":\"b\"}";
    let seen = ask(&stand, "/v1/text/sentiment", SHOP, twice, None).await;
    assert_eq!(seen.status, 400, "{}", seen.text());
    let host = shop.host();
    let text = format!(
        "composition: pay
expose: POST /v1/pay
hosts: [ \"{host}\" ]
input: {{ audio: blob(1MB), order: {{ type: {{ amount: integer }} }} }}
steps:
  paid: {{ http: {{ method: PUT, url: \"http://{host}/payments/x\", json: $.input.order }} }}
  kept: {{ http: {{ method: PUT, url: \"http://{host}/recordings/x\", body: $.input.audio }} }}
output: {{ status: $.paid.status, kept: $.kept.status }}
"
    );
    let stand = Stand::of(&[&text]).await;
    let twice = ("order", "{\"amount\":1,\"amount\":100}");
    let seen = stand.form("/v1/pay", &[twice]).await;
    assert_eq!(seen.status, 400, "{}", seen.text());
    assert!(shop.log().is_empty(), "{:?}", shop.log());
    let seen = stand.form("/v1/pay", &[("order", "{\"amount\":1}")]).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
}

/// What no header may have in it.
const BREAKS: [&str; 7] = [
    "a\r\nset-cookie: stolen=1",
    "a\nset-cookie: stolen=1",
    "a\rset-cookie: stolen=1",
    "a\0b",
    "a\u{7f}b",
    "a\r\n\r\nGET /stolen HTTP/1.1\r\nhost: h\r\n\r\n",
    "a\u{1}b",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_header_is_split_by_a_text_of_the_clients() {
    let shop = Shop::start().await;
    let host = shop.host();
    let out = "composition: out
expose: POST /v1/out
input: { text: string }
steps: { mood: { use: text.sentiment, with: { text: $.input.text } } }
headers: { x-text: $.input.text }
output: { label: $.mood.label }
";
    let step = |part: &str| {
        format!(
            "composition: step
expose: POST /v1/step
hosts: [ \"{host}\" ]
input: {{ text: string }}
steps: {{ got: {{ http: {{ method: GET, url: \"http://{host}/x\", {part} }} }} }}
output: {{ status: $.got.status }}
"
        )
    };
    let sent = |text: &str| json!({ "text": text }).to_string();
    let stand = behind(out).await;
    assert_eq!(
        ask(&stand, "/v1/out", SHOP, &sent("fine"), None)
            .await
            .header("x-text"),
        "fine"
    );
    for text in BREAKS {
        let seen = ask(&stand, "/v1/out", SHOP, &sent(text), None).await;
        assert_eq!(seen.header("set-cookie"), "", "{text:?}");
        assert!(
            seen.status >= 400 || seen.header("x-text").is_empty(),
            "{text:?}: {seen:?}"
        );
    }
    let stand = behind(&step("headers: { x-text: $.input.text }")).await;
    for text in BREAKS {
        let seen = ask(&stand, "/v1/step", SHOP, &sent(text), None).await;
        assert!(seen.status >= 400, "{text:?}: {}", seen.text());
    }
    assert!(shop.log().is_empty(), "{:?}", shop.log());
    assert_eq!(
        ask(&stand, "/v1/step", SHOP, &sent("fine"), None)
            .await
            .status,
        200
    );
    // In a URL they are escaped.
    let stand = behind(&step("query: { q: $.input.text }")).await;
    for text in BREAKS {
        let seen = ask(&stand, "/v1/step", SHOP, &sent(text), None).await;
        assert_eq!(seen.status, 200, "{text:?}: {}", seen.text());
    }
    assert!(
        shop.log()
            .iter()
            .all(|line| line.starts_with("GET /x") && !line.contains("stolen ")),
        "{:?}",
        shop.log()
    );
}

#[tokio::test]
async fn no_header_is_split_by_what_a_route_takes_from_a_request() {
    let a = Upstream::start("a").await.unwrap();
    for mode in ["exchange", "stream"] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: \"{}\" }}\n\
             routes:\n  - match: \"/x/{{id}}\"\n    anonymous: true\n    forward:\n      members: [a]\n      mode: {mode}\n      \
             request_headers: {{ set: {{ x-q: $.request.query.q, x-id: $.request.params.id, x-made: \"= 'v' + string(request.query.q)\" }} }}\n      \
             response_headers: {{ set: {{ x-back: $.request.query.q }} }}\n",
            a.url()
        ))
        .await;
        for text in BREAKS {
            let escaped =
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
            let seen = gateway.get(&format!("/x/1?q={escaped}")).await;
            assert_eq!(seen.header("set-cookie"), "", "{mode} {text:?}");
            assert!(!seen.header("x-back").contains("stolen"), "{mode} {text:?}");
            for entry in a.ledger() {
                assert!(
                    entry.target.starts_with("/x/1?q="),
                    "{mode} {text:?}: {entry:?}"
                );
                assert_eq!(entry.header("set-cookie"), None, "{mode} {text:?}");
                let split = entry.headers.iter().any(|(_, value)| {
                    value.contains("stolen=1") || value.bytes().any(|byte| byte < 32 || byte == 127)
                });
                assert!(!split, "{mode} {text:?}: {entry:?}");
            }
        }
        let seen = gateway.get("/x/1?q=fine").await;
        assert_eq!(seen.header("x-back"), "fine", "{mode}");
    }
    let config = |value: &str| -> Value {
        let text = format!(
            "isobar: 1\nlisten: [ {{ http: \"127.0.0.1:0\" }} ]\nupstreams: {{ a: {{ url: \"http://127.0.0.1:1\", auth: {{ header: {{ name: x-key, value: {value} }} }} }} }}\n\
             routes: [ {{ match: \"/*\", forward: {{ members: [a], request_headers: {{ set: {{ x-t: {value} }} }} }}, anonymous: true }} ]\n"
        );
        let source = isobar_config::Source {
            name: "test.yaml".to_owned(),
            text,
        };
        let (config, report) = isobar_config::check(&[source], &isobar_config::Nothing);
        assert!(config.is_none(), "{value}");
        report.json()
    };
    for text in BREAKS {
        let told = config(&json!(text).to_string()).to_string();
        // Some characters are no part of a file at all.
        assert!(
            told.contains("E0410") || told.contains("E0101"),
            "{text:?}: {told}"
        );
    }
}
