//! Compiles a configuration beside the running plan. Starts nothing; fails without leaving anything behind.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderName, HeaderValue};
use isobar_adapters::Vendors;
use isobar_compositions::Plan;
use isobar_config::{self as config, Auth, Config, Matcher};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::{
    registry::Registry,
    router::Router,
    snapshot::{Action, Edits, Forward, Limits, Respond, Route, Serve, Snapshot, Value},
};
use crate::{
    edge::{
        auth::Clients,
        caching::Cached,
        cors::Cors,
        limit::Limiter,
        shared::SharedLimit,
        token::{
            issuer::{Fetching, Issuer},
            keys::{KeySet, Unusable},
        },
        validate,
    },
    pool::{Account, Candidate, Credential, Pool, picker::MAX_MEMBERS},
    serve::{
        cache::store::part,
        capability::AtVendor,
        client,
        composing::{self, StepPools},
        openapi,
        vendors::{self, Checked},
    },
    telemetry::Sampler,
};

/// Wrong keys that one address may try.
const GUESSES: config::Rate = config::Rate {
    requests: 10,
    per: std::time::Duration::from_secs(1),
    burst: 20,
    shared: false,
};

/// Something that cannot be put on the wire, found only when compiling.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the credential of `{0}` has a character that no header may carry")]
    Credential(String),
    #[error("the host of `{0}` cannot be written in a header")]
    Host(String),
    #[error("header `{0}` or its value cannot be sent")]
    Header(String),
    #[error("pool `{0}` has more than {MAX_MEMBERS} members")]
    TooManyMembers(String),
    #[error("the manifests have mistakes:\n{0}")]
    Manifests(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the shared store cannot be used: {0}")]
    Shared(#[from] redis::RedisError),
    #[error("the keys of client `{0}` cannot be used: {1}")]
    Keys(String, Unusable),
    #[error("`{0}` names something that the configuration does not have")]
    Dangling(String),
}

/// Compiles a checked configuration; state that outlives plans comes from `registry`.
pub(crate) fn compile(
    checked: Checked,
    registry: &Registry,
    generation: u64,
) -> Result<Snapshot, Error> {
    let described = described(&checked)?;
    let Checked {
        config,
        compositions,
    } = checked;
    let (vendors, _) = vendors::vendors(config.adapters.as_deref())
        .map_err(|report| Error::Manifests(report.text(false)))?;
    let accounts: Vec<Arc<Account>> = config
        .accounts
        .iter()
        .map(|account| self::account(account, &vendors, registry))
        .collect::<Result<_, _>>()?;
    let clients = config.clients.as_deref();
    let names: HashMap<&str, usize> = clients
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(index, client)| (client.name.as_str(), index))
        .collect();
    let issuers = issuers(clients.unwrap_or_default(), registry)?;
    let client_limits = clients
        .unwrap_or_default()
        .iter()
        .map(|client| {
            let rate = client.rate.as_ref()?.value;
            let id = format!("client/{}", client.name);
            Some(limiter(&config, registry, id, "client", rate))
        })
        .map(Option::transpose)
        .collect::<Result<_, _>>()?;
    let routes = config
        .routes
        .iter()
        .map(|route| self::route(route, &config, &compositions, &accounts, &names, registry));
    let mut routes: Vec<Route> = routes.collect::<Result<_, _>>()?;
    let mut matchers: Vec<Matcher> = config
        .routes
        .iter()
        .map(|route| route.matcher.clone())
        .collect();
    for written in described {
        routes.push(self::route(
            &written,
            &config,
            &[],
            &accounts,
            &names,
            registry,
        )?);
        matchers.push(written.matcher);
    }
    let acceptors = config.listen.iter().enumerate().map(|(place, listen)| {
        let tls = listen.tls.as_ref();
        tls.map(|tls| registry.acceptor(place, tls)).transpose()
    });
    let acceptors = acceptors.collect::<Result<_, _>>()?;
    let keeps = config.routes.iter().any(|route| route.cache.is_some());
    registry
        .space
        .limit(config.limits.body_memory.value, config.limits.spool.value);
    Ok(Snapshot {
        has_cors: routes.iter().any(|route| route.cors.is_some()),
        generation,
        acceptors,
        router: Router::new(matchers),
        routes,
        clients: Clients::new(clients, |client| issuers.get(&client.name).cloned()),
        client_limits,
        guesses: registry.limit("guesses".to_owned(), "key", GUESSES),
        step_pools: step_pools(&config, &compositions, &accounts, registry)?,
        accounts,
        compositions,
        head_limits: validate::Limits {
            bytes: usize::try_from(config.limits.header_bytes.value).unwrap_or(usize::MAX),
            headers: config.limits.headers.value as usize,
        },
        keep_alive: config.limits.keep_alive.value,
        // Without a collector of ours, vendors' may still want to know of everything.
        sampler: match &config.otlp {
            Some(otlp) if otlp.traces => Sampler::share(otlp.sample),
            _ => Sampler::ALL,
        },
        traces: config.otlp.as_ref().is_some_and(|otlp| otlp.traces),
        cache: keeps.then(|| registry.cache(config.limits.cache_memory.value)),
        config,
    })
}

