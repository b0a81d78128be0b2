//! The steps of an operation: each a request and its answer, or a job that is asked after until it is done.

use std::time::{Duration, Instant};

use isobar_config::follow;
use serde_json::Value;

use super::{
    Call, Output, Resolved,
    answer::Answer,
    batch::documents,
    errors::failure_in,
    job::{Progress, progress},
};
use crate::{
    failure::{Failure, Kind},
    prepare::{Prepared, Preparing},
    request::Response,
    template::{Document, Scope},
    vendor::{Calls, KeepFrom, Step},
};

/// Polls that may fail in a row: the job goes on, and is paid for.
const FAILED_POLLS: u32 = 3;

impl Call<'_> {
    pub(super) async fn steps(
        &self,
        calls: &Calls,
        jobs: &[Resolved<'_>],
        id: &str,
    ) -> Result<Vec<Result<Output, Failure>>, Failure> {
        let Some(first) = jobs.first() else {
            return Ok(Vec::new());
        };
        let documents = (self.operation.batch.most > 1).then(|| documents(jobs));
        let documents = documents.as_deref();
        let mut kept: Vec<(String, Value)> = Vec::new();
        let mut last = None;
        let mut failed = None;
        for step in calls.steps.iter().filter(|step| !step.cleanup) {
            let scope = self.scope(first, documents, &kept, id);
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
            let scope = self.scope(first, documents, &kept, id);
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
        job: &'s Resolved<'_>,
        documents: Option<&'s [Document<'s>]>,
        kept: &'s [(String, Value)],
        id: &'s str,
    ) -> Scope<'s> {
        Scope {
            input: &job.input,
            documents,
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
