//! AWS: the signer here is the tests' own.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use isobar_sandbox::faults::{Class, Fault, Rule};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Bench, CLASSES, Got, HOTEL, WEATHER, WEATHER_TEXT, contract, send};

const KEY: &str = "AKIASANDBOXEXAMPLE01";
const SECRET: &str = "sandbox-aws-secret-access-key";

/// How a request is signed; what is not said is right.
struct Signing<'a> {
    key: &'a str,
    secret: &'a str,
    service: &'a str,
    /// Seconds by which the clock is wrong.
    skew: i64,
    /// A claim about the body other than its hash.
    payload: Option<&'a str>,
}

impl<'a> Signing<'a> {
    fn for_service(service: &'a str) -> Self {
        Self {
            key: KEY,
            secret: SECRET,
            service,
            skew: 0,
            payload: None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `20261122T063000Z`.
fn stamp(skew: i64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let seconds = now.checked_add_signed(skew).unwrap();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut left) = (1970, days);
    let length = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) {
            366
        } else {
            365
        }
    };
    while left >= length(year) {
        left -= length(year);
        year += 1;
    }
    let february = if length(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for size in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < size {
            break;
        }
        left -= size;
        month += 1;
    }
    format!(
        "{year:04}{month:02}{:02}T{:02}{:02}{:02}Z",
        left + 1,
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// A signed request. `path` is the vendor's own, without a query.
fn signed(
    bench: &Bench,
    signing: &Signing<'_>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> RequestBuilder {
    let date = stamp(signing.skew);
    let day = &date[..8];
    let host = bench.sandbox.address().to_string();
    let hash = signing
        .payload
        .map_or_else(|| hex(&Sha256::digest(body)), str::to_owned);
    let mut all: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.push(("host".to_owned(), host));
    all.push(("x-amz-date".to_owned(), date.clone()));
    all.push(("x-amz-content-sha256".to_owned(), hash.clone()));
    all.sort();
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = all
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect::<Vec<_>>()
        .concat();
    // These tests' paths need no encoding, so once and twice are the same.
    let canonical = format!("{method}\n/aws{path}\n\n{lines}\n{names}\n{hash}");
    let scope = format!("{day}/us-east-1/{}/aws4_request", signing.service);
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = hmac(format!("AWS4{}", signing.secret).as_bytes(), day);
    for part in ["us-east-1", signing.service, "aws4_request"] {
        key = hmac(&key, part);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        signing.key,
        hex(&hmac(&key, &text))
    );
    let mut request = bench.client.request(
        Method::from_bytes(method.as_bytes()).unwrap(),
        bench.url(path),
    );
    for (name, value) in all.iter().filter(|(name, _)| name != "host") {
        request = request.header(name, value);
    }
    request
        .header("authorization", authorization)
        .body(body.to_vec())
}

fn s3(bench: &Bench, method: &str, key: &str, body: &[u8]) -> RequestBuilder {
    let headers = [("content-type", "audio/wav")];
    signed(
        bench,
        &Signing::for_service("s3"),
        method,
        &format!("/isobar-staging/{key}"),
        &headers,
        body,
    )
}

fn service(target: &str) -> &'static str {
    match target.split('.').next().unwrap() {
        "Transcribe" => "transcribe",
        "Comprehend_20171127" => "comprehend",
        _ => "translate",
    }
}

fn call_as(bench: &Bench, signing: &Signing<'_>, target: &str, body: &Value) -> RequestBuilder {
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target),
    ];
    signed(
        bench,
        signing,
        "POST",
        "/",
        &headers,
        body.to_string().as_bytes(),
    )
}

fn call(bench: &Bench, target: &str, body: &Value) -> RequestBuilder {
    call_as(bench, &Signing::for_service(service(target)), target, body)
}

async fn transcribe(bench: &Bench, action: &str, body: Value) -> Got {
    send(call(bench, &format!("Transcribe.{action}"), &body)).await
}

