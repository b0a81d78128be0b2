//! Killed and started again while clients keep asking.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use isobar_sandbox::Upstream;
use isobar_tests::{eventually, see, try_see};

use super::binary::{PATIENCE, Place, client};

/// Larger than the memory for bodies, so that it is spooled.
const LARGE: usize = 300_000;

fn rest(upstream: &str) -> String {
    format!(
        "upstreams: {{ a: \"{upstream}\" }}\n\
         routes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n\
         limits: {{ body_memory: 64KiB }}\n"
    )
}

/// Counts of what clients saw.
#[derive(Default)]
struct Tally {
    served: AtomicU64,
    lost: AtomicU64,
}

/// Asks until told to stop. An answer is whole and right, or the client can tell that there was none.
async fn ask(url: String, number: usize, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    let client = client();
    for count in 0_u64.. {
        if stop.load(SeqCst) {
            return;
        }
        let id = format!("{number}-{count}");
        let body = if number.is_multiple_of(2) {
            vec![b'x'; LARGE]
        } else {
            id.clone().into_bytes()
        };
        let length = body.len() as u64;
        let request = client.post(format!("{url}{id}")).body(body);
        match try_see(request).await {
            Ok(seen) if seen.whole => {
                assert_eq!(seen.status, 200, "{id}: {}", seen.text());
                let told = seen.json();
                assert_eq!(told["path"], format!("/{id}"), "another request's answer");
                assert_eq!(
                    told["body_length"], length,
                    "{id}: a part of the body is missing"
                );
                tally.served.fetch_add(1, SeqCst);
            }
            Ok(_) | Err(_) => {
                tally.lost.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_answers_nothing_wrongly_leaves_nothing_behind_and_serves_again() {
    let a = Upstream::start("a").await.unwrap();
    let rest = rest(&a.url());
    let mut place = Place::new(&rest);
    let mut running = place.start().await;
    place.write(running.address, &rest);

    let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            tokio::spawn(ask(
                running.url("/"),
                number,
                Arc::clone(&stop),
                Arc::clone(&tally),
            ))
        })
        .collect();
    for kill in 1..=3 {
        let before = tally.served.load(SeqCst);
        let served = eventually(PATIENCE, async || tally.served.load(SeqCst) >= before + 40).await;
        assert!(served, "kill {kill}: nothing is served before it");
        running.kill().await;
        assert_eq!(
            place.files("state/spool"),
            [] as [PathBuf; 0],
            "kill {kill}: spool files are left"
        );
        assert_eq!(
            place.files("tmp"),
            [] as [PathBuf; 0],
            "kill {kill}: temporary files are left"
        );
        let lost = tally.lost.load(SeqCst);
        let noticed = eventually(PATIENCE, async || tally.lost.load(SeqCst) > lost).await;
        assert!(noticed, "kill {kill}: nobody asked while it was down");
        running = place.start().await;
    }
    // Service is back: for everybody, and without exception.
    let before = (tally.served.load(SeqCst), tally.lost.load(SeqCst));
    let served = eventually(PATIENCE, async || {
        tally.served.load(SeqCst) >= before.0 + 40
    })
    .await;
    assert!(served, "nothing is served after the last restart");
    let settled = tally.lost.load(SeqCst);
    for number in 0..20 {
        let seen = see(client()
            .post(running.url(&format!("/after-{number}")))
            .body(vec![b'y'; LARGE]))
        .await;
        assert_eq!(
            (seen.status, seen.json()["body_length"].as_u64()),
            (200, Some(LARGE as u64))
        );
    }
    assert_eq!(
        tally.lost.load(SeqCst),
        settled,
        "requests are lost while it runs"
    );
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(place.files("state/spool"), [] as [PathBuf; 0]);

    let mut executed: HashMap<String, usize> = HashMap::new();
    for entry in a.ledger().into_iter().filter(|entry| entry.executed) {
        *executed.entry(entry.target).or_default() += 1;
    }
    let twice: Vec<_> = executed.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "carried out twice: {twice:?}");
}
