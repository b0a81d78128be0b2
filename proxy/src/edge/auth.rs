//! Who is calling: API keys, compared as digests, tokens of issuers, and certificates.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderName, header};
use isobar_config::{Client, Token};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    certified::{Certified, Shown},
    token::{Bad, Claims, Parts, issuer::Issuer, keys::KeySet},
};

/// How long a connection's token is believed without looking again, so that a key that is withdrawn ends soon.
const BELIEVED: Duration = Duration::from_secs(30);

/// Headers in which clients' SDKs send a key, besides `Authorization: Bearer`.
pub(crate) const KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The configured clients by the digest of their keys.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    names: Vec<String>,
    /// What each client's keys and certificates open.
    scopes: Vec<Vec<String>>,
    by_digest: HashMap<[u8; 32], usize>,
    bearers: Vec<Bearer>,
    certified: Certified,
    open: bool,
}

/// A client whose callers have tokens.
#[derive(Debug)]
struct Bearer {
    client: usize,
    settings: Token,
    issuer: Arc<Issuer>,
}

/// Somebody who is not known.
#[derive(Debug, Default)]
pub(crate) struct Stranger {
    /// Keys that might make the token good, if they were fetched; and those that did not.
    pub(crate) wanted: Option<Wanted>,
}

/// Keys to be fetched.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) seen: Arc<KeySet>,
}

/// Who a request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A configured client, by index.
    Client(usize),
    /// Somebody with a key, where no clients are configured; the number tells keys apart.
    AnyKey(u64),
    /// Nobody in particular.
    Anonymous,
}

/// The last good key on a connection and whose it is, so that it is not hashed for every request. The empty key stands for
/// the connection's certificate.
pub(crate) struct Remembered {
    /// Plan that it is good under.
    generation: u64,
    key: Box<[u8]>,
    identity: Identity,
    /// A token or a certificate is looked at again then.
    until: Option<Instant>,
}

/// What authentication found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    /// Whether a key of ours was presented; then no header that may hold one reaches a vendor.
    pub(crate) consumed: bool,
    /// What the token or the certificate says, if it was one.
    pub(crate) claims: Option<Arc<Claims>>,
}

impl Identity {
    /// Somebody without a token.
    pub(crate) fn of(caller: Caller) -> Self {
        Self {
            caller,
            consumed: caller != Caller::Anonymous,
            claims: None,
        }
    }

    /// Whom the token or the certificate speaks of.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.claims.as_ref().map(|claims| claims.subject.as_str())
    }
}

impl Clients {
    /// `None` is a configuration without a `clients` section: any key is accepted.
    /// `issuer` has the keys of each client whose callers have tokens.
    pub(crate) fn new(
        clients: Option<&[Client]>,
        issuer: impl Fn(&Client) -> Option<Arc<Issuer>>,
    ) -> Self {
        let mut table = Self {
            open: clients.is_none(),
            ..Self::default()
        };
        for (index, client) in clients.unwrap_or_default().iter().enumerate() {
            table.names.push(client.name.clone());
            table.scopes.push(client.scopes.clone());
            if let (Some(settings), Some(issuer)) = (&client.token, issuer(client)) {
                table.bearers.push(Bearer {
                    client: index,
                    settings: settings.clone(),
                    issuer,
                });
            }
            table.certified.add(index, client);
            table
                .by_digest
                .extend(client.keys.iter().map(|digest| (digest.0, index)));
        }
        table
    }

    pub(crate) fn name(&self, caller: Caller) -> Option<&str> {
        match caller {
            Caller::Client(index) => self.names.get(index).map(String::as_str),
            Caller::AnyKey(_) | Caller::Anonymous => None,
        }
    }

    /// Whether a caller has a scope: by its token, or by the configuration.
    pub(crate) fn has_scope(&self, identity: &Identity, scope: &str) -> bool {
        let scopes = match (&identity.claims, identity.caller) {
            (Some(claims), _) => Some(&claims.scopes),
            (None, Caller::Client(index)) => self.scopes.get(index),
            (None, Caller::AnyKey(_) | Caller::Anonymous) => None,
        };
        scopes.is_some_and(|scopes| scopes.iter().any(|known| known == scope))
    }

