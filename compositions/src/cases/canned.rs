//! Tries a case: a caller that answers what the file says, and notes what was asked.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, StatusCode, header};
use isobar_adapters::Blob;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{Canned, Case, Failure, Reply, neutral, plain};
use crate::{
    caller::{
        Attempt, CallFailed, Called, Caller, HttpCall, HttpCalled, HttpContent, HttpHead,
        OperationCall,
    },
    plan::Plan,
    run::{Ask, Engine, Ran, RunFailed, Slot, StepReport, Watch},
    shape::operation_output,
};

/// Who answers where nobody is named.
const NOBODY: &str = "canned";

/// What was seen of a case.
#[derive(Debug)]
pub struct Seen {
    /// What came of the run.
    pub ran: Ran,
    /// Every step that ended, with those of compositions that are used.
    pub steps: Vec<StepReport>,
    /// Every call, in order.
    pub sent: Vec<Sent>,
    /// What was asked and has no answer.
    pub unanswered: Vec<String>,
    /// Time that the run took.
    pub took: Duration,
}

/// A call as it was made.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The step, without the indexes of items.
    pub step: String,
    /// What it was given: an operation's input; of a request its method, URL, headers and body.
    pub input: Value,
}

/// Runs a case. What has no answer goes to `beyond`, where there is such.
pub async fn tried(plan: &Plan, case: &Case, beyond: Option<&dyn Caller>) -> Seen {
    let start = Instant::now();
    let caller = Played {
        answers: &case.answers,
        beyond,
        log: Mutex::default(),
    };
    let steps = Steps::default();
    let engine = Engine {
        caller: &caller,
        journal: None,
        watch: &steps,
    };
    let ran = match plan.accept(case.fields.clone(), case.blobs.clone()) {
        Ok(inputs) => {
            let ask = Ask {
                inputs,
                id: "run-of-a-case",
                key: "key-of-a-case",
                deadline: None,
            };
            engine.run(plan, ask, std::future::pending()).await
        }
        Err(bad) => Ran {
            result: Err(RunFailed {
                step: None,
                status: 400,
                kind: "bad-input",
                reason: bad.to_string(),
                retry_after: None,
                outcome_unknown: false,
            }),
            steps: Vec::new(),
            degraded: Vec::new(),
            undone: Vec::new(),
        },
    };
    let log = caller.log.into_inner();
    Seen {
        ran,
        steps: steps.0.into_inner(),
        sent: log.sent,
        unanswered: log.unanswered,
        took: start.elapsed(),
    }
}

/// Notes how steps end.
#[derive(Default)]
struct Steps(Mutex<Vec<StepReport>>);

impl Watch for Steps {
    fn ended(&self, report: &StepReport) {
        self.0.lock().push(report.clone());
    }
}

/// Plays a case's answers.
struct Played<'c> {
    answers: &'c BTreeMap<String, Reply>,
    beyond: Option<&'c dyn Caller>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    sent: Vec<Sent>,
    unanswered: Vec<String>,
    /// How often each step called, and each of its items.
    turns: HashMap<String, usize>,
}

impl Log {
    /// How often this asked before.
    fn turn(&mut self, key: String) -> usize {
        let turn = self.turns.entry(key).or_default();
        *turn += 1;
        *turn - 1
    }
}

impl Played<'_> {
    /// The answer to a step's next call; `None` where it has none at all.
    fn next(&self, step: &str, item: Option<usize>) -> Option<Result<Canned, CallFailed>> {
        let name = plain(step);
        let undoes = name.starts_with("undo(");
        let Some(mut reply) = self.answers.get(&name) else {
            // Taking back works unless the case says otherwise.
            return undoes.then(|| Ok(Canned::default()));
        };
        let mut log = self.log.lock();
        let mut at = match item {
            Some(item) => item,
            None => log.turn(name.clone()),
        };
        while let Reply::Turns(turns) = reply {
            let Some(chosen) = turns.get(at) else {
                let why = format!("`{name}` has {} answers, and asked once more", turns.len());
                log.unanswered.push(why.clone());
                return Some(Err(unanswered(why)));
            };
            reply = chosen;
            if matches!(reply, Reply::Turns(_)) {
                at = log.turn(format!("{name}[{at}]"));
            }
        }
        match reply {
            Reply::Always(canned) => Some(Ok(canned.clone())),
            Reply::Turns(_) => None,
        }
    }

    fn note(&self, step: &str, input: Value) {
        let step = plain(step);
        self.log.lock().sent.push(Sent { step, input });
    }

    fn none(&self, step: &str) -> CallFailed {
        let why = format!(
            "`{0}` asked, and has no answer: add `{0}: {{ … }}` to `answers`",
            plain(step)
        );
        let mut log = self.log.lock();
        if !log.unanswered.contains(&why) {
            log.unanswered.push(why.clone());
        }
        unanswered(why)
    }
}

