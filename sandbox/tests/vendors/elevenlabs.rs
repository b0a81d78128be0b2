//! `ElevenLabs`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use isobar_sandbox::faults::Class;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{
    Bench, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, multipart, send,
};

const KEY: &str = "sandbox-elevenlabs-key";
const VOICE: &str = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM";

fn listen(bench: &Bench, fields: &[(&str, &str)], audio: &[u8]) -> RequestBuilder {
    let file = Some(("file", "a.wav", audio));
    let (content_type, body) = multipart(fields, file);
    let request = bench.post("/v1/speech-to-text").header("xi-api-key", KEY);
    request.header("content-type", content_type).body(body)
}

fn speak(bench: &Bench, path: &str, body: &Value) -> RequestBuilder {
    bench.post(path).header("xi-api-key", KEY).json(body)
}

fn get(bench: &Bench, path: &str) -> RequestBuilder {
    bench.get(path).header("xi-api-key", KEY)
}

fn schema(name: &str, body: &Value) {
    if let Some(description) = contract("speech/elevenlabs.openapi.json") {
        conforms(&description, &format!("#/components/schemas/{name}"), body);
    }
}

#[tokio::test]
async fn a_recording_becomes_words_and_spaces() {
    let bench = Bench::new("elevenlabs").await;
    let fields = [("model_id", "scribe_v1"), ("diarize", "true")];
    let body = send(listen(&bench, &fields, WEATHER))
        .await
        .expect(200)
        .json();
    assert_eq!(body["text"], WEATHER_TEXT);
    assert_eq!(body["language_code"], "eng");
    assert_eq!(body["audio_duration_secs"], 4.185);
    let words = body["words"].as_array().unwrap();
    assert_eq!(words.len(), 27, "fourteen words and the spaces between");
    assert_eq!(
        words[6],
        json!({ "text": "London", "start": 0.88, "end": 1.18, "type": "word", "speaker_id": "speaker_0", "logprob": -0.041 })
    );
    assert_eq!(words[5]["type"], "spacing");
    let whole: String = words
        .iter()
        .map(|word| word["text"].as_str().unwrap())
        .collect();
    assert_eq!(whole, WEATHER_TEXT);
    schema("SpeechToTextChunkResponseModel", &body);
    let entry = bench.last();
    assert_eq!(
        (entry.executed, &entry.facts["model"]),
        (true, &json!("scribe_v1"))
    );

    let id = body["transcription_id"].as_str().unwrap();
    let path = format!("/v1/speech-to-text/transcripts/{id}");
    assert_eq!(send(get(&bench, &path)).await.expect(200).json(), body);
    let other = bench
        .get(&path)
        .header("xi-api-key", "sandbox-elevenlabs-key-2");
    send(other).await.expect(404);
    let delete = bench
        .client
        .delete(bench.url(&path))
        .header("xi-api-key", KEY);
    send(delete).await.expect(200);
    let gone = send(get(&bench, &path)).await.expect(404).json();
    assert_eq!(gone["detail"]["status"], "not_found_error");
}

#[tokio::test]
async fn options_change_what_is_answered() {
    let bench = Bench::new("elevenlabs").await;
    let with = |fields: &[(&str, &str)], audio: &[u8]| {
        let mut all = vec![("model_id", "scribe_v2")];
        all.extend_from_slice(fields);
        send(listen(&bench, &all, audio))
    };
    let body = with(&[("timestamps_granularity", "character")], WEATHER)
        .await
        .json();
    let characters = body["words"][0]["characters"].as_array().unwrap();
    assert_eq!(characters.len(), 3);
    assert_eq!(
        (&characters[0]["start"], &characters[2]["end"]),
        (&json!(0.18), &json!(0.36))
    );
    assert_eq!(body["words"][0]["speaker_id"], Value::Null);
    schema("SpeechToTextChunkResponseModel", &body);

    let fields = [
        ("timestamps_granularity", "none"),
        ("language_code", "en"),
        ("entity_detection", "all"),
    ];
    let body = with(&fields, WEATHER).await.json();
    assert_eq!(body["words"][0]["start"], Value::Null);
    assert_eq!(body["language_probability"], 1.0);
    assert!(body["entities"].as_array().unwrap().contains(
        &json!({ "text": "London", "entity_type": "location", "start_char": 15, "end_char": 21 })
    ));
    schema("SpeechToTextChunkResponseModel", &body);

    let body = with(&[("use_multi_channel", "true")], WEATHER).await.json();
    assert_eq!(body["transcripts"][0]["channel_index"], 0);
    schema("MultichannelSpeechToTextResponseModel", &body);

    let body = with(&[("file_format", "pcm_s16le_16")], &WEATHER[44..])
        .await
        .json();
    assert_eq!(body["text"], WEATHER_TEXT);

    let body = with(&[("diarize", "true")], HOTEL).await.json();
    let last = body["words"].as_array().unwrap().last().unwrap();
    assert_eq!(last["speaker_id"], "speaker_1");

    let body = with(&[("webhook", "true")], WEATHER)
        .await
        .expect(202)
        .json();
    schema("SpeechToTextWebhookResponseModel", &body);
}

