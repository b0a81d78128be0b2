//! `isobar explain`: the decision that a request would meet, from the same table that decides.

use std::{
    fmt::{Debug, Write as _},
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use http::Method;
use isobar_adapters::{Next, Verdict, next};
use isobar_config::{
    Action, Auth, Config, Effect, Forward, Member, Mode, Origin, Policy, Pool, Rate, Route, Setting,
};
use serde_json::{Value, json};

use super::{Source, composition_text, style::Style};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A route's name, a path (`/v1/x`), a request (`"POST example.com/v1/x"`) or a composition's name; without it, all
    /// routes
    #[arg(value_name = "ROUTE")]
    route: Option<String>,
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print a composition's graph for Mermaid
    #[arg(long, conflicts_with = "json")]
    mermaid: bool,
    /// Print a composition's graph as SVG
    #[arg(long, conflicts_with_all = ["json", "mermaid"])]
    svg: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let (config, plans) = match isobar::load(&arguments.source.config) {
        Ok(loaded) => (loaded.checked.config, loaded.checked.compositions),
        Err(report) => {
            let text = report.text(Style::stderr().is_coloured());
            io::stderr().write_all(text.as_bytes())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(plan) = arguments.route.as_ref().and_then(|asked| {
        let name = asked.strip_prefix("composition.").unwrap_or(asked);
        plans.iter().find(|plan| plan.name == name)
    }) {
        return composition(arguments, &config, plan);
    }
    let routes: Vec<&Route> = match &arguments.route {
        None => config.routes.iter().collect(),
        Some(asked) => {
            let Some(route) = find(&config, asked) else {
                let known: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
                let known = known.join(", ");
                let message = format!("no route is called or takes `{asked}`; there are: {known}");
                return Err(io::Error::other(message));
            };
            vec![route]
        }
    };
    let mut out = io::stdout().lock();
    if arguments.json {
        let told: Vec<Value> = routes
            .iter()
            .map(|route| document(&config, route))
            .collect();
        serde_json::to_writer_pretty(&mut out, &told)?;
        writeln!(out)?;
    } else {
        let style = Style::stdout();
        let told: Vec<String> = routes
            .iter()
            .map(|route| text(&config, route, style))
            .collect();
        out.write_all(told.join("\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn composition(
    arguments: &Arguments,
    config: &Config,
    plan: &isobar_compositions::Plan,
) -> io::Result<ExitCode> {
    let told = if arguments.mermaid {
        plan.mermaid()
    } else if arguments.svg {
        plan.svg()
    } else if arguments.json {
        let document = composition_text::document(config, plan);
        format!("{}\n", serde_json::to_string_pretty(&document)?)
    } else {
        composition_text::text(config, plan, Style::stdout())
    };
    io::stdout().lock().write_all(told.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn find<'c>(config: &'c Config, asked: &str) -> Option<&'c Route> {
    if let Some(route) = config.routes.iter().find(|route| route.name == asked) {
        return Some(route);
    }
    let (method, target) = match asked.split_once(' ') {
        Some((method, target)) => (method.parse().ok()?, target.trim()),
        None => (Method::GET, asked),
    };
    let (host, path) = target.split_at(target.find('/')?);
    let path = path.split('?').next().unwrap_or_default();
    let index = isobar::route_for(config, &method, host, path)?;
    config.routes.get(index)
}

/// Lines under a heading, names aligned.
struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(
            self.text,
            "  {}  {value}",
            self.style.dim(&format!("{name:<11}"))
        );
    }

    fn heading(&mut self, name: &str) {
        let _ = writeln!(self.text, "\n  {}", self.style.bold(name));
    }
}

fn text(config: &Config, route: &Route, style: Style) -> String {
    let mut page = Page {
        text: format!(
            "{}  {}\n",
            style.bold(&route.name),
            style.dim(&route.at.to_string())
        ),
        style,
    };
    page.line("takes", &takes(route));
    page.line("callers", &callers(config, route));
    match &route.action {
        Action::Respond(respond) => {
            let bytes = respond.body.len();
            page.line(
                "answers",
                &format!("{} with {bytes} bytes, at once", respond.status),
            );
        }
        Action::Compose(name) => page.line("runs", &format!("the composition `{name}`")),
        Action::Serve(serve) => {
            if let Some(pool) = config.pools.get(serve.pool.0) {
                served(&mut page, config, serve, pool);
            }
        }
        Action::Forward(forward) => {
            if let Some(pool) = config.pools.get(forward.pool.0) {
                forwarded(&mut page, config, route, forward, pool);
            }
        }
    }
    page.heading("limits");
    for (name, value, origin) in limits(config, route) {
        let _ = writeln!(page.text, "    {name:<16}{value:<22}{}", style.dim(&origin));
    }
    page.text
}

/// An operation: who can do it, in which order, within which limits.
fn served(page: &mut Page, config: &Config, serve: &isobar_config::Serve, pool: &Pool) {
    page.line("serves", &serve.operation);
    page.line("asks", &format!("pool `{}`, {}", pool.name, policy(pool)));
    if let Some(lives) = serve.cache {
        page.line("keeps", &format!("answers for {}", short(lives)));
    }
    page.heading("accounts");
    let vendors = isobar::vendors(config.adapters.as_deref()).unwrap_or_default();
    for (index, member) in pool.members.iter().enumerate() {
        let Some(account) = config.accounts.get(member.account.0) else {
            continue;
        };
        let vendor = account
            .vendor
            .as_ref()
            .and_then(|at| vendors.get(&at.vendor));
        let operation = vendor.and_then(|vendor| vendor.operation(&serve.operation));
        let told = match operation {
            None => "does not offer it, and is passed over".to_owned(),
            Some(operation) => {
                let price = operation
                    .price()
                    .unwrap_or_else(|| "price unknown".to_owned());
                let limits = operation.limits().join("; ");
                format!("{price}; {limits}")
            }
        };
        let title = vendor.map_or("", |vendor| &vendor.title);
        let _ = writeln!(
            page.text,
            "      {}. {:<14}{title}\n         {}",
            index + 1,
            account.name,
            page.style.dim(&told)
        );
    }
    page.heading("another account is tried");
    let _ = writeln!(
        page.text,
        "    {:<28}{}",
        "any call",
        follows(Effect::Read, pool)
    );
    let _ = writeln!(
        page.text,
        "    and where one cannot do what is asked for: its limits are checked before anything is sent"
    );
}

fn forwarded(page: &mut Page, config: &Config, route: &Route, forward: &Forward, pool: &Pool) {
    page.line(
        "sends to",
        &format!("pool `{}`, {}", pool.name, policy(pool)),
    );
    page.line("path", &path(forward, route));
    page.line("body", mode(forward.mode));
    if !forward.request_headers.set.is_empty() || !forward.request_headers.remove.is_empty() {
        page.line("headers", &edits(&forward.request_headers));
    }
    if let Some(cache) = &route.cache {
        page.line("answers", kept(cache));
    }
    page.heading("accounts");
    for rule in &pool.rules {
        let _ = writeln!(page.text, "    if {}", rule.when.source());
        accounts(page, config, pool, &rule.members);
    }
    if !pool.rules.is_empty() {
        page.text.push_str("    otherwise\n");
    }
    accounts(page, config, pool, &pool.members);
    page.heading("another account is tried");
    for (effect, methods) in effects(forward) {
        let _ = writeln!(page.text, "    {methods:<28}{}", follows(effect, pool));
    }
    let retry = &pool.retry;
    let _ = writeln!(
        page.text,
        "    at most {} attempts that reach a vendor; {} more for each request on average, {}/s in any case",
        retry.attempts, retry.budget, retry.reserve
    );
    if let Some(after) = pool.hedge {
        let _ = writeln!(
            page.text,
            "    reads start a second attempt after {}",
            short(after)
        );
    }
}

fn accounts(page: &mut Page, config: &Config, pool: &Pool, members: &[Member]) {
    let total: u32 = members.iter().map(|member| member.weight).sum();
    for (index, member) in members.iter().enumerate() {
        let Some(account) = config.accounts.get(member.account.0) else {
            continue;
        };
        let scheme = if account.url.tls { "https" } else { "http" };
        let url = format!(
            "{scheme}://{}:{}{}",
            account.url.host, account.url.port, account.url.path
        );
        let why = match &pool.policy {
            Policy::Order if index == 0 => "first, as written".to_owned(),
            Policy::Order => "when those before it cannot or did not".to_owned(),
            Policy::Weighted | Policy::Sticky { .. } => {
                let percent = f64::from(member.weight) * 100.0 / f64::from(total.max(1));
                format!("{percent:.0}% of the requests")
            }
            Policy::Fastest => "by latency and load".to_owned(),
            Policy::Cheapest => "by price, lowest first".to_owned(),
        };
        let credential = credential(&account.auth);
        let guards = format!(
            "breaker opens after {} failures for {}, {} at once{}",
            account.breaker.failures,
            short(account.breaker.open_for),
            account.permits,
            account
                .probe
                .as_ref()
                .map(|probe| format!(", probed at {}", probe.path))
                .unwrap_or_default()
        );
        let _ = writeln!(
            page.text,
            "      {}. {:<14}{url}  {}\n         {}",
            index + 1,
            account.name,
            why,
            page.style.dim(&format!("{credential}; {guards}"))
        );
    }
}

fn takes(route: &Route) -> String {
    let matcher = &route.matcher;
    let any = |words: &[String], what: &str| {
        if words.is_empty() {
            format!("any {what}")
        } else {
            words.join(", ")
        }
    };
    let headers: Vec<String> = matcher
        .headers
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}: {value}"),
            None => format!("{name}: anything"),
        })
        .collect();
    let with = if headers.is_empty() {
        String::new()
    } else {
        format!(", with {}", headers.join(", "))
    };
    format!(
        "{} on {} at {}{with}",
        any(&matcher.methods, "method"),
        any(&matcher.hosts, "host"),
        matcher.path.text
    )
}