#[async_trait]
impl Caller for Played<'_> {
    async fn operation(&self, call: OperationCall<'_>) -> Result<Called, CallFailed> {
        let mut given = call.input.clone();
        for (name, blob) in &call.blobs {
            given.insert((*name).to_owned(), facts(blob));
        }
        self.note(call.step, Value::Object(given));
        let canned = match (self.next(call.step, call.item), self.beyond) {
            (Some(canned), _) => canned?,
            (None, Some(beyond)) => return beyond.operation(call).await,
            (None, None) => return Err(self.none(call.step)),
        };
        if let Err(why) = call.contract.check(call.input.clone()) {
            let reason = format!("`{}`: {why}", call.contract.name);
            return Err(failed(&Failure {
                status: 400,
                unknown: false,
                reason: Some(reason),
            }));
        }
        tokio::time::sleep(canned.takes).await;
        if let Some(failure) = &canned.fails {
            return Err(failed(failure));
        }
        let shape = operation_output(call.contract);
        let mut json = canned.json;
        let vendor = match json.get("vendor").and_then(Value::as_str) {
            Some(vendor) => vendor.to_owned(),
            None => NOBODY.to_owned(),
        };
        json.insert("vendor".to_owned(), Value::from(vendor.as_str()));
        neutral::fill(&mut json, &shape);
        let mut output = Slot {
            json: Value::Object(json),
            blobs: Vec::new(),
            vendor: Some(vendor.clone()),
        };
        for (name, blob) in canned.blobs {
            output.put(&name, blob);
        }
        if shape.member("audio").is_ok_and(|audio| audio.is_blob())
            && output.blob("audio").is_none()
        {
            output.put("audio", Blob::of_bytes(neutral::silence(), "silence.wav"));
        }
        let attempts = vec![attempt(vendor, "ok")];
        Ok(Called { output, attempts })
    }

    async fn http(&self, call: HttpCall) -> Result<HttpCalled, CallFailed> {
        let headers = call.head.headers.iter();
        let headers: Map<String, Value> = headers
            .filter_map(|(name, value)| Some((name.to_string(), Value::from(value.to_str().ok()?))))
            .collect();
        let body = match &call.body {
            HttpContent::None => Value::Null,
            HttpContent::Bytes(bytes) => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes))),
            HttpContent::Blob(blob) => facts(blob),
        };
        let asked = json!({
            "method": call.head.method.as_str(), "url": call.head.uri.to_string(), "headers": headers, "body": body,
        });
        self.note(&call.step, asked);
        let Some(canned) = self.next(&call.step, call.item) else {
            // A request that leaves this machine is none that a case may make.
            return Err(self.none(&call.step));
        };
        let canned = canned?;
        tokio::time::sleep(canned.takes).await;
        if let Some(failure) = &canned.fails {
            return Err(failed(failure));
        }
        let status = canned.json.get("status").and_then(Value::as_u64);
        let status = status.and_then(|status| u16::try_from(status).ok());
        let mut head = HttpHead {
            status: status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or_default(),
            ..HttpHead::default()
        };
        let body = match (canned.blobs.first(), canned.json.get("body")) {
            (Some((_, blob)), _) => {
                if let Ok(kind) = HeaderValue::try_from(blob.media_type()) {
                    head.headers.insert(header::CONTENT_TYPE, kind);
                }
                blob.to_bytes().unwrap_or_default()
            }
            (None, None | Some(Value::Null)) => bytes::Bytes::new(),
            (None, Some(body)) => {
                let kind = HeaderValue::from_static("application/json");
                head.headers.insert(header::CONTENT_TYPE, kind);
                body.to_string().into()
            }
        };
        let written = canned.json.get("headers").and_then(Value::as_object);
        for (name, value) in written.into_iter().flatten() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text))
            {
                head.headers.insert(name, value);
            }
        }
        Ok(HttpCalled { head, body })
    }
}

fn facts(blob: &Blob) -> Value {
    json!({ "media_type": blob.media_type(), "bytes": blob.length() })
}

fn attempt(vendor: String, verdict: &str) -> Attempt {
    Attempt {
        vendor,
        verdict: verdict.to_owned(),
        reason: String::new(),
        millis: 0,
    }
}

/// A call that fails as the case says, with the names that the gateway has for it.
fn failed(failure: &Failure) -> CallFailed {
    let kind = match failure.status {
        _ if failure.unknown => "outcome-unknown",
        422 => "unsupported",
        429 => "rate-limited",
        400..=499 => "bad-input",
        503 => "no-account-available",
        504 => "vendor-timeout",
        _ => "vendor-broken",
    };
    let reason = failure.reason.clone();
    CallFailed {
        status: failure.status,
        kind,
        reason: reason
            .unwrap_or_else(|| format!("it fails with {}, as the case says", failure.status)),
        outcome_unknown: failure.unknown,
        passing: matches!(failure.status, 429 | 500..) && !failure.unknown,
        retry_after: None,
        attempts: vec![attempt(NOBODY.to_owned(), "failed")],
    }
}

fn unanswered(reason: String) -> CallFailed {
    CallFailed {
        status: 500,
        kind: "internal",
        reason,
        outcome_unknown: false,
        passing: false,
        retry_after: None,
        attempts: Vec::new(),
    }
}
