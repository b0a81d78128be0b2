//! Certificates for tests, and clients and servers that use them.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// An authority that issues certificates to anybody.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// Never: what is asked for can be made.
    #[expect(clippy::expect_used, reason = "what is asked for can be made")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(names, 2999)
    }

    /// A certificate for these names that is over at the beginning of this year.
    ///
    /// # Panics
    /// When a name is none.
    #[expect(clippy::expect_used, reason = "a test's own name is wrong")]
    pub fn issue_until(&self, names: &[&str], year: i32) -> Pair {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = date_time_ymd(year, 1, 1);
        self.sign(params)
    }

    /// A certificate for somebody: of this common name, with this URI and this DNS name.
    ///
    /// # Panics
    /// When a name is none.
    #[expect(clippy::expect_used, reason = "a test's own name is wrong")]
    pub fn issue_to(&self, common: &str, uri: &str, dns: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = vec![
            SanType::URI(uri.try_into().expect("a URI")),
            SanType::DnsName(dns.try_into().expect("a DNS name")),
        ];
        self.sign(params)
    }

    #[expect(clippy::expect_used, reason = "what is asked for can be made")]
    fn sign(&self, mut params: CertificateParams) -> Pair {
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// What clients need that believe this authority, and show this certificate if asked.
    ///
    /// # Panics
    /// Never: its own certificate is good.
    #[expect(clippy::expect_used, reason = "certificates of our own are good")]
    pub fn client(&self, own: Option<&Pair>, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match own {
            Some(pair) => {
                let (chain, key) = pair.der();
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// Writes `NAME.pem` and `NAME.key` into a folder.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        std::fs::write(folder.join(format!("{name}.key")), &self.key)?;
        std::fs::write(folder.join(format!("{name}.pem")), &self.cert)
    }

    #[expect(clippy::expect_used, reason = "certificates of our own are good")]
    fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes());
        let chain: Result<_, _> = chain.collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        (chain.expect("certificates"), key.expect("a key"))
    }

    /// What servers need that show this certificate.
    ///
    /// # Panics
    /// Never: the pair is good.
    #[expect(clippy::expect_used, reason = "certificates of our own are good")]
    pub fn server(&self, clients: Option<&Authority>, protocols: &[&str]) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let verifier = match clients {
            None => rustls::server::WebPkiClientVerifier::no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).expect("an authority");
                let (roots, provider) = (Arc::new(roots), Arc::clone(&provider));
                rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .expect("a verifier")
            }
        };
        let (chain, key) = self.der();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("a pair");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    }
}

/// Connects and shakes hands, asking for a server of this name.
pub async fn connect(
    address: SocketAddr,
    name: &str,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// A socket that ends TLS before a server that speaks plainly.
#[derive(Debug)]
pub struct Wrapped {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Wrapped {
    /// Starts on a port that the system chooses.
    pub async fn start(plain: SocketAddr, config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut secure = acceptor.accept(stream).await?;
                    let mut plain = TcpStream::connect(plain).await?;
                    tokio::io::copy_bidirectional(&mut secure, &mut plain).await
                });
            }
        });
        Ok(Self { address, accepting })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
