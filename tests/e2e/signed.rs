//! Requests that are signed for an upstream, which checks the signature anew from what it received.

use isobar_sandbox::{Fault, Sandbox, Upstream};
use isobar_tests::{Gateway, Seen, see};

const KEY: &str = "AKIASANDBOXEXAMPLE01";
const SECRET: &str = "sandbox-aws-secret-access-key";

fn signer(secret: &str, service: &str) -> String {
    format!(
        "{{ sigv4: {{ access_key_id: {KEY}, secret_access_key: \"${{X:-{secret}}}\", region: us-east-1, service: {service} }} }}"
    )
}

async fn before_a_store() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let url = format!("http://{}/aws", sandbox.address());
    let gateway = Gateway::start(&format!(
        "upstreams:\n  store: {{ url: \"{url}\", auth: {} }}\n  wrong: {{ url: \"{url}\", auth: {} }}\n  language: {{ url: \"{url}\", auth: {} }}\n\
         routes:\n  - {{ match: \"/isobar-staging/*\", forward: [store], anonymous: true, limits: {{ replay: 64KiB }} }}\n  \
         - {{ match: \"/stream/*\", forward: {{ members: [store], mode: stream, path: \"/isobar-staging/{{*}}\", request_headers: {{ set: {{ x-amz-meta-by: isobar }} }} }}, anonymous: true }}\n  \
         - {{ match: \"/wrong/*\", forward: {{ members: [wrong], path: \"/isobar-staging/{{*}}\" }}, anonymous: true }}\n  \
         - {{ match: \"POST /language\", forward: {{ members: [language], path: / }}, anonymous: true, limits: {{ replay: 1KiB }} }}\n",
        signer(SECRET, "s3"),
        signer("a-wrong-secret-of-the-same-length", "s3"),
        signer(SECRET, "comprehend"),
    ))
    .await;
    (sandbox, gateway)
}

async fn ask(gateway: &Gateway, method: &str, path: &str, body: Vec<u8>) -> Seen {
    see(gateway.request(method, path).body(body)).await
}

#[tokio::test]
async fn objects_are_put_and_got_by_a_client_that_has_no_key() {
    let (_sandbox, gateway) = before_a_store().await;
    for (path, length) in [
        ("/isobar-staging/small.bin", 10),
        ("/isobar-staging/a folder/%C3%A9t%C3%A9%20(1)~+.bin", 1_000),
        // Larger than what is kept: passes through unsigned.
        ("/isobar-staging/large.bin", 300_000),
        ("/stream/streamed.bin", 100_000),
        ("/isobar-staging/empty.bin", 0),
    ] {
        let path = path.replace(' ', "%20");
        let body: Vec<u8> = (0..=250).cycle().take(length).collect();
        let put = ask(&gateway, "PUT", &path, body.clone()).await;
        assert_eq!(put.status, 200, "{path}: {}", put.text());
        let got = gateway.get(&path).await;
        assert_eq!(
            (got.status, got.body.len()),
            (200, length),
            "{path}: {}",
            got.text()
        );
        assert!(got.body == body, "{path}");
        let head = see(gateway.request("HEAD", &path)).await;
        assert_eq!(head.status, 200, "{path}");
    }
    // The client's own attempt at a signature, and its dates, give way.
    let forged = gateway
        .request("GET", "/isobar-staging/small.bin")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=forged")
        .header("x-amz-date", "20150830T123600Z")
        .header("x-amz-content-sha256", "forged")
        .header("x-amz-security-token", "forged");
    assert_eq!(see(forged).await.status, 200);
    let wrong = gateway.get("/wrong/small.bin").await;
    assert_eq!(wrong.status, 403);
    assert!(
        wrong.text().contains("SignatureDoesNotMatch"),
        "{}",
        wrong.text()
    );
}

#[tokio::test]
async fn a_service_that_wants_every_body_signed_gets_it_signed() {
    let (_sandbox, gateway) = before_a_store().await;
    let ask = |text: String| {
        let body = serde_json::json!({ "Text": text, "LanguageCode": "en" }).to_string();
        let request = gateway
            .request("POST", "/language")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "Comprehend_20171127.DetectSentiment");
        see(request.body(body))
    };
    let seen = ask("what a lovely day".to_owned()).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert!(seen.json()["Sentiment"].is_string(), "{}", seen.text());
    let large = ask("x".repeat(2_000)).await;
    assert_eq!(
        (large.status, large.problem()),
        (413, "body-too-large".to_owned())
    );
}

#[tokio::test]
async fn each_attempt_is_signed_for_its_own_account_and_no_secret_is_told() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    a.script([Fault::status(500)]);
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\nupstreams:\n  a: {{ url: \"{}\", auth: {} }}\n  b: {{ url: \"{}\", auth: {} }}\n\
         routes: [ {{ match: \"/*\", forward: {{ members: [a, b], effect: idempotent }}, anonymous: true }} ]\n",
        a.url(),
        signer(SECRET, "s3"),
        b.url(),
        signer("another-secret-access-key", "sqs").replace(KEY, "AKIAOTHER"),
    ))
    .await;
    let seen = ask(&gateway, "POST", "/x", b"hello".to_vec()).await;
    assert_eq!((seen.status, seen.attempts()), (200, "2"));
    let signed = |upstream: &Upstream| {
        let entry = upstream.ledger().pop().unwrap();
        entry.header("authorization").unwrap().to_owned()
    };
    let (first, second) = (signed(&a), signed(&b));
    assert!(
        first.contains(&format!("Credential={KEY}/"))
            && first.contains("/us-east-1/s3/aws4_request"),
        "{first}"
    );
    assert!(
        second.contains("Credential=AKIAOTHER/") && second.contains("/sqs/aws4_request"),
        "{second}"
    );
    let body = isobar_config::hash_key("hello");
    let announced = a.ledger().pop().unwrap();
    let announced = announced.header("x-amz-content-sha256").unwrap().to_owned();
    assert_eq!(format!("sha256:{announced}"), body);
    let admin = gateway.host.admin().unwrap();
    let config = see(reqwest::Client::new().get(format!("http://{admin}/config"))).await;
    let told = format!("{seen:?}{}{first}{second}", config.text());
    for secret in [SECRET, "another-secret-access-key"] {
        assert!(!told.contains(secret));
    }
}
