//! Whom a vendor takes a request to be from, and for: nothing of that is the client's to say.

use std::time::Duration;

use isobar_sandbox::Upstream;
use isobar_tests::{Gateway, see, status_of};

async fn behind(mode: &str) -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: {{ url: \"{}\", auth: {{ header: {{ name: X-Vendor-Key, value: \"${{X:-vendor-key}}\" }} }} }} }}\n\
         routes:\n  - match: \"/*\"\n    anonymous: true\n    forward:\n      members: [a]\n      mode: {mode}\n      \
         request_headers: {{ set: {{ x-tenant: ours }}, remove: [x-debug] }}\n",
        a.url()
    ))
    .await;
    (a, gateway)
}

#[tokio::test]
async fn a_clients_copies_of_our_headers_are_dropped_under_every_spelling() {
    for mode in ["exchange", "stream"] {
        let (a, gateway) = behind(mode).await;
        let mut request = gateway.request("GET", "/");
        for name in [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-user",
            "x-real-ip",
            "forwarded",
            "x-original-url",
            "x-rewrite-url",
            "x-tenant",
            "x-debug",
            "x-vendor-key",
            "isobar-vendor",
        ] {
            request = request
                .header(name, "forged")
                .header(name.replace('-', "_"), "forged");
            if let Some((first, rest)) = name.split_once('-') {
                request = request.header(format!("{first}_{rest}"), "forged");
            }
        }
        for name in [
            "host",
            "authorization",
            "content_length",
            "transfer_encoding",
            "idempotency_key",
            "x_api_key",
        ] {
            if name.contains('_') {
                request = request.header(name, "forged");
            }
        }
        let seen = see(request.header("x_own", "kept").header("x-own", "kept")).await;
        assert_eq!(seen.status, 200, "{mode}");
        let entry = a.ledger().pop().unwrap();
        let forged: Vec<_> = entry
            .headers
            .iter()
            .filter(|(_, value)| value == "forged")
            .collect();
        assert_eq!(forged, [] as [&(String, String); 0], "{mode}");
        assert_eq!(
            (entry.header("x_own"), entry.header("x-own")),
            (Some("kept"), Some("kept")),
            "{mode}"
        );
        for (name, value) in [
            ("x-tenant", "ours"),
            ("x-vendor-key", "vendor-key"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "127.0.0.1"),
        ] {
            assert_eq!(entry.header(name), Some(value), "{mode} {name}");
        }
    }
}

#[tokio::test]
async fn a_route_decides_on_the_very_path_that_is_forwarded() {
    let a = Upstream::start("a").await.unwrap();
    for mode in ["exchange", "stream"] {
        a.reset();
        let gateway = Gateway::start(&format!(
            "clients: {{ shop: {{ key: \"{}\" }} }}\nupstreams: {{ a: \"{}\" }}\n\
             routes:\n  - {{ match: \"/admin/*\", forward: {{ members: [a], mode: {mode} }} }}\n  \
             - {{ match: \"/*\", forward: {{ members: [a], mode: {mode} }}, anonymous: true }}\n",
            isobar_config::hash_key("shop-key-0123456789abcdef"),
            a.url()
        ))
        .await;
        for (path, status, forwarded) in [
            ("/admin/x", 401, ""),
            ("/%61dmin/x", 401, ""),
            ("/admin/%78", 401, ""),
            ("/x/../admin/x", 400, ""),
            ("/x/%2e%2e/admin/x", 400, ""),
            ("/x/.%2E/admin/x", 400, ""),
            ("/x/..;/admin/x", 400, ""),
            ("/x/..%2fadmin/x", 400, ""),
            ("/x%2f..%2fadmin/x", 400, ""),
            ("/x%5c..%5cadmin/x", 400, ""),
            ("/./admin/x", 400, ""),
            ("/admin%00/x", 400, ""),
            ("/admin\\x", 400, ""),
            // Other paths, for us and on the wire alike; what a vendor makes of them it makes of them anywhere.
            ("//admin/x", 200, "//admin/x"),
            ("/ADMIN/x", 200, "/ADMIN/x"),
            ("/admin%2fx", 200, "/admin%2fx"),
            ("/%2561dmin/x", 200, "/%2561dmin/x"),
            ("/x/%252e%252e/admin", 200, "/x/%252e%252e/admin"),
            ("/a%7Eb", 200, "/a~b"),
        ] {
            let request =
                format!("GET {path}?q=/../ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            let seen = gateway.raw(request, Duration::from_secs(10)).await;
            assert_eq!(status_of(&seen), status, "{mode} {path}: {seen}");
            let entry = a.ledger().pop();
            let target = entry.map(|entry| entry.target).unwrap_or_default();
            let expected = if status == 200 {
                format!("{forwarded}?q=/../")
            } else {
                String::new()
            };
            assert_eq!(target, expected, "{mode} {path}");
        }
    }
}
