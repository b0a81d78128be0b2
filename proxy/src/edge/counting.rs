//! Counts requests against the limits that hold for them: of their client over all routes, and of their route by client, by
//! address and in all.

use std::time::Duration;

use super::{
    auth::Caller,
    context::Context,
    gateway::hash,
    limit::{Limiter, Standing},
    problem::{Kind, Problem},
    shared,
};
use crate::route::snapshot::{Route, Snapshot};

/// Counts the request against every limit that this gateway counts by itself; the tightest one is told to the client.
pub(super) fn limit(cx: &mut Context, plan: &Snapshot, route: &Route) -> Result<(), Problem> {
    for (limiter, by, scope) in limits(cx, plan, route) {
        let Some(Limiter::Own(limit)) = limiter else {
            continue;
        };
        let standing = limit.check(by.key(cx));
        stands(cx, route, standing, scope)?;
    }
    Ok(())
}

/// Counts the request against the limits that several gateways share. Waits for the store, for a bounded time.
pub(super) async fn limit_together(
    cx: &mut Context,
    plan: &Snapshot,
    route: &Route,
) -> Result<(), Problem> {
    for (limiter, by, scope) in limits(cx, plan, route) {
        let Some(Limiter::Shared(limit)) = limiter else {
            continue;
        };
        match limit.count(by.shared_key(cx, plan)).await {
            Ok(standing) => stands(cx, route, standing, scope)?,
            Err(why) if limit.link.refuses() => {
                log::debug!("a request is refused that the shared store cannot count: {why}");
                let detail = "the limits of this route cannot be counted now";
                let mut problem = Problem::new(503, Kind::Overloaded, detail);
                problem.retry_after = Some(Duration::from_secs(1));
                return Err(problem);
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// The limits that hold for a request: who counts, by what, and under which scope they show in the metrics.
fn limits<'p>(
    cx: &Context,
    plan: &'p Snapshot,
    route: &'p Route,
) -> [(Option<&'p Limiter>, CountedBy, usize); 4] {
    let own = match cx.identity.caller {
        Caller::Client(index) => plan.client_limits.get(index).and_then(Option::as_ref),
        Caller::AnyKey(_) | Caller::Anonymous => None,
    };
    let limits = &route.limits;
    [
        (own, CountedBy::Subject, 0),
        (limits.client.as_ref(), CountedBy::Client, 0),
        (limits.ip.as_ref(), CountedBy::Address, 1),
        (limits.all.as_ref(), CountedBy::Nothing, 2),
    ]
}

/// What tells the counts of one limit apart.
#[derive(Clone, Copy)]
enum CountedBy {
    Nothing,
    /// Whom a client's token speaks for.
    Subject,
    /// Anonymous callers by address.
    Client,
    Address,
}

impl CountedBy {
    /// The key in this process.
    fn key(self, cx: &Context) -> u64 {
        let address = || cx.ip.map(hash).unwrap_or_default();
        match (self, cx.identity.caller) {
            (Self::Nothing, _) => 0,
            (Self::Subject, _) => cx.identity.subject().map(hash).unwrap_or_default(),
            (Self::Client, Caller::Client(index)) => match cx.identity.subject() {
                Some(subject) => hash((index, subject)),
                None => index as u64,
            },
            (Self::Client, Caller::AnyKey(number)) => number,
            (Self::Client, Caller::Anonymous) | (Self::Address, _) => address(),
        }
    }

    /// The key in every gateway: indexes of clients and hashes are this process's own.
    fn shared_key(self, cx: &Context, plan: &Snapshot) -> u64 {
        let address = || {
            let text = cx.ip.map(|ip| ip.to_string()).unwrap_or_default();
            shared::key_of(text.as_bytes())
        };
        match (self, cx.identity.caller) {
            (Self::Nothing, _) => 0,
            (Self::Subject, _) => {
                let subject = cx.identity.subject();
                subject.map_or(0, |subject| shared::key_of(subject.as_bytes()))
            }
            (Self::Client, Caller::AnyKey(number)) => number,
            (Self::Client, Caller::Client(_)) => shared::key_of(cx.caller_name(plan).as_bytes()),
            (Self::Client, Caller::Anonymous) | (Self::Address, _) => address(),
        }
    }
}

/// Remembers where a limit stands, and ends the request that was one too many.
fn stands(
    cx: &mut Context,
    route: &Route,
    standing: Standing,
    scope: usize,
) -> Result<(), Problem> {
    let Some(wait) = standing.wait else {
        cx.standing = Some(standing.tighter(cx.standing.take()));
        return Ok(());
    };
    if let Some(counter) = route.counters.limited.get(scope) {
        counter.inc();
    }
    let detail = format!("the {} limit is used up", standing.name);
    cx.standing = Some(standing);
    let mut problem = Problem::new(429, Kind::RateLimited, detail);
    problem.retry_after = Some(wait);
    Err(problem)
}
