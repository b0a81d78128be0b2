//! What vendors answer, and the recordings that clients send to them.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use isobar_adapters::{Account, Blob, Job, Operation, Response, Vendor, built_in, media};
use isobar_config::Secret;
use serde_json::json;

/// Every operation of every vendor that is built in.
static OPERATIONS: LazyLock<Vec<(Arc<Account>, &'static Operation)>> = LazyLock::new(|| {
    let (vendors, _) = built_in();
    let pairs = vendors.iter().flat_map(|vendor: &'static Arc<Vendor>| {
        let given = vendor
            .fields
            .iter()
            .map(|field| (field.name.clone(), Secret::new("secret-of-the-account")));
        let account = Arc::new(Account::new(
            "mine".to_owned(),
            vendor.clone(),
            None,
            given.collect(),
        ));
        vendor
            .operations
            .iter()
            .map(move |operation| (Arc::clone(&account), operation))
    });
    pairs.collect()
});

/// Which operation, which status, then `name: value` lines up to an empty one, then the body.
pub(crate) fn answer(data: &[u8]) {
    let [which, status, rest @ ..] = data else {
        return;
    };
    let index = usize::from(*which) % OPERATIONS.len();
    let (account, operation) = &OPERATIONS[index];
    let statuses = [
        200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 429, 500, 503,
    ];
    let status = statuses[usize::from(*status) % statuses.len()];
    let mut headers = HeaderMap::new();
    let mut body = rest;
    if let Some(at) = rest.windows(2).position(|pair| pair == b"\n\n") {
        body = &rest[at + 2..];
        for line in rest[..at].split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(&line[colon + 1..]);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
    }
    headers
        .entry("content-type")
        .or_insert(HeaderValue::from_static("application/json"));
    let input =
        json!({ "text": "Grüße aus Köln", "to": "en", "language": "de", "labels": ["a", "b"] });
    let job = Job {
        input: input.as_object().cloned().unwrap_or_default(),
        blobs: vec![(
            "audio",
            Blob::of_bytes(Bytes::from_static(b"RIFF"), "a.wav"),
        )],
    };
    let response = Response {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
        headers,
        body: Bytes::copy_from_slice(body),
    };
    let jobs = [job.clone(), job];
    for jobs in [&jobs[..1], &jobs[..]] {
        let outcomes = operation.interpret(account, jobs, &response);
        for outcome in outcomes {
            // What is told of an answer never has the account's key in it, unless the vendor said it.
            let told = match outcome {
                Ok(output) => serde_json::to_string(&output).unwrap_or_default(),
                Err(failure) => failure.to_string(),
            };
            let said = String::from_utf8_lossy(&response.body);
            assert!(
                !told.contains("secret-of-the-account") || said.contains("secret-of-the-account")
            );
        }
    }
}

/// A recording, looked at. Decoding is left out: the decoder for ADPCM reckons with overflow, which only an unoptimised
/// program takes for a panic.
pub(crate) fn media(data: &[u8]) {
    let _ = media::probe(data, data.len() as u64);
    let _ = media::probe_reader(std::io::Cursor::new(data.to_vec()));
}
