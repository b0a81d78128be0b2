//! What every vendor's tests need.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use isobar_sandbox::{
    Sandbox,
    faults::{Class, Fault, Rule},
    ledger::Entry,
};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// A recording of two sentences: "The weather in London is sunny today. Please call me back at three o'clock."
pub(crate) const WEATHER: &[u8] = include_bytes!("../../fixtures/weather.wav");
/// A recording of two speakers, by the table's word: "Thank you for … in Paris." and "Maria was very helpful."
pub(crate) const HOTEL: &[u8] = include_bytes!("../../fixtures/hotel.wav");
/// What [`WEATHER`] says.
pub(crate) const WEATHER_TEXT: &str =
    "The weather in London is sunny today. Please call me back at three o'clock.";

/// Every class of error.
pub(crate) const CLASSES: [Class; 9] = [
    Class::Auth,
    Class::Quota,
    Class::Rate,
    Class::Invalid,
    Class::TooLarge,
    Class::Unsupported,
    Class::NotFound,
    Class::Internal,
    Class::Unavailable,
];

/// A sandbox, and a client that never reuses a connection.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
    vendor: &'static str,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Bench {
    pub(crate) async fn new(vendor: &'static str) -> Self {
        // The client asks for a provider even where nothing is encrypted; another test may have named it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            sandbox: Sandbox::start((Ipv4Addr::LOCALHOST, 0).into())
                .await
                .unwrap(),
            client: Client::builder()
                .pool_max_idle_per_host(0)
                .timeout(Duration::from_secs(20))
                .no_proxy()
                .build()
                .unwrap(),
            vendor,
        }
    }

    /// `http://ADDRESS/VENDOR` and the rest.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}/{}{rest}", self.sandbox.url(), self.vendor)
    }

    pub(crate) fn get(&self, rest: &str) -> RequestBuilder {
        self.client.get(self.url(rest))
    }

    pub(crate) fn post(&self, rest: &str) -> RequestBuilder {
        self.client.post(self.url(rest))
    }

    /// Replaces the script by one rule for every call of this vendor.
    pub(crate) fn fault(&self, fault: Fault) {
        self.sandbox.faults().set([Rule::at(self.vendor, fault)]);
    }

    /// What this vendor received last.
    pub(crate) fn last(&self) -> Entry {
        self.sandbox
            .ledger()
            .entries(Some(self.vendor))
            .pop()
            .unwrap()
    }
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .to_str()
            .unwrap()
    }

    /// Itself, if it has this status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// Sends and reads the whole answer.
pub(crate) async fn send(request: RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    Got {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

/// A multipart form without any library: fields, then the file.
pub(crate) fn multipart(
    fields: &[(&str, &str)],
    file: Option<(&str, &str, &[u8])>,
) -> (String, Vec<u8>) {
    let boundary = "a-boundary-for-tests";
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    if let Some((name, filename, bytes)) = file {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: application/octet-stream\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// The same request with an `application/x-www-form-urlencoded` body.
pub(crate) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(pairs.collect::<Vec<_>>().join("&"))
}

/// A WAV of so many seconds in which nothing is said, at 16 kHz.
pub(crate) fn silence(seconds: u32) -> Vec<u8> {
    let size = seconds * 32_000;
    let mut bytes = WEATHER[..40].to_vec();
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.resize(44 + usize::try_from(size).unwrap(), 0);
    bytes
}

/// Texts in which places are easily miscounted: names behind emoji, Chinese and letters of several code points.
pub(crate) fn mixed_texts() -> Vec<String> {
    let between = [
        "",
        " ",
        "😀 ",
        "今天很好。",
        "e\u{301}té ",
        "👩\u{200d}👩\u{200d}👧 ",
        "👍🏽 🇩🇪 ",
        "\r\n",
    ];
    let others = between.iter().cycle().skip(3);
    let mut texts = Vec::new();
    for (one, other) in between.iter().zip(others) {
        texts.push(format!(
            "{one}We met Maria {other}in London, {one}{other}on Monday."
        ));
        texts.push(format!(
            "{other}Maria is happy.{one} London is good. {other}"
        ));
    }
    texts
}

/// A contract file, or `None`, said aloud, when there is none here.
pub(crate) fn contract(path: &str) -> Option<Value> {
    let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
        eprintln!("skipped {path}: ISOBAR_CONTRACTS is not set");
        return None;
    };
    let bytes = std::fs::read(Path::new(&folder).join(path)).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// Checks an instance against `components.schemas.NAME` (or `definitions.NAME`) of a description.
pub(crate) fn conforms(description: &Value, pointer: &str, instance: &Value) {
    let mut schema = description.clone();
    nullable(&mut schema);
    let object = schema.as_object_mut().unwrap();
    object.retain(|name, _| ["components", "definitions", "paths"].contains(&name.as_str()));
    object.insert("$ref".to_owned(), json!(pointer));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mistakes: Vec<_> = validator
        .iter_errors(instance)
        .map(|mistake| format!("{} at {}", mistake, mistake.instance_path()))
        .collect();
    assert!(mistakes.is_empty(), "{pointer}: {mistakes:#?}\n{instance}");
}

/// `nullable: true` of `OpenAPI` 3.0 in terms of JSON Schema.
fn nullable(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(nullable);
            if object.remove("nullable") == Some(json!(true)) {
                let inner = Value::Object(std::mem::take(object));
                object.insert("anyOf".to_owned(), json!([inner, { "type": "null" }]));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(nullable),
        _ => {}
    }
}

/// Every class of error comes in a status of 400 or more and nothing is executed. `shape` sees each body.
pub(crate) async fn every_class(
    bench: &Bench,
    request: impl Fn() -> RequestBuilder,
    shape: impl Fn(Class, &Got),
) {
    for class in CLASSES {
        bench.fault(Fault::error(class));
        let got = send(request()).await;
        assert!(
            StatusCode::from_u16(got.status).unwrap().as_u16() >= 400,
            "{class:?} {got:?}"
        );
        shape(class, &got);
        let entry = bench.last();
        assert!(
            !entry.executed && entry.fault.as_deref() == Some("error"),
            "{entry:?}"
        );
    }
    bench.sandbox.reset();
}

/// The same for vendors that report failure inside a 200.
pub(crate) async fn every_class_in_200(
    bench: &Bench,
    request: impl Fn() -> RequestBuilder,
    shape: impl Fn(Class, &Got),
) {
    for class in CLASSES {
        bench.fault(Fault::error(class));
        shape(class, &send(request()).await.expect(200));
        let entry = bench.last();
        assert!(
            !entry.executed && entry.fault.as_deref() == Some("error"),
            "{entry:?}"
        );
    }
    bench.sandbox.reset();
}
