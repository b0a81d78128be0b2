//! `Groq`.

use isobar_sandbox::faults::{Class, Fault};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{
    Bench, WEATHER, WEATHER_TEXT, conforms, contract, every_class, multipart, send,
};

const KEY: &str = "Bearer sandbox-groq-key";
const TRANSCRIPTIONS: &str = "/openai/v1/audio/transcriptions";
const MODEL: (&str, &str) = ("model", "whisper-large-v3-turbo");

fn hear(
    bench: &Bench,
    path: &str,
    fields: &[(&str, &str)],
    file: Option<(&str, &[u8])>,
) -> RequestBuilder {
    let file = file.map(|(name, bytes)| ("file", name, bytes));
    let (content_type, body) = multipart(fields, file);
    let request = bench.post(path).header("authorization", KEY);
    request.header("content-type", content_type).body(body)
}

fn transcribe(bench: &Bench, fields: &[(&str, &str)]) -> RequestBuilder {
    hear(bench, TRANSCRIPTIONS, fields, Some(("a.wav", WEATHER)))
}

fn speak(bench: &Bench, body: &Value) -> RequestBuilder {
    let request = bench.post("/openai/v1/audio/speech");
    request.header("authorization", KEY).json(body)
}

fn schema(file: &str, name: &str, body: &Value) {
    if let Some(description) = contract(&format!("speech/{file}.openapi.json")) {
        conforms(&description, &format!("#/components/schemas/{name}"), body);
    }
}

#[tokio::test]
async fn a_recording_is_transcribed_in_every_form() {
    let bench = Bench::new("groq").await;
    let got = send(transcribe(&bench, &[MODEL])).await.expect(200);
    let body = got.json();
    assert_eq!(body["text"], WEATHER_TEXT);
    assert_eq!(body["x_groq"]["id"], got.header("x-request-id"));
    schema("groq-audio", "CreateTranscriptionResponseJson", &body);
    let entry = bench.last();
    assert_eq!(entry.operation.as_deref(), Some("speech.transcribe"));
    assert_eq!(
        (entry.executed, &entry.facts["model"]),
        (true, &json!(MODEL.1))
    );

    let text = send(transcribe(&bench, &[("response_format", "text"), MODEL])).await;
    assert!(text.header("content-type").starts_with("text/plain"));
    assert_eq!(text.expect(200).text(), WEATHER_TEXT);

    let verbose = ("response_format", "verbose_json");
    let body = send(transcribe(&bench, &[MODEL, verbose, ("language", "en")]))
        .await
        .json();
    assert_eq!(
        (&body["language"], &body["duration"]),
        (&json!("English"), &json!(4.185))
    );
    assert_eq!(body["segments"][1]["start"], 2.12);
    assert!(body.get("words").is_none());
    schema(
        "openai-audio",
        "CreateTranscriptionResponseVerboseJson",
        &body,
    );
    let word = ("timestamp_granularities[]", "word");
    let body = send(transcribe(&bench, &[MODEL, verbose, word]))
        .await
        .json();
    assert_eq!(
        body["words"][3],
        json!({ "word": "London", "start": 0.88, "end": 1.18 })
    );
    assert!(body.get("segments").is_none());

    let path = "/openai/v1/audio/translations";
    let request = hear(&bench, path, &[MODEL, verbose], Some(("a.wav", WEATHER)));
    let body = send(request).await.expect(200).json();
    assert_eq!(
        (&body["task"], &body["text"]),
        (&json!("translate"), &json!(WEATHER_TEXT))
    );
    schema("groq-audio", "CreateTranslationResponseJson", &body);
}

#[tokio::test]
async fn what_is_wrong_with_a_recording_is_said() {
    let bench = Bench::new("groq").await;
    let prompt = "x".repeat(897);
    for (fields, status, message) in [
        (vec![], 400, "model must be provided"),
        (
            vec![("model", "whisper-1")],
            404,
            "The model `whisper-1` does not exist",
        ),
        (
            vec![("model", "playai-tts")],
            400,
            "does not support this endpoint",
        ),
        (
            vec![MODEL, ("stream", "true")],
            400,
            "unknown param `stream`",
        ),
        (
            vec![MODEL, ("response_format", "srt")],
            400,
            "response_format must be one of [json text verbose_json]",
        ),
        (
            vec![MODEL, ("language", "tlh")],
            400,
            "unsupported language `tlh`",
        ),
        (vec![MODEL, ("temperature", "2")], 400, "temperature"),
        (
            vec![MODEL, ("prompt", &prompt)],
            400,
            "prompt length must be 896 characters or fewer",
        ),
        (
            vec![MODEL, ("timestamp_granularities[]", "word")],
            400,
            "needs response_format verbose_json",
        ),
        (
            vec![MODEL, ("url", "https://example.com/a.wav")],
            400,
            "one of file or url must be provided",
        ),
    ] {
        let got = send(transcribe(&bench, &fields))
            .await
            .expect(status)
            .json();
        let error = &got["error"];
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{got}"
        );
        assert!(error["type"] == "invalid_request_error" && error.get("param").is_none());
        assert!(!bench.last().executed);
    }
    let short = [&WEATHER[..44], &[1; 100]].concat();
    for (file, message) in [
        (None, "one of file or url must be provided"),
        (
            Some(("audio", WEATHER)),
            "file must be one of the following types: [flac mp3",
        ),
        (
            Some(("a.wav", &b"not audio at all"[..])),
            "could not process file",
        ),
        (Some(("a.wav", b"")), "file is empty"),
        (
            Some(("a.wav", &short)),
            "Minimum audio length is 0.01 seconds",
        ),
    ] {
        let got = send(hear(&bench, TRANSCRIPTIONS, &[MODEL], file))
            .await
            .expect(400)
            .json();
        assert!(
            got["error"]["message"].as_str().unwrap().contains(message),
            "{got}"
        );
    }
    let url = [MODEL, ("url", "https://example.com/a.wav")];
    let got = send(hear(&bench, TRANSCRIPTIONS, &url, None))
        .await
        .expect(400)
        .json();
    assert!(
        got["error"]["message"]
            .as_str()
            .unwrap()
            .contains("failed to retrieve media")
    );
    let request = bench.get("/openai/v1/nothing").header("authorization", KEY);
    let got = send(request).await.expect(404).json();
    assert_eq!(got["error"]["code"], "unknown_url");
}

