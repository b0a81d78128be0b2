//! `OpenAI`.

use isobar_sandbox::faults::{Class, Fault};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{
    Bench, Got, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, multipart, send,
};

const KEY: &str = "Bearer sandbox-openai-key";

fn transcribe(bench: &Bench, fields: &[(&str, &str)], file: (&str, &[u8])) -> RequestBuilder {
    let (content_type, body) = multipart(fields, Some(("file", file.0, file.1)));
    let request = bench
        .post("/v1/audio/transcriptions")
        .header("authorization", KEY);
    request.header("content-type", content_type).body(body)
}

fn post(bench: &Bench, path: &str, body: &Value) -> RequestBuilder {
    bench.post(path).header("authorization", KEY).json(body)
}

fn audio_contract(name: &str, body: &Value) {
    if let Some(description) = contract("speech/openai-audio.openapi.json") {
        conforms(&description, &format!("#/components/schemas/{name}"), body);
    }
}

fn chat_contract(name: &str, body: &Value) {
    if let Some(description) = contract("chat/openai.openapi.json") {
        conforms(&description, &format!("#/components/schemas/{name}"), body);
    }
}

/// The JSON of each event of a stream, without the last `[DONE]`.
fn events(got: &Got) -> Vec<Value> {
    assert!(got.header("content-type").starts_with("text/event-stream"));
    let text = got.text();
    let lines = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "));
    lines
        .filter(|line| *line != "[DONE]")
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_recording_is_transcribed_in_every_form() {
    let bench = Bench::new("openai").await;
    let in_form = |format: &'static str| {
        let fields = [("response_format", format), ("model", "whisper-1")];
        send(transcribe(&bench, &fields, ("weather.wav", WEATHER)))
    };
    let json = in_form("json").await.expect(200);
    assert_eq!(
        json.json(),
        json!({ "text": WEATHER_TEXT, "usage": { "type": "duration", "seconds": 5.0 } })
    );
    assert!(json.header("x-request-id").starts_with("req_"));
    audio_contract("CreateTranscriptionResponseJson", &json.json());
    let text = in_form("text").await.expect(200);
    assert_eq!(text.text(), format!("{WEATHER_TEXT}\n"));
    assert!(text.header("content-type").starts_with("text/plain"));
    let srt = in_form("srt").await.text();
    assert!(
        srt.starts_with("1\n00:00:00,180 --> 00:00:01,930\nThe weather"),
        "{srt}"
    );
    let vtt = in_form("vtt").await.text();
    assert!(
        vtt.starts_with("WEBVTT\n\n00:00:00.180 --> 00:00:01.930\nThe weather"),
        "{vtt}"
    );
    let verbose = in_form("verbose_json").await.json();
    assert_eq!(
        (&verbose["language"], &verbose["duration"]),
        (&json!("english"), &json!(4.185))
    );
    assert_eq!(verbose["segments"].as_array().unwrap().len(), 2);
    assert!(verbose.get("words").is_none());
    audio_contract("CreateTranscriptionResponseVerboseJson", &verbose);
    let fields = [
        ("model", "whisper-1"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
    ];
    let words = send(transcribe(&bench, &fields, ("a.wav", WEATHER)))
        .await
        .json();
    assert_eq!(
        words["words"][6],
        json!({ "word": "today", "start": 1.63, "end": 1.93 })
    );
    assert!(words.get("segments").is_none());
    assert_eq!(bench.last().facts["model"], "whisper-1");
}

#[tokio::test]
async fn newer_models_stream_and_tell_speakers_apart() {
    let bench = Bench::new("openai").await;
    let fields = [("model", "gpt-4o-mini-transcribe"), ("stream", "true")];
    let events = events(
        &send(transcribe(&bench, &fields, ("a.wav", WEATHER)))
            .await
            .expect(200),
    );
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, WEATHER_TEXT);
    assert_eq!(events.last().unwrap()["text"], WEATHER_TEXT);
    for event in &events {
        audio_contract("CreateTranscriptionResponseStreamEvent", event);
    }
    let fields = [
        ("model", "gpt-4o-transcribe-diarize"),
        ("response_format", "diarized_json"),
    ];
    let body = send(transcribe(&bench, &fields, ("a.wav", HOTEL)))
        .await
        .expect(200)
        .json();
    let speakers: Vec<_> = body["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| &segment["speaker"])
        .collect();
    assert_eq!(speakers, ["A", "B"]);
    audio_contract("CreateTranscriptionResponseDiarizedJson", &body);
    let fields = [("model", "gpt-transcribe")];
    let body = send(transcribe(&bench, &fields, ("a.wav", HOTEL)))
        .await
        .expect(200)
        .json();
    assert_eq!(body["languages"], json!([{ "code": "en" }]));
    assert_eq!(body["usage"]["type"], "tokens");
    audio_contract("CreateTranscriptionResponseJson", &body);
}

#[tokio::test]
async fn what_is_wrong_with_a_recording_is_said() {
    let bench = Bench::new("openai").await;
    let large = vec![0; 26_214_401];
    let with = |fields: &[(&str, &str)], file: (&str, &[u8])| transcribe(&bench, fields, file);
    let (content_type, body) = multipart(&[("model", "whisper-1")], None);
    let no_file = bench
        .post("/v1/audio/transcriptions")
        .header("authorization", KEY)
        .header("content-type", content_type)
        .body(body);
    let not_multipart = post(
        &bench,
        "/v1/audio/transcriptions",
        &json!({ "model": "whisper-1" }),
    );
    for (request, status, param, code) in [
        (
            with(&[("model", "whisper-9")], ("a.wav", WEATHER)),
            404,
            None,
            Some("model_not_found"),
        ),
        (
            with(&[("model", "tts-1")], ("a.wav", WEATHER)),
            400,
            Some("model"),
            Some("unsupported_model"),
        ),
        (
            with(&[], ("a.wav", WEATHER)),
            400,
            Some("model"),
            Some("missing_required_parameter"),
        ),
        (
            no_file,
            400,
            Some("file"),
            Some("missing_required_parameter"),
        ),
        (not_multipart, 400, None, None),
        (
            with(&[("model", "whisper-1")], ("a.txt", WEATHER)),
            400,
            None,
            None,
        ),
        (
            with(&[("model", "whisper-1")], ("a.wav", b"nothing of the kind")),
            400,
            Some("file"),
            Some("invalid_value"),
        ),
        (
            with(&[("model", "whisper-1")], ("a.wav", b"")),
            400,
            Some("file"),
            Some("invalid_value"),
        ),
        (
            with(&[("model", "whisper-1")], ("a.wav", &large)),
            413,
            None,
            None,
        ),
        (
            with(
                &[("model", "gpt-4o-transcribe"), ("response_format", "srt")],
                ("a.wav", WEATHER),
            ),
            400,
            Some("response_format"),
            Some("unsupported_value"),
        ),
        (
            with(
                &[
                    ("model", "whisper-1"),
                    ("timestamp_granularities[]", "word"),
                ],
                ("a.wav", WEATHER),
            ),
            400,
            Some("timestamp_granularities"),
            Some("invalid_value"),
        ),
        (
            with(
                &[("model", "whisper-1"), ("language", "xx")],
                ("a.wav", WEATHER),
            ),
            400,
            Some("language"),
            Some("invalid_language_format"),
        ),
        (
            with(
                &[("model", "whisper-1"), ("temperature", "2")],
                ("a.wav", WEATHER),
            ),
            400,
            Some("temperature"),
            Some("invalid_value"),
        ),
        (
            with(
                &[("model", "whisper-1"), ("diarize", "true")],
                ("a.wav", WEATHER),
            ),
            400,
            Some("diarize"),
            Some("unknown_parameter"),
        ),
        (
            post(&bench, "/v1/audio/nothing", &json!({})),
            404,
            None,
            None,
        ),
        (
            bench.get("/v1/audio/speech").header("authorization", KEY),
            405,
            None,
            Some("method_not_supported"),
        ),
    ] {
        let got = send(request).await.expect(status);
        let error = &got.json()["error"];
        assert_eq!(
            (error["param"].as_str(), error["code"].as_str()),
            (param, code),
            "{error}"
        );
        audio_contract("ErrorResponse", &got.json());
        assert!(!bench.last().executed);
    }
}

#[tokio::test]
async fn speech_is_made_in_every_form() {
    let bench = Bench::new("openai").await;
    let speak = |extra: Value| {
        let mut body =
            json!({ "model": "gpt-4o-mini-tts", "input": "Hello there", "voice": "alloy" });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        post(&bench, "/v1/audio/speech", &body)
    };
    for (format, content_type, head) in [
        ("mp3", "audio/mpeg", &b"\xff\xfb"[..]),
        ("wav", "audio/wav", b"RIFF"),
        ("opus", "audio/opus", b"OggS"),
        ("flac", "audio/flac", b"fLaC"),
        ("pcm", "audio/pcm", b""),
    ] {
        let got = send(speak(json!({ "response_format": format })))
            .await
            .expect(200);
        assert_eq!(got.header("content-type"), content_type);
        assert!(got.body.starts_with(head) && got.body.len() > 100);
    }
    let streamed = events(&send(speak(json!({ "stream_format": "sse" }))).await);
    assert_eq!(streamed.last().unwrap()["type"], "speech.audio.done");
    for event in &streamed {
        audio_contract("CreateSpeechResponseStreamEvent", event);
    }
    for (extra, param) in [
        (json!({ "input": "" }), "input"),
        (json!({ "input": "x".repeat(4097) }), "input"),
        (json!({ "voice": "nobody" }), "voice"),
        (json!({ "speed": 9 }), "speed"),
        (json!({ "response_format": "tape" }), "response_format"),
        (
            json!({ "model": "tts-1", "stream_format": "sse" }),
            "stream_format",
        ),
        (json!({ "colour": 1 }), "colour"),
        (json!({ "model": "whisper-1" }), "model"),
    ] {
        assert_eq!(
            send(speak(extra)).await.expect(400).json()["error"]["param"],
            param
        );
    }
}

fn sentiment_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "label": { "type": "string", "enum": ["positive", "negative", "neutral", "mixed"] },
            "score": { "type": "number" },
        },
        "required": ["label", "score"],
        "additionalProperties": false,
    })
}