async fn comprehend(bench: &Bench, action: &str, body: Value) -> Got {
    send(call(bench, &format!("Comprehend_20171127.{action}"), &body)).await
}

async fn translate(bench: &Bench, body: Value) -> Got {
    send(call(
        bench,
        "AWSShineFrontendService_20170701.TranslateText",
        &body,
    ))
    .await
}

fn polly(bench: &Bench, body: &Value) -> RequestBuilder {
    let headers = [("content-type", "application/json")];
    signed(
        bench,
        &Signing::for_service("polly"),
        "POST",
        "/v1/speech",
        &headers,
        body.to_string().as_bytes(),
    )
}

/// Whether a value fits a shape of a botocore model: members known, required ones there, types and enums right.
fn fits(model: &Value, shape: &str, value: &Value, path: &str) {
    let described = &model["shapes"][shape];
    match described["type"].as_str().unwrap() {
        "structure" => {
            let object = value
                .as_object()
                .unwrap_or_else(|| panic!("{path} is no object"));
            for (name, inner) in object {
                let member = &described["members"][name];
                assert!(member.is_object(), "{path}.{name} is not in the model");
                fits(
                    model,
                    member["shape"].as_str().unwrap(),
                    inner,
                    &format!("{path}.{name}"),
                );
            }
            for name in described["required"].as_array().into_iter().flatten() {
                assert!(
                    object.contains_key(name.as_str().unwrap()),
                    "{path}.{name} is missing"
                );
            }
        }
        "list" => {
            let list = value
                .as_array()
                .unwrap_or_else(|| panic!("{path} is no list"));
            for item in list {
                fits(
                    model,
                    described["member"]["shape"].as_str().unwrap(),
                    item,
                    &format!("{path}[]"),
                );
            }
        }
        "string" => {
            assert!(value.is_string(), "{path} is no string");
            let allowed = described["enum"].as_array();
            assert!(
                allowed.is_none_or(|allowed| allowed.contains(value)),
                "{path}: {value}"
            );
        }
        "boolean" => assert!(value.is_boolean(), "{path}"),
        "integer" => assert!(value.is_i64() || value.is_u64(), "{path}"),
        "float" | "double" | "timestamp" => assert!(value.is_number(), "{path}"),
        other => panic!("{path}: a {other}"),
    }
}

fn answers(file: &str, operation: &str, value: &Value) {
    if let Some(model) = contract(file) {
        let shape = model["operations"][operation]["output"]["shape"]
            .as_str()
            .unwrap();
        fits(&model, shape, value, operation);
    }
}

const TRANSCRIBE: &str = "speech/aws-transcribe.botocore.json";
const COMPREHEND: &str = "language/aws-comprehend.botocore.json";

async fn put(bench: &Bench, key: &str, audio: &[u8]) {
    let got = send(s3(bench, "PUT", key, audio)).await.expect(200);
    assert!(got.header("etag").len() == 34);
}

