//! Makes the typed configuration from a document whose structure is known to be right, and checks its meaning.

mod capabilities;
mod limits;
mod meaning;
mod pools;
mod routes;
pub(crate) mod texts;
mod tls;
mod tokens;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    catalog::Catalog,
    diagnostic::Diagnostic,
    document::{Node, Value},
    load::Source,
    model::{
        AccessLog, Account, AccountId, Auth, BaseUrl, Breaker, Client, Compositions, Config, Cors,
        KeyDigest, Log, Otlp, Pool, PoolId, Probe, Protocol, Rate, RequestSignature, Route,
        Setting, SharedState, Spend, VendorAccount, WhenDown,
    },
    place::{Location, Span},
    secret::{Secret, hash_key},
    units,
};

/// What is known while reading: names and where they stand.
pub(crate) struct Reader<'a> {
    sources: &'a [Source],
    found: &'a mut Vec<Diagnostic>,
    accounts: Vec<Account>,
    account_spans: Vec<Span>,
    /// Where the URL stands, for those that have their own.
    account_urls: Vec<Option<Span>>,
    account_ids: HashMap<String, AccountId>,
    pools: Vec<Pool>,
    pool_spans: Vec<Span>,
    pool_hedges: Vec<Option<Span>>,
    pool_ids: HashMap<String, PoolId>,
    used_accounts: Vec<bool>,
    used_pools: Vec<bool>,
    clients: Vec<String>,
    /// The file's, for routes that have none of their own.
    cors: Option<Cors>,
    /// Names of routes, each with the highest number that was put behind it.
    route_names: HashMap<String, u32>,
    /// The time, if there is a clock.
    now: Option<SystemTime>,
    /// Whether there is a store that rates can be counted in together.
    has_shared: bool,
}

/// Reads the whole configuration. What it returns is only to be used when no error was found before or in it.
pub(crate) fn config(
    node: &Node,
    sources: &[Source],
    catalog: &Catalog,
    now: Option<SystemTime>,
    found: &mut Vec<Diagnostic>,
) -> Config {
    let mut reader = Reader {
        sources,
        found,
        accounts: Vec::new(),
        account_spans: Vec::new(),
        account_urls: Vec::new(),
        account_ids: HashMap::new(),
        pools: Vec::new(),
        pool_spans: Vec::new(),
        pool_hedges: Vec::new(),
        pool_ids: HashMap::new(),
        used_accounts: Vec::new(),
        used_pools: Vec::new(),
        clients: Vec::new(),
        cors: None,
        route_names: HashMap::new(),
        now,
        has_shared: shared_state(node).is_some(),
    };
    reader.version(node);
    let listen = reader.listen(node);
    let admin = node
        .get("admin")
        .and_then(Node::text)
        .and_then(|text| text.parse().ok());
    let clients = reader.clients(node);
    reader.cors = node.get("cors").and_then(|cors| reader.cors(cors));
    reader.upstreams(node);
    reader.accounts(node, catalog);
    reader.named_pools(node);
    let defaults = node.get("limits");
    let mut routes = reader.routes(node, catalog, defaults);
    reader.capabilities(node, catalog, defaults, &mut routes);
    reader.something_served(node, &routes);
    let limits = reader.process_limits(defaults);
    let route_limits = reader.serve_limits(None, defaults);
    let log = node
        .get("log")
        .and_then(|log| log.get("access"))
        .and_then(Node::text)
        .unwrap_or("stdout");
    let config = Config {
        listen,
        admin,
        state: PathBuf::from(state_folder(node).unwrap_or("./state")),
        shared: shared_state(node),
        adapters: node.get("adapters").and_then(Node::text).map(PathBuf::from),
        compositions: compositions(node),
        log: Log {
            access: match log.strip_prefix("file:") {
                Some(path) => AccessLog::File(PathBuf::from(path)),
                None if log == "off" => AccessLog::Off,
                None => AccessLog::Stdout,
            },
        },
        otlp: otlp(node),
        clients,
        cors: reader.cors.take(),
        accounts: std::mem::take(&mut reader.accounts),
        pools: std::mem::take(&mut reader.pools),
        routes,
        limits,
        route_limits,
    };
    reader.meaning(node, &config);
    config
}

