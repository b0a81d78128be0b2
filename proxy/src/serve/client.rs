//! The HTTP client of the exchange path, one for each account, and what its errors prove.

use std::{
    error::Error as StdError,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client as Pooled,
        connect::{HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use isobar_adapters::{Evidence, Fault};

use super::{
    body::Replay,
    resolver::{ResolveError, Resolver},
};

/// Idle connections kept for each account.
const IDLE_CONNECTIONS: usize = 256;
/// Headers that an answer may have.
const ANSWER_HEADERS: usize = 256;

/// Interim answers (1xx) that a vendor may send before the final one.
pub(crate) const INTERIM: u32 = 16;

/// Keeps connections to one account.
#[derive(Clone)]
pub(crate) struct Client {
    pooled: Pooled<HttpsConnector<HttpConnector<Resolver>>, Replay>,
}

/// What a client needs to know; clients with equal settings can stand for each other across reloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: Duration,
}

impl Client {
    pub(crate) fn new(settings: &Settings, resolver: Resolver, tls: &rustls::ClientConfig) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        tcp.set_keepalive(Some(Duration::from_mins(1)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let pooled = Pooled::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.keep_alive)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_headers(ANSWER_HEADERS)
            // A pooled connection that closed before it took the request proves that nothing was sent.
            .retry_canceled_requests(true)
            .set_host(false)
            .build(connector);
        Self { pooled }
    }

    /// Sends a request and waits for the answer's head, until `over` resolves.
    pub(crate) async fn send(
        &self,
        mut request: Request<Replay>,
        over: impl Future<Output = ()>,
    ) -> Result<Response<Incoming>, Evidence> {
        let connection = capture_connection(&mut request);
        let asked_to_upgrade = request.headers().contains_key(http::header::UPGRADE);
        let interim = Arc::new(Interim::default());
        let seen = Arc::clone(&interim);
        hyper::ext::on_informational(&mut request, move |_| seen.count());
        let answered = tokio::select! {
            biased;
            answered = self.pooled.request(request) => answered,
            () = interim.too_many.notified() => return Err(Evidence::Broken(Fault::Malformed)),
            () = over => {
                return Err(if connection.connection_metadata().is_none() {
                    Evidence::NotSent(Fault::ConnectTimeout)
                } else {
                    Evidence::Broken(Fault::Timeout)
                });
            }
        };
        match answered {
            Ok(answer)
                if answer.status() == http::StatusCode::SWITCHING_PROTOCOLS
                    && !asked_to_upgrade =>
            {
                Err(Evidence::Broken(Fault::UnaskedUpgrade))
            }
            Ok(answer) => Ok(answer),
            Err(error) => Err(evidence(&error)),
        }
    }
}

/// Counts interim answers, which would otherwise be read for as long as they come.
#[derive(Debug, Default)]
struct Interim {
    seen: AtomicU32,
    too_many: tokio::sync::Notify,
}

impl Interim {
    fn count(&self) {
        if self.seen.fetch_add(1, Relaxed) >= INTERIM {
            self.too_many.notify_one();
        }
    }
}

fn evidence(error: &hyper_util::client::legacy::Error) -> Evidence {
    if error.is_connect() {
        return Evidence::NotSent(connect_fault(error));
    }
    let Some(cause) = find::<hyper::Error>(error) else {
        return Evidence::Broken(Fault::Reset);
    };
    if cause.is_canceled() {
        Evidence::NotSent(Fault::Closed)
    } else if cause.is_parse() {
        Evidence::Broken(Fault::Malformed)
    } else {
        Evidence::Broken(Fault::Reset)
    }
}

/// Why there is no connection.
pub(crate) fn connect_fault(error: &(dyn StdError + 'static)) -> Fault {
    if find::<ResolveError>(error).is_some() {
        return Fault::Dns;
    }
    if find::<rustls::Error>(error).is_some() {
        return Fault::Tls;
    }
    match find::<io::Error>(error) {
        Some(io) if io.kind() == io::ErrorKind::TimedOut => Fault::ConnectTimeout,
        _ => Fault::Connect,
    }
}

/// What an error while reading an answer's body proves: it began and did not end.
pub(crate) fn body_evidence(error: &hyper::Error) -> Evidence {
    Evidence::Broken(if error.is_parse() {
        Fault::Malformed
    } else {
        Fault::Truncated
    })
}

/// The first error of this type among the causes.
pub(crate) fn find<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(link) = next {
        if let Some(found) = link.downcast_ref::<E>() {
            return Some(found);
        }
        // What an I/O error was made of is not its source, but its source's source is.
        let inner = link
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => link.source(),
        };
    }
    None
}
