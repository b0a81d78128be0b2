//! Browsers whose pages are from other sites.

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, Seen, see};

const SHOP: &str = "shop-key-0123456789abcdef";
const APP: &str = "https://app.example.com";

async fn behind() -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "clients: {{ shop: {{ key: \"{}\" }} }}\nupstreams: {{ a: \"{}\" }}\n\
         cors: {{ origins: [\"{APP}\", \"https://*.example.org\"] }}\n\
         routes:\n  - {{ match: \"GET, POST /v1/*\", forward: [a] }}\n  \
         - {{ match: \"/public/*\", forward: [a], anonymous: true, cors: {{ origins: [\"*\"], max_age: 1h }} }}\n  \
         - {{ match: \"/session/*\", forward: [a], cors: {{ origins: [\"{APP}\"], credentials: true, methods: [GET, PUT], headers: [x-a, x-b], exposed: [x-total] }} }}\n  \
         - {{ match: \"/fixed\", respond: {{ body: hello }}, anonymous: true }}\n  \
         - {{ match: \"/kept/*\", forward: [a], anonymous: true, cache: {{ fresh: 1h }} }}\n  \
         - {{ match: \"/legacy/*\", forward: [a], anonymous: true, cors: \"off\" }}\n",
        isobar_config::hash_key(SHOP),
        a.url()
    ))
    .await;
    (a, gateway)
}

async fn in_advance(gateway: &Gateway, path: &str, origin: &str, method: &str) -> Seen {
    let request = gateway
        .request("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization, x-c");
    see(request).await
}

#[tokio::test]
async fn questions_in_advance_are_answered_here_without_a_key() {
    let (a, gateway) = behind().await;
    let seen = in_advance(&gateway, "/v1/x", APP, "POST").await;
    assert_eq!(
        (seen.status, seen.header("access-control-allow-origin")),
        (204, APP)
    );
    assert_eq!(seen.header("access-control-allow-methods"), "POST");
    assert_eq!(
        seen.header("access-control-allow-headers"),
        "authorization, x-c"
    );
    assert_eq!(seen.header("access-control-max-age"), "600");
    assert_eq!(seen.header("access-control-allow-credentials"), "");
    assert!(
        seen.headers
            .contains(&("vary".to_owned(), "origin".to_owned())),
        "{seen:?}"
    );
    let seen = in_advance(&gateway, "/session/x", APP, "PUT").await;
    assert_eq!(seen.header("access-control-allow-methods"), "GET, PUT");
    assert_eq!(seen.header("access-control-allow-headers"), "x-a, x-b");
    assert_eq!(seen.header("access-control-allow-credentials"), "true");
    let seen = in_advance(&gateway, "/public/x", "https://anybody.example", "PUT").await;
    assert_eq!(seen.header("access-control-allow-origin"), "*");
    assert_eq!(seen.header("access-control-max-age"), "3600");
    for stranger in [
        "https://app.example.com.evil.example",
        "https://evilexample.org",
        "https://example.org",
        "http://app.example.com",
        "null",
    ] {
        let seen = in_advance(&gateway, "/v1/x", stranger, "POST").await;
        assert_eq!(seen.status, 204, "{stranger}");
        let allowed = seen
            .headers
            .iter()
            .any(|(name, _)| name.starts_with("access-control-"));
        assert!(!allowed, "{stranger}: {seen:?}");
    }
    assert!(a.ledger().is_empty(), "an upstream was asked");
}

#[tokio::test]
async fn what_is_no_question_in_advance_goes_its_way() {
    let (a, gateway) = behind().await;
    // No such method, no such path, no `Origin`, and a route that leaves it to its upstream.
    assert_eq!(
        in_advance(&gateway, "/v1/x", APP, "DELETE").await.status,
        405
    );
    assert_eq!(
        in_advance(&gateway, "/nowhere", APP, "GET").await.status,
        404
    );
    let plain = see(gateway.request("OPTIONS", "/public/x")).await;
    assert_eq!((plain.status, plain.vendor()), (200, "a"));
    a.always(Fault::with(
        "access-control-allow-origin",
        "https://of-the-upstream.example",
    ));
    let legacy = in_advance(&gateway, "/legacy/x", APP, "GET").await;
    assert_eq!(
        legacy.header("access-control-allow-origin"),
        "https://of-the-upstream.example"
    );
    assert_eq!(a.ledger().len(), 2);
}

#[tokio::test]
async fn answers_and_refusals_say_who_may_read_them() {
    let (a, gateway) = behind().await;
    a.always(Fault::With(vec![
        ("access-control-allow-origin", "*".to_owned()),
        ("access-control-allow-credentials", "true".to_owned()),
        ("vary", "accept".to_owned()),
    ]));
    let ask = async |path: &str, origin: &str, key: &str| {
        let request = gateway.request("GET", path).header("x-api-key", key);
        see(if origin.is_empty() {
            request
        } else {
            request.header("origin", origin)
        })
        .await
    };
    let below = "https://pr-7.example.org";
    for (path, origin, key, status, allowed) in [
        ("/v1/x", APP, SHOP, 200, APP),
        ("/v1/x", below, SHOP, 200, below),
        ("/v1/x", APP, "wrong", 401, APP),
        ("/v1/x", "https://evil.example", SHOP, 200, ""),
        ("/v1/x", "", SHOP, 200, ""),
        ("/session/x", APP, SHOP, 200, APP),
        ("/public/x", "null", SHOP, 200, "*"),
        ("/fixed", APP, SHOP, 200, APP),
        ("/kept/x", APP, SHOP, 200, APP),
        ("/kept/x", below, SHOP, 200, below),
        ("/kept/x", "https://evil.example", SHOP, 200, ""),
    ] {
        let seen = ask(path, origin, key).await;
        assert_eq!(seen.status, status, "{path} {origin}");
        let told: Vec<&str> = seen
            .headers
            .iter()
            .filter(|(name, _)| name == "access-control-allow-origin")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(told.concat(), allowed, "{path} {origin}");
        let with_cookies = seen.header("access-control-allow-credentials") == "true";
        assert_eq!(
            with_cookies,
            path.starts_with("/session") && !allowed.is_empty(),
            "{path}"
        );
        let varies = seen
            .headers
            .contains(&("vary".to_owned(), "origin".to_owned()));
        assert_eq!(varies, !path.starts_with("/public"), "{path}: {seen:?}");
        if !allowed.is_empty() {
            let exposed = seen.header("access-control-expose-headers");
            assert!(
                exposed.contains("isobar-vendor") && exposed.contains("retry-after"),
                "{exposed}"
            );
            assert_eq!(
                exposed.contains("x-total"),
                path.starts_with("/session"),
                "{exposed}"
            );
        }
    }
    // One answer is kept for all three pages, and says to each what holds for it.
    let kept = a
        .ledger()
        .into_iter()
        .filter(|entry| entry.target == "/kept/x");
    assert_eq!(kept.count(), 1);
}
