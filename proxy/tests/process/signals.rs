//! Reloads by signal, by file and by admin call while clients ask, and leaving.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{eventually, see, try_see};

use super::binary::{PATIENCE, Place, Running, client, send};

/// Every part that could be mixed up carries the same mark.
fn rest(mark: usize, upstream: &str) -> String {
    format!(
        "upstreams: {{ a: \"{upstream}\" }}\n\
         routes:\n  - match: \"/*\"\n    anonymous: true\n    forward:\n      members: [a]\n      path: \"/plan{mark}/{{*}}\"\n      \
         request_headers: {{ set: {{ x-plan: plan{mark} }} }}\n      response_headers: {{ set: {{ x-answer: plan{mark} }} }}\n"
    )
}

async fn ask(url: String, method: &'static str, stop: Arc<AtomicBool>, served: Arc<AtomicU64>) {
    let client = client();
    while !stop.load(SeqCst) {
        let request = client.request(method.parse().unwrap(), &url).body("body");
        let seen = see(request).await;
        assert_eq!((seen.status, seen.whole), (200, true), "{}", seen.text());
        let (plan, told) = (seen.header("x-answer"), seen.json());
        assert_eq!(told["headers"]["x-plan"], plan, "a mixture of two plans");
        assert_eq!(told["path"], format!("/{plan}/x"), "a mixture of two plans");
        served.fetch_add(1, SeqCst);
    }
}

async fn plan(running: &Running) -> String {
    let seen = see(client().get(running.url("/x"))).await;
    seen.header("x-answer").to_owned()
}

async fn is_at(running: &Running, mark: usize) {
    let expected = format!("plan{mark}");
    let there = eventually(PATIENCE, async || plan(running).await == expected).await;
    assert!(there, "never at {expected}: {}", running.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_reload_swaps_a_good_plan_and_keeps_the_old_one_for_a_broken_one() {
    let a = Upstream::start("a").await.unwrap();
    let mut place = Place::new(&rest(1, &a.url()));
    let running = place.start().await;
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clients: Vec<_> = ["GET", "POST", "PUT"]
        .map(|method| {
            tokio::spawn(ask(
                running.url("/x"),
                method,
                Arc::clone(&stop),
                Arc::clone(&served),
            ))
        })
        .into();
    is_at(&running, 1).await;
    let write = |mark| place.write("127.0.0.1:0".parse().unwrap(), &rest(mark, &a.url()));

    // By file. Nothing but the file changes.
    place.break_it();
    running.says("the running plan is kept").await;
    is_at(&running, 1).await;
    write(2);
    is_at(&running, 2).await;

    // By signal. The watcher comes to the same conclusion; what is waited for here only the signal brings about.
    place.break_it();
    running.signal("-HUP").await;
    running.says("not reloaded").await;
    is_at(&running, 2).await;
    write(3);
    running.signal("-HUP").await;
    running.says("reloaded: generation").await;
    is_at(&running, 3).await;

    // By admin call.
    place.break_it();
    let refused = running.admin("POST", "/reload").await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(
        refused.json()["diagnostics"][0]["code"].is_string(),
        "{}",
        refused.text()
    );
    is_at(&running, 3).await;
    write(4);
    let done = running.admin("POST", "/reload").await;
    assert_eq!(done.status, 200, "{}", done.text());
    is_at(&running, 4).await;

    // Many signals at once are no harm.
    for mark in 5..=24 {
        write(mark);
        running.signal("-HUP").await;
    }
    is_at(&running, 24).await;
    let before = served.load(SeqCst);
    assert!(eventually(PATIENCE, async || served.load(SeqCst) > before + 10).await);
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let metrics = running.admin("GET", "/metrics").await.text();
    let count = |result: &str| {
        let name = format!("isobar_reloads_total{{result=\"{result}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|count| count.parse::<u64>().ok())
            .unwrap_or_default()
    };
    assert!(count("refused") >= 3 && count("swapped") >= 4, "{metrics}");
}

#[tokio::test]
async fn asked_to_stop_it_finishes_what_runs_and_leaves() {
    let a = Upstream::start("a").await.unwrap();
    let gate = Gate::shut();
    for signal in ["-TERM", "-INT"] {
        let mut place = Place::new(&rest(1, &a.url()));
        let running = place.start().await;
        running
            .says("only loopback is served and any key is accepted")
            .await;
        a.reset();
        a.always(Fault::Held(gate.clone()));
        let request = tokio::spawn(see(client().get(running.url("/x"))));
        assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 1).await);
        running.signal(signal).await;
        running.says("draining").await;
        let address = running.address;
        let closed = eventually(PATIENCE, async || {
            tokio::net::TcpStream::connect(address).await.is_err()
        })
        .await;
        assert!(closed, "{signal}: it still listens");
        gate.let_through(1);
        assert_eq!(request.await.unwrap().status, 200, "{signal}");
        assert_eq!(running.left().await, Some(0), "{signal}");
        let lines = place.access_log();
        assert_eq!(lines.lines().count(), 1, "{signal}: {lines}");
    }
}

#[tokio::test]
async fn asked_twice_it_stops_at_once() {
    let a = Upstream::start("a").await.unwrap();
    let mut place = Place::new(&rest(1, &a.url()));
    let running = place.start().await;
    a.always(Fault::Hang);
    let request = tokio::spawn(try_see(client().get(running.url("/x"))));
    assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 1).await);
    running.signal("-TERM").await;
    running.says("draining").await;
    // The second signal may come before it is listened for again.
    let id = running.id();
    let left = tokio::spawn(running.left());
    while !left.is_finished() {
        send("-TERM", id).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left.await.unwrap(), Some(1));
    assert!(request.await.unwrap().is_err());
}
