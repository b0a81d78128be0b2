//! The doors of compositions: a client's request → checked inputs, and a run's end → what the client sees.
//!
//! A run whose effects can be taken back, or whose key gets the same answer again, goes on in a task of its own: it ends
//! or is taken back in order even when the client leaves.

use std::{pin::pin, sync::Arc};

use http::Method;
use isobar_adapters::{Blob, boxed};
use isobar_compositions::{
    Plan, Shape,
    plan::From,
    run::{
        Answer, AnswerBody, Ask, Engine, Ran, RunFailed, Slot, UndoOutcome, Unwatched, Watch,
        from_text,
    },
};
use parking_lot::Mutex;
use pingora_core::{Error, ErrorType, Result, protocols::http::ServerSession as Session};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::{
    context::{self, Context},
    gateway::{Admitted, Gateway, Unread, expect_continue, refuse, too_large},
    headers,
    problem::{Kind, Problem},
    reading::{Reading, bad, blob_of, blob_of_file, content_type, query_fields},
    strict,
    text::Text,
    write,
};
use crate::{
    journal::{Begun, Kept, Key, Owed, Store},
    route::{
        router::Captures,
        snapshot::{Route, Snapshot},
    },
    serve::composing::{Composer, uuid},
    telemetry::Run,
};

/// Longest key that a client may give.
const LONGEST_KEY: usize = 255;
/// Largest answer that is kept for its key.
const LARGEST_KEPT: u64 = 16 * 1024 * 1024;
/// Parts of a streamed output that wait to be sent.
const PARTS: usize = 64;

