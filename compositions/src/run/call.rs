//! What one step does: its condition, its items, its tries, and the calls that these come to.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream, stream::FuturesUnordered};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use isobar_adapters::{Blob, boxed};
use isobar_config::Effect as Repeats;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    Came, ROOM, Scope, Trail,
    inputs::misfit,
    report::StepFailed,
    slot::{Look, NoValue, Slot},
    undo::Effect,
    wanted::Wanted,
};
use crate::{
    caller::{HttpCall, HttpCalled, HttpContent, OperationCall},
    plan::{
        Each, Failed, Given, Host, Http, HttpBody, OperationWork, Plan, Reference, Root, Step,
        Undo, Url, Work,
    },
    shape::Shape,
};

/// What may stand in a path without being encoded.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One call of a step: which, and for which item.
#[derive(Clone, Copy)]
struct One<'s> {
    index: usize,
    step: &'s Step,
    look: Look<'s>,
    item: Option<usize>,
    deadline: Instant,
    trail: &'s Trail,
}

/// What one call gave.
type Gave = Result<Slot, StepFailed>;

impl Scope<'_> {
    /// Runs one step, and says which.
    pub(super) async fn step(&self, index: usize) -> (usize, Came) {
        let started = Instant::now();
        let trail = Trail::default();
        let result = match self.plan.steps.get(index) {
            Some(step) => self.bounded(index, step, started, &trail).await,
            None => Ok(None),
        };
        let came = Came {
            vendor: match &result {
                Ok(Some(slot)) => slot.vendor.clone(),
                _ => None,
            },
            result,
            started,
            attempts: trail.attempts.into_inner(),
        };
        (index, came)
    }

    async fn bounded(
        &self,
        index: usize,
        step: &Step,
        started: Instant,
        trail: &Trail,
    ) -> Result<Option<Slot>, StepFailed> {
        let deadline = step.timeout.map_or(self.deadline, |timeout| {
            self.deadline.min(started + timeout)
        });
        let work = pin!(self.whole(index, step, deadline, trail));
        if step.timeout.is_none() {
            return work.await;
        }
        match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(result) => result,
            Err(_) => {
                let mut failed = StepFailed::of(
                    &step.name,
                    504,
                    "vendor-timeout",
                    "it took longer than its `timeout`".to_owned(),
                );
                failed.passing = true;
                failed.outcome_unknown = !matches!(step.effect, Repeats::Read);
                Err(failed)
            }
        }
    }

    /// The step with its condition and its items.
    async fn whole(
        &self,
        index: usize,
        step: &Step,
        deadline: Instant,
        trail: &Trail,
    ) -> Result<Option<Slot>, StepFailed> {
        let look = self.look();
        let by_item = step.each.is_some()
            && step.when.as_ref().is_some_and(|when| {
                let names = when.names();
                names.iter().any(|name| name == "item" || name == "index")
            });
        if let Some(when) = step.when.as_ref().filter(|_| !by_item)
            && !look.holds(when).map_err(|error| unworkable(step, &error))?
        {
            return Ok(None);
        }
        if let Some(twin) = step.twin
            && let Some(slot) = look.slot(twin)
        {
            return Ok(Some(slot.clone()));
        }
        let one = One {
            index,
            step,
            look,
            item: None,
            deadline,
            trail,
        };
        match &step.each {
            None => self.tries(one).await.map(Some),
            Some(each) => boxed(|| self.items(one, each, by_item)).await.map(Some),
        }
    }

    /// The step for each item of its list.
    async fn items(&self, one: One<'_>, each: &Each, by_item: bool) -> Gave {
        let step = one.step;
        let items = one
            .look
            .value(&each.items)
            .map_err(|error| unworkable(step, &error))?;
        let items = match items {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                let why = "`each` is not given a list".to_owned();
                let (status, kind) = blame(&each.items);
                return Err(StepFailed::of(&step.name, status, kind, why));
            }
        };
        if items.len() > each.most as usize {
            let why = format!(
                "`each` is given {} items; at most {} are allowed",
                items.len(),
                each.most
            );
            return Err(StepFailed::of(&step.name, 422, "unsupported", why));
        }
        let indexes: Vec<Value> = (0..items.len()).map(Value::from).collect();
        let mut calls = Vec::with_capacity(items.len());
        for (at, (item, index)) in items.iter().zip(&indexes).enumerate() {
            let look = Look {
                item: Some(item),
                index: Some(index),
                ..one.look
            };
            let one = One {
                look,
                item: Some(at),
                ..one
            };
            calls.push(self.item(one, each.failed, by_item));
        }
        let mut results = stream::iter(calls).buffered(each.at_once.max(1) as usize);
        let mut list = Vec::with_capacity(items.len());
        while let Some(result) = results.next().await {
            match result {
                Ok(Value::Null) if each.failed == Failed::Drop => {}
                Ok(value) => list.push(value),
                Err(mut failed) => {
                    failed.reason = format!("item {}: {}", list.len(), failed.reason);
                    return Err(failed);
                }
            }
        }
        Ok(Slot {
            json: Value::Array(list),
            ..Slot::default()
        })
    }

    /// The step for one item; what it is where it failed is the list's to say.
    fn item<'s>(
        &'s self,
        one: One<'s>,
        failed: Failed,
        by_item: bool,
    ) -> BoxFuture<'s, Result<Value, StepFailed>> {
        Box::pin(async move {
            if by_item
                && let Some(when) = &one.step.when
                && !one
                    .look
                    .holds(when)
                    .map_err(|error| unworkable(one.step, &error))?
            {
                return Ok(Value::Null);
            }
            match self.tries(one).await {
                Ok(slot) => Ok(slot.json),
                Err(error) if failed == Failed::Stop => Err(error),
                Err(_) => Ok(Value::Null),
            }
        })
    }

    /// One call, and further ones where the step asks for them.
    async fn tries(&self, one: One<'_>) -> Gave {
        let mut left = one.step.retry.map_or(0, |retry| retry.times);
        let mut pause = one.step.retry.map_or(Duration::ZERO, |retry| retry.pause);
        loop {
            let failed = match self.effect(one).await {
                Ok(slot) => return Ok(slot),
                Err(failed) => failed,
            };
            let wait = failed.retry_after.unwrap_or_default().max(pause);
            let in_time = Instant::now() + wait < one.deadline && wait <= LONGEST_PAUSE;
            if left == 0 || !failed.passing || !in_time {
                return Err(failed);
            }
            left -= 1;
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    /// One call, recorded before and after where its effect can be taken back.
    async fn effect(&self, one: One<'_>) -> Gave {
        match &one.step.undo {
            None => self.work(&one.step.work, one).await,
            Some(undo) => boxed(|| self.recorded(one, undo)).await,
        }
    }

    async fn recorded(&self, one: One<'_>, undo: &Undo) -> Gave {
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let mut effect = Effect::begin(self, one.index, number, &one.look, undo)
            .map_err(|error| unworkable(one.step, &error))?;
        if let Some(journal) = self.shared.engine.journal {
            journal
                .begin(&effect.entry, effect.call.as_ref())
                .await
                .map_err(|_| {
                    // What is wrong with a disk is not for the client; the journal tells its operator.
                    let why = "its effect cannot be recorded, so it may not happen".to_owned();
                    let mut failed = StepFailed::of(&one.step.name, 503, "store-unavailable", why);
                    failed.passing = true;
                    failed
                })?;
        }
        let at = {
            let mut effects = self.shared.effects.lock();
            effects.push(effect.clone());
            effects.len() - 1
        };
        let gave = self.work(&one.step.work, one).await;
        match &gave {
            Ok(slot) => {
                effect.happened(self, &one.look, slot, undo);
                if let (Some(journal), Some(call)) = (self.shared.engine.journal, &effect.call) {
                    // Not written, the entry says that it was begun: then it is taken back or looked at all the same.
                    let _ = journal.done(&effect.entry, call).await;
                }
            }
            Err(failed) if !failed.outcome_unknown => {
                effect.closed = true;
                if let Some(journal) = self.shared.engine.journal {
                    let _ = journal.closed(&effect.entry).await;
                }
            }
            Err(_) => {}
        }
        if let Some(place) = self.shared.effects.lock().get_mut(at) {
            *place = effect;
        }
        gave
    }

    /// What the work is, done once. What is rare, or leads back here, is in a box of its own: the others are not to be as
    /// large.
    async fn work(&self, work: &Work, one: One<'_>) -> Gave {
        match work {
            Work::Operation(work) => self.operation(work, one).await,
            Work::Http(http) => self.http(http, one).await,
            Work::Composition { plan, with } => boxed(|| self.composition(plan, with, one)).await,
            Work::Race(ways) => self.race(ways, one).await,
        }
    }

    /// Several ways at once; the first that works counts, and the others are dropped.
    fn race<'s>(&'s self, ways: &'s [Work], one: One<'s>) -> BoxFuture<'s, Gave> {
        let ways = ways.iter().map(move |way| self.work(way, one));
        Box::pin(async move {
            let mut running: FuturesUnordered<_> = ways.collect();
            let mut last = None;
            while let Some(gave) = running.next().await {
                match gave {
                    Ok(slot) => return Ok(slot),
                    Err(failed) => last = Some(failed),
                }
            }
            Err(last.unwrap_or_else(|| {
                StepFailed::of(
                    &one.step.name,
                    500,
                    "internal",
                    "there is nothing to race".to_owned(),
                )
            }))
        })
    }

    async fn operation(&self, work: &OperationWork, one: One<'_>) -> Gave {
        let step = one.step;
        let mut input = Map::new();
        let mut blobs = Vec::new();
        for (name, given) in &work.with {
            if let Some(field) = work.contract.blobs.iter().find(|blob| *blob == name) {
                let blob = one
                    .look
                    .blob(given)
                    .ok_or_else(|| self.missing(one, name, given))?;
                blobs.push((*field, blob.clone()));
                continue;
            }
            match one
                .look
                .value(given)
                .map_err(|error| unworkable(step, &error))?
            {
                None | Some(Value::Null) if work.contract.requires(name) => {
                    return Err(self.missing(one, name, given));
                }
                None | Some(Value::Null) => {}
                Some(value) => {
                    input.insert(name.clone(), value);
                }
            }
        }
        self.count(step)?;
        let _turn = self.shared.gate.acquire().await;
        let key = self.key(one);
        let name = self.name(one.index);
        let call = OperationCall {
            contract: work.contract,
            input,
            blobs,
            pool: &work.pool,
            deadline: one.deadline,
            hedge: work.hedge,
            cache: work.cache,
            run: self.shared.id,
            key: &key,
            step: &name,
            item: one.item,
        };
        match self.shared.engine.caller.operation(call).await {
            Ok(called) => {
                one.trail.attempts.lock().extend(called.attempts);
                Ok(called.output)
            }
            Err(mut failed) => {
                one.trail.attempts.lock().append(&mut failed.attempts);
                Err(StepFailed::of_call(&step.name, failed))
            }
        }
    }

    /// Another composition, as part of this run.
    async fn composition(&self, plan: &Arc<Plan>, with: &[(String, Given)], one: One<'_>) -> Gave {
        let step = one.step;
        let mut fields = Map::new();
        let mut blobs = Vec::new();
        for (name, given) in with {
            if let Some(blob) = one.look.blob(given) {
                blobs.push((name.clone(), blob.clone()));
                continue;
            }
            match one
                .look
                .value(given)
                .map_err(|error| unworkable(step, &error))?
            {
                None | Some(Value::Null) => {}
                Some(value) => {
                    fields.insert(name.clone(), value);
                }
            }
        }
        let inputs = plan
            .accept(fields, blobs)
            .map_err(|bad| StepFailed::of(&step.name, 400, "bad-input", bad.to_string()))?;
        let prefix = match one.item {
            Some(item) => format!("{}{}[{item}].", self.prefix, step.name),
            None => format!("{}{}.", self.prefix, step.name),
        };
        let deadline = one.deadline.min(Instant::now() + plan.deadline);
        let inner = Scope::new(self.shared, plan, &inputs, prefix, deadline);
        let result = inner.output().await;
        let (reports, degraded) = inner.into_reports();
        let attempts = reports.into_iter().flat_map(|report| report.attempts);
        one.trail.attempts.lock().extend(attempts);
        if !degraded.is_empty() {
            // A part of a part is degraded: so is this step, to whoever looks at the answer.
            self.degraded.lock().push(one.index);
        }
        result.map_err(|failed| StepFailed {
            step: failed.step.unwrap_or_else(|| step.name.clone()),
            status: failed.status,
            kind: failed.kind,
            reason: failed.reason,
            retry_after: failed.retry_after,
            outcome_unknown: failed.outcome_unknown,
            passing: failed.status >= 500,
        })
    }

    async fn http(&self, http: &Http, one: One<'_>) -> Gave {
        let step = one.step;
        let (uri, made) = self.uri(http, one)?;
        let mut request = Request::builder().method(http.method.clone()).uri(uri);
        for (name, given) in &http.headers {
            if let Some(value) = header(one, name, given)? {
                request = request.header(name, value);
            }
        }
        if let Some(name) = &http.key {
            request = request.header(name, &self.key(one));
        }
        let body = match &http.body {
            HttpBody::None => HttpContent::None,
            HttpBody::Json(given) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                let mut json = Vec::with_capacity(ROOM);
                let is_there = one.look.write(given, &mut json);
                if !is_there.map_err(|error| unworkable(step, &error))? {
                    json.extend_from_slice(b"null");
                }
                HttpContent::Bytes(json.into())
            }
            HttpBody::Raw(given) => match one.look.blob(given) {
                Some(blob) => {
                    let own = http
                        .headers
                        .iter()
                        .any(|(name, _)| name == header::CONTENT_TYPE);
                    if !own {
                        request = request.header(header::CONTENT_TYPE, blob.media_type());
                    }
                    HttpContent::Blob(blob.clone())
                }
                None => match one
                    .look
                    .value(given)
                    .map_err(|error| unworkable(step, &error))?
                {
                    None | Some(Value::Null) => return Err(self.missing(one, "body", given)),
                    Some(Value::String(text)) => HttpContent::Bytes(text.into()),
                    Some(other) => HttpContent::Bytes(other.to_string().into()),
                },
            },
        };
        let request = request.body(()).map_err(|error| {
            StepFailed::of(
                &step.name,
                400,
                "bad-input",
                format!("the request cannot be made: {error}"),
            )
        })?;
        self.count(step)?;
        let _turn = self.shared.gate.acquire().await;
        let call = HttpCall {
            head: request.into_parts().0,
            body,
            bearer: http.bearer.clone(),
            made,
            deadline: one.deadline,
            most: http.most,
            step: self.name(one.index),
            item: one.item,
        };
        match self.shared.engine.caller.http(call).await {
            Ok(called) => {
                let wanted = self.plan.graph().wanted_of.get(one.index);
                read_answer(http, step, called, wanted.unwrap_or(&Wanted::All))
            }
            Err(mut failed) => {
                one.trail.attempts.lock().append(&mut failed.attempts);
                failed.outcome_unknown &= step.effect != Repeats::Read;
                Err(StepFailed::of_call(&step.name, failed))
            }
        }
    }

    /// Where an HTTP request goes, and whether that was made at run time.
    fn uri(&self, http: &Http, one: One<'_>) -> Result<(Uri, bool), StepFailed> {
        let step = one.step;
        let bad = |why: String| StepFailed::of(&step.name, 400, "bad-input", why);
        let (text, made) = url_text(http, &one.look).map_err(|error| unworkable(step, &error))?;
        let uri: Uri = text
            .parse()
            .map_err(|_| bad("the URL cannot be read".to_owned()))?;
        allowed(&uri, &self.plan.hosts).map_err(bad)?;
        Ok((uri, made))
    }

    /// Counts a call.
    fn count(&self, step: &Step) -> Result<(), StepFailed> {
        if self.shared.may_call() {
            return Ok(());
        }
        let why = format!(
            "the run has made {} calls, which is its limit",
            self.shared.most_calls
        );
        Err(StepFailed::of(&step.name, 422, "unsupported", why))
    }

    /// The same for the same call of a repeated request, and for nothing else.
    fn key(&self, one: One<'_>) -> String {
        let step = &one.step.name;
        match one.item {
            Some(item) => format!("{}-{}{step}-{item}", self.shared.key, self.prefix),
            None => format!("{}-{}{step}", self.shared.key, self.prefix),
        }
    }

    /// A required value that is not there: whose fault that is depends on where it was to come from.
    fn missing(&self, one: One<'_>, name: &str, given: &Given) -> StepFailed {
        let step = &one.step.name;
        let Given::Reference(reference) = given else {
            let why = format!("there is nothing for `{name}`");
            return StepFailed::of(step, 500, "internal", why);
        };
        let text = &reference.text;
        match reference.root {
            Root::Step(from) => {
                let vendor = one.look.slot(from).and_then(|slot| slot.vendor.as_deref());
                let from = self.name(from);
                let who = vendor.map_or_else(
                    || format!("`{from}`"),
                    |vendor| format!("`{vendor}`, which served `{from}`,"),
                );
                let why = format!("`{name}` needs `{text}`, which {who} did not give");
                StepFailed::of(step, 502, "vendor-broken", why)
            }
            Root::Item | Root::Index => {
                let why = format!("`{name}` needs `{text}`, which this item does not have");
                StepFailed::of(step, 502, "vendor-broken", why)
            }
            Root::Input | Root::Run => {
                let why = format!("`{name}` needs `{text}`, which the request does not have");
                StepFailed::of(step, 400, "bad-input", why)
            }
        }
    }
}

