//! `Gladia`.

use isobar_sandbox::faults::{Class, Fault};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{
    Bench, Got, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, multipart, send,
};

const KEY: &str = "sandbox-gladia-key";

fn upload(bench: &Bench, audio: &[u8]) -> RequestBuilder {
    let (content_type, body) = multipart(&[], Some(("audio", "a.wav", audio)));
    let request = bench.post("/v2/upload").header("x-gladia-key", KEY);
    request.header("content-type", content_type).body(body)
}

fn submit(bench: &Bench, body: &Value) -> RequestBuilder {
    let request = bench.post("/v2/pre-recorded");
    request.header("x-gladia-key", KEY).json(body)
}

async fn get(bench: &Bench, path: &str) -> Got {
    send(bench.get(path).header("x-gladia-key", KEY)).await
}

fn schema(name: &str, body: &Value) {
    if let Some(description) = contract("speech/gladia.openapi.json") {
        conforms(&description, &format!("#/components/schemas/{name}"), body);
    }
}

/// The URL of an upload.
async fn uploaded(bench: &Bench, audio: &[u8]) -> String {
    let body = send(upload(bench, audio)).await.expect(200).json();
    schema("AudioUploadResponse", &body);
    body["audio_url"].as_str().unwrap().to_owned()
}

/// The path of a job.
async fn submitted(bench: &Bench, body: &Value) -> String {
    let body = send(submit(bench, body)).await.expect(201).json();
    schema("InitPreRecordedTranscriptionResponse", &body);
    let path = format!("/v2/pre-recorded/{}", body["id"].as_str().unwrap());
    assert_eq!(body["result_url"], bench.url(&path));
    path
}

/// The job at its end.
async fn ended(bench: &Bench, path: &str) -> Value {
    get(bench, path).await.expect(200);
    let body = get(bench, path).await.expect(200).json();
    schema("PreRecordedResponse", &body);
    body
}

#[tokio::test]
async fn a_job_is_queued_then_processed_then_done() {
    let bench = Bench::new("gladia").await;
    let url = uploaded(&bench, WEATHER).await;
    let path = submitted(
        &bench,
        &json!({ "audio_url": url, "custom_metadata": { "a": 1 } }),
    )
    .await;
    let listed = get(&bench, "/v2/pre-recorded").await.expect(200).json();
    schema("ListPreRecordedResponse", &listed);
    assert_eq!(listed["items"][0]["status"], "queued");
    let running = get(&bench, &path).await.expect(200).json();
    schema("PreRecordedResponse", &running);
    assert_eq!(
        (&running["status"], &running["result"]),
        (&json!("processing"), &Value::Null)
    );
    let done = ended(&bench, &path).await;
    assert_eq!(done["status"], "done");
    assert_eq!(done["custom_metadata"], json!({ "a": 1 }));
    let result = &done["result"];
    assert_eq!(result["metadata"]["billing_time"], 4.185);
    let transcription = &result["transcription"];
    assert_eq!(transcription["full_transcript"], WEATHER_TEXT);
    assert_eq!(transcription["languages"], json!(["en"]));
    let utterances = transcription["utterances"].as_array().unwrap();
    assert_eq!(utterances.len(), 2);
    assert_eq!(utterances[0]["words"][0]["word"], "The");
    assert_eq!(
        utterances[1]["words"][0],
        json!({ "word": " Please", "start": 2.12, "end": 2.45, "confidence": 0.99 })
    );
    assert!(utterances[0].get("speaker").is_none());
    assert_eq!(
        bench
            .sandbox
            .ledger()
            .executed("gladia", "speech.transcribe"),
        5
    );
}

