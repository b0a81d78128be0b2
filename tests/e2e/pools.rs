//! How accounts are picked, left out and taken back.

use std::{collections::BTreeMap, time::Duration};

use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{Gateway, eventually, see};

const PATIENCE: Duration = Duration::from_secs(10);

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
async fn the_cheapest_that_can_is_asked_and_those_of_unknown_price_last() {
    let [a, b, c] = three().await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  a: \"{}\"\n  b: {{ url: \"{}\", price: 0.002 }}\n  c: {{ url: \"{}\", price: 0.01 }}\n\
         accounts: {{ spare: {{ upstream: b, price: 0.001, permits: 1 }} }}\n\
         routes: [ {{ match: \"/*\", anonymous: true, forward: {{ members: [a, c, b, spare], policy: cheapest, retry: {{ attempts: 4, budget: 10 }} }} }} ]\n",
        a.url(),
        b.url(),
        c.url()
    ))
    .await;
    assert_eq!(gateway.get("/").await.vendor(), "spare");
    // While its only permit is taken, the next dearer one is asked.
    let gate = Gate::shut();
    b.script([Fault::Held(gate.clone())]);
    let held = tokio::spawn(see(gateway.request("GET", "/held")));
    assert!(
        b.wait_until(PATIENCE, |ledger| ledger
            .iter()
            .any(|entry| entry.target == "/held"))
            .await
    );
    assert_eq!(gateway.get("/").await.vendor(), "b");
    gate.let_through(1);
    assert_eq!(held.await.unwrap().vendor(), "spare");
    b.script([Fault::status(500), Fault::status(500)]);
    assert_eq!(gateway.get("/").await.vendor(), "c");
    b.script([Fault::status(500), Fault::status(500)]);
    c.script([Fault::status(500)]);
    let last = gateway.get("/").await;
    assert_eq!((last.vendor(), last.attempts()), ("a", "4"));
}

#[tokio::test]
async fn the_faster_of_two_gets_all_once_both_are_known() {
    let servers = three().await;
    servers[0].always(Fault::Delay(Duration::from_millis(700)));
    let gateway = pool(&servers, "", "members: [a, c], policy: fastest").await;
    let counts = spread(&gateway, |_| "/".to_owned(), 40).await;
    // Of two members both are always drawn; the slow one is tried until its time is known, and then no more.
    assert!(
        counts.get("c").copied().unwrap_or_default() >= 38,
        "{counts:?}"
    );
}