fn header(
    one: One<'_>,
    name: &HeaderName,
    given: &Given,
) -> Result<Option<HeaderValue>, StepFailed> {
    let Some(text) = plain(&one.look, given).map_err(|error| unworkable(one.step, &error))? else {
        return Ok(None);
    };
    HeaderValue::try_from(text).map(Some).map_err(|_| {
        let why = format!("header `{name}` would have a character that no header may have");
        StepFailed::of(&one.step.name, 400, "bad-input", why)
    })
}

/// Status and problem for a value of the wrong kind: the caller's where the caller gave it, a vendor's where a vendor did.
fn blame(given: &Given) -> (u16, &'static str) {
    match given {
        Given::Reference(Reference {
            root: Root::Input, ..
        }) => (400, "bad-input"),
        _ => (502, "vendor-broken"),
    }
}

fn unworkable(step: &Step, error: &NoValue) -> StepFailed {
    StepFailed::of(&step.name, 422, "expression", error.why.clone())
}

/// A value as it stands in URLs and headers; `None` when it is absent.
pub(crate) fn plain(look: &Look<'_>, given: &Given) -> Result<Option<String>, NoValue> {
    Ok(match look.value(given)? {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.to_string()),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Err(NoValue::because(
                "a list or an object cannot stand in a URL or a header",
            ));
        }
    })
}

