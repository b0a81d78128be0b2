//! Texts with a grammar of their own: URLs, matches, path patterns, rewrites, hosts.

use http::Uri;

use crate::{
    model::{BaseUrl, Matcher, PathPattern, PathPiece, PathRewrite, Segment},
    shape::{self, Misfit},
};

/// Longest path, in bytes.
const LONGEST: usize = 4_096;

/// A store that gateways share: `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
pub(crate) fn store_url(text: &str) -> Result<(), &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it does not parse")?;
    if !matches!(uri.scheme_str(), Some("redis" | "rediss")) {
        return Err("it does not begin with `redis://` or `rediss://`");
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("it has no host");
    }
    let database = uri.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err("its path is not the number of a database");
    }
    if uri.query().is_some() || text.contains('#') {
        return Err("it has a query or fragment");
    }
    Ok(())
}

/// The parts of an upstream's URL, or why it has none that can be called.
pub(crate) fn base_url(text: &str) -> Result<BaseUrl, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it does not parse")?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        Some(_) => return Err("only http and https are spoken"),
        None => return Err("it has no `http://` or `https://`"),
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it has a user name; use `auth`");
    }
    if uri.query().is_some() || text.contains('#') {
        return Err("it has a query or fragment");
    }
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    if host.is_empty() {
        return Err("it has no host");
    }
    let port = match authority.port_u16() {
        Some(0) => return Err("port 0 is no port"),
        Some(port) => port,
        // `http` gives no port for one that is too large.
        None if authority.as_str() != authority.host() => {
            return Err("its port is not a number up to 65535");
        }
        None => {
            if tls {
                443
            } else {
                80
            }
        }
    };
    let path = uri.path().trim_end_matches('/').to_owned();
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("its path has `.` or `..` segments");
    }
    Ok(BaseUrl {
        tls,
        host,
        port,
        path,
    })
}

/// A route's match, `/path` or `GET /path`; else the code, the sentence and the next step of a diagnostic.
pub fn matcher(text: &str) -> Result<Matcher, (&'static str, String, &'static str)> {
    match_text(text)
}

/// `/path` or `GET /path`.
pub(crate) fn match_text(text: &str) -> Result<Matcher, Misfit> {
    let (methods, path) = match text.trim().rsplit_once(' ') {
        Some((methods, path)) => (
            methods
                .split([' ', ','])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
            path,
        ),
        None => (Vec::new(), text.trim()),
    };
    for method in &methods {
        shape::method(method)?;
    }
    Ok(Matcher {
        hosts: Vec::new(),
        path: path_pattern(path)?,
        methods,
        headers: Vec::new(),
    })
}

/// `/exact`, `/users/{id}`, `/files/*`.
pub(crate) fn path_pattern(text: &str) -> Result<PathPattern, Misfit> {
    let misfit = |why: &str| {
        (
            "E0406",
            format!("`{text}` is not a path pattern: {why}"),
            "write `/exact`, `/users/{id}` or `/files/*`",
        )
    };
    if text.len() > LONGEST {
        return Err(misfit("it is longer than 4096 bytes"));
    }
    let inner = text
        .strip_prefix('/')
        .ok_or_else(|| misfit("it does not start with `/`"))?;
    let (inner, rest) = match inner.strip_suffix('*') {
        Some("") => (None, true),
        Some(before) => (
            Some(
                before
                    .strip_suffix('/')
                    .ok_or_else(|| misfit("`*` stands for whole segments, at the end"))?,
            ),
            true,
        ),
        None => (Some(inner), false),
    };
    let count = inner.map_or(0, |inner| inner.split('/').count());
    let mut segments = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (index, segment) in inner
        .into_iter()
        .flat_map(|inner| inner.split('/'))
        .enumerate()
    {
        if let Some(name) = segment
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            let good = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !good {
                return Err(misfit("a parameter's name has letters, digits and `_`"));
            }
            if names.contains(&name) {
                return Err(misfit("a parameter's name is used twice"));
            }
            names.push(name);
            segments.push(Segment::Parameter(name.to_owned()));
            continue;
        }
        if segment.matches('{').count() != segment.matches('}').count() {
            return Err(misfit("`{` and `}` come in pairs"));
        }
        if segment.contains(['{', '}']) {
            return Err(misfit("a parameter is a whole segment"));
        }
        if segment.contains('*') {
            return Err(misfit("`*` stands for whole segments, at the end"));
        }
        if segment.is_empty() && (rest || index + 1 < count) {
            return Err(misfit("it has an empty segment"));
        }
        literal(segment).map_err(misfit)?;
        segments.push(Segment::Literal(segment.to_owned()));
    }
    Ok(PathPattern {
        text: text.to_owned(),
        segments,
        rest,
    })
}

