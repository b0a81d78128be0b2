//! Which headers cross the gateway, in each direction; the same for both paths.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use isobar_config as config;
use percent_encoding::{percent_decode, percent_decode_str};
use pingora_http::{RequestHeader, ResponseHeader};

use super::{auth::KEY_HEADERS, trace::TRACEPARENT};
use crate::{
    pool::{Account, Credential},
    serve::framing::has_token,
};

/// Names the account that answered.
pub(crate) const VENDOR: HeaderName = HeaderName::from_static("isobar-vendor");
/// Counts the attempts made.
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("isobar-attempts");
/// Time that the client gives, in milliseconds or as `2s`; the route's deadline still holds.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("isobar-deadline");
/// The client's key for an operation that must not be repeated.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Steps whose `otherwise` is in the answer of a composition.
pub(crate) const DEGRADED: HeaderName = HeaderName::from_static("isobar-degraded");
/// Name of a composition's run.
pub(crate) const RUN: HeaderName = HeaderName::from_static("isobar-run");
/// What the route's cache did (RFC 9211).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Names that only the gateway may set, besides `isobar-…` and `x-forwarded-…`; a client's copies are dropped. The last
/// two make some servers serve another path than the one that was authorised.
const OURS: [&str; 4] = ["x-real-ip", "forwarded", "x-original-url", "x-rewrite-url"];

/// Both kinds of header block that requests travel in.
pub(crate) trait Block {
    fn map(&self) -> &HeaderMap;
    fn set(&mut self, name: HeaderName, value: HeaderValue);
    fn append(&mut self, name: HeaderName, value: HeaderValue);
    fn remove(&mut self, name: &HeaderName);
}

