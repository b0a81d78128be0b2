//! Active health checks: asks each account that wants it, on its schedule, and notes what it says. Runs apart from
//! requests and follows the running plan across reloads.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{Request, header};
use isobar_config::Probe;

use super::{Account, Credential};
use crate::{
    route::snapshot::Snapshot,
    serve::{body::Kept, outgoing},
};

/// How soon a new plan's probes are noticed.
const NOTICE: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Streak {
    due: Option<Instant>,
    good: u32,
    bad: u32,
}

/// Probes until it is dropped.
pub(crate) async fn run(plan: Arc<ArcSwap<Snapshot>>) {
    let mut streaks: HashMap<String, Streak> = HashMap::new();
    loop {
        let snapshot = plan.load_full();
        let now = Instant::now();
        let probed = || {
            snapshot
                .accounts
                .iter()
                .filter_map(|account| Some((account, account.settings.probe.as_ref()?)))
        };
        let due: Vec<(&Arc<Account>, &Probe)> = probed()
            .filter(|(account, _)| {
                streaks
                    .get(account.name())
                    .and_then(|streak| streak.due)
                    .is_none_or(|due| due <= now)
            })
            .collect();
        let results = futures_util::future::join_all(
            due.iter().map(|(account, probe)| is_well(account, probe)),
        )
        .await;
        for ((account, probe), well) in due.into_iter().zip(results) {
            let streak = streaks.entry(account.name().to_owned()).or_default();
            streak.due = Some(now + probe.every);
            note(streak, account, probe, well);
        }
        let next = probed()
            .filter_map(|(account, _)| streaks.get(account.name())?.due)
            .min();
        let wait = next.map_or(NOTICE, |due| {
            due.saturating_duration_since(Instant::now()).min(NOTICE)
        });
        for account in snapshot
            .accounts
            .iter()
            .filter(|account| account.settings.probe.is_none())
        {
            account.health.set_probed_down(false);
        }
        drop(snapshot);
        tokio::time::sleep(wait).await;
    }
}

fn note(streak: &mut Streak, account: &Account, probe: &Probe, well: bool) {
    (streak.good, streak.bad) = if well {
        (streak.good + 1, 0)
    } else {
        (0, streak.bad + 1)
    };
    let down = account.health.is_probed_down();
    if !down && streak.bad >= probe.unhealthy_after {
        log::warn!("`{}` fails its probes", account.name());
        account.health.set_probed_down(true);
    } else if down && streak.good >= probe.healthy_after {
        log::info!("`{}` passes its probes again", account.name());
        account.health.set_probed_down(false);
    }
}

async fn is_well(account: &Account, probe: &Probe) -> bool {
    let Some(request) = request(account, probe) else {
        return false;
    };
    let answered = account
        .client
        .send(request, tokio::time::sleep(probe.timeout))
        .await;
    answered.is_ok_and(|answer| answer.status().as_u16() < 400)
}

fn request(account: &Account, probe: &Probe) -> Option<Request<crate::serve::body::Replay>> {
    let mut target = format!("{}{}", account.settings.url.path, probe.path);
    if let Credential::Query(pair) = &account.credential {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(pair);
    }
    let mut request = Request::new(Kept::Empty.replay());
    *request.uri_mut() = target.try_into().ok()?;
    request
        .headers_mut()
        .insert(header::HOST, account.authority.clone());
    request.headers_mut().insert(
        header::USER_AGENT,
        http::HeaderValue::from_static("isobar-probe"),
    );
    if let Credential::Header(name, value) = &account.credential {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    outgoing::sign(request, account, Some(isobar_adapters::EMPTY_BODY)).ok()
}
