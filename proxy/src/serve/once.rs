//! One call of an operation without a gateway around it: for the command line.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use isobar_adapters::{Blob, Evidence, Job, Request, Response, Transport, contract};
use isobar_config::Config;
use serde_json::{Map, Value, json};

use super::{
    capability::{self, Asked},
    transport::Wire,
    trust::Trust,
};
use crate::{
    admin::metrics::Metrics,
    pool::deadline::Deadline,
    route::{compile, registry::Registry, snapshot::Action},
};

/// Told of each request as its answer arrives: method, host and path, status or fault, and the time it took.
pub type Progress = Arc<dyn Fn(&str, &str, Duration) + Send + Sync>;

/// What one call gave.
#[derive(Debug)]
pub struct Outcome {
    /// The answer as JSON.
    pub answer: Value,
    /// The recording, where the operation makes one.
    pub audio: Option<Bytes>,
    /// Who was tried, in words.
    pub attempts: Vec<String>,
    /// Whether the call worked.
    pub worked: bool,
}

/// Does `operation` once with the accounts of `config`. The error is a sentence.
pub async fn call(
    config: Config,
    operation: &str,
    input: &Map<String, Value>,
    audio: Option<&Path>,
    progress: Progress,
) -> Result<Outcome, String> {
    let contract =
        contract(operation).ok_or_else(|| format!("there is no operation `{operation}`"))?;
    let input = contract.check(input.clone())?;
    let mut blobs = Vec::new();
    match (contract.blobs.first(), audio) {
        (Some(name), Some(path)) => {
            let bytes = tokio::fs::read(path)
                .await
                .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            blobs.push((*name, Blob::of_bytes(bytes.into(), &file)));
        }
        (Some(name), None) => return Err(format!("`{operation}` needs `--{name} FILE`")),
        (None, Some(_)) => return Err(format!("`{operation}` takes no recording")),
        (None, None) => {}
    }
    let trust = Trust::load().map_err(|error| error.to_string())?;
    let metrics = Metrics::new().map_err(|error| error.to_string())?;
    let mut registry = Registry::new(metrics, &config.state, Arc::clone(&trust.client));
    registry.progress = Some(progress);
    let plan = compile::compile(config.into(), &registry, 1).map_err(|error| error.to_string())?;
    let serving = plan.routes.iter().find_map(|route| match &route.action {
        Action::Serve(serve) if serve.contract.name == operation => Some((route, serve)),
        _ => None,
    });
    let (route, serve) =
        serving.ok_or_else(|| format!("no account of the configuration offers `{operation}`"))?;
    let jobs = [Job { input, blobs }];
    let asked = Asked {
        contract,
        jobs: &jobs,
        id: &format!("{:032x}", fastrand::u128(..)),
        extra: false,
        deadline: Deadline::after(Instant::now(), route.limits.deadline),
        attempt: route.limits.attempt,
    };
    let mut tried = Vec::new();
    let served = capability::serve(
        &asked,
        &serve.pool,
        &serve.pool.members,
        0,
        &registry.tokens,
        &mut tried,
    )
    .await;
    let attempts = tried
        .iter()
        .map(|tried| {
            let attempt = tried.attempt();
            format!(
                "{} {} ({}) {} ms",
                attempt.vendor, attempt.verdict, attempt.reason, attempt.millis
            )
        })
        .collect();
    Ok(match served.map(|mut served| served.swap_remove(0)) {
        Ok(Ok(answered)) => {
            let audio = match &answered.output.content {
                isobar_adapters::Content::Speech(speech) => {
                    Some(speech.audio.to_bytes().map_err(|error| error.to_string())?)
                }
                _ => None,
            };
            let mut answer = serde_json::to_value(&answered.output).unwrap_or_default();
            if let Some(fields) = answer.as_object_mut() {
                fields.insert("vendor".to_owned(), json!(answered.account.name()));
            }
            Outcome {
                answer,
                audio,
                attempts,
                worked: true,
            }
        }
        Ok(Err(failure)) => failed(&failure.message, attempts),
        Err(problem) => failed(&problem.detail, attempts),
    })
}

fn failed(why: &str, attempts: Vec<String>) -> Outcome {
    Outcome {
        answer: json!({ "error": why }),
        audio: None,
        attempts,
        worked: false,
    }
}

/// A wire that tells of its requests.
pub(crate) struct Watched {
    pub(crate) wire: Arc<Wire>,
    pub(crate) progress: Progress,
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request, allowed: Duration) -> Result<Response, Evidence> {
        // Queries may hold credentials.
        let host = request
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let what = format!("{} {host}{}", request.method, request.uri.path());
        let started = Instant::now();
        let sent = self.wire.send(request, allowed).await;
        let came = match &sent {
            Ok(response) => response.status.as_u16().to_string(),
            Err(Evidence::NotSent(fault) | Evidence::Broken(fault)) => fault.name().to_owned(),
            Err(Evidence::Answered { status, .. }) => status.to_string(),
        };
        (self.progress)(&what, &came, started.elapsed());
        sent
    }

    async fn pause(&self, time: Duration) {
        self.wire.pause(time).await;
    }
}
