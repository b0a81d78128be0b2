//! Taking effects back: at the end of a run that failed, and after one that was cut off.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use http::{Request, Uri};
use serde_json::{Map, Value};

use super::{
    Engine, Scope,
    call::{allowed, plain, url_text},
    report::{UndoOutcome, Undone},
    slot::{Ended, Look, NoValue, Slot},
};
use crate::{
    caller::{CallFailed, Caller, HttpCall, HttpContent, OperationCall},
    journal::{Entry, Journal, JournalError, Open, State, UndoCall},
    plan::{Http, HttpBody, Plan, Undo, Url, Work},
};

/// Tries within the run that failed; further ones come later.
const TRIES: u32 = 3;
/// Tries in all, before a person must look: with [`pause`] between them, for some seven hours.
const MOST_TRIES: u32 = 100;
/// Pause after a failed try, within the run.
const PAUSE: Duration = Duration::from_millis(200);
/// Runs whose effects recovery takes back at once.
const AT_ONCE: usize = 16;
/// Time for one undo.
const TIME: Duration = Duration::from_secs(15);

/// How long taking an effect back waits after so many tries that failed: not at all after those of its run, then twice as long each
/// time, up to five minutes. A vendor that is down for an hour needs no person.
pub fn pause(tries: u32) -> Duration {
    Duration::from_secs(match tries.saturating_sub(TRIES) {
        0 => 0,
        later @ 1..=8 => 1 << later,
        _ => 300,
    })
}

/// An effect of this run.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) entry: Entry,
    /// What takes it back, once that can be told.
    pub(crate) call: Option<UndoCall>,
    /// Proven not to have happened.
    pub(crate) closed: bool,
    /// Known to have happened.
    happened: bool,
}

impl Effect {
    /// An effect that is about to happen.
    pub(crate) fn begin(
        scope: &Scope<'_>,
        index: usize,
        number: u32,
        look: &Look<'_>,
        undo: &Undo,
    ) -> Result<Self, NoValue> {
        let step = scope.plan.steps.get(index);
        Ok(Self {
            entry: Entry {
                run: scope.shared.id.to_owned(),
                number,
                composition: scope.plan.name.clone(),
                step: step.map(|step| step.name.clone()).unwrap_or_default(),
            },
            call: if undo.blind {
                Some(render(&undo.work, look)?)
            } else {
                None
            },
            closed: false,
            happened: false,
        })
    }

    /// It happened, with this output.
    pub(crate) fn happened(
        &mut self,
        scope: &Scope<'_>,
        look: &Look<'_>,
        slot: &Slot,
        undo: &Undo,
    ) {
        self.happened = true;
        if self.call.is_some() {
            return;
        }
        // The step's own output is not among the ended ones yet.
        let Some(own) = scope.plan.step(&self.entry.step) else {
            return;
        };
        let steps: Vec<std::sync::OnceLock<Ended>> = look.steps.to_vec();
        if let Some(place) = steps.get(own) {
            let _ = place.set(Ended::Done(Arc::new(slot.clone())));
        }
        let look = Look {
            steps: &steps,
            ..*look
        };
        self.call = render(&undo.work, &look).ok();
    }
}

/// Takes all effects back, the last one first.
pub(crate) async fn all(engine: &Engine<'_>, plan: &Plan, effects: Vec<Effect>) -> Vec<Undone> {
    let mut undone = Vec::new();
    for effect in effects.into_iter().rev() {
        if effect.closed {
            continue;
        }
        let step = effect.entry.step.clone();
        let outcome = match (&effect.call, find(plan, &effect.entry.composition, &step)) {
            (Some(call), Some(undo)) => {
                let work = &undo.work;
                one(
                    engine.caller,
                    engine.journal,
                    plan,
                    work,
                    &effect.entry,
                    call,
                    TRIES,
                )
                .await
            }
            _ => {
                let why = if effect.happened {
                    "what takes it back cannot be told from its answer"
                } else {
                    "it is not known whether it happened"
                };
                if let Some(journal) = engine.journal {
                    let _ = journal.review(&effect.entry, why).await;
                }
                UndoOutcome::NeedsReview
            }
        };
        undone.push(Undone { step, outcome });
    }
    undone
}

