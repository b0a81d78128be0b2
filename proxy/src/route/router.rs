//! Finds the route of a request in time that does not grow with the number of routes.
//!
//! Host first (exact, then the longest wildcard, then any), then the path segment by segment: a literal before a
//! parameter before `/*`. Among routes with the same pattern the first written whose method and headers fit is taken.
//! Matching is on the very bytes that are forwarded.

use std::collections::HashMap;

use http::{HeaderMap, Method};
use isobar_config::{Matcher, PathPattern, Segment};

/// The routing table.
#[derive(Debug, Default)]
pub(crate) struct Router {
    exact: HashMap<String, Node>,
    /// `.example.com`, longest first.
    wildcards: Vec<(String, Node)>,
    any: Node,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    here: Vec<usize>,
    rest: Vec<usize>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The route with this index.
    Route(usize),
    /// The path is known, the method is not; these are.
    OtherMethods(Vec<String>),
    Nothing,
}

/// What a request is matched by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Lower case, without port.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
}

impl Router {
    /// Builds the table; the index of a matcher is the index of its route.
    pub(crate) fn new(matchers: Vec<Matcher>) -> Self {
        let mut router = Self::default();
        for (index, matcher) in matchers.iter().enumerate() {
            if matcher.hosts.is_empty() {
                router.any.insert(&matcher.path, index);
            }
            for host in &matcher.hosts {
                router.host(host).insert(&matcher.path, index);
            }
        }
        router
            .wildcards
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        router.matchers = matchers;
        router
    }

    fn host(&mut self, host: &str) -> &mut Node {
        let Some(suffix) = host.strip_prefix('*') else {
            return self.exact.entry(host.to_owned()).or_default();
        };
        let at = self
            .wildcards
            .iter()
            .position(|(known, _)| known == suffix)
            .unwrap_or_else(|| {
                self.wildcards.push((suffix.to_owned(), Node::default()));
                self.wildcards.len() - 1
            });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.wildcards[at].1
    }

    /// The route for a request.
    pub(crate) fn find(&self, subject: Subject<'_>) -> Found {
        let mut others = Vec::new();
        let exact = self.exact.get(subject.host).into_iter();
        let wildcards = self
            .wildcards
            .iter()
            .filter(|(suffix, _)| covers(suffix, subject.host))
            .map(|(_, node)| node);
        let path = subject.path.strip_prefix('/').unwrap_or(subject.path);
        for node in exact.chain(wildcards).chain([&self.any]) {
            if let Some(found) = node.find(Some(path), &mut |index| {
                self.accepts(index, subject, &mut others)
            }) {
                return Found::Route(found);
            }
        }
        if others.is_empty() {
            return Found::Nothing;
        }
        others.sort();
        others.dedup();
        Found::OtherMethods(others)
    }

    fn accepts(&self, index: usize, subject: Subject<'_>, others: &mut Vec<String>) -> bool {
        let Some(matcher) = self.matchers.get(index) else {
            return false;
        };
        let header_fits = |(name, wanted): &(String, Option<String>)| {
            let mut values = subject.headers.get_all(name).iter();
            match wanted {
                None => values.next().is_some(),
                Some(wanted) => values.any(|value| value.as_bytes() == wanted.as_bytes()),
            }
        };
        if !matcher.headers.iter().all(header_fits) {
            return false;
        }
        let fits = matcher.methods.is_empty()
            || matcher
                .methods
                .iter()
                .any(|method| method == subject.method.as_str());
        if !fits {
            others.extend(matcher.methods.iter().cloned());
        }
        fits
    }
}

/// Whether `host` is one or more labels followed by `suffix` (`.example.com`).
fn covers(suffix: &str, host: &str) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

impl Node {
    fn insert(&mut self, pattern: &PathPattern, index: usize) {
        let mut node = self;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.as_str().into()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        if pattern.rest {
            node.rest.push(index);
        } else {
            node.here.push(index);
        }
    }