#[tokio::test]
async fn the_slowest_of_three_gets_least() {
    let servers = three().await;
    servers[0].always(Fault::Delay(Duration::from_millis(700)));
    let gateway = pool(&servers, "", "members: [a, b, c], policy: fastest").await;
    let counts = spread(&gateway, |_| "/".to_owned(), 40).await;
    // Whoever is drawn beside it is faster.
    assert!(
        counts.get("a").copied().unwrap_or_default() <= 2,
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
    for mode in ["exchange", "stream"] {
        let servers = three().await;
        let gateway = |open_for: &str| {
            let breaker = format!(", breaker: {{ failures: 2, open_for: {open_for} }}");
            let members = format!("members: [a, b], mode: {mode}");
            let servers = &servers;
            async move {
                let gateway = pool(servers, &breaker, &members).await;
                servers[0].reset();
                servers[0].always(Fault::status(500));
                for _ in 0..2 {
                    assert_eq!(gateway.get("/").await.vendor(), "b", "{mode}");
                }
                assert_eq!(servers[0].ledger().len(), 2, "{mode}");
                gateway
            }
        };
        let shut = gateway("1h").await;
        for _ in 0..10 {
            assert_eq!(shut.get("/").await.attempts(), "1", "{mode}");
        }
        assert_eq!(
            servers[0].ledger().len(),
            2,
            "{mode}: open, nothing is sent"
        );

        let ajar = gateway("300ms").await;
        tokio::time::sleep(Duration::from_millis(350)).await;
        assert_eq!(ajar.get("/").await.vendor(), "b", "{mode}");
        assert_eq!(
            servers[0].ledger().len(),
            3,
            "{mode}: half open, one trial, which failed"
        );
        servers[0].always(Fault::None);
        tokio::time::sleep(Duration::from_millis(350)).await;
        assert_eq!(ajar.get("/").await.vendor(), "a", "{mode}");
        assert_eq!(ajar.get("/").await.vendor(), "a", "{mode}");
    }
}

#[tokio::test]
async fn an_account_that_only_refuses_is_left_alone_after_a_while() {
    // A revoked key, and a 429 that names no time: neither says when asking again is worth an attempt.
    for refusal in [401, 429] {
        for mode in ["exchange", "stream"] {
            let servers = three().await;
            let settings =
                ", auth: { bearer: \"${X:-key}\" }, breaker: { failures: 3, open_for: 1h }";
            // Ten attempts in reserve and one a second: fewer than there are requests to come.
            let members = format!(
                "members: [a, b], mode: {mode}, retry: {{ attempts: 2, budget: 0, reserve: 1 }}"
            );
            let gateway = pool(&servers, settings, &members).await;
            servers[0].always(Fault::status(refusal));
            for number in 0..30 {
                let seen = gateway.get("/").await;
                assert_eq!(
                    (seen.status, seen.vendor()),
                    (200, "b"),
                    "{refusal} {mode}: request {number}"
                );
            }
            assert_eq!(servers[0].ledger().len(), 3, "{refusal} {mode}");
        }
    }
    // With nobody else to ask, the client gets the refusal itself.
    let servers = three().await;
    let gateway = pool(
        &servers,
        ", breaker: { failures: 3, open_for: 1h }",
        "members: [a]",
    )
    .await;
    servers[0].always(Fault::status(429));
    for _ in 0..10 {
        let seen = gateway.get("/").await;
        assert_eq!((seen.status, seen.vendor()), (429, "a"));
    }
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
async fn an_account_whose_answers_break_off_is_left_out_though_they_begin_well() {
    for mode in ["exchange", "stream"] {
        let servers = three().await;
        let members = format!(
            "members: [a, b], mode: {mode}, outlier: {{ min_requests: 6, eject_for: 1h, max_ejected_percent: 50 }}"
        );
        let gateway = pool(&servers, "", &members).await;
        servers[0].always(Fault::Truncated);
        let mut cut = 0;
        for _ in 0..10 {
            let seen = gateway.get("/bytes/300000").await;
            assert_eq!(seen.whole, seen.vendor() == "b", "{mode}");
            cut += u32::from(!seen.whole);
        }
        // Each counts as one good and one bad: three are six, half of them bad. A count may come after the client saw it.
        assert!((3..=8).contains(&cut), "{mode}: {cut} answers broke off");
        assert_eq!(gateway.get("/").await.vendor(), "b", "{mode}");
    }
}

#[tokio::test]
async fn probes_take_an_account_out_and_back() {
    let servers = three().await;
    let probe = ", breaker: { failures: 1000000 }, probe: { path: /healthz, every: 50ms, timeout: 1s, unhealthy_after: 2, healthy_after: 2 }";
    let gateway = pool(&servers, probe, "members: [a, b]").await;
    servers[0].always(Fault::status(503));
    let avoided = eventually(PATIENCE, async || {
        let seen = gateway.get("/").await;
        (seen.vendor(), seen.attempts()) == ("b", "1")
    });
    assert!(avoided.await);
    // Both out: probes only advise, so the pool still tries.
    let probed = |server: &Upstream| {
        let probes = server.ledger();
        probes
            .iter()
            .filter(|entry| entry.target == "/healthz")
            .count()
    };
    servers[1].always(Fault::status(503));
    let before = probed(&servers[1]);
    assert!(eventually(PATIENCE, async || probed(&servers[1]) >= before + 4).await);
    let seen = gateway.get("/").await;
    assert_eq!((seen.status, seen.attempts()), (503, "2"));
    servers[0].always(Fault::None);
    let back = eventually(PATIENCE, async || {
        let seen = gateway.get("/").await;
        (seen.status, seen.vendor()) == (200, "a")
    });
    assert!(back.await);
}

#[tokio::test]
async fn hedged_reads_take_the_faster_answer_and_writes_are_never_hedged() {
    let servers = three().await;
    let gateway = pool(&servers, "", "members: [a, b], hedge: 100ms").await;
    servers[0].always(Fault::Hang);
    let seen = gateway.get("/").await;
    assert_eq!((seen.vendor(), seen.attempts()), ("b", "2"));
    assert!(
        seen.header("server-timing").contains("\"a overtaken\""),
        "{seen:?}"
    );
    // What was overtaken is called off.
    let called_off =
        servers[0].wait_until(PATIENCE, |ledger| ledger.len() == 1 && ledger[0].abandoned);
    assert!(called_off.await);
    servers[0].always(Fault::Delay(Duration::from_millis(400)));
    let seen = see(gateway.request("POST", "/").body("once")).await;
    assert_eq!((seen.vendor(), seen.attempts()), ("a", "1"));
    assert_eq!(servers[1].ledger().len(), 1);
}

#[tokio::test]
async fn a_hedged_read_with_a_body_sends_the_whole_body_twice_from_memory_and_from_disk() {
    for memory in ["64MiB", "1KiB"] {
        let servers = three().await;
        let state = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(&format!(
            "state: \"{}\"\nupstreams: {{ a: \"{}\", b: \"{}\" }}\n\
             routes:\n  - match: \"/*\"\n    anonymous: true\n    \
             forward: {{ members: [a, b], effect: read, hedge: 1ms }}\nlimits: {{ body_memory: {memory} }}\n",
            state.path().display(),
            servers[0].url(),
            servers[1].url()
        ))
        .await;
        let gate = Gate::shut();
        servers[0].always(Fault::Held(gate.clone()));
        servers[1].always(Fault::Held(gate.clone()));
        let body: Vec<u8> = (0..900_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        let arrived = async {
            for server in &servers[..2] {
                let whole =
                    server.wait_until(PATIENCE, |ledger| ledger.iter().any(|entry| entry.complete));
                assert!(whole.await, "{memory}");
            }
            gate.let_through(2);
        };
        let (seen, ()) = tokio::join!(
            see(gateway.request("POST", "/").body(body.clone())),
            arrived
        );
        assert_eq!(seen.status, 200, "{memory}");
        for server in &servers[..2] {
            assert!(
                server.ledger()[0].body[..] == body,
                "{memory}: a body differs"
            );
        }
    }
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
