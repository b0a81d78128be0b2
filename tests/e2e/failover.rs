//! The shortest configuration fails over, and starting and stopping takes milliseconds.

use std::time::{Duration, Instant};

use isobar_sandbox::{Fault, Upstream, Vacant};
use isobar_tests::{Gateway, see};

fn shortest(a: &str, b: &str) -> String {
    format!(
        "isobar: 1\n\
         listen: [ {{ http: \"127.0.0.1:0\" }} ]\n\
         upstreams: {{ a: \"{a}\", b: \"{b}\" }}\n\
         routes: [ {{ match: \"/*\", forward: [a, b], anonymous: true }} ]\n"
    )
}

#[tokio::test]
async fn the_shortest_configuration_fails_over() {
    let (a, b) = (
        Vacant::reserve().unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start_whole(&shortest(&a.url(), &b.url())).await;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
        let seen = see(gateway.request(method, "/x?y=1")).await;
        assert_eq!((seen.status, seen.vendor()), (200, "b"), "{method}");
        assert_eq!(seen.json()["query"], "y=1");
    }
}

#[tokio::test]
async fn a_gateway_starts_and_stops_in_milliseconds() {
    let a = Upstream::start("a").await.unwrap();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let gateway = Gateway::start_whole(&shortest(&a.url(), &a.url())).await;
        assert_eq!(gateway.get("/").await.status, 200);
        let drained = gateway.host.drain(None).await;
        assert_eq!(drained.cut, 0);
        fastest = fastest.min(began.elapsed());
    }
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

#[tokio::test]
async fn nobody_there_is_503_and_says_whom_it_asked() {
    let (a, b) = (Vacant::reserve().unwrap(), Vacant::reserve().unwrap());
    let gateway = Gateway::start_whole(&shortest(&a.url(), &b.url())).await;
    let seen = gateway.get("/").await;
    assert_eq!((seen.status, seen.attempts()), (503, "2"));
    assert_eq!(seen.problem(), "no-account-available");
    assert_eq!(seen.header("content-type"), "application/problem+json");
    let attempts = seen.json()["attempts"].clone();
    assert_eq!(
        (&attempts[0]["vendor"], &attempts[1]["vendor"]),
        (&"a".into(), &"b".into())
    );
    assert_eq!(attempts[0]["reason"], "connect");
    // Both breakers are open after five failures each; then nobody is asked.
    for _ in 0..4 {
        gateway.get("/").await;
    }
    let seen = gateway.get("/").await;
    assert_eq!(
        (seen.status, seen.problem().as_str()),
        (503, "no-account-available")
    );
    assert_eq!(seen.json()["attempts"][0]["reason"], "breaker_open");
    assert_ne!(seen.header("retry-after"), "");
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let gateway = Gateway::start_whole(&shortest(&a.url(), &b.url())).await;
    a.script([Fault::busy(60)]);
    let seen = see(gateway.request("POST", "/").body("once")).await;
    assert_eq!(
        (seen.status, seen.vendor(), seen.attempts()),
        (200, "b", "2")
    );
    // For the next minute a is left alone.
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.vendor(), "b");
    }
    assert_eq!(a.ledger().len(), 1);
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_when_there_is_no_other() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\" }}\n\
         routes: [ {{ match: \"/*\", forward: {{ members: [a], retry: {{ attempts: 2 }} }}, anonymous: true }} ]\n",
        a.url()
    ))
    .await;
    a.script([Fault::busy(1)]);
    let seen = see(gateway.request("POST", "/").body("once")).await;
    assert_eq!((seen.status, seen.attempts()), (200, "2"));
    assert!(seen.took >= Duration::from_millis(900), "{:?}", seen.took);
}