#[tokio::test]
async fn a_job_goes_through_the_bucket_to_a_transcript() {
    let bench = Bench::new("aws").await;
    put(&bench, "hotel.wav", HOTEL).await;
    let body = json!({
        "TranscriptionJobName": "job-1", "LanguageCode": "en-US", "MediaFormat": "wav",
        "Media": { "MediaFileUri": "s3://isobar-staging/hotel.wav" },
        "Settings": { "ShowSpeakerLabels": true, "MaxSpeakerLabels": 4 },
    });
    let started = transcribe(&bench, "StartTranscriptionJob", body.clone())
        .await
        .expect(200)
        .json();
    assert_eq!(
        started["TranscriptionJob"]["TranscriptionJobStatus"],
        "IN_PROGRESS"
    );
    answers(TRANSCRIBE, "StartTranscriptionJob", &started);
    let again = transcribe(&bench, "StartTranscriptionJob", body)
        .await
        .expect(409)
        .json();
    assert_eq!(again["__type"], "ConflictException");
    let ask = || {
        transcribe(
            &bench,
            "GetTranscriptionJob",
            json!({ "TranscriptionJobName": "job-1" }),
        )
    };
    assert_eq!(
        ask().await.json()["TranscriptionJob"]["TranscriptionJobStatus"],
        "IN_PROGRESS"
    );
    let done = ask().await.json();
    answers(TRANSCRIBE, "GetTranscriptionJob", &done);
    assert_eq!(
        done["TranscriptionJob"]["TranscriptionJobStatus"],
        "COMPLETED"
    );
    let url = done["TranscriptionJob"]["Transcript"]["TranscriptFileUri"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = send(bench.client.get(&url)).await.expect(200).json();
    assert!(
        file["results"]["transcripts"][0]["transcript"]
            .as_str()
            .unwrap()
            .starts_with("Thank you for")
    );
    let items = file["results"]["items"].as_array().unwrap();
    assert_eq!(
        items[0],
        json!({ "id": 0, "type": "pronunciation", "alternatives": [{ "confidence": "0.940", "content": "Thank" }], "start_time": "0.2", "end_time": "0.48", "speaker_label": "spk_0" })
    );
    assert_eq!(items[11]["type"], "punctuation");
    assert_eq!(file["results"]["speaker_labels"]["speakers"], 2);
    // The URL is the only credential, and it is one.
    send(bench.client.get(&url).header("authorization", "x"))
        .await
        .expect(400);
    send(bench.client.get(url.replace("Signature=", "Signature=0")))
        .await
        .expect(403);
    let listed = transcribe(
        &bench,
        "ListTranscriptionJobs",
        json!({ "Status": "COMPLETED" }),
    )
    .await
    .expect(200)
    .json();
    answers(TRANSCRIBE, "ListTranscriptionJobs", &listed);
    assert_eq!(
        listed["TranscriptionJobSummaries"][0]["TranscriptionJobName"],
        "job-1"
    );
    transcribe(
        &bench,
        "DeleteTranscriptionJob",
        json!({ "TranscriptionJobName": "job-1" }),
    )
    .await
    .expect(200);
    assert_eq!(
        ask().await.expect(404).json()["__type"],
        "NotFoundException"
    );
}

#[tokio::test]
async fn the_transcript_may_be_ordered_into_the_bucket_and_the_language_found() {
    let bench = Bench::new("aws").await;
    put(&bench, "a/weather.wav", WEATHER).await;
    let body = json!({
        "TranscriptionJobName": "job-2", "IdentifyLanguage": true,
        "Media": { "MediaFileUri": format!("{}/isobar-staging/a/weather.wav", bench.url("")) },
        "OutputBucketName": "isobar-staging", "OutputKey": "out/",
    });
    transcribe(&bench, "StartTranscriptionJob", body)
        .await
        .expect(200);
    let ask = || {
        transcribe(
            &bench,
            "GetTranscriptionJob",
            json!({ "TranscriptionJobName": "job-2" }),
        )
    };
    ask().await;
    let done = ask().await.json();
    assert_eq!(done["TranscriptionJob"]["LanguageCode"], "en-US");
    let url = done["TranscriptionJob"]["Transcript"]["TranscriptFileUri"]
        .as_str()
        .unwrap();
    assert_eq!(url, bench.url("/isobar-staging/out/job-2.json"));
    send(bench.client.get(url)).await.expect(403);
    let file = send(s3(&bench, "GET", "out/job-2.json", b""))
        .await
        .expect(200)
        .json();
    assert_eq!(
        file["results"]["transcripts"][0]["transcript"],
        WEATHER_TEXT
    );
    assert_eq!(file["results"]["language_code"], "en-US");
}

#[tokio::test]
async fn jobs_that_cannot_succeed_say_why() {
    let bench = Bench::new("aws").await;
    put(&bench, "text.wav", b"no audio at all").await;
    put(&bench, "weather.wav", WEATHER).await;
    let start = |name: &str, extra: Value| {
        let mut body = json!({ "TranscriptionJobName": name, "LanguageCode": "en-US", "Media": { "MediaFileUri": "s3://isobar-staging/weather.wav" } });
        let object = body.as_object_mut().unwrap();
        object.extend(extra.as_object().unwrap().clone());
        object.retain(|_, value| !value.is_null());
        transcribe(&bench, "StartTranscriptionJob", body)
    };
    for extra in [
        json!({ "LanguageCode": null }),
        json!({ "LanguageCode": "xx-XX" }),
        json!({ "IdentifyLanguage": true }),
        json!({ "Media": null }),
        json!({ "Media": { "MediaFileUri": "s3://isobar-staging/nothing.wav" } }),
        json!({ "Media": { "MediaFileUri": "s3://other/weather.wav" } }),
        json!({ "MediaFormat": "tape" }),
        json!({ "Settings": { "ShowSpeakerLabels": true } }),
        json!({ "Settings": { "ShowSpeakerLabels": true, "MaxSpeakerLabels": 1 } }),
        json!({ "TranscriptionJobName": "with space" }),
        json!({ "TranscriptionJobName": null }),
        json!({ "OutputBucketName": "other" }),
    ] {
        let got = start("bad", extra.clone()).await.expect(400).json();
        assert_eq!(got["__type"], "BadRequestException", "{extra}");
        assert!(got["Message"].is_string());
    }
    start(
        "text",
        json!({ "Media": { "MediaFileUri": "s3://isobar-staging/text.wav" } }),
    )
    .await
    .expect(200);
    start("format", json!({ "MediaFormat": "mp3" }))
        .await
        .expect(200);
    bench
        .sandbox
        .faults()
        .set([Rule::at("aws", Fault::FailJob).during("StartTranscriptionJob")]);
    start("script", json!({})).await.expect(200);
    for name in ["text", "format", "script"] {
        let ask = || {
            transcribe(
                &bench,
                "GetTranscriptionJob",
                json!({ "TranscriptionJobName": name }),
            )
        };
        ask().await;
        let job = ask().await.json();
        answers(TRANSCRIBE, "GetTranscriptionJob", &job);
        assert_eq!(job["TranscriptionJob"]["TranscriptionJobStatus"], "FAILED");
        assert!(job["TranscriptionJob"]["FailureReason"].is_string());
    }
}

#[tokio::test]
async fn objects_are_put_fetched_and_deleted() {
    let bench = Bench::new("aws").await;
    put(&bench, "x.wav", WEATHER).await;
    let head = send(s3(&bench, "HEAD", "x.wav", b"")).await.expect(200);
    assert_eq!(head.header("content-length"), WEATHER.len().to_string());
    assert_eq!(
        send(s3(&bench, "GET", "x.wav", b"")).await.expect(200).body,
        WEATHER
    );
    send(s3(&bench, "DELETE", "x.wav", b"")).await.expect(204);
    let gone = send(s3(&bench, "GET", "x.wav", b"")).await.expect(404);
    assert!(
        gone.text().contains("<Code>NoSuchKey</Code>")
            && gone.header("content-type") == "application/xml"
    );
    let other = signed(
        &bench,
        &Signing::for_service("s3"),
        "PUT",
        "/other/x",
        &[],
        b"x",
    );
    assert!(
        send(other)
            .await
            .expect(404)
            .text()
            .contains("NoSuchBucket")
    );
    let unsigned = Signing {
        payload: Some("UNSIGNED-PAYLOAD"),
        ..Signing::for_service("s3")
    };
    send(signed(
        &bench,
        &unsigned,
        "PUT",
        "/isobar-staging/u",
        &[],
        b"anything",
    ))
    .await
    .expect(200);
    let sums = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let wrong = signed(
        &bench,
        &Signing::for_service("s3"),
        "PUT",
        "/isobar-staging/u",
        &sums,
        b"x",
    );
    assert!(send(wrong).await.expect(400).text().contains("BadDigest"));
    let sums = [("x-amz-checksum-crc32", "y/Q5Jg==")];
    let right = signed(
        &bench,
        &Signing::for_service("s3"),
        "PUT",
        "/isobar-staging/u",
        &sums,
        b"123456789",
    );
    assert_eq!(
        send(right).await.expect(200).header("x-amz-checksum-crc32"),
        "y/Q5Jg=="
    );
}

#[tokio::test]
async fn signatures_are_checked_for_each_service_in_its_own_words() {
    let bench = Bench::new("aws").await;
    let wrong_secret = |service| Signing {
        secret: "wrong",
        ..Signing::for_service(service)
    };
    let wrong_key = |service| Signing {
        key: "AKIANOBODY",
        ..Signing::for_service(service)
    };
    let target = "Comprehend_20171127.DetectSentiment";
    let body = json!({ "Text": "It is good.", "LanguageCode": "en" });
    let as_json = |signing: Signing<'_>| call_as(&bench, &signing, target, &body);
    for (request, name) in [
        (
            as_json(wrong_secret("comprehend")),
            "InvalidSignatureException",
        ),
        (
            as_json(wrong_key("comprehend")),
            "UnrecognizedClientException",
        ),
        (
            as_json(Signing::for_service("translate")),
            "InvalidSignatureException",
        ),
        (
            as_json(Signing {
                skew: -400,
                ..Signing::for_service("comprehend")
            }),
            "InvalidSignatureException",
        ),
        (
            as_json(Signing {
                payload: Some(&"0".repeat(64)),
                ..Signing::for_service("comprehend")
            }),
            "InvalidSignatureException",
        ),
        (
            bench.post("/").header("x-amz-target", target).json(&body),
            "MissingAuthenticationTokenException",
        ),
    ] {
        let got = send(request).await.expect(400).json();
        assert_eq!(got["__type"], name);
        assert_eq!(bench.last().account, None);
    }
    let put =
        |signing: Signing<'_>| signed(&bench, &signing, "PUT", "/isobar-staging/x", &[], b"x");
    for (request, status, code) in [
        (put(wrong_secret("s3")), 403, "SignatureDoesNotMatch"),
        (put(wrong_key("s3")), 403, "InvalidAccessKeyId"),
        (
            put(Signing {
                skew: 400,
                ..Signing::for_service("s3")
            }),
            403,
            "RequestTimeTooSkewed",
        ),
        (
            put(Signing {
                payload: Some(&"0".repeat(64)),
                ..Signing::for_service("s3")
            }),
            400,
            "XAmzContentSHA256Mismatch",
        ),
        (
            put(Signing {
                payload: Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ..Signing::for_service("s3")
            }),
            501,
            "NotImplemented",
        ),
        (
            bench.client.put(bench.url("/isobar-staging/x")).body("x"),
            403,
            "AccessDenied",
        ),
    ] {
        assert!(send(request).await.expect(status).text().contains(code));
    }
    let speech = json!({ "Text": "x", "VoiceId": "Joanna", "OutputFormat": "mp3" }).to_string();
    let headers = [("content-type", "application/json")];
    let got = send(signed(
        &bench,
        &wrong_secret("polly"),
        "POST",
        "/v1/speech",
        &headers,
        speech.as_bytes(),
    ))
    .await
    .expect(403);
    assert_eq!(got.header("x-amzn-errortype"), "InvalidSignatureException");
    let (key, secret) = (format!("{KEY}-2"), format!("{SECRET}-2"));
    let second = Signing {
        key: &key,
        secret: &secret,
        ..Signing::for_service("comprehend")
    };
    send(as_json(second)).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("aws-2"));
}

