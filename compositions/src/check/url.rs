//! Where HTTP requests go, and whether they may.

use http::Uri;
use isobar_config::{Node, Span};

use super::{
    reading::Reading,
    scope::{Scope, Uses},
    value::{Kind, Want, kind},
};
use crate::{
    plan::{Host, Url},
    shape::Shape,
};

impl Reading<'_> {
    pub(super) fn url(
        &mut self,
        node: &Node,
        path: Option<&Node>,
        scope: &Scope<'_>,
        uses: &mut Uses,
        hosts: &[(Host, Span)],
    ) -> Option<Url> {
        let text = self.text(node, "write `https://host/path`")?;
        match kind(&text) {
            Kind::Literal(text) => self.known_url(node, &text, 0, path, scope, uses, hosts),
            Kind::Reference(_) | Kind::Expression(..) => {
                if hosts.is_empty() {
                    self.error(
                        "E1024",
                        node.at,
                        "the URL is made at run time, and no host is allowed",
                        "say where it may lead: `hosts: [api.example.com]`",
                    );
                }
                if let Some(path) = path {
                    self.error(
                        "E1040",
                        path.at,
                        "a URL that is made at run time has no parameters",
                        "put the values into the URL itself",
                    );
                }
                let want = Want {
                    what: "the URL",
                    shape: &Shape::text(),
                    blobs: false,
                };
                Some(Url::Made(self.given(node, want, scope, uses).given))
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a URL, its parameters, and what they may look at"
    )]
    pub(super) fn known_url(
        &mut self,
        node: &Node,
        url: &str,
        start: usize,
        path: Option<&Node>,
        scope: &Scope<'_>,
        uses: &mut Uses,
        hosts: &[(Host, Span)],
    ) -> Option<Url> {
        let at = self.part(node, start, url.len());
        let (texts, names) = match split(url) {
            Ok(split) => split,
            Err(why) => {
                self.error(
                    "E1041",
                    at,
                    format!("this is not a URL that can be called: {why}"),
                    "write `https://api.example.com/items/{id}`; a query goes under `query`",
                );
                return None;
            }
        };
        let first = texts.first().map(String::as_str).unwrap_or_default();
        let (tls, host, port) = match address(first) {
            Ok(address) => address,
            Err(why) => {
                self.error(
                    "E1041",
                    at,
                    format!("this is not a URL that can be called: {why}"),
                    "write `https://api.example.com/items/{id}`; a query goes under `query`",
                );
                return None;
            }
        };
        if !hosts
            .iter()
            .any(|(known, _)| allows(known, &host, port, tls))
        {
            let usual = if tls { 443 } else { 80 };
            let shown = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            };
            let named = if port == usual {
                shown
            } else {
                format!("{shown}:{port}")
            };
            let known = hosts
                .iter()
                .find(|(known, _)| known.name == host)
                .map(|_| " with this port");
            self.error(
                "E1022",
                at,
                format!(
                    "`{named}` is not among the composition's hosts{}",
                    known.unwrap_or_default()
                ),
                format!("allow it: `hosts: [\"{named}\"]`"),
            );
        }
        let entries = path.map(Node::entries).unwrap_or_default();
        let mut parameters = Vec::new();
        for name in &names {
            let Some((_, value)) = entries.iter().find(|(key, _)| key.text == *name) else {
                let place = url.find(&format!("{{{name}}}")).unwrap_or(0);
                let place = self.part(node, start + place, name.len() + 2);
                self.error(
                    "E1040",
                    place,
                    format!("`{{{name}}}` has no value"),
                    format!("add `path: {{ {name}: $.input.{name} }}` beside `url`"),
                );
                continue;
            };
            parameters.push(self.scalar(
                value,
                &format!("`{name}` of the path"),
                false,
                scope,
                uses,
            ));
        }
        for (key, _) in entries.iter().filter(|(key, _)| !names.contains(&key.text)) {
            let message = format!("the URL has no `{{{}}}`", key.text);
            let known = names.iter().map(String::as_str);
            self.unknown(
                "E1040",
                key.at,
                message,
                &key.text,
                known,
                "leave it out, or put it into the URL in braces",
            );
        }
        Some(Url::Known { texts, parameters })
    }
}

