//! From sources to a configuration: parse, merge, check structure against the table, expand, then read and check
//! meaning. Every mistake is reported, not the first.

use std::collections::HashSet;

use crate::{
    catalog::Catalog,
    diagnostic::{Diagnostic, Report},
    document::{self, Key, Node, Value},
    expand::{Environment, expand},
    load::Source,
    model::Config,
    place::Span,
    read,
    shape::{Field, Kind, Record, Shape},
    table::FILE,
};

/// Checks sources, which are merged; `Some` only when there is no error.
pub fn check(sources: &[Source], environment: &dyn Environment) -> (Option<Config>, Report) {
    check_with(sources, environment, &Catalog::default())
}

/// The same, where vendors and operations may be named.
pub fn check_with(
    sources: &[Source],
    environment: &dyn Environment,
    catalog: &Catalog,
) -> (Option<Config>, Report) {
    let mut found = Vec::new();
    let mut hidden = Vec::new();
    let mut merged: Option<Node> = None;
    for (index, source) in sources.iter().enumerate() {
        match document::parse(&source.text, index) {
            Ok(node) => {
                merged = Some(match merged {
                    None => node,
                    Some(first) => merge(first, node, &mut found),
                });
            }
            Err(mistake) => {
                hidden.extend(likely_secrets(&source.text, index));
                found.push(mistake);
            }
        }
    }
    let parsed = found.is_empty();
    let config = merged
        .filter(|_| parsed)
        .and_then(|node| of_document(node, sources, environment, catalog, &mut found, &mut hidden));
    let report = Report::new(masked(sources, &hidden), found);
    (config.filter(|_| !report.has_errors()), report)
}

fn of_document(
    mut node: Node,
    sources: &[Source],
    environment: &dyn Environment,
    catalog: &Catalog,
    found: &mut Vec<Diagnostic>,
    hidden: &mut Vec<Span>,
) -> Option<Config> {
    if node.value == Value::Null {
        let help =
            "the shortest has `isobar: 1`, `listen`, `upstreams` and `routes`; see the quick start";
        let top = Span {
            source: node.at.source,
            line: 1,
            column: 1,
            ..Span::default()
        };
        found.push(Diagnostic::error("E0105", top, "the configuration is empty").help(help));
        return None;
    }
    let mut checker = Checker {
        environment,
        catalog,
        found,
        hidden,
    };
    checker.record(&mut node, &FILE);
    if checker
        .found
        .iter()
        .any(|mistake| mistake.severity == crate::Severity::Error)
    {
        // Names are looked up all the same, so that one round shows them too; what depends on the broken parts is left.
        let mut more = Vec::new();
        read::config(&node, sources, catalog, environment.now(), &mut more);
        checker.found.extend(
            more.into_iter()
                .filter(|mistake| mistake.code.starts_with("E03") || mistake.code == "E0206"),
        );
        return None;
    }
    Some(read::config(
        &node,
        sources,
        catalog,
        environment.now(),
        found,
    ))
}

/// The sources as they may be shown: secrets that stand in them are starred out, byte for byte.
fn masked(sources: &[Source], hidden: &[Span]) -> Vec<Source> {
    let mut sources = sources.to_vec();
    for span in hidden {
        let Some(source) = sources.get_mut(span.source) else {
            continue;
        };
        let range = span.offset..span.offset + span.whole;
        if let Some(secret) = source.text.get(range.clone()) {
            let stars: String = secret
                .bytes()
                .map(|byte| match byte {
                    b'\n' | b'\r' => char::from(byte),
                    _ => '*',
                })
                .collect();
            source.text.replace_range(range, &stars);
        }
    }
    sources
}

