//! Sockets that serve clients, the certificates that they are served with, and TLS to services.

use super::Reader;
use crate::{
    certificate::{Authorities, CertificateName, Facts, Identity, Unfit},
    document::{Node, Value},
    model::{Account, Client, ClientTls, Listen, ServerTls},
    network::Network,
};

/// Keys that only mean something over TLS.
const OF_TLS: [&str; 3] = ["certificates", "client_ca", "client_certificate"];

impl Reader<'_> {
    pub(super) fn listen(&mut self, node: &Node) -> Vec<Listen> {
        let mut listen: Vec<Listen> = Vec::new();
        let items = node.get("listen").map(Node::items).unwrap_or_default();
        if let Some(extra) = items.get(64) {
            self.error(
                "E0204",
                extra.at,
                "there are more than 64 listeners",
                "one address can serve any number of hosts and routes",
            );
        }
        for item in items.iter().take(64) {
            let Some((written, tls)) = self.socket(item) else {
                continue;
            };
            let Some(address) = written.text().and_then(|text| text.parse().ok()) else {
                continue;
            };
            let next = Listen {
                address,
                tls,
                proxy_protocol: proxy_protocol(item),
            };
            if address.port() != 0 && listen.iter().any(|other| other.address == address) {
                self.error(
                    "E0504",
                    written.at,
                    format!("`{address}` is listened on twice"),
                    "remove one of them",
                );
            }
            listen.push(next);
        }
        listen
    }

    /// The address of one listener, and its TLS if it has some.
    fn socket<'n>(&mut self, item: &'n Node) -> Option<(&'n Node, Option<ServerTls>)> {
        match (item.get("http"), item.get("https")) {
            (Some(plain), None) => {
                for (key, _) in item.entries() {
                    if OF_TLS.contains(&key.text.as_str()) {
                        self.error(
                            "E0821",
                            key.at,
                            format!("`{}` has no effect on plain HTTP", key.text),
                            "write the address under `https`, or leave this out",
                        );
                    }
                }
                Some((plain, None))
            }
            (None, Some(secure)) => {
                let tls = self.server_tls(item);
                Some((secure, tls))
            }
            (Some(_), Some(secure)) => {
                self.error(
                    "E0208",
                    secure.at,
                    "a listener has either `http` or `https`",
                    "write two listeners, each with an address of its own",
                );
                None
            }
            (None, None) => {
                if item.kind() == "a map" {
                    self.error(
                        "E0203",
                        item.at,
                        "`listen` has neither `http` nor `https`",
                        "add `http: 127.0.0.1:8080` (Address for plain HTTP)",
                    );
                }
                None
            }
        }
    }

    /// What certificates of clients are known by.
    pub(super) fn certificate_names(
        &mut self,
        written: &Node,
        whole: &Node,
        clients: &[Client],
    ) -> Vec<CertificateName> {
        let makes: [(&str, fn(String) -> CertificateName); 4] = [
            ("uri", CertificateName::Uri),
            ("dns", |name| {
                CertificateName::Dns(name.to_ascii_lowercase())
            }),
            ("email", CertificateName::Email),
            ("cn", CertificateName::Cn),
        ];
        let mut names = Vec::new();
        for (key, make) in makes {
            let Some(written) = written.get(key) else {
                continue;
            };
            let items = match written.text() {
                Some(_) => std::slice::from_ref(written),
                None => written.items(),
            };
            for item in items {
                let Some(name) = item.text().map(|text| make(text.to_owned())) else {
                    continue;
                };
                let taken = |client: &Client| client.certificate.contains(&name);
                if !name.is_meant() {
                    self.error(
                        "E0511",
                        item.at,
                        "no certificate is known by this",
                        "write a whole name, `*.example.com` for DNS names, or `spiffe://mesh/shops/*` for URIs",
                    );
                } else if clients.iter().any(taken) || names.contains(&name) {
                    self.error(
                        "E0308",
                        item.at,
                        "a certificate's name stands twice",
                        "give each client its own, or merge them",
                    );
                }
                names.push(name);
            }
        }
        let at = written.at;
        if written.entries().is_empty() {
            let help =
                "name whom it is issued to: `{ dns: shop.example.com }`, or `uri`, `email`, `cn`";
            self.error("E0203", at, "nothing says which certificates", help);
        }
        let listeners = whole.get("listen").map(Node::items).unwrap_or_default();
        if !listeners
            .iter()
            .any(|listen| listen.get("client_ca").is_some())
        {
            self.error(
                "E0511",
                at,
                "clients are known by their certificates, and no listener asks for one",
                "add `client_ca: file(tls/clients.pem)` to a listener with `https`",
            );
        }
        names
    }

    fn server_tls(&mut self, item: &Node) -> Option<ServerTls> {
        let Some(written) = item.get("certificates") else {
            self.error(
                "E0203",
                item.at,
                "`certificates` is missing in `listen`",
                "add `certificates: [{ cert: file(tls/site.pem), key: file(tls/site.key) }]`",
            );
            return None;
        };
        let certificates: Vec<Identity> = written
            .items()
            .iter()
            .filter_map(|pair| {
                let identity = self.identity(pair)?;
                if identity.facts().names.is_empty()
                    && let Some(cert) = pair.get("cert")
                {
                    self.error(
                        "E0824",
                        cert.at,
                        "the certificate names no host, so that no client takes it",
                        "let it be issued again with subject alternative names",
                    );
                }
                Some(identity)
            })
            .collect();
        let asked = item.get("client_ca");
        if let (None, Some(whether)) = (asked, item.get("client_certificate")) {
            self.error(
                "E0203",
                whether.at,
                "clients are asked for certificates, and `client_ca` is missing",
                "add `client_ca: file(tls/clients.pem)` (whose certificates are believed)",
            );
        }
        Some(ServerTls {
            certificates,
            client_ca: asked
                .and_then(Node::text)
                .and_then(|text| Authorities::read(text).ok()),
            client_optional: item.get("client_certificate").and_then(Node::text)
                == Some("optional"),
        })
    }

    /// Sets TLS to an account's service.
    pub(super) fn client_tls(&mut self, account: &mut Account, written: &Node) {
        let Some(node) = written.get("tls") else {
            return;
        };
        if account.vendor.is_none() && !account.url.tls && !account.url.host.is_empty() {
            self.error(
                "E0821",
                node.at,
                "`tls` has no effect at an `http://` URL",
                "write the URL with `https://`, or leave this out",
            );
        }
        let text = |key| node.get(key).and_then(Node::text);
        for (one, other) in [("cert", "key"), ("key", "cert")] {
            if let (Some(written), None) = (node.get(one), node.get(other)) {
                self.error(
                    "E0203",
                    written.at,
                    format!("`{other}` is missing in `tls`"),
                    "a certificate and its private key are written together: `cert: file(tls/us.pem), key: file(tls/us.key)`",
                );
            }
        }
        if let (Some(_), Some(name)) = (&account.vendor, node.get("server_name")) {
            self.error(
                "E0201",
                name.at,
                "`server_name` is not a key of `tls` in an account at a vendor",
                "name the service by the host of `base`",
            );
        }
        if let Some(name) = node.get("server_name")
            && name.text().is_some_and(|text| text.starts_with("*."))
        {
            self.error(
                "E0408",
                name.at,
                "a service is known by one name, not by all below one",
                "write the name that its certificate has, or a name that a wildcard of it covers",
            );
        }
        account.tls = Some(ClientTls {
            ca: text("ca").and_then(|text| Authorities::read(text).ok()),
            identity: self.identity(node),
            server_name: text("server_name").map(str::to_ascii_lowercase),
        });
    }

    /// The certificate under `cert` and the key under `key`. Texts that are neither were reported already.
    pub(super) fn identity(&mut self, node: &Node) -> Option<Identity> {
        let (cert, key) = (node.get("cert")?, node.get("key")?);
        match Identity::read(cert.text()?, key.text()?) {
            Ok(identity) => {
                self.validity(cert, identity.facts());
                Some(identity)
            }
            Err(unfit @ (Unfit::OtherKey | Unfit::BadKey)) => {
                self.error(
                    "E0822",
                    key.at,
                    unfit.to_string(),
                    "name the key that the certificate was made for: RSA of 2048 bits or more, ECDSA (P-256, P-384) or Ed25519; the certificate comes first in its file, those that vouch for it after it",
                );
                None
            }
            Err(_) => None,
        }
    }

    /// Whether the certificate is good today. Not a mistake: others at the listener may be, and it may be this machine's
    /// clock that is wrong.
    fn validity(&mut self, written: &Node, facts: &Facts) {
        let Some(now) = self.now else { return };
        let days = |span: std::time::Duration| span.as_secs() / 86_400;
        let message = if let Ok(left) = facts.until.duration_since(now) {
            match facts.from.duration_since(now) {
                Ok(wait) if !wait.is_zero() => {
                    format!(
                        "the certificate is not good yet, for another {} days",
                        days(wait)
                    )
                }
                _ if days(left) < 7 => {
                    format!("the certificate expires in {} days", days(left))
                }
                _ => return,
            }
        } else {
            "the certificate has expired".to_owned()
        };
        self.warning(
            "E0823",
            written.at,
            message,
            "renew it; a changed file is taken up without a restart",
        );
    }
}

/// Who must speak the PROXY protocol at a listener; nobody in particular where the list is empty.
fn proxy_protocol(item: &Node) -> Option<Vec<Network>> {
    let written = item.get("proxy_protocol")?;
    match written.value {
        Value::Bool(wanted) => wanted.then(Vec::new),
        _ => {
            let named = written.items().iter().filter_map(Node::text);
            Some(named.filter_map(Network::parse).collect())
        }
    }
}