/// An HTTP request's URL with its query, and whether its host was made at run time.
pub(crate) fn url_text(http: &Http, look: &Look<'_>) -> Result<(String, bool), NoValue> {
    let needed = |given: &Given| {
        plain(look, given)?.ok_or_else(|| NoValue::because("a part of the URL is absent"))
    };
    let (mut text, made) = match &http.url {
        Url::Known { texts, parameters } => {
            let mut url = texts.first().cloned().unwrap_or_default();
            for (given, text) in parameters.iter().zip(texts.iter().skip(1)) {
                let value = needed(given)?;
                // Alone in its segment it would lead elsewhere, encoded or not.
                if matches!(value.as_str(), "" | "." | "..") {
                    return Err(NoValue {
                        why: format!("`{value}` cannot be part of a path"),
                    });
                }
                url.extend(utf8_percent_encode(&value, KEPT));
                url.push_str(text);
            }
            (url, false)
        }
        Url::Made(given) => (needed(given)?, true),
    };
    let mut separator = if text.contains('?') { '&' } else { '?' };
    for (name, given) in &http.query {
        let Some(value) = plain(look, given)? else {
            continue;
        };
        text.push(separator);
        text.extend(utf8_percent_encode(name, KEPT));
        text.push('=');
        text.extend(utf8_percent_encode(&value, KEPT));
        separator = '&';
    }
    Ok((text, made))
}

