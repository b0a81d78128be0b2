//! Connections, plain or over TLS with one certificate that is believed.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use isobar_benches::load::HOST;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Bytes in and out.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Opens connections to one server.
pub(super) struct Dialer {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Dialer {
    /// In plain, or over TLS with a server of this certificate that speaks `protocol`.
    pub(super) fn new(
        address: SocketAddr,
        certificate: Option<&Path>,
        protocol: &str,
    ) -> io::Result<Self> {
        let tls = certificate.map(|file| connector(file, protocol));
        Ok(Self {
            address,
            tls: tls.transpose()?,
        })
    }

    pub(super) async fn dial(&self) -> io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let stream = tls.connect(name, stream).await?;
        let wanted = tls.config().alpn_protocols.first().cloned();
        if stream.get_ref().1.alpn_protocol() != wanted.as_deref() {
            return Err(io::Error::other("the server speaks another protocol"));
        }
        Ok(Box::new(stream))
    }
}

fn connector(certificate: &Path, protocol: &str) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
