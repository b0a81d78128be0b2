//! Issuers of tokens, and the keys that their signatures are checked with.

use std::{net::IpAddr, time::Duration};

use http::Uri;

use super::{Reader, duration, texts_of};
use crate::{
    document::Node,
    model::{Algorithm, Token, TokenKeys},
    secret::Secret,
};

/// Shortest secret that is shared with an issuer, in bytes (RFC 7518 §3.2).
const SHORTEST: usize = 32;

impl Reader<'_> {
    pub(super) fn token(&mut self, written: &Node) -> Option<Token> {
        let text = |key: &str| written.get(key).and_then(Node::text);
        let named = written.get("algorithms")?;
        let algorithms: Vec<Algorithm> = texts_of(named)
            .iter()
            .filter_map(|name| {
                Algorithm::ALL
                    .into_iter()
                    .find(|known| known.name() == name)
            })
            .collect();
        let audience = written.get("audience")?;
        let audiences = match audience.text() {
            Some(one) => vec![one.to_owned()],
            None => texts_of(audience),
        };
        let keys = self.token_keys(written, named, &algorithms)?;
        Some(Token {
            issuer: text("issuer")?.to_owned(),
            audiences,
            algorithms,
            keys,
            leeway: written
                .get("leeway")
                .and_then(duration)
                .unwrap_or(Duration::from_secs(30)),
            subject: text("subject").unwrap_or("sub").to_owned(),
            scopes: text("scopes").map(str::to_owned),
        })
    }

    fn token_keys(
        &mut self,
        written: &Node,
        named: &Node,
        algorithms: &[Algorithm],
    ) -> Option<TokenKeys> {
        let (secret, set) = (written.get("secret"), written.get("jwks"));
        let (why, at, help) = match (secret, set) {
            (Some(_), Some(set)) => (
                "a token is checked with a secret or with public keys, and here are both",
                written.key("jwks").unwrap_or(set.at),
                "keep one; an issuer of both kinds is two clients",
            ),
            (None, None) => (
                "nothing says what the tokens' signatures are checked with",
                written.at,
                "add `jwks: https://…` or `jwks: file(keys.json)`; for HS256, HS384 and HS512 `secret`",
            ),
            (None, Some(_)) if algorithms.iter().any(|known| known.is_shared()) => (
                "HS256, HS384 and HS512 need a secret, and public keys are no secret",
                named.at,
                "leave them out, or share a `secret` instead of `jwks`",
            ),
            (Some(_), None) if !algorithms.iter().all(|known| known.is_shared()) => (
                "a secret only checks HS256, HS384 and HS512",
                named.at,
                "leave the others out, or name the issuer's public keys with `jwks`",
            ),
            (Some(secret), None) if secret.text().is_some_and(|text| text.len() < SHORTEST) => (
                "the secret has fewer than 32 bytes, and can be guessed from any token",
                secret.at,
                "make a longer one, at random: `openssl rand -base64 32`",
            ),
            (Some(secret), None) => return Some(TokenKeys::Secret(Secret::new(secret.text()?))),
            (None, Some(set)) => return self.key_set(set, written),
        };
        self.error("E0508", at, why, help);
        None
    }

    fn key_set(&mut self, set: &Node, written: &Node) -> Option<TokenKeys> {
        let text = set.text()?;
        let is_url = text.starts_with("http:") || text.starts_with("https:");
        let why = if is_url {
            fetchable(text).err()
        } else if is_key_set(text) {
            None
        } else {
            Some("it is neither a URL nor a JSON Web Key Set")
        };
        if let Some(why) = why {
            self.error(
                "E0415",
                set.at,
                format!("the issuer's keys cannot be had so: {why}"),
                "write `https://login.example.com/jwks.json`, or `file(keys.json)` with `{\"keys\": […]}` in it",
            );
            return None;
        }
        if !is_url {
            return Some(TokenKeys::Set(text.to_owned()));
        }
        let time = |key: &str| written.get(key).and_then(duration);
        Some(TokenKeys::Fetched {
            url: text.to_owned(),
            refresh: time("refresh").unwrap_or(Duration::from_mins(10)),
            floor: time("floor").unwrap_or(Duration::from_secs(10)),
        })
    }
}

/// Whether keys can be fetched from there, and are then the issuer's.
fn fetchable(url: &str) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "the URL does not parse")?;
    let authority = uri.authority().ok_or("the URL has no host")?;
    if authority.as_str().contains('@') {
        return Err("the URL has a user name");
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_near = host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_near => Ok(()),
        _ => Err("over plain HTTP anyone on the way could put in keys of their own; use https"),
    }
}

fn is_key_set(text: &str) -> bool {
    let set: Result<serde_json::Value, _> = serde_json::from_str(text);
    let keys = set.as_ref().ok().and_then(|set| set.get("keys"));
    keys.and_then(serde_json::Value::as_array)
        .is_some_and(|keys| !keys.is_empty())
}