impl Gateway {
    /// Reads the inputs, runs the composition while watching that the client is still there, and writes what came of it.
    pub(super) async fn compose(
        &self,
        session: &mut Session,
        cx: &mut Context,
        snapshot: &Arc<Snapshot>,
        route: &Route,
        plan: &Arc<Plan>,
        admitted: &Admitted,
    ) -> Result<bool> {
        expect_continue(session).await?;
        let read = {
            let reading = pin!(self.inputs(session, cx, route, plan, admitted));
            tokio::time::timeout(route.limits.deadline, reading).await
        };
        let (inputs, print) = match read.unwrap_or_else(|_| Err(Unread::slow())) {
            Ok(inputs) => inputs,
            Err(Unread::Problem(problem)) => return refuse(session, cx, problem).await,
            Err(Unread::Gone(error)) => {
                cx.gone = true;
                return Err(error);
            }
        };
        let client = cx.caller_name(snapshot).into_owned();
        let given = match key(session, plan) {
            Ok(key) => key,
            Err(problem) => return refuse(session, cx, problem).await,
        };
        let id = uuid(cx.trace.unique());
        let store = if plan.has_undo() || given.is_some() {
            match self.registry.store().await {
                Ok(store) => Some(store),
                Err(_) => {
                    let why = "the store of effects cannot be used, so none may happen";
                    return refuse(session, cx, Problem::new(503, Kind::StoreUnavailable, why))
                        .await;
                }
            }
        } else {
            None
        };
        let scope = match store {
            Some(_) => format!("{client}/{}", plan.name),
            None => String::new(),
        };
        if let (Some(store), Some(key), Some(keeping)) = (&store, &given, &plan.idempotency) {
            match store
                .begin_answer(&scope, key, &print, &id, keeping.keep)
                .await
            {
                Ok(Begun::New) => {}
                Ok(Begun::Answered(kept)) => {
                    return write::kept(session, cx, kept).await.map(|()| true);
                }
                Ok(Begun::Running) => {
                    let why = "a request with this key is still running, or is being taken back";
                    let mut problem = Problem::new(409, Kind::Running, why);
                    problem.retry_after = Some(std::time::Duration::from_secs(1));
                    return refuse(session, cx, problem).await;
                }
                Ok(Begun::Conflict) => {
                    let why = "this key was used with another request";
                    return refuse(session, cx, Problem::new(422, Kind::KeyReused, why)).await;
                }
                Err(error) => {
                    store.tell(&error);
                    let why = "the store of answers cannot be used";
                    return refuse(session, cx, Problem::new(503, Kind::StoreUnavailable, why))
                        .await;
                }
            }
        }
        let headers = &session.req_header().headers;
        let deadline = context::deadline(cx.started, plan.deadline, headers).moment();
        let started = std::time::Instant::now();
        let composer = Composer {
            plan: Arc::clone(snapshot),
            registry: Arc::clone(&self.registry),
            client,
            trace: cx.trace.header(),
            tried: Mutex::default(),
        };
        let run = Running {
            plan: Arc::clone(plan),
            composer,
            store,
            inputs,
            key: match &given {
                // Unique among clients, and nothing of the client's key goes to vendors.
                Some(key) => hex(&Sha256::digest(format!("{scope}/{key}"))),
                None => id.clone(),
            },
            id,
            started,
            deadline,
            answer_key: given.map(|key| Key { scope, key }),
        };
        if plan.output.stream {
            return self.stream_parts(session, cx, run).await;
        }
        let outcome = if run.store.is_some() {
            let (stop, stopped) = oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                run.finish(&Unwatched, async {
                    // A sender that is dropped is a client that left.
                    let _ = stopped.await;
                })
                .await
            });
            let outcome = attended(session, task).await;
            drop(stop);
            match outcome {
                Ok(Ok(ended)) => Ok(ended),
                Ok(Err(error)) => {
                    log::error!("a run ended badly: {error}");
                    let problem = Problem::new(500, Kind::Internal, "the run ended badly");
                    return refuse(session, cx, problem).await;
                }
                Err(gone) => Err(gone),
            }
        } else {
            let finishing = boxed(|| run.finish(&Unwatched, std::future::pending()));
            attended(session, finishing).await
        };
        match outcome {
            Ok(ended) => end_of_run(session, cx, ended).await,
            Err(gone) => {
                cx.gone = true;
                Err(gone.into_down())
            }
        }
    }

    /// Sends each member of the output as an event as soon as it is known.
    async fn stream_parts(
        &self,
        session: &mut Session,
        cx: &mut Context,
        run: Running,
    ) -> Result<bool> {
        let (send, mut parts) = mpsc::channel(PARTS);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let watch = Parts(send);
            run.finish(&watch, async {
                let _ = stopped.await;
            })
            .await
        });
        write::event_head(session, cx).await?;
        while let Some((name, value)) = attended(session, parts.recv())
            .await
            .inspect_err(|_| cx.gone = true)?
        {
            write::event(session, &name, &value).await?;
        }
        let ended = task.await;
        drop(stop);
        let Ok(ended) = ended else {
            return Err(Error::explain(
                ErrorType::InternalError,
                "the run ended badly",
            ));
        };
        note_run(cx, &ended);
        let Ended { ran, id, tried, .. } = ended;
        cx.tried = tried;
        let (name, value) = match ran.result {
            Ok(_) => (
                "done",
                json!({ "run": id, "degraded": ran.degraded, "steps": ran.steps }),
            ),
            Err(failed) => {
                let problem = problem(failed, &ran.undone);
                let document = problem.document(&cx.trace.id(), &[]);
                cx.problem = Some(problem);
                (
                    "error",
                    serde_json::from_slice(&document).unwrap_or_default(),
                )
            }
        };
        write::event(session, name, &value).await?;
        write::event_end(session).await?;
        Ok(true)
    }

    /// The inputs that a request gives, and what tells it from other requests.
    async fn inputs(
        &self,
        session: &mut Session,
        cx: &Context,
        route: &Route,
        plan: &Plan,
        admitted: &Admitted,
    ) -> Result<(Slot, Vec<u8>), Unread> {
        let request = session.req_header();
        let query =
            query_fields(request.uri.query().unwrap_or_default()).map_err(Unread::Problem)?;
        let captures = Captures::of(&route.pattern, &cx.path);
        let mut fields = Map::new();
        let mut blobs = Vec::new();
        for input in &plan.inputs {
            let text = match &input.from {
                From::Query => {
                    let found = query.iter().find(|(name, _)| *name == input.named);
                    found.map(|(_, value)| value.clone())
                }
                From::Path => {
                    let found = captures
                        .parameters
                        .iter()
                        .find(|(name, _)| *name == input.named);
                    found
                        .map(|(_, value)| {
                            percent_encoding::percent_decode_str(value)
                                .decode_utf8()
                                .map(std::borrow::Cow::into_owned)
                                .map_err(|_| bad(400, format!("`{}` is not UTF-8", input.name)))
                        })
                        .transpose()?
                }
                From::Header(name) => request
                    .headers
                    .get(name)
                    .map(|value| {
                        let text = value.to_str().map(str::to_owned);
                        text.map_err(|_| bad(400, format!("header `{name}` is not plain text")))
                    })
                    .transpose()?,
                From::Field | From::Part | From::Body => None,
            };
            if let Some(text) = text {
                let value = from_given(&input.name, &input.shape, &text)?;
                fields.insert(input.name.clone(), value);
            }
        }
        let reading = Reading {
            space: &self.registry.space,
            length: admitted.length,
            limit: route.limits.body,
        };
        body(session, plan, admitted, &reading, &mut fields, &mut blobs).await?;
        let print = match plan.idempotency {
            Some(_) => fingerprint(&session.req_header().method, &fields, &blobs),
            None => Vec::new(),
        };
        let most = blobs.iter().find_map(|(name, blob): &(String, Blob)| {
            let input = plan.inputs.iter().find(|input| input.name == *name)?;
            (blob.length() > input.most).then_some(input.most)
        });
        if let Some(most) = most {
            return Err(Unread::Problem(too_large(most)));
        }
        let slot = plan
            .accept(fields, blobs)
            .map_err(|error| bad(400, error.to_string()))?;
        Ok((slot, print))
    }
}

