//! For tests: a transport with canned answers that keeps what it was asked.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use isobar_config::Secret;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::{
    Evidence,
    blob::Blob,
    call::{Call, Job, Output},
    failure::Failure,
    request::{Request, Response},
    transport::{Tokens, Transport},
    vendor::Account,
    vendors::Vendors,
};

/// Answers in order; more requests than answers fail the test.
#[derive(Default)]
pub(crate) struct Canned {
    answers: Mutex<VecDeque<Response>>,
    pub(crate) requests: Mutex<Vec<Request>>,
    /// How often work was given away that keeps a processor busy.
    pub(crate) blocked: Mutex<usize>,
}

impl Canned {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Response>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Self::default()
        }
    }

    /// The request of this number.
    pub(crate) fn request(&self, number: usize) -> Request {
        self.requests.lock()[number].clone()
    }

    /// The body of the request of this number, as a text.
    pub(crate) fn text(&self, number: usize) -> String {
        String::from_utf8(self.request(number).body.to_bytes().unwrap().to_vec()).unwrap()
    }

    /// The body of the request of this number, as JSON.
    pub(crate) fn json(&self, number: usize) -> Value {
        serde_json::from_str(&self.text(number)).unwrap()
    }
}

#[async_trait]
impl Transport for Canned {
    async fn send(&self, request: Request, _: Duration) -> Result<Response, Evidence> {
        self.requests.lock().push(request);
        Ok(self
            .answers
            .lock()
            .pop_front()
            .expect("no more requests are expected"))
    }

    async fn pause(&self, _: Duration) {}

    async fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        *self.blocked.lock() += 1;
        work();
    }
}

pub(crate) fn answer(media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Response {
        status: StatusCode::OK,
        headers,
        body: body.into(),
    }
}

pub(crate) fn json_answer(body: &Value) -> Response {
    answer("application/json", body.to_string())
}

fn input(fields: &Value) -> Map<String, Value> {
    fields.as_object().unwrap().clone()
}

/// A job with nothing but fields.
pub(crate) fn job(fields: &Value) -> Job {
    Job {
        input: input(fields),
        blobs: Vec::new(),
    }
}

/// A job about one of the recordings in `tests/fixtures/audio`.
pub(crate) fn recording(name: &str, fields: &Value) -> Job {
    let path = format!(
        "{}/../tests/fixtures/audio/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    Job {
        input: input(fields),
        blobs: vec![(
            "audio",
            Blob::of_bytes(std::fs::read(path).unwrap().into(), name),
        )],
    }
}

/// Does one job for an account with these fields.
pub(crate) async fn call(
    vendors: &Vendors,
    vendor: &str,
    operation: &str,
    fields: &[(&str, &str)],
    job: Job,
    transport: &Canned,
) -> Result<Output, Failure> {
    let vendor = vendors.get(vendor).unwrap();
    let given = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
        .collect();
    let account = Account::new("mine".to_owned(), vendor.clone(), None, given);
    let operation = vendor.operation(operation).unwrap();
    assert_eq!(operation.gap(&job, &account), None);
    let call = Call {
        account: &account,
        operation,
        transport,
        tokens: &Tokens::default(),
        deadline: Instant::now() + Duration::from_secs(10),
        id: "0b9a9e6e-5f9c-4f42-b0f1-6f0f2f8f7a01",
        extra: false,
    };
    call.perform(&[job]).await.remove(0)
}
