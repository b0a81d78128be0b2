//! Settings of a composition: bounds, keys, hosts.

use std::time::Duration;

use http::HeaderName;
use isobar_config::{Node, Span, Value};

use super::{reading::Reading, table};
use crate::plan::{Host, Idempotency, Limits};

impl Reading<'_> {
    pub(crate) fn limits(&mut self, node: Option<&Node>) -> Limits {
        let mut limits = Limits {
            body: 32_000_000,
            calls: 200,
            at_once: 16,
        };
        for (key, node) in node
            .map(|node| self.record(node, &table::LIMITS))
            .unwrap_or_default()
        {
            match key.text.as_str() {
                "body" => limits.body = self.size(node, "a body", "1GB").unwrap_or(u64::MAX),
                "calls" => {
                    limits.calls = self
                        .whole(node, "a number of calls", 1, 10_000)
                        .unwrap_or(u32::MAX)
                }
                _ => {
                    limits.at_once = self
                        .whole(node, "a number of calls at once", 1, 64)
                        .unwrap_or(64)
                }
            }
        }
        limits
    }

    pub(crate) fn idempotency(&mut self, node: &Node) -> Option<Idempotency> {
        let mut made = Idempotency {
            header: HeaderName::from_static("idempotency-key"),
            required: false,
            keep: Duration::from_hours(24),
        };
        match node.value {
            Value::Bool(true) => return Some(made),
            Value::Bool(false) => return None,
            _ => {}
        }
        for (key, node) in self.record(node, &table::IDEMPOTENCY) {
            match key.text.as_str() {
                "header" => {
                    let text = self.text(node, "write a header's name: `Idempotency-Key`")?;
                    made.header = self.header_name(node.at, &text)?;
                }
                "required" => made.required = self.boolean(node)?,
                _ => made.keep = self.time(node, "a time to keep answers", "30d")?,
            }
        }
        Some(made)
    }

    /// `hosts:`, each with its place.
    pub(crate) fn hosts(&mut self, node: Option<&Node>) -> Vec<(Host, Span)> {
        let Some(node) = node else {
            return Vec::new();
        };
        if !matches!(node.value, Value::List(_)) {
            self.wrong(node, "a list", "write `[api.example.com]`");
            return Vec::new();
        }
        let mut hosts: Vec<(Host, Span)> = Vec::new();
        for item in node.items() {
            let Some(text) = self.text(item, "write a host: `api.example.com`") else {
                continue;
            };
            match host(&text) {
                Some(host) if hosts.iter().any(|(known, _)| *known == host) => self.error(
                    "E1023",
                    item.at,
                    format!("`{text}` is there twice"),
                    "remove one of the two",
                ),
                Some(host) => hosts.push((host, item.at)),
                None => self.error(
                    "E1023",
                    item.at,
                    format!("`{text}` is not a host"),
                    "write `api.example.com`, `*.example.com` or `127.0.0.1:9000`, without scheme and path",
                ),
            }
        }
        hosts
    }
}

/// `name`, `*.name`, `address`, each perhaps with `:port`.
pub(crate) fn host(text: &str) -> Option<Host> {
    let (name, port) = match text.rsplit_once(':') {
        _ if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
        Some((name, port)) if !port.ends_with(']') => (
            name,
            Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        ),
        _ => (text, None),
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let good = bare.parse::<std::net::IpAddr>().is_ok()
        || name
            .strip_prefix("*.")
            .map_or(name.split('.').all(label), |rest| {
                rest.contains('.') && rest.split('.').all(label)
            });
    (good && name.len() <= 253).then(|| Host {
        name: bare.to_ascii_lowercase(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_names_and_perhaps_ports() {
        let check = |text: &str, expected: Option<(&str, Option<u16>)>| {
            let seen = host(text);
            let seen = seen.as_ref().map(|host| (host.name.as_str(), host.port));
            assert_eq!(seen, expected, "{text}");
        };
        check("API.example.com", Some(("api.example.com", None)));
        check("*.example.com", Some(("*.example.com", None)));
        check("127.0.0.1:9000", Some(("127.0.0.1", Some(9_000))));
        check("[::1]:80", Some(("::1", Some(80))));
        check("::1", Some(("::1", None)));
        check("localhost:8080", Some(("localhost", Some(8_080))));
        for bad in [
            "",
            "https://a.b",
            "a.b/c",
            "a b",
            "*",
            "*.com",
            "a.b:0",
            "a.b:x",
            "*.*.a.b",
            "a..b",
        ] {
            check(bad, None);
        }
    }
}