/// Remembers the steps, where they are traced.
fn note_run(cx: &mut Context, ended: &Ended) {
    if cx.is_traced() {
        cx.run = Some(Run {
            started: ended.started,
            steps: ended.ran.steps.clone(),
        });
    }
}

/// Writes what a run came to.
async fn end_of_run(session: &mut Session, cx: &mut Context, ended: Ended) -> Result<bool> {
    note_run(cx, &ended);
    let Ended { ran, id, tried, .. } = ended;
    cx.tried = tried;
    let told = Told::of(&ran, &id);
    match ran.result {
        Ok(answer) => {
            write::composed(session, cx, answer, told).await?;
            Ok(true)
        }
        Err(failed) => refuse(session, cx, problem(failed, &ran.undone)).await,
    }
}

/// Reads what the body has.
async fn body(
    session: &mut Session,
    plan: &Plan,
    admitted: &Admitted,
    reading: &Reading<'_>,
    fields: &mut Map<String, Value>,
    blobs: &mut Vec<(String, Blob)>,
) -> Result<(), Unread> {
    let in_body = |from: &From| matches!(from, From::Field | From::Part | From::Body);
    if !admitted.has_body || !plan.inputs.iter().any(|input| in_body(&input.from)) {
        return Ok(());
    }
    let media_type = content_type(&session.req_header().headers);
    if let Some(whole) = plan.inputs.iter().find(|input| input.from == From::Body) {
        let shape = match &whole.shape {
            Shape::Optional(shape) => shape,
            shape => shape,
        };
        if *shape == Shape::Blob {
            let kept = reading.kept(session).await?;
            blobs.push((
                whole.name.clone(),
                blob_of(kept, &whole.name, media_type).await?,
            ));
            return Ok(());
        }
        let bytes = reading.json(session).await?;
        let value = match shape {
            Shape::Text(_) => {
                let text =
                    std::str::from_utf8(&bytes).map_err(|_| bad(400, "the body is not UTF-8"))?;
                Value::from(text)
            }
            _ => strict::value(&bytes)
                .map_err(|why| bad(400, format!("the body is not JSON: {why}")))?,
        };
        fields.insert(whole.name.clone(), value);
        return Ok(());
    }
    if media_type == "multipart/form-data" {
        let parts = |name: &str| {
            plan.inputs
                .iter()
                .any(|input| input.from == From::Part && input.named == name)
        };
        let form = reading.form(session, &parts, plan.inputs.len()).await?;
        for (name, text) in form.fields {
            let input = plan
                .inputs
                .iter()
                .find(|input| input.from == From::Field && input.named == name);
            let (name, value) = match input {
                Some(input) => (
                    input.name.clone(),
                    from_given(&input.name, &input.shape, &text)?,
                ),
                None => (name, Value::from(text)),
            };
            if fields.insert(name.clone(), value).is_some() {
                return Err(bad(400, format!("`{name}` is given twice")));
            }
        }
        for (name, file) in form.files {
            let input = plan
                .inputs
                .iter()
                .find(|input| input.from == From::Part && input.named == name);
            let name = input.map_or(name, |input| input.name.clone());
            if blobs.iter().any(|(known, _)| *known == name) {
                return Err(bad(400, format!("`{name}` is given twice")));
            }
            blobs.push((name, blob_of_file(file).await?));
        }
        return Ok(());
    }
    if plan.inputs.iter().any(|input| input.from == From::Part) {
        let parts: Vec<String> = plan
            .inputs
            .iter()
            .filter(|input| input.from == From::Part)
            .map(|input| format!("`{}`", input.named))
            .collect();
        let why = format!(
            "send a form (`multipart/form-data`) with {} as a file",
            parts.join(", ")
        );
        return Err(bad(415, why));
    }
    let is_json = media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json")
        // What `curl -d` says of JSON.
        || media_type == "application/x-www-form-urlencoded";
    if !is_json {
        return Err(bad(415, "send JSON, as `application/json`"));
    }
    let bytes = reading.json(session).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let value =
        strict::value(&bytes).map_err(|why| bad(400, format!("the body is not JSON: {why}")))?;
    let Value::Object(members) = value else {
        return Err(bad(400, "the body is not a JSON object"));
    };
    for (name, value) in members {
        let input = plan
            .inputs
            .iter()
            .find(|input| input.from == From::Field && input.named == name);
        let name = input.map_or(name, |input| input.name.clone());
        if fields.insert(name.clone(), value).is_some() {
            return Err(bad(400, format!("`{name}` is given twice")));
        }
    }
    Ok(())
}

