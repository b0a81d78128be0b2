//! Vendor's answer → ours.

use std::time::SystemTime;

use isobar_config::follow_in;
use serde_json::{Map, Value};

use super::{
    Job, Output, Resolved,
    batch::documents,
    errors::{document_failure, failure_in},
};
use crate::{
    capability::About,
    draft::Fields,
    failure::{Failure, Kind},
    prepare::{Prepared, Preparing},
    projection::{Outside, Surroundings},
    request::{Request, Response},
    template::Scope,
    tree::Tree,
    vendor::{Account, Calls, How, Operation, Returns},
};

/// What a vendor said, and what is known when it is read.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) account: &'a Account,
    pub(super) kept: &'a [(String, Value)],
    pub(super) response: &'a Response,
    pub(super) extra: bool,
}

impl Operation {
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
        let Some(step) = calls.steps.first() else {
            return Err(none("there is nothing to send"));
        };
        let resolved: Result<Vec<Resolved<'_>>, String> =
            jobs.iter().map(|job| self.resolved(job, account)).collect();
        let resolved = resolved.map_err(|gap| Failure::new(Kind::Unsupported, gap))?;
        let Some(first) = resolved.first() else {
            return Err(none("there is nothing to send"));
        };
        let documents = (self.batch.most > 1).then(|| documents(&resolved));
        let scope = Scope {
            input: &first.input,
            documents: documents.as_deref(),
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
            let resolved: Result<Vec<Resolved<'_>>, String> =
                jobs.iter().map(|job| self.resolved(job, account)).collect();
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
    pub(super) fn read(
        &self,
        calls: &Calls,
        answer: &Answer<'_>,
        jobs: &[Resolved<'_>],
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
                    *field = Tree::Bytes(Box::new(response.body.clone()));
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
                let value = follow_in(self.input, steps);
                value.map_or(Tree::Absent, |value| Tree::owned(value.clone()))
            }
        }
    }
}
