//! Which route takes a request, and what it does to it.

use isobar_sandbox::Upstream;
use isobar_tests::{Gateway, see};

#[tokio::test]
async fn requests_find_their_route_by_host_path_method_and_header() {
    let gateway = Gateway::start(
        "routes:\n  \
         - { match: \"/*\", name: rest, respond: { body: rest }, anonymous: true }\n  \
         - { match: /exact, respond: { body: exact }, anonymous: true }\n  \
         - { match: \"/users/{id}\", respond: { body: user }, anonymous: true }\n  \
         - { match: \"GET /only\", respond: { body: get }, anonymous: true }\n  \
         - { match: { path: /h, header: { x-beta: on } }, respond: { body: beta }, anonymous: true }\n  \
         - { match: { path: /h }, respond: { body: plain }, anonymous: true }\n  \
         - { match: { path: /x, host: api.example.com }, respond: { body: host }, anonymous: true }\n  \
         - { match: { path: /x, host: \"*.example.com\" }, respond: { body: wild }, anonymous: true }\n",
    )
    .await;
    for (method, path, name, value, expected) in [
        ("GET", "/", "x", "", "rest"),
        ("GET", "/exact", "x", "", "exact"),
        ("GET", "/exact/", "x", "", "rest"),
        ("GET", "/users/7?q=1", "x", "", "user"),
        ("GET", "/users/7/more", "x", "", "rest"),
        ("GET", "/only", "x", "", "get"),
        ("POST", "/only", "x", "", "rest"),
        ("GET", "/h", "x-beta", "on", "beta"),
        ("GET", "/h", "x-beta", "off", "plain"),
        ("GET", "/x", "host", "api.example.com", "host"),
        ("GET", "/x", "host", "API.example.com:80", "host"),
        ("GET", "/x", "host", "a.b.example.com", "wild"),
        ("GET", "/x", "host", "example.com", "rest"),
    ] {
        let seen = see(gateway.request(method, path).header(name, value)).await;
        assert_eq!(
            (seen.status, seen.text().as_str()),
            (200, expected),
            "{method} {path} {name}: {value}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let gateway = Gateway::start(
        "routes: [ { match: \"GET, PUT /a\", respond: { status: 204 }, anonymous: true } ]\n",
    )
    .await;
    let seen = gateway.get("/b").await;
    assert_eq!((seen.status, seen.problem().as_str()), (404, "no-route"));
    let seen = see(gateway.request("POST", "/a")).await;
    assert_eq!((seen.status, seen.header("allow")), (405, "GET, PUT"));
    let seen = gateway.get("/a").await;
    assert_eq!((seen.status, seen.body.len()), (204, 0));
}

#[tokio::test]
async fn paths_and_headers_are_rewritten_on_both_paths() {
    let a = Upstream::start("a").await.unwrap();
    for mode in ["exchange", "stream"] {
        a.reset();
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: \"{}/base\" }}\n\
             routes:\n  - match: \"/users/{{id}}/*\"\n    anonymous: true\n    forward:\n      members: [a]\n      mode: {mode}\n      \
             path: \"/v2/{{id}}/x/{{*}}\"\n      \
             request_headers: {{ set: {{ x-fixed: yes, x-user: $.request.params.id, x-made: \"= 'via ' + request.method\" }}, remove: [x-secret] }}\n      \
             response_headers: {{ set: {{ x-out: done }}, remove: [x-served-by] }}\n",
            a.url()
        ))
        .await;
        let seen = see(gateway
            .request("POST", "/users/a%20b/c/d?q=1")
            .header("x-secret", "s")
            .body("hi"))
        .await;
        assert_eq!(seen.status, 200, "{mode}: {}", seen.text());
        assert_eq!(
            (seen.header("x-out"), seen.header("x-served-by")),
            ("done", ""),
            "{mode}"
        );
        let entry = a.ledger().pop().unwrap();
        assert_eq!(entry.target, "/base/v2/a%20b/x/c/d?q=1", "{mode}");
        assert_eq!(entry.header("x-fixed"), Some("yes"), "{mode}");
        assert_eq!(entry.header("x-user"), Some("a b"), "{mode}");
        assert_eq!(entry.header("x-made"), Some("via POST"), "{mode}");
        assert_eq!(entry.header("x-secret"), None, "{mode}");
        assert_eq!(
            entry.header("host"),
            Some(&*a.address().to_string()),
            "{mode}"
        );
        assert_eq!(&entry.body[..], b"hi", "{mode}");
    }
}