/// A text as what its input wants; JSON in it is read as strictly as a body.
fn from_given(name: &str, shape: &Shape, text: &str) -> Result<Value, Unread> {
    let value = from_text(shape, text);
    if !(value.is_object() || value.is_array()) {
        return Ok(value);
    }
    strict::value(text.as_bytes()).map_err(|why| {
        let why = format!("`{name}` is not JSON: {why}");
        Unread::Problem(Problem::new(400, Kind::BadInput, why))
    })
}

/// What tells one request from another under the same key.
fn fingerprint(method: &Method, fields: &Map<String, Value>, blobs: &[(String, Blob)]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(method.as_str());
    hash.update(serde_json::to_vec(fields).unwrap_or_default());
    for (name, blob) in blobs {
        hash.update(name);
        hash.update(blob.digest());
    }
    hash.finalize().to_vec()
}

/// The client's key, where the composition has a use for one.
fn key(session: &Session, plan: &Plan) -> Result<Option<String>, Problem> {
    let Some(idempotency) = &plan.idempotency else {
        return Ok(None);
    };
    let header = &idempotency.header;
    match session.req_header().headers.get(header) {
        Some(value) => match value.to_str().map(str::trim) {
            Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
            _ => {
                let why = format!("`{header}` is plain text of 1 to {LONGEST_KEY} characters");
                Err(Problem::new(400, Kind::BadInput, why))
            }
        },
        None if idempotency.required => {
            let why = format!("`{header}` is required, so that the request can be repeated safely");
            Err(Problem::new(400, Kind::BadInput, why))
        }
        None => Ok(None),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Does something while watching that the client is still there.
async fn attended<T>(session: &mut Session, work: impl Future<Output = T>) -> Result<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            gone = session.read_body_or_idle(true) => { gone?; }
        }
    }
}

/// Everything that one run needs, apart from the request.
struct Running {
    plan: Arc<Plan>,
    composer: Composer,
    store: Option<Store>,
    inputs: Slot,
    id: String,
    key: String,
    started: std::time::Instant,
    deadline: std::time::Instant,
    /// Where the answer is kept.
    answer_key: Option<Key>,
}

/// A run's end.
struct Ended {
    ran: Ran,
    started: std::time::Instant,
    id: String,
    tried: Vec<crate::serve::tried::Tried>,
}

impl Running {
    async fn finish(self, watch: &dyn Watch, stop: impl Future<Output = ()>) -> Ended {
        let engine = Engine {
            caller: &self.composer,
            journal: match &self.store {
                Some(store) if self.plan.has_undo() => Some(store),
                _ => None,
            },
            watch,
        };
        let ask = Ask {
            inputs: self.inputs,
            id: &self.id,
            key: &self.key,
            deadline: Some(self.deadline),
        };
        let ran = engine.run(&self.plan, ask, stop).await;
        if let Some(store) = &self.store {
            settle(store, &self.id, self.answer_key, &ran).await;
        }
        Ended {
            ran,
            started: self.started,
            id: self.id,
            tried: self.composer.tried.into_inner(),
        }
    }
}