    /// [`Clients::identify`] for the plan of this generation; a connection's key is hashed once.
    pub(crate) fn recognise(
        &self,
        generation: u64,
        remembered: &mut Option<Remembered>,
        headers: &HeaderMap,
        shown: Option<&Shown>,
        anonymous_allowed: bool,
    ) -> Result<Identity, Stranger> {
        let key = presented(headers).next().map(|(_, key)| key);
        let key = key.or(shown.map(|_| &[][..]));
        if let (Some(known), Some(key)) = (&*remembered, key)
            && known.generation == generation
            && bool::from(known.key.ct_eq(key))
            && !(self.open && anonymous_allowed)
            && known.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(known.identity.clone());
        }
        let identity = self.identify(headers, shown, anonymous_allowed)?;
        // Where several keys are presented, the good one may not be the first.
        let is_sure = || match presented(headers).count() {
            0 => identity.claims.is_some(),
            1 => identity.consumed,
            _ => false,
        };
        *remembered = key.filter(|_| is_sure()).map(|key| Remembered {
            generation,
            key: key.into(),
            until: identity.claims.as_ref().map(|claims| {
                let good_for = claims.until.duration_since(SystemTime::now());
                Instant::now() + good_for.unwrap_or_default().min(BELIEVED)
            }),
            identity: identity.clone(),
        });
        Ok(identity)
    }

    /// Who is calling, or nobody that is known when a key, token or certificate is needed and missing or wrong. A good key
    /// says more than the certificate.
    fn identify(
        &self,
        headers: &HeaderMap,
        shown: Option<&Shown>,
        anonymous_allowed: bool,
    ) -> Result<Identity, Stranger> {
        let mut stranger = Stranger::default();
        for (place, key) in presented(headers) {
            let digest: [u8; 32] = Sha256::digest(key).into();
            // The map finds by digest, which a caller cannot steer; the comparison that decides is constant-time.
            let known = self
                .by_digest
                .get_key_value(&digest)
                .filter(|(known, _)| bool::from(known.ct_eq(&digest)));
            if let Some((_, index)) = known {
                return Ok(Identity::of(Caller::Client(*index)));
            }
            if place == Place::Bearer
                && !self.bearers.is_empty()
                && let Some(parts) = Parts::of(key)
            {
                match self.bearer(&parts) {
                    Ok(identity) => return Ok(identity),
                    Err(wanted) => stranger.wanted = wanted,
                }
            }
            if self.open && !anonymous_allowed {
                let [a, b, c, d, e, f, g, h, ..] = digest;
                let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                return Ok(Identity::of(Caller::AnyKey(number)));
            }
        }
        // A token that may be one of ours is not passed over.
        if stranger.wanted.is_some() {
            return Err(stranger);
        }
        if let Some(identity) = shown.and_then(|shown| self.certified(shown)) {
            return Ok(identity);
        }
        if anonymous_allowed {
            return Ok(Identity::of(Caller::Anonymous));
        }
        Err(stranger)
    }

    /// Whose certificate it is. Nothing in the request's headers is ours then.
    fn certified(&self, shown: &Shown) -> Option<Identity> {
        let (client, subject) = self.certified.whose(shown, SystemTime::now())?;
        Some(Identity {
            caller: Caller::Client(client),
            consumed: false,
            claims: Some(Arc::new(Claims {
                subject: subject.to_owned(),
                scopes: self.scopes.get(client).cloned().unwrap_or_default(),
                until: shown.until,
            })),
        })
    }

    /// Whose token it is; else the keys that might make it good.
    fn bearer(&self, parts: &Parts<'_>) -> Result<Identity, Option<Wanted>> {
        let mut wanted = None;
        let claimed = parts.issuer();
        let bearers = self.bearers.iter();
        for bearer in bearers.filter(|bearer| Some(bearer.settings.issuer.as_str()) == claimed) {
            bearer.issuer.keep_fresh();
            let keys = bearer.issuer.keys();
            match parts.verify(&bearer.settings, &keys, SystemTime::now()) {
                Ok(claims) => {
                    return Ok(Identity {
                        claims: Some(Arc::new(claims)),
                        ..Identity::of(Caller::Client(bearer.client))
                    });
                }
                Err(Bad::UnknownKey) if bearer.issuer.fetching().is_some() => {
                    let issuer = Arc::clone(&bearer.issuer);
                    wanted = Some(Wanted { issuer, seen: keys });
                }
                Err(bad) => {
                    let name = self.name(Caller::Client(bearer.client));
                    log::debug!(
                        "a token for client `{}` is not good: {bad}",
                        name.unwrap_or("")
                    );
                }
            }
        }
        Err(wanted)
    }
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Bearer,
    Other,
}