/// Whether a URL may be called at all.
pub(crate) fn allowed(uri: &Uri, hosts: &[Host]) -> Result<(), String> {
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("only http and https are spoken".to_owned());
    }
    let authority = uri.authority().ok_or("the URL has no host")?;
    if authority.as_str().contains('@') {
        return Err("the URL has a user".to_owned());
    }
    let name = authority.host().to_ascii_lowercase();
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = authority.port_u16().unwrap_or(usual);
    let fits = |host: &Host| {
        let port_fits = match host.port {
            Some(known) => known == port,
            None => port == usual,
        };
        let name_fits = match host.name.strip_prefix('*') {
            Some(ending) => name.len() > ending.len() && name.ends_with(ending),
            None => name == host.name,
        };
        port_fits && name_fits
    };
    if hosts.iter().any(fits) {
        Ok(())
    } else {
        Err(format!(
            "`{authority}` is not one of the composition's `hosts`"
        ))
    }
}

/// Reads an HTTP answer as the step's output.
fn read_answer(http: &Http, step: &Step, called: HttpCalled, wanted: &Wanted) -> Gave {
    let status = called.head.status;
    if !status.is_success() && !http.accept.contains(&status.as_u16()) {
        let refused =
            status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
        let (told, kind) = if refused {
            (503, "no-account-available")
        } else {
            (502, "vendor-broken")
        };
        let why = format!("the answer was {status}");
        let mut failed = StepFailed::of(&step.name, told, kind, why);
        failed.passing = refused || status.is_server_error();
        failed.outcome_unknown =
            status.is_server_error() && !refused && step.effect != Repeats::Read;
        failed.retry_after = called
            .head
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        return Err(failed);
    }
    let media_type = called
        .head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|text| text.split(';').next().unwrap_or_default().trim())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let broken = |why: String| {
        let mut failed = StepFailed::of(&step.name, 502, "vendor-broken", why);
        failed.outcome_unknown = step.effect != Repeats::Read;
        failed
    };
    let mut fields = Map::with_capacity(3);
    fields.insert("status".to_owned(), status.as_u16().into());
    if *wanted.member("headers") != Wanted::Nothing {
        let text = |value: &HeaderValue| value.to_str().ok().map(Value::from);
        let headers = called.head.headers.iter();
        let headers: Map<String, Value> = headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect();
        fields.insert("headers".to_owned(), headers.into());
    }
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    let body = if called.body.is_empty() {
        Some(Value::Null)
    } else if is_json {
        // What is promised is looked at as well.
        let wanted = match http.returns {
            Shape::Any => wanted.member("body"),
            _ => &Wanted::All,
        };
        let parsed = wanted
            .read(&called.body)
            .map_err(|error| broken(format!("the answer is not JSON: {error}")))?;
        Some(parsed)
    } else if media_type.starts_with("text/") {
        let text = std::str::from_utf8(&called.body)
            .map_err(|_| broken("the answer's text is not UTF-8".to_owned()))?;
        Some(Value::from(text))
    } else {
        None
    };
    let Some(body) = body else {
        fields.insert("body".to_owned(), Value::Null);
        let mut slot = Slot {
            json: fields.into(),
            ..Slot::default()
        };
        slot.put("body", blob(called.body, &media_type));
        return Ok(slot);
    };
    if status.is_success()
        && let Some(why) = misfit(&http.returns, &body, "$.body")
    {
        return Err(broken(format!(
            "the answer is not what `returns` promises: {why}"
        )));
    }
    fields.insert("body".to_owned(), body);
    Ok(Slot {
        json: fields.into(),
        ..Slot::default()
    })
}

fn blob(bytes: Bytes, media_type: &str) -> Blob {
    if media_type.is_empty() {
        Blob::of_bytes(bytes, "body")
    } else {
        Blob::of_type(bytes, media_type, "body")
    }
}
