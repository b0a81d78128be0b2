//! Plans of many steps, each over an answer that is there at once: what the engine itself costs for each step.

use std::{
    fmt::Write as _,
    fs, io,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use isobar_benches::{MOOD, rounds::alternate, spread::Spread};
use isobar_compositions::{
    CallFailed, Called, Caller, HttpCall, HttpCalled, HttpHead, Known, OperationCall, Plan, check,
    run::{Ask, Engine, Unwatched},
};
use isobar_config::{Nothing, Source};
use serde_json::{Map, json};

/// How long one plan is run in one round.
const TURN: Duration = Duration::from_millis(200);
const STEPS: [usize; 4] = [2, 10, 50, 200];

/// Answers at once.
struct Canned;

#[async_trait]
impl Caller for Canned {
    async fn operation(&self, _: OperationCall<'_>) -> Result<Called, CallFailed> {
        Err(CallFailed {
            status: 503,
            kind: "no-account-available",
            reason: "no operation is offered".to_owned(),
            outcome_unknown: false,
            passing: false,
            retry_after: None,
            attempts: Vec::new(),
        })
    }

    async fn http(&self, _: HttpCall) -> Result<HttpCalled, CallFailed> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Ok(HttpCalled {
            head: HttpHead {
                status: StatusCode::OK,
                headers,
            },
            body: MOOD.into(),
        })
    }
}

pub(super) fn run(rounds: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut subjects = Vec::new();
    for steps in STEPS {
        subjects.push((steps, plan(steps, true)?));
        subjects.push((steps, plan(steps, false)?));
    }
    let kept = alternate("plans", rounds, &subjects, |(steps, plan)| {
        runtime.block_on(cost(plan, *steps))
    })?;
    println!("\n### The engine alone, µs of processor time for each step\n");
    println!("| steps | each needs the one before | all need the first |\n| --- | --- | --- |");
    for (steps, pair) in STEPS.iter().zip(kept.chunks(2)) {
        let cells = pair.iter().map(|kept| {
            let Spread {
                median,
                least,
                most,
                ..
            } = Spread::of(kept);
            format!("{median:.2} ({least:.2} to {most:.2})")
        });
        println!("| {steps} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

/// A plan in which each step needs the one before, or all need the first.
fn plan(steps: usize, chain: bool) -> io::Result<Arc<Plan>> {
    let mut text = "composition: many\ninput: { label: string }\nhosts: [api.example.com]\n\
                    limits: { calls: 1000, at_once: 64 }\nsteps:\n"
        .to_owned();
    for step in 0..steps {
        let value = match step {
            0 => "$.input.label".to_owned(),
            _ if chain => format!("$.s{}.body.label", step - 1),
            _ => "$.s0.body.label".to_owned(),
        };
        let _ = writeln!(
            text,
            "  s{step}: {{ http: {{ method: POST, url: \"https://api.example.com/mood\", json: {{ step: {step}, text: {value} }} }} }}"
        );
    }
    text.push_str("output:\n");
    let first = if chain { steps.saturating_sub(1) } else { 0 };
    for step in first..steps {
        let _ = writeln!(text, "  l{step}: $.s{step}.body.label");
    }
    let source = Source {
        name: "many.yaml".to_owned(),
        text,
    };
    let (plans, report) = check(&[source], &Known::default(), &Nothing);
    match plans.last() {
        Some(plan) if !report.has_errors() => Ok(Arc::clone(plan)),
        _ => Err(io::Error::other(report.text(false))),
    }
}

/// Microseconds of this thread's processor time for each step.
async fn cost(plan: &Plan, steps: usize) -> io::Result<f64> {
    let engine = Engine {
        caller: &Canned,
        journal: None,
        watch: &Unwatched,
    };
    let once = || async {
        let mut fields = Map::new();
        fields.insert("label".to_owned(), json!("positive"));
        let inputs = plan
            .accept(fields, Vec::new())
            .map_err(|bad| io::Error::other(bad.to_string()))?;
        let ask = Ask {
            inputs,
            id: "b1946ac9-2f8e-4b1c-8d3a-2f8e4b1c8d3a",
            key: "b1946ac9-2f8e-4b1c-8d3a-2f8e4b1c8d3a",
            deadline: None,
        };
        let ran = engine.run(plan, ask, std::future::pending()).await;
        ran.result
            .map(drop)
            .map_err(|failed| io::Error::other(failed.to_string()))
    };
    for _ in 0..10 {
        once().await?;
    }
    let (began, before) = (Instant::now(), spent()?);
    let mut runs = 0_u32;
    while began.elapsed() < TURN {
        once().await?;
        runs += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "200 steps at most")]
    let steps = steps as f64;
    Ok((spent()? - before) / 1e3 / f64::from(runs) / steps)
}

/// Nanoseconds that this thread has run.
fn spent() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().map_err(io::Error::other)
}