/// Whether there is anything in the headers that could be a key.
pub(crate) fn presents_key(headers: &HeaderMap) -> bool {
    presented(headers).next().is_some()
}

fn presented(headers: &HeaderMap) -> impl Iterator<Item = (Place, &[u8])> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| (Place::Bearer, key.trim_ascii()))
    });
    let others = KEY_HEADERS.into_iter().filter_map(|name| {
        let value = headers.get(name)?;
        Some((Place::Other, value.as_bytes()))
    });
    bearer
        .into_iter()
        .chain(others)
        .filter(|(_, key)| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use isobar_config::KeyDigest;

    use super::*;

    fn clients() -> Clients {
        let client = |name: &str, keys: &[&str]| Client {
            name: name.to_owned(),
            keys: keys
                .iter()
                .map(|key| KeyDigest(Sha256::digest(key).into()))
                .collect(),
            token: None,
            certificate: Vec::new(),
            scopes: Vec::new(),
            rate: None,
        };
        let clients = [
            client("shop", &["old-key", "new-key"]),
            client("lab", &["lab-key"]),
        ];
        Clients::new(Some(&clients), |_| None)
    }

    fn check(
        clients: &Clients,
        header: Option<(&'static str, &str)>,
        anonymous: bool,
        expected: Option<Caller>,
    ) {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let found = clients
            .identify(&headers, None, anonymous)
            .ok()
            .map(|identity| identity.caller);
        assert_eq!(found, expected, "{header:?}, anonymous {anonymous}");
    }

    #[test]
    fn a_known_key_is_found_wherever_sdks_put_it() {
        let clients = clients();
        check(
            &clients,
            Some(("authorization", "Bearer lab-key")),
            false,
            Some(Caller::Client(1)),
        );
        check(
            &clients,
            Some(("authorization", "bearer new-key")),
            false,
            Some(Caller::Client(0)),
        );
        for name in ["x-api-key", "api-key", "x-goog-api-key"] {
            check(
                &clients,
                Some((name, "old-key")),
                true,
                Some(Caller::Client(0)),
            );
        }
    }

    #[test]
    fn a_wrong_or_missing_key_is_nobody() {
        let clients = clients();
        for header in [
            None,
            Some(("authorization", "Bearer nope")),
            Some(("authorization", "Basic lab-key")),
            Some(("x-api-key", "")),
        ] {
            check(&clients, header, false, None);
            check(&clients, header, true, Some(Caller::Anonymous));
        }
    }

    #[test]
    fn a_connection_that_changes_its_key_or_outlives_its_plan_is_asked_again() {
        let headers = |key: &str| {
            let value = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
            HeaderMap::from_iter([(header::AUTHORIZATION, value)])
        };
        let (clients, mut remembered) = (clients(), None);
        let mut check = |clients: &Clients, generation, key, expected: Option<usize>| {
            let found = clients.recognise(generation, &mut remembered, &headers(key), None, false);
            let caller = found.ok().map(|identity| identity.caller);
            assert_eq!(caller, expected.map(Caller::Client), "{generation} {key}");
        };
        for _ in 0..2 {
            check(&clients, 1, "lab-key", Some(1));
        }
        check(&clients, 1, "lab-ke", None);
        check(&clients, 1, "lab-key2", None);
        check(&clients, 1, "old-key", Some(0));
        check(&clients, 1, "lab-key", Some(1));
        check(&Clients::new(Some(&[]), |_| None), 2, "lab-key", None);
        let mut both = headers("wrong");
        both.insert("x-api-key", HeaderValue::from_static("lab-key"));
        let mut remembered = None;
        for _ in 0..2 {
            let found = clients.recognise(1, &mut remembered, &both, None, false);
            assert_eq!(found.unwrap().caller, Caller::Client(1));
        }
        assert!(
            clients
                .recognise(1, &mut remembered, &headers("wrong"), None, false)
                .is_err()
        );
    }

    #[test]
    fn without_clients_any_key_passes_and_none_does_not() {
        let open = Clients::new(None, |_| None);
        let found = open.identify(
            &HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))]),
            None,
            false,
        );
        assert!(matches!(
            found,
            Ok(Identity {
                caller: Caller::AnyKey(_),
                consumed: true,
                claims: None,
            })
        ));
        check(&open, None, false, None);
        check(
            &open,
            Some(("authorization", "Bearer x")),
            true,
            Some(Caller::Anonymous),
        );
    }
}
