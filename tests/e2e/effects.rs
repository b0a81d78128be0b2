//! A shop whose holds and payments are effects: it records what it is told and breaks where a test wants it to.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

#[derive(Default)]
struct State {
    log: Vec<String>,
    standing: HashSet<String>,
    broken: HashSet<String>,
    slow: HashMap<String, Duration>,
    number: u32,
}

/// The shop.
pub(crate) struct Shop {
    address: SocketAddr,
    state: Arc<std::sync::Mutex<State>>,
}

impl Shop {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shop = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let state = Arc::clone(&shop.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        shop
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// `METHOD /path` of every request.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    pub(crate) fn count(&self, start: &str) -> usize {
        self.log()
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }

    /// Holds and payments that stand.
    pub(crate) fn standing(&self) -> usize {
        self.state.lock().unwrap().standing.len()
    }

    /// Requests whose line has this in it are answered with 500.
    pub(crate) fn breaks(&self, what: &str) {
        self.state.lock().unwrap().broken.insert(what.to_owned());
    }

    pub(crate) fn mends(&self, what: &str) {
        self.state.lock().unwrap().broken.remove(what);
    }

    pub(crate) fn slow(&self, what: &str, time: Duration) {
        self.state
            .lock()
            .unwrap()
            .slow
            .insert(what.to_owned(), time);
    }
}

async fn serve(mut stream: TcpStream, state: Arc<std::sync::Mutex<State>>) -> Option<()> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            read.read_line(&mut header).await.ok()?;
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if header == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        read.read_exact(&mut body).await.ok()?;
        let what = line.rsplit_once(' ')?.0.to_owned();
        let (status, answer, wait) = {
            let mut state = state.lock().unwrap();
            state.log.push(what.clone());
            let wait = state.slow.iter().find(|(part, _)| what.contains(*part));
            let wait = wait.map(|(_, wait)| *wait).unwrap_or_default();
            if state.broken.iter().any(|part| what.contains(part)) {
                ("500 Broken", "{}".to_owned(), wait)
            } else {
                let (method, path) = what.split_once(' ')?;
                let mut answer = "{}".to_owned();
                match (method, path) {
                    ("POST", "/holds") => {
                        state.number += 1;
                        let id = format!("h{}", state.number);
                        answer = format!("{{\"id\":\"{id}\"}}");
                        state.standing.insert(format!("/holds/{id}"));
                    }
                    ("PUT", path) => drop(state.standing.insert(path.to_owned())),
                    ("DELETE", path) => drop(state.standing.remove(path)),
                    _ => {}
                }
                ("200 OK", answer, wait)
            }
        };
        tokio::time::sleep(wait).await;
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        write.write_all(head.as_bytes()).await.ok()?;
        write.write_all(answer.as_bytes()).await.ok()?;
    }
}
