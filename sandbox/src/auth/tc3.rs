//! TC3-HMAC-SHA256 (Tencent Cloud) in the `Authorization` header.
//!
//! Like AWS Signature Version 4 with less in it: the path is always `/` and the query always empty, the scope has no
//! region, and the time is a header of whole seconds.

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

use super::{same, sigv4::hmac};
use crate::call::{Call, civil, hex};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SKEW: Duration = Duration::from_mins(5);

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `Authorization` header of this scheme.
    Missing,
    /// The header or the timestamp cannot be read, or something that must be signed is not.
    Incomplete(&'static str),
    /// The secret id is not known.
    UnknownKey,
    /// The timestamp is more than five minutes off.
    Skewed,
    /// The scope's date is not the timestamp's in UTC.
    Date,
    /// The signature is wrong.
    Mismatch,
}

/// The service in the scope of a call's credential, right or wrong.
pub(crate) fn service(call: &Call) -> Option<String> {
    let given = Given::read(call.header("authorization")?).ok()?;
    Some(given.service)
}

/// Verifies a call; `secret_of` gives the secret of a secret id. Returns the secret id.
pub(crate) fn verify(
    call: &Call,
    secret_of: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let given = Given::read(call.header("authorization").ok_or(Refusal::Missing)?)?;
    let timestamp = call
        .header("x-tc-timestamp")
        .ok_or(Refusal::Incomplete("X-TC-Timestamp"))?;
    let seconds: u64 = timestamp
        .parse()
        .map_err(|_| Refusal::Incomplete("X-TC-Timestamp"))?;
    let secret = secret_of(&given.id).ok_or(Refusal::UnknownKey)?;
    let when = UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or(Refusal::Skewed)?;
    let apart = call
        .now
        .duration_since(when)
        .unwrap_or_else(|early| early.duration());
    if apart > SKEW {
        return Err(Refusal::Skewed);
    }
    let (year, month, day) = civil(seconds / 86_400);
    if given.day != format!("{year:04}-{month:02}-{day:02}") {
        return Err(Refusal::Date);
    }
    for must in ["content-type", "host"] {
        if !given.signed.iter().any(|name| name == must) {
            return Err(Refusal::Incomplete("SignedHeaders"));
        }
    }
    // The vendor's own path is always the root; a client that was pointed here may have signed where it was pointed.
    for path in ["/", call.full_path.as_str()] {
        let canonical = canonical_request(call, path, &given.signed)?;
        if same(
            &given.signature,
            &sign(&canonical, timestamp, &given, &secret),
        ) {
            return Ok(given.id);
        }
    }
    Err(Refusal::Mismatch)
}

/// The parts of the `Authorization` header.
#[derive(Debug)]
struct Given {
    id: String,
    day: String,
    service: String,
    signed: Vec<String>,
    signature: String,
}

