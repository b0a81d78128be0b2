//! Routes: what they match and what they do.

use std::{collections::HashMap, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{Reader, count, duration, size, texts, texts_of};
use crate::{
    catalog::Catalog,
    diagnostic::Diagnostic,
    document::{Node, Value},
    model::{
        Action, Cache, Cors, Effect, Forward, HeaderEdits, Matcher, Mode, OriginPattern, PathPiece,
        PathRewrite, PoolId, Respond, Route, Segment,
    },
    place::Span,
    template::Template,
};

/// Headers of the connection's framing; only the gateway writes them.
const FRAMING: [&str; 6] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
];

impl Reader<'_> {
    pub(super) fn routes(
        &mut self,
        node: &Node,
        catalog: &Catalog,
        defaults: Option<&Node>,
    ) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::new();
        let mut seen: HashMap<Matcher, Span> = HashMap::new();
        for written in node.get("routes").map(Node::items).unwrap_or_default() {
            let Some(route) = self.route(written, catalog, defaults) else {
                continue;
            };
            let at = written
                .get("match")
                .map_or(written.at, |matched| matched.at);
            if let Some(first) = seen.get(&anonymised(&route.matcher)).copied() {
                let place = if first.source == at.source {
                    format!("line {}", first.line)
                } else {
                    self.location(first).to_string()
                };
                let help = format!(
                    "the one in {place} always wins; remove one, or narrow it by method, host or header"
                );
                let message = "an earlier route matches the same requests";
                self.error("E0501", at, message, help);
            } else {
                seen.insert(anonymised(&route.matcher), at);
            }
            routes.push(route);
        }
        routes
    }

    fn route(
        &mut self,
        written: &Node,
        catalog: &Catalog,
        defaults: Option<&Node>,
    ) -> Option<Route> {
        let pattern = written.get("match")?;
        let matcher = read_match(pattern)?;
        let name = self.route_name(written, pattern)?;
        let does = ["forward", "respond", "serve"].map(|key| written.get(key));
        let action = match does {
            [Some(forward), None, None] => Action::Forward(self.forward(forward, &name, &matcher)?),
            [None, Some(respond), None] => Action::Respond(self.respond(respond)),
            [None, None, Some(serve)] => Action::Serve(self.serve(serve, catalog)?),
            [Some(_), Some(second), _]
            | [Some(_), _, Some(second)]
            | [_, Some(_), Some(second)] => {
                let at = ["respond", "serve"]
                    .into_iter()
                    .find_map(|key| written.key(key));
                self.error(
                    "E0502",
                    at.unwrap_or(second.at),
                    "a route does one thing, and this one does several",
                    "keep one of them",
                );
                return None;
            }
            [None, None, None] => {
                self.error(
                    "E0502",
                    pattern.at,
                    "this route does nothing",
                    "add `forward: [upstream]`, `serve: OPERATION` or `respond: { … }`",
                );
                return None;
            }
        };
        let clients = written
            .get("clients")
            .map(|listed| self.client_names(listed));
        let anonymous = self.anonymous(written, clients.as_deref());
        let cache = written
            .get("cache")
            .and_then(|cache| self.cache(cache, &action, &matcher));
        let limits = match &action {
            Action::Serve(_) => self.serve_limits(written.get("limits"), defaults),
            Action::Forward(_) | Action::Respond(_) | Action::Compose(_) => {
                self.route_limits(written.get("limits"), defaults)
            }
        };
        Some(Route {
            name,
            matcher,
            action,
            anonymous,
            clients,
            scopes: written.get("scopes").map(texts_of).unwrap_or_default(),
            cors: match written.get("cors") {
                Some(off) if off.text().is_some() => None,
                Some(own) => self.cors(own),
                None => self.cors.clone(),
            },
            cache,
            limits,
            at: self.location(written.at),
        })
    }

    /// Whether requests without a key are served, which goes neither with `clients` nor with `scopes`.
    pub(super) fn anonymous(&mut self, written: &Node, clients: Option<&[String]>) -> bool {
        let Some(Node {
            value: Value::Bool(true),
            at,
        }) = written.get("anonymous")
        else {
            return false;
        };
        let mut mistake = |what, other| {
            let message = format!("a route {what} cannot be anonymous");
            let help = format!("remove `anonymous` or `{other}`");
            let at = written.key("anonymous").unwrap_or(*at);
            self.error("E0503", at, message, help);
        };
        if clients.is_some_and(|clients| !clients.is_empty()) {
            mistake("for some clients", "clients");
        }
        if written.get("scopes").is_some() {
            mistake("that needs scopes", "scopes");
        }
        true
    }

    pub(super) fn cors(&mut self, written: &Node) -> Option<Cors> {
        let texts = |key: &str| written.get(key).map(texts_of).unwrap_or_default();
        let origins = written.get("origins")?;
        let cors = Cors {
            origins: texts_of(origins)
                .iter()
                .filter_map(|text| OriginPattern::parse(text))
                .collect(),
            methods: texts("methods"),
            headers: texts("headers"),
            exposed: texts("exposed"),
            credentials: matches!(
                written.get("credentials").map(|node| &node.value),
                Some(Value::Bool(true))
            ),
            max_age: written
                .get("max_age")
                .and_then(duration)
                .unwrap_or(Duration::from_mins(10)),
        };
        if cors.credentials && cors.origins.contains(&OriginPattern::Any) {
            self.error(
                "E0509",
                written.key("credentials").unwrap_or(written.at),
                "any page on the web could use the cookies of whoever looks at it",
                "list the origins that may, or leave `credentials` out",
            );
        }
        Some(cors)
    }

    fn cache(&mut self, written: &Node, action: &Action, matcher: &Matcher) -> Option<Cache> {
        let is_read = |method: &String| matches!(method.as_str(), "GET" | "HEAD");
        let (why, help) = match action {
            Action::Forward(forward) if forward.mode == Mode::Stream => (
                "an answer on the way `stream` is passed on as it comes, and not kept",
                "leave `mode` out, or `cache`",
            ),
            Action::Forward(_) if matcher.methods.is_empty() => ("", ""),
            Action::Forward(_) if !matcher.methods.iter().any(is_read) => (
                "only answers to GET and HEAD are kept, and the route takes neither",
                "leave `cache` out, or let the route take GET",
            ),
            Action::Forward(_) => ("", ""),
            Action::Respond(_) | Action::Compose(_) => (
                "only answers of upstreams are kept, and this route has none",
                "leave `cache` out",
            ),
            Action::Serve(_) => (
                "answers of operations are kept by `cache` within `serve`",
                "write `serve: { operation: NAME, cache: 1h }`",
            ),
        };
        if !why.is_empty() {
            self.error("E0507", written.at, why, help);
            return None;
        }
        let time = |key: &str| written.get(key).and_then(duration);
        Some(Cache {
            shared: matches!(
                written.get("shared").map(|node| &node.value),
                Some(Value::Bool(true))
            ),
            fresh: time("fresh"),
            stale_if_error: time("stale_if_error"),
            stale_while_revalidate: time("stale_while_revalidate"),
            answer: written.get("answer").and_then(size).unwrap_or(1 << 20),
        })
    }

    /// The given name, or the match as written, made unique.
    fn route_name(&mut self, written: &Node, matched: &Node) -> Option<String> {
        if let Some(given) = written.get("name") {
            let name = given.text()?.to_owned();
            if self.route_names.insert(name.clone(), 1).is_some() {
                self.error(
                    "E0304",
                    given.at,
                    format!("two routes are named `{name}`"),
                    "metrics and breakers go by this name; make it unique",
                );
            }
            return Some(name);
        }
        let base = match matched.text() {
            Some(text) => text.trim().to_owned(),
            None => matched.get("path").and_then(Node::text)?.to_owned(),
        };
        // The count of those before it: the next one need not try every number again.
        let mut number = self.route_names.get(&base).copied().unwrap_or(0);
        let name = loop {
            number += 1;
            let name = if number == 1 {
                base.clone()
            } else {
                format!("{base} #{number}")
            };
            if !self.route_names.contains_key(&name) {
                break name;
            }
        };
        self.route_names.insert(base, number);
        self.route_names.entry(name.clone()).or_insert(1);
        Some(name)
    }

    pub(super) fn client_names(&mut self, listed: &Node) -> Vec<String> {
        let mut names = Vec::new();
        for item in listed.items() {
            let Some(name) = item.text() else { continue };
            if self.clients.iter().any(|known| known == name) {
                names.push(name.to_owned());
            } else {
                let mistake =
                    Diagnostic::error("E0303", item.at, format!("there is no client `{name}`"));
                let known = self.clients.iter().map(String::as_str);
                let mistake = mistake.did_you_mean(name, known, self.found.len());
                self.found.push(match mistake.help {
                    Some(_) => mistake,
                    None => mistake.help("there are none; add it to `clients`"),
                });
            }
        }
        names
    }

    fn forward(&mut self, written: &Node, route: &str, matcher: &Matcher) -> Option<Forward> {
        let pool = self.forward_pool(written, route)?;
        self.check_forwardable(pool, written.at);
        if let Some(used) = self.used_pools.get_mut(pool.0) {
            *used = true;
        }
        let path = written
            .get("path")
            .and_then(|node| Some((texts::path_rewrite(node.text()?).ok()?, node.at)));
        if let Some((rewrite, at)) = &path {
            self.check_rewrite(rewrite, matcher, *at);
        }
        let effect = written
            .get("effect")
            .and_then(Node::text)
            .map(|word| match word {
                "read" => Effect::Read,
                "idempotent" => Effect::Idempotent,
                "keyed" => Effect::Keyed,
                _ => Effect::Unsafe,
            });
        let hedged = self
            .pools
            .get(pool.0)
            .is_some_and(|pool| pool.hedge.is_some());
        if let (Some(node), Some(Effect::Keyed | Effect::Unsafe)) = (written.get("effect"), effect)
            && hedged
        {
            let message = format!(
                "a hedge sends a request twice at once, and a request that is `{}` must never be",
                node.text().unwrap_or_default()
            );
            let help = "leave `hedge` out of the pool, or use one without";
            self.error("E0803", node.at, message, help);
        }
        if let Some("stream") = written.get("mode").and_then(Node::text)
            && let Some(account) = self.needs_bodies(pool)
        {
            let message = format!(
                "`{account}` signs bodies, and one that passes through is not known in advance"
            );
            let help = "leave `mode` out: the body is then read first, up to `replay`";
            self.error(
                "E0510",
                written.key("mode").unwrap_or(written.at),
                message,
                help,
            );
        }
        Some(Forward {
            pool,
            path: path.map(|(rewrite, _)| rewrite),
            request_headers: self.edits(written.get("request_headers")),
            response_headers: self.edits(written.get("response_headers")),
            effect,
            mode: match written.get("mode").and_then(Node::text) {
                Some("stream") => Mode::Stream,
                Some("exchange") => Mode::Exchange,
                _ => Mode::Auto,
            },
        })
    }

    /// A member that cannot be sent a request before its whole body is known.
    fn needs_bodies(&self, pool: PoolId) -> Option<String> {
        let pool = self.pools.get(pool.0)?;
        let ruled = pool.rules.iter().flat_map(|rule| &rule.members);
        let mut accounts = pool
            .members
            .iter()
            .chain(ruled)
            .filter_map(|member| self.accounts.get(member.account.0));
        let found = accounts.find(|account| account.auth.signs_bodies())?;
        Some(found.name.clone())
    }

    fn forward_pool(&mut self, written: &Node, route: &str) -> Option<PoolId> {
        if written.text().is_some() {
            return self.pool(written);
        }
        if !written.items().is_empty() {
            return Some(self.add_pool(route.to_owned(), written, written.at));
        }
        match (written.get("pool"), written.get("members")) {
            (Some(pool), None) => {
                for key in ["policy", "rules", "retry", "hedge", "outlier"] {
                    if let Some(at) = written.key(key) {
                        self.error(
                            "E0505",
                            at,
                            format!("`{key}` belongs to the pool"),
                            "set it where the pool is, or list `members` here",
                        );
                    }
                }
                self.pool(pool)
            }
            (None, Some(_)) => Some(self.add_pool(route.to_owned(), written, written.at)),
            (Some(_), Some(second)) => {
                self.error(
                    "E0502",
                    written.key("members").unwrap_or(second.at),
                    "`pool` and `members` both say where requests go",
                    "keep one of them",
                );
                None
            }
            (None, None) => {
                if written.kind() == "a map" {
                    self.error(
                        "E0203",
                        written.at,
                        "`pool` or `members` is missing",
                        "say where requests go: `members: [a, b]` or `pool: NAME`",
                    );
                }
                None
            }
        }
    }

    fn check_rewrite(&mut self, rewrite: &PathRewrite, matcher: &Matcher, at: Span) {
        for piece in &rewrite.0 {
            match piece {
                PathPiece::Rest if !matcher.path.rest => {
                    self.error(
                        "E0309",
                        at,
                        "`{*}` is what `/*` matched, and the match has no `/*`",
                        "end the match's path in `/*`",
                    );
                }
                PathPiece::Parameter(name) => {
                    let known: Vec<&str> = matcher
                        .path
                        .segments
                        .iter()
                        .filter_map(|segment| match segment {
                            Segment::Parameter(name) => Some(name.as_str()),
                            Segment::Literal(_) => None,
                        })
                        .collect();
                    if !known.contains(&name.as_str()) {
                        let mistake = Diagnostic::error(
                            "E0309",
                            at,
                            format!("the match has no parameter `{name}`"),
                        );
                        let mistake = mistake.did_you_mean(name, known, self.found.len());
                        self.found.push(match mistake.help {
                            Some(_) => mistake,
                            None => mistake.help(format!("write `{{{name}}}` in the match's path")),
                        });
                    }
                }
                PathPiece::Text(_) | PathPiece::Rest => {}
            }
        }
    }

    fn edits(&mut self, written: Option<&Node>) -> HeaderEdits {
        let mut edits = HeaderEdits::default();
        let Some(written) = written else { return edits };
        for (name, value) in written.get("set").map(Node::entries).unwrap_or_default() {
            self.check_header(&name.text, name.at);
            let Some(template) = value.text().and_then(|text| Template::parse(text).ok()) else {
                continue;
            };
            if template
                .literal()
                .is_some_and(|text| HeaderValue::from_str(text).is_err())
            {
                self.error(
                    "E0410",
                    value.at,
                    "this text cannot be a header's value",
                    "remove line breaks and control characters",
                );
            }
            edits.set.push((name.text.clone(), template));
        }
        for item in written.get("remove").map(Node::items).unwrap_or_default() {
            let Some(name) = item.text().map(str::to_ascii_lowercase) else {
                continue;
            };
            self.check_header(&name, item.at);
            if edits.set.iter().any(|(set, _)| *set == name) {
                self.error(
                    "E0811",
                    item.at,
                    format!("`{name}` is set and removed"),
                    "setting replaces what was there; remove it here",
                );
            }
            edits.remove.push(name);
        }
        edits
    }

    fn check_header(&mut self, name: &str, at: Span) {
        if FRAMING.contains(&name) || name.starts_with("isobar-") {
            self.error(
                "E0810",
                at,
                format!("`{name}` is written by the gateway alone"),
                "leave it out",
            );
        }
    }

    fn respond(&mut self, written: &Node) -> Respond {
        let mut headers = Vec::new();
        for (name, value) in written
            .get("headers")
            .map(Node::entries)
            .unwrap_or_default()
        {
            self.check_header(&name.text, name.at);
            let text = value.text().unwrap_or_default();
            if HeaderName::try_from(name.text.as_str()).is_ok()
                && HeaderValue::from_str(text).is_err()
            {
                self.error(
                    "E0410",
                    value.at,
                    "this text cannot be a header's value",
                    "remove line breaks and control characters",
                );
            }
            headers.push((name.text.clone(), text.to_owned()));
        }
        let status = written
            .get("status")
            .and_then(count)
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(200);
        Respond {
            status,
            headers,
            body: written
                .get("body")
                .and_then(Node::text)
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

fn read_match(node: &Node) -> Option<Matcher> {
    if let Some(text) = node.text() {
        return texts::match_text(text).ok();
    }
    let words = |key: &str| -> Vec<String> {
        let Some(node) = node.get(key) else {
            return Vec::new();
        };
        node.text()
            .into_iter()
            .chain(node.items().iter().filter_map(Node::text))
            .map(str::to_owned)
            .collect()
    };
    let header = |(name, value): &(crate::document::Key, Node)| {
        (name.text.clone(), value.text().map(str::to_owned))
    };
    Some(Matcher {
        hosts: words("host")
            .iter()
            .filter_map(|host| texts::host(host).ok())
            .collect(),
        path: texts::path_pattern(node.get("path")?.text()?).ok()?,
        methods: words("method"),
        headers: node
            .get("header")
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(header)
            .collect(),
    })
}

/// The matcher with its parameters' names taken out: two that are then equal match the same requests.
fn anonymised(matcher: &Matcher) -> Matcher {
    let mut matcher = matcher.clone();
    for segment in &mut matcher.path.segments {
        if let Segment::Parameter(name) = segment {
            name.clear();
        }
    }
    matcher.path.text.clear();
    matcher.hosts.sort();
    matcher.methods.sort();
    matcher.headers.sort();
    matcher
}