/// The keys of clients whose callers have tokens, by the client's name.
fn issuers(
    clients: &[config::Client],
    registry: &Registry,
) -> Result<HashMap<String, Arc<Issuer>>, Error> {
    /// Time to connect to an issuer.
    const CONNECT: std::time::Duration = std::time::Duration::from_secs(2);
    let mut issuers = HashMap::new();
    for client in clients {
        let Some(token) = &client.token else { continue };
        let name = &client.name;
        let unusable = |why: Unusable| Error::Keys(name.clone(), why);
        let issuer = match &token.keys {
            config::TokenKeys::Secret(secret) => {
                Arc::new(Issuer::fixed(name, KeySet::shared(secret.expose())))
            }
            config::TokenKeys::Set(set) => {
                let keys = KeySet::parse(set.as_bytes()).map_err(unusable)?;
                Arc::new(Issuer::fixed(name, keys))
            }
            config::TokenKeys::Fetched {
                url,
                refresh,
                floor,
            } => {
                let url = url.parse().map_err(|_| unusable(Unusable::NotASet))?;
                let (refresh, floor) = (*refresh, *floor);
                let fetching = Fetching {
                    url,
                    refresh,
                    floor,
                };
                registry.issuer(name, fetching, registry.wire(CONNECT, None)?)
            }
        };
        issuers.insert(name.clone(), issuer);
    }
    Ok(issuers)
}

/// `GET /openapi.json` and `GET /docs`, where operations or compositions are served and no route of the configuration takes
/// their place. With clients, a key is needed for these as for anything else.
fn described(checked: &Checked) -> Result<Vec<config::Route>, Error> {
    let config = &checked.config;
    let serves = |route: &config::Route| {
        matches!(
            route.action,
            config::Action::Serve(_) | config::Action::Compose(_)
        )
    };
    let Some(first) = config.routes.iter().find(|route| serves(route)) else {
        return Ok(Vec::new());
    };
    let document = openapi::document(checked);
    let route = |place: &str, media_type: &str, body: String| -> Result<_, Error> {
        let matcher = config::matcher(place).map_err(|_| Error::Dangling(place.to_owned()))?;
        let name = place.to_owned();
        Ok(config::Route {
            name,
            matcher,
            action: config::Action::Respond(config::Respond {
                status: 200,
                headers: vec![("content-type".to_owned(), media_type.to_owned())],
                body,
            }),
            anonymous: config.clients.is_none(),
            clients: None,
            scopes: Vec::new(),
            cors: config.cors.clone(),
            cache: None,
            limits: config.route_limits.clone(),
            at: Arc::clone(&first.at),
        })
    };
    let mut routes = vec![
        route(
            "GET /docs",
            "text/html; charset=utf-8",
            openapi::page(&document),
        )?,
        route(
            "GET /openapi.json",
            "application/json",
            document.to_string(),
        )?,
    ];
    routes.retain(|route| {
        !config
            .routes
            .iter()
            .any(|known| known.matcher.path == route.matcher.path)
    });
    Ok(routes)
}

/// Who counts a rate: this gateway, or several together.
fn limiter(
    config: &Config,
    registry: &Registry,
    id: String,
    name: &'static str,
    rate: config::Rate,
) -> Result<Limiter, Error> {
    match config.shared.as_ref().filter(|_| rate.shared) {
        None => Ok(Limiter::Own(registry.limit(id, name, rate))),
        Some(shared) => {
            let link = registry.link(shared)?;
            let limit = SharedLimit::new(link, &id, name, rate);
            Ok(Limiter::Shared(Arc::new(limit)))
        }
    }
}