impl Given {
    fn read(header: &str) -> Result<Self, Refusal> {
        let rest = header.strip_prefix(ALGORITHM).ok_or(Refusal::Missing)?;
        let field = |wanted: &str| {
            let mut fields = rest
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            fields.find_map(|(name, value)| (name == wanted).then_some(value))
        };
        let credential = field("Credential").ok_or(Refusal::Incomplete("Credential"))?;
        let signed = field("SignedHeaders").ok_or(Refusal::Incomplete("SignedHeaders"))?;
        let signature = field("Signature").ok_or(Refusal::Incomplete("Signature"))?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [id, day, service, "tc3_request"] = scope.as_slice() else {
            return Err(Refusal::Incomplete("Credential"));
        };
        Ok(Self {
            id: (*id).to_owned(),
            day: (*day).to_owned(),
            service: (*service).to_owned(),
            signed: signed.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }
}

fn canonical_request(call: &Call, path: &str, signed: &[String]) -> Result<String, Refusal> {
    let mut headers = String::new();
    for name in signed {
        let value = call
            .header(name)
            .ok_or(Refusal::Incomplete("SignedHeaders"))?
            .trim();
        // The content type is signed as it is sent, everything else in lower case.
        let value = if name == "content-type" {
            value.to_owned()
        } else {
            value.to_lowercase()
        };
        let _ = writeln!(headers, "{name}:{value}");
    }
    Ok(format!(
        "{}\n{path}\n\n{headers}\n{}\n{}",
        call.method,
        signed.join(";"),
        call.digest(),
    ))
}

fn sign(canonical: &str, timestamp: &str, given: &Given, secret: &str) -> String {
    let scope = format!("{}/{}/tc3_request", given.day, given.service);
    let hash = hex(&Sha256::digest(canonical));
    let text = format!("{ALGORITHM}\n{timestamp}\n{scope}\n{hash}");
    let mut key = hmac(format!("TC3{secret}").as_bytes(), &given.day);
    for part in [given.service.as_str(), "tc3_request"] {
        key = hmac(&key, part);
    }
    hex(&hmac(&key, &text))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn call(headers: &[(&str, &str)], body: &str, timestamp: u64) -> Call {
        let mut call = Call::test("POST", "tencent", "/", headers, body.as_bytes());
        call.now = UNIX_EPOCH + Duration::from_secs(timestamp);
        call
    }

    fn check(call: &Call, id: &str, secret: &str) {
        let secret_of = |given: &str| (given == id).then(|| secret.to_owned());
        assert_eq!(verify(call, secret_of), Ok(id.to_owned()));
        assert_eq!(verify(call, |_| None), Err(Refusal::UnknownKey));
        let wrong = |_: &str| Some(format!("{secret}x"));
        assert_eq!(verify(call, wrong), Err(Refusal::Mismatch));
        let mut changed = call.clone();
        changed.body = [&call.body[..], b" "].concat().into();
        assert_eq!(verify(&changed, secret_of), Err(Refusal::Mismatch));
        let mut changed = call.clone();
        changed
            .headers
            .insert("content-type", "text/json".parse().unwrap());
        assert_eq!(verify(&changed, secret_of), Err(Refusal::Mismatch));
        for apart in [SKEW + Duration::from_secs(1), Duration::from_hours(24)] {
            let mut moved = call.clone();
            moved.now = call.now + apart;
            assert_eq!(verify(&moved, secret_of), Err(Refusal::Skewed));
            moved.now = call.now - apart;
            assert_eq!(verify(&moved, secret_of), Err(Refusal::Skewed));
        }
        let mut edge = call.clone();
        edge.now = call.now + SKEW;
        assert_eq!(verify(&edge, secret_of), Ok(id.to_owned()));
    }

    /// Both forms: without and with `x-tc-action` among the signed headers.
    #[test]
    fn official_vectors_are_accepted_and_changed_ones_are_not() {
        let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
            eprintln!("skipped: ISOBAR_CONTRACTS is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("speech/auth-vectors.json");
        let suite: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let all = suite["vectors"].as_array().unwrap().iter();
        let vectors: Vec<_> = all
            .filter(|vector| vector["scheme"].as_str().unwrap().contains(ALGORITHM))
            .collect();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let mut headers = vec![
                ("host".to_owned(), text(&vector["request"]["host"])),
                ("authorization".to_owned(), text(&vector["authorization"])),
            ];
            for (name, value) in vector["request"]["headers"].as_object().unwrap() {
                headers.push((name.to_lowercase(), text(value)));
            }
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let timestamp = text(&vector["request"]["headers"]["X-TC-Timestamp"]);
            let body = text(&vector["request"]["body_exact_bytes"]);
            let call = call(&headers, &body, timestamp.parse().unwrap());
            let id = text(&vector["secret_id"]);
            check(&call, &id, &text(&vector["secret_key"]));
            let given = Given::read(call.header("authorization").unwrap()).unwrap();
            let canonical = canonical_request(&call, "/", &given.signed).unwrap();
            assert_eq!(canonical, text(&vector["canonical_request"]));
        }
    }

    /// The example of the vendor's documentation.
    #[test]
    fn the_documented_example_is_accepted() {
        let body = r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
        let call = call(
            &[
                ("host", "cvm.tencentcloudapi.com"),
                ("content-type", "application/json; charset=utf-8"),
                ("x-tc-timestamp", "1551113065"),
                (
                    "authorization",
                    "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
                ),
            ],
            body,
            1_551_113_065,
        );
        let id = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
        check(&call, id, "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE");
        assert_eq!(service(&call).as_deref(), Some("cvm"));
    }

    #[test]
    fn headers_that_cannot_be_read_are_told_apart() {
        let verdict = |authorization: &str, timestamp: &str| {
            let headers = [
                ("host", "x"),
                ("content-type", "application/json"),
                ("authorization", authorization),
                ("x-tc-timestamp", timestamp),
            ];
            let now = timestamp.parse().unwrap_or_default();
            verify(&call(&headers, "{}", now), |_| Some("secret".to_owned()))
        };
        let signed = |day: &str, names: &str| {
            format!(
                "{ALGORITHM} Credential=id/{day}/asr/tc3_request, SignedHeaders={names}, Signature=00"
            )
        };
        let whole = signed("2023-11-14", "content-type;host");
        for (authorization, timestamp, refusal) in [
            ("Bearer key", "1700000000", Refusal::Missing),
            (
                "TC3-HMAC-SHA256 Credential=id/2023-11-14/asr, SignedHeaders=host, Signature=00",
                "1700000000",
                Refusal::Incomplete("Credential"),
            ),
            (
                &signed("2023-11-14", "host"),
                "1700000000",
                Refusal::Incomplete("SignedHeaders"),
            ),
            (
                &signed("2023-11-14", "content-type;host;x-tc-action"),
                "1700000000",
                Refusal::Incomplete("SignedHeaders"),
            ),
            (
                &signed("2023-11-15", "content-type;host"),
                "1700000000",
                Refusal::Date,
            ),
            (&whole, "soon", Refusal::Incomplete("X-TC-Timestamp")),
            (
                &whole,
                "99999999999999999999",
                Refusal::Incomplete("X-TC-Timestamp"),
            ),
            (&whole, "1700000000", Refusal::Mismatch),
        ] {
            assert_eq!(
                verdict(authorization, timestamp),
                Err(refusal),
                "{authorization}"
            );
        }
    }
}
