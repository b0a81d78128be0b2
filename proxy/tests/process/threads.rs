//! Several threads serve, each with a runtime of its own.

use std::{collections::HashSet, fs, time::Duration};

use isobar_sandbox::Upstream;
use isobar_tests::{
    read_answer, see, status_of,
    tls::{Authority, Wrapped},
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::binary::{PATIENCE, Place, client};

const THREADS: usize = 3;

/// How often each thread that serves has waited, by its name.
fn waits(process: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let mut found: Vec<(String, u64)> = tasks
        .filter_map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).ok()?;
            let figure = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.map(|figure| figure.trim().to_owned())
            };
            let name = figure("Name:")?;
            let is_one = name.starts_with("serve-");
            is_one.then(|| (name, figure("voluntary_ctxt_switches:").unwrap()))
        })
        .map(|(name, waits)| (name, waits.parse().unwrap()))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn clients_are_shared_among_threads_which_share_connections_to_vendors() {
    let (authority, plain, secure) = (
        Authority::new(),
        Upstream::start("plain").await.unwrap(),
        Upstream::start("secure").await.unwrap(),
    );
    let server = authority.issue(&["127.0.0.1"]).server(None, &["http/1.1"]);
    let wrapped = Wrapped::start(secure.address(), server).await.unwrap();
    let mut place = Place::new(&format!(
        "upstreams:\n  plain: \"{}\"\n  secure: {{ url: \"https://127.0.0.1:{}\", tls: {{ ca: file(ca.pem) }} }}\n\
         routes:\n  - {{ match: /plain, forward: [plain], anonymous: true }}\n  \
         - {{ match: /secure, forward: [secure], anonymous: true }}\n",
        plain.url(),
        wrapped.port()
    ));
    fs::write(place.path("ca.pem"), authority.pem()).unwrap();
    let running = place.start_on(THREADS).await;
    let mut clients = Vec::new();
    for _ in 0..2 * THREADS {
        clients.push(TcpStream::connect(running.address).await.unwrap());
    }
    let before = waits(running.id());
    assert_eq!(before.len(), THREADS, "{before:?}");
    for path in ["/plain", "/secure", "/plain", "/secure"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
        for client in &mut clients {
            client.write_all(request.as_bytes()).await.unwrap();
            let seen = read_answer(client, PATIENCE).await;
            assert_eq!(status_of(&seen), 200, "{path}: {seen}");
        }
    }
    // Each has had two clients, and has waited for every request of theirs.
    let after = waits(running.id());
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        assert!(after - before >= 8, "{name}: {before} and {after}");
    }
    // One request at a time needs one connection, whichever thread it is on.
    for vendor in [&plain, &secure] {
        let ledger = vendor.ledger();
        let used: HashSet<usize> = ledger.iter().map(|entry| entry.connection).collect();
        assert_eq!((ledger.len(), used.len()), (4 * THREADS, 1));
    }
}

#[tokio::test]
async fn when_no_file_may_be_opened_clients_wait_until_one_may() {
    let mut place =
        Place::new("routes: [ { match: \"/*\", respond: { body: ok }, anonymous: true } ]\n");
    let running = place.start().await;
    let process = running.id();
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let most = Some(u64::try_from(open).unwrap() + 5);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    let process = Pid::from_raw(i32::try_from(process).unwrap());
    prlimit(process, Resource::Nofile, limit).unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(TcpStream::connect(running.address).await.unwrap());
    }
    let words = "no connection can be accepted";
    running.says(words).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Told once, however often it is tried again.
    assert_eq!(running.said().matches(words).count(), 1);
    drop(clients);
    let seen = see(client().get(running.url("/"))).await;
    assert_eq!((seen.status, seen.text()), (200, "ok".to_owned()));
}