#[tokio::test]
async fn what_is_wrong_with_a_recording_is_said() {
    let bench = Bench::new("elevenlabs").await;
    let model = ("model_id", "scribe_v1");
    for (fields, place) in [
        (vec![], "model_id"),
        (vec![("model_id", "whisper")], "model_id"),
        (vec![model, ("diarize", "maybe")], "diarize"),
        (vec![model, ("num_speakers", "33")], "num_speakers"),
        (
            vec![model, ("timestamps_granularity", "line")],
            "timestamps_granularity",
        ),
    ] {
        let got = send(listen(&bench, &fields, WEATHER))
            .await
            .expect(422)
            .json();
        schema("HTTPValidationError", &got);
        assert_eq!(got["detail"][0]["loc"], json!(["body", place]));
        assert!(!bench.last().executed);
    }
    let status = |got: &Value| got["detail"]["status"].as_str().unwrap().to_owned();
    let language = [model, ("language_code", "tlh")];
    let url = [model, ("source_url", "https://example.com/a.wav")];
    for (request, code, word) in [
        (
            listen(&bench, &language, WEATHER),
            400,
            "unsupported_language",
        ),
        (listen(&bench, &url, WEATHER), 400, "invalid_parameters"),
        (
            listen(&bench, &[model], b"not audio at all"),
            400,
            "invalid_audio",
        ),
        (listen(&bench, &[model], b""), 400, "empty_file"),
        (
            listen(
                &bench,
                &[model, ("file_format", "pcm_s16le_16")],
                &WEATHER[44..1044],
            ),
            400,
            "audio_too_short",
        ),
    ] {
        let got = send(request).await.expect(code).json();
        assert_eq!(status(&got), word);
    }
    let (content_type, body) = multipart(&url, None);
    let request = bench.post("/v1/speech-to-text").header("xi-api-key", KEY);
    let request = request.header("content-type", content_type).body(body);
    assert_eq!(
        status(&send(request).await.expect(400).json()),
        "invalid_url"
    );
    send(get(&bench, "/v1/speech-to-text")).await.expect(405);
    send(get(&bench, "/v1/nothing")).await.expect(404);
}

#[tokio::test]
async fn texts_become_speech_in_every_form() {
    let bench = Bench::new("elevenlabs").await;
    let text = "Hello from the sandbox.";
    for (format, content_type, head) in [
        ("", "audio/mpeg", &b"\xff\xfb"[..]),
        ("?output_format=mp3_44100_192", "audio/mpeg", b"\xff\xfb"),
        ("?output_format=wav_16000", "audio/wav", b"RIFF"),
        ("?output_format=opus_48000_96", "audio/opus", b"OggS"),
        ("?output_format=pcm_24000", "audio/pcm", b"\0\0"),
        ("?output_format=ulaw_8000", "audio/basic", b"\0"),
    ] {
        let request = speak(
            &bench,
            &format!("{VOICE}{format}"),
            &json!({ "text": text }),
        );
        let got = send(request).await.expect(200);
        assert_eq!(got.header("content-type"), content_type);
        assert_eq!(got.header("character-cost"), "23");
        assert!(
            got.body.starts_with(head) && got.headers.contains_key("request-id"),
            "{format}"
        );
    }
    let whole = send(speak(&bench, VOICE, &json!({ "text": text })))
        .await
        .body;
    let streamed = send(speak(
        &bench,
        &format!("{VOICE}/stream"),
        &json!({ "text": text }),
    ))
    .await;
    assert_eq!(streamed.expect(200).body, whole);
    let entry = bench.last();
    assert_eq!(entry.operation.as_deref(), Some("speech.synthesize"));
    assert_eq!(entry.facts["characters"], 23);
}

