//! AWS Signature Version 4, in the header.
//!
//! What is signed is the raw target of the request, so the URI must be the one that goes on the wire: an HTTP client
//! that still re-encodes it breaks the signature.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::{fmt, time::SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, HOST},
    request::Parts,
};
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};

use super::{
    SignError,
    date::Moment,
    digest::{hex, hmac_sha256, sha256},
    encode::{PATH, VALUE},
    error::{check_credential, sensitive_value},
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers that hops on the way, or our own client, may add, change or drop after the signature is made.
const NOT_SIGNED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Who signs.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// Names the key; not secret.
    pub(crate) access_key_id: &'a str,
    /// The secret half.
    pub(crate) secret_access_key: &'a str,
    /// Goes with temporary credentials.
    pub(crate) session_token: Option<&'a str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials<'_> {
    fn check(&self) -> Result<(), SignError> {
        check_credential("access key id", self.access_key_id)?;
        if self.access_key_id.contains('/') {
            return Err(SignError::Credential {
                name: "access key id",
                problem: "holds a slash; is it the secret access key?",
            });
        }
        check_credential("secret access key", self.secret_access_key)?;
        match self.session_token {
            Some(token) => check_credential("session token", token),
            None => Ok(()),
        }
    }
}

/// Where the signature holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Region code, such as `eu-central-1`.
    pub(crate) region: &'a str,
    /// Signing name of the service, such as `polly`; not always the first label of its host.
    pub(crate) service: &'a str,
}

impl Scope<'_> {
    fn check(&self) -> Result<(), SignError> {
        for (name, value) in [("region", self.region), ("service", self.service)] {
            check_credential(name, value)?;
            if value.contains('/') {
                return Err(SignError::Credential {
                    name,
                    problem: "holds a slash",
                });
            }
        }
        Ok(())
    }

    /// S3 takes object keys as they are; every other service normalises the path and encodes it once more.
    fn is_storage(&self) -> bool {
        matches!(self.service, "s3" | "s3-outposts" | "s3-object-lambda")
    }
}

/// Signs a request, its `host` header included, in the `authorization` header.
///
/// `body_sha256: None` leaves the body unsigned, which S3 allows over TLS. Sets `x-amz-date` and, for S3 or an unsigned
/// body, `x-amz-content-sha256`; replaces what an earlier attempt left. Fails if a credential cannot be right or the
/// request has no `host` header, and then leaves the request as it was.
pub(crate) fn sign(
    parts: &mut Parts,
    body_sha256: Option<[u8; 32]>,
    credentials: &Credentials<'_>,
    scope: &Scope<'_>,
    now: SystemTime,
) -> Result<(), SignError> {
    let signer = Signer::new(credentials, scope, now)?;
    if !parts.headers.contains_key(HOST) {
        return Err(SignError::MissingHeader("host"));
    }
    let date = HeaderValue::from_str(&signer.date).map_err(|_| SignError::Clock)?;
    let payload = body_sha256.map_or_else(|| UNSIGNED.to_owned(), |digest| hex(&digest));
    let token = credentials
        .session_token
        .map(|token| sensitive_value("session token", token))
        .transpose()?;

    let headers = &mut parts.headers;
    headers.insert(DATE, date);
    replace(headers, SECURITY_TOKEN, token);
    let announced = (scope.is_storage() || body_sha256.is_none())
        .then(|| HeaderValue::from_str(&payload))
        .and_then(Result::ok);
    replace(headers, CONTENT_SHA256, announced);

    let authorization = signer.authorization(&Canonical {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        payload: &payload,
    });
    let value = sensitive_value("access key id", &authorization)?;
    parts.headers.insert(AUTHORIZATION, value);
    Ok(())
}

fn replace(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

/// The parts of a request that a signature covers.
struct Canonical<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    payload: &'a str,
}

/// One use of the credentials: what the steps of the signature share.
struct Signer<'a> {
    credentials: &'a Credentials<'a>,
    scope: &'a Scope<'a>,
    /// `20150830T123600Z`.
    date: String,
    /// `20150830`.
    day: String,
    /// `20150830/us-east-1/service/aws4_request`.
    scope_text: String,
}

impl<'a> Signer<'a> {
    fn new(
        credentials: &'a Credentials<'a>,
        scope: &'a Scope<'a>,
        now: SystemTime,
    ) -> Result<Self, SignError> {
        credentials.check()?;
        scope.check()?;
        let moment = Moment::of(now)?;
        let day = moment.compact_day();
        Ok(Self {
            credentials,
            scope,
            date: moment.compact(),
            scope_text: format!("{day}/{}/{}/aws4_request", scope.region, scope.service),
            day,
        })
    }

