//! Tokens of issuers (JSON Web Tokens, RFC 7519; read as RFC 8725 advises).
//!
//! Which algorithms and whose keys are good is the configuration's to say; nothing in a token widens that. A token is read
//! strictly: a claim of the wrong type is not a claim that is missing.

pub(crate) mod issuer;
pub(crate) mod keys;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use isobar_config::{Algorithm, Token as Settings};
use serde_json::Value;

use self::keys::KeySet;
use super::strict;

/// Longest token that is looked at.
const LONGEST: usize = 16 * 1024;
/// Longest name of a caller.
const LONGEST_NAME: usize = 256;

/// What a good token, or a certificate, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Who it speaks of.
    pub(crate) subject: String,
    pub(crate) scopes: Vec<String>,
    /// When it stops being good, the leeway included.
    pub(crate) until: SystemTime,
}

/// Why a token is not good. Nothing of the token is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("it is no signed token")]
    Form,
    #[error("its algorithm is not one of those that are allowed")]
    Algorithm,
    #[error("its key is not known")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired, or does not say when it does")]
    Expired,
    #[error("it is not good yet")]
    Early,
    #[error("it does not say whom it speaks of")]
    Subject,
}

/// A token taken apart; nothing of it is believed yet.
pub(crate) struct Parts<'a> {
    message: &'a [u8],
    signature: Vec<u8>,
    header: Value,
    claims: Value,
}

impl<'a> Parts<'a> {
    /// `None` for what is no signed token at all.
    pub(crate) fn of(token: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(token).ok()?;
        if text.len() > LONGEST {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let object = |part: &str| {
            let value = strict::value(&decoded(part)?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            message: message.as_bytes(),
            signature: decoded(signature)?,
            header: object(header)?,
            claims: object(claims)?,
        })
    }

    /// Whom it claims to be from.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// What it says, if everything about it is right.
    pub(crate) fn verify(
        &self,
        settings: &Settings,
        keys: &KeySet,
        now: SystemTime,
    ) -> Result<Claims, Bad> {
        let algorithm = self.algorithm(settings)?;
        let id = match self.header.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().ok_or(Bad::Form)?),
        };
        if !keys.has(id, algorithm) {
            return Err(Bad::UnknownKey);
        }
        if !keys.verify(id, algorithm, self.message, &self.signature) {
            return Err(Bad::Signature);
        }
        self.claims(settings, now)
    }

    fn algorithm(&self, settings: &Settings) -> Result<Algorithm, Bad> {
        let name = self.header.get("alg").and_then(Value::as_str);
        let allowed = settings.algorithms.iter().copied();
        let algorithm = name
            .and_then(|name| allowed.into_iter().find(|known| known.name() == name))
            .ok_or(Bad::Algorithm)?;
        // Extensions that must be understood, and are not (RFC 7515 §4.1.11).
        if self.header.get("crit").is_some() {
            return Err(Bad::Form);
        }
        let is_token = |kind: &Value| {
            let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
            let kind = kind.strip_prefix("application/").unwrap_or(&kind);
            matches!(kind, "jwt" | "at+jwt")
        };
        if self.header.get("typ").is_some_and(|kind| !is_token(kind)) {
            return Err(Bad::Form);
        }
        Ok(algorithm)
    }

    fn claims(&self, settings: &Settings, now: SystemTime) -> Result<Claims, Bad> {
        if self.issuer() != Some(settings.issuer.as_str()) {
            return Err(Bad::Issuer);
        }
        let is_ours = |audience: &Value| {
            let audience = audience.as_str();
            audience.is_some_and(|name| settings.audiences.iter().any(|known| known == name))
        };
        let for_us = match self.claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        };
        if !for_us {
            return Err(Bad::Audience);
        }
        let expires = self.claims.get("exp").and_then(moment);
        let until = expires.ok_or(Bad::Expired)? + settings.leeway;
        if until <= now {
            return Err(Bad::Expired);
        }
        if let Some(from) = self.claims.get("nbf") {
            let from = moment(from).ok_or(Bad::Early)?;
            if from > now + settings.leeway {
                return Err(Bad::Early);
            }
        }
        let subject = self.claims.get(&settings.subject).and_then(Value::as_str);
        let subject = subject.filter(|name| is_name(name));
        Ok(Claims {
            subject: subject.ok_or(Bad::Subject)?.to_owned(),
            scopes: self.scopes(settings),
            until,
        })
    }

    /// Words of a text, or the texts of a list.
    fn scopes(&self, settings: &Settings) -> Vec<String> {
        let claim = match &settings.scopes {
            Some(name) => self.claims.get(name),
            None => self.claims.get("scope").or_else(|| self.claims.get("scp")),
        };
        match claim {
            Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(list)) => {
                let texts = list.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Whether a caller can be named so in logs and headers.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && !text.contains(|c: char| c.is_control())
}

/// A moment in seconds since 1970.
fn moment(claim: &Value) -> Option<SystemTime> {
    let seconds = claim
        .as_f64()
        .filter(|seconds| (0.0..1e12).contains(seconds))?;
    Some(UNIX_EPOCH + Duration::from_secs_f64(seconds))
}
