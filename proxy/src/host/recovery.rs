//! Takes back what runs left open: those of an earlier process, and those whose undo failed.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use isobar_compositions::{Plan, plan::Work, run::recover};
use parking_lot::Mutex;

use crate::{
    journal::Store,
    route::{registry::Registry, snapshot::Snapshot},
    serve::composing::Composer,
};

/// Pause between two rounds.
const PERIOD: Duration = Duration::from_secs(2);
/// The same where the store cannot be opened, which each try tells.
const CLOSED: Duration = Duration::from_secs(30);

/// Runs for as long as the gateway does. Costs nothing while no composition has effects.
pub(super) async fn run(registry: Arc<Registry>, plan: Arc<ArcSwap<Snapshot>>) {
    let mut told = (0, 0);
    loop {
        let snapshot = plan.load_full();
        let mut pause = PERIOD;
        if registry.has_store() || needs_store(&snapshot) {
            if let Ok(store) = registry.store().await {
                round(&store, &registry, &snapshot).await;
                match store.count_effects().await {
                    Ok(count) => {
                        tell(&registry, count, told);
                        told = count;
                    }
                    // The gauges keep what was known.
                    Err(error) => store.tell(&error),
                }
            } else {
                pause = CLOSED;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Whether a request may need the store: that it cannot be opened is told before one does.
fn needs_store(snapshot: &Snapshot) -> bool {
    let mut plans = snapshot.compositions.iter();
    plans.any(|plan| plan.has_undo() || plan.idempotency.is_some())
}

/// Effects that wait to be taken back, and those that a person must look at.
fn tell(registry: &Registry, count: (u64, u64), before: (u64, u64)) {
    let (open, review) = count;
    if count != before && review > 0 {
        log::error!(
            "effects that a person must look at: {review}; that wait to be taken back: {open}"
        );
    }
    let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
    registry.metrics.open_effects.set(gauge(open));
    registry.metrics.review_effects.set(gauge(review));
}

async fn round(store: &Store, registry: &Arc<Registry>, snapshot: &Arc<Snapshot>) {
    if let Err(error) = store.catch_up().await {
        store.tell(&error);
        return;
    }
    if let Err(error) = store.sweep_answers().await {
        store.tell(&error);
    }
    let open = match store.open_effects().await {
        Ok(open) if open.is_empty() => return,
        Ok(open) => open,
        Err(error) => {
            store.tell(&error);
            return;
        }
    };
    let composer = Composer {
        plan: Arc::clone(snapshot),
        registry: Arc::clone(registry),
        client: String::new(),
        trace: None,
        tried: Mutex::default(),
    };
    let find = |name: &str| find(&snapshot.compositions, name);
    match recover(&composer, store, &find, open).await {
        Ok(0) => {}
        Ok(left) => log::warn!("effects that still wait to be taken back: {left}"),
        // The store has told it.
        Err(_) => {}
    }
}

/// A composition by name, also one that is only used by others.
fn find(plans: &[Arc<Plan>], name: &str) -> Option<Arc<Plan>> {
    plans.iter().find_map(|plan| {
        if plan.name == name {
            return Some(Arc::clone(plan));
        }
        let inner: Vec<Arc<Plan>> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.work {
                Work::Composition { plan, .. } => Some(Arc::clone(plan)),
                _ => None,
            })
            .collect();
        find(&inner, name)
    })
}
