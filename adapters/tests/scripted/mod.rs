//! A vendor made of canned answers: what is sent to it is kept, and nothing leaves the process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use isobar_adapters::{
    Account, Blob, Call, Evidence, Failure, Job, Output, Request, Response, Tokens, Transport,
    Vendor, contract,
};
use serde_json::Value;

/// A request as it was sent.
pub(crate) struct Sent {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Parts of a multipart body, `name` and content; a file's content is its length and type.
    pub(crate) fn parts(&self) -> Vec<(String, String)> {
        let boundary = self.header("content-type").rsplit_once("boundary=");
        let boundary = boundary.unwrap().1;
        let body = String::from_utf8_lossy(&self.body).into_owned();
        let between = format!("--{boundary}");
        let parts = body.split(&between);
        let parts = parts.filter_map(|part| part.split_once("\r\n\r\n"));
        parts
            .map(|(head, content)| {
                let name = head.split("name=\"").nth(1).unwrap();
                let name = name.split('"').next().unwrap().to_owned();
                let content = if head.contains("filename=") {
                    head.rsplit("content-type: ").next().unwrap().to_owned()
                } else {
                    content.trim_end_matches("\r\n").to_owned()
                };
                (name, content)
            })
            .collect()
    }
}

/// Answers in order, and what was sent for them.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<(u16, Bytes)>>,
    pub(crate) sent: Mutex<Vec<Sent>>,
}

impl Script {
    pub(crate) fn of(answers: &[(u16, Value)]) -> Self {
        let answers = answers
            .iter()
            .map(|(status, body)| (*status, body.to_string().into()));
        Self {
            answers: Mutex::new(answers.collect()),
            sent: Mutex::default(),
        }
    }

    pub(crate) fn bytes(status: u16, body: &'static [u8]) -> Self {
        Self {
            answers: Mutex::new(VecDeque::from([(status, Bytes::from_static(body))])),
            sent: Mutex::default(),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|sent| sent.line.clone()).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request, _: Duration) -> Result<Response, Evidence> {
        self.sent.lock().unwrap().push(Sent {
            line: format!("{} {}", request.method, request.uri),
            headers: request.headers.clone(),
            body: request.body.to_bytes().unwrap(),
        });
        let answer = self.answers.lock().unwrap().pop_front();
        let (status, body) = answer.unwrap_or_else(|| {
            panic!("no answer is left for {} {}", request.method, request.uri);
        });
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Response {
            status,
            headers: HeaderMap::new(),
            body,
        })
    }

    async fn pause(&self, _: Duration) {}
}

/// An account with these fields.
pub(crate) fn account(vendor: &Arc<Vendor>, fields: &[(&str, &str)]) -> Account {
    let secret = |text: &str| isobar_config::Secret::new(text.to_owned());
    let given = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), secret(value)));
    Account::new("mine".to_owned(), Arc::clone(vendor), None, given.collect())
}

/// An input, checked against its contract.
pub(crate) fn job(operation: &str, input: Value) -> Job {
    let contract = contract(operation).unwrap();
    let Value::Object(input) = input else {
        panic!("an input is an object")
    };
    let input = contract.check(input).unwrap();
    let audio = || {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/audio/tone.wav"
        );
        Blob::of_bytes(std::fs::read(path).unwrap().into(), "tone.wav")
    };
    let blobs = contract.blobs.iter().map(|name| (*name, audio()));
    Job {
        input,
        blobs: blobs.collect(),
    }
}

/// Does jobs at an account over a script.
pub(crate) async fn perform(
    account: &Account,
    operation: &str,
    jobs: &[Job],
    script: &Script,
) -> Vec<Result<Output, Failure>> {
    let call = Call {
        account,
        operation: account.vendor.operation(operation).unwrap(),
        transport: script,
        tokens: &Tokens::default(),
        deadline: Instant::now() + Duration::from_mins(1),
        id: "0192f0c1-2d3e-7a4b-8c5d-6e7f8091a2b3",
        extra: false,
    };
    call.perform(jobs).await
}
