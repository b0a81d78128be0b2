//! Refuses requests that two parsers could read in two ways, before anything else looks at them.
//!
//! Pingora's parser has already refused the grossest shapes; what it lets through is listed test by test below. What
//! passes here is matched, authorised and forwarded as the same bytes.

use std::borrow::Cow;

use http::{HeaderMap, Method, Version, header};

use crate::serve::framing;

/// What is looked at of a request's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    /// Target as the client sent it, without scheme and authority.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// The head as it came, where the protocol has one.
    pub(crate) raw: Option<&'a [u8]>,
}

/// Limits of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) headers: usize,
}

/// What a good head says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Valid<'a> {
    /// Lower case, without port; empty for HTTP/1.0 without `Host`.
    pub(crate) host: Cow<'a, str>,
    /// Path with needless percent-escapes resolved; this is what is matched and forwarded.
    pub(crate) path: Cow<'a, str>,
    /// Length of the body, if the client said.
    pub(crate) length: Option<u64>,
    /// Whether a body follows at all.
    pub(crate) has_body: bool,
}

/// Status and reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

const fn refuse<T>(status: u16, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, reason })
}

/// Checks a head; `path` excludes the query.
pub(crate) fn validate(head: Head<'_>, limits: Limits) -> Result<Valid<'_>, Refusal> {
    size(head, limits)?;
    if *head.method == Method::TRACE || *head.method == Method::CONNECT {
        return refuse(405, "TRACE and CONNECT are not served");
    }
    if !matches!(
        head.version,
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2
    ) {
        return refuse(505, "this HTTP version is not served");
    }
    if head.raw.is_some_and(has_bare_newline) {
        return refuse(400, "a line of the head ends without a carriage return");
    }
    let host = host(head)?;
    let length = length(head)?;
    let path = path(head)?;
    let has_body = length.map_or(
        head.headers.contains_key(header::TRANSFER_ENCODING),
        |length| length > 0,
    );
    Ok(Valid {
        host,
        path,
        length,
        has_body,
    })
}

fn size(head: Head<'_>, limits: Limits) -> Result<(), Refusal> {
    let fields = || {
        head.headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
    };
    let bytes = head
        .raw
        .map_or_else(|| head.path.len() + fields(), <[u8]>::len);
    if bytes > limits.bytes {
        return refuse(431, "the request's head is too large");
    }
    if head.headers.len() > limits.headers {
        return refuse(431, "the request has too many headers");
    }
    Ok(())
}

fn has_bare_newline(raw: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', raw).any(|at| {
        let before = at.checked_sub(1).and_then(|before| raw.get(before));
        before != Some(&b'\r')
    })
}

fn has_length(raw: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    raw.split(|byte| *byte == b'\n').any(|line| {
        line.get(..NAME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(NAME))
    })
}

fn host(head: Head<'_>) -> Result<Cow<'_, str>, Refusal> {
    let mut values = head.headers.get_all(header::HOST).iter();
    let Some(value) = values.next() else {
        if head.version == Version::HTTP_10 {
            return Ok(Cow::Borrowed(""));
        }
        return refuse(400, "the request names no host");
    };
    if values.next().is_some() {
        return refuse(400, "the request names its host twice");
    }
    let Some(text) = value.to_str().ok().filter(|text| !text.is_empty()) else {
        return refuse(400, "the host is not a name");
    };
    let without_port = match text.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        Some((_, port)) if !port.ends_with(']') => {
            return refuse(400, "the host's port is not a number");
        }
        _ => text,
    };
    if !is_host(without_port) {
        return refuse(400, "the host is not a name");
    }
    let trimmed = without_port.strip_suffix('.').unwrap_or(without_port);
    if trimmed.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(trimmed.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(trimmed))
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !matches!(text, "" | ".") && text.bytes().all(good)
}

