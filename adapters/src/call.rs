//! One operation at one account: its steps, from inputs to answers.

mod answer;
mod batch;
mod errors;
mod job;
mod steps;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use isobar_config::member;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};

use self::batch::group;
use crate::{
    blob::Blob,
    capability::{About, Content},
    failure::{Failure, Kind},
    language,
    price::{Quantity, Usage},
    transport::{Tokens, Transport},
    vendor::{Account, Calls, How, Operation},
};

/// Calls that one batch may have running at once.
const AT_ONCE: usize = 4;
/// Longest recording that is converted for a vendor whose manifest names no limit.
const LONGEST: Duration = Duration::from_hours(4);

/// One input of an operation, checked against its contract.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its fields.
    pub input: Map<String, Value>,
    /// Its blobs, by field.
    pub blobs: Vec<(&'static str, Blob)>,
}

/// A job as one vendor is told it.
struct Resolved<'j> {
    input: Cow<'j, Map<String, Value>>,
    blobs: Cow<'j, [(&'static str, Blob)]>,
}

/// One answer.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// What was asked for.
    #[serde(flatten)]
    pub content: Content,
    /// The model that answered, where one was asked for or is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it used, and cost by the vendor's list.
    pub usage: Usage,
    /// The vendor's own answer, where it is JSON; only on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
}

/// An operation at an account, with what it takes to call it.
pub struct Call<'a> {
    /// Whose credential is used.
    pub account: &'a Account,
    /// What is done.
    pub operation: &'a Operation,
    /// How requests get there.
    pub transport: &'a dyn Transport,
    /// Tokens of earlier calls.
    pub tokens: &'a Tokens,
    /// When the answer must be there.
    pub deadline: Instant,
    /// Unique to the call, a UUID: job names and the like are made from it.
    pub id: &'a str,
    /// Whether answers carry what the vendor said beyond the contract.
    pub extra: bool,
}

impl Operation {
    /// Why this account cannot do a job; `None` when it can.
    pub fn gap(&self, job: &Job, account: &Account) -> Option<String> {
        match self.resolve(job, account) {
            Ok(input) => self.limits.gap(&input, &job.blobs, account),
            Err(gap) => Some(gap),
        }
    }

    /// US dollars by the vendor's list, where it is known.
    pub fn estimate(&self, jobs: &[Job]) -> Option<f64> {
        jobs.iter()
            .map(|job| {
                self.usage(&job.input, &job.blobs, Quantity::default())
                    .cost_usd
            })
            .sum()
    }

    /// What a job uses; `told` is what the vendor says of it.
    fn usage(
        &self,
        input: &Map<String, Value>,
        blobs: &[(&'static str, Blob)],
        told: Quantity,
    ) -> Usage {
        let media = blobs.first().map(|(_, blob)| blob.media());
        let text = |name: &str| member(input, name).and_then(Value::as_str);
        let quantity = Quantity {
            seconds: media.and_then(|media| media.duration).or(told.seconds),
            channels: media.and_then(|media| media.channels),
            characters: text("text").unwrap_or_default().chars().count(),
            billed: told.billed,
        };
        let model =
            text("model").map(|model| model.split_once('/').map_or(model, |(_, model)| model));
        match &self.price {
            Some(price) => price.usage(quantity, model),
            None => Usage::unpriced(quantity),
        }
    }

    fn output(
        &self,
        job: &Resolved<'_>,
        content: Content,
        model: Option<String>,
        extra: Option<Value>,
    ) -> Output {
        let told = match &content {
            Content::Transcript(transcript) => Quantity {
                seconds: transcript.duration,
                ..Quantity::default()
            },
            Content::Translation(translation) => Quantity {
                billed: translation.billed,
                ..Quantity::default()
            },
            _ => Quantity::default(),
        };
        let asked = || {
            member(&job.input, "model")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Output {
            model: model.or_else(asked),
            usage: self.usage(&job.input, &job.blobs, told),
            content,
            extra,
        }
    }

    /// The job as this vendor is to be told it; the error says why it is not the one meant.
    fn resolved<'j>(&self, job: &'j Job, account: &Account) -> Result<Resolved<'j>, String> {
        let input = self.resolve(job, account)?;
        Ok(Resolved {
            input,
            blobs: Cow::Borrowed(&job.blobs),
        })
    }

    /// The input with its model and voice as this vendor is to be told them; the error says why it is not the one meant.
    fn resolve<'j>(
        &self,
        job: &'j Job,
        account: &Account,
    ) -> Result<Cow<'j, Map<String, Value>>, String> {
        let is_qualified = |voice: &Value| voice.as_str().is_some_and(|voice| voice.contains('/'));
        if self.model.is_none()
            && member(&job.input, "model").is_none()
            && !member(&job.input, "voice").is_some_and(is_qualified)
        {
            return Ok(Cow::Borrowed(&job.input));
        }
        let mut input = job.input.clone();
        let meant = |named: &str| named == account.name || named == account.vendor.name;
        if let Some(Value::String(model)) = input.remove("model") {
            match model.split_once('/') {
                Some((named, "auto")) if meant(named) => {}
                Some((named, model)) if meant(named) => {
                    input.insert("model".to_owned(), Value::String(model.to_owned()));
                }
                None if meant(&model) => {}
                // The name of a vendor alone is that vendor, whatever its model.
                None if crate::vendors::built_in().0.get(&model).is_some() => {
                    return Err(format!("`{model}` was asked for"));
                }
                Some((named, _)) if !self.models.contains(&model) => {
                    return Err(format!("`{named}` was asked for"));
                }
                _ if self.models.contains(&model) => {
                    input.insert("model".to_owned(), Value::String(model));
                }
                _ => {}
            }
        }
        if let Some(model) = &self.model
            && !input.contains_key("model")
        {
            input.insert("model".to_owned(), Value::String(model.clone()));
        }
        if let Some(Value::String(voice)) = input.get("voice").cloned()
            && let Some((named, voice)) = voice.split_once('/')
        {
            if !meant(named) {
                return Err(format!("a voice of `{named}` was asked for"));
            }
            input.insert("voice_id".to_owned(), Value::String(voice.to_owned()));
        }
        Ok(Cow::Owned(input))
    }
}

