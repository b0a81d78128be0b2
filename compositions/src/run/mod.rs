//! Runs a plan: each step as soon as what it needs has ended.
//!
//! A step that fails takes what needs it along, unless an `otherwise` stands in; what is then wanted by nobody is stopped.
//! A run that fails takes its effects back in reverse order. Knows no socket: calls go through a [`Caller`].

mod call;
mod graph;
mod inputs;
mod report;
mod slot;
mod undo;
mod wanted;

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt as _,
    future::{AbortHandle, Abortable, Aborted, BoxFuture},
    stream::FuturesUnordered,
};
use http::{HeaderValue, StatusCode};
use isobar_adapters::boxed;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) use inputs::misfit;
pub use inputs::{BadInput, from_text};
pub use report::{
    Answer, AnswerBody, Ran, RunFailed, StepFailed, StepOutcome, StepReport, UndoOutcome, Undone,
};
pub use slot::Slot;
pub use undo::{pause, recover};

pub(crate) use graph::Graph;
use graph::steps_of;

use self::{
    slot::{Ended, Look, NoValue},
    undo::Effect,
};
use crate::{
    caller::{Attempt, Caller},
    journal::Journal,
    plan::{Given, Plan},
};

/// Bytes that are made ready for an answer before its size is known.
const ROOM: usize = 512;

/// Told of a run while it goes on.
pub trait Watch: Send + Sync {
    /// A step began; its name is only made for who wants it.
    fn started(&self, _step: &dyn Fn() -> String, _work: &str) {}
    /// A step ended.
    fn ended(&self, _report: &StepReport) {}
    /// A member of a streamed output is known.
    fn part(&self, _name: &str, _value: &Value) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// What runs plans.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// Makes the calls.
    pub caller: &'a dyn Caller,
    /// Where effects are recorded. Without one, a plan with undos still takes effects back, unless the process ends.
    pub journal: Option<&'a dyn Journal>,
    /// Told of the run.
    pub watch: &'a dyn Watch,
}

/// One run of a plan.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Checked inputs, from [`Plan::accept`].
    pub inputs: Slot,
    /// Unique to the run.
    pub id: &'a str,
    /// The same for a repeated request: keys of effects are made from it.
    pub key: &'a str,
    /// When the answer must be there, if that is sooner than the plan's own deadline.
    pub deadline: Option<Instant>,
}

/// What all scopes of one run share.
struct Shared<'a> {
    engine: Engine<'a>,
    id: &'a str,
    key: &'a str,
    start: Instant,
    calls: AtomicU32,
    most_calls: u32,
    gate: Semaphore,
    effects: Mutex<Vec<Effect>>,
    numbers: AtomicU32,
}

impl Engine<'_> {
    /// Runs a plan to its end. When `stop` ends first, the run is stopped, and its effects are taken back. Dropping the
    /// future instead leaves effects as they are: what a plan with undos needs is `stop`.
    pub async fn run(&self, plan: &Plan, ask: Ask<'_>, stop: impl Future<Output = ()>) -> Ran {
        let start = Instant::now();
        let own = start + plan.deadline;
        let deadline = ask.deadline.map_or(own, |deadline| deadline.min(own));
        let shared = Shared {
            engine: *self,
            id: ask.id,
            key: ask.key,
            start,
            calls: AtomicU32::new(0),
            most_calls: plan.limits.calls,
            gate: Semaphore::new(plan.limits.at_once as usize),
            effects: Mutex::default(),
            numbers: AtomicU32::new(0),
        };
        let scope = Scope::new(&shared, plan, &ask.inputs, String::new(), deadline);
        let stopped = async {
            tokio::select! {
                biased;
                result = scope.answer() => result,
                () = stop => Err(RunFailed {
                    step: None,
                    status: 499,
                    kind: "cancelled",
                    reason: "it was stopped before it ended".to_owned(),
                    retry_after: None,
                    outcome_unknown: false,
                }),
            }
        };
        let mut result = stopped.await;
        let effects = std::mem::take(&mut *shared.effects.lock());
        let mut undone = Vec::new();
        match &mut result {
            Ok(_) => {
                if let (Some(journal), false) = (self.journal, effects.is_empty())
                    && journal.kept(ask.id).await.is_err()
                {
                    // What the journal still says is open would be taken back at the next start.
                    undone = undo::all(self, plan, effects).await;
                    result = Err(RunFailed {
                        step: None,
                        status: 503,
                        kind: "store-unavailable",
                        reason: "that the run ended well cannot be recorded".to_owned(),
                        retry_after: None,
                        outcome_unknown: false,
                    });
                }
            }
            Err(failed) => {
                undone = undo::all(self, plan, effects).await;
                failed.outcome_unknown = undone
                    .iter()
                    .any(|undone| undone.outcome != UndoOutcome::Undone)
                    || (failed.outcome_unknown && undone.is_empty());
            }
        }
        let (steps, degraded) = scope.into_reports();
        Ran {
            result,
            steps,
            degraded,
            undone,
        }
    }
}

