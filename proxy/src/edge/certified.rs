//! Certificates that clients have shown: whose they are is the plan's to say, whether they are good was the handshake's.

use std::{any::Any, collections::HashMap, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use isobar_config::{CertificateName, Client};
use pingora_core::{listeners::TlsAccept, protocols::tls::TlsRef};

use super::token::is_name;

/// A certificate that a listener's authorities have issued to whoever is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    names: Vec<CertificateName>,
    /// When it ends; a connection may live longer.
    pub(crate) until: SystemTime,
}

/// Keeps what a client has shown, for the requests on its connection.
pub(crate) struct Keep;

#[async_trait]
impl TlsAccept for Keep {
    async fn handshake_complete_callback(
        &self,
        tls: &TlsRef,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        let (mut names, until) = CertificateName::all(tls.peer_certificate_der()?)?;
        names.retain(|name| is_name(name.text()));
        Some(Arc::new(Shown { names, until }))
    }
}

/// The clients that are known by their certificates.
#[derive(Debug, Default)]
pub(crate) struct Certified {
    exact: HashMap<CertificateName, usize>,
    /// Those of which a `*` stands for a part.
    patterns: Vec<(CertificateName, usize)>,
}

impl Certified {
    /// Adds a client, by its index.
    pub(crate) fn add(&mut self, index: usize, client: &Client) {
        for name in &client.certificate {
            self.exact.insert(name.clone(), index);
            if name.text().contains('*') {
                self.patterns.push((name.clone(), index));
            }
        }
    }

    /// Whose certificate it is, and by which of its names: the first that anybody has, and a whole one before a part.
    pub(crate) fn whose<'s>(&self, shown: &'s Shown, now: SystemTime) -> Option<(usize, &'s str)> {
        if (self.exact.is_empty() && self.patterns.is_empty()) || shown.until <= now {
            return None;
        }
        let exact = |name: &'s CertificateName| Some((*self.exact.get(name)?, name.text()));
        let covered = |name: &'s CertificateName| {
            let mut patterns = self.patterns.iter();
            let (_, index) = patterns.find(|(pattern, _)| pattern.covers(name))?;
            Some((*index, name.text()))
        };
        let names = &shown.names;
        names
            .iter()
            .find_map(exact)
            .or_else(|| names.iter().find_map(covered))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_is_its_first_known_names_client_until_it_ends() {
        let dns = |name: &str| CertificateName::Dns(name.to_owned());
        let uri = |name: &str| CertificateName::Uri(name.to_owned());
        let client = |names: &[CertificateName]| Client {
            name: String::new(),
            keys: Vec::new(),
            token: None,
            certificate: names.to_vec(),
            scopes: Vec::new(),
            rate: None,
        };
        let mut certified = Certified::default();
        let now = SystemTime::now();
        let shown = |names: &[CertificateName], left: u64| Shown {
            names: names.to_vec(),
            until: now + Duration::from_secs(left),
        };
        let a = shown(&[dns("a.example.com")], 9);
        assert_eq!(certified.whose(&a, now), None);
        certified.add(0, &client(&[uri("spiffe://mesh/*"), dns("*.example.com")]));
        certified.add(1, &client(&[dns("b.example.com")]));
        let mesh = uri("spiffe://mesh/x");
        for (names, left, expected) in [
            (vec![dns("a.example.com")], 9, Some((0, "a.example.com"))),
            (vec![dns("b.example.com")], 9, Some((1, "b.example.com"))),
            (
                vec![dns("a.example.com"), dns("b.example.com")],
                9,
                Some((1, "b.example.com")),
            ),
            (
                vec![dns("else.org"), mesh.clone()],
                9,
                Some((0, "spiffe://mesh/x")),
            ),
            (vec![dns("else.org")], 9, None),
            (
                vec![CertificateName::Cn("b.example.com".to_owned())],
                9,
                None,
            ),
            (vec![mesh], 0, None),
            (Vec::new(), 9, None),
        ] {
            let shown = shown(&names, left);
            assert_eq!(certified.whose(&shown, now), expected, "{names:?}");
        }
    }
}
