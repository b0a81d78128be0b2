//! `isobar serve --upgrade` for clients of HTTP/2: they are told (GOAWAY), what they began ends, and nothing is lost or done
//! twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, Response};
use isobar_sandbox::{Fault, Gate, Upstream};
use isobar_tests::eventually;
use tokio::{net::TcpStream, task::JoinHandle};

use super::{
    binary::{PATIENCE, Place, Running},
    upgrade::{offers, rest},
};

/// Requests that each client has running at once.
const AT_ONCE: usize = 8;

/// How often each request was answered, and how often it was refused unprocessed, by its number.
type Counts = BTreeMap<u64, (u32, u32)>;

/// Whether a client was told that the connection takes no more requests, and why: the gateway leaves.
fn is_goodbye(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.expect("a connection is refused");
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // What matters of its end is seen by the requests.
        let _ = connection.await;
    });
    sender
}

fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method);
    let uri = format!("http://api.example.com{path}");
    request.uri(uri).body(()).unwrap()
}

async fn head(answer: ResponseFuture) -> Result<Response<RecvStream>, h2::Error> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.expect("a request remains without an answer")
}

/// Everything of a body that is left.
async fn body(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// Clients that post without a pause, each with several requests on one connection.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
    address: SocketAddr,
    counts: Counts,
    seen: BTreeSet<String>,
    connections: u32,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        Self {
            stop: Arc::default(),
            served: Arc::default(),
            numbers: Arc::default(),
            address,
            counts: Counts::new(),
            seen: BTreeSet::new(),
            connections: 0,
        }
    }

    /// Another client of the same load.
    fn beside(&self) -> Self {
        Self {
            stop: Arc::clone(&self.stop),
            served: Arc::clone(&self.served),
            numbers: Arc::clone(&self.numbers),
            ..Self::on(self.address)
        }
    }

    /// Posts until told to stop, over as many connections as it takes; any failure ends the test.
    async fn run(mut self) -> Self {
        while !self.stop.load(SeqCst) {
            self.connections += 1;
            let sender = connect(self.address).await;
            let workers: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    let (stop, served) = (Arc::clone(&self.stop), Arc::clone(&self.served));
                    let numbers = Arc::clone(&self.numbers);
                    tokio::spawn(post(sender.clone(), stop, served, numbers))
                })
                .collect();
            drop(sender);
            for worker in workers {
                let (counts, seen) = worker.await.expect("a request failed");
                self.seen.extend(seen);
                for (number, (answered, refused)) in counts {
                    let count = self.counts.entry(number).or_default();
                    *count = (count.0 + answered, count.1 + refused);
                }
            }
        }
        self
    }
}

/// Posts on one connection until its end is announced.
async fn post(
    mut sender: SendRequest<Bytes>,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
) -> (Counts, BTreeSet<String>) {
    let (mut counts, mut seen) = (Counts::new(), BTreeSet::new());
    while !stop.load(SeqCst) {
        sender = match sender.ready().await {
            Ok(sender) => sender,
            Err(error) if is_goodbye(&error) => break,
            Err(error) => panic!("a connection ends without a word: {error}"),
        };
        let number = numbers.fetch_add(1, SeqCst);
        let sent = sender.send_request(request("POST", &format!("/n/{number}")), false);
        let (answer, mut sending) = match sent {
            Ok(sent) => sent,
            Err(error) if is_goodbye(&error) => break,
            Err(error) => panic!("{error}"),
        };
        // The connection may have ended between the two; the answer tells.
        let _ = sending.send_data(Bytes::from_static(b"body"), true);
        let ended = async {
            let (head, mut whole) = head(answer).await?.into_parts();
            body(&mut whole).await.map(|_| head)
        };
        match ended.await {
            Ok(head) => {
                assert_eq!(head.status, 200, "request {number}");
                let mark = head.headers.get("x-process").unwrap();
                seen.insert(mark.to_str().unwrap().to_owned());
                counts.entry(number).or_default().0 += 1;
                served.fetch_add(1, SeqCst);
            }
            // The last stream that is served is named in the GOAWAY: this one was not looked at.
            Err(error) if is_goodbye(&error) => {
                counts.entry(number).or_default().1 += 1;
                break;
            }
            Err(error) => panic!("request {number}: {error}"),
        }
    }
    (counts, seen)
}