fn otlp(node: &Node) -> Option<Otlp> {
    let written = node.get("otlp")?;
    let endpoint = written.get("endpoint").and_then(Node::text)?;
    let headers = written
        .get("headers")
        .map(Node::entries)
        .unwrap_or_default();
    let headers = headers.iter().filter_map(|(name, value)| {
        Some((name.text.to_ascii_lowercase(), Secret::new(value.text()?)))
    });
    let wanted = |key: &str| written.get(key).is_none_or(is_true);
    Some(Otlp {
        endpoint: texts::base_url(endpoint).ok()?,
        headers: headers.collect(),
        sample: written.get("sample").and_then(number).unwrap_or(0.1),
        traces: wanted("traces"),
        metrics: wanted("metrics"),
        every: written
            .get("every")
            .and_then(duration)
            .unwrap_or(Duration::from_secs(30)),
        service: written
            .get("service")
            .and_then(Node::text)
            .unwrap_or("isobar")
            .to_owned(),
    })
}

/// `state: ./folder`, or `state: { folder: … }`.
fn state_folder(node: &Node) -> Option<&str> {
    let state = node.get("state")?;
    state
        .text()
        .or_else(|| state.get("folder").and_then(Node::text))
}

/// `state: { shared: URL }`, or a map in its place.
fn shared_state(node: &Node) -> Option<SharedState> {
    let shared = node.get("state")?.get("shared")?;
    let url = shared
        .text()
        .or_else(|| shared.get("url").and_then(Node::text))?;
    let text = |key: &str| shared.get(key).and_then(Node::text);
    Some(SharedState {
        url: Secret::new(url),
        timeout: shared
            .get("timeout")
            .and_then(duration)
            .unwrap_or(Duration::from_millis(50)),
        when_down: match text("when_down") {
            Some("refuse") => WhenDown::Refuse,
            _ => WhenDown::Admit,
        },
        prefix: text("prefix").unwrap_or("isobar").to_owned(),
    })
}

fn compositions(node: &Node) -> Vec<Compositions> {
    let Some(written) = node.get("compositions") else {
        return Vec::new();
    };
    let one = written.text().is_some().then_some(written);
    one.into_iter()
        .chain(written.items())
        .filter_map(Node::text)
        .map(|text| match text {
            "library" => Compositions::Library,
            path => Compositions::Path(PathBuf::from(path)),
        })
        .collect()
}

