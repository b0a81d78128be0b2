//! Requests rendered and answers read, without any socket.

use std::{
    hint::black_box,
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, StatusCode};
use isobar_adapters::{Account, Blob, Job, Operation, Response, built_in, contract};
use isobar_benches::{answer, byhand, recording, rounds::alternate, spread::Spread};
use isobar_config::Secret;
use serde_json::{Value, json};

/// How long one subject runs in one round.
const TURN: Duration = Duration::from_millis(200);

/// A piece of work, and what it is called.
struct Subject<'a> {
    name: String,
    work: Box<dyn Fn() + 'a>,
}

pub(super) fn run(rounds: usize) -> io::Result<()> {
    println!("\n### A request rendered, µs of processor time\n");
    let prepared: Vec<_> = [
        (
            "deepl",
            "translation.translate",
            json!({ "text": "The weather is good.", "from": "en", "to": "fr" }),
        ),
        (
            "deepgram",
            "speech.transcribe",
            json!({ "language": "en", "keywords": ["London"] }),
        ),
        (
            "openai",
            "speech.transcribe",
            json!({ "language": "en", "prompt": "About the weather." }),
        ),
        (
            "aws",
            "translation.translate",
            json!({ "text": "The weather is good.", "from": "en", "to": "fr" }),
        ),
        (
            "tencent",
            "translation.translate",
            json!({ "text": "The weather is good.", "from": "en", "to": "fr" }),
        ),
    ]
    .into_iter()
    .map(|(vendor, operation, input)| (vendor, account(vendor), operation, job(operation, &input)))
    .collect();
    let kinds = [
        "JSON",
        "raw body",
        "multipart",
        "JSON, signed (SigV4)",
        "JSON, signed (TC3)",
    ];
    let subjects = prepared
        .iter()
        .zip(kinds)
        .map(|((vendor, account, operation, job), kind)| {
            let operation = found(account, operation);
            let now = SystemTime::now();
            Subject {
                name: format!("{kind}: `{}` at {vendor}", operation.contract.name),
                work: Box::new(move || {
                    let request = operation.prepare(
                        account,
                        std::slice::from_ref(job),
                        "0192f0c1-2d3e-7a4b-8c5d-6e7f8091a2b3",
                        now,
                    );
                    black_box(request.is_ok());
                }),
            }
        });
    println!("| | µs (range) |\n| --- | --- |");
    for (name, spread) in measured(rounds, &subjects.collect::<Vec<_>>())? {
        let Spread {
            median,
            least,
            most,
            ..
        } = spread;
        println!("| {name} | {median:.2} ({least:.2} to {most:.2}) |");
    }
    for size in [2 * 1024, 200 * 1024] {
        interpreted(rounds, size)?;
    }
    Ok(())
}

fn interpreted(rounds: usize, size: usize) -> io::Result<()> {
    let body = answer(size);
    let account = account("deepgram");
    let operation = found(&account, "speech.transcribe");
    let jobs = [job("speech.transcribe", &json!({}))];
    let response = Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.clone().into(),
    };
    let read = operation.interpret(&account, &jobs, &response);
    assert!(
        read.iter().all(Result::is_ok) && byhand::transcript(&body).is_some(),
        "the answer can be read"
    );
    println!(
        "\n### A transcription of {} bytes read, µs of processor time\n",
        body.len()
    );
    let subjects = [
        Subject {
            name: "typed structs, written by hand".to_owned(),
            work: Box::new(|| drop(black_box(byhand::transcript(black_box(&body))))),
        },
        Subject {
            name: "serde_json's document alone".to_owned(),
            work: Box::new(|| drop(black_box(serde_json::from_slice::<Value>(black_box(&body))))),
        },
        Subject {
            name: "Isobar: from the manifest".to_owned(),
            work: Box::new(|| {
                drop(black_box(operation.interpret(
                    &account,
                    &jobs,
                    black_box(&response),
                )))
            }),
        },
    ];
    let rows = measured(rounds, &subjects)?;
    let base = rows.first().map_or(1.0, |(_, spread)| spread.median);
    let document = rows.get(1).map_or(1.0, |(_, spread)| spread.median);
    println!(
        "| | µs (range) | ratio to typed structs | ratio to the document |\n| --- | --- | --- | --- |"
    );
    for (name, spread) in rows {
        let Spread {
            median,
            least,
            most,
            ..
        } = spread;
        println!(
            "| {name} | {median:.2} ({least:.2} to {most:.2}) | {:.2} | {:.2} |",
            median / base,
            median / document
        );
    }
    Ok(())
}

/// Each subject's times, in µs.
fn measured(rounds: usize, subjects: &[Subject<'_>]) -> io::Result<Vec<(String, Spread)>> {
    for subject in subjects {
        turn(&*subject.work);
    }
    let times = alternate("work", rounds, subjects, |subject| Ok(turn(&*subject.work)))?;
    let names = subjects.iter().map(|subject| subject.name.clone());
    Ok(names
        .zip(times.iter().map(|kept| Spread::of(kept)))
        .collect())
}

/// Processor time of one go, in µs: what others do on the machine meanwhile does not count.
fn turn(work: &dyn Fn()) -> f64 {
    let mut goes = 0_u32;
    let (began, spent) = (Instant::now(), spent());
    while began.elapsed() < TURN {
        for _ in 0..64 {
            work();
        }
        goes += 64;
    }
    let used = match (spent, self::spent()) {
        (Some(before), Some(after)) if after > before => after.saturating_sub(before),
        _ => began.elapsed(),
    };
    used.as_secs_f64() * 1e6 / f64::from(goes)
}

/// Time that this thread has run, where the system tells.
fn spent() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ')
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

#[expect(clippy::expect_used, reason = "a bench of a vendor that there is not")]
fn found<'a>(account: &'a Account, operation: &str) -> &'a Operation {
    account
        .vendor
        .operation(operation)
        .expect("the vendor offers it")
}

/// An account with something in every field.
#[expect(clippy::expect_used, reason = "a bench of a vendor that there is not")]
fn account(vendor: &str) -> Account {
    let vendor = built_in().0.get(vendor).expect("a vendor of this name");
    let given = vendor.fields.iter().filter(|field| field.required);
    let given = given.map(|field| (field.name.clone(), Secret::new("0123456789abcdef")));
    Account::new(
        vendor.name.clone(),
        Arc::clone(vendor),
        None,
        given.collect(),
    )
}

#[expect(
    clippy::expect_used,
    reason = "a bench of an operation that there is not"
)]
fn job(operation: &str, input: &Value) -> Job {
    let contract = contract(operation).expect("an operation of this name");
    let input = input.as_object().cloned().unwrap_or_default();
    let blob = || Blob::of_bytes(recording(16_000).into(), "a.wav");
    Job {
        input: contract.check(input).expect("an input of the operation"),
        blobs: contract.blobs.iter().map(|name| (*name, blob())).collect(),
    }
}
