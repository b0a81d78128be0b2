//! Kept answers: who gets them, for how long, and who never does.

use std::time::Duration;

use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{
    Gateway, Seen, eventually, raw, read_answer, see,
    tls::{Authority, connect},
};
use tokio::io::AsyncWriteExt as _;

use super::tls::secure;

const SHOP: &str = "shop-key-0123456789abcdef";
const LAB: &str = "lab-key-0123456789abcdefgh";
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway with one cached route for everybody.
async fn cached(cache: &str) -> (Upstream, Gateway) {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\nupstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", name: main, forward: [a], cache: {cache}, anonymous: true }} ]\n",
        a.url()
    ))
    .await;
    (a, gateway)
}

async fn admin(gateway: &Gateway, method: &str, path: &str) -> Seen {
    let address = gateway.host.admin().unwrap();
    let client = reqwest::Client::new();
    see(client.request(method.parse().unwrap(), format!("http://{address}{path}"))).await
}

fn said(cache_control: &str) -> Fault {
    Fault::with("cache-control", cache_control)
}

#[tokio::test]
async fn an_answer_that_says_so_is_given_again_until_it_is_old() {
    let (a, gateway) = cached("{}").await;
    a.script([said("max-age=2"), said("max-age=60")]);
    let first = gateway.get("/x?a=1").await;
    assert_eq!(
        first.header("cache-status"),
        "isobar; fwd=uri-miss; fwd-status=200; stored"
    );
    assert_eq!(first.attempts(), "1");
    let again = gateway.get("/x?a=1").await;
    assert_eq!(again.body, first.body);
    assert_eq!((again.vendor(), again.attempts()), ("a", "0"));
    assert!(
        again
            .header("cache-status")
            .starts_with("isobar; hit; ttl="),
        "{again:?}"
    );
    assert!(["0", "1"].contains(&again.header("age")), "{again:?}");
    assert_eq!(a.ledger().len(), 1);
    // Another query is another answer.
    assert_ne!(gateway.get("/x?a=2").await.body, first.body);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_ne!(gateway.get("/x?a=1").await.body, first.body);
}