/// Takes back what earlier runs, or an earlier process, left open; the last effect of each run first, several runs at once,
/// so that one whose vendor does not answer holds up few others. `plans` finds a composition by name, with those that it
/// uses. Returns how many are still open.
pub async fn recover(
    caller: &dyn Caller,
    journal: &dyn Journal,
    plans: &(dyn Fn(&str) -> Option<Arc<Plan>> + Sync),
    mut open: Vec<Open>,
) -> Result<usize, JournalError> {
    open.sort_by(|a, b| (&a.entry.run, b.entry.number).cmp(&(&b.entry.run, a.entry.number)));
    let runs: Vec<Vec<Open>> = open
        .chunk_by(|a, b| a.entry.run == b.entry.run)
        .map(<[Open]>::to_vec)
        .collect();
    let left: Vec<Result<usize, JournalError>> = stream::iter(runs)
        .map(|run| recover_run(caller, journal, plans, run))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    left.into_iter().sum()
}

async fn recover_run(
    caller: &dyn Caller,
    journal: &dyn Journal,
    plans: &(dyn Fn(&str) -> Option<Arc<Plan>> + Sync),
    open: Vec<Open>,
) -> Result<usize, JournalError> {
    let mut left = 0;
    for Open {
        entry,
        state,
        tries,
    } in open
    {
        let call = match state {
            State::Done(call) | State::Begun(Some(call)) => call,
            State::Begun(None) => {
                journal
                    .review(
                        &entry,
                        "the process ended before it was known whether it happened",
                    )
                    .await?;
                continue;
            }
            State::NeedsReview(_) => continue,
        };
        let plan = plans(&entry.composition);
        let Some((plan, undo)) = plan.as_deref().and_then(|plan| {
            let undo = plan
                .step(&entry.step)
                .and_then(|step| plan.steps.get(step)?.undo.as_ref())?;
            Some((plan, undo))
        }) else {
            journal
                .review(
                    &entry,
                    "the composition has no such step, or no undo, any more",
                )
                .await?;
            continue;
        };
        if tries >= MOST_TRIES {
            journal
                .review(&entry, "taking it back failed too often")
                .await?;
            continue;
        }
        let outcome = one(caller, Some(journal), plan, &undo.work, &entry, &call, 1).await;
        left += usize::from(outcome == UndoOutcome::Pending);
    }
    Ok(left)
}

/// The undo of a step, of this plan or one that it uses.
fn find<'p>(plan: &'p Plan, composition: &str, step: &str) -> Option<&'p Undo> {
    if plan.name == composition {
        return plan.steps.get(plan.step(step)?)?.undo.as_ref();
    }
    plan.steps.iter().find_map(|outer| match &outer.work {
        Work::Composition { plan, .. } => find(plan, composition, step),
        _ => None,
    })
}

async fn one(
    caller: &dyn Caller,
    journal: Option<&dyn Journal>,
    plan: &Plan,
    work: &Work,
    entry: &Entry,
    call: &UndoCall,
    tries: u32,
) -> UndoOutcome {
    for turn in 0..tries {
        if turn > 0 {
            tokio::time::sleep(PAUSE * 2_u32.pow(turn - 1)).await;
        }
        let result = perform(caller, plan, work, entry, call).await;
        match result {
            Ok(()) => {
                if let Some(journal) = journal {
                    // Not written, it is taken back once more at the next start: undos can be repeated.
                    let _ = journal.closed(entry).await;
                }
                return UndoOutcome::Undone;
            }
            Err(failed) => {
                if let Some(journal) = journal {
                    let _ = journal.tried(entry).await;
                }
                if !failed.passing && failed.status < 500 {
                    if let Some(journal) = journal {
                        let _ = journal.review(entry, &failed.reason).await;
                    }
                    return UndoOutcome::NeedsReview;
                }
            }
        }
    }
    if journal.is_some() {
        UndoOutcome::Pending
    } else {
        UndoOutcome::NeedsReview
    }
}