    /// `path` is what is left after a slash; `None` when nothing is, not even a slash.
    fn find(&self, path: Option<&str>, accepts: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let Some(path) = path else {
            return first(&self.here, accepts).or_else(|| first(&self.rest, accepts));
        };
        let (segment, after) = match path.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (path, None),
        };
        let literal = self
            .literals
            .get(segment)
            .and_then(|node| node.find(after, accepts));
        literal
            .or_else(|| {
                let node = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
                node.find(after, accepts)
            })
            .or_else(|| first(&self.rest, accepts))
    }
}

fn first(routes: &[usize], accepts: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
    routes.iter().copied().find(|index| accepts(*index))
}

/// What a path's parameters and rest are under a pattern that matched it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Captures<'a> {
    pub(crate) parameters: Vec<(&'a str, &'a str)>,
    /// What `/*` matched, without its leading slash.
    pub(crate) rest: &'a str,
}

impl<'a> Captures<'a> {
    /// Reads `path` by `pattern`, which has matched it.
    pub(crate) fn of(pattern: &'a PathPattern, path: &'a str) -> Self {
        let mut left = path.strip_prefix('/');
        let mut parameters = Vec::new();
        for segment in &pattern.segments {
            let Some(path) = left else { break };
            let (text, after) = match path.split_once('/') {
                Some((text, after)) => (text, Some(after)),
                None => (path, None),
            };
            if let Segment::Parameter(name) = segment {
                parameters.push((name.as_str(), text));
            }
            left = after;
        }
        Self {
            parameters,
            rest: left.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        let (body, rest) = match text.strip_suffix("/*") {
            Some(body) => (body, true),
            None => (text, false),
        };
        let segments = body.strip_prefix('/').map_or(Vec::new(), |body| {
            let parse = |segment: &str| match segment
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
            {
                Some(name) => Segment::Parameter(name.to_owned()),
                None => Segment::Literal(segment.to_owned()),
            };
            body.split('/').map(parse).collect()
        });
        PathPattern {
            text: text.to_owned(),
            segments,
            rest,
        }
    }

    fn matcher(route: &str) -> Matcher {
        let mut words: Vec<&str> = route.split(' ').collect();
        let path = pattern(words.pop().unwrap());
        let mut matcher = Matcher {
            hosts: vec![],
            path,
            methods: vec![],
            headers: vec![],
        };
        for word in words {
            if let Some(header) = word.strip_prefix('#') {
                matcher.headers.push((header.to_owned(), None));
            } else if word.chars().all(char::is_uppercase) {
                matcher.methods.push(word.to_owned());
            } else {
                matcher.hosts.push(word.to_owned());
            }
        }
        matcher
    }

    fn check(patterns: &[&str], request: &str, expected: &str) {
        let router = Router::new(patterns.iter().map(|text| matcher(text)).collect());
        let mut words = request.split(' ');
        let method: Method = words.next().unwrap().parse().unwrap();
        let (host, path) = words.next().unwrap().split_once('/').unwrap();
        let mut headers = HeaderMap::new();
        for name in words {
            headers.insert(
                http::HeaderName::try_from(name).unwrap(),
                http::HeaderValue::from_static("x"),
            );
        }
        let path = format!("/{path}");
        let found = router.find(Subject {
            host,
            path: &path,
            method: &method,
            headers: &headers,
        });
        let found = match found {
            Found::Route(index) => patterns[index].to_owned(),
            Found::OtherMethods(methods) => methods.join(","),
            Found::Nothing => String::new(),
        };
        assert_eq!(found, expected, "{request} among {patterns:?}");
    }

    #[test]
    fn literals_come_before_parameters_before_the_rest() {
        let routes = [
            "/*",
            "/users/{id}",
            "/users/me",
            "/users/{id}/*",
            "/users/{id}/files/{file}",
        ];
        check(&routes, "GET h/users/me", "/users/me");
        check(&routes, "GET h/users/7", "/users/{id}");
        check(&routes, "GET h/users/7/x/y", "/users/{id}/*");
        check(&routes, "GET h/users/7/files/a", "/users/{id}/files/{file}");
        check(&routes, "GET h/users/", "/*");
        check(&routes, "GET h/", "/*");
        check(&routes, "GET h//users/me", "/*");
    }

    #[test]
    fn a_dead_end_is_left_again() {
        let routes = ["/a/b/c", "/{x}/b/d", "/{x}/*"];
        check(&routes, "GET h/a/b/d", "/{x}/b/d");
        check(&routes, "GET h/a/b/e", "/{x}/*");
        check(&routes[..2], "GET h/z/b/e", "");
        check(&["/{x}/b/d", "/a/*"], "GET h/a/b/d", "/a/*");
    }

    #[test]
    fn a_trailing_slash_is_another_path() {
        check(&["/a"], "GET h/a/", "");
        check(&["/a/"], "GET h/a/", "/a/");
        check(&["/a/*"], "GET h/a", "/a/*");
        check(&["/a/*"], "GET h/ab", "");
        check(&["/"], "GET h/", "/");
        check(&["/"], "GET h/x", "");
    }

    #[test]
    fn methods_and_headers_narrow_and_a_wrong_method_says_which_are_right() {
        let routes = [
            "GET /a",
            "PUT DELETE /a",
            "#x-beta POST /a",
            "POST /b",
            "/{any}",
        ];
        check(&routes, "GET h/a", "GET /a");
        check(&routes, "DELETE h/a", "PUT DELETE /a");
        check(&routes, "POST h/a x-beta", "#x-beta POST /a");
        check(&routes, "POST h/a", "/{any}");
        check(&routes[..4], "PATCH h/a", "DELETE,GET,PUT");
    }

    #[test]
    fn the_nearest_host_wins_and_falls_back() {
        let routes = [
            "api.example.com /a",
            "*.example.com /*",
            "*.eu.example.com /a",
            "/*",
        ];
        check(&routes, "GET api.example.com/a", "api.example.com /a");
        check(&routes, "GET api.example.com/b", "*.example.com /*");
        check(&routes, "GET x.eu.example.com/a", "*.eu.example.com /a");
        check(&routes, "GET example.com/a", "/*");
    }

    #[test]
    fn captures_are_read_back() {
        let pattern = pattern("/users/{id}/files/*");
        let captures = Captures::of(&pattern, "/users/7/files/a/b");
        assert_eq!(
            captures,
            Captures {
                parameters: vec![("id", "7")],
                rest: "a/b"
            }
        );
        assert_eq!(Captures::of(&pattern, "/users/7/files").rest, "");
    }

    /// The table against the rules of this module, applied to one route after the other.
    mod reference {
        use proptest::{prelude::*, sample::select};

        use super::*;

        /// How well a route's path fits, best first: a literal before a parameter before `/*`, segment by segment.
        fn fit(pattern: &PathPattern, path: &str) -> Option<Vec<u8>> {
            let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
            let mut fit = Vec::new();
            for wanted in &pattern.segments {
                match (wanted, segments.next()?) {
                    (Segment::Literal(text), segment) if text == segment => fit.push(0),
                    (Segment::Parameter(_), segment) if !segment.is_empty() => fit.push(1),
                    _ => return None,
                }
            }
            match (pattern.rest, segments.next()) {
                (true, _) => fit.push(2),
                (false, None) => fit.push(0),
                (false, Some(_)) => return None,
            }
            Some(fit)
        }

        /// How near a host is, nearest first.
        fn nearness(matcher: &Matcher, host: &str) -> Option<usize> {
            if matcher.hosts.is_empty() {
                return Some(usize::MAX);
            }
            let one = |known: &String| match known.strip_prefix('*') {
                None => (known == host).then_some(0),
                Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix))
                    .then(|| 1_000 - suffix.len()),
            };
            matcher.hosts.iter().filter_map(one).min()
        }