fn account(
    account: &config::Account,
    vendors: &Vendors,
    registry: &Registry,
) -> Result<Arc<Account>, Error> {
    let url = &account.url;
    let host = if url.host.contains(':') {
        format!("[{}]", url.host)
    } else {
        url.host.clone()
    };
    let default_port = if url.tls { 443 } else { 80 };
    let authority = if url.port == default_port {
        host
    } else {
        format!("{host}:{}", url.port)
    };
    let origin = http::Uri::builder()
        .scheme(if url.tls { "https" } else { "http" })
        .authority(authority.as_str())
        .path_and_query("/")
        .build()
        .map_err(|_| Error::Host(account.name.clone()))?;
    let settings = client::Settings {
        connect_timeout: account.connect_timeout,
        keep_alive: account.keep_alive,
        protocol: account.protocol,
        tls: account.tls.clone(),
    };
    Ok(Arc::new(Account {
        label: HeaderValue::try_from(&account.name)
            .map_err(|_| Error::Host(account.name.clone()))?,
        authority: HeaderValue::try_from(authority)
            .map_err(|_| Error::Host(account.name.clone()))?,
        credential: credential(&account.auth)
            .ok_or_else(|| Error::Credential(account.name.clone()))?,
        health: registry.health(&account.name),
        client: registry.client(&account.name, url, origin, settings)?,
        vendor: account
            .vendor
            .as_ref()
            .map(|at| at_vendor(account, at, vendors, registry))
            .transpose()?,
        settings: account.clone(),
    }))
}

fn at_vendor(
    account: &config::Account,
    at: &config::VendorAccount,
    vendors: &Vendors,
    registry: &Registry,
) -> Result<AtVendor, Error> {
    let vendor = vendors
        .get(&at.vendor)
        .ok_or_else(|| Error::Dangling(at.vendor.clone()))?;
    let name = &account.name;
    Ok(AtVendor {
        account: isobar_adapters::Account::new(
            name.clone(),
            Arc::clone(vendor),
            at.base.clone(),
            at.fields.clone(),
        ),
        transport: registry.wire(account.connect_timeout, account.tls.as_ref())?,
        quota: at
            .quota
            .map(|rate| registry.limit(format!("quota/{name}"), "account", rate)),
        spend: at.spend.map(|ceiling| registry.meter(name, ceiling)),
    })
}

