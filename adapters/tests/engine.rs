//! What the manifest language does, shown with a vendor made up for it and a transport that answers at once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and what they share"
)]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use isobar_adapters::{
    Account, Call, Content, Evidence, Failure, Files, Job, Kind, Output, Request, Response, Tokens,
    Transport, Vendor, Vendors,
};
use isobar_config::{Secret, Source};
use serde_json::{Value, json};

const VENDOR: &str = "
vendor: acme
account:
  key: { secret: true, optional: true }
  service_account: { secret: true, optional: true }
  region: { default: north }
  endpoint: { default: \"https://{$.account.region}.acme.test\" }
base: \"{$.account.endpoint}\"
auth: { key_or_file: { header: x-key, scope: all } }
";

fn compile(files: &[(&str, &str)]) -> Result<Arc<Vendor>, String> {
    let source = |(name, text): &(&str, &str)| Source {
        name: format!("acme/{name}.yaml"),
        text: (*text).to_owned(),
    };
    let files = Files {
        folder: "acme".to_owned(),
        sources: files.iter().map(source).collect(),
    };
    let (vendors, report) = Vendors::default().with(&[files]);
    match vendors.get("acme") {
        Some(vendor) if report.is_empty() => Ok(Arc::clone(vendor)),
        _ => Err(report.text(false)),
    }
}

fn account(vendor: &Arc<Vendor>, fields: &[(&str, &str)]) -> Account {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new(*value));
    let given = fields.iter().map(field).collect();
    Account::new("mine".to_owned(), Arc::clone(vendor), None, given)
}

/// Answers every request by a function, and keeps what it was sent.
struct Canned<F> {
    answer: F,
    sent: Mutex<Vec<(String, HeaderMap, Value)>>,
}

#[async_trait]
impl<F: Fn(&str, &Value) -> Value + Send + Sync> Transport for Canned<F> {
    async fn send(&self, request: Request, _: Duration) -> Result<Response, Evidence> {
        let bytes = request.body.to_bytes().unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8(bytes.to_vec()).unwrap()));
        let address = request.uri.to_string();
        let answer = (self.answer)(&address, &body);
        let mut sent = self.sent.lock().unwrap();
        sent.push((address, request.headers, body));
        Ok(Response {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: answer.to_string().into(),
        })
    }

    async fn pause(&self, _: Duration) {}
}

type Sent = Vec<(String, HeaderMap, Value)>;