async fn perform(
    caller: &dyn Caller,
    plan: &Plan,
    work: &Work,
    entry: &Entry,
    call: &UndoCall,
) -> Result<(), CallFailed> {
    let key = format!("{}-undo-{}", entry.run, entry.number);
    let step = format!("undo({})", entry.step);
    let deadline = Instant::now() + TIME;
    match (work, call) {
        (Work::Operation(work), UndoCall::Operation { input }) => {
            let call = OperationCall {
                contract: work.contract,
                input: input.clone(),
                blobs: Vec::new(),
                pool: &work.pool,
                deadline,
                hedge: None,
                cache: None,
                run: &entry.run,
                key: &key,
                step: &step,
                item: None,
            };
            caller.operation(call).await.map(|_| ())
        }
        (Work::Http(http), UndoCall::Http { url, headers, body }) => {
            let head = head(http, url, headers, &key, &plan.hosts).map_err(never)?;
            let call = HttpCall {
                head,
                body: match body {
                    Some(body) => HttpContent::Bytes(body.clone().into()),
                    None => HttpContent::None,
                },
                bearer: http.bearer.clone(),
                made: matches!(http.url, Url::Made(_)),
                deadline,
                most: http.most,
                step,
                item: None,
            };
            let called = caller.http(call).await?;
            let status = called.head.status;
            // Gone already is as good as taken back.
            let gone = matches!(status.as_u16(), 404 | 410);
            if status.is_success() || gone || http.accept.contains(&status.as_u16()) {
                return Ok(());
            }
            Err(CallFailed {
                status: status.as_u16(),
                passing: status.is_server_error() || status.as_u16() == 429,
                ..never(format!("the undo's answer was {status}"))
            })
        }
        _ => Err(never("the step's undo is of another kind now".to_owned())),
    }
}

fn head(
    http: &Http,
    url: &str,
    headers: &[(String, String)],
    key: &str,
    hosts: &[crate::plan::Host],
) -> Result<http::request::Parts, String> {
    let uri: Uri = url
        .parse()
        .map_err(|_| "the undo's URL cannot be read".to_owned())?;
    allowed(&uri, hosts)?;
    let mut request = Request::builder().method(http.method.clone()).uri(uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(name) = &http.key {
        request = request.header(name, key);
    }
    let request = request.body(()).map_err(|error| error.to_string())?;
    Ok(request.into_parts().0)
}

fn never(reason: String) -> CallFailed {
    CallFailed {
        status: 400,
        kind: "undo",
        reason,
        outcome_unknown: false,
        passing: false,
        retry_after: None,
        attempts: Vec::new(),
    }
}

/// An undo with its values worked out.
fn render(work: &Work, look: &Look<'_>) -> Result<UndoCall, NoValue> {
    match work {
        Work::Operation(work) => {
            let mut input = Map::new();
            for (name, given) in &work.with {
                if let Some(value) = look.value(given)? {
                    input.insert(name.clone(), value);
                }
            }
            Ok(UndoCall::Operation { input })
        }
        Work::Http(http) => {
            let (url, _) = url_text(http, look)?;
            let mut headers = Vec::new();
            for (name, given) in &http.headers {
                if let Some(value) = plain(look, given)? {
                    headers.push((name.as_str().to_owned(), value));
                }
            }
            let body = match &http.body {
                HttpBody::None => None,
                HttpBody::Json(given) => {
                    headers.push(("content-type".to_owned(), "application/json".to_owned()));
                    Some(look.value(given)?.unwrap_or(Value::Null).to_string())
                }
                HttpBody::Raw(given) => match look.blob(given) {
                    Some(_) => return Err(NoValue::because("an undo cannot send a blob")),
                    None => plain(look, given)?,
                },
            };
            Ok(UndoCall::Http { url, headers, body })
        }
        Work::Composition { .. } | Work::Race(_) => {
            Err(NoValue::because("an undo is an operation or a request"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_TRIES, pause};

    #[test]
    fn an_undo_is_tried_ever_later_and_for_hours() {
        let seconds = |tries| pause(tries).as_secs();
        assert_eq!(
            [0, 3, 4, 5, 11, 12, 99].map(seconds),
            [0, 0, 2, 4, 256, 300, 300]
        );
        assert_eq!((0..MOST_TRIES).map(seconds).sum::<u64>() / 3600, 7);
    }
}
