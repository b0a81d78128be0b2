//! AWS Signature Version 4 in the `Authorization` header.
//!
//! The canonical request is made anew from the path, query, headers and body as they were received, so a client that
//! signs one thing and sends another is found out.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

use super::same;
use crate::call::{Call, days, hex};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SKEW: Duration = Duration::from_mins(5);
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Why a signature is not accepted. AWS services have their own names for these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `Authorization` header of this scheme.
    Missing,
    /// The header, the date or a signed header cannot be read, or something that must be signed is not.
    Incomplete(&'static str),
    /// The access key id is not known.
    UnknownKey,
    /// The scope names another service.
    Scope,
    /// The date is more than five minutes off.
    Skewed,
    /// `x-amz-content-sha256` is not the hash of the body.
    Payload,
    /// The signature is wrong.
    Mismatch,
}

/// Verifies a call to `service` (its signing name); `secret_of` gives the secret of an access key id.
/// Returns the access key id.
pub(crate) fn verify(
    call: &Call,
    service: &str,
    secret_of: impl Fn(&str) -> Option<String>,
) -> Result<String, Refusal> {
    let given = Given::read(call.header("authorization").ok_or(Refusal::Missing)?)?;
    let date = call
        .header("x-amz-date")
        .ok_or(Refusal::Incomplete("x-amz-date"))?;
    let when = parse_date(date).ok_or(Refusal::Incomplete("x-amz-date"))?;
    let secret = secret_of(&given.key).ok_or(Refusal::UnknownKey)?;
    if given.service != service {
        return Err(Refusal::Scope);
    }
    if !date.starts_with(&given.day) {
        return Err(Refusal::Incomplete("the scope's date"));
    }
    let apart = call
        .now
        .duration_since(when)
        .unwrap_or_else(|early| early.duration());
    if apart > SKEW {
        return Err(Refusal::Skewed);
    }
    for must in ["host", "x-amz-date"] {
        if !given.signed.iter().any(|name| name == must) {
            return Err(Refusal::Incomplete("a header that must be signed"));
        }
    }
    let canonical = canonical_request(call, &given.signed, service == "s3")?;
    if same(&given.signature, &sign(&canonical, date, &given, &secret)) {
        Ok(given.key)
    } else {
        Err(Refusal::Mismatch)
    }
}

/// The parts of the `Authorization` header.
#[derive(Debug)]
struct Given {
    key: String,
    day: String,
    region: String,
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
        let mut scope = credential.rsplit('/');
        let mut next = || scope.next().ok_or(Refusal::Incomplete("Credential"));
        let (end, service, region, day, key) = (next()?, next()?, next()?, next()?, next()?);
        if end != "aws4_request" {
            return Err(Refusal::Incomplete("Credential"));
        }
        Ok(Self {
            key: key.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed: signed.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }
}

fn canonical_request(call: &Call, signed: &[String], s3: bool) -> Result<String, Refusal> {
    let mut headers = String::new();
    for name in signed {
        let values = call.headers.get_all(name.as_str()).iter();
        let values: Vec<_> = values
            .map(|value| folded(&String::from_utf8_lossy(value.as_bytes())))
            .collect();
        if values.is_empty() {
            return Err(Refusal::Incomplete("a signed header is absent"));
        }
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    Ok(format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        call.method,
        canonical_path(&call.full_path, s3),
        canonical_query(&call.raw_query),
        signed.join(";"),
        payload_hash(call)?,
    ))
}

/// S3 signs the path as sent; every other service the path without dot segments, encoded once more.
fn canonical_path(path: &str, s3: bool) -> String {
    if s3 {
        let decoded: Vec<u8> = percent_decode_str(path).collect();
        return percent_encode(&decoded, PATH).to_string();
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let directory = path.ends_with(['/']) || path.ends_with("/.") || path.ends_with("/..");
    let mut normal = format!("/{}", kept.join("/"));
    if directory && !kept.is_empty() {
        normal.push('/');
    }
    percent_encode(normal.as_bytes(), PATH).to_string()
}

fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&decoded, UNRESERVED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(name), encoded(value))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn payload_hash(call: &Call) -> Result<String, Refusal> {
    let actual = call.digest();
    match call.header("x-amz-content-sha256") {
        None => Ok(actual),
        Some("UNSIGNED-PAYLOAD") => Ok("UNSIGNED-PAYLOAD".to_owned()),
        Some(claimed) if same(claimed, &actual) => Ok(actual),
        Some(_) => Err(Refusal::Payload),
    }
}

/// Without spaces at the ends, and runs of spaces made one.
fn folded(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sign(canonical: &str, date: &str, given: &Given, secret: &str) -> String {
    let scope = format!(
        "{}/{}/{}/aws4_request",
        given.day, given.region, given.service
    );
    let hash = hex(&Sha256::digest(canonical));
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), &given.day);
    for part in [&given.region, &given.service, "aws4_request"] {
        key = hmac(&key, part);
    }
    hex(&hmac(&key, &text))
}