#[tokio::test]
async fn texts_are_read() {
    let bench = Bench::new("aws").await;
    let text = "😀 Maria was very helpful in Paris on Monday.";
    let one = |action: &'static str| {
        let body = json!({ "Text": text, "LanguageCode": "en" });
        comprehend(&bench, action, body)
    };
    let mood = one("DetectSentiment").await.expect(200).json();
    assert_eq!(mood["Sentiment"], "POSITIVE");
    answers(COMPREHEND, "DetectSentiment", &mood);
    let entities = one("DetectEntities").await.expect(200).json();
    answers(COMPREHEND, "DetectEntities", &entities);
    assert_eq!(
        entities["Entities"][1],
        json!({ "Score": 0.98, "Type": "LOCATION", "Text": "Paris", "BeginOffset": 28, "EndOffset": 33 })
    );
    let phrases = one("DetectKeyPhrases").await.expect(200).json();
    answers(COMPREHEND, "DetectKeyPhrases", &phrases);
    assert_eq!(phrases["KeyPhrases"][0]["Text"], "Maria");
    let pii = one("DetectPiiEntities").await.expect(200).json();
    answers(COMPREHEND, "DetectPiiEntities", &pii);
    assert_eq!(pii["Entities"][0]["Type"], "NAME");
    let body = json!({ "Text": "Das Wetter ist heute nicht sehr gut" });
    let language = comprehend(&bench, "DetectDominantLanguage", body)
        .await
        .expect(200)
        .json();
    answers(COMPREHEND, "DetectDominantLanguage", &language);
    assert_eq!(language["Languages"][0]["LanguageCode"], "de");
    if let Some(recorded) = contract("language/recorded-responses.json") {
        let review = &recorded["sentiment_analysis"]["oneai"]["vendor_response"]["input_text"];
        let body = json!({ "Text": review, "LanguageCode": "en" });
        let got = comprehend(&bench, "DetectSentiment", body).await.json();
        assert_eq!(
            got,
            recorded["sentiment_analysis"]["amazon"]["vendor_response"]
        );
    }
}

