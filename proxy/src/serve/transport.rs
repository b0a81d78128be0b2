//! How adapters' requests reach vendors: reqwest for HTTP, tungstenite for the few that talk over a WebSocket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::StatusCode;
use isobar_adapters::{Body, Evidence, Fault, Piece, Request, Response, Talk, Transport};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{
    client::{connect_fault, find},
    resolver::Resolver,
};

/// Largest answer that an adapter reads.
const LARGEST: usize = 64 * 1024 * 1024;
/// Pieces of a file that are read ahead of the connection.
const AHEAD: usize = 4;
/// Messages that a WebSocket may send.
const MESSAGES: usize = 100_000;

/// Sends adapters' requests.
#[derive(Clone)]
pub(crate) struct Wire {
    http: reqwest::Client,
    resolver: Resolver,
    tls: Arc<rustls::ClientConfig>,
    connect_timeout: Duration,
}

impl Wire {
    pub(crate) fn new(
        connect_timeout: Duration,
        resolver: Resolver,
        tls: &Arc<rustls::ClientConfig>,
    ) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((**tls).clone())
            .dns_resolver(Arc::new(Names(resolver.clone())))
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            // A redirect could carry a credential to another host.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .build()?;
        Ok(Self {
            http,
            resolver,
            tls: Arc::clone(tls),
            connect_timeout,
        })
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request, allowed: Duration) -> Result<Response, Evidence> {
        if allowed.is_zero() {
            return Err(Evidence::NotSent(Fault::ConnectTimeout));
        }
        let talk = request.talk.clone();
        let exchange = async {
            match talk {
                Talk::Http => self.http(request).await,
                Talk::Socket {
                    messages,
                    pace,
                    until,
                } => self.socket(request, messages, pace, until).await,
            }
        };
        tokio::time::timeout(allowed, exchange)
            .await
            .unwrap_or(Err(Evidence::Broken(Fault::Timeout)))
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        // Work that panics leaves no result, and its caller says so.
        let _ = tokio::task::spawn_blocking(work).await;
    }
}