async fn more(load: &Load, clients: &[JoinHandle<Load>], count: u64) {
    let before = load.served.load(SeqCst);
    let served = eventually(PATIENCE, async || {
        clients.iter().any(JoinHandle::is_finished) || load.served.load(SeqCst) >= before + count
    });
    assert!(served.await, "nothing is served");
}

/// Waits for an older process to leave, in order.
async fn leaves(older: Running) {
    let words = older.said_at();
    let code = older.left().await;
    let words = std::fs::read_to_string(words).unwrap();
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("nothing was cut off"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_is_lost_or_served_twice_while_the_sockets_pass_on() {
    let a = Upstream::start("a").await.unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut place = Place::new(&rest("first", &a.url()));
    let mut running = place.start().await;
    let load = Load::on(running.address);
    let clients: Vec<_> = (0..3).map(|_| tokio::spawn(load.beside().run())).collect();
    more(&load, &clients, 100).await;
    for next in ["second", "third"] {
        offers(&place).await;
        place.write(any, &rest(next, &a.url()));
        let newer = place.upgrade().await;
        leaves(std::mem::replace(&mut running, newer)).await;
        more(&load, &clients, 100).await;
    }
    load.stop.store(true, SeqCst);
    let mut all = Counts::new();
    for client in clients {
        let client = client.await.expect("a request failed");
        assert!(client.connections >= 3, "{}", client.connections);
        assert!(client.seen.contains("third"), "{:?}", client.seen);
        all.extend(client.counts);
    }
    let mut executed: BTreeMap<String, u32> = BTreeMap::new();
    for entry in a.ledger() {
        *executed.entry(entry.target).or_default() += 1;
    }
    for (number, (answered, refused)) in &all {
        let done = executed.get(&format!("/n/{number}")).copied();
        let done = done.unwrap_or_default();
        assert_eq!((done, answered + refused), (*answered, 1), "{number}");
    }
}

#[tokio::test]
async fn event_streams_that_are_open_end_where_they_began() {
    let a = Upstream::start("a").await.unwrap();
    let gate = Gate::shut();
    a.always(Fault::Held(gate.clone()));
    let mut place = Place::new(&rest("first", &a.url()));
    let older = place.start().await;
    let sender = connect(older.address).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut sender = sender.clone().ready().await.unwrap();
        let (answer, _) = sender
            .send_request(request("GET", "/sse/5/0"), true)
            .unwrap();
        let answer = head(answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-process"], "first");
        streams.push(answer.into_body());
    }
    let event = async |body: &mut RecvStream| {
        let piece = tokio::time::timeout(PATIENCE, body.data()).await;
        let piece = piece.expect("an event is held back").unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        piece
    };
    gate.let_through(2);
    for body in &mut streams {
        assert_eq!(&event(body).await[..], b"data: {\"event\":true}\n\n");
    }
    offers(&place).await;
    place.write("127.0.0.1:0".parse().unwrap(), &rest("second", &a.url()));
    let newer = place.upgrade().await;
    older.says("another process serves now; draining").await;
    // The client is told, and its next request goes to the new process.
    let told = eventually(PATIENCE, async || match sender.clone().ready().await {
        Ok(_) => false,
        Err(error) => {
            assert!(is_goodbye(&error), "{error}");
            true
        }
    });
    assert!(told.await, "the client is not told");
    let mut fresh = connect(newer.address).await.ready().await.unwrap();
    a.always(Fault::None);
    let (answer, _) = fresh.send_request(request("GET", "/x"), true).unwrap();
    let answer = head(answer).await.unwrap();
    assert_eq!(answer.headers()["x-process"], "second");
    // Longer than connections without a stream are kept.
    tokio::time::sleep(Duration::from_secs(7)).await;
    gate.let_through(8);
    for stream in &mut streams {
        let left = tokio::time::timeout(PATIENCE, body(stream)).await;
        let left = left.expect("the rest is held back").unwrap();
        assert_eq!(left, b"data: {\"event\":true}\n\n".repeat(4));
    }
    leaves(older).await;
}