    fn authorization(&self, request: &Canonical<'_>) -> String {
        let (text, signed) = self.canonical(request);
        let signature = self.signature(&self.string_to_sign(&text));
        format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={signed}, Signature={signature}",
            self.credentials.access_key_id, self.scope_text,
        )
    }

    /// The canonical request and the list of signed headers. Bytes, for a header may hold any.
    fn canonical(&self, request: &Canonical<'_>) -> (Vec<u8>, String) {
        let mut names: Vec<&str> = request
            .headers
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| !NOT_SIGNED.contains(name))
            .collect();
        names.sort_unstable();
        let signed = names.join(";");

        let mut text = Vec::with_capacity(512);
        for line in [
            request.method,
            &canonical_path(request.path, self.scope),
            &canonical_query(request.query),
        ] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        for name in names {
            text.extend_from_slice(name.as_bytes());
            for (index, value) in request.headers.get_all(name).iter().enumerate() {
                text.push(if index == 0 { b':' } else { b',' });
                push_collapsed(&mut text, value.as_bytes());
            }
            text.push(b'\n');
        }
        for part in ["\n", &signed, "\n", request.payload] {
            text.extend_from_slice(part.as_bytes());
        }
        (text, signed)
    }

    fn string_to_sign(&self, canonical: &[u8]) -> String {
        let digest = hex(&sha256(canonical));
        format!("{ALGORITHM}\n{}\n{}\n{digest}", self.date, self.scope_text)
    }

    fn signature(&self, string_to_sign: &str) -> String {
        let secret = format!("AWS4{}", self.credentials.secret_access_key);
        let day = hmac_sha256(secret.as_bytes(), self.day.as_bytes());
        let region = hmac_sha256(&day, self.scope.region.as_bytes());
        let service = hmac_sha256(&region, self.scope.service.as_bytes());
        let key = hmac_sha256(&service, b"aws4_request");
        hex(&hmac_sha256(&key, string_to_sign.as_bytes()))
    }
}

fn canonical_path(path: &str, scope: &Scope<'_>) -> String {
    if scope.is_storage() {
        let key: Vec<u8> = percent_decode_str(path).collect();
        return if key.is_empty() {
            "/".to_owned()
        } else {
            encode(&key, PATH)
        };
    }
    encode(without_dots(path).as_bytes(), PATH)
}

/// Removes `.`, `..` and empty segments, as RFC 3986 section 5.2.4 does for the first two.
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let is_folder = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    let end = if is_folder && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