fn callers(config: &Config, route: &Route) -> String {
    let mut callers = known(config, route);
    if !route.scopes.is_empty() {
        callers.push_str(&format!(", with the scopes {}", route.scopes.join(" ")));
    }
    callers
}

fn known(config: &Config, route: &Route) -> String {
    if route.anonymous {
        return "anyone, without a key".to_owned();
    }
    match (&route.clients, &config.clients) {
        (Some(names), _) => names.join(", "),
        (None, Some(clients)) => {
            let names: Vec<&str> = clients.iter().map(|client| &*client.name).collect();
            format!("any client: {}", names.join(", "))
        }
        (None, None) => "anyone with a key, whatever it is (no `clients` section)".to_owned(),
    }
}

fn kept(cache: &isobar_config::Cache) -> &'static str {
    if cache.shared {
        "are kept as long as they say, for all clients"
    } else {
        "are kept as long as they say, for each client by itself"
    }
}

fn policy(pool: &Pool) -> String {
    match &pool.policy {
        Policy::Order => "in the order written".to_owned(),
        Policy::Weighted => "at random by weight".to_owned(),
        Policy::Cheapest => "by price, lowest first".to_owned(),
        Policy::Fastest => "the better of two at random, by latency and load".to_owned(),
        Policy::Sticky { by } => format!("by consistent hash of {}", by.source()),
    }
}

