//! One operation at one account: its steps, from inputs to answers.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    blob::Blob,
    capability::{About, Content},
    draft::Fields,
    failure::{Failure, Kind},
    language,
    prepare::{Prepared, Preparing},
    price::{Quantity, Usage},
    projection::{Outside, Surroundings},
    request::{Request, Response},
    template::{Scope, follow},
    transport::{Tokens, Transport},
    tree::Tree,
    vendor::{
        Account, Batch, Calls, ErrorPath, Errors, How, KeepFrom, Operation, Poll, Returns, Step,
    },
};

/// Calls that one batch may have running at once.
const AT_ONCE: usize = 4;
/// Polls that may fail in a row: the job goes on, and is paid for.
const FAILED_POLLS: u32 = 3;
/// Longest recording that is converted for a vendor whose manifest names no limit.
const LONGEST: Duration = Duration::from_hours(4);
/// Longest excerpt of a vendor's message that is passed on, in characters.
const EXCERPT: usize = 200;

/// One input of an operation, checked against its contract.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its fields.
    pub input: Map<String, Value>,
    /// Its blobs, by field.
    pub blobs: Vec<(&'static str, Blob)>,
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

/// What a vendor said, and what is known when it is read.
#[derive(Clone, Copy)]
struct Answer<'a> {
    account: &'a Account,
    kept: &'a [(String, Value)],
    response: &'a Response,
    extra: bool,
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
            .map(|job| self.usage(job, Quantity::default()).cost_usd)
            .sum()
    }

    /// What a job uses; `told` is what the vendor says of it.
    fn usage(&self, job: &Job, told: Quantity) -> Usage {
        let media = job.blobs.first().map(|(_, blob)| blob.media());
        let text = |name: &str| job.input.get(name).and_then(Value::as_str);
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

    /// The first request of the call that would do these jobs, signed at this time; nothing is sent, and no key is
    /// exchanged for a token.
    pub fn prepare(
        &self,
        account: &Account,
        jobs: &[Job],
        id: &str,
        now: SystemTime,
    ) -> Result<Request, Failure> {
        let none = |why| Failure::new(Kind::Unsupported, why);
        let How::Calls(calls) = &self.kind else {
            return Err(none("the operation is done in this process"));
        };
        let (Some(step), Some(first)) = (calls.steps.first(), jobs.first()) else {
            return Err(none("there is nothing to send"));
        };
        let resolved = |job: &Job| {
            self.resolve(job, account)
                .map(|input| Job {
                    input,
                    blobs: job.blobs.clone(),
                })
                .map_err(|gap| Failure::new(Kind::Unsupported, gap))
        };
        let input = if self.batch.most > 1 {
            let resolved: Result<Vec<Job>, Failure> = jobs.iter().map(resolved).collect();
            together(&resolved?)
        } else {
            resolved(first)?.input
        };
        let scope = Scope {
            input: &input,
            blobs: &first.blobs,
            account: account.fields(),
            kept: &[],
            id,
            token: None,
            chunk: None,
            item: None,
        };
        let Prepared {
            mut request,
            signer,
        } = Preparing { account, step }.request(&scope)?;
        signer.sign(&mut request, now)?;
        Ok(request)
    }

    /// Reads a vendor's answer to one call's jobs, as if they had just been sent: nothing is sent, and earlier steps have
    /// kept nothing.
    pub fn interpret(
        &self,
        account: &Account,
        jobs: &[Job],
        response: &Response,
    ) -> Vec<Result<Output, Failure>> {
        let read = || {
            let How::Calls(calls) = &self.kind else {
                return Err(Failure::new(
                    Kind::Unsupported,
                    "the operation is done in this process, without a vendor's answer",
                ));
            };
            if let Some(failure) = failure_in(&account.vendor.errors, response) {
                return Err(failure);
            }
            let resolved = |job: &Job| {
                self.resolve(job, account).map(|input| Job {
                    input,
                    blobs: job.blobs.clone(),
                })
            };
            let resolved: Result<Vec<Job>, String> = jobs.iter().map(resolved).collect();
            let resolved = resolved.map_err(|gap| Failure::new(Kind::Unsupported, gap))?;
            self.read(
                calls,
                &Answer {
                    account,
                    kept: &[],
                    response,
                    extra: false,
                },
                &resolved,
            )
        };
        read().unwrap_or_else(|failure| jobs.iter().map(|_| Err(failure.clone())).collect())
    }

    /// Vendor's answer → ours.
    fn read(
        &self,
        calls: &Calls,
        answer: &Answer<'_>,
        jobs: &[Job],
    ) -> Result<Vec<Result<Output, Failure>>, Failure> {
        let Answer {
            account,
            kept,
            response,
            extra,
        } = *answer;
        let Some(first) = jobs.first() else {
            return Ok(Vec::new());
        };
        let around = Around {
            kept,
            response,
            input: &first.input,
        };
        let tree = match &calls.returns {
            Returns::Whole(at, fields) => {
                // Some say in JSON what went wrong, and do not say it in the status.
                let told = response.headers.get(http::header::CONTENT_TYPE);
                if told.is_some_and(|told| told.as_bytes().starts_with(b"application/json")) {
                    let why = "the vendor answered JSON where it promises a recording";
                    return Err(Failure::new(Kind::Misread, why));
                }
                let mut record = vec![Tree::Absent; *fields];
                if let Some(field) = record.get_mut(*at) {
                    *field = Tree::Bytes(response.body.clone());
                }
                Tree::Record(record.into_boxed_slice())
            }
            Returns::Json(program) => match calls.hook {
                None => program.read(&response.body, &around)?,
                Some(hook) => {
                    let value = serde_json::from_slice(&response.body)
                        .map_err(|_| crate::projection::Misread::NotJson)?;
                    let value = (hook.0)(value).map_err(|why| Failure::new(Kind::Misread, why))?;
                    program.map(&value, &around)?
                }
            },
        };
        let extra = || {
            if extra {
                serde_json::from_slice(&response.body).ok()
            } else {
                None
            }
        };
        if self.batch.most == 1 {
            let about = About {
                input: &first.input,
                blobs: &first.blobs,
            };
            let content = (self.contract.finish)(tree, &about)?;
            return Ok(vec![Ok(self.output(first, content, None, extra()))]);
        }
        let mut answers: Vec<Option<Result<Output, Failure>>> = jobs.iter().map(|_| None).collect();
        let mut parts = Fields::of(tree);
        let draft = self.contract.draft;
        let position = |name: &str| draft.fields.iter().position(|(known, _)| *known == name);
        for (number, result) in parts.take(0).items().into_iter().flatten().enumerate() {
            let at = index_of(&result, position("index"), position("id")).unwrap_or(number);
            let (Some(job), Some(place)) = (jobs.get(at), answers.get_mut(at)) else {
                continue;
            };
            let about = About {
                input: &job.input,
                blobs: &job.blobs,
            };
            let content = (self.contract.finish)(result, &about);
            *place = Some(
                content
                    .map(|content| self.output(job, content, None, None))
                    .map_err(Failure::from),
            );
        }
        for (number, error) in parts.take(1).items().into_iter().flatten().enumerate() {
            let at = index_of(&error, Some(0), Some(1)).unwrap_or(number);
            let Some(place) = answers.get_mut(at) else {
                continue;
            };
            let mut error = Fields::of(error);
            let (code, message) = (error.string(2), error.string(3));
            *place = Some(Err(document_failure(account, code, message)));
        }
        Ok(answers
            .into_iter()
            .map(|answer| {
                answer.unwrap_or_else(|| {
                    Err(Failure::new(
                        Kind::Misread,
                        "the vendor left an input out of its answer",
                    ))
                })
            })
            .collect())
    }

    fn output(
        &self,
        job: &Job,
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
            job.input
                .get("model")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Output {
            model: model.or_else(asked),
            usage: self.usage(job, told),
            content,
            extra,
        }
    }

    /// The input with its model and voice as this vendor is to be told them; the error says why it is not the one meant.
    fn resolve(&self, job: &Job, account: &Account) -> Result<Map<String, Value>, String> {
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
        Ok(input)
    }
}