/// One way to tell where the body ends: `chunked` alone, or one length (repeats that agree count as one).
fn length(head: Head<'_>) -> Result<Option<u64>, Refusal> {
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        if head.version != Version::HTTP_11 {
            return refuse(400, "Transfer-Encoding belongs to HTTP/1.1");
        }
        // Pingora drops the length of a chunked request while parsing, so the head as it came is asked too.
        if head.headers.contains_key(header::CONTENT_LENGTH) || head.raw.is_some_and(has_length) {
            return refuse(400, "the body's length is given in two ways");
        }
        if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return refuse(501, "the only transfer encoding served is chunked");
        }
        return Ok(None);
    }
    framing::length(head.headers).or_else(|why| refuse(400, why))
}

fn path(head: Head<'_>) -> Result<Cow<'_, str>, Refusal> {
    if head.path == "*" && *head.method == Method::OPTIONS {
        return Ok(Cow::Borrowed("*"));
    }
    if !head.path.starts_with('/') {
        return refuse(400, "the path does not start with a slash");
    }
    if head
        .path
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#'))
    {
        return refuse(400, "the path has a character that must be escaped");
    }
    let path = resolve_escapes(head.path)?;
    if climbs(&path) {
        return refuse(400, "the path has `.` or `..` segments");
    }
    Ok(path)
}

/// Whether a server that takes escaped slashes and backslashes for separators, or cuts parameters off, would find `.` or
/// `..` among the segments.
fn climbs(path: &str) -> bool {
    let is_dots = |segment: &str| {
        let bare = segment.split(';').next().unwrap_or_default();
        matches!(bare, "." | "..")
    };
    if !path.contains('%') {
        // Most paths have no segment that begins with a dot.
        let has_dot = path.as_bytes().windows(2).any(|pair| pair == b"/.");
        return has_dot && path.split('/').any(is_dots);
    }
    let folded = path.to_ascii_lowercase();
    folded
        .split('/')
        .flat_map(|part| part.split("%2f"))
        .flat_map(|part| part.split("%5c"))
        .flat_map(|part| part.split("%3b").take(1))
        .any(is_dots)
}

/// Resolves escapes of characters that need none (RFC 3986 §6.2.2.2), so that `/%61dmin` is `/admin` for us as it is
/// for the vendor; refuses broken escapes and an escaped NUL.
fn resolve_escapes(path: &str) -> Result<Cow<'_, str>, Refusal> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut resolved = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        resolved.push_str(before);
        let Some(byte) = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        else {
            return refuse(400, "the path has a broken percent-escape");
        };
        if byte < 0x20 || byte == 0x7f {
            return refuse(400, "the path has an escaped control character");
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            resolved.push(char::from(byte));
        } else {
            resolved.push('%');
            resolved.push_str(after.get(..2).unwrap_or_default());
        }
        rest = after.get(2..).unwrap_or_default();
    }
    resolved.push_str(rest);
    Ok(Cow::Owned(resolved))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1_000,
        headers: 10,
    };

    fn check(
        line: &str,
        headers: &[(&str, &str)],
        expected: Result<(&str, &str, Option<u64>), u16>,
    ) {
        let mut words = line.split(' ');
        let method: Method = words.next().unwrap().parse().unwrap();
        let path = words.next().unwrap();
        let version = if line.ends_with("1.0") {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let head = Head {
            method: &method,
            version,
            path,
            headers: &map,
            raw: None,
        };
        let seen = validate(head, LIMITS);
        let seen = seen
            .as_ref()
            .map(|valid| (&*valid.host, &*valid.path, valid.length))
            .map_err(|refusal| refusal.status);
        assert_eq!(seen, expected, "{line} {headers:?}");
    }

    const H: (&str, &str) = ("host", "h");

    #[test]
    fn hosts_are_required_single_and_plain() {
        check("GET /a HTTP/1.1", &[], Err(400));
        check("GET /a HTTP/1.0", &[], Ok(("", "/a", None)));
        check("GET /a HTTP/1.1", &[H, H], Err(400));
        check(
            "GET /a HTTP/1.1",
            &[("host", "API.Example.com:8080")],
            Ok(("api.example.com", "/a", None)),
        );
        check(
            "GET /a HTTP/1.1",
            &[("host", "[::1]:80")],
            Ok(("[::1]", "/a", None)),
        );
        check(
            "GET /a HTTP/1.1",
            &[("host", "[::1]")],
            Ok(("[::1]", "/a", None)),
        );
        check(
            "GET /a HTTP/1.1",
            &[("host", "example.com.")],
            Ok(("example.com", "/a", None)),
        );
        for bad in [
            "a b", "a/b", "user@h", "h:x", "", "h?x", ".", "a:b:80", "[a]", "[::1", "::1",
        ] {
            check("GET /a HTTP/1.1", &[("host", bad)], Err(400));
        }
    }

    #[test]
    fn a_body_ends_in_one_way() {
        let te = ("transfer-encoding", "chunked");
        check("POST /a HTTP/1.1", &[H, te], Ok(("h", "/a", None)));
        check(
            "POST /a HTTP/1.1",
            &[H, te, ("content-length", "3")],
            Err(400),
        );
        check("POST /a HTTP/1.1", &[H, te, te], Err(501));
        check(
            "POST /a HTTP/1.1",
            &[H, ("transfer-encoding", "gzip, chunked")],
            Err(501),
        );
        check(
            "POST /a HTTP/1.1",
            &[H, ("transfer-encoding", "identity")],
            Err(501),
        );
        check("POST /a HTTP/1.0", &[H, te], Err(400));
        check(
            "POST /a HTTP/1.1",
            &[H, ("content-length", "3"), ("content-length", "3")],
            Ok(("h", "/a", Some(3))),
        );
        check(
            "POST /a HTTP/1.1",
            &[H, ("content-length", "3, 3")],
            Ok(("h", "/a", Some(3))),
        );
        for bad in [
            "3, 4",
            "+3",
            "-1",
            "0x3",
            "",
            "3,",
            "99999999999999999999999",
        ] {
            check("POST /a HTTP/1.1", &[H, ("content-length", bad)], Err(400));
        }
    }

    #[test]
    fn paths_have_one_reading() {
        check("GET /%61dmin HTTP/1.1", &[H], Ok(("h", "/admin", None)));
        check(
            "GET /a%2Fb%20c HTTP/1.1",
            &[H],
            Ok(("h", "/a%2Fb%20c", None)),
        );
        check("GET //a HTTP/1.1", &[H], Ok(("h", "//a", None)));
        check("GET /a/...;x HTTP/1.1", &[H], Ok(("h", "/a/...;x", None)));
        check("OPTIONS * HTTP/1.1", &[H], Ok(("h", "*", None)));
        for bad in [
            "*",
            "a",
            "/a/../b",
            "/a/%2e%2E/b",
            "/.",
            "/a/..;x/b",
            "/a/..%2fb",
            "/a%2F..%2Fb",
            "/a/..%5cb",
            "/a/..%3bx/b",
            "/%00",
            "/%0d%0a",
            "/%7f",
            "/%zz",
            "/%2",
            "/a\\b",
            "/a#b",
        ] {
            check(&format!("GET {bad} HTTP/1.1"), &[H], Err(400));
        }
    }

    #[test]
    fn trace_and_connect_are_refused() {
        check("TRACE /a HTTP/1.1", &[H], Err(405));
        check("CONNECT /a HTTP/1.1", &[H], Err(405));
    }

    #[test]
    fn large_heads_are_refused() {
        check("GET /a HTTP/1.1", &[H, ("x", &"x".repeat(1_000))], Err(431));
        check("GET /a HTTP/1.1", &[H; 11], Err(431));
    }

    #[test]
    fn a_bare_newline_in_the_raw_head_is_seen() {
        assert!(has_bare_newline(b"GET / HTTP/1.1\nHost: h\r\n\r\n"));
        assert!(!has_bare_newline(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    }

    /// What arbitrary heads are made of: what attacks are made of, and noise.
    mod arbitrary {
        use proptest::{prelude::*, sample::select};

        use super::*;

        fn path() -> impl Strategy<Value = String> {
            let pieces = [
                "/", "/", "/", "a", "B", ".", "..", "%2e", "%2E", "%2f", "%5C", "%3b", ";", ";x",
                "%25", "%61", "%00", "%0d", "%7f", "%", "%zz", "\\", "?", "#", " ", "é", "*",
                "%c3%a9", "//",
            ];
            let crafted = prop::collection::vec(select(pieces.to_vec()), 0..8);
            prop_oneof![
                4 => crafted.prop_map(|pieces| format!("/{}", pieces.concat())),
                1 => ".*",
            ]
        }

        fn value(crafted: &'static [&'static str]) -> impl Strategy<Value = HeaderValue> {
            let noise = prop::collection::vec(
                prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8, Just(b'\t')],
                0..12,
            );
            prop_oneof![
                6 => select(crafted).prop_map(HeaderValue::from_static),
                1 => noise.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
            ]
        }

        fn field() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
            let host = value(&[
                "h",
                "H.example.com:80",
                "[::1]:8",
                "h:",
                "a:b:1",
                "[a]",
                "h/",
                "u@h",
                "",
                ".",
            ]);
            let length = value(&[
                "0",
                "3",
                "3",
                "3, 3",
                "3,4",
                "+3",
                "-1",
                "03",
                " 3",
                "3 ",
                "0x3",
                "99999999999999999999",
            ]);
            let coding = value(&[
                "chunked",
                "chunked",
                "Chunked",
                "gzip, chunked",
                "identity",
                "xchunked",
                "chunked, chunked",
                "",
            ]);
            let other = value(&["x", "close", "100-continue"]);
            prop_oneof![
                3 => (Just(header::HOST), host),
                2 => (Just(header::CONTENT_LENGTH), length),
                1 => (Just(header::TRANSFER_ENCODING), coding),
                1 => (Just(HeaderName::from_static("x-other")), other),
            ]
        }

        #[derive(Debug, Clone)]
        struct Sent {
            method: Method,
            version: Version,
            path: String,
            headers: HeaderMap,
            raw: Option<Vec<u8>>,
        }

        fn sent() -> impl Strategy<Value = Sent> {
            let methods =
                select(["GET", "POST", "OPTIONS", "TRACE", "CONNECT", "MADE-UP"].as_slice());
            let versions = [
                Version::HTTP_09,
                Version::HTTP_10,
                Version::HTTP_11,
                Version::HTTP_11,
                Version::HTTP_2,
            ];
            let version = select(versions.to_vec());
            let fields = prop::collection::vec(field(), 0..6);
            let line_end = select(["\r\n", "\r\n", "\r\n", "\n"].as_slice());
            (methods, version, path(), fields, line_end, any::<bool>()).prop_map(
                |(method, version, path, fields, line_end, has_raw)| {
                    let mut raw = format!("{method} {path} HTTP/1.1{line_end}").into_bytes();
                    let mut headers = HeaderMap::new();
                    for (name, value) in fields {
                        raw.extend_from_slice(format!("{name}: ").as_bytes());
                        raw.extend_from_slice(value.as_bytes());
                        raw.extend_from_slice(line_end.as_bytes());
                        headers.append(name, value);
                    }
                    raw.extend_from_slice(line_end.as_bytes());
                    let raw = has_raw.then_some(raw);
                    Sent {
                        method: method.parse().unwrap(),
                        version,
                        path,
                        headers,
                        raw,
                    }
                },
            )
        }

        fn judge(sent: &Sent) -> Result<Valid<'_>, Refusal> {
            let head = Head {
                method: &sent.method,
                version: sent.version,
                path: &sent.path,
                headers: &sent.headers,
                raw: sent.raw.as_deref(),
            };
            validate(head, LIMITS)
        }

        /// Decodes everything once and cuts parameters off, as careless servers do.
        fn careless_segments(path: &str) -> Vec<String> {
            let decoded = percent_encoding::percent_decode_str(path)
                .decode_utf8_lossy()
                .replace('\\', "/");
            let bare = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
            decoded.split('/').map(bare).collect()
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(4_000))]

            #[test]
            fn heads_are_refused_or_have_one_reading(sent in sent()) {
                let valid = match judge(&sent) {
                    Ok(valid) => valid,
                    Err(refusal) => {
                        prop_assert!(matches!(refusal.status, 400 | 405 | 431 | 501 | 505));
                        return Ok(());
                    }
                };
                prop_assert!(sent.method != Method::TRACE && sent.method != Method::CONNECT);
                prop_assert!(!sent.raw.as_deref().is_some_and(has_bare_newline));

                let hosts = sent.headers.get_all(header::HOST).iter().count();
                prop_assert!(hosts == 1 || hosts == 0 && sent.version == Version::HTTP_10);
                let is_address = valid.host.starts_with('[') && valid.host.ends_with(']');
                prop_assert!(is_address || !valid.host.contains([':', '[', ']']));
                prop_assert!(!valid.host.contains(|c: char| c.is_ascii_uppercase() || !c.is_ascii_graphic() || "/@?#\\".contains(c)));
                prop_assert_eq!(hosts == 0, valid.host.is_empty());

                let codings: Vec<_> = sent.headers.get_all(header::TRANSFER_ENCODING).iter().collect();
                let lengths: Vec<_> = sent.headers.get_all(header::CONTENT_LENGTH).iter().collect();
                prop_assert!(codings.len() <= 1 && (codings.is_empty() || lengths.is_empty()));
                prop_assert!(codings.iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")));
                prop_assert!(codings.is_empty() || sent.version == Version::HTTP_11);
                for part in lengths.iter().flat_map(|value| value.to_str().unwrap().split(',')) {
                    prop_assert_eq!(part.trim().parse().ok(), valid.length);
                    prop_assert!(part.trim().bytes().all(|byte| byte.is_ascii_digit()));
                }
                prop_assert_eq!(valid.length.is_some(), !lengths.is_empty());
                prop_assert_eq!(valid.has_body, !codings.is_empty() || valid.length.is_some_and(|length| length > 0));

                prop_assert!(valid.path.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(valid.path.starts_with('/') || &*valid.path == "*" && sent.method == Method::OPTIONS);
                let segments = careless_segments(&valid.path);
                prop_assert!(!segments.iter().any(|segment| segment == "." || segment == ".."), "{:?}", segments);
                prop_assert!(!segments.iter().any(|segment| segment.contains(|c: char| c.is_ascii_control())), "{:?}", segments);
                let again = Sent { path: valid.path.to_string(), raw: None, ..sent.clone() };
                prop_assert_eq!(judge(&again).map(|again| again.path.into_owned()), Ok(valid.path.into_owned()));
            }

            #[test]
            fn two_ways_to_end_a_body_are_one_too_many(
                mut sent in sent(),
                first in select(["3", "4", "chunked", "gzip, chunked", "chunked, chunked"].as_slice()),
                second in select(["5", "chunked", "identity"].as_slice()),
            ) {
                let (coding, length) = (header::TRANSFER_ENCODING, header::CONTENT_LENGTH);
                for value in [first, second] {
                    let is_length = value.bytes().all(|byte| byte.is_ascii_digit());
                    sent.headers.append(if is_length { &length } else { &coding }, HeaderValue::from_static(value));
                }
                prop_assert!(judge(&sent).is_err());
            }
        }
    }
}
