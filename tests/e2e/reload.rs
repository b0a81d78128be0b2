//! The plan changes while requests run.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use isobar::{Host, Origin, ReloadError};
use isobar_sandbox::{Fault, Upstream};
use isobar_tests::{Gateway, HEAD, see};

fn text(mark: usize, upstream: &str) -> String {
    // Every part that could be mixed up carries the same mark.
    format!(
        "{HEAD}upstreams: {{ a: \"{upstream}\" }}\n\
         routes:\n  - match: \"/*\"\n    anonymous: true\n    forward:\n      members: [a]\n      path: \"/plan{mark}/{{*}}\"\n      \
         request_headers: {{ set: {{ x-plan: plan{mark} }} }}\n      response_headers: {{ set: {{ x-answer: plan{mark} }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_restart_takes_up_is_told_until_it_is_put_back() {
    let first = text(0, "http://127.0.0.1:1");
    let gateway = Gateway::start_whole(&first).await;
    let swap = |text: &str| {
        let checked = isobar_tests::checked(text);
        gateway.host.swap(checked).unwrap().needs_restart
    };
    let state = format!("{first}state: elsewhere\n");
    assert_eq!(swap(&state), ["state"]);
    assert_eq!(
        swap(&format!("{state}admin: 127.0.0.1:2\n")),
        ["admin", "state"]
    );
    // Another change leaves it as it was.
    assert_eq!(swap(&state.replace("plan0", "plan1")), ["state"]);
    assert_eq!(
        swap(&state.replace("127.0.0.1:0", "127.0.0.2:0")),
        ["listen", "state"]
    );
    assert_eq!(swap(&first.replace("\"off\"", "stdout")), ["log"]);
    assert!(swap(&first.replace("plan0", "plan1")).is_empty());
}

async fn from_file(content: &str) -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("isobar.yaml");
    fs::write(&file, content).unwrap();
    let gateway = started(file).await;
    (folder, gateway)
}