fn credential(auth: &Auth) -> Option<Credential> {
    let secret = |text: String| {
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    };
    Some(match auth {
        Auth::None => Credential::None,
        Auth::Bearer(key) => Credential::Header(
            http::header::AUTHORIZATION,
            secret(format!("Bearer {}", key.expose()))?,
        ),
        Auth::Basic { user, password } => {
            let pair = base64(format!("{user}:{}", password.expose()).as_bytes());
            Credential::Header(
                http::header::AUTHORIZATION,
                secret(format!("Basic {pair}"))?,
            )
        }
        Auth::Header { name, value } => Credential::Header(
            HeaderName::try_from(name.as_str()).ok()?,
            secret(value.expose().to_owned())?,
        ),
        Auth::Query { name, value } => Credential::Query(format!(
            "{}={}",
            utf8_percent_encode(name, NON_ALPHANUMERIC),
            utf8_percent_encode(value.expose(), NON_ALPHANUMERIC)
        )),
        Auth::Sigv4(signature) => {
            // What cannot be signed with is found out now rather than with the first request.
            let trial = http::Request::builder()
                .header(http::header::HOST, "localhost")
                .body(());
            let (mut parts, ()) = trial.ok()?.into_parts();
            let now = std::time::SystemTime::now();
            isobar_adapters::sign(&mut parts, None, signature, now).ok()?;
            Credential::Signature(Box::new(signature.clone()))
        }
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn route(
    route: &config::Route,
    config: &Config,
    compositions: &[Arc<Plan>],
    accounts: &[Arc<Account>],
    clients: &HashMap<&str, usize>,
    registry: &Registry,
) -> Result<Route, Error> {
    let name = &route.name;
    let action = match &route.action {
        config::Action::Forward(forward) => {
            let pool = config
                .pools
                .get(forward.pool.0)
                .ok_or_else(|| Error::Dangling(name.clone()))?;
            Action::Forward(Box::new(self::forward(
                forward, pool, name, accounts, registry,
            )?))
        }
        config::Action::Respond(respond) => Action::Respond(self::respond(respond)?),
        config::Action::Compose(composition) => {
            let plan = compositions.iter().find(|plan| plan.name == *composition);
            let plan = plan.ok_or_else(|| Error::Dangling(composition.clone()))?;
            Action::Compose(Arc::clone(plan))
        }
        config::Action::Serve(serve) => {
            let pool = config
                .pools
                .get(serve.pool.0)
                .ok_or_else(|| Error::Dangling(name.clone()))?;
            let contract = isobar_adapters::contract(&serve.operation)
                .ok_or_else(|| Error::Dangling(serve.operation.clone()))?;
            Action::Serve(Box::new(Serve {
                contract,
                needs_document: needs_document(pool),
                pool: self::pool(pool, contract.name, accounts, registry)?,
                cache: serve.cache,
            }))
        }
    };
    let limits = &route.limits;
    let limit = |scope: &'static str, rate: Option<config::Rate>| {
        let id = format!("route/{name}/{scope}");
        rate.map(|rate| limiter(config, registry, id, scope, rate))
            .transpose()
    };
    let allowed = route.clients.as_ref().map(|names| {
        names.iter().map(|client| {
            clients
                .get(client.as_str())
                .copied()
                .ok_or_else(|| Error::Dangling(client.clone()))
        })
    });
    Ok(Route {
        name: name.clone(),
        pattern: route.matcher.path.clone(),
        anonymous: route.anonymous,
        clients: allowed.map(Iterator::collect::<Result<_, _>>).transpose()?,
        scopes: route.scopes.clone(),
        cors: match &route.cors {
            Some(settings) => {
                let cors = Cors::new(settings).ok_or_else(|| Error::Header(name.clone()))?;
                Some(Arc::new(cors))
            }
            None => None,
        },
        cache: cached(route, config, &action, registry),
        action,
        limits: Limits {
            body: limits.body.value,
            replay: limits.replay.value,
            deadline: limits.deadline.value,
            attempt: limits.attempt.value,
            idle: limits.idle.value,
            client: limit("client", limits.rate_client.value)?,
            ip: limit("ip", limits.rate_ip.value)?,
            all: limit("route", limits.rate_route.value)?,
            shared: is_shared(route, config),
        },
        counters: registry.metrics.route(name),
    })
}

/// Whether a rate that may hold for a request of this route is counted by several gateways.
fn is_shared(route: &config::Route, config: &Config) -> bool {
    let limits = &route.limits;
    let allows = |client: &&config::Client| {
        let allowed = route.clients.as_ref();
        allowed.is_none_or(|names| names.contains(&client.name))
    };
    let of_clients = config.clients.iter().flatten().filter(allows);
    let of_route = [&limits.rate_client, &limits.rate_ip, &limits.rate_route];
    let mut rates = of_clients
        .filter_map(|client| client.rate.as_ref().map(|rate| rate.value))
        .chain(of_route.into_iter().filter_map(|rate| rate.value));
    config.shared.is_some() && rates.any(|rate| rate.shared)
}

/// How a route keeps answers. What was kept for a route that forwarded otherwise, or to others, is not given.
fn cached(
    route: &config::Route,
    config: &Config,
    action: &Action,
    registry: &Registry,
) -> Option<Box<Cached>> {
    let settings = route.cache.clone()?;
    let (config::Action::Forward(written), Action::Forward(forward)) = (&route.action, action)
    else {
        return None;
    };
    let mut scope = Sha256::new();
    part(&mut scope, route.name.as_bytes());
    part(
        &mut scope,
        &serde_json::to_vec(&(written, &settings)).unwrap_or_default(),
    );
    let chosen = forward.pool.rules.iter().flat_map(|(_, members)| members);
    for candidate in forward.pool.members.iter().chain(chosen) {
        let account = &candidate.account;
        let url = serde_json::to_vec(&account.settings.url).unwrap_or_default();
        part(&mut scope, account.name().as_bytes());
        part(&mut scope, &url);
        match &account.credential {
            Credential::None => {}
            Credential::Header(name, value) => {
                part(&mut scope, name.as_str().as_bytes());
                part(&mut scope, value.as_bytes());
            }
            Credential::Query(pair) => part(&mut scope, pair.as_bytes()),
            Credential::Signature(signature) => {
                let secret = signature.secret_access_key.expose();
                part(&mut scope, signature.access_key_id.as_bytes());
                part(&mut scope, secret.as_bytes());
            }
        }
    }
    Some(Box::new(Cached {
        settings,
        scope: scope.finalize().into(),
        store: registry.cache(config.limits.cache_memory.value),
        counters: registry.metrics.cache(&route.name),
    }))
}

fn forward(
    forward: &config::Forward,
    pool: &config::Pool,
    operation: &str,
    accounts: &[Arc<Account>],
    registry: &Registry,
) -> Result<Forward, Error> {
    let request_headers = edits(&forward.request_headers)?;
    let response_headers = edits(&forward.response_headers)?;
    let made = |edits: &Edits| {
        edits
            .set
            .iter()
            .any(|(_, value)| matches!(value, Value::Made(_)))
    };
    Ok(Forward {
        needs_document: needs_document(pool) || made(&request_headers) || made(&response_headers),
        pool: self::pool(pool, operation, accounts, registry)?,
        path: forward.path.clone(),
        request_headers,
        response_headers,
        effect: forward.effect,
        mode: match forward.mode {
            config::Mode::Auto if signs_bodies(pool, accounts) => config::Mode::Exchange,
            mode => mode,
        },
    })
}

/// Whether a member can only be sent a request when its whole body is known.
fn signs_bodies(pool: &config::Pool, accounts: &[Arc<Account>]) -> bool {
    let ruled = pool.rules.iter().flat_map(|rule| &rule.members);
    pool.members
        .iter()
        .chain(ruled)
        .filter_map(|member| accounts.get(member.account.0))
        .any(|account| account.settings.auth.signs_bodies())
}

/// Whether rules or stickiness look into the request document.
fn needs_document(pool: &config::Pool) -> bool {
    matches!(pool.policy, config::Policy::Sticky { .. }) || !pool.rules.is_empty()
}

/// The pools that the steps of compositions are served by. Operations that nobody offers have none.
fn step_pools(
    config: &Config,
    compositions: &[Arc<Plan>],
    accounts: &[Arc<Account>],
    registry: &Registry,
) -> Result<StepPools, Error> {
    let mut pools = StepPools::default();
    for work in compositions
        .iter()
        .flat_map(|plan| composing::operations(plan))
    {
        let operation = work.contract.name;
        if pools.get(operation, &work.pool, work.hedge).is_some() {
            continue;
        }
        if let Some(chosen) = composing::chosen(config, work) {
            let pool = self::pool(&chosen, operation, accounts, registry)?;
            pools.put(operation, (work.pool.clone(), work.hedge), pool);
        }
    }
    Ok(pools)
}

/// A pool as one route uses it; breakers are the operation's.
fn pool(
    pool: &config::Pool,
    operation: &str,
    accounts: &[Arc<Account>],
    registry: &Registry,
) -> Result<Pool, Error> {
    let candidates = |members: &[config::Member]| -> Result<Vec<Candidate>, Error> {
        if members.len() > MAX_MEMBERS {
            return Err(Error::TooManyMembers(pool.name.clone()));
        }
        let candidate = |member: &config::Member| {
            let account = accounts
                .get(member.account.0)
                .ok_or_else(|| Error::Dangling(pool.name.clone()))?;
            Ok(Candidate {
                account: Arc::clone(account),
                weight: member.weight,
                breaker: account.health.breaker(operation),
                counters: registry.metrics.attempts(&pool.name, account.name()),
            })
        };
        members.iter().map(candidate).collect()
    };
    let rules = pool
        .rules
        .iter()
        .map(|rule| Ok((rule.when.clone(), candidates(&rule.members)?)));
    Ok(Pool {
        name: pool.name.clone(),
        members: candidates(&pool.members)?,
        policy: pool.policy.clone(),
        rules: rules.collect::<Result<_, Error>>()?,
        budget: registry.budget(&pool.name, &pool.retry),
        retry: pool.retry.clone(),
        hedge: pool.hedge,
        outlier: pool.outlier.clone(),
    })
}

fn edits(edits: &config::HeaderEdits) -> Result<Edits, Error> {
    let name = |text: &String| {
        HeaderName::try_from(text.as_str()).map_err(|_| Error::Header(text.clone()))
    };
    let set = edits.set.iter().map(|(header, template)| {
        let value = match template.literal() {
            Some(text) => Value::Fixed(
                HeaderValue::try_from(text).map_err(|_| Error::Header(header.clone()))?,
            ),
            None => Value::Made(template.clone()),
        };
        Ok((name(header)?, value))
    });
    Ok(Edits {
        set: set.collect::<Result<_, Error>>()?,
        remove: edits.remove.iter().map(name).collect::<Result<_, _>>()?,
    })
}

fn respond(respond: &config::Respond) -> Result<Respond, Error> {
    let header = |(name, value): &(String, String)| {
        let parsed = HeaderName::try_from(name.as_str())
            .ok()
            .zip(HeaderValue::try_from(value.as_str()).ok());
        parsed.ok_or_else(|| Error::Header(name.clone()))
    };
    Ok(Respond {
        status: respond.status,
        headers: respond
            .headers
            .iter()
            .map(header)
            .collect::<Result<_, _>>()?,
        body: bytes::Bytes::from(respond.body.clone()),
    })
}
