//! `vendor.yaml`: accounts, hosts, authentication, errors.
//!
//! - `account: { endpoint: { default: "https://{$.account.region}.example.com" } }`: a default may name fields before it;
//! - `errors: retry_after:`: a place in the body, or a list of them of which the first that is there counts.

use std::{collections::BTreeMap, sync::Arc};

use isobar_config::{Diagnostic, Node, Step, Value, steps};

use super::{
    document,
    reading::{Place, Reading, each},
};
use crate::{
    capability::{CONTRACTS, Contract},
    failure::Kind,
    transform::Table,
    vendor::{Auth, ErrorPath, ErrorRule, Errors, Field, Service, Vendor},
};

/// Keys of `vendor.yaml`, beside the capabilities.
pub(super) const KEYS: [&str; 12] = [
    "vendor", "title", "docs", "hint", "account", "base", "auth", "headers", "services", "hosts",
    "errors", "tables",
];
/// Keys of a field of the account.
pub(super) const FIELD: [&str; 4] = ["secret", "optional", "default", "doc"];
/// Keys of a service.
pub(super) const SERVICE: [&str; 3] = ["base", "auth", "headers"];
/// Ways to authenticate, beside `none`.
pub(super) const SCHEMES: [&str; 9] = [
    "bearer",
    "header",
    "query",
    "basic",
    "sigv4",
    "tc3",
    "key_or_file",
    "oauth",
    "signed_query",
];
/// Keys of `errors`.
pub(super) const ERRORS: [&str; 5] = ["code", "message", "retry_after", "in_success", "kinds"];
/// Keys of a row of `kinds`.
pub(super) const ROW: [&str; 4] = ["status", "code", "message", "kind"];

/// The capabilities that there are.
pub(super) fn capabilities() -> Vec<&'static str> {
    let mut known: Vec<&str> = CONTRACTS.iter().map(Contract::capability).collect();
    known.dedup();
    known
}