#[tokio::test]
async fn options_change_what_is_answered() {
    let bench = Bench::new("gladia").await;
    let url = uploaded(&bench, HOTEL).await;
    let order = json!({
        "audio_url": url.replace("127.0.0.1", "sandbox"),
        "diarization": true,
        "sentences": true,
        "subtitles": true,
        "subtitles_config": { "formats": ["srt", "vtt"] },
        "language_config": { "languages": ["fr"] },
        "model": "solaria-3",
    });
    let path = submitted(&bench, &order).await;
    let done = ended(&bench, &path).await;
    let transcription = &done["result"]["transcription"];
    assert_eq!(transcription["languages"], json!(["fr"]));
    let speakers: Vec<_> = transcription["utterances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|utterance| utterance["speaker"].as_u64().unwrap())
        .collect();
    assert_eq!(speakers, [0, 1]);
    assert_eq!(
        transcription["sentences"][0]["results"][1],
        "Maria was very helpful."
    );
    let subtitles = transcription["subtitles"][1]["subtitles"].as_str().unwrap();
    assert!(subtitles.starts_with("WEBVTT\n\n"), "{subtitles}");
    assert_eq!(done["request_params"], order);
}

#[tokio::test]
async fn a_job_can_fail_inside_a_200() {
    let bench = Bench::new("gladia").await;
    let url = uploaded(&bench, WEATHER).await;
    let path = submitted(&bench, &json!({ "audio_url": url })).await;
    bench.fault(Fault::FailJob);
    let failed = ended(&bench, &path).await;
    assert_eq!(
        (&failed["status"], &failed["error_code"]),
        (&json!("error"), &json!(500))
    );
    bench.sandbox.faults().clear();
    let elsewhere = json!({ "audio_url": "https://example.com/a.wav" });
    let path = submitted(&bench, &elsewhere).await;
    let failed = ended(&bench, &path).await;
    assert_eq!(
        (&failed["status"], &failed["error_code"]),
        (&json!("error"), &json!(400))
    );
}

#[tokio::test]
async fn jobs_are_deleted_when_they_have_ended() {
    let bench = Bench::new("gladia").await;
    let url = uploaded(&bench, WEATHER).await;
    let path = submitted(&bench, &json!({ "audio_url": url })).await;
    let delete = || {
        send(
            bench
                .client
                .delete(bench.url(&path))
                .header("x-gladia-key", KEY),
        )
    };
    schema("ForbiddenErrorResponse", &delete().await.expect(403).json());
    ended(&bench, &path).await;
    delete().await.expect(202);
    schema(
        "NotFoundErrorResponse",
        &get(&bench, &path).await.expect(404).json(),
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let bench = Bench::new("gladia").await;
    for (audio, status) in [(&b"not audio at all"[..], 422), (b"", 422)] {
        let body = send(upload(&bench, audio)).await.expect(status).json();
        schema("UnprocessableEntityErrorResponse", &body);
        assert!(!bench.last().executed);
    }
    let without = bench.post("/v2/upload").header("x-gladia-key", KEY);
    send(without.json(&json!({ "audio_url": "https://example.com/a.wav" })))
        .await
        .expect(400);
    let (content_type, form) = multipart(&[("file", "x")], None);
    let without = bench.post("/v2/upload").header("x-gladia-key", KEY);
    let without = without.header("content-type", content_type).body(form);
    send(without).await.expect(400);

    let url = uploaded(&bench, WEATHER).await;
    for (body, field) in [
        (json!({}), "audio_url"),
        (json!({ "audio_url": "a.wav" }), "audio_url"),
        (
            json!({ "audio_url": url, "diarization": "yes" }),
            "diarization",
        ),
        (
            json!({ "audio_url": url, "language_config": [] }),
            "language_config",
        ),
    ] {
        let body = send(submit(&bench, &body)).await.expect(400).json();
        schema("BadRequestErrorResponse", &body);
        let mistake = body["validation_errors"][0].as_str().unwrap();
        assert!(mistake.contains(field), "{mistake}");
    }
    send(submit(&bench, &json!([]))).await.expect(400);
    for body in [
        json!({ "audio_url": url, "language_config": { "languages": ["tlh"] } }),
        json!({ "audio_url": url, "language_config": { "languages": [1] } }),
        json!({ "audio_url": url, "model": "solaria-9" }),
        json!({ "audio_url": url, "model": "solaria-3" }),
    ] {
        let body = send(submit(&bench, &body)).await.expect(422).json();
        schema("UnprocessableEntityErrorResponse", &body);
    }
    get(&bench, "/v2/nothing").await.expect(404);
}

#[tokio::test]
async fn keys_are_checked_and_accounts_do_not_see_each_other_s_jobs() {
    let bench = Bench::new("gladia").await;
    let url = uploaded(&bench, WEATHER).await;
    let path = submitted(&bench, &json!({ "audio_url": url })).await;
    for wrong in [None, Some("nonsense"), Some("Bearer sandbox-gladia-key")] {
        let mut request = bench.get(&path);
        if let Some(key) = wrong {
            request = request.header("x-gladia-key", key);
        }
        let body = send(request).await.expect(401).json();
        schema("UnauthorizedErrorResponse", &body);
        assert_eq!(bench.last().account, None);
    }
    let second = bench
        .get(&path)
        .header("x-gladia-key", "sandbox-gladia-key-2");
    send(second).await.expect(404);
    assert_eq!(bench.last().account.as_deref(), Some("gladia-2"));
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("gladia").await;
    let request = || submit(&bench, &json!({ "audio_url": "https://example.com/a.wav" }));
    every_class(&bench, request, |class, got| {
        let body = got.json();
        schema("BadRequestErrorResponse", &body);
        let expected = match class {
            Class::Auth => 401,
            Class::Quota => 402,
            Class::Rate => 429,
            Class::Invalid => 400,
            Class::TooLarge => 413,
            Class::Unsupported => 422,
            Class::NotFound => 404,
            Class::Internal => 500,
            Class::Unavailable => 503,
        };
        assert_eq!(
            (got.status, &body["statusCode"]),
            (expected, &json!(expected))
        );
        assert!(body["request_id"].as_str().unwrap().starts_with("G-"));
    })
    .await;
}