impl Reader<'_> {
    fn error(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found
            .push(Diagnostic::error(code, at, message).help(help));
    }

    fn warning(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found
            .push(Diagnostic::warning(code, at, message).help(help));
    }

    fn location(&self, at: Span) -> Arc<Location> {
        let file = self
            .sources
            .get(at.source)
            .map_or("", |source| source.name.as_str());
        Arc::new(Location {
            file: file.into(),
            line: at.line,
            column: at.column,
        })
    }

    fn version(&mut self, node: &Node) {
        let Some(version) = node.get("isobar") else {
            return;
        };
        if let Value::Integer(number) = version.value
            && number != 1
        {
            self.error(
                "E0206",
                version.at,
                format!("version {number} of the format is not known"),
                "this program reads version 1: `isobar: 1`",
            );
        }
    }

    /// A rate that is counted together needs a place to be counted in; told once for each place where one stands.
    fn can_share(&mut self, rate: Rate, at: Span) {
        let told = |mistake: &Diagnostic| mistake.code == "E0830" && mistake.at == at;
        if rate.shared && !self.has_shared && !self.found.iter().any(told) {
            self.error(
                "E0830",
                at,
                "the rate is shared, and there is no store to count it in",
                "add `state: { shared: \"redis://host:6379\" }`, or leave out `shared`",
            );
        }
    }

    /// A configuration that serves nothing is not meant.
    fn something_served(&mut self, node: &Node, routes: &[Route]) {
        if routes.is_empty() && node.get("routes").is_none() && node.get("compositions").is_none() {
            self.error(
                "E0203",
                node.at,
                "`routes` is missing in the configuration",
                "add `routes: [{ match: GET /v1/*, forward: [NAME] }]`, or an account at a vendor whose capabilities are served by themselves",
            );
        }
    }

    fn clients(&mut self, node: &Node) -> Option<Vec<Client>> {
        let mut clients: Vec<Client> = Vec::new();
        for (name, client) in node.get("clients")?.entries() {
            let written = client
                .get("key")
                .into_iter()
                .chain(client.get("keys").map(Node::items).unwrap_or_default());
            let keys: Vec<(KeyDigest, Span)> = written
                .filter_map(|key| Some((digest(key.text()?), key.at)))
                .collect();
            let token = client.get("token").and_then(|token| self.token(token));
            let has_other = client.get("token").or_else(|| client.get("certificate"));
            if keys.is_empty() && has_other.is_none() && client.kind() == "a map" {
                self.error(
                    "E0203",
                    client.at,
                    format!("client `{}` has no key", name.text),
                    "add `key: sha256:…` (`isobar key` makes a key and its digest), `token` for an issuer's, or `certificate`",
                );
            }
            for (key, at) in &keys {
                if clients.iter().any(|other| other.keys.contains(key)) {
                    self.error(
                        "E0308",
                        *at,
                        "two clients have the same key",
                        "give each its own, or merge them",
                    );
                }
            }
            let keys = keys.into_iter().map(|(key, _)| key).collect();
            let certificate = client.get("certificate");
            let certificate = certificate
                .map(|certificate| self.certificate_names(certificate, node, &clients))
                .unwrap_or_default();
            let rate = client.get("rate").and_then(|written| {
                let value = rate(written)?;
                self.can_share(value, written.at);
                Some(Setting {
                    value,
                    origin: crate::model::Origin::Written(self.location(written.at)),
                })
            });
            clients.push(Client {
                name: name.text.clone(),
                keys,
                token,
                certificate,
                scopes: client.get("scopes").map(texts_of).unwrap_or_default(),
                rate,
            });
            self.clients.push(name.text.clone());
        }
        Some(clients)
    }

    fn upstreams(&mut self, node: &Node) {
        for (name, written) in node.get("upstreams").map(Node::entries).unwrap_or_default() {
            let url = written
                .text()
                .or_else(|| written.get("url").and_then(Node::text))
                .unwrap_or_default();
            let mut account = overridden(plain(name.text.clone(), url), written);
            self.client_tls(&mut account, written);
            let url = written.get("url").unwrap_or(written).at;
            self.add_account(account, name.at, Some(url));
        }
    }

    fn accounts(&mut self, node: &Node, catalog: &Catalog) {
        for (name, written) in node.get("accounts").map(Node::entries).unwrap_or_default() {
            if let Some(vendor) = written.get("vendor").and_then(Node::text) {
                let mut account = vendor_account(&name.text, vendor, written, catalog);
                self.client_tls(&mut account, written);
                self.add_account(account, name.at, None);
                continue;
            }
            let upstream = written.get("upstream").and_then(|node| self.account(node));
            // Without an upstream the name is known all the same, so that its uses are no mistakes of their own.
            let base = upstream
                .and_then(|id| self.accounts.get(id.0).cloned())
                .unwrap_or_else(|| plain(String::new(), ""));
            let mut account = overridden(
                Account {
                    name: name.text.clone(),
                    ..base
                },
                written,
            );
            self.client_tls(&mut account, written);
            self.add_account(account, name.at, None);
        }
    }

    fn add_account(&mut self, account: Account, at: Span, url: Option<Span>) {
        if self.account_ids.contains_key(&account.name) {
            self.error(
                "E0304",
                at,
                format!("`{}` is an upstream and an account", account.name),
                "give one of them another name",
            );
            return;
        }
        self.account_ids
            .insert(account.name.clone(), AccountId(self.accounts.len()));
        self.accounts.push(account);
        self.account_spans.push(at);
        self.account_urls.push(url);
        self.used_accounts.push(false);
    }

    /// The account that a text names; an unknown name is reported.
    fn account(&mut self, node: &Node) -> Option<AccountId> {
        let name = node.text()?;
        if let Some(id) = self.account_ids.get(name) {
            if let Some(used) = self.used_accounts.get_mut(id.0) {
                *used = true;
            }
            return Some(*id);
        }
        let mistake = Diagnostic::error(
            "E0301",
            node.at,
            format!("there is no account or upstream `{name}`"),
        );
        let known: Vec<&str> = self
            .accounts
            .iter()
            .map(|account| account.name.as_str())
            .collect();
        let mistake = mistake.did_you_mean(name, known, self.found.len());
        self.found.push(match mistake.help {
            Some(_) => mistake,
            None => mistake.help(format!(
                "add it: `upstreams: {{ {name}: http://host:port }}`"
            )),
        });
        None
    }
}

