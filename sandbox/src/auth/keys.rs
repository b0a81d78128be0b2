//! Keys that are sent as they are.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::{call::Call, jobs::CAPACITY};

/// The two keys that a vendor accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    /// The vendor: the first account's name in the ledger, and what its key is made of.
    pub(crate) vendor: &'static str,
}

impl Keys {
    /// The key of the first account: `sandbox-VENDOR-key`.
    pub(crate) fn first(self) -> String {
        format!("sandbox-{}-key", self.vendor)
    }

    /// Whose key this is, by the ledger's name: `VENDOR` or `VENDOR-2`.
    pub(crate) fn owner(self, presented: &str) -> Option<String> {
        let first = self.first();
        if same(presented, &first) {
            return Some(self.vendor.to_owned());
        }
        same(presented, &format!("{first}-2")).then(|| format!("{}-2", self.vendor))
    }

    /// The same for a key behind a scheme word in `Authorization` (`Bearer KEY`), the word in any case.
    pub(crate) fn authorization(self, call: &Call, scheme: &str) -> Option<String> {
        self.owner(after_scheme(call, scheme)?)
    }

    /// The same for a key that is the whole of a header.
    pub(crate) fn header(self, call: &Call, name: &str) -> Option<String> {
        self.owner(call.header(name)?)
    }
}

/// What follows a scheme word in `Authorization`.
pub(crate) fn after_scheme<'a>(call: &'a Call, scheme: &str) -> Option<&'a str> {
    let (word, rest) = call.header("authorization")?.split_once(' ')?;
    word.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// Short-lived tokens that a vendor has handed out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: Mutex<VecDeque<Token>>,
}

#[derive(Debug)]
struct Token {
    text: String,
    owner: String,
    until: SystemTime,
}

impl Tokens {
    /// A token that is good for so many seconds and stands for the account that asks.
    pub(crate) fn issue(&self, call: &Call, seconds: u64) -> String {
        let text = format!("sandbox-token-{}", call.hex_id("token", 32));
        let mut issued = self.issued.lock();
        if issued.len() >= CAPACITY {
            issued.pop_front();
        }
        issued.push_back(Token {
            text: text.clone(),
            owner: call.account.clone(),
            until: call.now + Duration::from_secs(seconds),
        });
        text
    }

    /// The account that a token stands for; `None` if it was never issued or its time is over.
    pub(crate) fn owner(&self, presented: &str, now: SystemTime) -> Option<String> {
        let issued = self.issued.lock();
        let found = issued.iter().find(|token| same(&token.text, presented))?;
        (found.until > now).then(|| found.owner.clone())
    }

    /// Whether a token was ever issued, good or not.
    pub(crate) fn knows(&self, presented: &str) -> bool {
        let issued = self.issued.lock();
        issued.iter().any(|token| same(&token.text, presented))
    }

    /// Forgets all: what was issued is good no more.
    pub(crate) fn clear(&self) {
        self.issued.lock().clear();
    }
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys { vendor: "x" };

    #[test]
    fn a_token_stands_for_who_asked_until_its_time_is_over() {
        let tokens = Tokens::default();
        let mut call = Call::test("POST", "x", "/", &[], b"");
        call.account = "x-2".to_owned();
        let token = tokens.issue(&call, 60);
        let later = |seconds| call.now + Duration::from_secs(seconds);
        assert_eq!(tokens.owner(&token, later(59)).as_deref(), Some("x-2"));
        assert_eq!(tokens.owner(&token, later(60)), None);
        assert!(tokens.knows(&token) && !tokens.knows("another"));
        tokens.clear();
        assert!(!tokens.knows(&token));
    }

    #[test]
    fn both_keys_are_told_apart_and_others_refused() {
        let owner = |value: &str| {
            let call = Call::test("GET", "x", "/", &[("authorization", value)], b"");
            KEYS.authorization(&call, "Bearer")
        };
        assert_eq!(owner("Bearer sandbox-x-key").as_deref(), Some("x"));
        assert_eq!(owner("bearer sandbox-x-key-2").as_deref(), Some("x-2"));
        for wrong in [
            "Bearer sandbox-x-key-3",
            "sandbox-x-key",
            "Token sandbox-x-key",
            "Bearer",
        ] {
            assert_eq!(owner(wrong), None, "{wrong}");
        }
    }
}
