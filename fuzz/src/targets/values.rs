//! Signatures, paths and expressions.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Method, Request};
use isobar_config::{Expression, JsonPath, RequestSignature, Secret, Template};
use serde_json::Value;

/// Signs a request with this target in its first line and these headers in the others. A signature does not depend on
/// what was signed before.
pub(crate) fn signature(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let Ok(mut request) = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header("host", "h.example.com")
        .body(())
    else {
        return;
    };
    for line in lines {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(at);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    let (mut parts, ()) = request.into_parts();
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for service in ["s3", "comprehend"] {
        let signature = RequestSignature {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("a-secret-that-must-not-show"),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        };
        let mut sign = || isobar_adapters::sign(&mut parts, Some([7; 32]), &signature, now);
        let first = sign().map_err(|error| error.to_string());
        let second = sign().map_err(|error| error.to_string());
        assert_eq!(first, second);
        if let Err(told) = first {
            assert!(!told.contains("a-secret-that-must-not-show"));
        }
    }
}

/// The first line, and the document in the rest; a document of its own where that is none.
fn split(data: &[u8]) -> Option<(&str, Value)> {
    let text = std::str::from_utf8(data).ok()?;
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let document = serde_json::from_str(rest).unwrap_or_else(|_| {
        serde_json::json!({
            "a": [1, 2.5, "x", null, true, { "b": [[1], { "c": "d" }] }],
            "b": { "a": "é", "b": -1, "c": { "a": [] } },
            "request": { "method": "GET", "headers": { "x-tier": "gold" }, "query": {} },
            "client": { "name": "shop" },
        })
    });
    Some((line, document))
}

/// A path, compiled and followed; one that can select one value at most selects no more.
pub(crate) fn path(data: &[u8]) {
    let Some((line, document)) = split(data) else {
        return;
    };
    if let Ok(path) = JsonPath::parse(line)
        && let Ok(found) = path.select(&document)
    {
        assert!(!path.is_singular() || found.len() <= 1, "{line}");
        let again = JsonPath::parse(path.source()).expect("what was read is written so");
        assert_eq!(
            again.select(&document).ok().map(|found| found.len()),
            Some(found.len())
        );
    }
    if let Ok(template) = Template::parse(line) {
        let _ = template.render(&document);
    }
}

/// An expression, compiled and evaluated; the same twice.
pub(crate) fn expression(data: &[u8]) {
    let Some((line, document)) = split(data) else {
        return;
    };
    let Ok(expression) = Expression::parse_free(line) else {
        return;
    };
    for name in expression.names() {
        let _ = expression.looks_at(name);
    }
    let look = |name: &str| document.get(name);
    let _ = expression.holds_for(&look);
    let _ = expression.value_for(&look);
}
