//! Who may call, and whose key goes where.

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, see};

const SHOP: &str = "shop-key-0123456789abcdef";
const LAB: &str = "lab-key-0123456789abcdefgh";
const VENDOR: &str = "vendor-secret-key";

async fn behind(auth: &str) -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\n\
         clients:\n  shop: {{ key: \"{}\" }}\n  lab: {{ key: \"{}\" }}\n\
         upstreams: {{ a: {{ url: \"{}\", auth: {auth} }} }}\n\
         routes:\n  - {{ match: \"/open/*\", forward: [a], anonymous: true }}\n  \
         - {{ match: \"/lab/*\", forward: [a], clients: [lab] }}\n  \
         - {{ match: \"/stream/*\", forward: {{ members: [a], mode: stream }} }}\n  \
         - {{ match: \"/*\", forward: [a] }}\n",
        isobar_config::hash_key(SHOP),
        isobar_config::hash_key(LAB),
        a.url()
    ))
    .await;
    (a, gateway)
}

#[tokio::test]
async fn a_route_needs_a_key_unless_it_says_otherwise() {
    let (a, gateway) = behind("{ bearer: \"${X:-vendor-secret-key}\" }").await;
    for (path, name, key, expected) in [
        ("/x", "authorization", "", 401),
        ("/x", "authorization", "Bearer wrong", 401),
        ("/x", "authorization", &*format!("Basic {SHOP}"), 401),
        ("/x", "authorization", &format!("Bearer {SHOP}"), 200),
        ("/x", "authorization", &format!("bearer  {SHOP}"), 200),
        ("/x", "x-api-key", SHOP, 200),
        ("/x", "api-key", SHOP, 200),
        ("/x", "x-goog-api-key", SHOP, 200),
        ("/x", "x-other", SHOP, 401),
        ("/open/x", "x-other", "", 200),
        ("/lab/x", "x-api-key", SHOP, 403),
        ("/lab/x", "x-api-key", LAB, 200),
        ("/stream/x", "x-api-key", "wrong", 401),
        ("/stream/x", "x-api-key", SHOP, 200),
    ] {
        let seen = see(gateway.request("GET", path).header(name, key)).await;
        assert_eq!(seen.status, expected, "{path} with {name}: {key}");
        if seen.status == 401 {
            assert!(
                seen.header("www-authenticate").starts_with("Bearer"),
                "{seen:?}"
            );
        }
    }
    for entry in a.ledger() {
        let all = format!("{entry:?}");
        assert!(
            !all.contains(SHOP) && !all.contains(LAB),
            "a client's key reached a vendor: {all}"
        );
        assert_eq!(
            entry.header("authorization"),
            Some("Bearer vendor-secret-key")
        );
    }
}

#[tokio::test]
async fn each_kind_of_credential_goes_where_it_belongs() {
    for (auth, where_to, value) in [
        (
            "{ bearer: \"${X:-vendor-secret-key}\" }",
            "authorization",
            "Bearer vendor-secret-key",
        ),
        (
            "{ header: { name: X-Vendor-Key, value: \"${X:-vendor-secret-key}\" } }",
            "x-vendor-key",
            VENDOR,
        ),
        (
            "{ basic: { user: us, password: \"${X:-vendor-secret-key}\" } }",
            "authorization",
            "Basic dXM6dmVuZG9yLXNlY3JldC1rZXk=",
        ),
        (
            "{ query: { name: key, value: \"${X:-vendor-secret-key}\" } }",
            "?",
            "/x?a=1&key=vendor%2Dsecret%2Dkey",
        ),
    ] {
        for prefix in ["", "/stream"] {
            let (a, gateway) = behind(auth).await;
            // What a client sends under the same name is replaced, not added to.
            let path = format!(
                "{prefix}/x?a=1{}",
                if where_to == "?" { "&key=forged" } else { "" }
            );
            let mut request = gateway.request("GET", &path).header("x-api-key", SHOP);
            if !["?", "authorization"].contains(&where_to) {
                request = request.header(where_to, "forged");
            }
            let seen = see(request).await;
            assert_eq!(seen.status, 200, "{auth}: {}", seen.text());
            let entry = a.ledger().pop().unwrap();
            if where_to == "?" {
                assert_eq!(entry.target, format!("{prefix}{value}"), "{auth}");
            } else {
                let values: Vec<_> = entry
                    .headers
                    .iter()
                    .filter(|(name, _)| name == where_to)
                    .collect();
                assert_eq!(values, [&(where_to.to_owned(), value.to_owned())], "{auth}");
            }
        }
    }
}

#[tokio::test]
async fn the_vendors_key_shows_nowhere() {
    let (a, gateway) = behind("{ bearer: \"${X:-vendor-secret-key}\" }").await;
    a.script([Fault::ResetBeforeHead, Fault::Truncated, Fault::status(500)]);
    let mut told = String::new();
    for path in ["/x", "/x", "/stream/x", "/stream/x"] {
        let seen = see(gateway.request("POST", path).header("x-api-key", SHOP)).await;
        told.push_str(&format!("{:?}", seen.headers));
        if seen.status != 200 {
            told.push_str(&seen.text());
        }
    }
    let admin = gateway.host.admin().unwrap();
    for path in ["status", "config", "metrics"] {
        let page = see(reqwest::Client::new().get(format!("http://{admin}/{path}"))).await;
        assert_eq!(page.status, 200, "{path}");
        told.push_str(&page.text());
    }
    for secret in [VENDOR, SHOP, LAB, &isobar_config::hash_key(SHOP)[7..]] {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
}

#[tokio::test]
async fn without_clients_any_key_passes_and_no_key_reaches_a_vendor() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\" }}\nroutes: [ {{ match: \"/*\", forward: [a] }} ]\n",
        a.url()
    ))
    .await;
    assert_eq!(gateway.get("/").await.status, 401);
    let seen = see(gateway
        .request("GET", "/")
        .header("authorization", "Bearer whatever-it-is"))
    .await;
    assert_eq!(seen.status, 200);
    assert_eq!(a.ledger()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_revoked_account_is_passed_over_for_the_next() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start(&format!(
        "upstreams:\n  a: {{ url: \"{}\", auth: {{ bearer: \"${{X:-key-a}}\" }} }}\n  b: {{ url: \"{}\", auth: {{ bearer: \"${{X:-key-b}}\" }} }}\n\
         routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true }} ]\n",
        a.url(),
        b.url()
    ))
    .await;
    a.always(Fault::status(401));
    let seen = see(gateway.request("POST", "/").body("once")).await;
    assert_eq!((seen.status, seen.vendor()), (200, "b"));
    assert_eq!(b.ledger()[0].header("authorization"), Some("Bearer key-b"));
}