impl Wire {
    async fn http(&self, request: Request) -> Result<Response, Evidence> {
        let length = request.body.length();
        let mut headers = request.headers;
        // Both are the client's to write; a second one would be sent beside it.
        headers.remove(http::header::CONTENT_LENGTH);
        let mut builder = self
            .http
            .request(request.method.clone(), request.uri.to_string())
            .headers(headers);
        builder = match request.body.0.as_slice() {
            [] if request.method == http::Method::GET || request.method == http::Method::DELETE => {
                builder
            }
            [] => builder.header(http::header::CONTENT_LENGTH, 0),
            [Piece::Bytes(bytes)] => builder.body(bytes.clone()),
            _ => builder
                .header(http::header::CONTENT_LENGTH, length)
                .body(streamed(request.body)),
        };
        let mut answer = builder.send().await.map_err(|error| evidence(&error))?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|_| Evidence::Broken(Fault::Truncated))?
        {
            if more.len() + piece.len() > LARGEST {
                return Err(Evidence::Broken(Fault::Malformed));
            }
            match &first {
                None => first = Some(piece),
                Some(start) => {
                    if more.is_empty() {
                        more.extend_from_slice(start);
                    }
                    more.extend_from_slice(&piece);
                }
            }
        }
        let body = if more.is_empty() {
            first.unwrap_or_default()
        } else {
            more.freeze()
        };
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    /// Sends the messages at their pace and gathers what comes back, as one JSON array.
    async fn socket(
        &self,
        request: Request,
        messages: Vec<Bytes>,
        pace: u64,
        until: (Vec<String>, serde_json::Value),
    ) -> Result<Response, Evidence> {
        let stream = self.connect(&request.uri).await?;
        let mut handshake = http::Request::builder().uri(request.uri.clone());
        if let Some(fresh) = handshake.headers_mut() {
            *fresh = request.headers;
            fresh.insert(
                http::header::CONNECTION,
                http::HeaderValue::from_static("Upgrade"),
            );
            fresh.insert(
                http::header::UPGRADE,
                http::HeaderValue::from_static("websocket"),
            );
            fresh.insert(
                "sec-websocket-version",
                http::HeaderValue::from_static("13"),
            );
            if let Ok(key) =
                http::HeaderValue::from_str(&tungstenite::handshake::client::generate_key())
            {
                fresh.insert("sec-websocket-key", key);
            }
        }
        let handshake = handshake
            .body(())
            .map_err(|_| Evidence::NotSent(Fault::Connect))?;
        let socket = match tokio_tungstenite::client_async(handshake, stream).await {
            Ok((socket, _)) => socket,
            Err(tungstenite::Error::Http(answer)) => {
                let (head, body) = answer.into_parts();
                return Ok(Response {
                    status: head.status,
                    headers: head.headers,
                    body: body.unwrap_or_default().into(),
                });
            }
            Err(_) => return Err(Evidence::Broken(Fault::Reset)),
        };
        let (mut sender, mut receiver) = socket.split();
        let sending = async {
            for message in messages {
                let text = String::from_utf8_lossy(&message).into_owned();
                if sender.send(Message::text(text)).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(pace)).await;
            }
            // The connection stays open until the answer is there.
            std::future::pending::<()>().await;
        };
        let receiving = async {
            let mut gathered = b"[".to_vec();
            let mut count = 0;
            while let Some(received) = receiver.next().await {
                let text = match received {
                    Ok(Message::Text(text)) => text,
                    Ok(Message::Close(_)) => break,
                    Ok(_) => continue,
                    Err(_) => return Err(Evidence::Broken(Fault::Truncated)),
                };
                count += 1;
                if count > MESSAGES || gathered.len() + text.len() > LARGEST {
                    return Err(Evidence::Broken(Fault::Malformed));
                }
                let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
                    return Err(Evidence::Broken(Fault::Malformed));
                };
                if gathered.len() > 1 {
                    gathered.push(b',');
                }
                gathered.extend_from_slice(text.as_bytes());
                if is_last(&value, &until) {
                    break;
                }
            }
            gathered.push(b']');
            if count == 0 {
                return Err(Evidence::Broken(Fault::Truncated));
            }
            Ok(Bytes::from(gathered))
        };
        let body = tokio::select! {
            gathered = receiving => gathered?,
            () = sending => return Err(Evidence::Broken(Fault::Reset)),
        };
        Ok(Response {
            status: StatusCode::OK,
            headers: http::HeaderMap::new(),
            body,
        })
    }

    async fn connect(&self, uri: &http::Uri) -> Result<Box<dyn Duplex>, Evidence> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let secure = matches!(uri.scheme_str(), Some("wss" | "https"));
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let addresses = self
            .resolver
            .lookup(host)
            .await
            .map_err(|_| Evidence::NotSent(Fault::Dns))?;
        let connecting = async {
            let mut last = Evidence::NotSent(Fault::Connect);
            for address in addresses {
                match TcpStream::connect(SocketAddr::new(address, port)).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        last = Evidence::NotSent(Fault::ConnectTimeout);
                    }
                    Err(_) => {}
                }
            }
            Err(last)
        };
        let stream = tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or(Err(Evidence::NotSent(Fault::ConnectTimeout)))?;
        if !secure {
            return Ok(Box::new(stream));
        }
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())
            .map_err(|_| Evidence::NotSent(Fault::Tls))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|_| Evidence::NotSent(Fault::Tls))?;
        Ok(Box::new(stream))
    }
}

/// A connection, encrypted or not.
trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for T {}

/// Whether a message is the one that ends the talk: the named value is there, or the vendor reports an error.
fn is_last(message: &serde_json::Value, until: &(Vec<String>, serde_json::Value)) -> bool {
    let found = until
        .0
        .iter()
        .try_fold(message, |value, name| value.get(name));
    found == Some(&until.1) || found.is_none()
}

/// A body with blobs in it: files are read by a thread that may block, a few pieces ahead of the connection.
fn streamed(body: Body) -> reqwest::Body {
    if body.in_memory() {
        return reqwest::Body::wrap_stream(stream::iter(body.pieces()));
    }
    let (send, receive) = tokio::sync::mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        for piece in body.pieces() {
            if send.blocking_send(piece).is_err() {
                break;
            }
        }
    });
    reqwest::Body::wrap_stream(stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|piece| (piece, receive))
    }))
}

fn evidence(error: &reqwest::Error) -> Evidence {
    if error.is_connect() {
        return Evidence::NotSent(connect_fault(error));
    }
    if error.is_builder() {
        return Evidence::NotSent(Fault::Connect);
    }
    match find::<hyper::Error>(error) {
        Some(cause) if cause.is_canceled() => Evidence::NotSent(Fault::Closed),
        Some(cause) if cause.is_parse() => Evidence::Broken(Fault::Malformed),
        _ => Evidence::Broken(Fault::Reset),
    }
}

/// Our resolver, as reqwest wants it.
struct Names(Resolver);

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            let addresses: reqwest::dns::Addrs = Box::new(
                addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, 0)),
            );
            Ok(addresses)
        })
    }
}