impl Block for HeaderMap {
    fn map(&self) -> &HeaderMap {
        self
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.append(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove(name);
    }
}

impl Block for RequestHeader {
    fn map(&self) -> &HeaderMap {
        &self.headers
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        // Fails only on names and values that are not headers, and these are.
        let _ = self.insert_header(name, value);
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.append_header(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

impl Block for ResponseHeader {
    fn map(&self) -> &HeaderMap {
        &self.headers
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.insert_header(name, value);
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        let _ = self.append_header(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

/// What the edge knows about a client, for the vendor.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub(crate) address: Option<HeaderValue>,
    pub(crate) host: &'a str,
    /// The client came over TLS.
    pub(crate) secure: bool,
    pub(crate) traceparent: Option<HeaderValue>,
    /// A key of ours was presented.
    pub(crate) key_consumed: bool,
    /// The request asks for a WebSocket and takes the streaming path.
    pub(crate) upgrade: bool,
}

/// Turns a client's headers into a vendor's. The route's edits come after.
pub(crate) fn to_vendor(headers: &mut impl Block, account: &Account, about: &About<'_>) {
    let has_credential = about.key_consumed || account.has_credential();
    drop_named(headers, |name| {
        is_hop_by_hop(name, about.upgrade)
            || has_credential && is_credential(name)
            || name == "expect"
            || is_ours(name)
            || dashed(name)
                .is_some_and(|name| is_ours(&name) || names_framing_or_credential(&name, account))
    });
    if let Some(address) = &about.address {
        headers.set(FORWARDED_FOR, address.clone());
    }
    let scheme = if about.secure { "https" } else { "http" };
    headers.set(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Ok(host) = HeaderValue::from_str(about.host) {
        headers.set(FORWARDED_HOST, host);
    }
    if let Some(traceparent) = &about.traceparent {
        headers.set(TRACEPARENT, traceparent.clone());
    }
    headers.set(header::HOST, account.authority.clone());
    if let Credential::Header(name, value) = &account.credential {
        headers.set(name.clone(), value.clone());
    }
}

/// Turns a vendor's headers into a client's.
pub(crate) fn to_client(headers: &mut impl Block, account: &Account) {
    if let config::Auth::Query { name, value } = &account.settings.auth {
        hide_credential(headers, name, value.expose());
    }
    drop_named(headers, |name| {
        is_hop_by_hop(name, false) || name.starts_with("isobar-")
    });
}

/// A vendor that redirects, or links to itself, repeats the query it was called with; our key is taken out of it.
fn hide_credential(headers: &mut impl Block, name: &str, secret: &str) {
    let tells = |value: &HeaderValue| {
        let decoded = percent_decode(value.as_bytes()).collect::<Vec<u8>>();
        decoded
            .windows(secret.len().max(1))
            .any(|part| part == secret.as_bytes())
    };
    for header in [
        header::LOCATION,
        header::CONTENT_LOCATION,
        header::LINK,
        header::REFRESH,
    ] {
        let Some(value) = headers.map().get(&header).filter(|value| tells(value)) else {
            continue;
        };
        let cleaned = value.to_str().ok().map(|url| without_parameter(url, name));
        let cleaned = cleaned.and_then(|url| HeaderValue::try_from(url).ok());
        match cleaned.filter(|value| !tells(value)) {
            Some(value) => headers.set(header, value),
            None => headers.remove(&header),
        }
    }
}

/// The URL without the query parameters of this name.
fn without_parameter(url: &str, name: &str) -> String {
    let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let Some((path, query)) = url.split_once('?') else {
        return format!("{url}{fragment}");
    };
    let others: Vec<&str> = query
        .split('&')
        .filter(|pair| parameter_name(pair) != name)
        .collect();
    let mark = if others.is_empty() { "" } else { "?" };
    format!("{path}{mark}{}{fragment}", others.join("&"))
}

/// A query parameter's name, decoded.
pub(crate) fn parameter_name(pair: &str) -> String {
    let name = pair.split('=').next().unwrap_or_default().replace('+', " ");
    percent_decode_str(&name).decode_utf8_lossy().into_owned()
}

/// Whether vendors see something else under this name than what the client sent, and not the same for every client of a
/// host.
pub(super) fn is_written_by_us(name: &str) -> bool {
    is_ours(name) && name != FORWARDED_HOST.as_str() || name == TRACEPARENT.as_str()
}

fn is_ours(name: &str) -> bool {
    name.starts_with("isobar-") || name.starts_with("x-forwarded-") || OURS.contains(&name)
}

/// Drops the headers that a CGI-like backend takes for one that `is_known` says yes to: `x_tenant` for `x-tenant`.
pub(crate) fn drop_aliases(headers: &mut impl Block, is_known: impl Fn(&str) -> bool) {
    drop_named(headers, |name| {
        dashed(name).is_some_and(|name| is_known(&name))
    });
}

/// The name with dashes for its underscores, if it has any.
fn dashed(name: &str) -> Option<String> {
    let has_underscore = name.bytes().any(|byte| byte == b'_');
    has_underscore.then(|| name.replace('_', "-"))
}

fn drop_named(headers: &mut impl Block, is_unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .map()
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in &names {
        headers.remove(name);
    }
}

/// Headers that say where a message ends, whom it is for or who sends it.
fn names_framing_or_credential(name: &str, account: &Account) -> bool {
    let own = match &account.credential {
        Credential::Header(own, _) => own == name,
        Credential::None | Credential::Query(_) | Credential::Signature(_) => false,
    };
    own || is_hop_by_hop(name, false)
        || is_credential(name)
        || matches!(
            name,
            "content-length" | "cookie" | "host" | "idempotency-key" | "traceparent"
        )
}

/// Headers of one connection (RFC 9110 §7.6.1), and those that speak to a proxy.
fn is_hop_by_hop(name: &str, keep_upgrade: bool) -> bool {
    match name {
        "connection" | "upgrade" => !keep_upgrade,
        "keep-alive"
        | "proxy-connection"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "te"
        | "trailer"
        | "transfer-encoding" => true,
        _ => false,
    }
}

/// Headers in which clients send a key.
fn is_credential(name: &str) -> bool {
    name == "authorization" || KEY_HEADERS.iter().any(|known| known == name)
}

/// Headers that a client may call hop-by-hop in `Connection` without effect: removing them would change where the body
/// ends, what the vendor does, or what we set.
fn is_end_to_end(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "idempotency-key"
            | "host"
            | "content-length"
            | "transfer-encoding"
            | "expect"
            | "content-type"
            | "content-encoding"
            | "cookie"
            | "traceparent"
            | "tracestate"
            | "accept"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "forwarded"
    ) || name.starts_with("x-forwarded-")
        || name.starts_with("isobar-")
}

/// Applies the client's `Connection` at once: drops the headers it names that may be named, and leaves only `close`,
/// `keep-alive` and `upgrade` in it, so that nothing later strips what we set. An `Upgrade` that is no WebSocket handshake
/// is not an upgrade for us (RFC 9110 §7.8 lets a server ignore one), nor for anything that reads the head after us.
pub(crate) fn settle_connection(request: &mut RequestHeader) {
    if request.headers.contains_key(header::UPGRADE) && !is_websocket_handshake(request) {
        request.remove(&header::UPGRADE);
        request.remove(&HTTP2_SETTINGS);
    }
    if !request.headers.contains_key(header::CONNECTION) {
        return;
    }
    let mut kept = Vec::new();
    let mut named = Vec::new();
    for value in request.headers.get_all(header::CONNECTION) {
        for token in value.to_str().unwrap_or_default().split(',') {
            let token = token.trim().to_ascii_lowercase();
            match token.as_str() {
                "close" | "keep-alive" | "upgrade" => kept.push(token),
                "" => {}
                name if is_end_to_end(name) => {}
                name => named.extend(HeaderName::try_from(name).ok()),
            }
        }
    }
    for name in &named {
        request.remove(name);
    }
    request.remove(&header::CONNECTION);
    if let Ok(value) = HeaderValue::try_from(kept.join(", "))
        && !kept.is_empty()
    {
        request.set(header::CONNECTION, value);
    }
}

/// Writes a request of HTTP/2 as those of HTTP/1 are: with a `Host` (RFC 9113 §8.3.1; where it has one, Pingora has seen
/// that both say the same), and with cookies in one line (§8.2.3).
pub(crate) fn settle_http2(request: &mut RequestHeader) {
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    if !request.headers.contains_key(header::HOST)
        && let Some(host) = authority.and_then(|host| HeaderValue::try_from(host).ok())
    {
        request.set(header::HOST, host);
    }
    let cookies: Vec<&[u8]> = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1
        && let Ok(line) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        request.set(header::COOKIE, line);
    }
}

/// What may stand behind an answer's body: nothing that frames, routes or belongs to the gateway (RFC 9110 §6.5.1).
pub(crate) fn trailers_to_client(trailers: &mut HeaderMap) {
    drop_named(trailers, |name| {
        is_hop_by_hop(name, false)
            || name.starts_with("isobar-")
            || name.starts_with("content-")
            || matches!(
                name,
                "host" | "set-cookie" | "cache-control" | "authorization"
            )
    });
}

/// RFC 6455 §4.1: a GET without a body that names `websocket` and has `Connection: upgrade`.
fn is_websocket_handshake(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let websocket = protocols.next().is_some_and(|value| {
        value.as_bytes().eq_ignore_ascii_case(b"websocket") && protocols.next().is_none()
    });
    let asked = headers
        .get_all(header::CONNECTION)
        .iter()
        .any(|value| has_token(value, "upgrade"));
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    request.method == Method::GET && websocket && asked && !has_body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_http2_gets_its_host_and_one_line_of_cookies() {
        let mut parts = http::Request::get("https://api.example.com:8443/a")
            .header("cookie", "a=1")
            .header("cookie", "b=2; c=3")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        parts.version = http::Version::HTTP_2;
        let mut request = RequestHeader::from(parts);
        settle_http2(&mut request);
        assert_eq!(request.headers["host"], "api.example.com:8443");
        let cookies = request.headers.get_all("cookie").iter();
        assert_eq!(cookies.collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_client_cannot_strip_what_the_vendor_must_see() {
        check_settled(
            "POST",
            &[
                ("connection", "close, Authorization, idempotency-key"),
                ("connection", "x-hop, x-forwarded-for"),
                ("idempotency-key", "k"),
                ("x-hop", "1"),
            ],
            &[("idempotency-key", "k"), ("connection", "close")],
        );
    }

    #[test]
    fn a_client_cannot_strip_what_says_where_its_body_ends() {
        for framing in [("transfer-encoding", "chunked"), ("content-length", "3")] {
            check_settled("POST", &[("connection", framing.0), framing], &[framing]);
        }
    }

    #[test]
    fn only_a_websocket_handshake_asks_for_an_upgrade() {
        let upgrade = ("connection", "keep-alive, Upgrade");
        let kept = ("connection", "keep-alive, upgrade");
        let websocket = ("upgrade", "WebSocket");
        check_settled("GET", &[upgrade, websocket], &[websocket, kept]);
        check_settled("POST", &[upgrade, websocket], &[kept]);
        check_settled("GET", &[websocket], &[]);
        check_settled("GET", &[upgrade, ("upgrade", "websocket, h2c")], &[kept]);
        let h2c = [upgrade, ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")];
        check_settled("GET", &h2c, &[kept]);
        let length = ("content-length", "3");
        check_settled("GET", &[upgrade, websocket, length], &[length, kept]);
    }

    fn check_settled(
        method: &str,
        sent: &[(&'static str, &'static str)],
        expected: &[(&'static str, &'static str)],
    ) {
        let mut request = RequestHeader::build(method, b"/", None).unwrap();
        for (name, value) in sent {
            request.append_header(*name, *value).unwrap();
        }
        settle_connection(&mut request);
        assert_eq!(request.headers, map(expected), "{method} {sent:?}");
    }

    #[test]
    fn our_own_headers_cannot_be_forged_under_any_spelling() {
        let mut headers = map(&[
            ("isobar-vendor", "x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-user", "root"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded_for", "1.2.3.4"),
            ("x_real_ip", "1.2.3.4"),
            ("x-original-url", "/admin"),
            ("isobar_attempts", "9"),
            ("my_field", "kept"),
        ]);
        drop_named(&mut headers, |name| {
            is_ours(name) || dashed(name).is_some_and(|name| is_ours(&name))
        });
        assert_eq!(headers, map(&[("my_field", "kept")]));
    }

    #[test]
    fn hop_by_hop_headers_stay_on_their_hop() {
        let mut headers = map(&[
            ("connection", "upgrade"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("keep-alive", "5"),
            ("a", "b"),
        ]);
        drop_named(&mut headers, |name| is_hop_by_hop(name, false));
        assert_eq!(headers, map(&[("a", "b")]));
    }

    #[test]
    fn a_redirect_does_not_tell_our_key() {
        let check = |told: &'static str, expected: Option<&'static str>| {
            let mut headers = map(&[("location", told)]);
            hide_credential(&mut headers, "key", "s3cret+1");
            let seen = headers.get("location").map(|value| value.to_str().unwrap());
            assert_eq!(seen, expected, "{told}");
        };
        check("https://v/x?key=s3cret%2B1", Some("https://v/x"));
        check("/x?a=1&key=s3cret+1&b=2#c", Some("/x?a=1&b=2#c"));
        check("/x?%6bey=%733cret%2B1&a=1", Some("/x?a=1"));
        check("/x/s3cret%2b1", None);
        check("/x?key=other", Some("/x?key=other"));
    }
}
