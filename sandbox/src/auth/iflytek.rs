//! iFlytek's signed websocket address: `authorization`, `date` and `host` in the query.
//!
//! `authorization` is base64 of `api_key="…", algorithm="hmac-sha256", headers="host date request-line", signature="…"`,
//! and the signature covers the other two and the request's first line.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{same, sigv4::hmac};
use crate::call::Call;

const SKEW: Duration = Duration::from_mins(5);
/// The vendor's own hosts: a client may sign for one of them and connect here.
const HOSTS: [&str; 2] = ["iat-api.xfyun.cn", "ws-api.xfyun.cn"];

/// Why a handshake is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `authorization` in the query.
    Missing,
    /// It cannot be read, names another algorithm or other headers, or the host is not the one that was called.
    Unreadable,
    /// The key is not known.
    UnknownKey,
    /// The date is absent, cannot be read or is more than five minutes off.
    Skewed,
    /// The signature is wrong.
    Mismatch,
}

/// Verifies a handshake; `secret_of` gives the secret of a key. Returns the key.
pub(crate) fn verify(
    call: &Call,
    secret_of: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let given = call.query("authorization").ok_or(Refusal::Missing)?;
    let given = Given::read(&given).ok_or(Refusal::Unreadable)?;
    let secret = secret_of(&given.key).ok_or(Refusal::UnknownKey)?;
    let date = call.query("date").ok_or(Refusal::Skewed)?;
    let when = httpdate::parse_http_date(&date).map_err(|_| Refusal::Skewed)?;
    let apart = call
        .now
        .duration_since(when)
        .unwrap_or_else(|early| early.duration());
    if apart > SKEW {
        return Err(Refusal::Skewed);
    }
    let host = call.query("host").ok_or(Refusal::Unreadable)?;
    let called = call.header("host").unwrap_or_default();
    if !host.eq_ignore_ascii_case(called) && !HOSTS.contains(&host.as_str()) {
        return Err(Refusal::Unreadable);
    }
    // The path is the vendor's own, or the one that a client pointed here has sent.
    for path in [&call.path, &call.full_path] {
        let text = format!(
            "host: {host}\ndate: {date}\n{} {path} HTTP/1.1",
            call.method
        );
        let signature = STANDARD.encode(hmac(secret.as_bytes(), &text));
        if same(&given.signature, &signature) {
            return Ok(given.key);
        }
    }
    Err(Refusal::Mismatch)
}

/// What `authorization` says.
#[derive(Debug)]
struct Given {
    key: String,
    signature: String,
}

