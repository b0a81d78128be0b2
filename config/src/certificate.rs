//! Certificates and private keys in PEM: what can be told of them by reading.
//!
//! Nothing is verified here, and no clock is asked; whether a time is over is for whoever has one.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::{Serialize, Serializer};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

/// A certificate with those that vouch for it, and its private key: who somebody is. Shows its names and times only.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    chain: Arc<[CertificateDer<'static>]>,
    key: Arc<PrivateKeyDer<'static>>,
    facts: Facts,
}

/// Certificate authorities; at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Arc<[CertificateDer<'static>]>);

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// DNS names and addresses that it is for, in lower case.
    pub names: Vec<String>,
    /// When it begins to be good.
    pub from: SystemTime,
    /// When it ends.
    pub until: SystemTime,
}

/// A name that a certificate has for whoever shows it, or, in a configuration, a pattern of such names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateName {
    /// Of a host, in lower case; a pattern may begin with `*.`.
    Dns(String),
    /// A URI, such as a SPIFFE ID; a pattern may end with `/*`.
    Uri(String),
    /// A mail address.
    Email(String),
    /// The subject's common name.
    Cn(String),
}

/// Why a text is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No PEM block of a certificate is in it.
    #[error("it has no PEM block `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// A block is no certificate.
    #[error("a certificate in it cannot be read")]
    BadCertificate,
    /// No PEM block of a private key is in it.
    #[error("it has no PEM block of a private key")]
    NoKey,
    /// The key has a passphrase.
    #[error("the private key in it has a passphrase")]
    EncryptedKey,
    /// The key is of a kind, or a size, that is not supported.
    #[error("the private key in it is of a kind that is not supported")]
    BadKey,
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    OtherKey,
}

impl Identity {
    /// Reads a certificate, followed by those that vouch for it, and its key, both in PEM.
    pub fn read(chain: &str, key: &str) -> Result<Self, Unfit> {
        let chain = certificates(chain)?;
        let mut all = chain.iter().map(facts);
        let facts = all.next().ok_or(Unfit::NoCertificate)??;
        for vouching in all {
            vouching?;
        }
        let key = private_key(key)?;
        let signing = any_supported_type(&key).map_err(|_| Unfit::BadKey)?;
        CertifiedKey::new(chain.clone(), signing)
            .keys_match()
            .map_err(|_| Unfit::OtherKey)?;
        Ok(Self {
            chain: chain.into(),
            key: Arc::new(key),
            facts,
        })
    }

    /// The certificate, then those that vouch for it.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.to_vec()
    }

    /// The private key; for TLS, never for a log.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// What the certificate says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl CertificateName {
    /// The names of a certificate in DER, those of the subject last, and when it ends; nothing of one that cannot be read.
    pub fn all(certificate: &[u8]) -> Option<(Vec<Self>, SystemTime)> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let alternatives = alternatives(&parsed).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(Self::Dns(name.to_ascii_lowercase())),
            GeneralName::URI(uri) => Some(Self::Uri((*uri).to_owned())),
            GeneralName::RFC822Name(address) => Some(Self::Email((*address).to_owned())),
            _ => None,
        });
        let subject = parsed.subject().iter_common_name();
        let subject = subject.filter_map(|name| Some(Self::Cn(name.as_str().ok()?.to_owned())));
        let until = moment(parsed.validity().not_after.timestamp());
        Some((alternatives.chain(subject).collect(), until))
    }

    /// The name itself.
    pub fn text(&self) -> &str {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) | Self::Cn(text) => text,
        }
    }

    /// Whether a certificate's `name` is this, or one of those that this stands for.
    pub fn covers(&self, name: &Self) -> bool {
        match (self, name) {
            (Self::Dns(pattern), Self::Dns(name)) => match pattern.strip_prefix("*.") {
                Some(parent) => name
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
                None => pattern == name,
            },
            (Self::Uri(pattern), Self::Uri(name)) => match pattern.strip_suffix('*') {
                Some(above) => name
                    .strip_prefix(above)
                    .is_some_and(|rest| !rest.is_empty()),
                None => pattern == name,
            },
            _ => self == name,
        }
    }

    /// Whether a configuration's text is a name or a pattern: a `*` stands at the one place where it means something.
    pub(crate) fn is_meant(&self) -> bool {
        let rest = match self {
            Self::Dns(text) => text.strip_prefix("*.").unwrap_or(text),
            Self::Uri(text) => match text.strip_suffix("/*") {
                // Everything of a scheme is nobody in particular.
                Some(above) => above
                    .split_once("://")
                    .map_or("*", |(_, rest)| if rest.is_empty() { "*" } else { rest }),
                None => text,
            },
            Self::Email(text) | Self::Cn(text) => text,
        };
        !rest.is_empty() && (matches!(self, Self::Cn(_)) || !rest.contains('*'))
    }
}

impl Authorities {
    /// Reads authorities in PEM.
    pub fn read(text: &str) -> Result<Self, Unfit> {
        let found = certificates(text)?;
        for certificate in &found {
            facts(certificate)?;
        }
        Ok(Self(found.into()))
    }

    /// Their certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

/// The certificates of a PEM text, at least one.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(Unfit::NoCertificate),
        Ok(found) => Ok(found),
        Err(_) => Err(Unfit::BadCertificate),
    }
}

/// The first private key of a PEM text.
pub(crate) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, Unfit> {
    if text.contains("ENCRYPTED") {
        return Err(Unfit::EncryptedKey);
    }
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(Unfit::NoKey),
        Err(_) => Err(Unfit::BadKey),
    }
}

fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, Unfit> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Unfit::BadCertificate)?;
    let names = alternatives(&parsed).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress([a, b, c, d]) => {
            Some(std::net::Ipv4Addr::from([*a, *b, *c, *d]).to_string())
        }
        GeneralName::IPAddress(bytes) => {
            let bytes = <[u8; 16]>::try_from(*bytes).ok()?;
            Some(std::net::Ipv6Addr::from(bytes).to_string())
        }
        _ => None,
    });
    let validity = parsed.validity();
    Ok(Facts {
        names: names.collect(),
        from: moment(validity.not_before.timestamp()),
        until: moment(validity.not_after.timestamp()),
    })
}

/// The subject alternative names.
fn alternatives<'c>(parsed: &'c X509Certificate<'c>) -> impl Iterator<Item = &'c GeneralName<'c>> {
    let extensions = parsed.extensions().iter();
    let lists = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    lists.flatten()
}

fn moment(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let moment = if seconds < 0 {
        epoch.checked_sub(since)
    } else {
        epoch.checked_add(since)
    };
    moment.unwrap_or(epoch)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.facts.serialize(serializer)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

impl Serialize for Authorities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_has_the_names_that_it_was_issued_for() {
        use rcgen::{DnType, SanType, string::Ia5String};
        let text = |text: &str| Ia5String::try_from(text).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::URI(text("spiffe://mesh/shop")),
            SanType::DnsName(text("Shop.Example.com")),
            SanType::Rfc822Name(text("shop@example.com")),
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, "The shop");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (names, until) = CertificateName::all(certificate.der()).unwrap();
        let expected = [
            CertificateName::Uri("spiffe://mesh/shop".to_owned()),
            CertificateName::Dns("shop.example.com".to_owned()),
            CertificateName::Email("shop@example.com".to_owned()),
            CertificateName::Cn("The shop".to_owned()),
        ];
        assert_eq!(names[..3], expected[..3]);
        assert_eq!(names.last(), expected.last());
        assert!(until > SystemTime::now());
        assert_eq!(CertificateName::all(b"none"), None);
    }

    #[test]
    fn a_pattern_covers_what_it_says_and_nothing_else() {
        use CertificateName::{Cn, Dns, Email, Uri};
        let covers = |pattern: fn(String) -> CertificateName, text: &str, name: &str| {
            pattern(text.to_owned()).covers(&pattern(name.to_owned()))
        };
        assert!(covers(Dns, "a.example.com", "a.example.com"));
        assert!(covers(Dns, "*.example.com", "a.example.com"));
        assert!(!covers(Dns, "*.example.com", "a.b.example.com"));
        assert!(!covers(Dns, "*.example.com", "example.com"));
        assert!(!covers(Dns, "*.example.com", ".example.com"));
        assert!(!covers(Dns, "*.example.com", "a.badexample.com"));
        assert!(covers(
            Uri,
            "spiffe://mesh/shops/*",
            "spiffe://mesh/shops/7"
        ));
        assert!(covers(
            Uri,
            "spiffe://mesh/shops/*",
            "spiffe://mesh/shops/7/till"
        ));
        assert!(!covers(
            Uri,
            "spiffe://mesh/shops/*",
            "spiffe://mesh/shops/"
        ));
        assert!(!covers(Uri, "spiffe://mesh/shops/*", "spiffe://mesh/shops"));
        assert!(!covers(
            Uri,
            "spiffe://mesh/shops/*",
            "spiffe://mesh/shopsters/7"
        ));
        assert!(covers(Email, "a@example.com", "a@example.com"));
        assert!(!covers(Cn, "*", "shop"));
        let (dns, cn) = (Dns("shop".to_owned()), Cn("shop".to_owned()));
        assert!(!dns.covers(&cn) && !cn.covers(&dns));
        for (name, expected) in [
            (Dns("*.example.com".to_owned()), true),
            (Dns("*".to_owned()), false),
            (Dns("a.*.com".to_owned()), false),
            (Dns("*.".to_owned()), false),
            (Uri("spiffe://mesh/*".to_owned()), true),
            (Uri("spiffe://*".to_owned()), false),
            (Uri("spiffe:///*".to_owned()), false),
            (Uri("spiffe://mesh/*/a".to_owned()), false),
            (Uri("*".to_owned()), false),
            (Email("*@example.com".to_owned()), false),
            (Cn("a*b".to_owned()), true),
            (Cn(String::new()), false),
        ] {
            assert_eq!(name.is_meant(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_are_read_and_another_key_is_refused() {
        let key = KeyPair::generate().unwrap();
        let names = ["a.example.com", "*.Example.org", "127.0.0.1", "::1"];
        let params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let identity = Identity::read(&chain, &key.serialize_pem()).unwrap();
        let expected = ["a.example.com", "*.example.org", "127.0.0.1", "::1"];
        assert_eq!(identity.facts().names, expected);
        assert!(identity.facts().until > SystemTime::now());
        let shown = format!("{identity:?} {}", serde_json::to_string(&identity).unwrap());
        assert!(!shown.contains("BEGIN") && shown.len() < 600, "{shown}");

        let other = KeyPair::generate().unwrap().serialize_pem();
        let check = |chain: &str, key: &str, expected| {
            assert_eq!(Identity::read(chain, key).unwrap_err(), expected);
        };
        check(&chain, &other, Unfit::OtherKey);
        check("tls/site.pem", &other, Unfit::NoCertificate);
        check(&chain, "tls/site.key", Unfit::NoKey);
        check(&chain, &chain, Unfit::NoKey);
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        check(&chain, encrypted, Unfit::EncryptedKey);
        let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(noise, &other, Unfit::BadCertificate);
        let noise = noise.replace("CERTIFICATE", "PRIVATE KEY");
        check(&chain, &noise, Unfit::BadKey);
    }
}
