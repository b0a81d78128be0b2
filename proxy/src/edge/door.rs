//! Listeners: what a connection meets before its first request.
//!
//! A listener outlives plans. Its certificates do not: each handshake takes those of the plan in force, so that new ones
//! need no restart, and connections keep what they began with.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use isobar_config::{Identity, Listen, ServerTls};
use pingora_core::{
    listeners::tls::Acceptor,
    protocols::{Stream, tls::server::handshake_with_callback},
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};

use super::{announced, certified::Keep, socket::Socket};

/// Protocols that clients may choose, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// One listener.
pub(crate) struct Door {
    listen: Listen,
    tls: ArcSwapOption<Acceptor>,
}

/// Why a connection got no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the listener has no certificate")]
    Unready,
    #[error("no handshake: {0}")]
    Handshake(#[from] Box<pingora_core::Error>),
    #[error("{0} may not say who its clients are")]
    Stranger(IpAddr),
    #[error("the PROXY protocol: {0}")]
    Announced(#[from] announced::Broken),
}

impl Refused {
    /// Name for the metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unready | Self::Handshake(_) => "tls",
            Self::Stranger(_) | Self::Announced(_) => "proxy",
        }
    }
}

impl Door {
    pub(crate) fn new(listen: &Listen) -> Self {
        Self {
            listen: listen.clone(),
            tls: ArcSwapOption::empty(),
        }
    }

    /// Whether a listener of a plan is this one.
    pub(crate) fn is(&self, listen: &Listen) -> bool {
        self.listen.is_like(listen)
    }

    /// Takes up what a plan says of this listener. One that the plan no longer has stays as it is until the restart.
    pub(crate) fn take_up(&self, listen: &[Listen], acceptors: &[Option<Arc<Acceptor>>]) {
        let mut known = listen.iter().zip(acceptors);
        if let Some((_, acceptor)) = known.find(|(listen, _)| self.is(listen)) {
            self.tls.store(acceptor.clone());
        }
    }

    /// Whether connections begin with a handshake.
    pub(super) fn is_secure(&self) -> bool {
        self.listen.tls.is_some()
    }

    /// Whether a load balancer says first who the client is.
    pub(super) fn is_announced(&self) -> bool {
        self.listen.proxy_protocol.is_some()
    }

    /// Reads what a load balancer at `peer` says of the client, and from here on takes that for the client's address. The
    /// connection's guard limits the time.
    pub(super) async fn announced(
        &self,
        socket: &mut Socket,
        peer: IpAddr,
    ) -> Result<IpAddr, Refused> {
        let trusted = self.listen.proxy_protocol.as_deref().unwrap_or_default();
        if !trusted.is_empty() && !trusted.iter().any(|network| network.contains(peer)) {
            return Err(Refused::Stranger(peer));
        }
        let Some(client) = announced::read(socket).await? else {
            return Ok(peer);
        };
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        socket.comes_from(client);
        Ok(client.ip())
    }

    /// Shakes hands. The connection's guard limits the time.
    pub(super) async fn secure(&self, socket: Socket) -> Result<Stream, Refused> {
        let acceptor = self.tls.load_full().ok_or(Refused::Unready)?;
        let stream = handshake_with_callback(&acceptor, socket, &Keep).await?;
        Ok(Box::new(stream))
    }
}

/// What shakes hands for a listener.
pub(crate) fn acceptor(tls: &ServerTls) -> Result<Acceptor, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let certificates = Certificates::new(&tls.certificates, &provider)?;
    let verifier = match &tls.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for certificate in authorities.certificates() {
                roots.add(certificate.clone())?;
            }
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let builder = if tls.client_optional {
                builder.allow_unauthenticated()
            } else {
                builder
            };
            builder
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    // A ticket holds what a session needs, sealed with a key of this acceptor alone: who was let in by authorities that
    // are believed no longer is asked again.
    config.ticketer = ring::Ticketer::new()?;
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

/// A listener's certificates by name.
struct Certificates {
    /// By name, without `*.` for those that hold below it.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    below: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name no server, or one that no certificate has.
    others: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    fn new(identities: &[Identity], provider: &CryptoProvider) -> Result<Self, rustls::Error> {
        let mut certificates = Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            others: Vec::new(),
        };
        for identity in identities {
            let key = provider.key_provider.load_private_key(identity.key())?;
            let certified = Arc::new(CertifiedKey::new(identity.chain(), key));
            for name in &identity.facts().names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut certificates.below, parent),
                    None => (&mut certificates.exact, name.as_str()),
                };
                let known = map.entry(name.to_owned()).or_default();
                known.push(Arc::clone(&certified));
            }
            certificates.others.push(certified);
        }
        Ok(certificates)
    }

    /// Those that are good for a name, the first written first.
    fn of(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let found = name.and_then(|name| {
            self.exact.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.below.get(parent)
            })
        });
        found.unwrap_or(&self.others)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.of(hello.server_name());
        let usable = |certified: &&Arc<CertifiedKey>| {
            let schemes = hello.signature_schemes();
            certified.key.choose_scheme(schemes).is_some()
        };
        found.iter().find(usable).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.others.len())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn identity(names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let chain = CertificateParams::new(names).unwrap();
        let chain = chain.self_signed(&key).unwrap().pem();
        Identity::read(&chain, &key.serialize_pem()).unwrap()
    }

    #[test]
    fn a_name_gets_its_certificate_and_any_other_the_first() {
        let identities = [
            identity(&["first.example.com"]),
            identity(&["*.example.com", "example.com"]),
            identity(&["a.example.com"]),
        ];
        let certificates = Certificates::new(&identities, &ring::default_provider()).unwrap();
        let check = |name: Option<&str>, expected: usize| {
            let found = certificates.of(name).first().unwrap();
            assert_eq!(found.cert, identities[expected].chain(), "{name:?}");
        };
        check(None, 0);
        check(Some("first.example.com"), 0);
        check(Some("a.example.com"), 2);
        check(Some("A.Example.com."), 2);
        check(Some("b.example.com"), 1);
        check(Some("example.com"), 1);
        check(Some("b.a.example.com"), 0);
        check(Some("elsewhere.net"), 0);
    }
}