impl Reading<'_> {
    /// One vendor from its documents.
    pub(super) fn vendor(&mut self, documents: &[(String, Node)]) -> Option<Vendor> {
        let Some(node) = document(documents, "vendor") else {
            if let Some((_, first)) = documents.first() {
                self.missing(
                    first,
                    "vendor.yaml",
                    "every vendor's folder has a `vendor.yaml` with its accounts, hosts and errors",
                );
            }
            return None;
        };
        let known: Vec<&str> = KEYS.into_iter().chain(capabilities()).collect();
        let entries = self.record(node, "a vendor", &known);
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        let value = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key.text == name)
                .map(|(_, value)| *value)
        };
        let name = match value("vendor") {
            Some(node) => self.text(node).unwrap_or_default().to_owned(),
            None => {
                self.missing(
                    node,
                    "vendor",
                    "the vendor's name, as the folder's: `vendor: acme`",
                );
                String::new()
            }
        };
        let named = value("vendor").filter(|node| node.text().is_some());
        if let Some(node) = named
            && self.name(node.at, &name)
            && name != self.folder
        {
            let message = format!("the folder of vendor `{name}` is called `{}`", self.folder);
            self.error("E0906", node, message, "a vendor's folder has its name");
        }
        let title = value("title")
            .and_then(|node| self.text(node))
            .unwrap_or(&name)
            .to_owned();
        if let Some(docs) = value("docs") {
            self.text(docs);
        }
        let hint = value("hint")
            .and_then(|node| self.text(node))
            .map(str::to_owned);
        if let Some(account) = value("account") {
            self.fields = self.account_fields(account);
        }
        if let Some(tables) = value("tables") {
            self.read_tables(tables);
        }
        let services = self.services(node, &value);
        let hosts = value("hosts")
            .map(|node| self.hosts(node))
            .unwrap_or_default();
        let errors = value("errors")
            .map(|node| self.errors(node))
            .unwrap_or_default();
        // What is wrong with a service has been said; operations that name it are not wrong for that.
        let named = value("services").map(Node::entries).unwrap_or_default();
        let named = named.iter().map(|(key, _)| key.text.clone());
        let usual = value("base").is_some() || value("services").is_none();
        self.services = usual.then(String::new).into_iter().chain(named).collect();
        let mut operations = Vec::new();
        for (stem, document) in documents.iter().filter(|(stem, _)| stem != "vendor") {
            if !capabilities().contains(&stem.as_str()) {
                let message = format!("there is no capability `{stem}`");
                let mistake = Diagnostic::error("E0907", document.at, message);
                self.found
                    .push(mistake.did_you_mean(stem, capabilities(), 0));
                continue;
            }
            operations.extend(self.operations(stem, document));
        }
        for capability in capabilities() {
            if let Some(section) = value(capability) {
                operations.extend(self.operations(capability, section));
            }
        }
        Some(Vendor {
            name,
            title,
            hint,
            fields: std::mem::take(&mut self.fields),
            services,
            hosts,
            errors,
            operations,
        })
    }

    fn account_fields(&mut self, node: &Node) -> Vec<Field> {
        let mut fields = Vec::new();
        for (key, node) in self.map(node, "`account`") {
            self.name(key.at, &key.text);
            let reserved = isobar_config::account_keys();
            if key.text == "upstream" || reserved.contains(&key.text.as_str()) {
                self.key_error(
                    "E0902",
                    key.at,
                    format!("`{}` is a key of every account already", key.text),
                    "choose another name",
                );
            }
            let entries = self.record(node, "an account's field", &FIELD);
            let value = |name: &str| {
                entries
                    .iter()
                    .find(|(key, _)| key.text == name)
                    .map(|(_, value)| *value)
            };
            let default = value("default").and_then(|node| self.scalar(node));
            if let (Some(node), Some(default)) = (value("default"), &default) {
                let named: Vec<&str> = default
                    .split("{$.account.")
                    .skip(1)
                    .filter_map(|rest| rest.split('}').next())
                    .collect();
                let before: Vec<&str> = fields
                    .iter()
                    .map(|field: &Field| field.name.as_str())
                    .collect();
                for name in named.into_iter().filter(|name| !before.contains(name)) {
                    let message = format!("no field before this one is called `{name}`");
                    self.found
                        .push(Diagnostic::error("E0902", node.at, message).did_you_mean(
                            name,
                            before.iter().copied(),
                            0,
                        ));
                }
            }
            let optional = value("optional").is_some_and(|node| self.flag(node));
            fields.push(Field {
                name: key.text.clone(),
                secret: value("secret").is_some_and(|node| self.flag(node)),
                required: !optional && default.is_none(),
                default,
                doc: value("doc")
                    .and_then(|node| self.text(node))
                    .unwrap_or_default()
                    .to_owned(),
            });
        }
        fields
    }

    /// Host suffixes; one of a single label would be half of the internet.
    fn hosts(&mut self, node: &Node) -> Vec<String> {
        let mut hosts = Vec::new();
        for item in each(node) {
            let Some(host) = self.text(item) else {
                continue;
            };
            let labels: Vec<&str> = host.split('.').collect();
            let good = |label: &&str| {
                let signs = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !label.is_empty() && label.bytes().all(signs)
            };
            if labels.len() < 2 || !labels.iter().all(good) {
                self.error(
                    "E0408",
                    item,
                    format!("`{host}` is not the end of a host's name"),
                    "write at least two labels, `example.com`: any host below it may be called",
                );
            }
            hosts.push(host.to_ascii_lowercase());
        }
        hosts
    }

    pub(super) fn read_tables(&mut self, node: &Node) {
        for (key, node) in self.map(node, "`tables`") {
            let mut table = BTreeMap::new();
            if let Value::List(words) = &node.value {
                // A list stands for words that are the same on both sides; those that are not are maps in it.
                for word in words {
                    if let Value::Map(_) = word.value {
                        self.table_rows(word, &mut table);
                    } else if let Some(text) = self.scalar(word) {
                        table.insert(text.clone(), text);
                    }
                }
            } else {
                self.table_rows(node, &mut table);
            }
            let table: Table = Arc::new(table);
            self.tables.insert(key.text.clone(), table);
        }
    }

    fn table_rows(&mut self, node: &Node, table: &mut BTreeMap<String, String>) {
        for (word, node) in self.map(node, "a table") {
            if let Some(text) = self.scalar(node) {
                table.insert(word.text.clone(), text);
            }
        }
    }

    fn services<'n>(
        &mut self,
        node: &Node,
        value: &dyn Fn(&str) -> Option<&'n Node>,
    ) -> Vec<Service> {
        let mut services = Vec::new();
        if let Some(base) = value("base") {
            let (auth, headers) = (value("auth"), value("headers"));
            services.extend(self.service(base, auth, headers));
        }
        for (_, node) in value("services")
            .map(|node| self.map(node, "`services`"))
            .unwrap_or_default()
        {
            let entries = self.record(node, "a service", &SERVICE);
            let value_of = |name: &str| {
                entries
                    .iter()
                    .find(|(key, _)| key.text == name)
                    .map(|(_, value)| *value)
            };
            match value_of("base") {
                Some(base) => services.extend(self.service(
                    base,
                    value_of("auth").or(value("auth")),
                    value_of("headers").or(value("headers")),
                )),
                None => self.missing(
                    node,
                    "base",
                    "the service's URL: `base: https://api.example.com`",
                ),
            }
        }
        if services.is_empty() && value("base").is_none() && value("services").is_none() {
            self.missing(
                node,
                "base",
                "the vendor's URL: `base: https://api.example.com`",
            );
        }
        services
    }

    fn service(
        &mut self,
        base: &Node,
        auth: Option<&Node>,
        headers: Option<&Node>,
    ) -> Option<Service> {
        let text = self.text(base)?;
        if !["http://", "https://", "ws://", "wss://", "{$.account."]
            .iter()
            .any(|scheme| text.starts_with(scheme))
            || outside(text).any(|c| c.is_whitespace() || matches!(c, '?' | '#' | '@'))
        {
            self.error(
                "E0401",
                base,
                format!("`{text}` is not a URL that can be called"),
                "write `https://host` or `https://host/path`; `{$.account.region}` may stand in it",
            );
            return None;
        }
        let base = self.interpolated(base, text.trim_end_matches('/'), Place::VENDOR)?;
        let auth = match auth {
            Some(node) => self.auth(node)?,
            None => Auth::None,
        };
        let mut read = Vec::new();
        for (key, node) in headers
            .map(|node| self.map(node, "`headers`"))
            .unwrap_or_default()
        {
            let name = self.header_name(key)?;
            read.push((name, self.header_value(node, Place::VENDOR)?));
        }
        Some(Service {
            base,
            auth,
            headers: read,
        })
    }

    fn auth(&mut self, node: &Node) -> Option<Auth> {
        if node.text() == Some("none") {
            return Some(Auth::None);
        }
        if node.text().is_some() {
            self.error(
                "E0208",
                node,
                "`auth` is a scheme with what it needs",
                "write `auth: { bearer: $.account.key }`, or `auth: none`",
            );
            return None;
        }
        let before = self.found.len();
        let entries = self.record(node, "`auth`", &SCHEMES);
        let [(key, value)] = entries[..] else {
            if self.found.len() == before {
                self.error(
                    "E0208",
                    node,
                    "`auth` is exactly one scheme",
                    format!("one of {}", SCHEMES.join(", ")),
                );
            }
            return None;
        };
        let place = Place::VENDOR;
        let account_has =
            |reading: &Self, name: &str| reading.fields.iter().any(|field| field.name == name);
        let needs = |reading: &mut Self, names: &[&str]| {
            let mut all = true;
            for name in names {
                if !account_has(reading, name) {
                    reading.error(
                        "E0905",
                        value,
                        format!("`{}` needs the account field `{name}`", key.text),
                        format!("add `{name}` to `account:`"),
                    );
                    all = false;
                }
            }
            all
        };
        match key.text.as_str() {
            "bearer" => {
                let mut text = self.text_template(value, place)?;
                text.0
                    .insert(0, crate::template::Part::Literal("Bearer ".to_owned()));
                Some(Auth::Headers(vec![(http::header::AUTHORIZATION, text)]))
            }
            "header" => {
                let mut headers = Vec::new();
                for (key, node) in self.map(value, "`header`") {
                    headers.push((self.header_name(key)?, self.text_template(node, place)?));
                }
                Some(Auth::Headers(headers))
            }
            "query" => {
                let mut query = Vec::new();
                for (key, node) in self.map(value, "`query`") {
                    query.push((key.text.clone(), self.text_template(node, place)?));
                }
                Some(Auth::Query(query))
            }
            "basic" => {
                self.record(value, "`basic`", &["user", "password"]);
                let help = "write `basic: { user: $.account.user, password: $.account.password }`";
                let [user, password] = self.needed(value, ["user", "password"], help)?;
                Some(Auth::Basic {
                    user: self.text_template(user, place)?,
                    password: self.text_template(password, place)?,
                })
            }
            "sigv4" | "tc3" => {
                self.record(value, &format!("`{}`", key.text), &["service"]);
                let Some(service) = value
                    .get("service")
                    .and_then(|node| self.text(node))
                    .map(str::to_owned)
                else {
                    self.missing(
                        value,
                        "service",
                        "the name that is signed, such as `transcribe`",
                    );
                    return None;
                };
                let fields: &[&str] = if key.text == "sigv4" {
                    &["access_key_id", "secret_access_key", "region"]
                } else {
                    &["secret_id", "secret_key"]
                };
                needs(self, fields).then_some(())?;
                Some(if key.text == "sigv4" {
                    Auth::SigV4 { service }
                } else {
                    Auth::Tc3 { service }
                })
            }
            "key_or_file" => {
                self.record(value, "`key_or_file`", &["header", "scope"]);
                needs(self, &["key", "service_account"]).then_some(())?;
                let help =
                    "the header that carries the key, and the scope that a token is asked for";
                let [header, scope] = self.needed(value, ["header", "scope"], help)?;
                let Ok(name) = http::HeaderName::try_from(self.text(header)?) else {
                    self.error(
                        "E0409",
                        header,
                        "this is not a header name",
                        "header names have letters, digits and `-`",
                    );
                    return None;
                };
                Some(Auth::KeyOrFile {
                    header: name,
                    scope: self.text(scope)?.to_owned(),
                })
            }
            "oauth" => {
                self.record(
                    value,
                    "`oauth`",
                    &["url", "client_id", "client_secret", "scope", "send", "use"],
                );
                let help = "client credentials need `url`, `client_id` and `client_secret`";
                let [url, id, secret] =
                    self.needed(value, ["url", "client_id", "client_secret"], help)?;
                let url = self.text_template(url, place)?;
                let id = self.text_template(id, place)?;
                let secret = self.text_template(secret, place)?;
                let scope = value
                    .get("scope")
                    .and_then(|node| self.text(node))
                    .map(str::to_owned);
                let in_query = match value.get("send") {
                    None => false,
                    Some(node) => self.choice(node, &["form", "query"])? == "query",
                };
                let (param, header) = match value.get("use") {
                    None => (None, true),
                    Some(node) if node.text().is_some() => (
                        None,
                        self.choice(node, &["header", "template"])? == "header",
                    ),
                    Some(node) => {
                        self.record(node, "`use`", &["query"]);
                        let Some(query) = node.get("query") else {
                            self.missing(
                                node,
                                "query",
                                "name the parameter that carries the token: `use: { query: access_token }`",
                            );
                            return None;
                        };
                        (Some(self.text(query)?.to_owned()), false)
                    }
                };
                Some(Auth::Oauth {
                    url,
                    id,
                    secret,
                    scope,
                    in_query,
                    param,
                    header,
                })
            }
            "signed_query" => needs(self, &["api_key", "api_secret"]).then_some(Auth::SignedQuery),
            _ => Some(Auth::None),
        }
    }

    fn errors(&mut self, node: &Node) -> Errors {
        let entries = self.record(node, "`errors`", &ERRORS);
        let value = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key.text == name)
                .map(|(_, value)| *value)
        };
        let mut errors = Errors::default();
        if let Some(node) = value("code") {
            errors.code = self.error_paths(node);
        }
        if let Some(node) = value("message") {
            errors.message = self.error_paths(node);
        }
        for node in value("retry_after").map(one_or_more).unwrap_or_default() {
            errors.retry_after.extend(self.body_steps(node));
        }
        if let Some(node) = value("in_success") {
            for sign in one_or_more(node) {
                errors.in_success.extend(self.error_sign(sign));
            }
        }
        for rule in value("kinds")
            .map(|node| self.list(node, "the kinds of errors"))
            .unwrap_or_default()
        {
            errors.kinds.extend(self.error_rule(rule));
        }
        errors
    }

    /// `$.body.path`, or `{ path: $.body.path, unless: [0] }`.
    fn error_sign(&mut self, node: &Node) -> Option<(Vec<Step>, Vec<String>)> {
        if node.text().is_some() {
            return self.body_steps(node).map(|steps| (steps, Vec::new()));
        }
        self.record(node, "`in_success`", &["path", "unless"]);
        let Some(path) = node.get("path") else {
            self.missing(
                node,
                "path",
                "say where the error stands: `{ path: $.body.code, unless: [0] }`",
            );
            return None;
        };
        let unless = node
            .get("unless")
            .map(|node| self.scalars(node))
            .unwrap_or_default();
        self.body_steps(path).map(|steps| (steps, unless))
    }

    fn error_rule(&mut self, node: &Node) -> Option<ErrorRule> {
        let entries = self.record(node, "an error's row", &ROW);
        let value = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key.text == name)
                .map(|(_, value)| *value)
        };
        let Some(kind) = value("kind") else {
            self.missing(node, "kind", "say what it means: `kind: rate_limited`");
            return None;
        };
        let word = self.text(kind)?;
        let Some((_, known)) = Kind::NAMED.iter().find(|(name, _)| *name == word) else {
            let message = format!("`{word}` is not a kind of failure");
            self.found
                .push(Diagnostic::error("E0205", kind.at, message).did_you_mean(
                    word,
                    Kind::NAMED.iter().map(|(name, _)| *name),
                    0,
                ));
            return None;
        };
        let mut status = Vec::new();
        for node in value("status").map(each).unwrap_or_default() {
            status.extend(
                self.count(node, 100, 599)
                    .and_then(|status| u16::try_from(status).ok()),
            );
        }
        Some(ErrorRule {
            status,
            code: value("code")
                .map(|node| self.scalars(node))
                .unwrap_or_default(),
            message: value("message")
                .and_then(|node| self.text(node))
                .map(str::to_lowercase),
            kind: *known,
        })
    }

    fn error_paths(&mut self, node: &Node) -> Vec<ErrorPath> {
        let nodes: Vec<&Node> = if let Value::List(items) = &node.value {
            items.iter().collect()
        } else {
            vec![node]
        };
        let mut paths = Vec::new();
        for node in nodes {
            let Some(text) = self.text(node) else {
                continue;
            };
            match steps(text).as_deref() {
                Some([Step::Name(first), rest @ ..])
                    if first == "body" && !rest.contains(&Step::Every) =>
                {
                    paths.push(ErrorPath::Body(rest.to_vec()))
                }
                Some([Step::Name(first), Step::Name(name)]) if first == "header" => {
                    match http::HeaderName::try_from(name.as_str()) {
                        Ok(name) => paths.push(ErrorPath::Header(name)),
                        Err(_) => self.error(
                            "E0409",
                            node,
                            format!("`{name}` is not a header name"),
                            "write `$.header['x-name']`",
                        ),
                    }
                }
                _ => self.error(
                    "E0901",
                    node,
                    format!("`{text}` is not a place in an answer"),
                    "write `$.body.name` or `$.header['x-name']`, with names and indexes only",
                ),
            }
        }
        paths
    }
}

/// The characters of a text that are not within `{$…}`.
pub(super) fn outside(text: &str) -> impl Iterator<Item = char> {
    let mut inside = false;
    let mut rest = text.char_indices();
    std::iter::from_fn(move || {
        loop {
            let (at, c) = rest.next()?;
            if text.get(at..).is_some_and(|rest| rest.starts_with("{$")) {
                inside = true;
            }
            if !inside {
                return Some(c);
            }
            inside = c != '}';
        }
    })
}

/// The items of a list, or what stands in place of one.
fn one_or_more(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}
