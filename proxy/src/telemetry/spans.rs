//! The spans of a request that is over: itself, the steps of its composition, and its attempts.

use std::time::{Duration, Instant, SystemTime};

use isobar_adapters::Verdict;
use isobar_compositions::run::{StepOutcome, StepReport};

use super::{
    Spans, nanos,
    wire::{self, KeyValue, Span, SpanKind, Status, Value},
};
use crate::{
    edge::trace::Trace,
    serve::tried::{Outcome, Tried},
};

/// Steps and attempts that are told of one request.
const MOST: usize = 128;

/// What is known of a request that is over.
pub(crate) struct Over<'a> {
    pub(crate) trace: Trace,
    pub(crate) started: Instant,
    pub(crate) method: &'a str,
    /// Name of the route, and the pattern that took the request; empty when none did.
    pub(crate) route: &'a str,
    pub(crate) pattern: &'a str,
    pub(crate) client: Option<&'a str>,
    /// 0 when the client left before the answer.
    pub(crate) status: u16,
    pub(crate) problem: Option<&'static str>,
    pub(crate) cut: bool,
    pub(crate) vendor: Option<&'a str>,
    pub(crate) tried: &'a [Tried],
    pub(crate) run: Option<&'a Run>,
}

/// A run of a composition.
pub(crate) struct Run {
    pub(crate) started: Instant,
    pub(crate) steps: Vec<StepReport>,
}

/// Makes the spans.
pub(crate) fn of(over: &Over<'_>) -> Spans {
    let clock = Clock {
        now: Instant::now(),
        time: nanos(SystemTime::now()),
    };
    let (trace, own) = over.trace.ids();
    let span = |id: u64, parent: Option<u64>, name: String, kind: SpanKind| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        id: id.to_be_bytes().to_vec(),
        parent_span_id: parent
            .map(|id| id.to_be_bytes().to_vec())
            .unwrap_or_default(),
        name,
        kind: kind.into(),
        ..Span::default()
    };
    let name = if over.pattern.is_empty() {
        over.method.to_owned()
    } else {
        format!("{} {}", over.method, over.pattern)
    };
    let mut spans = vec![Span {
        start: clock.at(over.started),
        end: clock.time,
        attributes: attributes(over),
        status: (over.status >= 500 || over.cut).then(|| error(over.problem.unwrap_or_default())),
        ..span(own, over.trace.parent(), name, SpanKind::Server)
    }];
    let steps: Vec<(u64, &StepReport)> = over
        .run
        .iter()
        .flat_map(|run| &run.steps)
        .take(MOST)
        .map(|step| (fastrand::u64(1..), step))
        .collect();
    for (id, step) in &steps {
        let Some(run) = over.run else { break };
        // `outer.inner` is a step of the composition that `outer` uses.
        let outer = step.step.rsplit_once('.').and_then(|(outer, _)| {
            let found = steps.iter().find(|(_, known)| known.step == outer);
            found.map(|(id, _)| *id)
        });
        let started = run.started + milliseconds(step.started_ms);
        let failed = step.outcome == StepOutcome::Failed;
        let mut attributes = vec![
            wire::text("isobar.step", step.step.as_str()),
            wire::text("isobar.work", &*step.work),
            wire::text("isobar.outcome", step.outcome.name()),
        ];
        attributes.extend(
            step.vendor
                .as_deref()
                .map(|vendor| wire::text("isobar.vendor", vendor)),
        );
        spans.push(Span {
            start: clock.at(started),
            end: clock.at(started + milliseconds(step.took_ms)),
            attributes,
            status: failed.then(|| error("")),
            ..span(
                *id,
                Some(outer.unwrap_or(own)),
                format!("step {}", step.step),
                SpanKind::Internal,
            )
        });
    }
    let mut claimed = Claims::of(&steps);
    let attempts = over.tried.iter().filter(|tried| tried.is_attempt());
    for (number, tried) in (1..).zip(attempts.take(MOST)) {
        let parent = claimed.step_of(tried).unwrap_or(own);
        let mut attributes = vec![
            wire::text("isobar.account", tried.account.name()),
            wire::text("isobar.verdict", tried.outcome.name()),
            wire::attribute("isobar.attempt", Value::Integer(number)),
        ];
        let worked = matches!(tried.outcome, Outcome::Ended(Verdict::Ok));
        if !worked {
            attributes.push(wire::text("isobar.reason", tried.reason.to_string()));
        }
        let failed = !worked && tried.outcome != Outcome::Overtaken;
        spans.push(Span {
            start: clock.at(tried.ended.checked_sub(tried.took).unwrap_or(tried.ended)),
            end: clock.at(tried.ended),
            attributes,
            status: failed.then(|| error(tried.outcome.name())),
            ..span(
                fastrand::u64(1..),
                Some(parent),
                format!("attempt {}", tried.account.name()),
                SpanKind::Client,
            )
        });
    }
    spans
}

fn attributes(over: &Over<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![wire::text("http.request.method", over.method)];
    if !over.route.is_empty() {
        attributes.push(wire::text("http.route", over.pattern));
        attributes.push(wire::text("isobar.route", over.route));
    }
    if over.status > 0 {
        let status = Value::Integer(over.status.into());
        attributes.push(wire::attribute("http.response.status_code", status));
    }
    let texts = [
        ("isobar.client", over.client),
        ("isobar.vendor", over.vendor),
        ("error.type", over.problem),
    ];
    let known = texts
        .into_iter()
        .filter_map(|(key, value)| Some(wire::text(key, value?)));
    attributes.extend(known);
    if over.cut {
        attributes.push(wire::attribute("isobar.cut", Value::Bool(true)));
    }
    attributes
}

fn error(message: &str) -> Status {
    Status {
        message: message.to_owned(),
        code: 2,
    }
}

fn milliseconds(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or_default()
}

/// Turns moments of the process into times of day.
struct Clock {
    now: Instant,
    time: u64,
}

impl Clock {
    fn at(&self, moment: Instant) -> u64 {
        let ago = self.now.saturating_duration_since(moment);
        let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
        self.time.saturating_sub(ago)
    }
}

/// Which step made which attempt: a step's report lists its attempts, each of which is claimed once.
struct Claims(Vec<(u64, isobar_compositions::Attempt)>);

impl Claims {
    fn of(steps: &[(u64, &StepReport)]) -> Self {
        let mut steps = steps.to_vec();
        // An inner step's attempts are its own, also where the outer one lists them.
        steps.sort_by_key(|(_, step)| std::cmp::Reverse(step.step.matches('.').count()));
        let claims = steps.iter().flat_map(|(id, step)| {
            let attempts = step.attempts.iter().cloned();
            attempts.map(move |attempt| (*id, attempt))
        });
        Self(claims.collect())
    }

    fn step_of(&mut self, tried: &Tried) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        let told = tried.attempt();
        let at = self.0.iter().position(|(_, attempt)| {
            attempt.vendor == told.vendor
                && attempt.verdict == told.verdict
                && attempt.millis == told.millis
        })?;
        Some(self.0.remove(at).0)
    }
}
