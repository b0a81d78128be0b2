//! A caller whose answers, delays and failures are written down by each test, and which notes what was called when.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use isobar_compositions::{
    Attempt, CallFailed, Called, Caller, HttpCall, HttpCalled, HttpContent, HttpHead, Known,
    OperationCall, Plan, check,
    journal::{Entry, Journal, JournalError, UndoCall},
    run::{Ask, Engine, Ran, Slot, Unwatched},
};
use isobar_config::{Nothing, Source};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// One line of the script: what is answered, how often that fails first, and how long it takes.
#[derive(Clone, Default)]
pub(crate) struct Line {
    pub(crate) answer: Value,
    pub(crate) takes: Duration,
    pub(crate) fails: u32,
    pub(crate) status: u16,
    pub(crate) unknown: bool,
}

pub(crate) fn says(answer: Value) -> Line {
    Line {
        answer,
        ..Line::default()
    }
}

impl Line {
    pub(crate) fn takes(mut self, millis: u64) -> Self {
        self.takes = Duration::from_millis(millis);
        self
    }

    pub(crate) fn fails(mut self, times: u32) -> Self {
        (self.fails, self.status) = (times, 503);
        self
    }
}

/// One call as it was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) what: String,
    pub(crate) input: Value,
    pub(crate) key: String,
    pub(crate) began: Instant,
    pub(crate) ended: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Stage {
    script: Mutex<HashMap<String, Line>>,
    pub(crate) made: Arc<Mutex<Vec<Made>>>,
}

/// Notes the end of a call also when it is dropped: then without an end.
struct Under(Arc<Mutex<Vec<Made>>>, usize);

impl Under {
    fn ended(self) {
        self.0.lock()[self.1].ended = Some(Instant::now());
    }
}

impl Stage {
    /// `what` is the operation's name, `METHOD path` of an HTTP request, or either followed by ` @pool`.
    pub(crate) fn with(self, what: &str, line: Line) -> Self {
        self.script.lock().insert(what.to_owned(), line);
        self
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.made
            .lock()
            .iter()
            .map(|made| made.what.clone())
            .collect()
    }

    pub(crate) fn one(&self, what: &str) -> Made {
        let made = self.made.lock();
        let mut found = made.iter().filter(|made| made.what == what);
        let one = found
            .next()
            .unwrap_or_else(|| panic!("`{what}` was not called"));
        assert!(found.next().is_none(), "`{what}` was called more than once");
        one.clone()
    }

    async fn play(&self, what: String, input: Value, key: String) -> Result<Value, CallFailed> {
        let at = {
            let mut made = self.made.lock();
            made.push(Made {
                what: what.clone(),
                input,
                key,
                began: Instant::now(),
                ended: None,
            });
            made.len() - 1
        };
        let under = Under(Arc::clone(&self.made), at);
        let line = {
            let mut script = self.script.lock();
            let line = script
                .get_mut(&what)
                .unwrap_or_else(|| panic!("nothing is written for `{what}`"));
            let now = line.clone();
            line.fails = line.fails.saturating_sub(1);
            now
        };
        tokio::time::sleep(line.takes).await;
        under.ended();
        if line.fails > 0 {
            return Err(CallFailed {
                status: line.status,
                kind: "no-account-available",
                reason: format!("`{what}` is down"),
                outcome_unknown: line.unknown,
                passing: true,
                retry_after: None,
                attempts: vec![attempt("failed")],
            });
        }
        Ok(line.answer)
    }
}

fn attempt(verdict: &str) -> Attempt {
    Attempt {
        vendor: "canned".to_owned(),
        verdict: verdict.to_owned(),
        reason: "status_200".to_owned(),
        millis: 1,
    }
}

#[async_trait]
impl Caller for Stage {
    async fn operation(&self, call: OperationCall<'_>) -> Result<Called, CallFailed> {
        use isobar_compositions::plan::Pool;
        let what = match call.pool {
            Pool::Usual => call.contract.name.to_owned(),
            Pool::Named(pool) => format!("{} @{pool}", call.contract.name),
            Pool::Accounts(accounts) => format!("{} @{}", call.contract.name, accounts.join("+")),
        };
        let mut input = call.input;
        for (name, blob) in &call.blobs {
            input.insert((*name).to_owned(), json!({ "bytes": blob.length() }));
        }
        let json = self
            .play(what, Value::Object(input), call.key.to_owned())
            .await?;
        let mut output = Slot {
            json,
            blobs: Vec::new(),
            vendor: Some("canned".to_owned()),
        };
        if call.contract.name == "speech.synthesize" {
            output.put(
                "audio",
                isobar_adapters::Blob::of_bytes("RIFF".into(), "audio"),
            );
        }
        Ok(Called {
            output,
            attempts: vec![attempt("ok")],
        })
    }

