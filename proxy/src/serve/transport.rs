//! How adapters' requests reach vendors: the client of the gateway for HTTP, tungstenite for the few that talk over a
//! WebSocket.

use std::{future::ready, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, future::BoxFuture};
use http::{
    HeaderValue, StatusCode, Uri, header,
    uri::{Authority, Scheme},
};
use http_body_util::BodyExt as _;
use isobar_adapters::{Body, Evidence, Fault, Piece, Request, Response, Talk, Transport, boxed};
use isobar_config::{ClientTls, Protocol};
use parking_lot::RwLock;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{
    answer::Gathered,
    body::{Pieces, Replay},
    client::{Client, Settings, body_evidence},
    resolver::Resolver,
    trust,
};

/// Largest answer that an adapter reads.
const LARGEST: usize = 64 * 1024 * 1024;
/// Pieces of a file that are read ahead of the connection.
const AHEAD: usize = 4;
/// Origins whose connections are kept; compositions may make more when they run.
const ORIGINS: usize = 256;
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Messages that a WebSocket may send.
const MESSAGES: usize = 100_000;

/// Sends adapters' requests. It follows no redirect: one could carry a credential to another host.
pub(crate) struct Wire {
    /// By scheme and authority. Few, so that comparing costs less than hashing.
    clients: RwLock<Vec<((Scheme, Authority), Client)>>,
    settings: Settings,
    resolver: Resolver,
    tls: Arc<rustls::ClientConfig>,
}

impl Wire {
    /// `own` is what is special about TLS to these vendors.
    pub(crate) fn new(
        connect_timeout: Duration,
        resolver: Resolver,
        tls: &Arc<rustls::ClientConfig>,
        own: Option<&ClientTls>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            clients: RwLock::default(),
            settings: Settings {
                connect_timeout,
                keep_alive: KEEP_ALIVE,
                protocol: Protocol::Http1,
                tls: own.cloned(),
            },
            resolver,
            // Looked at here so that what cannot work is told when a configuration is read.
            tls: trust::client(tls, own)?,
        })
    }
}

#[async_trait]
impl Transport for Wire {
    // As `async_trait` would have it, but made in its box.
    fn send<'w, 'f>(
        &'w self,
        request: Request,
        allowed: Duration,
    ) -> BoxFuture<'f, Result<Response, Evidence>>
    where
        'w: 'f,
        Self: 'f,
    {
        if allowed.is_zero() {
            return boxed(|| ready(Err(Evidence::NotSent(Fault::ConnectTimeout))));
        }
        match request.talk.clone() {
            Talk::Http => boxed(|| self.http(request, allowed)),
            Talk::Socket {
                messages,
                pace,
                until,
            } => boxed(|| async move {
                tokio::select! {
                    biased;
                    answer = self.socket(request, messages, pace, until) => answer,
                    () = tokio::time::sleep(allowed) => Err(Evidence::Broken(Fault::Timeout)),
                }
            }),
        }
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
    async fn http(&self, request: Request, allowed: Duration) -> Result<Response, Evidence> {
        let mut over = pin!(tokio::time::sleep(allowed));
        let (request, client) = self.ready(request)?;
        let answer = client.send(request, over.as_mut()).await?;
        let (head, mut coming) = answer.into_parts();
        let mut body = Gathered::default();
        loop {
            let frame = tokio::select! {
                biased;
                frame = coming.frame() => frame,
                () = &mut over => return Err(Evidence::Broken(Fault::Timeout)),
            };
            match frame {
                None => break,
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        if body.length() + piece.len() > LARGEST {
                            return Err(Evidence::Broken(Fault::Malformed));
                        }
                        body.push(piece);
                    }
                }
                Some(Err(error)) => return Err(body_evidence(&error)),
            }
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.whole(),
        })
    }

    /// The request as it goes on the wire, and the client for its origin.
    fn ready(&self, request: Request) -> Result<(http::Request<Replay>, Client), Evidence> {
        let unfit = || Evidence::NotSent(Fault::Connect);
        let parts = request.uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(unfit());
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(unfit());
        }
        let mut headers = request.headers;
        headers
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        let length = request.body.length();
        // The connection writes the length.
        let mut ready = http::Request::new(sending(request.body, length));
        *ready.method_mut() = request.method;
        *ready.headers_mut() = headers;
        *ready.uri_mut() = parts.path_and_query.map_or_else(Uri::default, Uri::from);
        let origin = (scheme, authority);
        let known = client_of(&self.clients.read(), &origin).cloned();
        let client = match known {
            Some(client) => client,
            None => self.connect_to(origin)?,
        };
        Ok((ready, client))
    }

    /// A client for an origin that was not called before, or not lately.
    fn connect_to(&self, origin: (Scheme, Authority)) -> Result<Client, Evidence> {
        let at = Uri::builder()
            .scheme(origin.0.clone())
            .authority(origin.1.clone())
            .path_and_query("/")
            .build()
            .map_err(|_| Evidence::NotSent(Fault::Connect))?;
        let mut clients = self.clients.write();
        if clients.len() >= ORIGINS {
            clients.retain(|(_, client)| client.has_idle());
        }
        if clients.len() >= ORIGINS {
            // What is under way keeps its own.
            clients.clear();
        }
        // Another may have been quicker.
        if let Some(client) = client_of(&clients, &origin) {
            return Ok(client.clone());
        }
        let client = Client::new(&self.settings, at, self.resolver.clone(), &self.tls)
            .map_err(|_| Evidence::NotSent(Fault::Tls))?;
        clients.push((origin, client.clone()));
        Ok(client)
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
            let addresses = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, port));
            for address in addresses.filter(|address| !self.resolver.is_own(*address)) {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        last = Evidence::NotSent(Fault::ConnectTimeout);
                    }
                    Err(_) => {}
                }
            }
            Err(last)
        };
        let stream = tokio::time::timeout(self.settings.connect_timeout, connecting)
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

fn client_of<'c>(
    clients: &'c [((Scheme, Authority), Client)],
    origin: &(Scheme, Authority),
) -> Option<&'c Client> {
    clients
        .iter()
        .find(|(known, _)| known.1 == origin.1 && known.0 == origin.0)
        .map(|(_, client)| client)
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

/// A body on its way: files are read by a thread that may block, a few pieces ahead of the connection.
fn sending(body: Body, length: u64) -> Replay {
    match body.0.as_slice() {
        [] => return Replay::Once(Bytes::new()),
        [Piece::Bytes(bytes)] => return Replay::Once(bytes.clone()),
        _ => {}
    }
    let pieces = if body.in_memory() {
        Pieces::Here(Box::new(body.pieces()))
    } else {
        let (send, receive) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            for piece in body.pieces() {
                if send.blocking_send(piece).is_err() {
                    break;
                }
            }
        });
        Pieces::Elsewhere(receive)
    };
    Replay::Pieces {
        pieces,
        left: length,
    }
}
