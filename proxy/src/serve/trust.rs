//! Which certificate authorities are believed: the system's, or Mozilla's where the system has none.
//!
//! Both paths get the same set. Certificates that cannot be read are left out here, since Pingora panics on them.

use std::{io, io::Write as _, sync::Arc};

use base64::Engine as _;
use isobar_config::ClientTls;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::CertificateDer,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tempfile::NamedTempFile;

/// The trusted authorities, in the two forms that are wanted.
pub(crate) struct Trust {
    /// For the exchange path.
    pub(crate) client: Arc<ClientConfig>,
    /// For Pingora, which reads a file at start.
    pub(crate) file: NamedTempFile,
}

/// Why no connection could ever be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot write the list of trusted certificates: {0}")]
    Write(#[from] io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// Loads the authorities; blocking.
    pub(crate) fn load() -> Result<Self, Error> {
        let (mut roots, mut pem) = (RootCertStore::empty(), String::new());
        let native = rustls_native_certs::load_native_certs().certs;
        add(&mut roots, &mut pem, &native);
        if roots.is_empty() {
            log::warn!("this system has no certificate authorities; using Mozilla's list");
            add(
                &mut roots,
                &mut pem,
                webpki_root_certs::TLS_SERVER_ROOT_CERTS,
            );
        }
        let mut file = NamedTempFile::new()?;
        file.write_all(pem.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            client: Arc::new(client),
            file,
        })
    }
}

/// What an account's service is called with: the usual, or what its own settings make of it.
pub(crate) fn client(
    usual: &Arc<ClientConfig>,
    own: Option<&ClientTls>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let Some(own) = own else {
        return Ok(Arc::clone(usual));
    };
    let mut config = match &own.ca {
        None => (**usual).clone(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for certificate in authorities.certificates() {
                roots.add(certificate.clone())?;
            }
            ClientConfig::builder_with_provider(Arc::clone(usual.crypto_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth()
        }
    };
    // Sessions are taken up again with this account's identity alone.
    config.resumption = Resumption::default();
    if let Some(identity) = &own.identity {
        let keys = usual.crypto_provider().key_provider;
        let key = keys.load_private_key(identity.key())?;
        let certified = CertifiedKey::new(identity.chain(), key);
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    }
    Ok(Arc::new(config))
}

/// Adds those that can be read, and their PEM.
fn add(roots: &mut RootCertStore, pem: &mut String, certificates: &[CertificateDer<'_>]) {
    for certificate in certificates {
        if roots.add(certificate.clone().into_owned()).is_ok() {
            let text = base64::engine::general_purpose::STANDARD.encode(certificate);
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            for (place, letter) in text.chars().enumerate() {
                if place > 0 && place % 64 == 0 {
                    pem.push('\n');
                }
                pem.push(letter);
            }
            pem.push_str("\n-----END CERTIFICATE-----\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_trusted_and_the_file_says_the_same() {
        let trust = Trust::load().unwrap();
        let text = std::fs::read_to_string(trust.file.path()).unwrap();
        assert!(text.matches("BEGIN CERTIFICATE").count() > 10);
    }
}