/// An account with nothing but defaults. A URL that does not parse was reported already.
fn plain(name: String, url: &str) -> Account {
    Account {
        name,
        url: texts::base_url(url).unwrap_or(BaseUrl {
            tls: false,
            host: String::new(),
            port: 0,
            path: String::new(),
        }),
        auth: Auth::None,
        tls: None,
        protocol: Protocol::Auto,
        connect_timeout: Duration::from_secs(2),
        keep_alive: Duration::from_secs(30),
        permits: 1_024,
        breaker: Breaker {
            failures: 5,
            open_for: Duration::from_secs(10),
            trials: 1,
        },
        probe: None,
        price: None,
        vendor: None,
    }
}

/// An account at a vendor, with what `written` says.
fn vendor_account(name: &str, vendor: &str, written: &Node, catalog: &Catalog) -> Account {
    let text = |key: &str| written.get(key).and_then(Node::text).map(str::to_owned);
    let known = catalog
        .vendor(vendor)
        .map(|vendor| vendor.fields.as_slice());
    let fields = known
        .unwrap_or_default()
        .iter()
        .filter_map(|field| Some((field.name.clone(), Secret::new(text(&field.name)?))));
    let spend = written.get("spend").and_then(|spend| {
        Some(Spend {
            usd: spend.get("usd").and_then(number)?,
            per: spend.get("per").and_then(duration)?,
        })
    });
    // Without a base the address is of no use: only adapters call it, and they know the vendor's hosts.
    let nowhere = format!("https://{}.invalid", vendor.to_ascii_lowercase());
    let account = Account {
        vendor: Some(VendorAccount {
            vendor: vendor.to_owned(),
            fields: fields.collect(),
            quota: written.get("quota").and_then(rate),
            spend,
            base: text("base"),
        }),
        ..plain(name.to_owned(), &nowhere)
    };
    overridden(account, written)
}