impl Resolved<'_> {
    /// The same, borrowed.
    fn again(&self) -> Resolved<'_> {
        Resolved {
            input: Cow::Borrowed(&self.input),
            blobs: Cow::Borrowed(&self.blobs),
        }
    }
}

impl Call<'_> {
    /// Does the jobs; an answer or a failure for each, in order.
    pub async fn perform(&self, jobs: &[Job]) -> Vec<Result<Output, Failure>> {
        let mut resolved = Vec::with_capacity(jobs.len());
        for job in jobs {
            resolved.push(match self.operation.resolved(job, self.account) {
                Ok(job) => job,
                Err(gap) => {
                    return jobs
                        .iter()
                        .map(|_| Err(Failure::new(Kind::Unsupported, gap.clone())))
                        .collect();
                }
            });
        }
        let calls = match &self.operation.kind {
            How::Calls(calls) => calls,
            How::Engine(engine) => {
                let run = |job: &Resolved<'_>| {
                    let content = (engine.run)(&About {
                        input: &job.input,
                        blobs: &job.blobs,
                    })?;
                    Ok(self
                        .operation
                        .output(job, content, Some(engine.model.to_owned()), None))
                };
                return resolved.iter().map(run).collect();
            }
        };
        if let Err(failure) = self.convert(&mut resolved).await {
            return jobs.iter().map(|_| Err(failure.clone())).collect();
        }
        if resolved.len() == 1 {
            return self.chunk(calls, &resolved, self.id).await;
        }
        let groups = group(&resolved, &self.operation.batch);
        let ids: Vec<String> = (0..groups.len())
            .map(|number| format!("{}-{number}", self.id))
            .collect();
        let jobs = &resolved;
        let running = groups.iter().zip(&ids).map(|(group, id)| async move {
            let jobs = group.iter().filter_map(|at| jobs.get(*at));
            let jobs: Vec<Resolved<'_>> = jobs.map(Resolved::again).collect();
            self.chunk(calls, &jobs, id).await
        });
        let done: Vec<Vec<Result<Output, Failure>>> = stream::iter(running.collect::<Vec<_>>())
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut answers: Vec<Option<Result<Output, Failure>>> =
            resolved.iter().map(|_| None).collect();
        for (group, outputs) in groups.iter().zip(done) {
            for (at, output) in group.iter().zip(outputs) {
                if let Some(place) = answers.get_mut(*at) {
                    *place = Some(output);
                }
            }
        }
        answers
            .into_iter()
            .map(|answer| {
                answer.unwrap_or_else(|| {
                    Err(Failure::new(
                        Kind::Misread,
                        "the vendor left an input out of its answer",
                    ))
                })
            })
            .collect()
    }

    /// Puts in place of recordings what the vendor takes.
    async fn convert(&self, jobs: &mut [Resolved<'_>]) -> Result<(), Failure> {
        if self.operation.convert.is_empty() {
            return Ok(());
        }
        let longest = self
            .operation
            .limits
            .duration
            .map_or(LONGEST, Duration::from_secs_f64);
        for (field, blob) in jobs.iter_mut().flat_map(|job| job.blobs.to_mut()) {
            let Some((_, conversion)) = self
                .operation
                .convert
                .iter()
                .find(|(name, _)| name == field)
            else {
                continue;
            };
            let done = Arc::new(Mutex::new(None));
            let (conversion, given, place) = (*conversion, blob.clone(), Arc::clone(&done));
            self.transport
                .blocking(Box::new(move || {
                    *place.lock() = Some(conversion.of(&given, longest))
                }))
                .await;
            let converted = done.lock().take();
            *blob = converted.unwrap_or_else(|| {
                Err(Failure::new(
                    Kind::Internal,
                    "the recording could not be converted",
                ))
            })?;
        }
        Ok(())
    }

    /// One chunk of a batch, or a single job.
    async fn chunk(
        &self,
        calls: &Calls,
        jobs: &[Resolved<'_>],
        id: &str,
    ) -> Vec<Result<Output, Failure>> {
        match self.steps(calls, jobs, id).await {
            Ok(answers) => answers,
            Err(failure) => jobs.iter().map(|_| Err(failure.clone())).collect(),
        }
    }
}

/// The language of an input: as told, else as far as it can be told.
pub fn language_of(text: &str, told: Option<&str>) -> Option<String> {
    told.map(language::canonical)
        .or_else(|| crate::engine::detect(text))
}