#[tokio::test]
async fn what_must_not_be_kept_is_not() {
    let with = |fields: &[(&'static str, &str)]| {
        Fault::With(
            fields
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        )
    };
    let fresh = ("cache-control", "max-age=60");
    for answer in [
        Fault::None,
        said("no-store, max-age=60"),
        said("private, max-age=60"),
        said("max-age=60, private=\"x-user\""),
        said("max-age=0"),
        said("max-age=nonsense"),
        with(&[fresh, ("set-cookie", "session=1")]),
        with(&[fresh, ("vary", "*")]),
        with(&[fresh, ("vary", "x-forwarded-for")]),
        with(&[fresh, ("age", "60")]),
        with(&[("expires", "0"), ("pragma", "public")]),
        Fault::Status(206, vec![("cache-control", "max-age=60".to_owned())]),
        Fault::Status(503, vec![("cache-control", "max-age=60".to_owned())]),
    ] {
        let (a, gateway) = cached("{}").await;
        a.always(answer.clone());
        for _ in 0..2 {
            let seen = gateway.get("/x").await;
            assert!(
                !seen.header("cache-status").contains("stored"),
                "{answer:?}: {seen:?}"
            );
        }
        assert_eq!(a.ledger().len(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn requests_that_are_none_of_the_caches_pass_it_by() {
    let (a, gateway) = cached("{ fresh: 1h }").await;
    let first = gateway.get("/x").await;
    for (name, value) in [
        ("range", "bytes=0-1"),
        ("if-match", "\"x\""),
        ("cache-control", "no-store"),
        ("x-http-method-override", "DELETE"),
    ] {
        let seen = see(gateway.request("GET", "/x").header(name, value)).await;
        assert_eq!(seen.header("cache-status"), "isobar; fwd=bypass", "{name}");
        let entry = a.ledger().pop().unwrap();
        assert_eq!(entry.header(name), Some(value), "{name}");
    }
    let body = see(gateway.request("GET", "/x").body("a body")).await;
    assert_eq!(body.header("cache-status"), "isobar; fwd=bypass");
    // None of them changed what is kept.
    assert_eq!(gateway.get("/x").await.body, first.body);
    let post = see(gateway.request("POST", "/other").body("x")).await;
    assert_eq!(post.header("cache-status"), "isobar; fwd=method");
}

/// Two tenants, two hosts, several methods and credentials ask for the same path; everyone gets an answer of its own.
#[tokio::test]
async fn cache_poisoning_no_answer_crosses_host_tenant_authorization_or_method() {
    let a = Upstream::start("a").await.unwrap();
    a.always(said("public, max-age=60"));
    let gateway = Gateway::start(&format!(
        "clients:\n  shop: {{ key: \"{}\" }}\n  lab: {{ key: \"{}\" }}\n\
         upstreams: {{ a: \"{url}\" }}\n\
         routes:\n  - {{ match: \"/own/*\", forward: [a], cache: {{}} }}\n  \
         - {{ match: {{ path: \"/open/*\", header: {{ x-beta: }} }}, forward: [a], cache: {{ shared: true }}, anonymous: true }}\n  \
         - {{ match: \"/open/*\", forward: [a], cache: {{ shared: true }}, anonymous: true }}\n",
        isobar_config::hash_key(SHOP),
        isobar_config::hash_key(LAB),
        url = a.url()
    ))
    .await;
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str("host: h\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        raw(gateway.address(), format!("{text}\r\n"), PATIENCE).await
    };
    let different: [(&str, &str, &[(&str, &str)]); 13] = [
        ("GET", "/own/x", &[("x-api-key", SHOP)]),
        ("GET", "/own/x", &[("x-api-key", LAB)]),
        ("GET", "/own/x", &[("x-api-key", SHOP), ("host", "other")]),
        (
            "GET",
            "/own/x",
            &[("x-api-key", SHOP), ("cookie", "session=1")],
        ),
        (
            "GET",
            "/own/x",
            &[("x-api-key", SHOP), ("cookie", "session=2")],
        ),
        ("HEAD", "/own/x", &[("x-api-key", SHOP)]),
        ("GET", "/open/x", &[]),
        ("GET", "/open/x", &[("authorization", "Bearer one")]),
        ("GET", "/open/x", &[("authorization", "Bearer two")]),
        ("GET", "/open/x", &[("authorization", "Basic b25l")]),
        ("GET", "/open/x", &[("cookie", "session=1")]),
        ("GET", "/open/x", &[("host", "other")]),
        ("GET", "/open/x?", &[]),
    ];
    let mut seen: Vec<String> = Vec::new();
    for round in 0..2 {
        for (index, (method, path, headers)) in different.iter().enumerate() {
            let answer = ask(method, path, headers).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let hit = head.contains("isobar; hit");
            assert_eq!(hit, round == 1, "{method} {path} {headers:?}: {head}");
            if round == 0 {
                assert!(
                    *method == "HEAD" || !seen.iter().any(|known| known == body),
                    "{body}"
                );
                seen.push(body.to_owned());
            } else {
                assert_eq!(seen[index], body, "{method} {path} {headers:?}");
            }
        }
    }
    assert_eq!(a.ledger().len(), different.len());
    // One for all where the route says so: whoever asks, with whichever key of ours.
    let shared = ask("GET", "/open/x", &[("x-api-key", SHOP)]).await;
    assert!(shared.contains("isobar; hit"), "{shared}");
    // Another route keeps its own, though host and path are the same.
    let beta = ask("GET", "/open/x", &[("x-beta", "1")]).await;
    assert!(beta.contains("fwd=uri-miss"), "{beta}");
    // What tells nobody apart does not poison: forged headers of ours do not reach the upstream, nor the key.
    let forged = [("x-forwarded-host", "evil"), ("x-original-url", "/admin")];
    assert!(ask("GET", "/open/x", &forged).await.contains("isobar; hit"));
    for key in [SHOP, LAB] {
        assert!(!format!("{:?}", a.ledger()).contains(key));
    }
}

#[tokio::test]
async fn an_answer_to_a_clients_own_credential_is_kept_only_if_it_says_so() {
    for (says, kept) in [
        ("max-age=60", false),
        ("public, max-age=60", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
    ] {
        let (a, gateway) = cached("{ shared: true }").await;
        a.always(said(says));
        for _ in 0..2 {
            let request = gateway
                .request("GET", "/x")
                .header("authorization", "Bearer own");
            assert_eq!(see(request).await.status, 200);
        }
        assert_eq!(a.ledger().len(), if kept { 1 } else { 2 }, "{says}");
    }
}

#[tokio::test]
async fn answers_that_differ_by_a_header_are_told_apart() {
    let (a, gateway) = cached("{ fresh: 1h }").await;
    a.always(Fault::with("vary", "Accept-Language, accept"));
    let ask = |language: &'static str| {
        see(gateway
            .request("GET", "/x")
            .header("accept-language", language))
    };
    let (german, french) = (ask("de").await, ask("fr").await);
    assert_ne!(german.body, french.body);
    assert!(
        french.header("cache-status").contains("fwd=vary-miss"),
        "{french:?}"
    );
    assert_eq!(
        (ask("de").await.body, ask("fr").await.body),
        (german.body, french.body)
    );
    assert_eq!(a.ledger().len(), 2);
    // One that is encoded as its client wished, and does not say so, is told apart all the same.
    let (a, gateway) = cached("{ fresh: 1h }").await;
    a.always(Fault::with("content-encoding", "br"));
    for encoding in ["br", "br", "gzip"] {
        see(gateway
            .request("GET", "/x")
            .header("accept-encoding", encoding))
        .await;
    }
    assert_eq!(a.ledger().len(), 2);
}

#[tokio::test]
async fn a_stale_answer_is_asked_about_and_given_when_it_still_holds() {
    let (a, gateway) = cached("{}").await;
    a.script([
        Fault::With(vec![
            ("etag", "\"one\"".to_owned()),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
            ("x-kept", "yes".to_owned()),
        ]),
        Fault::Status(
            304,
            vec![
                ("cache-control", "max-age=60".to_owned()),
                ("x-new", "yes".to_owned()),
            ],
        ),
    ]);
    let first = gateway.get("/x").await;
    let second = gateway.get("/x").await;
    let asked = a.ledger().pop().unwrap();
    assert_eq!(asked.header("if-none-match"), Some("\"one\""));
    assert_eq!(
        asked.header("if-modified-since"),
        Some("Wed, 21 Oct 2015 07:28:00 GMT")
    );
    assert_eq!((second.status, &second.body), (200, &first.body));
    assert_eq!(
        second.header("cache-status"),
        "isobar; fwd=stale; fwd-status=304; stored"
    );
    assert_eq!(
        (second.header("x-kept"), second.header("x-new")),
        ("yes", "yes")
    );
    // The 304 made it fresh.
    assert!(
        gateway
            .get("/x")
            .await
            .header("cache-status")
            .contains("hit")
    );
    assert_eq!(a.ledger().len(), 2);
    // A client that asks for it gets another look at the upstream; one that has it already gets no body.
    a.script([Fault::status(304)]);
    let reload = see(gateway
        .request("GET", "/x")
        .header("cache-control", "no-cache"))
    .await;
    assert_eq!(
        reload.header("cache-status"),
        "isobar; fwd=request; fwd-status=304; stored"
    );
    for (name, value, status) in [
        ("if-none-match", "W/\"one\", \"two\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"two\"", 200),
        ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT", 304),
        ("if-modified-since", "Wed, 21 Oct 2015 07:27:59 GMT", 200),
    ] {
        let seen = see(gateway.request("GET", "/x").header(name, value)).await;
        assert_eq!(seen.status, status, "{name}: {value}");
        assert_eq!(seen.body.is_empty(), status == 304, "{name}: {value}");
    }
    assert_eq!(a.ledger().len(), 3);
}

#[tokio::test]
async fn many_that_ask_for_the_same_at_once_are_one_to_the_upstream() {
    let (a, gateway) = cached("{ fresh: 1h }").await;
    let gate = Gate::shut();
    a.always(Fault::Held(gate.clone()));
    let asking: Vec<_> = (0..20)
        .map(|_| tokio::spawn(see(gateway.request("GET", "/x"))))
        .collect();
    assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 1).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    gate.let_through(1);
    let mut bodies = Vec::new();
    for asked in asking {
        let seen = asked.await.unwrap();
        assert_eq!(seen.status, 200);
        bodies.push(seen.body);
    }
    bodies.dedup();
    assert_eq!((bodies.len(), a.ledger().len()), (1, 1));
}

#[tokio::test]
async fn those_who_wait_are_not_held_up_by_an_answer_that_is_not_kept_or_a_client_that_leaves() {
    let (a, gateway) = cached("{ fresh: 1h }").await;
    let gate = Gate::shut();
    a.script([Fault::Held(gate.clone())]);
    let leaver = tokio::spawn(see(gateway.request("GET", "/x")));
    assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 1).await);
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(see(gateway.request("GET", "/x"))))
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    leaver.abort();
    for asked in waiting {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    assert_eq!(a.ledger().len(), 2, "one of them fetched for all");

    // Nothing of it is kept, so everyone asks, at once.
    let gate = Gate::shut();
    a.always(Fault::Held(gate.clone()));
    let path = "/chunked/2000000";
    let asking: Vec<_> = (0..3)
        .map(|_| tokio::spawn(see(gateway.request("GET", path))))
        .collect();
    gate.let_through(1_000);
    for asked in asking {
        let seen = asked.await.unwrap();
        assert!(seen.whole && seen.body.len() >= 2_000_000);
    }
    assert_eq!(a.ledger().len(), 5);
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_a_failure_as_long_as_it_may() {
    let failures = [
        Fault::status(500),
        Fault::status(503),
        Fault::ResetBeforeHead,
        Fault::Truncated,
    ];
    for failure in failures {
        let (a, gateway) = cached("{}").await;
        a.script([said("max-age=0, stale-if-error=60")]);
        let first = gateway.get("/x").await;
        a.always(failure.clone());
        let second = gateway.get("/x").await;
        assert_eq!(
            (second.status, &second.body),
            (200, &first.body),
            "{failure:?}"
        );
        let told = second.header("cache-status");
        assert!(
            told.contains("fwd=stale") && told.contains("stale-if-error"),
            "{told}"
        );
    }
    // Not where the answer forbids it, or says nothing and the route neither.
    for says in [
        "max-age=0, stale-if-error=60, must-revalidate",
        "s-maxage=0, stale-if-error=60",
        "max-age=0",
    ] {
        let (a, gateway) = cached("{}").await;
        a.script([Fault::With(vec![
            ("cache-control", says.to_owned()),
            ("etag", "\"one\"".to_owned()),
        ])]);
        gateway.get("/x").await;
        a.always(Fault::status(500));
        assert_eq!(gateway.get("/x").await.status, 500, "{says}");
    }
    let (a, gateway) = cached("{ fresh: 1ms, stale_if_error: 1m }").await;
    gateway.get("/x").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    a.always(Fault::Hang);
    let hurried = see(gateway
        .request("GET", "/x")
        .header("isobar-deadline", "200ms"))
    .await;
    assert_eq!(hurried.status, 200, "{hurried:?}");
}

#[tokio::test]
async fn a_stale_answer_is_given_while_a_new_one_is_fetched() {
    let (a, gateway) = cached("{ fresh: 1ms, stale_while_revalidate: 1m }").await;
    let first = gateway.get("/x").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let gate = Gate::shut();
    a.script([Fault::Held(gate.clone())]);
    for _ in 0..5 {
        let seen = gateway.get("/x").await;
        assert_eq!(seen.body, first.body);
        assert!(
            seen.header("cache-status").contains("hit; ttl=-"),
            "{seen:?}"
        );
    }
    assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 2).await);
    gate.let_through(1);
    let renewed = eventually(PATIENCE, async || {
        gateway.get("/x").await.body != first.body
    });
    assert!(renewed.await);
}

#[tokio::test]
async fn a_write_makes_what_is_kept_of_its_path_be_asked_about() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\" }}\nroutes:\n  \
         - {{ match: \"GET /*\", forward: [a], cache: {{ fresh: 1h }}, anonymous: true }}\n  \
         - {{ match: \"/*\", forward: [a], anonymous: true }}\n",
        a.url()
    ))
    .await;
    for (method, fault, asks_again) in [
        ("POST", Fault::None, true),
        ("PUT", Fault::status(204), true),
        ("DELETE", Fault::status(404), false),
        ("PATCH", Fault::ResetAfterExecuting, true),
        ("OPTIONS", Fault::None, false),
    ] {
        let before = gateway.get("/items/1?full=1").await;
        let other = gateway.get("/items/2").await;
        a.script([fault.clone()]);
        see(gateway.request(method, "/items/1")).await;
        let asked = a.ledger().len();
        let after = gateway.get("/items/1?full=1").await;
        assert_eq!(after.body != before.body, asks_again, "{method} {fault:?}");
        assert_eq!(gateway.get("/items/2").await.body, other.body);
        assert_eq!(
            a.ledger().len(),
            asked + usize::from(asks_again),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_client_may_want_only_what_is_kept() {
    let (a, gateway) = cached("{ fresh: 1h }").await;
    let only = || {
        see(gateway
            .request("GET", "/x")
            .header("cache-control", "only-if-cached"))
    };
    let missing = only().await;
    assert_eq!(
        (missing.status, missing.problem()),
        (504, "not-cached".to_owned())
    );
    assert!(a.ledger().is_empty());
    gateway.get("/x").await;
    assert_eq!(only().await.status, 200);
}

#[tokio::test]
async fn memory_is_bounded_and_what_is_too_large_is_passed_on() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "admin: \"127.0.0.1:0\"\nupstreams: {{ a: \"{}\" }}\nlimits: {{ cache_memory: 256KiB }}\n\
         routes: [ {{ match: \"/*\", name: main, forward: [a], cache: {{ fresh: 1h, answer: 40KiB }}, anonymous: true }} ]\n",
        a.url()
    ))
    .await;
    for path in ["/bytes/50000", "/bytes/100000", "/chunked/50000"] {
        for _ in 0..2 {
            let seen = gateway.get(path).await;
            assert!(seen.status == 200 && seen.whole && seen.body.len() >= 50_000);
            assert!(!seen.header("cache-status").contains("hit"), "{path}");
        }
    }
    for number in 0..40 {
        gateway.get(&format!("/bytes/30000?{number}")).await;
    }
    let metrics = admin(&gateway, "GET", "/metrics").await.text();
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let bytes = value("isobar_cache_bytes ");
    assert!(bytes > 0.0 && bytes <= 256.0 * 1024.0, "{bytes}");
    assert!(value("isobar_cache_answers ") >= 1.0);
    assert!(value("isobar_cache_evictions_total ") > 10.0, "{metrics}");
    assert!(
        value("isobar_cache_requests_total{result=\"miss\",route=\"main\"}") >= 46.0,
        "{metrics}"
    );
}