/// One plan being run: that of the run, or one that it uses.
struct Scope<'a> {
    shared: &'a Shared<'a>,
    plan: &'a Plan,
    inputs: &'a Slot,
    ended: Vec<OnceLock<Ended>>,
    facts: Value,
    /// `outer.` for steps of a composition that the step `outer` uses.
    prefix: String,
    deadline: Instant,
    reports: Vec<OnceLock<StepReport>>,
    degraded: Mutex<Vec<usize>>,
}

/// What one step came to.
struct Came {
    result: Result<Option<Slot>, StepFailed>,
    started: Instant,
    vendor: Option<String>,
    attempts: Vec<Attempt>,
}

/// What a step's calls left beside their outputs.
#[derive(Default)]
struct Trail {
    attempts: Mutex<Vec<Attempt>>,
}

type Running<'s> = FuturesUnordered<BoxFuture<'s, Result<(usize, Came), Aborted>>>;

impl<'a> Scope<'a> {
    fn new(
        shared: &'a Shared<'a>,
        plan: &'a Plan,
        inputs: &'a Slot,
        prefix: String,
        deadline: Instant,
    ) -> Self {
        let count = plan.steps.len();
        Self {
            shared,
            plan,
            inputs,
            ended: (0..count).map(|_| OnceLock::new()).collect(),
            facts: json!({ "id": shared.id, "key": shared.key }),
            prefix,
            deadline,
            reports: (0..count).map(|_| OnceLock::new()).collect(),
            degraded: Mutex::default(),
        }
    }