/// Keeps the answer for its key, or gives the key back; hands what is still to be taken back to recovery. The store tells
/// what it cannot write, and catches up.
async fn settle(store: &Store, id: &str, key: Option<Key>, ran: &Ran) {
    let any = |outcome| ran.undone.iter().any(|undone| undone.outcome == outcome);
    if any(UndoOutcome::Pending) {
        let _ = store.leave(Owed::Released(id.to_owned())).await;
    }
    let Some(key) = key else { return };
    let kept = match &ran.result {
        Ok(answer) => kept(answer, id),
        Err(_) => None,
    };
    let owed = match kept {
        Some(kept) => Owed::Answer(key, kept),
        // What happened in a run that needs a person must not happen again under the same key.
        None if any(UndoOutcome::NeedsReview) => return,
        None => Owed::Free(key),
    };
    let _ = store.leave(owed).await;
}

/// An answer as it is kept.
fn kept(answer: &Answer, id: &str) -> Option<Kept> {
    let (media_type, body) = match &answer.body {
        AnswerBody::Json(json) => ("application/json".to_owned(), json.to_vec()),
        AnswerBody::Blob(blob) if blob.length() <= LARGEST_KEPT => {
            (blob.media_type().to_owned(), blob.to_bytes().ok()?.to_vec())
        }
        AnswerBody::Blob(_) => return None,
    };
    let mut headers = vec![
        ("content-type".to_owned(), media_type),
        (headers::RUN.as_str().to_owned(), id.to_owned()),
    ];
    for (name, value) in &answer.headers {
        headers.push((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
    }
    Some(Kept {
        status: answer.status.as_u16(),
        headers,
        body,
    })
}

/// Sends parts to whoever writes them.
struct Parts(mpsc::Sender<(String, Value)>);

impl Watch for Parts {
    fn part(&self, name: &str, value: &Value) {
        // A client that reads too slowly for so many parts gets them in the end of the run instead.
        let _ = self.0.try_send((name.to_owned(), value.clone()));
    }
}

/// What an answer's headers tell of its run.
pub(crate) struct Told {
    pub(crate) run: String,
    pub(crate) degraded: String,
    pub(crate) vendors: String,
    /// Each step, for `Server-Timing`; whoever adds the total ends it.
    pub(crate) timing: Text,
}

impl Told {
    fn of(ran: &Ran, id: &str) -> Self {
        let mut timing = Text::default();
        let mut vendors: Vec<&str> = Vec::new();
        for step in &ran.steps {
            let vendor = step.vendor.as_deref().unwrap_or_default();
            if !vendor.is_empty() && !vendors.contains(&vendor) {
                vendors.push(vendor);
            }
            timing.push(&step.step).push(";desc=\"").push(&step.work);
            timing.push(" ").push(step.outcome.name()).push(" ");
            timing.push(vendor).push("\";dur=");
            timing.fraction(hundredths(step.took_ms), 2).push(", ");
        }
        Self {
            run: id.to_owned(),
            degraded: ran.degraded.join(", "),
            vendors: vendors.join(", "),
            timing,
        }
    }
}

/// Hundredths of so many.
fn hundredths(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time, far below 2^53"
    )]
    let whole = (number * 100.0).round() as u64;
    whole
}

/// A failed run as the client sees it.
fn problem(failed: RunFailed, undone: &[isobar_compositions::run::Undone]) -> Problem {
    let kind = if failed.outcome_unknown {
        Kind::OutcomeUnknown
    } else {
        Kind::named(failed.kind).unwrap_or(Kind::Internal)
    };
    let mut detail = failed.reason;
    for undone in undone {
        let said = match undone.outcome {
            UndoOutcome::Undone => "is taken back",
            UndoOutcome::Pending => "is being taken back",
            UndoOutcome::NeedsReview => "may stand, and a person must look",
        };
        detail = format!("{detail}; what `{}` did {said}", undone.step);
    }
    let mut problem = Problem::new(failed.status, kind, detail);
    problem.retry_after = failed.retry_after;
    problem
}
