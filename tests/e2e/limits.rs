//! Rate limits, deadlines, permits.

use std::time::Duration;

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, see};

const SHOP: &str = "shop-key-0123456789abcdef";
const LAB: &str = "lab-key-0123456789abcdefgh";

#[tokio::test]
async fn rates_are_limited_by_client_route_and_address() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "clients:\n  shop: {{ key: \"{}\" }}\n  lab: {{ key: \"{}\", rate: 3/h }}\n\
         upstreams: {{ a: \"{}\" }}\n\
         routes:\n  - {{ match: /client, forward: [a], limits: {{ rate: 2/h }} }}\n  \
         - {{ match: /ip, forward: [a], limits: {{ rate: {{ ip: 2/h burst 3 }} }} }}\n  \
         - {{ match: /route, forward: [a], limits: {{ rate: {{ route: 2/h }} }} }}\n  \
         - {{ match: /free, forward: [a] }}\n",
        isobar_config::hash_key(SHOP),
        isobar_config::hash_key(LAB),
        a.url()
    ))
    .await;
    let ask = |path: &'static str, key: &'static str| {
        see(gateway.request("GET", path).header("x-api-key", key))
    };
    let statuses = async |path, key, times| {
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(ask(path, key).await.status);
        }
        statuses
    };
    assert_eq!(statuses("/client", SHOP, 3).await, [200, 200, 429]);
    // Another client has its own count, and its own limit over all routes.
    assert_eq!(statuses("/client", LAB, 3).await, [200, 200, 429]);
    assert_eq!(statuses("/free", LAB, 1).await, [429]);
    assert_eq!(statuses("/ip", SHOP, 4).await, [200, 200, 200, 429]);
    assert_eq!(statuses("/route", SHOP, 3).await, [200, 200, 429]);
    let reached = a.ledger().len();
    let refused = ask("/client", SHOP).await;
    assert_eq!(a.ledger().len(), reached);
    assert_eq!(refused.problem(), "rate-limited");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!(
        (1_700..=1_800).contains(&wait),
        "one request each half hour: {wait}"
    );
    assert_eq!(refused.header("ratelimit-policy"), "\"client\";q=2;w=3600");
    assert!(
        refused.header("ratelimit").starts_with("\"client\";r=0;t="),
        "{refused:?}"
    );
}

#[tokio::test]
async fn answers_tell_what_is_left() {
    let a = Upstream::start("a").await.unwrap();
    for mode in ["exchange", "stream"] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: \"{}\" }}\n\
             routes: [ {{ match: \"/*\", forward: {{ members: [a], mode: {mode} }}, anonymous: true, limits: {{ rate: 10/m }} }} ]\n",
            a.url()
        ))
        .await;
        for left in [9, 8, 7] {
            let seen = gateway.get("/").await;
            assert!(
                seen.header("ratelimit")
                    .starts_with(&format!("\"client\";r={left}")),
                "{mode}: {seen:?}"
            );
            assert_eq!(
                seen.header("ratelimit-policy"),
                "\"client\";q=10;w=60",
                "{mode}"
            );
        }
    }
}

#[tokio::test]
async fn attempts_add_up_to_the_clients_deadline() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\", b: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true, limits: {{ deadline: 800ms }} }} ]\n",
        a.url(),
        b.url()
    ))
    .await;
    a.always(Fault::Hang);
    b.always(Fault::Hang);
    let seen = gateway.get("/").await;
    assert_eq!(
        (seen.status, seen.attempts(), seen.problem().as_str()),
        (504, "2", "vendor-timeout")
    );
    assert!(
        seen.took >= Duration::from_millis(750) && seen.took < Duration::from_millis(2_000),
        "{:?}",
        seen.took
    );
    // The client may ask for less, and not for more.
    for (asked, least, most) in [("200ms", 190, 700), ("60s", 750, 2_000)] {
        let seen = see(gateway.request("GET", "/").header("isobar-deadline", asked)).await;
        let took = seen.took.as_millis();
        assert_eq!(seen.status, 504, "{asked}");
        assert!((least..most).contains(&took), "{asked}: {took} ms");
    }
}

#[tokio::test]
async fn an_account_takes_no_more_than_its_permits() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: {{ url: \"{}\", permits: 2 }}, b: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true }} ]\n",
        a.url(),
        b.url()
    ))
    .await;
    let asked = (0..6).map(|_| gateway.get("/slow/400"));
    let seen = futures_util::future::join_all(asked).await;
    assert!(seen.iter().all(|seen| seen.status == 200));
    assert_eq!((a.ledger().len(), b.ledger().len()), (2, 4));
    assert_eq!(gateway.get("/").await.vendor(), "a", "permits come back");
}