fn question() -> Value {
    json!([
        { "role": "system", "content": "Give the sentiment of the text." },
        { "role": "user", "content": "<text>The food was terrible.</text>" },
    ])
}

#[tokio::test]
async fn structured_answers_fit_their_schema() {
    let bench = Bench::new("openai").await;
    let schema = sentiment_schema();
    let format = json!({ "type": "json_schema", "json_schema": { "name": "sentiment", "strict": true, "schema": schema } });
    let body = json!({ "model": "gpt-4o-mini", "messages": question(), "response_format": format });
    let got = send(post(&bench, "/v1/chat/completions", &body))
        .await
        .expect(200)
        .json();
    let content: Value =
        serde_json::from_str(got["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(jsonschema::is_valid(&schema, &content), "{content}");
    assert_eq!(content["label"], "negative");
    chat_contract("CreateChatCompletionResponse", &got);
    assert_eq!(bench.last().operation.as_deref(), Some("text.sentiment"));

    let format = json!({ "format": { "type": "json_schema", "name": "sentiment", "strict": true, "schema": schema } });
    let body = json!({ "model": "gpt-5-mini", "input": question(), "text": format });
    let got = send(post(&bench, "/v1/responses", &body))
        .await
        .expect(200)
        .json();
    let content: Value =
        serde_json::from_str(got["output"][0]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(content["label"], "negative");
    chat_contract("Response", &got);
    assert_eq!(bench.last().operation.as_deref(), Some("text.sentiment"));
}

#[tokio::test]
async fn chat_streams_and_says_what_is_wrong() {
    let bench = Bench::new("openai").await;
    let chat = |body: Value| send(post(&bench, "/v1/chat/completions", &body));
    let body = json!({ "model": "gpt-4o", "messages": question(), "stream": true, "stream_options": { "include_usage": true } });
    let got = chat(body).await.expect(200);
    assert!(got.text().ends_with("data: [DONE]\n\n"));
    let chunks = events(&got);
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert!(text.contains("negative"), "{text}");
    assert!(
        chunks.last().unwrap()["usage"]["total_tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
    for chunk in &chunks {
        chat_contract("CreateChatCompletionStreamResponse", chunk);
    }
    let open = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    for (body, status, param) in [
        (json!({ "messages": question() }), 400, Some("model")),
        (json!({ "model": "gpt-4o" }), 400, Some("messages")),
        (
            json!({ "model": "gpt-4o", "messages": [] }),
            400,
            Some("messages"),
        ),
        (
            json!({ "model": "gpt-4o", "messages": [{ "role": "pirate" }] }),
            400,
            Some("messages[0].role"),
        ),
        (
            json!({ "model": "nothing", "messages": question() }),
            404,
            None,
        ),
        (
            json!({ "model": "gpt-4o", "messages": question(), "response_format": { "type": "json_schema", "json_schema": { "name": "x", "strict": true, "schema": open } } }),
            400,
            Some("response_format"),
        ),
        (
            json!({ "model": "gpt-4o", "messages": question(), "response_format": { "type": "json_schema" } }),
            400,
            Some("response_format.json_schema"),
        ),
    ] {
        assert_eq!(
            chat(body).await.expect(status).json()["error"]["param"].as_str(),
            param
        );
    }
    send(
        bench
            .post("/v1/chat/completions")
            .header("authorization", KEY)
            .body("{"),
    )
    .await
    .expect(400);
}

#[tokio::test]
async fn keys_are_checked_and_models_listed() {
    let bench = Bench::new("openai").await;
    let none = send(bench.get("/v1/models")).await.expect(401).json();
    assert_eq!(none["error"]["code"], "invalid_api_key");
    let list = send(
        bench
            .get("/v1/models")
            .header("authorization", "Bearer sandbox-openai-key-2"),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&list["data"][0]["id"], bench.last().account.as_deref()),
        (&json!("whisper-1"), Some("openai-2"))
    );
    send(
        bench
            .get("/v1/models/whisper-1")
            .header("authorization", KEY),
    )
    .await
    .expect(200);
    send(bench.get("/v1/models/nothing").header("authorization", KEY))
        .await
        .expect(404);
    send(
        bench
            .get("/v1/models")
            .header("authorization", "Bearer wrong"),
    )
    .await
    .expect(401);
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("openai").await;
    let request = || transcribe(&bench, &[("model", "whisper-1")], ("a.wav", WEATHER));
    every_class(&bench, request, |_, got| {
        audio_contract("ErrorResponse", &got.json());
    })
    .await;
    bench.fault(Fault::error(Class::Quota));
    assert_eq!(
        send(request()).await.expect(429).json()["error"]["code"],
        "insufficient_quota"
    );
    bench.fault(Fault::error(Class::Rate));
    assert_eq!(send(request()).await.expect(429).header("retry-after"), "1");
}