fn perform(
    account: &Account,
    operation: &str,
    inputs: &[Value],
    answer: impl Fn(&str, &Value) -> Value + Send + Sync,
) -> (Vec<Result<Output, Failure>>, Sent) {
    let transport = Canned {
        answer,
        sent: Mutex::default(),
    };
    let job = |input: &Value| Job {
        input: input.as_object().unwrap().clone(),
        blobs: Vec::new(),
    };
    let jobs: Vec<Job> = inputs.iter().map(job).collect();
    let call = Call {
        account,
        operation: account.vendor.operation(operation).unwrap(),
        transport: &transport,
        tokens: &Tokens::default(),
        deadline: Instant::now() + Duration::from_secs(5),
        id: "id",
        extra: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let outputs = runtime.block_on(call.perform(&jobs));
    (outputs, transport.sent.into_inner().unwrap())
}

const DETECT: &str = "
language:
  batch: { most: 3, characters: 10 }
  call: POST /detect
  body: { json: { each: $.documents, as: $.text } }
  returns: { results: { each: $.body, as: { languages: [ { code: $ } ] } } }
  ignores: [model]
";

#[test]
fn a_batch_is_as_large_as_its_texts_let_it() {
    let vendor = compile(&[("vendor", VENDOR), ("text", DETECT)]).unwrap();
    let texts = ["aaaa", "bbbb", "cc", "é", "longerthanten", "dd"];
    let inputs: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    // The vendor repeats each text as its language.
    let (outputs, mut sent) = perform(
        &account(&vendor, &[("key", "k")]),
        "text.language",
        &inputs,
        |_, body| body.clone(),
    );
    sent.sort_by_key(|(_, _, body)| body.to_string());
    let bodies: Vec<&Value> = sent.iter().map(|(_, _, body)| body).collect();
    assert_eq!(
        bodies,
        [
            &json!(["aaaa", "bbbb", "cc"]),
            &json!(["longerthanten"]),
            &json!(["é", "dd"])
        ]
    );
    for (text, output) in texts.iter().zip(outputs) {
        let Content::Language(found) = output.unwrap().content else {
            panic!("not a language");
        };
        assert_eq!(found.languages[0].code, *text);
    }
}

const MOOD: &str = "
sentiment:
  batch: { most: 10, alone_unless: language }
  steps:
    detect:
      unless: $.documents[0].language
      call: POST /detect
      body: { json: { each: $.documents, as: $.text } }
      keep: { language: $.body.language }
    analyse:
      call: POST /analyse
      body:
        json:
          each: $.documents
          as: { id: $.index, language: { $any: [ $.language?, $.kept.language ] } }
  returns:
    results: { each: $.body, as: { id: $.id, score: 0.5, language: $.language } }
  limits: { text: 100 }
  ignores: [model]
";

#[test]
fn what_is_found_out_of_one_text_is_said_of_that_text_alone() {
    let vendor = compile(&[("vendor", VENDOR), ("text", MOOD)]).unwrap();
    let inputs = [
        json!({ "text": "ja" }),
        json!({ "text": "yes", "language": "en" }),
        json!({ "text": "oui" }),
        json!({ "text": "no", "language": "en" }),
    ];
    let (outputs, sent) = perform(
        &account(&vendor, &[("key", "k")]),
        "text.sentiment",
        &inputs,
        |address, body| {
            if address.ends_with("/detect") {
                assert_eq!(body.as_array().unwrap().len(), 1);
                return json!({ "language": if body[0] == "ja" { "de" } else { "fr" } });
            }
            body.clone()
        },
    );
    let languages: Vec<String> = outputs
        .into_iter()
        .map(|output| match output.unwrap().content {
            Content::Sentiment(sentiment) => sentiment.language.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(languages, ["de", "en", "fr", "en"]);
    assert_eq!(sent.len(), 5);
}

const SPEECH: &str = "
synthesize:
  call: POST /speak
  model: clear
  body:
    text:
      type: application/ssml+xml
      content:
        - <speak>
        - { $any: [ \"<voice name='{$.voice_id? | xml}'>\", \"<voice name='{$.voice | default(any)}'>\" ] }
        - { $when: $.speed, $value: \"<rate {$.speed?}>\" }
        - $.text | xml
        - \"</voice></speak>\"
  headers: { x-model: $.model }
  returns: { audio: $.body }
  models: [clear, deep]
  limits: { within: { speed: [0.5, 2] }, cannot: [language, format, instructions] }
";

#[test]
fn a_text_is_put_together_from_the_pieces_that_are_there() {
    let vendor = compile(&[("vendor", VENDOR), ("speech", SPEECH)]).unwrap();
    let given = [("key", "k"), ("region", "south")];
    let mine = account(&vendor, &given);
    let ask = |account: &Account, input: Value| {
        let (outputs, mut sent) =
            perform(account, "speech.synthesize", &[input], |_, _| json!("x"));
        (outputs.into_iter().next().unwrap(), sent.pop())
    };
    let (output, sent) = ask(
        &mine,
        json!({ "text": "a < b", "voice": "mine/o'neil", "speed": 1.5 }),
    );
    let (address, headers, body) = sent.unwrap();
    assert_eq!(
        body,
        "<speak><voice name='o&apos;neil'><rate 1.5>a &lt; b</voice></speak>"
    );
    assert_eq!(address, "https://south.acme.test/speak");
    assert_eq!(headers["content-type"], "application/ssml+xml");
    assert_eq!(headers["x-model"], "clear");
    assert_eq!(output.unwrap().model.as_deref(), Some("clear"));
    // An account's own endpoint may end in a slash.
    let own = account(
        &vendor,
        &[("key", "k"), ("endpoint", "https://own.test/here/")],
    );
    let (output, sent) = ask(&own, json!({ "text": "a", "model": "acme/deep" }));
    let (address, headers, body) = sent.unwrap();
    assert_eq!(body, "<speak><voice name='any'>a</voice></speak>");
    assert_eq!(address, "https://own.test/here/speak");
    assert_eq!(headers["x-model"], "deep");
    assert_eq!(output.unwrap().model.as_deref(), Some("deep"));
    // Numbers that are not within the limits.
    let operation = vendor.operation("speech.synthesize").unwrap();
    let gap = |speed: f64| {
        let input = json!({ "text": "a", "speed": speed });
        let job = Job {
            input: input.as_object().unwrap().clone(),
            blobs: Vec::new(),
        };
        operation.gap(&job, &mine)
    };
    assert_eq!(gap(2.5).as_deref(), Some("takes `speed` from 0.5 to 2"));
    assert!(gap(0.4).is_some() && gap(0.5).is_none() && gap(2.0).is_none());
}

#[test]
fn a_key_is_used_before_a_key_file_and_neither_is_a_failure() {
    let vendor = compile(&[("vendor", VENDOR), ("text", DETECT)]).unwrap();
    let file = json!({
        "type": "service_account", "private_key_id": "1", "client_email": "me@acme.test",
        "private_key": include_str!("../../tests/fixtures/auth/rsa.pkcs8.pem"),
        "token_uri": "https://tokens.test/token",
    })
    .to_string();
    let input = [json!({ "text": "a" })];
    let ask = |fields: &[(&str, &str)]| {
        perform(
            &account(&vendor, fields),
            "text.language",
            &input,
            |address, _| {
                if address.ends_with("/token") {
                    return json!({ "access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer" });
                }
                json!(["en"])
            },
        )
    };
    let (outputs, sent) = ask(&[("service_account", &file)]);
    assert!(outputs[0].is_ok());
    assert_eq!(sent[0].0, "https://tokens.test/token");
    assert_eq!(sent[1].1["authorization"], "Bearer t0ken");
    assert!(!sent[1].1.contains_key("x-key"));
    let (outputs, sent) = ask(&[("service_account", &file), ("key", "k")]);
    assert!(outputs[0].is_ok());
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1["x-key"], "k");
    let (outputs, sent) = ask(&[]);
    assert_eq!(outputs[0].as_ref().unwrap_err().kind, Kind::Auth);
    assert!(sent.is_empty());
}

#[test]
fn mistakes_in_the_newer_keys_are_told() {
    let text = |from: &str, to: &str| {
        assert!(MOOD.contains(from), "{from}");
        compile(&[("vendor", VENDOR), ("text", &MOOD.replace(from, to))]).unwrap_err()
    };
    let speech = |from: &str, to: &str| {
        assert!(SPEECH.contains(from), "{from}");
        compile(&[("vendor", VENDOR), ("speech", &SPEECH.replace(from, to))]).unwrap_err()
    };
    let vendor = |from: &str, to: &str| {
        assert!(VENDOR.contains(from), "{from}");
        compile(&[("vendor", &VENDOR.replace(from, to))]).unwrap_err()
    };
    let mood =
        |from: &str, to: &str| text(&format!("  returns:{from}"), &format!("  returns:{to}"));
    for (told, wanted) in [
        (text("most: 10, ", ""), "`most` is missing"),
        (text("most: 10", "most: 0"), "a whole number from 1 to 1000"),
        (
            text("alone_unless: language", "alone_unless: lang"),
            "has no input `lang`",
        ),
        (
            text("alone_unless", "alone_if"),
            "`alone_if` is not a key of `batch`",
        ),
        (
            mood("\n", "\n    needs: $.status\n"),
            "`$.status` is not a place in the answer's body",
        ),
        (mood("\n", "\n    needs: [ nowhere ]\n"), "`nowhere`"),
        (
            mood("\n", "\n    root: $.bdoy.x\n"),
            "`$.bdoy.x` is not a place in an answer",
        ),
        (
            mood("\n", "\n    root: $.body.x | parse\n"),
            "`parse` is not a transform",
        ),
        (
            mood("\n", "\n    rooot: $.body.x\n"),
            "`rooot` is not a key of `returns`",
        ),
        (speech("[0.5, 2]", "[0.5]"), "a list of two numbers"),
        (
            speech("speed: [0.5, 2]", "spede: [0.5, 2]"),
            "has no input `spede`",
        ),
        (speech("[0.5, 2]", "[0.5, fast]"), "this should be a number"),
        (speech("  model: clear\n", ""), "`model` need not be given"),
        (
            speech("$.text | xml", "$.txet | xml"),
            "has no input `txet`",
        ),
        (
            vendor("{$.account.region}.acme", "{$.account.reigon}.acme"),
            "no field before this one is called `reigon`",
        ),
    ] {
        assert!(told.contains(wanted), "{wanted} in\n{told}");
    }
}