        fn naive(matchers: &[Matcher], subject: Subject<'_>) -> Found {
            let mut best: Option<((usize, Vec<u8>, usize), usize)> = None;
            let mut others = Vec::new();
            for (index, matcher) in matchers.iter().enumerate() {
                let (Some(near), Some(fit)) = (
                    nearness(matcher, subject.host),
                    fit(&matcher.path, subject.path),
                ) else {
                    continue;
                };
                let has_headers = matcher.headers.iter().all(|(name, wanted)| {
                    let value = subject.headers.get(name);
                    value.is_some_and(|value| {
                        wanted
                            .as_ref()
                            .is_none_or(|wanted| value == wanted.as_str())
                    })
                });
                if !has_headers {
                    continue;
                }
                if !matcher.methods.is_empty()
                    && !matcher
                        .methods
                        .iter()
                        .any(|method| method == subject.method.as_str())
                {
                    others.extend(matcher.methods.iter().cloned());
                    continue;
                }
                let rank = (near, fit, index);
                if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                    best = Some((rank, index));
                }
            }
            others.sort();
            others.dedup();
            match best {
                Some((_, index)) => Found::Route(index),
                None if others.is_empty() => Found::Nothing,
                None => Found::OtherMethods(others),
            }
        }

        fn path_of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
            prop::collection::vec(select(pieces), 1..4)
                .prop_map(|segments| format!("/{}", segments.join("/")))
        }

        fn a_matcher() -> impl Strategy<Value = Matcher> {
            let path = (path_of(&["a", "b", "", "{x}", "{y}"]), any::<bool>())
                .prop_map(|(path, rest)| pattern(&if rest { format!("{path}/*") } else { path }));
            let path = prop_oneof![9 => path, 1 => Just(pattern("/*"))];
            let host =
                select(["h.io", "a.h.io", "*.h.io", "*.io"].as_slice()).prop_map(str::to_owned);
            let method = select(["GET", "PUT"].as_slice()).prop_map(str::to_owned);
            let header =
                select(vec![None, Some("1".to_owned())]).prop_map(|value| ("x".to_owned(), value));
            (
                prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(host, 1..3)],
                path,
                prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(method, 1..2)],
                prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(header, 1..2)],
            )
                .prop_map(|(hosts, path, methods, headers)| Matcher {
                    hosts,
                    path,
                    methods,
                    headers,
                })
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(2_000))]

            #[test]
            fn the_table_finds_what_reading_every_route_finds(
                matchers in prop::collection::vec(a_matcher(), 0..12),
                requests in prop::collection::vec(
                    (
                        select(["h.io", "a.h.io", "b.h.io", "io", "x"].as_slice()),
                        path_of(&["a", "b", "", "c"]),
                        select([Method::GET, Method::PUT, Method::POST].as_slice()),
                        select([None, Some("1"), Some("2")].as_slice()),
                    ),
                    1..8,
                ),
            ) {
                let router = Router::new(matchers.clone());
                for (host, path, method, value) in &requests {
                    let mut headers = HeaderMap::new();
                    if let Some(value) = value {
                        headers.insert("x", http::HeaderValue::from_static(value));
                    }
                    let subject = Subject { host, path, method, headers: &headers };
                    let found = router.find(subject);
                    prop_assert_eq!(&found, &naive(&matchers, subject), "{} {}{} x: {:?}", method, host, path, value);
                    if let Found::Route(index) = found {
                        let pattern = &matchers[index].path;
                        let captures = Captures::of(pattern, path);
                        let mut parameters = captures.parameters.iter();
                        let mut rebuilt: Vec<&str> = Vec::new();
                        for segment in &pattern.segments {
                            rebuilt.push(match segment {
                                Segment::Literal(text) => text,
                                Segment::Parameter(_) => parameters.next().unwrap().1,
                            });
                        }
                        if pattern.rest && path[1..].split('/').count() > rebuilt.len() {
                            rebuilt.push(captures.rest);
                        }
                        prop_assert_eq!(format!("/{}", rebuilt.join("/")), path.clone());
                    }
                }
            }
        }
    }
}