/// The pairs in byte order of their encoded names, then values; `+` means a space, as servers read it.
fn canonical_query(query: &str) -> String {
    let recoded = |text: &str| {
        let text = text.replace('+', "%20");
        encode(&percent_decode_str(&text).collect::<Vec<u8>>(), VALUE)
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recoded(name), recoded(value))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Trims the value and turns each run of blanks in it, quoted or not, into one space.
fn push_collapsed(text: &mut Vec<u8>, value: &[u8]) {
    let words = value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

fn encode(bytes: &[u8], keep: &'static AsciiSet) -> String {
    percent_encode(bytes, keep).to_string()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use http::{Request, Uri};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    const KEYS: Credentials<'_> = Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token: None,
    };
    const SCOPE: Scope<'_> = Scope {
        region: "us-east-1",
        service: "service",
    };
    /// The account and place of the examples in S3's own documentation.
    const S3_KEYS: Credentials<'_> = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        session_token: None,
    };
    const S3: Scope<'_> = Scope {
        region: "us-east-1",
        service: "s3",
    };

    fn at(text: &str) -> SystemTime {
        httpdate::parse_http_date(text).unwrap()
    }

    fn suite_time() -> SystemTime {
        at("Sun, 30 Aug 2015 12:36:00 GMT")
    }

    fn s3_time() -> SystemTime {
        at("Fri, 24 May 2013 00:00:00 GMT")
    }

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn authorization_of(parts: &Parts) -> String {
        parts.headers[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[derive(Deserialize)]
    struct Suite {
        cases: BTreeMap<String, Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        request: String,
        canonical_request: String,
        string_to_sign: String,
        authorization: String,
    }

    /// Method, target, headers and body of a request written out.
    fn take_apart(text: &str) -> (&str, &str, HeaderMap, &str) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let (line, rest) = head.split_once('\n').unwrap();
        let (method, target) = line.split_once(' ').unwrap();
        let target = target.strip_suffix(" HTTP/1.1").unwrap();
        let mut headers = HeaderMap::new();
        for line in rest.replace("\n ", " ").lines() {
            let (name, value) = line.split_once(':').unwrap();
            let name: HeaderName = name.to_lowercase().parse().unwrap();
            headers.append(name, value.trim().parse().unwrap());
        }
        (method, target, headers, body)
    }

    #[test]
    fn the_official_suite_is_signed_as_printed() {
        let text = include_str!("../../../../tests/fixtures/auth/aws-sigv4-testsuite.json");
        let suite: Suite = serde_json::from_str(text).unwrap();
        assert_eq!(suite.cases.len(), 34);
        let mut unrepresentable = Vec::new();
        for (name, case) in &suite.cases {
            let (method, target, mut headers, body) = take_apart(&case.request);
            let token_line = case
                .canonical_request
                .lines()
                .find_map(|line| line.strip_prefix("x-amz-security-token:"));
            let credentials = Credentials {
                session_token: token_line,
                ..KEYS
            };
            if let Some(token) = token_line {
                headers.insert(SECURITY_TOKEN, token.parse().unwrap());
            }
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let canonical = Canonical {
                method,
                path,
                query,
                headers: &headers,
                payload: &hex(&sha256(body.as_bytes())),
            };
            let signer = Signer::new(&credentials, &SCOPE, suite_time()).unwrap();
            let (text, _) = signer.canonical(&canonical);
            assert_eq!(
                String::from_utf8_lossy(&text),
                case.canonical_request,
                "{name}"
            );
            assert_eq!(signer.string_to_sign(&text), case.string_to_sign, "{name}");
            assert_eq!(
                signer.authorization(&canonical),
                case.authorization,
                "{name}"
            );

            // Again the way callers go, starting without the headers that signing adds.
            let Ok(uri) = target.parse::<Uri>() else {
                unrepresentable.push(name.as_str());
                continue;
            };
            headers.remove(DATE);
            headers.remove(SECURITY_TOKEN);
            let mut parts = parts(method, "/", &[]);
            parts.uri = uri;
            parts.headers = headers;
            let digest = Some(sha256(body.as_bytes()));
            sign(&mut parts, digest, &credentials, &SCOPE, suite_time()).unwrap();
            assert_eq!(authorization_of(&parts), case.authorization, "{name}");
            assert_eq!(parts.headers[DATE], "20150830T123600Z", "{name}");
        }
        // A space in a target is no HTTP; the case is checked above, below `sign`.
        assert_eq!(unrepresentable, ["normalize-path/get-space"]);
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    #[test]
    fn the_examples_of_s3_are_signed_as_printed() {
        const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
        let check = |method, target, headers: &[(&str, &str)], body: &[u8], expected: &str| {
            let mut parts = parts(method, target, headers);
            sign(&mut parts, Some(sha256(body)), &S3_KEYS, &S3, s3_time()).unwrap();
            assert_eq!(
                authorization_of(&parts),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, {expected}"
                )
            );
        };
        check(
            "GET",
            "/test.txt",
            &[HOST, ("range", "bytes=0-9")],
            b"",
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        );
        check(
            "PUT",
            "/test%24file.text",
            &[
                HOST,
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            b"Welcome to Amazon S3.",
            "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
             Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        );
        check(
            "GET",
            "/?lifecycle",
            &[HOST],
            b"",
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        );
        check(
            "GET",
            "/?max-keys=2&prefix=J",
            &[HOST],
            b"",
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        );
    }

    #[test]
    fn paths_are_encoded_twice_except_for_s3() {
        for (path, elsewhere, s3) in [
            (
                "/model/us.anthropic.x%3A0/converse",
                "/model/us.anthropic.x%253A0/converse",
                "/model/us.anthropic.x%3A0/converse",
            ),
            ("/a/./b/../c//", "/a/c/", "/a/./b/../c//"),
            ("/a/b/..", "/a/", "/a/b/.."),
            ("/../..", "/", "/../.."),
            (
                "/k%2fe%c3%a9y+(1)",
                "/k%252fe%25c3%25a9y%2B%281%29",
                "/k/e%C3%A9y%2B%281%29",
            ),
            ("/", "/", "/"),
            ("", "/", "/"),
        ] {
            assert_eq!(canonical_path(path, &SCOPE), elsewhere);
            assert_eq!(canonical_path(path, &S3), s3);
        }
    }

    #[test]
    fn queries_are_recoded_and_sorted() {
        for (query, expected) in [
            ("", ""),
            ("&&", ""),
            ("acl", "acl="),
            ("b=2&a=1&b=1&a-b=", "a=1&a-b=&b=1&b=2"),
            ("q=a+b%20c%2Bd&x='*'", "q=a%20b%20c%2Bd&x=%27%2A%27"),
            ("a=b=c&A=%c3%a9", "A=%C3%A9&a=b%3Dc"),
            ("bad=%zz%f", "bad=%25zz%25f"),
        ] {
            assert_eq!(canonical_query(query), expected);
        }
    }

    #[test]
    fn an_unsigned_body_is_announced_and_a_token_is_signed() {
        let credentials = Credentials {
            session_token: Some("t0ken"),
            ..KEYS
        };
        let mut parts = parts("POST", "/", &[("host", "h")]);
        sign(&mut parts, None, &credentials, &SCOPE, suite_time()).unwrap();
        assert_eq!(parts.headers[CONTENT_SHA256], UNSIGNED);
        assert_eq!(parts.headers[SECURITY_TOKEN], "t0ken");
        assert!(
            authorization_of(&parts).contains(
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "
            )
        );
        let shown = format!("{:?} {credentials:?}", parts.headers);
        assert!(
            !shown.contains("t0ken") && !shown.contains("AKID"),
            "{shown}"
        );
    }

    #[test]
    fn a_later_attempt_replaces_all_of_an_earlier_one() {
        let plain = parts("GET", "/x", &[("host", "h")]);
        let mut again = plain.clone();
        let with_token = Credentials {
            session_token: Some("t0ken"),
            ..KEYS
        };
        sign(&mut again, None, &with_token, &S3, s3_time()).unwrap();
        let mut once = plain;
        for parts in [&mut again, &mut once] {
            sign(parts, Some([7; 32]), &KEYS, &SCOPE, suite_time()).unwrap();
        }
        assert_eq!(again.headers, once.headers);
    }

    #[test]
    fn what_cannot_be_signed_is_named_and_left_alone() {
        let check =
            |keys: Credentials<'_>, scope: Scope<'_>, headers: &[(&str, &str)], expected: &str| {
                let mut parts = parts("GET", "/", headers);
                let before = parts.headers.clone();
                let error = sign(&mut parts, None, &keys, &scope, suite_time()).unwrap_err();
                assert_eq!(error.to_string(), expected);
                assert_eq!(parts.headers, before);
            };
        let host = &[("host", "h")];
        let id = |access_key_id| Credentials {
            access_key_id,
            ..KEYS
        };
        let secret = |secret_access_key| Credentials {
            secret_access_key,
            ..KEYS
        };
        let token = |token| Credentials {
            session_token: Some(token),
            ..KEYS
        };
        check(KEYS, SCOPE, &[], "the request has no `host` header to sign");
        check(id(""), SCOPE, host, "the access key id is empty");
        check(
            id("abc/def"),
            SCOPE,
            host,
            "the access key id holds a slash; is it the secret access key?",
        );
        check(secret(""), SCOPE, host, "the secret access key is empty");
        check(
            secret("s3cret\n"),
            SCOPE,
            host,
            "the secret access key holds a space, a control character or a letter outside ASCII",
        );
        check(token(""), SCOPE, host, "the session token is empty");
        let nowhere = Scope {
            region: "",
            ..SCOPE
        };
        check(KEYS, nowhere, host, "the region is empty");
        let odd = Scope {
            service: "a/b",
            ..SCOPE
        };
        check(KEYS, odd, host, "the service holds a slash");
    }

    #[test]
    fn signing_costs_microseconds() {
        let body = [b'x'; 2048];
        let sign_once = || {
            let mut parts = parts(
                "POST",
                "/v1/speech?b=2&a=1",
                &[
                    ("host", "polly.us-east-1.amazonaws.com"),
                    ("content-type", "application/json"),
                ],
            );
            sign(&mut parts, Some(sha256(&body)), &KEYS, &SCOPE, suite_time()).unwrap();
        };
        // The best of many batches, unoptimised: other work on the machine does not count, a slip to milliseconds does.
        let best = (0..20)
            .map(|_| {
                let start = std::time::Instant::now();
                (0..10).for_each(|_| sign_once());
                start.elapsed() / 10
            })
            .min()
            .unwrap();
        assert!(
            best < Duration::from_millis(1),
            "{best:?} for one signature"
        );
    }

    /// Headers with distinct names, so that their order means nothing.
    fn headers() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("x-[a-z]{1,6}", "[!-~]([ -~]{0,10}[!-~])?", 0..6)
    }

    proptest! {
        #[test]
        fn the_order_of_headers_and_of_the_query_means_nothing(
            headers in headers(),
            query in prop::collection::vec(("[a-z]{1,4}", "[a-z0-9%+]{0,4}"), 0..5),
            seed in any::<u64>(),
        ) {
            let turn = |len: usize| usize::try_from(seed % 97).unwrap() % len.max(1);
            let signed = |turned: bool| {
                let mut headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                headers.push(("host", "h"));
                let mut query: Vec<String> =
                    query.iter().map(|(name, value)| format!("{name}={value}")).collect();
                if turned {
                    headers.reverse();
                    let by = turn(headers.len());
                    headers.rotate_left(by);
                    query.reverse();
                    let by = turn(query.len());
                    query.rotate_left(by);
                }
                let mut parts = parts("GET", &format!("/p?{}", query.join("&")), &headers);
                sign(&mut parts, Some([1; 32]), &KEYS, &SCOPE, suite_time()).unwrap();
                authorization_of(&parts)
            };
            prop_assert_eq!(signed(false), signed(true));
            prop_assert_eq!(signed(false), signed(false));
        }

        #[test]
        fn every_signed_part_changes_the_signature(
            headers in headers(),
            path in "/[a-z/]{0,8}[a-z]",
            secret in "[!-~]{1,40}",
            digest in any::<[u8; 32]>(),
            seconds in 0u64..4_000_000_000,
            storage in any::<bool>(),
        ) {
            let scope = if storage { S3 } else { SCOPE };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let keys = Credentials { secret_access_key: &secret, ..KEYS };
            let mut base = parts("GET", &path, &[("host", "h")]);
            for (name, value) in &headers {
                base.headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            let signed = |parts: &Parts, digest, keys: &Credentials<'_>, scope: &Scope<'_>, now| {
                let mut parts = parts.clone();
                sign(&mut parts, digest, keys, scope, now).unwrap();
                authorization_of(&parts).rsplit_once('=').unwrap().1.to_owned()
            };
            let changed = |change: &dyn Fn(&mut Parts)| {
                let mut parts = base.clone();
                change(&mut parts);
                signed(&parts, Some(digest), &keys, &scope, now)
            };
            let reference = signed(&base, Some(digest), &keys, &scope, now);

            let mut other_digest = digest;
            other_digest[31] ^= 1;
            let other_secret = format!("{secret}x");
            let other_keys = Credentials { secret_access_key: &other_secret, ..KEYS };
            let elsewhere = Scope { region: "eu-west-1", ..scope };
            let other_service = Scope { service: "polly", ..scope };
            let later = now + Duration::from_secs(1);
            for other in [
                signed(&base, Some(other_digest), &keys, &scope, now),
                signed(&base, None, &keys, &scope, now),
                signed(&base, Some(digest), &other_keys, &scope, now),
                signed(&base, Some(digest), &keys, &elsewhere, now),
                signed(&base, Some(digest), &keys, &other_service, now),
                signed(&base, Some(digest), &keys, &scope, later),
                changed(&|parts| parts.method = http::Method::PUT),
                changed(&|parts| parts.uri = format!("{path}x").parse().unwrap()),
                changed(&|parts| parts.uri = format!("{path}?x").parse().unwrap()),
                changed(&|parts| { parts.headers.insert(HOST, HeaderValue::from_static("i")); }),
                changed(&|parts| { parts.headers.insert("z-new", HeaderValue::from_static("v")); }),
            ] {
                prop_assert_ne!(&other, &reference);
            }
            for name in headers.keys() {
                let name: HeaderName = name.parse().unwrap();
                let other = changed(&|parts| {
                    parts.headers.append(name.clone(), HeaderValue::from_static("v"));
                });
                prop_assert_ne!(other, reference.clone());
            }
            for name in NOT_SIGNED {
                let same = changed(&|parts| {
                    parts.headers.insert(*name, HeaderValue::from_static("v"));
                });
                prop_assert_eq!(&same, &reference);
            }
        }
    }
}