/// A literal segment must be what requests are normalised to, or it would never match.
fn literal(segment: &str) -> Result<(), &'static str> {
    if matches!(segment, "." | "..") {
        return Err("it has `.` or `..` segments");
    }
    if segment.contains(['?', '#']) {
        return Err("queries and fragments are no part of a path");
    }
    if segment.contains('\\') || !segment.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has a character that a path escapes");
    }
    let mut rest = segment;
    while let Some((_, after)) = rest.split_once('%') {
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .ok_or("it has a broken percent-escape")?;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            return Err("it escapes a character that needs no escape");
        }
        rest = after.get(2..).unwrap_or_default();
    }
    Ok(())
}

/// `/v2/{id}/{*}`.
pub(crate) fn path_rewrite(text: &str) -> Result<PathRewrite, Misfit> {
    let misfit = |why: &str| {
        (
            "E0413",
            format!("`{text}` is not a path: {why}"),
            "write `/v2/{id}/{*}`, with names from the match",
        )
    };
    if text.len() > LONGEST {
        return Err(misfit("it is longer than 4096 bytes"));
    }
    if !text.starts_with('/') {
        return Err(misfit("it does not start with `/`"));
    }
    let plain = |text: &str| {
        let bad = |c: char| !c.is_ascii_graphic() || matches!(c, '\\' | '}');
        if text.contains(['?', '#']) {
            Err(misfit("queries and fragments are no part of a path"))
        } else if text.contains(bad) {
            Err(misfit("it has a character that a path escapes"))
        } else {
            Ok(PathPiece::Text(text.to_owned()))
        }
    };
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| misfit("`{` has no `}`"))?;
        if !before.is_empty() {
            pieces.push(plain(before)?);
        }
        pieces.push(match name {
            "*" => PathPiece::Rest,
            "" => return Err(misfit("`{}` names nothing")),
            name => PathPiece::Parameter(name.to_owned()),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(plain(rest)?);
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(misfit("it has `.` or `..` segments"));
    }
    Ok(PathRewrite(pieces))
}

/// A host, or `*.` and one.
pub(crate) fn host(text: &str) -> Result<String, Misfit> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let address = text.parse::<std::net::IpAddr>().is_ok();
    if address || (name.len() <= 253 && name.split('.').all(label)) {
        let host = text.to_ascii_lowercase();
        return Ok(if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        });
    }
    Err((
        "E0408",
        format!("`{text}` is not a host"),
        "write `api.example.com` or `*.example.com`, without scheme or port",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |text: &str, expected: Option<(bool, &str, u16, &str)>| {
            let seen = base_url(text).ok();
            let seen = seen
                .as_ref()
                .map(|url| (url.tls, url.host.as_str(), url.port, url.path.as_str()));
            assert_eq!(seen, expected, "{text}");
        };
        check(
            "http://127.0.0.1:9001",
            Some((false, "127.0.0.1", 9_001, "")),
        );
        check(
            "https://API.example.com/v1/",
            Some((true, "api.example.com", 443, "/v1")),
        );
        check("http://[::1]:80", Some((false, "::1", 80, "")));
        for bad in [
            "",
            "h",
            "ftp://h",
            "//h",
            "http://",
            "http://u:p@h",
            "http://h?q",
            "http://h:0",
            "http://h:99999",
            "http://h/../x",
            "http://h#f",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn patterns_have_literals_parameters_and_a_rest() {
        let check = |text: &str, expected: Option<(usize, bool)>| {
            let seen = path_pattern(text)
                .ok()
                .map(|pattern| (pattern.segments.len(), pattern.rest));
            assert_eq!(seen, expected, "{text}");
        };
        check("/", Some((1, false)));
        check("/*", Some((0, true)));
        check("/a/{id}/*", Some((2, true)));
        check("/a/", Some((2, false)));
        check("/a%20b", Some((1, false)));
        for bad in [
            "", "a", "/a*", "/*/a", "//", "/a//b", "/{}", "/{a}/{a}", "/x{a}", "/../a", "/a?b",
            "/%61", "/%zz", "/a b", "/a//*",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn rewrites_have_texts_and_parameters() {
        let pieces = path_rewrite("/v2/{id}/{*}").unwrap().0;
        let expected = [
            PathPiece::Text("/v2/".to_owned()),
            PathPiece::Parameter("id".to_owned()),
            PathPiece::Text("/".to_owned()),
            PathPiece::Rest,
        ];
        assert_eq!(pieces, expected);
        for bad in ["", "v2", "/{", "/{}", "/a?b", "/../a", "/a}"] {
            assert!(path_rewrite(bad).is_err(), "{bad}");
        }
    }
}
