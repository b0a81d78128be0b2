//! Doors to the parsers at the edge, which are nobody else's to call, for the targets in `fuzz/`. Each takes any bytes and
//! asserts what must hold of them. Only built with the feature `fuzz`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "what does not hold is a panic, which the fuzzer looks for"
)]

use std::{
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use isobar_config::{Algorithm, Secret, Token, TokenKeys};

use crate::{
    edge::{
        announced, strict,
        token::{Parts, keys::KeySet},
        validate::{Head, Limits, validate},
    },
    route::router::{Captures, Found, Router, Subject},
    serve::{
        cache::policy::{Asked, Terms, Wishes},
        framing,
    },
};

/// `METHOD TARGET VERSION`, then `name: value` lines.
struct Read<'a> {
    method: Method,
    path: &'a str,
    version: Version,
    headers: HeaderMap,
}

fn read(data: &[u8]) -> Option<Read<'_>> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut words = std::str::from_utf8(lines.next()?).ok()?.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let path = words.next()?;
    let version = match words.next() {
        Some("HTTP/1.0") => Version::HTTP_10,
        Some("HTTP/2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    Some(Read {
        method,
        path,
        version,
        headers: fields(lines),
    })
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(at) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(at);
        let name = HeaderName::from_bytes(name);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

static ROUTER: LazyLock<(Router, Vec<isobar_config::Matcher>)> = LazyLock::new(|| {
    let written = [
        "/*",
        "/admin",
        "/v1/{a}/items/{b}",
        "/v1/{a}/*",
        "GET /v1/models",
        "POST /v1/models",
        "/v1/b%20c/{d}/*",
    ];
    let matchers: Vec<_> = written
        .iter()
        .filter_map(|text| isobar_config::matcher(text).ok())
        .collect();
    (Router::new(matchers.clone()), matchers)
});

/// A head: what passes validation has one reading, and the path that is matched is the path that is forwarded.
pub fn head(data: &[u8]) {
    let Some(read) = read(data) else { return };
    let path = read.path.split('?').next().unwrap_or_default();
    fn parts<'a>(read: &'a Read<'a>, path: &'a str, raw: Option<&'a [u8]>) -> Head<'a> {
        Head {
            method: &read.method,
            version: read.version,
            path,
            headers: &read.headers,
            raw,
        }
    }
    let limits = Limits {
        bytes: 16 * 1024,
        headers: 100,
    };
    let raw_or_parsed = [
        validate(parts(&read, path, Some(data)), limits),
        validate(parts(&read, path, None), limits),
    ];
    for valid in raw_or_parsed.into_iter().flatten() {
        let settled = valid.path.clone().into_owned();
        // Reading it again changes nothing.
        let again = validate(parts(&read, &settled, None), limits);
        assert_eq!(again.as_ref(), Ok(&valid), "{settled}");
        // A server that decodes it does not climb.
        let decoded = percent_encoding::percent_decode_str(&settled).decode_utf8_lossy();
        let climbs = decoded.split(['/', '\\']).any(|part| {
            let bare = part.split(';').next().unwrap_or_default();
            matches!(bare, "." | "..")
        });
        assert!(!climbs, "{settled}");
        assert!(!settled.bytes().any(|byte| byte <= b' ' || byte == 0x7f));
        let subject = Subject {
            host: &valid.host,
            path: &settled,
            method: &read.method,
            headers: &read.headers,
        };
        let (router, matchers) = &*ROUTER;
        match router.find(subject) {
            Found::Route(index) => {
                let captures = Captures::of(&matchers[index].path, &settled);
                for (_, value) in captures.parameters {
                    assert!(!value.contains('/'));
                }
                assert!(settled.ends_with(captures.rest));
            }
            Found::OtherMethods(_) => {}
            // `/*` takes every path.
            Found::Nothing => assert_eq!(settled, "*"),
        }
    }
}