impl Call<'_> {
    /// Does the jobs; an answer or a failure for each, in order.
    pub async fn perform(&self, jobs: &[Job]) -> Vec<Result<Output, Failure>> {
        let mut resolved = Vec::with_capacity(jobs.len());
        for job in jobs {
            resolved.push(match self.operation.resolve(job, self.account) {
                Ok(input) => Job {
                    input,
                    blobs: job.blobs.clone(),
                },
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
                let run = |job: &Job| {
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
        if let [job] = resolved.as_slice() {
            return self.chunk(calls, std::slice::from_ref(job), self.id).await;
        }
        let groups = group(&resolved, &self.operation.batch);
        let ids: Vec<String> = (0..groups.len())
            .map(|number| format!("{}-{number}", self.id))
            .collect();
        let jobs = &resolved;
        let running = groups.iter().zip(&ids).map(|(group, id)| async move {
            let jobs: Vec<Job> = group
                .iter()
                .filter_map(|at| jobs.get(*at).cloned())
                .collect();
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
    async fn convert(&self, jobs: &mut [Job]) -> Result<(), Failure> {
        let longest = self
            .operation
            .limits
            .duration
            .map_or(LONGEST, Duration::from_secs_f64);
        for (field, blob) in jobs.iter_mut().flat_map(|job| &mut job.blobs) {
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
    async fn chunk(&self, calls: &Calls, jobs: &[Job], id: &str) -> Vec<Result<Output, Failure>> {
        match self.steps(calls, jobs, id).await {
            Ok(answers) => answers,
            Err(failure) => jobs.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn steps(
        &self,
        calls: &Calls,
        jobs: &[Job],
        id: &str,
    ) -> Result<Vec<Result<Output, Failure>>, Failure> {
        let Some(first) = jobs.first() else {
            return Ok(Vec::new());
        };
        let batch = self.operation.batch.most > 1;
        let input = if batch { &together(jobs) } else { &first.input };
        let mut kept: Vec<(String, Value)> = Vec::new();
        let mut last = None;
        let mut failed = None;
        for step in calls.steps.iter().filter(|step| !step.cleanup) {
            let scope = self.scope(input, first, &kept, id);
            match self.step(step, &scope).await {
                Ok(None) => {}
                Ok(Some(response)) => {
                    if let Err(failure) = keep(step, &response, &mut kept) {
                        failed = Some(failure);
                        break;
                    }
                    last = Some(response);
                }
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            }
        }
        for step in calls.steps.iter().filter(|step| step.cleanup) {
            let scope = self.scope(input, first, &kept, id);
            // What is left behind costs little and expires; it must not turn an answer into a failure.
            let _ = self.step(step, &scope).await;
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        let response = last
            .ok_or_else(|| Failure::new(Kind::Unsupported, "no step of the operation applies"))?;
        let answer = Answer {
            account: self.account,
            kept: &kept,
            response: &response,
            extra: self.extra,
        };
        self.operation.read(calls, &answer, jobs)
    }

    fn scope<'s>(
        &'s self,
        input: &'s Map<String, Value>,
        job: &'s Job,
        kept: &'s [(String, Value)],
        id: &'s str,
    ) -> Scope<'s> {
        Scope {
            input,
            blobs: &job.blobs,
            account: self.account.fields(),
            kept,
            id,
            token: None,
            chunk: None,
            item: None,
        }
    }

    /// One step; `None` when its condition does not hold.
    async fn step(&self, step: &Step, scope: &Scope<'_>) -> Result<Option<Response>, Failure> {
        if let Some(when) = &step.when
            && when.value(scope)?.is_none()
        {
            return Ok(None);
        }
        if let Some(unless) = &step.unless
            && unless.value(scope)?.is_some()
        {
            return Ok(None);
        }
        let Some(poll) = &step.poll else {
            return self.exchange(step, scope).await.map(Some);
        };
        let mut wait = poll.every;
        let mut failures = 0;
        loop {
            match self.exchange(step, scope).await {
                Ok(response) => {
                    failures = 0;
                    match progress(poll, &self.account.vendor.errors, &response)? {
                        Progress::Done => return Ok(Some(response)),
                        Progress::Running(told) => {
                            wait = told.unwrap_or(wait).max(Duration::from_millis(1))
                        }
                    }
                }
                Err(Failure {
                    code: Some(code),
                    retry_after,
                    ..
                }) if poll.not_yet.contains(&code) => {
                    failures = 0;
                    wait = retry_after.unwrap_or(wait).max(Duration::from_millis(1));
                }
                Err(failure) => {
                    failures += 1;
                    let passing = !matches!(
                        failure.kind,
                        Kind::Auth | Kind::Invalid | Kind::Unsupported | Kind::Quota
                    );
                    if !passing || failures >= FAILED_POLLS {
                        return Err(failure);
                    }
                }
            }
            if self.left() <= wait {
                return Err(Failure::new(
                    Kind::Timeout,
                    "the vendor is still at work, and the time for it is over",
                ));
            }
            self.transport.pause(wait).await;
            wait = wait.mul_f64(1.5).min(poll.up_to);
        }
    }

    /// One request and its answer, which is no error. A token that the vendor no longer takes is replaced once.
    async fn exchange(&self, step: &Step, scope: &Scope<'_>) -> Result<Response, Failure> {
        let preparing = Preparing {
            account: self.account,
            step,
        };
        for again in [false, true] {
            let token = match preparing.token_call() {
                None => None,
                Some(token_call) => Some(self.token(&token_call?, again).await?),
            };
            let scope = Scope {
                token: token.as_deref(),
                ..*scope
            };
            let Prepared {
                mut request,
                signer,
            } = preparing.request(&scope)?;
            if signer.wants_digest() && !request.body.in_memory() {
                return Err(Failure::new(
                    Kind::TooLarge,
                    "the vendor's signature needs the whole body in memory",
                ));
            }
            signer.sign(&mut request, self.transport.now())?;
            let response = self
                .transport
                .send(request, self.left())
                .await
                .map_err(Failure::lost)?;
            match failure_in(&self.account.vendor.errors, &response) {
                None => return Ok(response),
                Some(failure) if token.is_some() && !again && failure.kind == Kind::Auth => {}
                Some(failure) => return Err(failure),
            }
        }
        Err(Failure::new(
            Kind::Auth,
            "the vendor takes no token of this account",
        ))
    }

    async fn token(
        &self,
        token_call: &crate::prepare::TokenCall,
        renew: bool,
    ) -> Result<String, Failure> {
        let cell = self.tokens.cell(&token_call.key(self.account));
        let mut token = cell.lock().await;
        let now = self.transport.now();
        if let Some(token) = token
            .as_ref()
            .filter(|token| !renew && crate::transport::is_fresh(token, now))
        {
            return Ok(token.value.expose().to_owned());
        }
        let request = token_call.request(now)?;
        let response = self
            .transport
            .send(request, self.left())
            .await
            .map_err(Failure::lost)?;
        let fresh = token_call.read(&response, self.transport.now())?;
        let value = fresh.value.expose().to_owned();
        *token = Some(fresh);
        Ok(value)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// What is wrong with one document of a batch.
fn document_failure(account: &Account, code: Option<String>, message: Option<String>) -> Failure {
    let kind = rule(
        &account.vendor.errors,
        200,
        code.as_deref(),
        message.as_deref(),
    )
    .unwrap_or(Kind::Invalid);
    Failure {
        code,
        ..Failure::new(kind, said(message.as_deref(), 200))
    }
}

/// Position that a result says it belongs to.
fn index_of(result: &Tree<'_>, index: Option<usize>, id: Option<usize>) -> Option<usize> {
    let Tree::Record(fields) = result else {
        return None;
    };
    let number = |at: Option<usize>| {
        at.and_then(|at| fields.get(at))
            .and_then(Tree::number)
            .filter(|number| *number >= 0.0)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positions are small"
    )]
    number(index)
        .or_else(|| number(id))
        .map(|number| number as usize)
}

/// Jobs that share a call.
struct Group {
    /// What they have in common: everything but their text.
    rest: Map<String, Value>,
    /// Positions.
    jobs: Vec<usize>,
    bytes: usize,
    characters: usize,
    alone: bool,
}

/// Jobs that may share a call, as positions: equal in everything but their text, and together no more than fits.
fn group(jobs: &[Job], batch: &Batch) -> Vec<Vec<usize>> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let mut rest = job.input.clone();
        let text = rest.remove("text");
        let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
        let (bytes, characters) = (text.len(), text.chars().count());
        let alone = batch
            .alone_unless
            .as_ref()
            .is_some_and(|field| !rest.contains_key(field));
        let fits = |group: &&mut Group| {
            !alone
                && !group.alone
                && group.jobs.len() < batch.most
                && batch.bytes.is_none_or(|most| group.bytes + bytes <= most)
                && batch
                    .characters
                    .is_none_or(|most| group.characters + characters <= most)
                && group.rest == rest
        };
        match groups.iter_mut().find(fits) {
            Some(group) => {
                group.jobs.push(at);
                group.bytes += bytes;
                group.characters += characters;
            }
            None => groups.push(Group {
                rest,
                jobs: vec![at],
                bytes,
                characters,
                alone,
            }),
        }
    }
    groups.into_iter().map(|group| group.jobs).collect()
}

/// The input of a batch: what all share, and `documents` with the index and text of each.
fn together(jobs: &[Job]) -> Map<String, Value> {
    let mut input = jobs
        .first()
        .map(|job| job.input.clone())
        .unwrap_or_default();
    input.remove("text");
    let documents = jobs.iter().enumerate().map(|(index, job)| {
        let mut document = job.input.clone();
        document.insert("index".to_owned(), Value::String(index.to_string()));
        Value::Object(document)
    });
    input.insert("documents".to_owned(), Value::Array(documents.collect()));
    input
}

fn keep(step: &Step, response: &Response, kept: &mut Vec<(String, Value)>) -> Result<(), Failure> {
    if step.keep.is_empty() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    for (name, keep) in &step.keep {
        let value = match &keep.from {
            KeepFrom::Body(steps) => follow(&body, steps)
                .filter(|value| !value.is_null())
                .cloned(),
            KeepFrom::Header(name) => response
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(|value| Value::String(value.to_owned())),
        };
        let value = value.ok_or_else(|| crate::projection::Misread::Missing(keep.path.clone()))?;
        kept.push((name.clone(), value));
    }
    Ok(())
}

enum Progress {
    Done,
    /// Still running; the vendor may say when to ask again.
    Running(Option<Duration>),
}

fn progress(poll: &Poll, errors: &Errors, response: &Response) -> Result<Progress, Failure> {
    let Some(until) = &poll.until else {
        return Ok(Progress::Done);
    };
    let body: Value =
        serde_json::from_slice(&response.body).map_err(|_| crate::projection::Misread::NotJson)?;
    let state = follow(&body, until).map(Tree::of).and_then(Tree::text);
    // A state that is left out is the zero of vendors that leave zeros out: not done.
    let state = state.unwrap_or_default();
    if poll.done.iter().any(|word| *word == state) {
        return Ok(Progress::Done);
    }
    if poll.failed.iter().any(|word| *word == state) {
        let reason = poll
            .message
            .as_ref()
            .and_then(|steps| follow(&body, steps))
            .and_then(Value::as_str);
        let code = poll
            .code
            .as_ref()
            .and_then(|steps| follow(&body, steps))
            .map(Tree::of)
            .and_then(Tree::text)
            .map(std::borrow::Cow::into_owned);
        let status = code
            .as_ref()
            .and_then(|code| code.parse().ok())
            .filter(|status| (400..600).contains(status));
        let kind = rule(errors, status.unwrap_or_default(), code.as_deref(), reason)
            .or(status.map(Kind::of_status))
            .unwrap_or(Kind::Internal);
        let message = format!("the vendor's job failed: {}", said(reason, 0));
        return Err(Failure {
            code,
            status: Some(response.status.as_u16()),
            ..Failure::new(kind, message)
        });
    }
    Ok(Progress::Running(retry_after(response, None)))
}

/// What an answer says is wrong, if anything.
pub(crate) fn failure_in(errors: &Errors, response: &Response) -> Option<Failure> {
    let success = response.status.is_success();
    if success && errors.in_success.is_empty() {
        return None;
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if success {
        let tells = |(path, well): &(Vec<isobar_config::Step>, Vec<String>)| {
            let told = follow(&body, path).filter(|value| !value.is_null())?;
            let word = Tree::of(told).text();
            (!word.is_some_and(|word| well.iter().any(|known| *known == word))).then_some(())
        };
        errors.in_success.iter().find_map(tells)?;
    }
    let status = response.status.as_u16();
    let find = |paths: &[ErrorPath]| {
        paths.iter().find_map(|path| match path {
            ErrorPath::Body(steps) => follow(&body, steps)
                .map(Tree::of)
                .and_then(Tree::text)
                .map(std::borrow::Cow::into_owned),
            ErrorPath::Header(name) => response
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        })
    };
    // Error codes are often a type with a namespace before or a URL after it.
    let code = find(&errors.code).map(|code| {
        code.rsplit('#')
            .next()
            .unwrap_or(&code)
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    let message = find(&errors.message);
    let kind = rule(errors, status, code.as_deref(), message.as_deref()).unwrap_or_else(|| {
        if success {
            Kind::Internal
        } else {
            Kind::of_status(status)
        }
    });
    Some(Failure {
        kind,
        message: said(message.as_deref(), status),
        code,
        status: Some(status),
        retry_after: retry_after(
            response,
            errors
                .retry_after
                .iter()
                .find_map(|steps| follow(&body, steps)),
        ),
        evidence: None,
    })
}

fn rule(errors: &Errors, status: u16, code: Option<&str>, message: Option<&str>) -> Option<Kind> {
    let message = message.map(str::to_lowercase);
    let fits = |rule: &&crate::vendor::ErrorRule| {
        let by_code = rule.code.is_empty()
            || code.is_some_and(|code| {
                rule.code.iter().any(|known| match known.strip_suffix('*') {
                    Some(start) => code.starts_with(start),
                    None => code == known,
                })
            });
        let by_message = rule.message.as_ref().is_none_or(|words| {
            message
                .as_ref()
                .is_some_and(|message| message.contains(words))
        });
        (rule.status.is_empty() || rule.status.contains(&status)) && by_code && by_message
    };
    errors.kinds.iter().find(fits).map(|rule| rule.kind)
}

/// A vendor's sentence, short and on one line.
fn said(message: Option<&str>, status: u16) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(EXCERPT)
            .collect(),
        None if status == 0 => "no reason is given".to_owned(),
        None => format!("the vendor answered {status}"),
    }
}

fn retry_after(response: &Response, in_body: Option<&Value>) -> Option<Duration> {
    let seconds = in_body.and_then(|value| match value {
        Value::String(text) => text.trim_end_matches('s').parse::<f64>().ok(),
        other => other.as_f64(),
    });
    let header = |name: &str| {
        response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let millis = || {
        header("retry-after-ms")
            .and_then(|text| text.parse::<f64>().ok())
            .map(|millis| millis / 1e3)
    };
    let plain = || header("retry-after").and_then(|text| text.parse::<f64>().ok());
    let date = || {
        let date = httpdate::parse_http_date(header("retry-after")?).ok()?;
        date.duration_since(SystemTime::now())
            .ok()
            .map(|wait| wait.as_secs_f64())
    };
    let seconds = seconds.or_else(millis).or_else(plain).or_else(date)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What a mapping can see beside the body.
struct Around<'a> {
    kept: &'a [(String, Value)],
    response: &'a Response,
    input: &'a Map<String, Value>,
}

impl Surroundings for Around<'_> {
    fn outside(&self, source: &Outside) -> Tree<'static> {
        match source {
            Outside::Status => Tree::Number(f64::from(self.response.status.as_u16())),
            Outside::Header(name) => {
                let value = self
                    .response
                    .headers
                    .get(name)
                    .and_then(|value| value.to_str().ok());
                value.map_or(Tree::Absent, |value| Tree::Text(value.to_owned().into()))
            }
            Outside::Kept(name) => self
                .kept
                .iter()
                .find(|(known, _)| known == name)
                .map_or(Tree::Absent, |(_, value)| Tree::owned(value.clone())),
            Outside::Input(steps) => {
                let Some((isobar_config::Step::Name(name), rest)) = steps.split_first() else {
                    return Tree::Absent;
                };
                let value = self.input.get(name).and_then(|value| follow(value, rest));
                value.map_or(Tree::Absent, |value| Tree::owned(value.clone()))
            }
        }
    }
}

/// The language of an input: as told, else as far as it can be told.
pub fn language_of(text: &str, told: Option<&str>) -> Option<String> {
    told.map(language::canonical)
        .or_else(|| crate::engine::detect(text))
}

#[cfg(test)]
mod tests;
