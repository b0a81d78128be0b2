//! What end-to-end tests share: a whole gateway on port 0, and clients that say exactly what they are told to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test fails by panicking, and may be slow"
)]

pub mod redis;
pub mod tls;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use isobar::Host;
use isobar_config::{Config, Nothing, Source};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The lines before `upstreams`, for tests that need no others.
pub const HEAD: &str =
    "isobar: 1\nlisten: [ { http: \"127.0.0.1:0\" } ]\nlog: { access: \"off\" }\n";

/// A gateway that runs inside the test.
pub struct Gateway {
    /// The running host.
    pub host: Host,
    client: reqwest::Client,
}

/// What a client saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, or as much as came.
    pub body: Bytes,
    /// Whether the body came to its end.
    pub whole: bool,
    /// Time to the end.
    pub took: Duration,
}

impl Seen {
    /// First value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Account that answered.
    pub fn vendor(&self) -> &str {
        self.header("isobar-vendor")
    }

    /// Attempts that were made.
    pub fn attempts(&self) -> &str {
        self.header("isobar-attempts")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Last part of a problem document's type.
    pub fn problem(&self) -> String {
        let document = self.json();
        let kind = document.get("type").and_then(serde_json::Value::as_str);
        let name = kind.and_then(|kind| kind.strip_prefix("urn:isobar:problem:"));
        name.unwrap_or_default().to_owned()
    }
}

/// Checks a configuration as a file of that text would be; mistakes are a panic that shows them.
///
/// # Panics
/// When the text has mistakes.
#[expect(clippy::panic, reason = "a test's own configuration is wrong")]
pub fn checked(text: &str) -> Config {
    let source = Source {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    };
    let (config, report) = isobar_config::check(&[source], &Nothing);
    config.unwrap_or_else(|| panic!("{}", report.text(false)))
}

impl Gateway {
    /// Starts with [`HEAD`] and `rest`.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start(rest: &str) -> Self {
        Self::start_whole(&format!("{HEAD}{rest}")).await
    }

    /// Starts with exactly this configuration.
    ///
    /// # Panics
    /// When it cannot start.
    #[expect(
        clippy::expect_used,
        reason = "a gateway that does not start fails the test"
    )]
    pub async fn start_whole(text: &str) -> Self {
        let host = Box::pin(Host::start(checked(text), None))
            .await
            .expect("the gateway starts");
        Self::around(host)
    }

    /// Wraps a host that was started otherwise.
    ///
    /// # Panics
    /// When no client can be built.
    #[expect(clippy::expect_used, reason = "a client without TLS always builds")]
    pub fn around(host: Host) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        Self {
            host,
            client: client.build().expect("a client"),
        }
    }

    /// The first listener.
    ///
    /// # Panics
    /// Never: a configuration has a listener.
    #[expect(clippy::indexing_slicing, reason = "a configuration has a listener")]
    pub fn address(&self) -> SocketAddr {
        self.host.addresses()[0]
    }

    /// `http://ADDRESS` and a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A request to be completed with [`see`].
    ///
    /// # Panics
    /// When the method is none.
    #[expect(clippy::expect_used, reason = "a test's own method is wrong")]
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse::<reqwest::Method>().expect("a method");
        self.client.request(method, self.url(path))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Seen {
        see(self.request("GET", path)).await
    }

    /// Sends these bytes on a connection of their own and reads until the gateway closes it or `patience` is over.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>, patience: Duration) -> String {
        raw(self.address(), bytes, patience).await
    }
}

/// Sends a request and reads the answer to its end, or to where it breaks.
///
/// # Panics
/// When there is no answer at all.
#[expect(clippy::expect_used, reason = "no answer fails the test")]
pub async fn see(request: reqwest::RequestBuilder) -> Seen {
    try_see(request).await.expect("an answer")
}

/// Like [`see`], for requests that may remain without an answer.
pub async fn try_see(request: reqwest::RequestBuilder) -> reqwest::Result<Seen> {
    let began = Instant::now();
    let mut answer = request.send().await?;
    let headers = answer.headers().iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    let mut seen = Seen {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body: Bytes::new(),
        whole: true,
        took: Duration::ZERO,
    };
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break,
            Err(_) => {
                seen.whole = false;
                break;
            }
        }
    }
    seen.body = body.into();
    seen.took = began.elapsed();
    Ok(seen)
}

/// Sends bytes to an address and reads until it closes the connection or `patience` is over.
///
/// # Panics
/// When no connection can be made.
#[expect(clippy::expect_used, reason = "no connection fails the test")]
pub async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>, patience: Duration) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A refusal may arrive, and the connection be closed, before all is written.
    let _ = stream.write_all(bytes.as_ref()).await;
    read(&mut stream, patience).await
}

/// Reads until the peer closes or `patience` is over.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), patience: Duration) -> String {
    read_until(stream, patience, |_| false).await
}

/// Reads one answer: to the end that its `Content-Length` gives, or of its head where it has none.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin), patience: Duration) -> String {
    read_until(stream, patience, |text| {
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let mut lengths = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        lengths
            .next_back()
            .is_none_or(|length| body.len() >= length)
    })
    .await
}

/// Reads until what came `is_enough`, the peer closes, or `patience` is over.
pub async fn read_until(
    stream: &mut (impl AsyncRead + Unpin),
    patience: Duration,
    is_enough: impl Fn(&str) -> bool,
) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(patience, async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            bytes.extend_from_slice(piece.get(..length).unwrap_or_default());
            if is_enough(&String::from_utf8_lossy(&bytes)) {
                break;
            }
        }
    })
    .await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Tries until `holds` does, at most for `patience`; whether it did.
pub async fn eventually(patience: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if holds().await {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The status of an answer as raw text; 0 when there is none.
pub fn status_of(text: &str) -> u16 {
    let word = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}
