//! How accounts are picked, left out and taken back.

use std::{collections::BTreeMap, time::Duration};

use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, see};

async fn three() -> [Upstream; 3] {
    [
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
        Upstream::start("c").await.unwrap(),
    ]
}

async fn pool(servers: &[Upstream; 3], settings: &str, pool: &str) -> Gateway {
    let [a, b, c] = servers;
    Gateway::start(&format!(
        "upstreams:\n  a: {{ url: \"{}\"{settings} }}\n  b: {{ url: \"{}\"{settings} }}\n  c: {{ url: \"{}\"{settings} }}\n\
         routes:\n  - match: \"/*\"\n    anonymous: true\n    forward: {{ {pool} }}\n",
        a.url(),
        b.url(),
        c.url()
    ))
    .await
}

async fn spread(
    gateway: &Gateway,
    path: impl Fn(usize) -> String,
    times: usize,
) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for number in 0..times {
        let seen = gateway.get(&path(number)).await;
        assert_eq!(seen.status, 200);
        *counts.entry(seen.vendor().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn weights_share_out_the_requests() {
    let servers = three().await;
    let members = "members: [ { use: a, weight: 6 }, { use: b, weight: 3 }, c ], policy: weighted";
    let counts = spread(&pool(&servers, "", members).await, |_| "/".to_owned(), 500).await;
    for (name, expected) in [("a", 300), ("b", 150), ("c", 50)] {
        let count = counts.get(name).copied().unwrap_or_default();
        // Five standard deviations of a binomial count of 500.
        assert!(count.abs_diff(expected) < 58, "{counts:?}");
    }
}

#[tokio::test]
async fn the_fastest_gets_most() {
    let servers = three().await;
    servers[0].always(Fault::Delay(Duration::from_millis(40)));
    servers[1].always(Fault::Delay(Duration::from_millis(40)));
    let gateway = pool(&servers, "", "members: [a, b, c], policy: fastest").await;
    let counts = spread(&gateway, |_| "/".to_owned(), 60).await;
    // Two are drawn at random, so the slow pair is drawn for a third of the requests.
    assert!(
        counts.get("c").copied().unwrap_or_default() > 30,
        "{counts:?}"
    );
}

#[tokio::test]
async fn equal_values_stick_to_an_account_and_move_only_when_it_is_gone() {
    let servers = three().await;
    let sticky = "members: [a, b, c], policy: { sticky: $.request.query.user }";
    let gateway = pool(&servers, ", breaker: { failures: 1, open_for: 1h }", sticky).await;
    let mut homes = BTreeMap::new();
    for _ in 0..3 {
        for user in 0..30 {
            let seen = gateway.get(&format!("/?user={user}")).await;
            let home = homes
                .entry(user)
                .or_insert_with(|| seen.vendor().to_owned());
            assert_eq!(home, seen.vendor(), "user {user}");
        }
    }
    let used: std::collections::BTreeSet<_> = homes.values().collect();
    assert_eq!(used.len(), 3, "{homes:?}");
    servers[1].always(Fault::ResetBeforeHead);
    for (user, home) in &homes {
        let seen = gateway.get(&format!("/?user={user}")).await;
        if home == "b" {
            assert_ne!(seen.vendor(), "b");
        } else {
            assert_eq!(home, seen.vendor(), "user {user} moved without need");
        }
    }
}

#[tokio::test]
async fn the_first_rule_that_holds_replaces_the_members() {
    let servers = three().await;
    let rules = "members: [a, b, c], rules: [ { when: \"= request.headers['x-tier'] == 'gold'\", members: [c, b] }, \
                 { when: \"= request.method == 'PUT'\", members: [b] } ]";
    let gateway = pool(&servers, "", rules).await;
    for (method, tier, expected) in [
        ("GET", "gold", "c"),
        ("GET", "iron", "a"),
        ("PUT", "iron", "b"),
        ("PUT", "gold", "c"),
    ] {
        let seen = see(gateway.request(method, "/").header("x-tier", tier)).await;
        assert_eq!(seen.vendor(), expected, "{method} {tier}");
    }
    // A condition that cannot be answered holds not.
    assert_eq!(gateway.get("/").await.vendor(), "a");
    servers[2].always(Fault::ResetBeforeHead);
    let seen = see(gateway.request("GET", "/").header("x-tier", "gold")).await;
    assert_eq!((seen.vendor(), seen.attempts()), ("b", "2"));
}

#[tokio::test]
async fn a_breaker_opens_tries_one_request_and_closes() {
    let servers = three().await;
    let gateway = pool(
        &servers,
        ", breaker: { failures: 2, open_for: 500ms }",
        "members: [a, b]",
    )
    .await;
    servers[0].always(Fault::status(500));
    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.vendor(), "b");
    }
    let asked = servers[0].ledger().len();
    assert_eq!(asked, 2);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.attempts(), "1");
    }
    assert_eq!(servers[0].ledger().len(), asked, "open: nothing is sent");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(gateway.get("/").await.vendor(), "b");
    assert_eq!(
        servers[0].ledger().len(),
        asked + 1,
        "half open: one trial, which failed"
    );
    servers[0].always(Fault::None);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(gateway.get("/").await.vendor(), "a");
    assert_eq!(gateway.get("/").await.vendor(), "a");
}