/// Where a text that does not parse probably has secrets: behind the keys that take them, and before an `@` in a URL.
fn likely_secrets(text: &str, source: usize) -> Vec<Span> {
    /// Keys whose values are secrets, besides `header` and `query`, which have `value`.
    const KEYS: [&str; 5] = ["bearer", "password", "value", "key", "keys"];
    let mut spans = Vec::new();
    let mut hide = |from: usize, to: usize| {
        spans.push(Span {
            source,
            offset: from,
            whole: to - from,
            ..Span::default()
        });
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim_end_matches(['\n', '\r']);
        // Up to here it has been looked at, so that a line is read once, however many colons it has.
        let mut seen = 0;
        for (colon, _) in shown.match_indices(':') {
            if colon < seen {
                continue;
            }
            let (before, after) = shown.split_at(colon);
            let after = after.get(1..).unwrap_or_default();
            if let Some(rest) = after.strip_prefix("//") {
                let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == '\'');
                let rest = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                let from = colon + 3;
                if let Some(at) = rest.rfind('@') {
                    hide(start + from, start + from + at);
                }
                seen = from + rest.len();
                continue;
            }
            let named = before.trim_end_matches([' ', '"', '\'']);
            let key = KEYS.iter().any(|key| {
                let rest = named.strip_suffix(key);
                rest.is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            let value = after.trim_start_matches([' ', '[', '"', '\'']);
            let outside = ["${", "file(", "sha256:"];
            if key && !outside.iter().any(|start| value.starts_with(start)) {
                let from = colon + 1 + after.len() - value.len();
                let value = value.split([',', '}', ']']).next().unwrap_or_default();
                seen = from + value.trim_end().len();
                hide(start + from, start + seen);
            }
        }
        start += line.len();
    }
    spans
}

/// Puts a later file's content with an earlier one's.
fn merge(mut first: Node, second: Node, found: &mut Vec<Diagnostic>) -> Node {
    let (Value::Map(into), Value::Map(from)) = (&mut first.value, second.value) else {
        found.push(
            Diagnostic::error("E0202", second.at, "a configuration is a map")
                .help("start with `isobar: 1`"),
        );
        return first;
    };
    for (key, node) in from {
        let Some((_, known)) = into.iter_mut().find(|(known, _)| known.text == key.text) else {
            into.push((key, node));
            continue;
        };
        match (&mut known.value, node.value) {
            (Value::List(items), Value::List(more)) => items.extend(more),
            (Value::Map(entries), Value::Map(more)) => merge_maps(entries, more, found),
            // Every file may say which version it is.
            (known, same) if key.text == "isobar" && *known == same => {}
            _ => found.push(
                Diagnostic::error(
                    "E0305",
                    key.at,
                    format!("`{}` is given in two files", key.text),
                )
                .help("keep it in one of them"),
            ),
        }
    }
    first
}

fn merge_maps(into: &mut Vec<(Key, Node)>, from: Vec<(Key, Node)>, found: &mut Vec<Diagnostic>) {
    for (key, node) in from {
        if into.iter().any(|(known, _)| known.text == key.text) {
            found.push(
                Diagnostic::error(
                    "E0305",
                    key.at,
                    format!("`{}` is given in two files", key.text),
                )
                .help("give one of them another name"),
            );
        } else {
            into.push((key, node));
        }
    }
}

/// Checks nodes against shapes, and expands texts where they stand.
struct Checker<'a> {
    environment: &'a dyn Environment,
    catalog: &'a Catalog,
    found: &'a mut Vec<Diagnostic>,
    /// Where secrets stand in the sources.
    hidden: &'a mut Vec<Span>,
}

