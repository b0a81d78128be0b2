//! What `/status` and `/metrics` tell of the running plan.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::metrics::{AccountGauges, Scrape};
use crate::{
    host::Inner,
    pool::breaker::Position,
    route::snapshot::{Action, Snapshot},
};

/// Gauges read at scrape time.
pub(super) fn scrape<'p>(inner: &Inner, plan: &'p Snapshot) -> Scrape<'p> {
    let now = Instant::now();
    let (body_memory, body_spool) = inner.registry.space.used();
    let accounts = plan.accounts.iter().map(|account| AccountGauges {
        name: account.name(),
        in_flight: account.health.in_flight(),
        available: !account.health.is_probed_down() && !account.health.is_ejected(now),
        latency_ms: account.health.latency_ms(),
        breakers: breakers(plan, account.name(), now)
            .map(|(route, at)| (route, at as i64))
            .collect(),
    });
    let listeners = plan
        .config
        .listen
        .iter()
        .filter_map(|listen| listen.tls.as_ref());
    let certificates = listeners
        .flat_map(|tls| &tls.certificates)
        .filter_map(|identity| {
            let facts = identity.facts();
            Some((facts.names.first()?.as_str(), facts.until))
        });
    Scrape {
        accounts: accounts.collect(),
        certificates: certificates.collect(),
        body_memory,
        body_spool,
        unlogged: inner.log.dropped(),
        cache: plan.cache.as_ref().map_or((0, 0), |store| store.used()),
    }
}

fn breakers<'p>(
    plan: &'p Snapshot,
    account: &'p str,
    now: Instant,
) -> impl Iterator<Item = (&'p str, Position)> {
    plan.routes.iter().filter_map(move |route| {
        let Action::Forward(forward) = &route.action else {
            return None;
        };
        let member = forward
            .pool
            .members
            .iter()
            .find(|member| member.account.name() == account)?;
        Some((route.name.as_str(), member.breaker.position(now)))
    })
}

/// The whole status.
pub(super) fn status(inner: &Inner) -> Value {
    let plan = inner.plan.load_full();
    let now = Instant::now();
    let history = inner.history.lock();
    let accounts: serde_json::Map<String, Value> = plan
        .accounts
        .iter()
        .map(|account| {
            let health = &account.health;
            let breakers: serde_json::Map<String, Value> =
                breakers(&plan, account.name(), now).map(|(route, at)| (route.to_owned(), json!(at))).collect();
            let told = json!({
                "url": format!("{}:{}", account.settings.url.host, account.settings.url.port),
                "in_flight": health.in_flight(),
                "permits": account.settings.permits,
                "latency_ms": health.latency_ms(),
                "probes": if account.settings.probe.is_none() { "none" } else if health.is_probed_down() { "failing" } else { "passing" },
                "ejected": health.is_ejected(now),
                "paused_ms": health.paused(now).map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                "breakers": breakers,
            });
            (account.name().to_owned(), told)
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": if inner.is_draining() { "draining" } else { "serving" },
        "started": seconds(inner.started),
        "generation": plan.generation,
        "reload": {
            "swapped": history.swapped_at.map(seconds),
            "refused": history.refused.as_ref().map(|(at, why)| json!({ "at": seconds(*at), "why": why })),
            "needs_restart": history.needs_restart,
        },
        "connections": inner.registry.metrics.connections.get(),
        "requests_in_flight": inner.registry.metrics.in_flight.get(),
        "routes": plan.routes.iter().map(|route| &route.name).collect::<Vec<_>>(),
        "accounts": accounts,
        "compositions": compositions(&plan),
        "cache": plan.cache.as_ref().map(|store| {
            let (answers, bytes) = store.used();
            json!({ "answers": answers, "bytes": bytes })
        }),
        "effects": {
            "open": inner.registry.metrics.open_effects.get(),
            "review": inner.registry.metrics.review_effects.get(),
        },
        "failures": inner.registry.failures.newest(),
    })
}

/// Compositions by name: where they are served, and how many steps they have.
fn compositions(plan: &Snapshot) -> serde_json::Map<String, Value> {
    let told = |plan: &std::sync::Arc<isobar_compositions::Plan>| {
        let expose = plan.expose.as_ref().map(|expose| &expose.text);
        let told = json!({ "expose": expose, "steps": plan.steps.len() });
        (plan.name.clone(), told)
    };
    plan.compositions.iter().map(told).collect()
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