fn path(forward: &Forward, route: &Route) -> String {
    use isobar_config::PathPiece::{Parameter, Rest, Text};
    let Some(rewrite) = &forward.path else {
        return format!("{}, as it came", route.matcher.path.text);
    };
    let pieces = rewrite.0.iter().map(|piece| match piece {
        Text(text) => text.clone(),
        Parameter(name) => format!("{{{name}}}"),
        Rest => "{*}".to_owned(),
    });
    format!("becomes {}", pieces.collect::<String>())
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => {
            "kept for another attempt up to `replay`; larger ones, and those of unknown length, pass through"
        }
        Mode::Stream => "passes through, whatever its size",
        Mode::Exchange => "kept for another attempt; larger than `replay` is refused",
    }
}

fn edits(edits: &isobar_config::HeaderEdits) -> String {
    let set = edits
        .set
        .iter()
        .map(|(name, value)| format!("set {name}: {}", value.source()));
    let removed = edits.remove.iter().map(|name| format!("remove {name}"));
    set.chain(removed).collect::<Vec<_>>().join("; ")
}

fn credential(auth: &Auth) -> String {
    match auth {
        Auth::None => "no credential of ours".to_owned(),
        Auth::Bearer(_) => "our bearer token".to_owned(),
        Auth::Basic { user, .. } => format!("basic, as {user}"),
        Auth::Header { name, .. } => format!("our key in {name}"),
        Auth::Query { name, .. } => format!("our key in ?{name}="),
        Auth::Sigv4(signature) => format!(
            "signed by {} for {} in {}",
            signature.access_key_id, signature.service, signature.region
        ),
    }
}

/// Effects that requests of this route can have, and who has them.
fn effects(forward: &Forward) -> Vec<(Effect, &'static str)> {
    match forward.effect {
        Some(effect) => vec![(effect, "every request")],
        None => vec![
            (Effect::Read, "GET, HEAD, OPTIONS"),
            (Effect::Idempotent, "PUT, DELETE"),
            (Effect::Unsafe, "POST and others"),
        ],
    }
}