#[tokio::test]
async fn a_recording_above_the_limit_is_too_large() {
    let bench = Bench::new("groq").await;
    let mut large = WEATHER.to_vec();
    large.resize(25 * 1024 * 1024 + 1, 0);
    let request = hear(&bench, TRANSCRIPTIONS, &[MODEL], Some(("a.wav", &large)));
    let got = send(request).await.expect(413).json();
    assert_eq!(
        got,
        json!({ "error": { "message": "Request Entity Too Large", "type": "invalid_request_error", "code": "request_too_large" } })
    );
    assert!(!bench.last().executed);
}

#[tokio::test]
async fn speech_is_made_in_every_form() {
    let bench = Bench::new("groq").await;
    let body = |format: &str| json!({ "model": "playai-tts", "input": "Hello there", "voice": "Fritz-PlayAI", "response_format": format });
    for (format, content_type, head) in [
        ("wav", "audio/wav", &b"RIFF"[..]),
        ("mp3", "audio/mpeg", b"\xff\xfb"),
        ("flac", "audio/flac", b"fLaC"),
        ("ogg", "audio/ogg", b"OggS"),
        ("mulaw", "audio/basic", b"\0"),
    ] {
        let got = send(speak(&bench, &body(format))).await.expect(200);
        assert_eq!(got.header("content-type"), content_type);
        assert!(got.body.starts_with(head), "{format}");
    }
    assert_eq!(bench.last().facts["characters"], 11);
    for (field, value) in [
        ("model", json!("whisper-large-v3")),
        ("input", json!("")),
        ("input", json!("x".repeat(10_001))),
        ("voice", json!("alloy")),
        ("voice", json!(1)),
        ("speed", json!(9)),
        ("sample_rate", json!(1)),
        ("response_format", json!("aac")),
    ] {
        let mut wrong = body("wav");
        wrong[field] = value;
        send(speak(&bench, &wrong)).await.expect(400);
    }
}

#[tokio::test]
async fn keys_are_checked_and_models_listed() {
    let bench = Bench::new("groq").await;
    let models = |key: &str| send(bench.get("/openai/v1/models").header("authorization", key));
    for wrong in ["Bearer nonsense", "sandbox-groq-key", ""] {
        let got = models(wrong).await.expect(401).json();
        assert_eq!(got["error"]["code"], "invalid_api_key");
        assert_eq!(bench.last().account, None);
    }
    let got = models("Bearer sandbox-groq-key-2").await.expect(200).json();
    assert_eq!(got["data"][0]["id"], "whisper-large-v3");
    assert_eq!(bench.last().account.as_deref(), Some("groq-2"));
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("groq").await;
    let request = || transcribe(&bench, &[MODEL]);
    every_class(&bench, request, |class, got| {
        let error = &got.json()["error"];
        let expected = match class {
            Class::Auth => (401, json!("invalid_api_key")),
            Class::Quota => (400, json!("blocked_api_access")),
            Class::Rate => (429, json!("rate_limit_exceeded")),
            Class::TooLarge => (413, json!("request_too_large")),
            Class::Invalid | Class::Unsupported => (400, Value::Null),
            Class::NotFound => (404, json!("unknown_url")),
            Class::Internal => (500, Value::Null),
            Class::Unavailable => (503, Value::Null),
        };
        let code = error.get("code").cloned().unwrap_or_default();
        assert_eq!((got.status, code), expected, "{class:?}");
        assert!(error["message"].is_string() && error["type"].is_string());
        if class == Class::Rate {
            assert_eq!(got.header("retry-after"), "4");
        }
    })
    .await;
    bench.fault(Fault::busy(7));
    assert_eq!(send(request()).await.expect(429).header("retry-after"), "7");
}