impl Checker<'_> {
    fn node(&mut self, node: &mut Node, shape: &'static Shape) {
        match shape {
            Shape::Text(kind) => self.text(node, *kind),
            Shape::Integer(least, most) => match node.value {
                Value::Integer(number) if (*least..=*most).contains(&number) => {}
                Value::Integer(number) => self.range(
                    node.at,
                    &number.to_string(),
                    &least.to_string(),
                    &most.to_string(),
                ),
                _ => self.wrong(node, "a whole number", "write digits, without quotes"),
            },
            Shape::Number(least, most) => {
                #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
                let number = match node.value {
                    Value::Integer(number) => Some(number as f64),
                    Value::Float(number) => Some(number),
                    _ => None,
                };
                match number {
                    Some(number) if (*least..=*most).contains(&number) => {}
                    Some(number) => self.range(
                        node.at,
                        &number.to_string(),
                        &least.to_string(),
                        &most.to_string(),
                    ),
                    None => self.wrong(node, "a number", "write digits, without quotes"),
                }
            }
            Shape::Bool => {
                if !matches!(node.value, Value::Bool(_)) {
                    self.wrong(
                        node,
                        "`true` or `false`",
                        "YAML 1.2 knows `true` and `false` only, without quotes",
                    );
                }
            }
            Shape::Choice(words) => match &node.value {
                Value::Text(word) if words.contains(&word.as_str()) => {}
                Value::Text(word) => {
                    let mistake = Diagnostic::error(
                        "E0205",
                        node.at,
                        format!("`{word}` is not one of the choices"),
                    );
                    let before = self.found.len();
                    let known = words.iter().copied();
                    self.found.push(mistake.did_you_mean(word, known, before));
                }
                _ => self.wrong(node, "a word", "choose one of the words of the reference"),
            },
            Shape::List(least, item) => self.list(node, *least, item),
            Shape::Map(value) => self.map(node, value, Kind::Name),
            Shape::Headers(value) => self.map(node, value, Kind::HeaderName),
            Shape::Record(record) => self.record(node, record),
            Shape::Account(at_upstream, at_vendor) => self.account(node, at_upstream, at_vendor),
            Shape::OneOf(record) => self.one_of(node, record),
            Shape::Either(shapes) => self.either(node, shapes),
            Shape::Nothing => {
                if node.value != Value::Null {
                    self.wrong(node, "nothing", "leave the value out");
                }
            }
        }
    }

    fn text(&mut self, node: &mut Node, kind: Kind) {
        let written = match &node.value {
            Value::Text(text) => text.clone(),
            // `replay: 1024` and `key: 12345` are texts to everyone but YAML.
            Value::Integer(number)
                if matches!(kind, Kind::Size | Kind::Plain | Kind::Template | Kind::Name) =>
            {
                number.to_string()
            }
            _ => {
                let help = format!(
                    "write {}, such as `{}`",
                    article(kind.name()),
                    kind.example()
                );
                return self.wrong(node, "a text", &help);
            }
        };
        let expanded = match expand(node, &written, self.environment) {
            Ok(expanded) => expanded,
            Err(mistake) => return self.found.push(mistake),
        };
        let secret = match kind {
            Kind::Secret | Kind::PrivateKey => !expanded.from_outside,
            Kind::Key => !expanded.from_outside && !written.starts_with("sha256:"),
            Kind::Url => written.contains(['@', '?']),
            Kind::Store => !expanded.from_outside && written.contains('@'),
            _ => false,
        };
        if secret {
            self.hidden.push(node.at);
        }
        match kind {
            Kind::Secret | Kind::PrivateKey
                if !expanded.from_outside && kind.check(&expanded.text).is_ok() =>
            {
                let message = "a secret stands in the configuration file";
                self.found.push(
                    Diagnostic::warning("E0604", node.at, message)
                        .help("keep it outside: `${VENDOR_KEY}` or `file(vendor.key)`"),
                );
            }
            Kind::Key => self.key(node.at, &expanded.text, expanded.from_outside),
            Kind::Store if secret => {
                let message = "a password stands in the configuration file";
                self.found.push(
                    Diagnostic::warning("E0604", node.at, message)
                        .help("keep the URL outside: `${REDIS_URL}` or `file(redis.url)`"),
                );
            }
            _ => {
                if let Err((code, message, help)) = kind.check(&expanded.text) {
                    // What came from outside may be a secret in the wrong place, and is not told.
                    let message = if expanded.from_outside {
                        format!(
                            "what `{written}` stands for is not {}",
                            article(kind.name())
                        )
                    } else {
                        message
                    };
                    self.found
                        .push(Diagnostic::error(code, node.at, message).help(help));
                }
            }
        }
        node.value = Value::Text(expanded.text);
    }

    fn key(&mut self, at: Span, text: &str, from_outside: bool) {
        if let Some(digest) = text.strip_prefix("sha256:") {
            if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                self.found.push(
                    Diagnostic::error(
                        "E0411",
                        at,
                        "`sha256:` is not followed by 64 hexadecimal digits",
                    )
                    .help("`isobar key` makes a key and its digest"),
                );
            }
        } else if !from_outside {
            self.found.push(Diagnostic::error("E0605", at, "a client's key stands in the configuration file").help("write its digest (`isobar key --hash`), or take it from `${VARIABLE}` or `file(PATH)`"));
        } else if text.len() < 16 {
            self.found.push(
                Diagnostic::error("E0606", at, "a client's key has fewer than 16 characters")
                    .help("`isobar key` makes a good one"),
            );
        }
    }

    fn list(&mut self, node: &mut Node, least: usize, item: &'static Shape) {
        let at = node.at;
        let Value::List(items) = &mut node.value else {
            return self.wrong(
                node,
                "a list",
                &format!("write `[{}]`, or one `- item` a line", example(item)),
            );
        };
        if items.len() < least {
            self.found.push(
                Diagnostic::error("E0207", at, "the list is empty")
                    .help(format!("write one item at least: `[{}]`", example(item))),
            );
        }
        for node in items {
            self.node(node, item);
        }
    }

    fn map(&mut self, node: &mut Node, value: &'static Shape, keys: Kind) {
        let Value::Map(entries) = &mut node.value else {
            return self.wrong(node, "a map", "write `name: value`, one a line");
        };
        let mut names = HashSet::new();
        for (key, node) in entries {
            if let Err((code, message, help)) = keys.check(&key.text) {
                self.found
                    .push(Diagnostic::error(code, key.at, message).help(help));
            }
            if keys == Kind::HeaderName {
                key.text.make_ascii_lowercase();
                if !names.insert(key.text.clone()) {
                    let message = format!("`{}` stands here twice", key.text);
                    self.found.push(
                        Diagnostic::error("E0103", key.at, message)
                            .help("header names are the same in capitals; remove one of the two"),
                    );
                }
            }
            self.node(node, value);
        }
    }

    fn record(&mut self, node: &mut Node, record: &'static Record) {
        let at = node.at;
        let Value::Map(entries) = &mut node.value else {
            return self.wrong(node, "a map", &format!("known keys: {}", known(record)));
        };
        for (key, node) in entries.iter_mut() {
            if let Some(field) = record.fields.iter().find(|field| field.key == key.text) {
                self.node(node, &field.shape);
                continue;
            }
            let message = format!("`{}` is not a key of {}", key.text, article(record.name));
            let mistake = Diagnostic::error("E0201", key.at, message);
            let keys = record.fields.iter().map(|field| field.key);
            let before = self.found.len();
            self.found
                .push(mistake.did_you_mean(&key.text, keys, before));
        }
        let missing = |field: &&Field| {
            field.required && !entries.iter().any(|(key, _)| key.text == field.key)
        };
        for field in record.fields.iter().filter(missing) {
            let message = format!("`{}` is missing in {}", field.key, article(record.name));
            let meaning = field.doc.split(". ").next().unwrap_or(field.doc);
            let meaning = meaning.trim_end_matches('.');
            let mut help = format!("add `{}: {}`", field.key, example(&field.shape));
            if !meaning.eq_ignore_ascii_case(field.key) {
                help = format!("{help} ({meaning})");
            }
            self.found
                .push(Diagnostic::error("E0203", at, message).help(help));
        }
    }

    /// An account at a vendor has that vendor's fields beside those that all have.
    fn account(
        &mut self,
        node: &mut Node,
        at_upstream: &'static Record,
        at_vendor: &'static Record,
    ) {
        let Some(named) = node.get("vendor") else {
            return self.record(node, at_upstream);
        };
        let (name, at, whole) = (
            named.text().unwrap_or_default().to_owned(),
            named.at,
            node.at,
        );
        let catalog = self.catalog;
        let Some(vendor) = catalog.vendor(&name) else {
            let known = catalog.vendors.iter().map(|vendor| vendor.name.as_str());
            let before = self.found.len();
            let mistake = Diagnostic::error("E0313", at, format!("there is no vendor `{name}`"));
            self.found.push(mistake.did_you_mean(&name, known, before));
            return;
        };
        let Value::Map(entries) = &mut node.value else {
            return;
        };
        for (key, node) in entries.iter_mut() {
            if let Some(field) = at_vendor.fields.iter().find(|field| field.key == key.text) {
                self.node(node, &field.shape);
            } else if let Some(field) = vendor.fields.iter().find(|field| field.name == key.text) {
                self.text(
                    node,
                    if field.secret {
                        Kind::Secret
                    } else {
                        Kind::Plain
                    },
                );
            } else {
                let message = format!("`{}` is not a key of an account at `{name}`", key.text);
                let own = vendor.fields.iter().map(|field| field.name.as_str());
                let keys = own.chain(at_vendor.fields.iter().map(|field| field.key));
                let before = self.found.len();
                let mistake = Diagnostic::error("E0201", key.at, message);
                self.found
                    .push(mistake.did_you_mean(&key.text, keys, before));
            }
        }
        for field in vendor.fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|(key, _)| key.text == field.name) {
                let message = format!("`{}` is missing in an account at `{name}`", field.name);
                let example = if field.secret {
                    format!("${{{}}}", field.name.to_uppercase())
                } else {
                    "…".to_owned()
                };
                let help = format!("add `{}: \"{example}\"` ({})", field.name, field.doc);
                self.found
                    .push(Diagnostic::error("E0203", whole, message).help(help));
            }
        }
    }

    fn one_of(&mut self, node: &mut Node, record: &'static Record) {
        self.record(node, record);
        if let Value::Map(entries) = &node.value
            && entries.len() != 1
        {
            let message = format!("`{}` has exactly one of {}", record.name, known(record));
            let help = if entries.is_empty() {
                "add the one that the service asks for"
            } else {
                "keep the one that the service asks for"
            };
            self.found
                .push(Diagnostic::error("E0208", node.at, message).help(help));
        }
    }

    fn either(&mut self, node: &mut Node, shapes: &'static [Shape]) {
        let fits = |shape: &&Shape| {
            matches!(
                (&node.value, shape),
                (Value::Text(_) | Value::Integer(_), Shape::Text(_))
                    | (Value::Text(_), Shape::Choice(_))
                    | (Value::List(_), Shape::List(..))
                    | (Value::Map(_), Shape::Record(_))
                    | (Value::Bool(_), Shape::Bool)
                    | (Value::Null, Shape::Nothing)
            )
        };
        if let Some(shape) = shapes.iter().find(fits) {
            return self.node(node, shape);
        }
        let wanted: Vec<&str> = shapes.iter().map(kind_of).collect();
        let examples: Vec<String> = shapes
            .iter()
            .map(|shape| format!("`{}`", example(shape)))
            .collect();
        let help = format!("write {}", examples.join(", or "));
        self.wrong(node, &wanted.join(" or "), &help);
    }

    fn wrong(&mut self, node: &Node, wanted: &str, help: &str) {
        let message = format!("this should be {wanted}, and is {}", node.kind());
        let variable = node.text().is_some_and(|text| text.contains("${"));
        let help = if variable {
            "a variable stands for a text; write the value itself here"
        } else {
            help
        };
        self.found
            .push(Diagnostic::error("E0202", node.at, message).help(help));
    }

    fn range(&mut self, at: Span, number: &str, least: &str, most: &str) {
        let message = format!("{number} is out of range");
        self.found.push(
            Diagnostic::error("E0204", at, message)
                .help(format!("write a number from {least} to {most}")),
        );
    }
}