/// The texts around parameters, and the parameters' names.
fn split(url: &str) -> Result<(Vec<String>, Vec<String>), &'static str> {
    let (mut texts, mut names) = (Vec::new(), Vec::new());
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("`{` has no `}`")?;
        let good = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good {
            return Err("a parameter's name has letters, digits and `_`");
        }
        if names.iter().any(|known| known == name) {
            return Err("a parameter is in it twice");
        }
        if texts.is_empty() && !before.contains("://") {
            return Err("its host cannot be a parameter");
        }
        let host_ends = |text: &str| {
            text.split_once("://")
                .is_some_and(|(_, rest)| rest.contains('/'))
        };
        if texts.is_empty() && !host_ends(before) {
            return Err("its host cannot be a parameter");
        }
        texts.push(before.to_owned());
        names.push(name.to_owned());
        rest = after;
    }
    texts.push(rest.to_owned());
    if texts.iter().any(|text| text.contains('}')) {
        return Err("`}` has no `{`");
    }
    if texts.iter().any(|text| text.contains(['?', '#'])) {
        return Err("it has a query or fragment");
    }
    if texts
        .iter()
        .any(|text| !text.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err("it has a character that a URL escapes");
    }
    Ok((texts, names))
}

/// Scheme, host and port of the start of a URL.
fn address(text: &str) -> Result<(bool, String, u16), &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it does not parse")?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) => return Err("only http and https are spoken"),
        None => return Err("it has no `http://` or `https://`"),
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it has a user name; use `bearer` or `headers`");
    }
    let host = authority
        .host()
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    if host.is_empty() {
        return Err("it has no host");
    }
    let port = match authority.port_u16() {
        Some(0) => return Err("port 0 is no port"),
        Some(port) => port,
        None if authority.as_str() != authority.host() => {
            return Err("its port is not a number up to 65535");
        }
        None if tls => 443,
        None => 80,
    };
    Ok((tls, host, port))
}

/// Whether a host of the composition allows this one.
fn allows(known: &Host, host: &str, port: u16, tls: bool) -> bool {
    let named = match known.name.strip_prefix("*.") {
        Some(rest) => host
            .strip_suffix(rest)
            .is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        None => known.name == host,
    };
    named && port == known.port.unwrap_or(if tls { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_at_their_parameters() {
        let (texts, names) = split("https://a.b/items/{id}/x").unwrap();
        assert_eq!(texts, ["https://a.b/items/", "/x"]);
        assert_eq!(names, ["id"]);
        for bad in [
            "https://{host}/x",
            "https://a.b/{",
            "https://a.b/}",
            "https://a.b/{}",
            "https://a.b/{a}/{a}",
            "https://a.b?x=1",
            "https://a.b/#f",
            "https://a.b/x y",
            "{url}",
            "https://a.{b}.c/",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_allow_names_below_and_ports() {
        let host = |text: &str| super::super::settings::host(text).unwrap();
        let check = |known: &str, url: &str, expected: bool| {
            let (tls, name, port) = address(url).unwrap();
            assert_eq!(
                allows(&host(known), &name, port, tls),
                expected,
                "{known} {url}"
            );
        };
        check("a.example.com", "https://a.example.com/x", true);
        check("a.example.com", "https://A.example.com", true);
        check("a.example.com", "http://a.example.com:8080", false);
        check("a.example.com:8080", "http://a.example.com:8080", true);
        check("*.example.com", "https://a.b.example.com", true);
        check("*.example.com", "https://example.com", false);
        check("*.example.com", "https://badexample.com", false);
        check("127.0.0.1:9000", "http://127.0.0.1:9000/x", true);
        check("::1", "http://[::1]/x", true);
        for bad in [
            "ftp://a",
            "https://",
            "a.b/c",
            "https://u@a.b",
            "https://a.b:0",
            "https://a.b:99999",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