#[tokio::test]
async fn operators_purge_by_address_prefix_and_tag() {
    let (a, gateway) = cached("{ fresh: 1h }").await;
    a.always(Fault::With(vec![
        ("cache-tag", "shoes, summer".to_owned()),
        ("surrogate-key", "all catalog".to_owned()),
    ]));
    let host = gateway.address().ip();
    let paths = ["/shoes/1", "/shoes/2?size=9", "/hats/1"];
    for (purge, status, purged) in [
        (format!("url=http://{host}:1/shoes/2?size=9"), 200, 1),
        (format!("url={host}/shoes/2"), 200, 0),
        (format!("prefix={host}/shoes/"), 200, 2),
        ("prefix=other.example/shoes/".to_owned(), 200, 0),
        ("tag=summer".to_owned(), 200, 3),
        ("tag=catalog".to_owned(), 200, 3),
        ("tag=summ".to_owned(), 200, 0),
        ("all=true".to_owned(), 200, 3),
        (String::new(), 400, 0),
        ("all=true&tag=summer".to_owned(), 400, 0),
    ] {
        for path in paths {
            gateway.get(path).await;
        }
        let seen = admin(
            &gateway,
            "POST",
            &format!("/cache/purge?{}", purge.replace('?', "%3F")),
        )
        .await;
        assert_eq!(seen.status, status, "{purge}");
        if status == 200 {
            assert_eq!(seen.json()["purged"], purged, "{purge}");
        }
        let before = a.ledger().len();
        for path in paths {
            gateway.get(path).await;
        }
        assert_eq!(a.ledger().len() - before, purged, "{purge}");
    }
}

