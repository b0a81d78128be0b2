//! The request as rules, sticky keys and header templates see it. Built only for routes that look.

use std::net::IpAddr;

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::auth::KEY_HEADERS;
use crate::route::router::Captures;

/// `{ request: { method, host, path, ip, headers, query, params }, client: { name, subject } }`. No header that may hold a
/// key is in it: what rules and templates see may end in logs and in vendors' requests.
#[expect(
    clippy::too_many_arguments,
    reason = "they are the parts of the document"
)]
pub(crate) fn document(
    method: &Method,
    host: &str,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    captures: &Captures<'_>,
    ip: Option<IpAddr>,
    client: Option<&str>,
    subject: Option<&str>,
) -> Value {
    let mut fields = Map::new();
    let holds_key = |name: &http::HeaderName| {
        name == http::header::AUTHORIZATION
            || name == http::header::PROXY_AUTHORIZATION
            || KEY_HEADERS.contains(name)
    };
    for (name, value) in headers.iter().filter(|(name, _)| !holds_key(name)) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        fields.entry(name.as_str()).or_insert(Value::String(text));
    }
    let mut arguments = Map::new();
    for (name, value) in pairs(query.unwrap_or_default()) {
        arguments.entry(name).or_insert(Value::String(value));
    }
    let parameters: Map<String, Value> = captures
        .parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), decoded(value).into()))
        .collect();
    json!({
        "request": {
            "method": method.as_str(),
            "host": host,
            "path": path,
            "ip": ip.map(|ip| ip.to_string()),
            "headers": fields,
            "query": arguments,
            "params": parameters,
        },
        "client": { "name": client, "subject": subject },
    })
}

fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decoded(&name.replace('+', " ")),
                decoded(&value.replace('+', " ")),
            )
        })
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_rule_may_ask_for_is_there_and_no_key() {
        let mut headers = HeaderMap::new();
        headers.insert("x-tier", http::HeaderValue::from_static("gold"));
        for name in [
            "authorization",
            "proxy-authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
        ] {
            headers.insert(name, http::HeaderValue::from_static("a key"));
        }
        let captures = Captures {
            parameters: vec![("id", "a%20b")],
            rest: "",
        };
        let made = document(
            &Method::GET,
            "h",
            "/p",
            Some("a=1&b=%26+c&a=2"),
            &headers,
            &captures,
            "::1".parse().ok(),
            Some("shop"),
            Some("ada"),
        );
        let expected = json!({
            "request": {
                "method": "GET", "host": "h", "path": "/p", "ip": "::1",
                "headers": { "x-tier": "gold" },
                "query": { "a": "1", "b": "& c" },
                "params": { "id": "a b" },
            },
            "client": { "name": "shop", "subject": "ada" },
        });
        assert_eq!(made, expected);
    }
}
