//! Rate limits, deadlines, permits.

use std::time::Duration;

use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{Gateway, eventually, see};

const SHOP: &str = "shop-key-0123456789abcdef";
const LAB: &str = "lab-key-0123456789abcdefgh";
const PATIENCE: Duration = Duration::from_secs(10);

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
    a.always(Fault::Hang);
    b.always(Fault::Hang);
    // The client may ask for less, and not for more. Upper bounds are wide: what they rule out is the other deadline.
    for (deadline, asked, least) in [
        ("800ms", None, 750),
        ("800ms", Some("60s"), 750),
        ("40s", Some("300ms"), 280),
    ] {
        let gateway = Gateway::start(&format!(
            "upstreams: {{ a: \"{}\", b: \"{}\" }}\n\
             routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true, limits: {{ deadline: {deadline} }} }} ]\n",
            a.url(),
            b.url()
        ))
        .await;
        let mut request = gateway.request("GET", "/");
        if let Some(asked) = asked {
            request = request.header("isobar-deadline", asked);
        }
        let seen = see(request).await;
        assert_eq!(
            (seen.status, seen.attempts(), seen.problem().as_str()),
            (504, "2", "vendor-timeout"),
            "{deadline} {asked:?}"
        );
        let took = seen.took.as_millis();
        assert!(
            (least..10_000).contains(&took),
            "{deadline} {asked:?}: {took} ms"
        );
    }
}

#[tokio::test]
async fn an_account_takes_no_more_than_its_permits() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gate = Gate::shut();
    a.always(Fault::Held(gate.clone()));
    b.always(Fault::Held(gate.clone()));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: {{ url: \"{}\", permits: 2 }}, b: {{ url: \"{}\", permits: 4 }} }}\n\
         routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true }} ]\n",
        a.url(),
        b.url()
    ))
    .await;
    let (asked, held) = (
        futures_util::future::join_all((0..6).map(|_| gateway.get("/"))),
        async {
            let all = eventually(PATIENCE, async || a.ledger().len() + b.ledger().len() == 6);
            assert!(all.await);
            // No permit is left: nobody is asked.
            let seen = gateway.get("/").await;
            assert_eq!(
                (seen.status, seen.problem().as_str()),
                (503, "no-account-available")
            );
            assert_eq!(seen.json()["attempts"][0]["reason"], "busy");
            assert_eq!(seen.header("retry-after"), "1");
            gate.let_through(100);
        },
    );
    let (seen, ()) = tokio::join!(asked, held);
    assert!(seen.iter().all(|seen| seen.status == 200));
    assert_eq!((a.ledger().len(), b.ledger().len()), (2, 4));
    assert_eq!(gateway.get("/").await.vendor(), "a", "permits come back");
}

