//! `isobar serve --upgrade` under load: the sockets pass from process to process, and no request fails.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::{eventually, read_answer, see, status_of};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    binary::{PATIENCE, Place, client, send},
    commands::run,
};

/// Each process says who it is by a header.
pub(crate) fn rest(mark: &str, upstream: &str) -> String {
    format!(
        "upstreams: {{ a: \"{upstream}\" }}\n\
         routes:\n  - match: \"/*\"\n    anonymous: true\n    forward: {{ members: [a], response_headers: {{ set: {{ x-process: {mark} }} }} }}\n"
    )
}

/// Asks until told to stop; any failure ends the test.
struct Load {
    stop: Arc<AtomicBool>,
    /// Answers that each client has had.
    served: Vec<Arc<AtomicU64>>,
    clients: Vec<tokio::task::JoinHandle<BTreeSet<String>>>,
}

impl Load {
    /// Clients with kept connections, for methods that may be repeated and one that may not, clients with a connection for
    /// each request, and one that pauses.
    fn on(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let served: Vec<Arc<AtomicU64>> = std::iter::repeat_with(Arc::default).take(6).collect();
        let mut counts = served.iter().map(Arc::clone);
        let mut count = || counts.next().expect("a count for each client");
        let mut clients = Vec::new();
        for (method, pause) in [("GET", 0), ("POST", 0), ("POST", 0), ("POST", 700)] {
            let (stop, served) = (Arc::clone(&stop), count());
            clients.push(tokio::spawn(async move {
                let (client, mut seen) = (client(), BTreeSet::new());
                while !stop.load(SeqCst) {
                    let url = format!("http://{address}/x");
                    let request = client.request(method.parse().unwrap(), url).body("body");
                    let answer = see(request).await;
                    assert_eq!(
                        (answer.status, answer.whole),
                        (200, true),
                        "{}",
                        answer.text()
                    );
                    seen.insert(answer.header("x-process").to_owned());
                    served.fetch_add(1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                seen
            }));
        }
        for _ in 0..2 {
            let (stop, served) = (Arc::clone(&stop), count());
            clients.push(tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                while !stop.load(SeqCst) {
                    let mut stream = TcpStream::connect(address)
                        .await
                        .expect("a connection is refused");
                    stream
                        .write_all(b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
                        .await
                        .unwrap();
                    let answer = read_answer(&mut stream, PATIENCE).await;
                    assert_eq!(status_of(&answer), 200, "{answer:?}");
                    let line = answer
                        .lines()
                        .find_map(|line| line.strip_prefix("x-process: "));
                    seen.insert(line.unwrap_or_default().to_owned());
                    served.fetch_add(1, SeqCst);
                }
                seen
            }));
        }
        Self {
            stop,
            served,
            clients,
        }
    }

    /// Waits for so many more answers, and at least one for each client.
    async fn more(&self, count: u64) {
        let counts = || -> Vec<u64> { self.served.iter().map(|one| one.load(SeqCst)).collect() };
        let before = counts();
        let served = eventually(PATIENCE, async || {
            self.clients
                .iter()
                .any(tokio::task::JoinHandle::is_finished)
                || {
                    let now = counts();
                    let each = now.iter().zip(&before).all(|(now, before)| now > before);
                    each && now.iter().sum::<u64>() >= before.iter().sum::<u64>() + count
                }
        });
        assert!(served.await, "nothing is served");
    }

    /// Ends, and tells which processes each client saw.
    async fn end(self) -> Vec<BTreeSet<String>> {
        self.stop.store(true, SeqCst);
        let mut seen = Vec::new();
        for client in self.clients {
            seen.push(client.await.expect("a request failed"));
        }
        seen
    }
}

async fn mark_of(address: SocketAddr) -> String {
    let seen = see(client().get(format!("http://{address}/mark"))).await;
    seen.header("x-process").to_owned()
}

/// Waits until this process can be succeeded.
pub(crate) async fn offers(place: &Place) {
    let socket = place.path("state/hand-over.sock");
    assert!(
        eventually(PATIENCE, async || socket.exists()).await,
        "it never offers its sockets"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_sockets_pass_from_process_to_process() {
    let a = Upstream::start("a").await.unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut place = Place::new(&rest("first", &a.url()));
    let mut running = place.start().await;
    let (address, admin) = (running.address, running.admin);
    let load = Load::on(address);
    load.more(100).await;
    for next in ["second", "third"] {
        offers(&place).await;
        place.write(any, &rest(next, &a.url()));
        // The running one reloads, too, since its file changed; what tells them apart is who is asked.
        let newer = place.upgrade().await;
        assert_eq!((newer.address, newer.admin), (address, admin));
        running.says("another process serves now; draining").await;
        let older = std::mem::replace(&mut running, newer);
        let words = older.said_at();
        assert_eq!(
            older.left().await,
            Some(0),
            "{}",
            std::fs::read_to_string(&words).unwrap()
        );
        let words = std::fs::read_to_string(&words).unwrap();
        assert!(words.contains("nothing was cut off"), "{words}");
        load.more(100).await;
        assert_eq!(mark_of(address).await, next);
        assert_eq!(running.admin("GET", "/readyz").await.status, 200);
    }
    let seen = load.end().await;
    assert_eq!(seen.len(), 6);
    for client in seen {
        assert!(client.contains("third"), "{client:?}");
    }
    running.signal("-TERM").await;
    assert_eq!(running.left().await, Some(0));
    assert!(!place.path("state/hand-over.sock").exists());
    assert!(
        TcpStream::connect(address).await.is_err(),
        "somebody still listens"
    );
}

#[tokio::test]
async fn what_runs_in_the_older_process_ends_there() {
    let a = Upstream::start("a").await.unwrap();
    let gate = Gate::shut();
    let mut place = Place::new(&rest("first", &a.url()));
    let older = place.start().await;
    offers(&place).await;
    a.always(Fault::Held(gate.clone()));
    let request = tokio::spawn(see(client().post(older.url("/slow")).body("x")));
    assert!(a.wait_until(PATIENCE, |ledger| ledger.len() == 1).await);
    let newer = place.upgrade().await;
    older.says("draining").await;
    a.always(Fault::None);
    assert_eq!(see(client().get(newer.url("/quick"))).await.status, 200);
    gate.let_through(1);
    assert_eq!(request.await.unwrap().status, 200);
    assert_eq!(older.left().await, Some(0));
    drop(newer);
}

#[tokio::test]
async fn a_successor_that_cannot_start_changes_nothing() {
    let a = Upstream::start("a").await.unwrap();
    let mut place = Place::new(&rest("first", &a.url()));
    let running = place.start().await;
    offers(&place).await;
    let config = place.config();
    let arguments = ["serve", "--upgrade", "-c", config.to_str().unwrap()];
    // A port that is taken is found out after the sockets were asked for.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    place.write(taken.local_addr().unwrap(), &rest("second", &a.url()));
    let failed = run(&arguments).await;
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        failed.status.code() == Some(1) && told.contains("cannot listen on"),
        "{told}"
    );
    running.says("a successor did not take over").await;
    // One with mistakes does not get so far.
    place.break_it();
    assert_eq!(run(&arguments).await.status.code(), Some(1));
    assert_eq!(see(client().get(running.url("/x"))).await.status, 200);
    // And it can still be succeeded.
    place.write("127.0.0.1:0".parse().unwrap(), &rest("third", &a.url()));
    let newer = place.upgrade().await;
    assert_eq!(newer.address, running.address);
    assert_eq!(running.left().await, Some(0));
}

#[tokio::test]
async fn without_a_running_gateway_there_is_nothing_to_take_over() {
    let a = Upstream::start("a").await.unwrap();
    let place = Place::new(&rest("first", &a.url()));
    let config = place.config();
    let failed = run(&["serve", "--upgrade", "-c", config.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        told.contains("no running gateway offers its sockets"),
        "{told}"
    );
}

/// What the service manager is told next.
async fn told(manager: &tokio::net::UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let received = tokio::time::timeout(PATIENCE, manager.recv(&mut bytes)).await;
    let length = received.expect("nothing is told").unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test]
async fn a_signal_upgrades_and_the_service_manager_is_told_whom_to_watch() {
    let a = Upstream::start("a").await.unwrap();
    let mut place = Place::new(&rest("first", &a.url()));
    let socket = place.path("notify.sock");
    let manager = tokio::net::UnixDatagram::bind(&socket).unwrap();
    let path = socket.display().to_string();
    let older = place.start_with(&[("NOTIFY_SOCKET", &path)]).await;
    assert_eq!(
        told(&manager).await,
        format!("READY=1\nMAINPID={}\n", older.id())
    );
    offers(&place).await;

    let (address, id) = (older.address, older.id());
    older.signal("-USR2").await;
    let words = told(&manager).await;
    let newer = words
        .strip_prefix("READY=1\nMAINPID=")
        .and_then(|rest| rest.trim().parse::<u32>().ok());
    let newer = newer.unwrap_or_else(|| panic!("{words}"));
    assert_ne!(newer, id);
    older.says("another process serves now; draining").await;
    assert_eq!(older.left().await, Some(0));
    assert_eq!(mark_of(address).await, "first");

    // The newer one leaves for good, and says so.
    offers(&place).await;
    assert!(send("-TERM", newer).await);
    assert_eq!(told(&manager).await, "STOPPING=1\n");
    let gone = eventually(PATIENCE, async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(gone, "it still listens");
}