    async fn http(&self, call: HttpCall) -> Result<HttpCalled, CallFailed> {
        let what = format!("{} {}", call.head.method, call.head.uri);
        let input = match &call.body {
            HttpContent::None => Value::Null,
            HttpContent::Bytes(bytes) => {
                serde_json::from_slice(bytes).unwrap_or(json!(String::from_utf8_lossy(bytes)))
            }
            HttpContent::Blob(blob) => json!({ "bytes": blob.length() }),
        };
        let key = call.head.headers.get("idempotency-key");
        let key = key
            .map(|key| key.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let answer = self.play(what, input, key).await?;
        let mut head = HttpHead {
            status: http::StatusCode::OK,
            ..HttpHead::default()
        };
        if let Some(status) = answer.get("$status").and_then(Value::as_u64) {
            head.status = http::StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
        }
        head.headers
            .insert("content-type", "application/json".parse().unwrap());
        Ok(HttpCalled {
            head,
            body: answer.to_string().into(),
        })
    }
}

/// A journal in memory, which can refuse to be written.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) refuses: bool,
}

impl Book {
    fn note(&self, line: String) -> Result<(), JournalError> {
        if self.refuses {
            return Err(JournalError("the disk is full".to_owned()));
        }
        self.lines.lock().push(line);
        Ok(())
    }
}

#[async_trait]
impl Journal for Book {
    async fn begin(&self, entry: &Entry, undo: Option<&UndoCall>) -> Result<(), JournalError> {
        let blind = if undo.is_some() { " blind" } else { "" };
        self.note(format!("begin {}{blind}", entry.step))
    }

    async fn done(&self, entry: &Entry, _: &UndoCall) -> Result<(), JournalError> {
        self.note(format!("done {}", entry.step))
    }

    async fn closed(&self, entry: &Entry) -> Result<(), JournalError> {
        self.note(format!("closed {}", entry.step))
    }

    async fn tried(&self, entry: &Entry) -> Result<(), JournalError> {
        self.note(format!("tried {}", entry.step))
    }

    async fn review(&self, entry: &Entry, _: &str) -> Result<(), JournalError> {
        self.note(format!("review {}", entry.step))
    }

    async fn kept(&self, _: &str) -> Result<(), JournalError> {
        self.note("kept".to_owned())
    }
}

/// The plans of these files; the last is the one that is meant.
pub(crate) fn plan(texts: &[&str]) -> Arc<Plan> {
    plan_with(texts, &Known::default())
}

pub(crate) fn plan_with(texts: &[&str], known: &Known) -> Arc<Plan> {
    let sources: Vec<Source> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| Source {
            name: format!("{at}.yaml"),
            text: (*text).to_owned(),
        })
        .collect();
    let (plans, report) = check(&sources, known, &Nothing);
    assert!(!report.has_errors(), "{}", report.text(false));
    Arc::clone(plans.last().unwrap())
}

pub(crate) async fn run(stage: &Stage, plan: &Plan, inputs: Value) -> Ran {
    run_with(stage, None, plan, inputs).await
}

pub(crate) async fn run_with(
    stage: &Stage,
    journal: Option<&dyn Journal>,
    plan: &Plan,
    inputs: Value,
) -> Ran {
    let Value::Object(fields) = inputs else {
        panic!("inputs are an object")
    };
    let engine = Engine {
        caller: stage,
        journal,
        watch: &Unwatched,
    };
    engine
        .run(plan, ask(plan, fields), std::future::pending())
        .await
}

pub(crate) fn ask(plan: &Plan, fields: Map<String, Value>) -> Ask<'static> {
    Ask {
        inputs: plan.accept(fields, Vec::new()).unwrap(),
        id: "run1",
        key: "key1",
        deadline: None,
    }
}

pub(crate) fn json_of(ran: &Ran) -> Value {
    match &ran.result {
        Ok(answer) => answer.body.value().expect("the answer is a blob"),
        Err(failed) => panic!("{failed:?}"),
    }
}

pub(crate) fn outcomes(ran: &Ran) -> Vec<(String, &'static str)> {
    ran.steps
        .iter()
        .map(|step| (step.step.clone(), step.outcome.name()))
        .collect()
}