#[tokio::test]
async fn a_route_without_a_cache_says_nothing_of_one() {
    let a = Upstream::start("a").await.unwrap();
    a.always(said("max-age=60"));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\" }}\nroutes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n",
        a.url()
    ))
    .await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/x").await.header("cache-status"), "");
    }
    assert_eq!(a.ledger().len(), 2);
}

#[tokio::test]
async fn a_reload_keeps_what_is_kept_until_the_route_goes_elsewhere_or_otherwise() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let text = |url: &str, key: &str, more: &str, forward: &str| {
        format!(
            "{}upstreams: {{ a: {{ url: \"{url}\", auth: {{ bearer: \"${{X:-{key}}}\" }} }} }}\n\
             routes: [ {{ match: \"/*\", name: main, forward: {{ members: [a]{forward} }}, cache: {{ fresh: 1h }}, anonymous: true }} ]\n{more}",
            isobar_tests::HEAD
        )
    };
    let first = text(&a.url(), "one", "", "");
    let gateway = Gateway::start_whole(&first).await;
    let kept = gateway.get("/x").await.body;
    let mut asked = 1;
    for (config, asks_again) in [
        (first.clone(), false),
        (
            text(&a.url(), "one", "limits: { rate: 100/s }\n", ""),
            false,
        ),
        (text(&a.url(), "two", "", ""), true),
        (text(&b.url(), "one", "", ""), true),
        (text(&a.url(), "one", "", ", path: \"/other/{*}\""), true),
        (first.clone(), false),
        (
            text(&a.url(), "one", "limits: { cache_memory: 1MiB }\n", ""),
            true,
        ),
    ] {
        gateway.host.swap(isobar_tests::checked(&config)).unwrap();
        let seen = gateway.get("/x").await;
        asked += usize::from(asks_again);
        assert_eq!(a.ledger().len() + b.ledger().len(), asked, "{config}");
        assert_eq!(seen.body == kept, !asks_again, "{config}");
    }
}