#[tokio::test]
async fn wrong_keys_are_slowed_down_and_right_ones_are_not() {
    let gateway = Gateway::start(&format!(
        "clients: {{ shop: {{ key: \"{}\" }} }}\n\
         routes: [ {{ match: \"/*\", respond: {{ body: hi }} }} ]\n",
        isobar_config::hash_key(SHOP),
    ))
    .await;
    let guess = async |key: String| {
        let seen = see(gateway.request("GET", "/").header("x-api-key", key)).await;
        (seen.status, seen.header("retry-after").to_owned())
    };
    let mut slowed = 0;
    for number in 0..200 {
        match guess(format!("guess-{number:032}")).await {
            (401, _) => {}
            (429, wait) => {
                assert_eq!(wait, "1");
                slowed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // Twenty at once and ten a second pass; a machine so slow that this takes twenty seconds needs no throttle.
    assert!(slowed > 0, "all guesses were answered");
    assert_eq!(guess(SHOP.to_owned()).await.0, 200);
    assert_eq!(gateway.get("/").await.status, 401, "no key is no guess");
}

#[tokio::test]
async fn a_body_that_fits_neither_memory_nor_disk_is_turned_away_before_a_vendor_is_asked() {
    let a = Upstream::start("a").await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&format!(
        "state: \"{}\"\nupstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: [a], anonymous: true, limits: {{ replay: 1MiB }} }} ]\n\
         limits: {{ body_memory: 64KiB, spool: 300KiB }}\n",
        state.path().display(),
        a.url()
    ))
    .await;
    let post =
        async |length: usize| see(gateway.request("POST", "/").body(vec![b'x'; length])).await;
    for (length, status) in [
        (60_000, 200),
        (200_000, 200),
        (400_000, 503),
        (200_000, 200),
    ] {
        let seen = post(length).await;
        assert_eq!(seen.status, status, "{length}: {}", seen.text());
        if status == 503 {
            assert_eq!(
                (seen.problem().as_str(), seen.header("retry-after")),
                ("overloaded", "1")
            );
        }
    }
    assert_eq!(a.ledger().len(), 3);
}

#[tokio::test]
async fn gateways_with_one_store_count_together_by_client_and_address_and_alone_otherwise() {
    let Some(server) = isobar_tests::redis::Server::start().await else {
        eprintln!("skipped: there is no `redis-server` here (Debian: redis-server)");
        return;
    };
    let start = async |clients: &[&str]| {
        let clients: Vec<String> = clients
            .iter()
            .map(|key| {
                let name = if *key == SHOP { "shop" } else { "lab" };
                format!("{name}: {{ key: \"{}\" }}", isobar_config::hash_key(key))
            })
            .collect();
        let rate = "{ requests: 3, per: 1h, shared: true }";
        Gateway::start(&format!(
            "state: {{ shared: {{ url: \"{}\", timeout: 10s }} }}\nclients: {{ {} }}\n\
             routes:\n  - {{ match: /client, respond: {{ body: hi }}, limits: {{ rate: {{ client: {rate} }} }} }}\n  \
             - {{ match: /ip, respond: {{ body: hi }}, limits: {{ rate: {{ ip: {rate} }} }} }}\n  \
             - {{ match: /alone, respond: {{ body: hi }}, limits: {{ rate: 3/h }} }}\n",
            server.url(),
            clients.join(", ")
        ))
        .await
    };
    // The same clients in another order: what is counted by is the name.
    let (one, other) = (start(&[SHOP, LAB]).await, start(&[LAB, SHOP]).await);
    let ask = async |gateway: &Gateway, path: &str, key: &str| {
        let seen = see(gateway.request("GET", path).header("x-api-key", key)).await;
        (
            seen.status,
            seen.header("ratelimit")
                .split(';')
                .nth(1)
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let left = |status: u16, rest: &str| (status, rest.to_owned());
    for (path, keys) in [("/client", [SHOP, SHOP]), ("/ip", [SHOP, LAB])] {
        assert_eq!(ask(&one, path, keys[0]).await, left(200, "r=2"), "{path}");
        assert_eq!(ask(&other, path, keys[1]).await, left(200, "r=1"), "{path}");
        assert_eq!(ask(&one, path, keys[0]).await, left(200, "r=0"), "{path}");
        for gateway in [&one, &other] {
            assert_eq!(
                ask(gateway, path, keys[0]).await,
                left(429, "r=0"),
                "{path}"
            );
        }
    }
    assert_eq!(ask(&other, "/client", LAB).await, left(200, "r=2"));
    for gateway in [&one, &other] {
        assert_eq!(ask(gateway, "/alone", SHOP).await, left(200, "r=2"));
    }
}

#[tokio::test]
async fn without_its_store_a_shared_limit_admits_or_refuses_as_it_is_told_and_others_do_not_notice()
{
    for (when_down, status) in [("admit", 200), ("refuse", 503)] {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = free.local_addr().unwrap();
        drop(free);
        let gateway = Gateway::start(&format!(
            "admin: \"127.0.0.1:0\"\nstate: {{ shared: {{ url: \"redis://:hunter2@{nobody}\", when_down: {when_down} }} }}\n\
             routes:\n  - {{ match: /shared, respond: {{ body: hi }}, anonymous: true, \
             limits: {{ rate: {{ route: {{ requests: 1, per: 1h, shared: true }} }} }} }}\n  \
             - {{ match: /alone, respond: {{ body: hi }}, anonymous: true, limits: {{ rate: 100/h }} }}\n",
        ))
        .await;
        for _ in 0..5 {
            let seen = gateway.get("/shared").await;
            assert_eq!(seen.status, status, "{when_down}: {}", seen.text());
            if status == 503 {
                assert_eq!(
                    (seen.problem().as_str(), seen.header("retry-after")),
                    ("overloaded", "1")
                );
            }
            assert!(!seen.text().contains("hunter2"));
            assert_eq!(gateway.get("/alone").await.status, 200);
        }
        let page = format!("http://{}", gateway.host.admin().unwrap());
        let get = async |path: &str| {
            reqwest::get(format!("{page}{path}"))
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        };
        let metrics = get("/metrics").await;
        assert!(
            metrics.contains("isobar_shared_checks_total{result=\"failed\"} 5\n"),
            "{metrics}"
        );
        assert!(!get("/config").await.contains("hunter2"));
    }
}