/// `account` with what `written` says instead.
fn overridden(mut account: Account, written: &Node) -> Account {
    if let Some(auth) = written.get("auth") {
        account.auth = read_auth(auth);
    }
    let protocol = written.get("protocol").and_then(Node::text);
    set(
        &mut account.protocol,
        protocol.map(|name| match name {
            "http1" => Protocol::Http1,
            "http2" => Protocol::Http2,
            _ => Protocol::Auto,
        }),
    );
    set(
        &mut account.connect_timeout,
        written.get("connect_timeout").and_then(duration),
    );
    set(
        &mut account.keep_alive,
        written.get("keep_alive").and_then(duration),
    );
    set(&mut account.permits, written.get("permits").and_then(count));
    if let Some(price) = written.get("price").and_then(number) {
        account.price = Some(price);
    }
    if let Some(breaker) = written.get("breaker") {
        set(
            &mut account.breaker.failures,
            breaker.get("failures").and_then(count),
        );
        set(
            &mut account.breaker.open_for,
            breaker.get("open_for").and_then(duration),
        );
        set(
            &mut account.breaker.trials,
            breaker.get("trials").and_then(count),
        );
    }
    if let Some(probe) = written.get("probe") {
        account.probe = Some(Probe {
            path: probe
                .get("path")
                .and_then(Node::text)
                .unwrap_or("/")
                .to_owned(),
            every: probe
                .get("every")
                .and_then(duration)
                .unwrap_or(Duration::from_secs(5)),
            timeout: probe
                .get("timeout")
                .and_then(duration)
                .unwrap_or(Duration::from_secs(1)),
            unhealthy_after: probe.get("unhealthy_after").and_then(count).unwrap_or(3),
            healthy_after: probe.get("healthy_after").and_then(count).unwrap_or(2),
        });
    }
    account
}

fn read_auth(node: &Node) -> Auth {
    let text = |node: &Node, key: &str| {
        node.get(key)
            .and_then(Node::text)
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(key) = node.get("bearer").and_then(Node::text) {
        return Auth::Bearer(Secret::new(key));
    }
    if let Some(basic) = node.get("basic") {
        return Auth::Basic {
            user: text(basic, "user"),
            password: Secret::new(text(basic, "password")),
        };
    }
    if let Some(header) = node.get("header") {
        return Auth::Header {
            name: text(header, "name").to_ascii_lowercase(),
            value: Secret::new(text(header, "value")),
        };
    }
    if let Some(signer) = node.get("sigv4") {
        let token = signer.get("session_token").and_then(Node::text);
        return Auth::Sigv4(RequestSignature {
            access_key_id: text(signer, "access_key_id"),
            secret_access_key: Secret::new(text(signer, "secret_access_key")),
            session_token: token.map(Secret::new),
            region: text(signer, "region"),
            service: text(signer, "service"),
        });
    }
    match node.get("query") {
        Some(query) => Auth::Query {
            name: text(query, "name"),
            value: Secret::new(text(query, "value")),
        },
        None => Auth::None,
    }
}

fn digest(key: &str) -> KeyDigest {
    let hex = if key.starts_with("sha256:") {
        key.to_ascii_lowercase()
    } else {
        hash_key(key)
    };
    let hex = hex
        .strip_prefix("sha256:")
        .unwrap_or_default()
        .as_bytes()
        .to_vec();
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks(2)) {
        *byte = std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .unwrap_or_default();
    }
    KeyDigest(digest)
}

/// The texts of a list.
fn texts_of(node: &Node) -> Vec<String> {
    let texts = node.items().iter().filter_map(Node::text);
    texts.map(str::to_owned).collect()
}

fn set<T>(value: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *value = written;
    }
}

fn duration(node: &Node) -> Option<Duration> {
    units::duration(node.text()?)
}

fn size(node: &Node) -> Option<u64> {
    units::size(node.text()?)
}

fn count(node: &Node) -> Option<u32> {
    if let Value::Integer(number) = node.value {
        u32::try_from(number).ok()
    } else {
        None
    }
}

fn is_true(node: &Node) -> bool {
    matches!(node.value, Value::Bool(true))
}

#[expect(clippy::cast_precision_loss, reason = "checked to be small")]
fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Integer(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

fn rate(node: &Node) -> Option<Rate> {
    if let Some(text) = node.text() {
        return units::rate(text);
    }
    let requests = node.get("requests").and_then(count)?;
    let per = node
        .get("per")
        .and_then(duration)
        .filter(|per| !per.is_zero())?;
    Some(Rate {
        requests,
        per,
        burst: node.get("burst").and_then(count).unwrap_or(requests),
        shared: node.get("shared").is_some_and(is_true),
    })
}