/// When another account follows, in words, from the verdict table.
fn follows(effect: Effect, pool: &Pool) -> String {
    let causes = [
        (Verdict::NotSent, "not sent"),
        (
            Verdict::Refused,
            "refused before work (429, 503 with Retry-After)",
        ),
        (Verdict::Failed, "failed (5xx, reset, timeout)"),
    ];
    let lost = match effect {
        Effect::Read | Effect::Idempotent => Verdict::Failed,
        Effect::Keyed | Effect::Unsafe => Verdict::Unknown,
    };
    let told = causes.map(|(verdict, words)| {
        let verdict = if verdict == Verdict::Failed {
            lost
        } else {
            verdict
        };
        (next(verdict, effect), words)
    });
    let when: Vec<&str> = told
        .iter()
        .filter(|(then, _)| *then == Next::Other)
        .map(|(_, words)| *words)
        .collect();
    let ends = match next(lost, effect) {
        Next::Resolve => "; unknown outcome: same account, same key",
        Next::Stop => "; unknown outcome: stop and say so",
        Next::Other | Next::Answer => "",
    };
    if pool.members.len() < 2 && pool.rules.is_empty() {
        return format!("there is none{ends}");
    }
    format!("{}{ends}", when.join(", "))
}

/// Name, value and origin of every limit that the route meets.
fn limits(config: &Config, route: &Route) -> Vec<(&'static str, String, String)> {
    let (own, all) = (&route.limits, &config.limits);
    let mut rows = vec![
        row("body", &own.body, |value| bytes(*value)),
        row("replay", &own.replay, |value| bytes(*value)),
        row("deadline", &own.deadline, |value| short(*value)),
        row("attempt", &own.attempt, |value| {
            value.map_or_else(|| "an even share".to_owned(), short)
        }),
        row("idle", &own.idle, |value| short(*value)),
        row("rate by client", &own.rate_client, |value| rate(*value)),
        row("rate by address", &own.rate_ip, |value| rate(*value)),
        row("rate in all", &own.rate_route, |value| rate(*value)),
        row("request head", &all.header_bytes, |value| bytes(*value)),
        row("headers", &all.headers, u32::to_string),
        row("connections", &all.connections, u32::to_string),
        row("… per address", &all.connections_per_ip, u32::to_string),
        row("drain", &all.drain, |value| short(*value)),
    ];
    for client in config.clients.as_deref().unwrap_or_default() {
        let served = route
            .clients
            .as_ref()
            .is_none_or(|names| names.contains(&client.name));
        if let Some(setting) = client.rate.as_ref().filter(|_| served) {
            let (_, value, origin) = row("", setting, |value| rate(Some(*value)));
            rows.push((
                "rate of client",
                format!("{value} ({})", client.name),
                origin,
            ));
        }
    }
    rows
}

fn row<T: Debug>(
    name: &'static str,
    setting: &Setting<T>,
    show: impl Fn(&T) -> String,
) -> (&'static str, String, String) {
    let origin = match &setting.origin {
        Origin::Default => "default".to_owned(),
        Origin::Written(at) => at.to_string(),
    };
    (name, show(&setting.value), origin)
}

fn rate(rate: Option<Rate>) -> String {
    rate.map_or_else(
        || "none".to_owned(),
        |rate| {
            format!(
                "{} in {}, burst {}{}",
                rate.requests,
                short(rate.per),
                rate.burst,
                if rate.shared { ", shared" } else { "" }
            )
        },
    )
}

fn short(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

fn bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

/// The same for programs.
fn document(config: &Config, route: &Route) -> Value {
    let limits: serde_json::Map<String, Value> = limits(config, route)
        .into_iter()
        .map(|(name, value, origin)| (name.to_owned(), json!({ "value": value, "from": origin })))
        .collect();
    let named = |members: &[Member]| -> Vec<Value> {
        let account = |member: &Member| {
            let account = config.accounts.get(member.account.0)?;
            Some(json!({
                "account": account.name,
                "url": account.url,
                "weight": member.weight,
                "credential": credential(&account.auth),
                "breaker": account.breaker,
                "permits": account.permits,
            }))
        };
        members.iter().filter_map(account).collect()
    };
    let pool = match &route.action {
        Action::Forward(forward) => config.pools.get(forward.pool.0).map(|pool| (forward, pool)),
        Action::Respond(_) | Action::Serve(_) | Action::Compose(_) => None,
    };
    let forward = pool.map(|(forward, pool)| {
        let rules: Vec<Value> = pool
            .rules
            .iter()
            .map(|rule| json!({ "when": rule.when.source(), "accounts": named(&rule.members) }))
            .collect();
        let table: Vec<Value> = effects(forward)
            .into_iter()
            .map(|(effect, methods)| json!({ "effect": effect, "requests": methods, "next": follows(effect, pool) }))
            .collect();
        json!({
            "pool": pool.name,
            "policy": policy(pool),
            "rules": rules,
            "accounts": named(&pool.members),
            "failover": table,
            "retry": pool.retry,
            "hedge_ms": pool.hedge.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            "mode": forward.mode,
        })
    });
    json!({
        "route": route.name,
        "at": route.at.to_string(),
        "takes": takes(route),
        "callers": callers(config, route),
        "forward": forward,
        "limits": limits,
    })
}