/// What HTTP caching says of an answer: nothing private or forbidden is ever kept.
pub fn caching(data: &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    let (asked, answered) = data.split_at(at.unwrap_or(data.len()));
    let asked = fields(asked.split(|byte| *byte == b'\n'));
    let answered = fields(answered.split(|byte| *byte == b'\n'));
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let wishes = Wishes::of(&asked);
    let settings = isobar_config::Cache {
        shared: false,
        fresh: Some(Duration::from_mins(1)),
        stale_if_error: None,
        stale_while_revalidate: None,
        answer: 1 << 20,
    };
    for authorised in [false, true] {
        let question = Asked {
            method: &Method::GET,
            wishes,
            authorised,
            sent: now,
        };
        for status in [
            StatusCode::OK,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::FOUND,
        ] {
            let terms = Terms::of(question, status, &answered, now, &settings);
            let forbids = answered.get_all("cache-control").iter().any(|value| {
                let words = value.as_bytes().split(|byte| *byte == b',');
                words.map(<[u8]>::trim_ascii).any(|word| {
                    word.eq_ignore_ascii_case(b"no-store") || word.eq_ignore_ascii_case(b"private")
                })
            });
            let quoted = answered
                .get_all("cache-control")
                .iter()
                .any(|value| value.as_bytes().contains(&b'"'));
            let private = answered.contains_key("set-cookie");
            assert!(terms.is_none() || quoted || !forbids);
            assert!(terms.is_none() || !private);
            assert!(terms.is_none() || status != StatusCode::PARTIAL_CONTENT);
        }
    }
}

/// The PROXY protocol: never more is read than it has.
pub fn announced(data: &[u8]) {
    let mut left = data;
    let read = announced::read(&mut left).now_or_never();
    let read = read.expect("bytes in memory are there at once");
    if let Ok(Some(address)) = read {
        assert!(left.len() < data.len());
        let _ = address.to_string();
    }
}

/// A token, for which nobody has the key: never let in.
pub fn token(data: &[u8]) {
    static KEYS: LazyLock<KeySet> =
        LazyLock::new(|| KeySet::shared("a-secret-of-thirty-two-bytes-or-more"));
    let settings = Token {
        issuer: "https://issuer.example.com".to_owned(),
        audiences: vec!["api".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        keys: TokenKeys::Secret(Secret::new("a-secret-of-thirty-two-bytes-or-more")),
        leeway: Duration::from_mins(1),
        subject: "sub".to_owned(),
        scopes: None,
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let at = memchr::memchr(b'\n', data).unwrap_or(data.len());
    let (set, token) = data.split_at(at);
    let token = token.strip_prefix(b"\n").unwrap_or(token);
    let theirs = KeySet::parse(set).ok();
    for token in [data, token] {
        let Some(parts) = Parts::of(token) else {
            continue;
        };
        let _ = parts.issuer();
        assert!(parts.verify(&settings, &KEYS, now).is_err());
        if let Some(keys) = &theirs {
            let _ = parts.verify(&settings, keys, now);
        }
    }
}

/// JSON of clients: what is read is what the usual parser reads, or refused.
pub fn strict(data: &[u8]) {
    if let Ok(value) = strict::value(data) {
        let usual = serde_json::from_slice::<serde_json::Value>(data).ok();
        assert_eq!(usual.as_ref(), Some(&value));
    }
}

/// A vendor's answer of HTTP/1.1, behind a byte that says in pieces of which size it comes, and to which method: what it is
/// read as does not depend on the pieces, and nothing is in it that did not come.
pub fn response(data: &[u8]) {
    let Some((first, raw)) = data.split_first() else {
        return;
    };
    let method = if *first >= 128 {
        Method::HEAD
    } else {
        Method::GET
    };
    let by = |step| framing::read_by(raw, step, &method);
    let whole = by(raw.len().max(1));
    assert_eq!(by(usize::from(*first % 128) + 1), whole);
    if let Ok(whole) = whole {
        assert!(whole.body.len() + whole.left.len() <= raw.len());
        assert!(raw.ends_with(&whole.left));
    }
}