async fn started(path: std::path::PathBuf) -> Gateway {
    let loaded = isobar_config::load(&path).unwrap();
    let origin = Origin {
        path,
        files: loaded.files,
    };
    Gateway::around(Host::start(loaded.config, Some(origin)).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_under_load_drop_and_mix_nothing() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Arc::new(Gateway::start_whole(&text(0, &a.url())).await);
    let (stop, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (gateway, stop, served) =
                (Arc::clone(&gateway), Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                let method = if number % 2 == 0 { "GET" } else { "POST" };
                while !stop.load(SeqCst) {
                    let seen = see(gateway.request(method, "/x").body(if number % 2 == 0 {
                        ""
                    } else {
                        "body"
                    }))
                    .await;
                    assert_eq!(seen.status, 200, "{}", seen.text());
                    let told = seen.json();
                    let plan = seen.header("x-answer");
                    assert_eq!(told["headers"]["x-plan"], plan, "a mixture of two plans");
                    assert_eq!(told["path"], format!("/{plan}/x"), "a mixture of two plans");
                    served.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for mark in 1..=200 {
        let before = served.load(SeqCst);
        gateway
            .host
            .swap(isobar_tests::checked(&text(mark, &a.url())))
            .unwrap();
        let patience = Instant::now();
        while served.load(SeqCst) == before && patience.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(served.load(SeqCst) > 200);
    let seen = gateway.get("/x").await;
    assert_eq!(seen.header("x-answer"), "plan200");
}

#[tokio::test]
async fn a_request_ends_with_the_plan_it_began_with() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start_whole(&text(1, &a.url())).await;
    a.script([Fault::Delay(Duration::from_millis(400))]);
    let slow = gateway.get("/x");
    let swap = async {
        assert!(
            a.wait_until(Duration::from_secs(5), |ledger| ledger.len() == 1)
                .await
        );
        gateway
            .host
            .swap(isobar_tests::checked(&text(2, &a.url())))
            .unwrap();
        gateway.get("/x").await
    };
    let (slow, quick) = tokio::join!(slow, swap);
    assert_eq!(quick.header("x-answer"), "plan2");
    assert_eq!(slow.header("x-answer"), "plan1");
    assert!(slow.took > quick.took);
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_a_broken_one_keeps_the_plan() {
    let a = Upstream::start("a").await.unwrap();
    let (folder, gateway) = from_file(&text(1, &a.url())).await;
    let file = folder.path().join("isobar.yaml");
    assert_eq!(gateway.get("/x").await.header("x-answer"), "plan1");

    fs::write(&file, "isobar: 1\nlisten: nonsense\nroutes: [").unwrap();
    let error = gateway.host.reload().await.unwrap_err();
    assert!(
        matches!(&error, ReloadError::Mistakes(report) if report.has_errors()),
        "{error}"
    );
    for _ in 0..5 {
        assert_eq!(gateway.get("/x").await.header("x-answer"), "plan1");
    }

    // As editors do it: written beside, then moved over.
    fs::write(folder.path().join("new"), text(2, &a.url())).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    let began = Instant::now();
    while gateway.get("/x").await.header("x-answer") != "plan2" {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the change was not noticed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_secret_that_is_rotated_is_taken_up_and_a_missing_one_keeps_the_plan() {
    let a = Upstream::start("a").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        fs::write(folder.path().join("new"), content).unwrap();
        fs::rename(folder.path().join("new"), folder.path().join(name)).unwrap();
    };
    let config = |key: &str| {
        let url = a.url();
        format!(
            "{HEAD}upstreams: {{ a: {{ url: \"{url}\", auth: {{ bearer: \"file({key})\" }} }} }}\n\
             routes: [ {{ match: \"/*\", forward: [a], anonymous: true }} ]\n"
        )
    };
    write("one.key", "first-secret\n");
    write("isobar.yaml", &config("one.key"));
    let gateway = started(folder.path().join("isobar.yaml")).await;
    let used = async || gateway.get("/x").await.json()["headers"]["authorization"].to_string();
    let becomes = async |secret: &str| {
        let expected = format!("\"Bearer {secret}\"");
        let there = async || used().await == expected;
        assert!(
            isobar_tests::eventually(Duration::from_secs(10), there).await,
            "{secret}"
        );
    };
    becomes("first-secret").await;
    write("one.key", "second-secret\n");
    becomes("second-secret").await;
    // Files that the new configuration names are looked at from then on, and those that it does not are not.
    write("two.key", "third-secret\n");
    write("isobar.yaml", &config("two.key"));
    becomes("third-secret").await;
    write("two.key", "fourth-secret\n");
    becomes("fourth-secret").await;
    let generation = gateway.host.reload().await.unwrap().generation;
    write("one.key", "of no use\n");
    fs::write(folder.path().join("two.key"), "fourth-secret\n").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Without its secret there is no plan, and the old one stays; it is taken up when it comes back.
    fs::remove_file(folder.path().join("two.key")).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    becomes("fourth-secret").await;
    let missing = gateway.host.reload().await.unwrap_err().to_string();
    assert!(missing.contains("two.key"), "{missing}");
    write("two.key", "fifth-secret\n");
    becomes("fifth-secret").await;
    // One for the file that came back and one for this call: nothing else was a reason to reload.
    let last = gateway.host.reload().await.unwrap().generation;
    assert_eq!(last, generation + 2);
}

#[tokio::test]
async fn what_was_learned_survives_a_reload() {
    let (a, b) = (
        Upstream::start("a").await.unwrap(),
        Upstream::start("b").await.unwrap(),
    );
    let text = |note: &str| {
        format!(
            "{HEAD}upstreams: {{ a: {{ url: \"{}\", breaker: {{ failures: 1, open_for: 1h }} }}, b: \"{}\" }}\n\
             routes:\n  - {{ match: /limited, forward: [b], anonymous: true, limits: {{ rate: 1/h }} }}\n  \
             - {{ match: \"/*\", forward: {{ members: [a, b], response_headers: {{ set: {{ x-note: {note} }} }} }}, anonymous: true }}\n",
            a.url(),
            b.url()
        )
    };
    let gateway = Gateway::start_whole(&text("one")).await;
    a.script([Fault::status(500)]);
    assert_eq!(gateway.get("/").await.attempts(), "2");
    assert_eq!(gateway.get("/limited").await.status, 200);
    gateway
        .host
        .swap(isobar_tests::checked(&text("two")))
        .unwrap();
    let seen = gateway.get("/").await;
    assert_eq!(
        (seen.header("x-note"), seen.vendor(), seen.attempts()),
        ("two", "b", "1"),
        "the breaker is still open"
    );
    assert_eq!(
        gateway.get("/limited").await.status,
        429,
        "the limiter still counts"
    );
}

#[tokio::test]
async fn draining_waits_for_what_runs_and_leaves_when_idle() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start_whole(&text(1, &a.url())).await;
    a.script([Fault::Delay(Duration::from_millis(500))]);
    let address = gateway.address();
    let running = tokio::spawn(see(gateway.request("GET", "/x")));
    assert!(
        a.wait_until(Duration::from_secs(5), |ledger| ledger.len() == 1)
            .await
    );
    let began = Instant::now();
    let drained = gateway.host.drain(Some(Duration::from_secs(20))).await;
    assert_eq!(drained.cut, 0);
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(300) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!(running.await.unwrap().status, 200);
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "nothing listens any more"
    );
}

#[tokio::test]
async fn draining_has_an_end() {
    let a = Upstream::start("a").await.unwrap();
    let gateway = Gateway::start_whole(&text(1, &a.url())).await;
    a.script([Fault::Hang]);
    let running = tokio::spawn(isobar_tests::try_see(gateway.request("GET", "/x")));
    assert!(
        a.wait_until(Duration::from_secs(5), |ledger| ledger.len() == 1)
            .await
    );
    let drained = gateway.host.drain(Some(Duration::from_millis(300))).await;
    assert_eq!(drained.cut, 1);
    running.abort();
}