impl Given {
    fn read(text: &str) -> Option<Self> {
        let decoded = STANDARD.decode(text).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let field = |wanted: &str| {
            let mut fields = text
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            let (_, value) = fields.find(|(name, _)| *name == wanted)?;
            value.strip_prefix('"')?.strip_suffix('"')
        };
        let covered =
            field("algorithm")? == "hmac-sha256" && field("headers")? == "host date request-line";
        covered.then_some(())?;
        Some(Self {
            key: field("api_key")?.to_owned(),
            signature: field("signature")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const KEY: &str = "keyxxxxxxxx8ee279348519exxxxxxxx";
    const SECRET: &str = "secretxxxxxxxx2df7900c09xxxxxxxx";
    const DATE: &str = "Wed, 10 Jul 2019 07:35:43 GMT";
    const SIGNATURE: &str = "Hp3Ty4ZkSBmL8jKyOLpQiv9Sr5nvmeYEH7WsL/ZO2Jg=";

    fn handshake(authorization: &str, date: &str, host: &str) -> Call {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let target = format!(
            "/v2/iat?authorization={}&date={}&host={}",
            encoded(authorization),
            encoded(date),
            encoded(host)
        );
        let mut call = Call::test("GET", "iflytek", &target, &[("host", "127.0.0.1:1")], b"");
        call.now = httpdate::parse_http_date(DATE).unwrap() + Duration::from_secs(7);
        call
    }

    fn authorization(key: &str, signature: &str) -> String {
        STANDARD.encode(format!(
            "api_key=\"{key}\", algorithm=\"hmac-sha256\", headers=\"host date request-line\", signature=\"{signature}\""
        ))
    }

    fn verdict(call: &Call) -> Result<String, Refusal> {
        verify(call, |key| (key == KEY).then(|| SECRET.to_owned()))
    }

    /// The example of the vendor's documentation.
    #[test]
    fn the_documented_example_is_accepted_and_changed_ones_are_not() {
        let host = "iat-api.xfyun.cn";
        let right = handshake(&authorization(KEY, SIGNATURE), DATE, host);
        assert_eq!(verdict(&right), Ok(KEY.to_owned()));
        let mut late = right.clone();
        late.now += SKEW;
        assert_eq!(verdict(&late), Err(Refusal::Skewed));
        late.now -= SKEW * 2 + Duration::from_secs(8);
        assert_eq!(verdict(&late), Err(Refusal::Skewed));
        let mut elsewhere = right.clone();
        elsewhere.path = "/v2/tts".to_owned();
        elsewhere.full_path = "/iflytek/v2/tts".to_owned();
        assert_eq!(verdict(&elsewhere), Err(Refusal::Mismatch));
        let other = DATE.replace(":43", ":44");
        for (call, refusal) in [
            (
                handshake(&authorization(KEY, SIGNATURE), &other, host),
                Refusal::Mismatch,
            ),
            (
                handshake(&authorization(KEY, SIGNATURE), "today", host),
                Refusal::Skewed,
            ),
            (
                handshake(&authorization(KEY, SIGNATURE), DATE, "example.com"),
                Refusal::Unreadable,
            ),
            (
                handshake(&authorization("other", SIGNATURE), DATE, host),
                Refusal::UnknownKey,
            ),
            (
                handshake(&authorization(KEY, "AAAA"), DATE, host),
                Refusal::Mismatch,
            ),
            (handshake("not base64!", DATE, host), Refusal::Unreadable),
            (
                handshake(&STANDARD.encode("api_key=\"x\""), DATE, host),
                Refusal::Unreadable,
            ),
            (
                Call::test("GET", "iflytek", "/v2/iat", &[], b""),
                Refusal::Missing,
            ),
        ] {
            assert_eq!(verdict(&call), Err(refusal), "{}", call.raw_query);
        }
    }

    #[test]
    fn official_vectors_are_accepted() {
        let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
            eprintln!("skipped: ISOBAR_CONTRACTS is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("speech/auth-vectors.json");
        let suite: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut all = suite["vectors"].as_array().unwrap().iter();
        let vector = all
            .find(|vector| vector["scheme"] == "iflytek websocket url hmac-sha256")
            .unwrap();
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        let call = handshake(
            &text("authorization_query_value"),
            &text("date"),
            "iat-api.xfyun.cn",
        );
        let (key, secret) = (text("api_key"), text("api_secret"));
        let secret_of = |given: &str| (given == key).then(|| secret.clone());
        assert_eq!(verify(&call, secret_of), Ok(key.clone()));
        assert_eq!(
            Given::read(&text("authorization_query_value"))
                .unwrap()
                .signature,
            text("signature")
        );
    }

    #[test]
    fn a_client_may_sign_for_the_host_and_path_that_it_was_pointed_at() {
        let host = "127.0.0.1:1";
        for path in ["/v2/iat", "/iflytek/v2/iat"] {
            let text = format!("host: {host}\ndate: {DATE}\nGET {path} HTTP/1.1");
            let signature = STANDARD.encode(hmac(SECRET.as_bytes(), &text));
            let call = handshake(&authorization(KEY, &signature), DATE, host);
            assert_eq!(verdict(&call), Ok(KEY.to_owned()));
        }
    }
}