#[tokio::test]
async fn batches_fail_document_by_document() {
    let bench = Bench::new("aws").await;
    let long = "x".repeat(5001);
    let body = json!({ "TextList": ["It is good.", long, "It is bad."], "LanguageCode": "en" });
    let got = comprehend(&bench, "BatchDetectSentiment", body)
        .await
        .expect(200)
        .json();
    answers(COMPREHEND, "BatchDetectSentiment", &got);
    let labels: Vec<_> = got["ResultList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (&result["Index"], &result["Sentiment"]))
        .collect();
    assert_eq!(
        labels,
        [
            (&json!(0), &json!("POSITIVE")),
            (&json!(2), &json!("NEGATIVE"))
        ]
    );
    assert_eq!(got["ErrorList"][0]["Index"], 1);
    assert_eq!(
        got["ErrorList"][0]["ErrorCode"],
        "TextSizeLimitExceededException"
    );
    for action in [
        "BatchDetectEntities",
        "BatchDetectKeyPhrases",
        "BatchDetectDominantLanguage",
    ] {
        let body = json!({ "TextList": ["Maria is in Paris."], "LanguageCode": "en" });
        answers(
            COMPREHEND,
            action,
            &comprehend(&bench, action, body).await.expect(200).json(),
        );
    }
    for (body, name) in [
        (
            json!({ "TextList": vec!["x"; 26], "LanguageCode": "en" }),
            "BatchSizeLimitExceededException",
        ),
        (
            json!({ "TextList": [], "LanguageCode": "en" }),
            "ValidationException",
        ),
        (json!({ "LanguageCode": "en" }), "ValidationException"),
        (json!({ "TextList": ["x"] }), "ValidationException"),
        (
            json!({ "TextList": ["x"], "LanguageCode": "xx" }),
            "ValidationException",
        ),
    ] {
        let got = comprehend(&bench, "BatchDetectSentiment", body)
            .await
            .expect(400)
            .json();
        assert_eq!(got["__type"], name);
    }
    let body = json!({ "Text": long, "LanguageCode": "en" });
    let got = comprehend(&bench, "DetectSentiment", body)
        .await
        .expect(400)
        .json();
    assert_eq!(got["__type"], "TextSizeLimitExceededException");
    let body = json!({ "Text": "x", "LanguageCode": "fr" });
    let got = comprehend(&bench, "DetectPiiEntities", body)
        .await
        .expect(400)
        .json();
    assert_eq!(got["__type"], "UnsupportedLanguageException");
    let got = comprehend(&bench, "DetectNothing", json!({}))
        .await
        .expect(400)
        .json();
    assert_eq!(got["__type"], "UnknownOperationException");
}

#[tokio::test]
async fn texts_are_translated() {
    let bench = Bench::new("aws").await;
    let body = json!({ "Text": "Hello, world!", "SourceLanguageCode": "auto", "TargetLanguageCode": "fr", "Settings": { "Formality": "FORMAL" } });
    let got = translate(&bench, body).await.expect(200).json();
    assert_eq!(
        (&got["TranslatedText"], &got["SourceLanguageCode"]),
        (&json!("Bonjour le monde !"), &json!("en"))
    );
    answers(
        "translation/aws-translate.botocore.json",
        "TranslateText",
        &got,
    );
    for (body, status, name) in [
        (
            json!({ "Text": "x", "SourceLanguageCode": "auto" }),
            400,
            "ValidationException",
        ),
        (
            json!({ "Text": "", "SourceLanguageCode": "auto", "TargetLanguageCode": "fr" }),
            400,
            "ValidationException",
        ),
        (
            json!({ "Text": "x".repeat(10_001), "SourceLanguageCode": "auto", "TargetLanguageCode": "fr" }),
            400,
            "TextSizeLimitExceededException",
        ),
        (
            json!({ "Text": "x", "SourceLanguageCode": "en", "TargetLanguageCode": "tlh" }),
            400,
            "UnsupportedLanguagePairException",
        ),
        (
            json!({ "Text": "x", "SourceLanguageCode": "en", "TargetLanguageCode": "en" }),
            400,
            "UnsupportedLanguagePairException",
        ),
        (
            json!({ "Text": "123", "SourceLanguageCode": "auto", "TargetLanguageCode": "fr" }),
            400,
            "DetectedLanguageLowConfidenceException",
        ),
        (
            json!({ "Text": "x", "SourceLanguageCode": "en", "TargetLanguageCode": "fr", "TerminologyNames": ["mine"] }),
            404,
            "ResourceNotFoundException",
        ),
        (
            json!({ "Text": "x", "SourceLanguageCode": "en", "TargetLanguageCode": "fr", "Settings": { "Formality": "RUDE" } }),
            400,
            "ValidationException",
        ),
    ] {
        assert_eq!(
            translate(&bench, body).await.expect(status).json()["__type"],
            name
        );
    }
    let list = |body: Value| {
        send(call(
            &bench,
            "AWSShineFrontendService_20170701.ListLanguages",
            &body,
        ))
    };
    let mut pages = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut body = json!({ "MaxResults": 30 });
        if !token.is_null() {
            body["NextToken"] = token.clone();
        }
        let page = list(body).await.expect(200).json();
        answers(
            "translation/aws-translate.botocore.json",
            "ListLanguages",
            &page,
        );
        pages.extend(page["Languages"].as_array().unwrap().clone());
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(pages.len(), 76);
    assert!(pages.contains(&json!({ "LanguageName": "French", "LanguageCode": "fr" })));
}

#[tokio::test]
async fn speech_is_made() {
    let bench = Bench::new("aws").await;
    let speak = |extra: Value| {
        let mut body = json!({ "Text": "Hello there", "VoiceId": "Joanna", "OutputFormat": "mp3" });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        send(polly(&bench, &body))
    };
    for (format, kind) in [
        ("mp3", "audio/mpeg"),
        ("ogg_vorbis", "audio/ogg"),
        ("pcm", "audio/pcm"),
    ] {
        let got = speak(json!({ "OutputFormat": format })).await.expect(200);
        assert_eq!(
            (
                got.header("content-type"),
                got.header("x-amzn-requestcharacters")
            ),
            (kind, "11")
        );
    }
    let marked = speak(json!({ "Text": "<speak>Hello <break time=\"1s\"/><prosody rate=\"slow\">there</prosody></speak>", "TextType": "ssml" })).await.expect(200);
    assert_eq!(marked.header("x-amzn-requestcharacters"), "11");
    let marks = speak(json!({ "OutputFormat": "json", "SpeechMarkTypes": ["word"] }))
        .await
        .expect(200)
        .text();
    let words: Vec<Value> = marks
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        words[1],
        json!({ "time": 240, "type": "word", "start": 6, "end": 11, "value": "there" })
    );
    for (extra, name) in [
        (json!({ "VoiceId": "Nobody" }), "ValidationException"),
        (
            json!({ "VoiceId": "Hans", "Engine": "neural" }),
            "ValidationException",
        ),
        (
            json!({ "LanguageCode": "fr-FR" }),
            "LanguageNotSupportedException",
        ),
        (json!({ "OutputFormat": "tape" }), "ValidationException"),
        (
            json!({ "OutputFormat": "json" }),
            "MarksNotSupportedForFormatException",
        ),
        (
            json!({ "SampleRate": "11025" }),
            "InvalidSampleRateException",
        ),
        (json!({ "SampleRate": 8000 }), "InvalidSampleRateException"),
        (
            json!({ "Text": "x".repeat(3001) }),
            "TextLengthExceededException",
        ),
        (
            json!({ "Text": "<speak>a<b></speak>", "TextType": "ssml" }),
            "InvalidSsmlException",
        ),
        (json!({ "Text": "" }), "ValidationException"),
    ] {
        let got = speak(extra).await.expect(400);
        assert_eq!(got.header("x-amzn-errortype"), name);
        assert!(got.json()["message"].is_string());
    }
    let voices = send(signed(
        &bench,
        &Signing::for_service("polly"),
        "GET",
        "/v1/voices",
        &[],
        b"",
    ))
    .await
    .expect(200)
    .json();
    answers("speech/aws-polly.botocore.json", "DescribeVoices", &voices);
}