    fn look(&self) -> Look<'_> {
        Look {
            plan: self.plan,
            inputs: self.inputs,
            steps: &self.ended,
            run: &self.facts,
            item: None,
            index: None,
        }
    }

    /// Runs every step, then makes the answer.
    async fn answer(&self) -> Result<Answer, RunFailed> {
        self.steps().await?;
        self.made(answer)
    }

    /// Runs every step, then makes what the output's body is to another composition's step.
    async fn output(&self) -> Result<Slot, RunFailed> {
        self.steps().await?;
        self.made(output)
    }

    /// What is made of the steps when all have ended.
    fn made<T>(&self, make: impl FnOnce(&Look<'_>) -> Result<T, NoValue>) -> Result<T, RunFailed> {
        let mut facts = self.facts.clone();
        if let Some(facts) = facts.as_object_mut() {
            facts.insert("degraded".to_owned(), json!(self.degraded_names()));
        }
        let look = Look {
            run: &facts,
            ..self.look()
        };
        make(&look).map_err(|no_value| RunFailed {
            step: None,
            status: 422,
            kind: "expression",
            reason: format!("the output cannot be made: {no_value}"),
            retry_after: None,
            outcome_unknown: false,
        })
    }

    /// Runs every step to its end, or to the first failure that no `otherwise` mends.
    async fn steps(&self) -> Result<(), RunFailed> {
        let graph = self.plan.graph();
        let mut state = Going {
            waits: graph.waits.clone(),
            wanted: graph.wanted.clone(),
            handles: (0..self.plan.steps.len()).map(|_| None).collect(),
            parts: Parts::of(self.plan),
        };
        let mut running = FuturesUnordered::new();
        for index in 0..self.plan.steps.len() {
            if state.waits.get(index) == Some(&0) {
                self.start(index, &mut state, &mut running);
            }
        }
        let over = tokio::time::sleep_until(self.deadline.into());
        tokio::pin!(over);
        self.tell_parts(&mut state);
        loop {
            let came = tokio::select! {
                biased;
                next = running.next() => match next {
                    Some(came) => came,
                    None => return Ok(()),
                },
                () = &mut over => return Err(self.too_late()),
            };
            let Ok((index, came)) = came else {
                continue;
            };
            let (ended, report) = self.end(index, came);
            self.settle(index, ended, report, graph, &mut state, &mut running)?;
            self.tell_parts(&mut state);
        }
    }

    /// Starts a step whose needs have ended, none of them by failing.
    fn start<'s>(&'s self, index: usize, state: &mut Going, running: &mut Running<'s>) {
        self.shared
            .engine
            .watch
            .started(&|| self.name(index), self.label(index));
        let (handle, registration) = AbortHandle::new_pair();
        if let Some(place) = state.handles.get_mut(index) {
            *place = Some(handle);
        }
        running.push(boxed(|| Abortable::new(self.step(index), registration)));
    }

    /// Notes how a step ended, and what follows: steps that can start, that fail with it, that nobody wants any more.
    fn settle<'s>(
        &'s self,
        index: usize,
        ended: Ended,
        report: StepReport,
        graph: &Graph,
        state: &mut Going,
        running: &mut Running<'s>,
    ) -> Result<(), RunFailed> {
        let mut waiting = vec![(index, ended, report)];
        while let Some((index, ended, report)) = waiting.pop() {
            let failure = match &ended {
                Ended::Failed(failed) => Some(Arc::clone(failed)),
                _ => None,
            };
            if !self.note(index, ended, report) {
                continue;
            }
            if let Some(failed) = &failure
                && graph.ends_run.get(index) == Some(&true)
            {
                return Err(failed.ends_the_run());
            }
            for &user in graph.users.get(index).into_iter().flatten() {
                if self.has_ended(user) {
                    continue;
                }
                if let Some(failed) = &failure {
                    let came = Self::came_of(failed);
                    let (ended, report) = self.end(user, came);
                    waiting.push((user, ended, report));
                    continue;
                }
                if let Some(waits) = state.waits.get_mut(user) {
                    *waits -= 1;
                    if *waits == 0 {
                        self.start(user, state, running);
                    }
                }
            }
            for &need in graph.needs.get(index).into_iter().flatten() {
                let Some(wanted) = state.wanted.get_mut(need) else {
                    continue;
                };
                *wanted = wanted.saturating_sub(1);
                if *wanted == 0 && !self.has_ended(need) {
                    if let Some(Some(handle)) = state.handles.get(need) {
                        handle.abort();
                    }
                    let report =
                        self.report(need, StepOutcome::Cancelled, None, Instant::now(), None);
                    waiting.push((need, Ended::Cancelled, report));
                }
            }
        }
        Ok(())
    }

    /// A step that fails because another did; its own `otherwise` may stand in.
    fn came_of(failed: &StepFailed) -> Came {
        Came {
            result: Err(failed.clone()),
            started: Instant::now(),
            vendor: None,
            attempts: Vec::new(),
        }
    }

    /// What a step's result means, with its `otherwise`.
    fn end(&self, index: usize, came: Came) -> (Ended, StepReport) {
        let otherwise = self
            .plan
            .steps
            .get(index)
            .and_then(|step| step.otherwise.as_ref());
        let (ended, outcome, reason) = match came.result {
            Ok(Some(slot)) => (Ended::Done(slot.into()), StepOutcome::Done, None),
            Ok(None) => (Ended::Skipped, StepOutcome::Skipped, None),
            Err(failed) => {
                let reason = Some(failed.reason.clone());
                match otherwise.map(|otherwise| self.look().value(otherwise)) {
                    Some(Ok(value)) => {
                        self.degraded.lock().push(index);
                        let slot = Slot {
                            json: value.unwrap_or_default(),
                            ..Slot::default()
                        };
                        (Ended::Done(slot.into()), StepOutcome::Degraded, reason)
                    }
                    Some(Err(_)) | None => {
                        (Ended::Failed(failed.into()), StepOutcome::Failed, reason)
                    }
                }
            }
        };
        let mut report = self.report(index, outcome, reason, came.started, came.vendor);
        report.attempts = came.attempts;
        (ended, report)
    }

    fn report(
        &self,
        index: usize,
        outcome: StepOutcome,
        reason: Option<String>,
        started: Instant,
        vendor: Option<String>,
    ) -> StepReport {
        let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        StepReport {
            step: self.name(index),
            work: Arc::clone(self.label(index)),
            outcome,
            reason,
            started_ms: millis(started.saturating_duration_since(self.shared.start)),
            took_ms: millis(started.elapsed()),
            vendor,
            attempts: Vec::new(),
        }
    }

    /// Notes an end; `false` when the step had ended already.
    fn note(&self, index: usize, ended: Ended, report: StepReport) -> bool {
        let Some(place) = self.ended.get(index) else {
            return false;
        };
        if place.set(ended).is_err() {
            return false;
        }
        self.shared.engine.watch.ended(&report);
        if let Some(place) = self.reports.get(index) {
            let _ = place.set(report);
        }
        true
    }

    fn has_ended(&self, index: usize) -> bool {
        self.ended
            .get(index)
            .is_some_and(|ended| ended.get().is_some())
    }

    /// What the step does, in a word or two.
    fn label(&self, index: usize) -> &Arc<str> {
        static NONE: LazyLock<Arc<str>> = LazyLock::new(|| "".into());
        self.plan.graph().labels.get(index).unwrap_or(&NONE)
    }

    fn name(&self, index: usize) -> String {
        let name = self
            .plan
            .steps
            .get(index)
            .map_or("", |step| step.name.as_str());
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}{name}", self.prefix)
        }
    }

    fn degraded_names(&self) -> Vec<String> {
        let mut degraded = self.degraded.lock().clone();
        degraded.sort_unstable();
        degraded.into_iter().map(|index| self.name(index)).collect()
    }

    /// What every step came to, and the names of those whose `otherwise` stands in.
    fn into_reports(mut self) -> (Vec<StepReport>, Vec<String>) {
        let reports = std::mem::take(&mut self.reports);
        let reports = reports.into_iter().enumerate().map(|(index, report)| {
            report.into_inner().unwrap_or_else(|| {
                let mut report =
                    self.report(index, StepOutcome::Cancelled, None, Instant::now(), None);
                report.took_ms = 0.0;
                report
            })
        });
        (reports.collect(), self.degraded_names())
    }

    fn too_late(&self) -> RunFailed {
        let open: Vec<String> = (0..self.plan.steps.len())
            .filter(|index| !self.has_ended(*index))
            .map(|index| format!("`{}`", self.name(index)))
            .collect();
        RunFailed {
            step: None,
            status: 504,
            kind: "vendor-timeout",
            reason: format!("time was over while {} had not ended", open.join(", ")),
            retry_after: None,
            outcome_unknown: false,
        }
    }

    /// Tells the members of a streamed output that are known by now.
    fn tell_parts(&self, state: &mut Going) {
        if state.parts.left.is_empty() {
            return;
        }
        let Given::Map(members) = &self.plan.output.body else {
            return;
        };
        state.parts.left.retain(|(member, steps)| {
            if !steps.iter().all(|step| self.has_ended(*step)) {
                return true;
            }
            if let Some((name, given)) = members.get(*member)
                && let Ok(Some(value)) = self.look().value(given)
            {
                self.shared.engine.watch.part(name, &value);
            }
            false
        });
    }
}