pub(crate) fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is accepted; the error arm cannot be reached.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// `20150830T123600Z`.
fn parse_date(text: &str) -> Option<SystemTime> {
    let digits: String = text.strip_suffix('Z')?.split('T').collect();
    if digits.len() != 14 || text.len() != 16 {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u64>().ok();
    let day = days(number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let seconds = day * 86_400 + number(8, 10)? * 3600 + number(10, 12)? * 60 + number(12, 14)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as the official suite writes it: raw, with bare line ends and a path that may hold spaces.
    fn request(raw: &str, now: &str) -> Call {
        let (head, body) = raw.split_once("\n\n").unwrap_or((raw, ""));
        let mut lines: Vec<String> = Vec::new();
        for line in head.lines() {
            if line.starts_with(' ') {
                let last = lines.last_mut().unwrap();
                last.push(' ');
                last.push_str(line.trim());
            } else {
                lines.push(line.to_owned());
            }
        }
        let first = lines[0].strip_suffix(" HTTP/1.1").unwrap();
        let (method, target) = first.split_once(' ').unwrap();
        let headers: Vec<_> = lines[1..]
            .iter()
            .map(|line| line.split_once(':').unwrap())
            .collect();
        let mut call = Call::test("GET", "x", target, &[], body.as_bytes());
        call.method = method.parse().unwrap();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            call.headers.append(
                name,
                axum::http::HeaderValue::from_bytes(value.trim().as_bytes()).unwrap(),
            );
        }
        call.full_path = call.path.clone();
        call.now = parse_date(now).unwrap();
        call
    }

    #[test]
    fn official_vectors_are_accepted_and_changed_ones_are_not() {
        let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
            eprintln!("skipped: ISOBAR_CONTRACTS is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("speech/aws-sigv4-testsuite.json");
        let suite: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let known = text(&suite["credentials"]["secret_access_key"]);
        let secret = |id: &str| (id == "AKIDEXAMPLE").then(|| known.clone());
        let cases = suite["cases"].as_object().unwrap();
        assert!(cases.len() > 30);
        for (name, case) in cases {
            let now = text(&suite["credentials"]["x_amz_date"]);
            let signed = text(&case["sreq"]);
            let mut call = request(&signed, &now);
            // In one case of the suite the signed request carries another signature than the value beside it.
            let header = text(&case["authz"]).parse().unwrap();
            call.headers.insert("authorization", header);
            assert_eq!(
                verify(&call, "service", secret),
                Ok("AKIDEXAMPLE".to_owned()),
                "{name}"
            );
            let mut changed = call.clone();
            changed.body = [&call.body[..], b"!"].concat().into();
            assert_eq!(
                verify(&changed, "service", secret),
                Err(Refusal::Mismatch),
                "{name}"
            );
            let mut late = call.clone();
            late.now += SKEW + Duration::from_secs(1);
            assert_eq!(
                verify(&late, "service", secret),
                Err(Refusal::Skewed),
                "{name}"
            );
            assert_eq!(
                verify(&call, "other", secret),
                Err(Refusal::Scope),
                "{name}"
            );
            assert_eq!(
                verify(&call, "service", |_| None),
                Err(Refusal::UnknownKey),
                "{name}"
            );
        }
    }

    /// The plainest case of the official suite (Apache-2.0, AWS).
    #[test]
    fn the_plainest_vector_is_accepted() {
        let raw = "GET / HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let call = request(raw, "20150830T123600Z");
        let secret = |_: &str| Some("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        assert_eq!(
            verify(&call, "service", secret),
            Ok("AKIDEXAMPLE".to_owned())
        );
        let mut other = call.clone();
        other.raw_query = "a=b".to_owned();
        assert_eq!(verify(&other, "service", secret), Err(Refusal::Mismatch));
        other.headers.remove("authorization");
        assert_eq!(verify(&other, "service", secret), Err(Refusal::Missing));
    }

    #[test]
    fn paths_are_encoded_once_for_s3_and_twice_elsewhere() {
        assert_eq!(canonical_path("/aws/b/a%20b", true), "/aws/b/a%20b");
        assert_eq!(
            canonical_path("/aws/model/x%3A0", false),
            "/aws/model/x%253A0"
        );
        assert_eq!(canonical_path("/a/../b/./c//d/", false), "/b/c/d/");
        assert_eq!(canonical_path("/..", false), "/");
    }
}