#[tokio::test]
async fn retries_are_budgeted() {
    let servers = three().await;
    let budget =
        "members: [a, b], retry: { budget: 0.1, reserve: 0 }, outlier: { min_requests: 1000000 }";
    let gateway = pool(&servers, ", breaker: { failures: 1000000 }", budget).await;
    servers[0].always(Fault::status(500));
    for _ in 0..100 {
        gateway.get("/").await;
    }
    let (first, second) = (servers[0].ledger().len(), servers[1].ledger().len());
    assert_eq!(first, 100);
    assert!(
        (9..=10).contains(&second),
        "a tenth of the requests: {second}"
    );
}

#[tokio::test]
async fn the_outlier_is_ejected_and_never_the_last_one() {
    let servers = three().await;
    let outlier = "members: [a, b, c], policy: weighted, outlier: { min_requests: 5, failure_percent: 50, eject_for: 1h, max_ejected_percent: 100 }";
    let gateway = pool(&servers, ", breaker: { failures: 1000000 }", outlier).await;
    servers[0].always(Fault::status(500));
    for _ in 0..60 {
        gateway.get("/").await;
    }
    let asked = servers[0].ledger().len();
    for _ in 0..30 {
        gateway.get("/").await;
    }
    assert_eq!(servers[0].ledger().len(), asked, "ejected");
    for server in &servers {
        server.always(Fault::status(500));
    }
    for _ in 0..60 {
        gateway.get("/").await;
    }
    for server in &servers {
        server.always(Fault::None);
    }
    assert_eq!(gateway.get("/").await.status, 200, "a pool is never empty");
}

#[tokio::test]
async fn probes_take_an_account_out_and_back() {
    let servers = three().await;
    let probe = ", probe: { path: /healthz, every: 50ms, timeout: 1s, unhealthy_after: 2, healthy_after: 2 }";
    let gateway = pool(&servers, probe, "members: [a, b]").await;
    servers[0].always(Fault::status(503));
    let mut seen = gateway.get("/").await;
    for _ in 0..100 {
        if seen.vendor() == "b" && seen.attempts() == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = gateway.get("/").await;
    }
    assert_eq!((seen.vendor(), seen.attempts()), ("b", "1"));
    // Both out: probes only advise, so the pool still tries.
    servers[1].always(Fault::status(503));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(gateway.get("/").await.status, 503);
    servers[0].always(Fault::None);
    for _ in 0..100 {
        seen = gateway.get("/").await;
        if seen.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((seen.status, seen.vendor()), (200, "a"));
}

#[tokio::test]
async fn hedged_reads_take_the_faster_answer_and_writes_are_never_hedged() {
    let servers = three().await;
    let gateway = pool(&servers, "", "members: [a, b], hedge: 100ms").await;
    servers[0].always(Fault::Delay(Duration::from_secs(2)));
    let seen = gateway.get("/").await;
    assert_eq!((seen.vendor(), seen.attempts()), ("b", "2"));
    assert!(seen.took < Duration::from_secs(1), "{:?}", seen.took);
    assert!(
        servers[0]
            .wait_until(Duration::from_secs(4), |ledger| ledger.len() == 1)
            .await
    );
    let seen = see(gateway.request("POST", "/").body("once")).await;
    assert_eq!((seen.vendor(), seen.attempts()), ("a", "1"));
    assert_eq!(servers[1].ledger().len(), 1);
}

#[tokio::test]
async fn a_keyed_request_is_resolved_at_the_same_account_and_nowhere_else() {
    let servers = three().await;
    let keyed = "members: [a, b], effect: keyed, retry: { attempts: 3 }";
    let gateway = pool(&servers, "", keyed).await;
    // The outcome is lost once; the same account with the same key tells it.
    servers[0].script([Fault::ResetAfterExecuting]);
    let seen = see(gateway
        .request("POST", "/")
        .header("idempotency-key", "k-1")
        .body("once"))
    .await;
    assert_eq!(
        (seen.status, seen.vendor(), seen.attempts()),
        (200, "a", "2")
    );
    let keys: Vec<_> = servers[0]
        .ledger()
        .iter()
        .map(|entry| entry.header("idempotency-key").map(str::to_owned))
        .collect();
    assert_eq!(keys, [Some("k-1".to_owned()), Some("k-1".to_owned())]);
    // It stays lost: unknown, and never elsewhere.
    servers[0].always(Fault::ResetAfterExecuting);
    let seen = see(gateway
        .request("POST", "/")
        .header("idempotency-key", "k-2")
        .body("once"))
    .await;
    assert_eq!(
        (seen.status, seen.problem().as_str(), seen.attempts()),
        (502, "outcome-unknown", "3")
    );
    // Without a key nothing can be asked again.
    let seen = see(gateway.request("POST", "/").body("once")).await;
    assert_eq!((seen.status, seen.attempts()), (502, "1"));
    assert_eq!(servers[1].ledger().len(), 0);
    // A refusal before work goes elsewhere, with the key.
    servers[0].always(Fault::busy(60));
    let seen = see(gateway
        .request("POST", "/")
        .header("idempotency-key", "k-3")
        .body("once"))
    .await;
    assert_eq!((seen.status, seen.vendor()), (200, "b"));
    assert_eq!(
        servers[1].ledger()[0].header("idempotency-key"),
        Some("k-3")
    );
}