#[tokio::test]
async fn answers_to_http_and_https_are_two_where_the_upstream_can_tell_them_apart() {
    let authority = Authority::new();
    let own = authority.issue(&["a.example.com"]);
    for (headers, fetched) in [
        ("", 2),
        (
            ", request_headers: { set: { x-forwarded-proto: https } }",
            1,
        ),
    ] {
        let a = Upstream::start("a").await.unwrap();
        a.always(said("max-age=60"));
        let routes = format!(
            "upstreams: {{ a: \"{}\" }}\n\
             routes: [ {{ match: \"/*\", forward: {{ members: [a]{headers} }}, cache: {{ shared: true }}, anonymous: true }} ]\n",
            a.url()
        );
        let both = secure(&[("a", &own)], " }, { http: \"127.0.0.1:0\"", &routes).await;
        let [https, http] = both.gateway.host.addresses() else {
            panic!("two listeners");
        };
        let ask = "GET /x HTTP/1.1\r\nhost: a.example.com\r\n\r\n";
        for _ in 0..2 {
            let config = authority.client(None, &["http/1.1"]);
            let mut over_tls = connect(*https, "a.example.com", config).await.unwrap();
            over_tls.write_all(ask.as_bytes()).await.unwrap();
            let mut plain = tokio::net::TcpStream::connect(http).await.unwrap();
            plain.write_all(ask.as_bytes()).await.unwrap();
            for answer in [
                read_answer(&mut over_tls, PATIENCE).await,
                read_answer(&mut plain, PATIENCE).await,
            ] {
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        }
        let schemes: Vec<String> = a
            .ledger()
            .iter()
            .map(|entry| {
                entry
                    .header("x-forwarded-proto")
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        assert_eq!(schemes.len(), fetched, "{headers}: {schemes:?}");
        assert_eq!(
            schemes.contains(&"http".to_owned()),
            fetched == 2,
            "{schemes:?}"
        );
    }
}