#[tokio::test]
async fn characters_have_times() {
    let bench = Bench::new("elevenlabs").await;
    let text = "A text that is longer than one piece of the stream.";
    let body = json!({ "text": text, "model_id": "eleven_flash_v2_5" });
    let whole = send(speak(&bench, &format!("{VOICE}/with-timestamps"), &body)).await;
    let whole = whole.expect(200).json();
    schema("AudioWithTimestampsResponseModel", &whole);
    let alignment = &whole["alignment"];
    let characters = alignment["characters"].as_array().unwrap();
    let ends = alignment["character_end_times_seconds"].as_array().unwrap();
    assert_eq!((characters.len(), ends.len()), (51, 51));
    assert_eq!(alignment["character_start_times_seconds"][1], 0.04);
    assert_eq!(ends[50], 2.04);

    let got = send(speak(
        &bench,
        &format!("{VOICE}/stream/with-timestamps"),
        &body,
    ))
    .await;
    let lines: Vec<Value> = got
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    let mut sound = Vec::new();
    let mut spoken = Vec::new();
    for line in &lines {
        schema("StreamingAudioChunkWithTimestampsResponseModel", line);
        sound.extend(
            STANDARD
                .decode(line["audio_base64"].as_str().unwrap())
                .unwrap(),
        );
        spoken.extend_from_slice(line["alignment"]["characters"].as_array().unwrap());
    }
    assert_eq!(
        STANDARD.encode(sound),
        whole["audio_base64"].as_str().unwrap()
    );
    assert_eq!(&spoken, characters);
}

#[tokio::test]
async fn what_is_wrong_with_a_text_is_said() {
    let bench = Bench::new("elevenlabs").await;
    let long = "x".repeat(10_001);
    for (path, body, code, word) in [
        (
            "/v1/text-to-speech/nobody",
            json!({ "text": "x" }),
            404,
            "voice_not_found",
        ),
        (
            VOICE,
            json!({ "text": "x", "model_id": "no" }),
            400,
            "model_not_found",
        ),
        (VOICE, json!({ "text": " " }), 400, "input_text_empty"),
        (
            VOICE,
            json!({ "text": long }),
            400,
            "max_character_limit_exceeded",
        ),
    ] {
        let got = send(speak(&bench, path, &body)).await.expect(code).json();
        assert_eq!(got["detail"]["status"], word);
    }
    let format = format!("{VOICE}?output_format=mp3_1_1");
    for (path, body) in [
        (VOICE, json!({})),
        (VOICE, json!({ "text": 1 })),
        (VOICE, json!([])),
        (format.as_str(), json!({ "text": "x" })),
    ] {
        let got = send(speak(&bench, path, &body)).await.expect(422).json();
        schema("HTTPValidationError", &got);
    }
    let body = json!({ "text": "x".repeat(10_001), "model_id": "eleven_flash_v2_5" });
    send(speak(&bench, VOICE, &body)).await.expect(200);
}

#[tokio::test]
async fn keys_are_checked_and_voices_and_models_listed() {
    let bench = Bench::new("elevenlabs").await;
    let status = |got: Value| got["detail"]["status"].as_str().unwrap().to_owned();
    let missing = send(bench.get("/v1/models")).await.expect(401).json();
    assert_eq!(status(missing), "unauthorized");
    for wrong in ["nonsense", "Bearer sandbox-elevenlabs-key"] {
        let request = bench.get("/v1/models").header("xi-api-key", wrong);
        assert_eq!(
            status(send(request).await.expect(401).json()),
            "invalid_api_key"
        );
        assert_eq!(bench.last().account, None);
    }
    let second = bench
        .get("/v1/voices")
        .header("xi-api-key", "sandbox-elevenlabs-key-2");
    let voices = send(second).await.expect(200).json();
    assert_eq!(bench.last().account.as_deref(), Some("elevenlabs-2"));
    schema("GetVoicesResponseModel", &voices);
    let voices = send(get(&bench, "/v2/voices")).await.expect(200).json();
    schema("GetVoicesV2ResponseModel", &voices);
    let models = send(get(&bench, "/v1/models")).await.expect(200).json();
    for model in models.as_array().unwrap() {
        schema("ModelResponseModel", model);
    }
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("elevenlabs").await;
    let request = || listen(&bench, &[("model_id", "scribe_v1")], WEATHER);
    every_class(&bench, request, |class, got| {
        let body = got.json();
        if class == Class::Invalid {
            assert_eq!(got.status, 422);
            return schema("HTTPValidationError", &body);
        }
        let (status, word) = match class {
            Class::Auth => (401, "invalid_api_key"),
            Class::Quota => (401, "quota_exceeded"),
            Class::Rate => (429, "too_many_concurrent_requests"),
            Class::Unavailable => (429, "system_busy"),
            Class::TooLarge => (413, "file_too_large"),
            Class::Unsupported => (400, "unsupported_language"),
            Class::NotFound => (404, "not_found_error"),
            _ => (500, "internal_server_error"),
        };
        assert_eq!(
            (got.status, &body["detail"]["status"]),
            (status, &json!(word))
        );
        assert!(body["detail"]["message"].is_string());
    })
    .await;
}