/// A run's state between two ends of steps.
struct Going {
    waits: Vec<usize>,
    wanted: Vec<usize>,
    handles: Vec<Option<AbortHandle>>,
    parts: Parts,
}

/// Members of a streamed output that are still to be told, with the steps that they look at.
struct Parts {
    left: Vec<(usize, Vec<usize>)>,
}

impl Parts {
    fn of(plan: &Plan) -> Self {
        let members = match &plan.output.body {
            Given::Map(members) if plan.output.stream => members.as_slice(),
            _ => &[],
        };
        let left = members.iter().enumerate().map(|(member, (_, given))| {
            let mut steps = Vec::new();
            steps_of(plan, given, &mut steps);
            (member, steps)
        });
        Self {
            left: left.collect(),
        }
    }
}

/// The answer of a run whose steps have ended.
fn answer(look: &Look<'_>) -> Result<Answer, NoValue> {
    let output = &look.plan.output;
    let status = match &output.status {
        None => StatusCode::OK,
        Some(given) => {
            let status = look.value(given)?.unwrap_or_default();
            let code = status.as_u64().and_then(|code| u16::try_from(code).ok());
            code.filter(|code| (200..600).contains(code))
                .and_then(|code| StatusCode::from_u16(code).ok())
                .ok_or_else(|| NoValue {
                    why: format!("`status` is {status}, not a number from 200 to 599"),
                })?
        }
    };
    let mut headers = Vec::new();
    for (name, given) in &output.headers {
        let Some(value) = look.value(given)? else {
            continue;
        };
        let text = match value {
            Value::String(text) => text,
            Value::Null => continue,
            other => other.to_string(),
        };
        let value = HeaderValue::try_from(text).map_err(|_| NoValue {
            why: format!("header `{name}` would have a character that no header may have"),
        })?;
        headers.push((name.clone(), value));
    }
    let body = match look.blob(&output.body) {
        Some(blob) => AnswerBody::Blob(blob.clone()),
        None => {
            let mut text = Vec::with_capacity(ROOM);
            if !look.write(&output.body, &mut text)? {
                text.extend_from_slice(b"null");
            }
            AnswerBody::Json(text.into())
        }
    };
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// The output's body as a step's own.
fn output(look: &Look<'_>) -> Result<Slot, NoValue> {
    let body = &look.plan.output.body;
    let mut slot = Slot::default();
    if let Some(blob) = look.blob(body) {
        slot.put("", blob.clone());
        return Ok(slot);
    }
    slot.json = look.value(body)?.unwrap_or_default();
    if let Given::Map(members) = body {
        for (name, given) in members {
            if let Some(blob) = look.blob(given) {
                slot.put(name, blob.clone());
            }
        }
    }
    Ok(slot)
}

impl Shared<'_> {
    /// Counts one more call; `false` when the plan allows no more.
    fn may_call(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) < self.most_calls
    }
}
