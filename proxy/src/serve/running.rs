//! One run of a composition without a gateway around it: for the command line.

use std::{path::PathBuf, sync::Arc};

use isobar_adapters::Blob;
use isobar_compositions::{
    Plan,
    run::{Ask, Engine, Ran, Watch},
};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::{
    composing::{Composer, uuid},
    trust::Trust,
    vendors::Checked,
};
use crate::{
    admin::metrics::Metrics,
    journal::Store,
    route::{compile, registry::Registry},
};

/// Runs the composition called `name` with the accounts of a configuration. The error is a sentence.
pub async fn run(
    checked: Checked,
    name: &str,
    fields: Map<String, Value>,
    files: Vec<(String, PathBuf)>,
    watch: &dyn Watch,
) -> Result<Ran, String> {
    let plan = checked.compositions.iter().find(|plan| plan.name == name);
    let plan: Arc<Plan> = Arc::clone(plan.ok_or_else(|| {
        let known: Vec<&str> = checked
            .compositions
            .iter()
            .map(|plan| plan.name.as_str())
            .collect();
        format!(
            "there is no composition `{name}`; known are {}",
            known.join(", ")
        )
    })?);
    let mut blobs = Vec::new();
    for (input, path) in files {
        let bytes = tokio::fs::read(&path)
            .await
            .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        blobs.push((input, Blob::of_bytes(bytes.into(), &file)));
    }
    let inputs = plan.accept(fields, blobs).map_err(|bad| bad.to_string())?;
    let trust = Trust::load().map_err(|error| error.to_string())?;
    let metrics = Metrics::new().map_err(|error| error.to_string())?;
    let state = &checked.config.state;
    let registry = Arc::new(Registry::new(metrics, state, Arc::clone(&trust.client)));
    let snapshot = compile::compile(checked, &registry, 1).map_err(|error| error.to_string())?;
    let store: Option<Store> = if plan.has_undo() {
        Some(registry.store().await.map_err(|error| error.to_string())?)
    } else {
        None
    };
    let composer = Composer {
        plan: Arc::new(snapshot),
        registry,
        client: String::new(),
        trace: None,
        tried: Mutex::default(),
    };
    let engine = Engine {
        caller: &composer,
        journal: match &store {
            Some(store) => Some(store),
            None => None,
        },
        watch,
    };
    let id = uuid(fastrand::u128(..));
    let ask = Ask {
        inputs,
        id: &id,
        key: &id,
        deadline: None,
    };
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(engine.run(&plan, ask, stop).await)
}