fn kind_of(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text(_) => "a text",
        Shape::Integer(..) => "a whole number",
        Shape::Number(..) => "a number",
        Shape::Bool => "`true` or `false`",
        Shape::Choice(_) => "a word",
        Shape::List(..) => "a list",
        Shape::Map(_)
        | Shape::Headers(_)
        | Shape::Record(_)
        | Shape::Account(..)
        | Shape::OneOf(_) => "a map",
        Shape::Either(_) => "one of several",
        Shape::Nothing => "nothing",
    }
}

/// A value of a shape, as one would write it on a line.
fn example(shape: &Shape) -> String {
    match shape {
        Shape::Text(Kind::Plain) => "NAME".to_owned(),
        Shape::Text(kind) => kind.example().to_owned(),
        Shape::Integer(least, _) => (*least).max(1).to_string(),
        Shape::Number(least, _) => least.to_string(),
        Shape::Bool => "true".to_owned(),
        Shape::Choice(words) => words.first().copied().unwrap_or_default().to_owned(),
        Shape::List(_, item) => format!("[{}]", example(item)),
        Shape::Map(value) | Shape::Headers(value) => format!("{{ NAME: {} }}", example(value)),
        Shape::Record(record) | Shape::OneOf(record) => {
            let mut required: Vec<String> = record
                .fields
                .iter()
                .filter(|field| field.required)
                .map(|field| format!("{}: {}", field.key, example(&field.shape)))
                .collect();
            if record.name == "route" {
                // No one key of what a route does is required, but one of them is.
                required.push("forward: [NAME]".to_owned());
            }
            if record.name == "listen" {
                required.push(format!("http: {}", Kind::Address.example()));
            }
            if required.is_empty() {
                "{ … }".to_owned()
            } else {
                format!("{{ {} }}", required.join(", "))
            }
        }
        Shape::Account(..) => "{ vendor: NAME, key: \"${KEY}\" }".to_owned(),
        Shape::Either(shapes) => shapes.first().map_or(String::new(), example),
        Shape::Nothing => String::new(),
    }
}

fn known(record: &Record) -> String {
    record
        .fields
        .iter()
        .map(|field| format!("`{}`", field.key))
        .collect::<Vec<_>>()
        .join(", ")
}

fn article(name: &str) -> String {
    match name {
        "file" => "the configuration".to_owned(),
        "limits" | "route limits" | "header edits" | "rates" | "log" | "listen" | "auth"
        | "tls" | "basic" | "retry" | "forward" | "match" | "respond" => format!("`{name}`"),
        name if name.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {name}"),
        name => format!("a {name}"),
    }
}