#[tokio::test]
async fn the_binary_protocol_is_refused_plainly() {
    let bench = Bench::new("aws").await;
    let headers = [("smithy-protocol", "rpc-v2-cbor")];
    let path = "/service/Transcribe/operation/GetTranscriptionJob";
    let got = send(signed(
        &bench,
        &Signing::for_service("transcribe"),
        "POST",
        path,
        &headers,
        b"\xa0",
    ))
    .await
    .expect(400);
    assert!(
        got.json()["Message"]
            .as_str()
            .unwrap()
            .contains("rpc-v2-cbor")
    );
}

#[tokio::test]
async fn every_error_has_each_service_s_shape() {
    let bench = Bench::new("aws").await;
    let speech = json!({ "Text": "x", "VoiceId": "Joanna", "OutputFormat": "mp3" });
    for class in CLASSES {
        bench.fault(Fault::error(class));
        for target in [
            "Transcribe.GetTranscriptionJob",
            "Comprehend_20171127.DetectSentiment",
            "AWSShineFrontendService_20170701.TranslateText",
        ] {
            let got = send(call(&bench, target, &json!({}))).await;
            assert!(
                got.status >= 400
                    && got.json()["__type"]
                        .as_str()
                        .unwrap()
                        .ends_with("Exception"),
                "{class:?}"
            );
            assert!(got.headers.contains_key("x-amzn-requestid"));
        }
        let got = send(polly(&bench, &speech)).await;
        assert!(got.status >= 400 && got.header("x-amzn-errortype").ends_with("Exception"));
        let got = send(s3(&bench, "PUT", "x", b"x")).await;
        assert!(got.status >= 400 && got.text().contains("<Error><Code>"));
        assert!(!bench.last().executed);
    }
    bench.fault(Fault::error(Class::Rate));
    let got = send(call(&bench, "Transcribe.GetTranscriptionJob", &json!({})))
        .await
        .expect(400);
    assert_eq!(got.json()["__type"], "ThrottlingException");
}
