//! What vendors are sent, and what is made of their answers: requests and answers in the shapes of the vendors' own
//! descriptions.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod scripted;

use isobar_adapters::{
    Account, Content, Failure, Job, Kind, Output, built_in,
    capabilities::{speech::Transcript, text::Language, translation::Translation},
};
use scripted::{Script, account, job, perform};
use serde_json::{Value, json};

fn at(vendor: &str, fields: &[(&str, &str)]) -> Account {
    account(built_in().0.get(vendor).unwrap(), fields)
}

fn keyed(vendor: &str) -> Account {
    at(vendor, &[("key", "a-key")])
}

async fn one(account: &Account, operation: &str, job: Job, script: &Script) -> Output {
    let mut answers = perform(account, operation, &[job], script).await;
    assert_eq!(answers.len(), 1);
    answers
        .remove(0)
        .unwrap_or_else(|failure| panic!("{failure:?}"))
}

async fn failed(account: &Account, operation: &str, job: Job, script: &Script) -> Failure {
    let mut answers = perform(account, operation, &[job], script).await;
    answers.remove(0).unwrap_err()
}

fn transcript(output: &Output) -> &Transcript {
    match &output.content {
        Content::Transcript(transcript) => transcript,
        other => panic!("{other:?}"),
    }
}

fn translation(output: &Output) -> &Translation {
    match &output.content {
        Content::Translation(translation) => translation,
        other => panic!("{other:?}"),
    }
}

fn words(transcript: &Transcript) -> Vec<&str> {
    let words = transcript.words.iter();
    words.map(|word| word.text.as_str()).collect()
}

fn part<'p>(parts: &'p [(String, String)], name: &str) -> Vec<&'p str> {
    let parts = parts.iter().filter(|(known, _)| known == name);
    parts.map(|(_, content)| content.as_str()).collect()
}

/// Each answer, and the kind of failure that it is.
async fn kinds(account: &Account, operation: &str, input: Value, table: &[(u16, Value, Kind)]) {
    for (status, body, kind) in table {
        let script = Script::of(&[(*status, body.clone())]);
        let failure = failed(account, operation, job(operation, input.clone()), &script).await;
        assert_eq!(failure.kind, *kind, "{status} {body} is {failure:?}");
        assert_eq!(failure.status, Some(*status));
    }
}

#[tokio::test]
async fn elevenlabs_words_are_told_from_blanks_and_noises() {
    let script = Script::of(&[(
        200,
        json!({ "language_code": "eng", "language_probability": 0.98, "text": "Hello world!", "audio_duration_secs": 1.5, "words": [
            { "text": "Hello", "start": 0.1, "end": 0.5, "type": "word", "speaker_id": "speaker_0", "logprob": -0.5 },
            { "text": " ", "start": 0.5, "end": 0.5, "type": "spacing", "speaker_id": "speaker_0", "logprob": 0.0 },
            { "text": "(laughter)", "start": 0.5, "end": 0.7, "type": "audio_event", "speaker_id": "speaker_1", "logprob": 0.0 },
            { "text": "world!", "start": 0.7, "end": 1.2, "type": "word", "speaker_id": "speaker_1", "logprob": 0.0 },
        ] }),
    )]);
    let input = json!({ "language": "en-GB", "speakers": true, "speakers_max": 2, "keywords": ["Isobar", "Pingora"] });
    let output = one(
        &keyed("elevenlabs"),
        "speech.transcribe",
        job("speech.transcribe", input),
        &script,
    )
    .await;
    let heard = transcript(&output);
    assert_eq!(
        (
            heard.text.as_str(),
            heard.language.as_deref(),
            heard.duration
        ),
        ("Hello world!", Some("en"), Some(1.5))
    );
    assert_eq!(words(heard), ["Hello", "world!"]);
    assert!((heard.words[0].confidence.unwrap() - (-0.5_f64).exp()).abs() < 1e-9);
    assert_eq!(heard.words[1].speaker.as_deref(), Some("speaker_2"));
    let sent = script.sent.lock().unwrap();
    assert_eq!(
        sent[0].line,
        "POST https://api.elevenlabs.io/v1/speech-to-text"
    );
    assert_eq!(sent[0].header("xi-api-key"), "a-key");
    let parts = sent[0].parts();
    for (name, contents) in [
        ("model_id", vec!["scribe_v2"]),
        ("file", vec!["audio/wav"]),
        ("language_code", vec!["en"]),
        ("tag_audio_events", vec!["false"]),
        ("diarize", vec!["true"]),
        ("num_speakers", vec!["2"]),
        ("keyterms", vec!["Isobar", "Pingora"]),
        ("temperature", vec![]),
    ] {
        assert_eq!(part(&parts, name), contents, "{name}");
    }
}

#[tokio::test]
async fn elevenlabs_says_what_is_wrong_in_a_word_and_not_in_the_status() {
    let told = |status: &str| json!({ "detail": { "status": status, "message": "…" } });
    let table = [
        (401, told("invalid_api_key"), Kind::Auth),
        (401, told("quota_exceeded"), Kind::Quota),
        (429, told("too_many_concurrent_requests"), Kind::RateLimited),
        (429, told("system_busy"), Kind::Unavailable),
        (
            422,
            json!({ "detail": [{ "loc": ["body", "model_id"], "msg": "Field required", "type": "missing" }] }),
            Kind::Invalid,
        ),
        (500, json!({}), Kind::Internal),
    ];
    kinds(&keyed("elevenlabs"), "speech.transcribe", json!({}), &table).await;
    let script = Script::of(&[(
        422,
        json!({ "detail": [{ "loc": [], "msg": "Field required", "type": "missing" }] }),
    )]);
    let failure = failed(
        &keyed("elevenlabs"),
        "speech.transcribe",
        job("speech.transcribe", json!({})),
        &script,
    )
    .await;
    assert_eq!(failure.message, "Field required");
}

#[tokio::test]
async fn elevenlabs_voices_stand_in_the_path() {
    for (voice, path) in [
        (json!("male"), "JBFqnCBsd6RMkjVDRZzb"),
        (json!("elevenlabs/a%2Fb c"), "a%252Fb%20c"),
        (json!(null), "21m00Tcm4TlvDq8ikWAM"),
    ] {
        let script = Script::bytes(200, b"ID3 sound");
        let mut input = json!({ "text": "Hello", "format": "opus", "speed": 1.1 });
        if !voice.is_null() {
            input["voice"] = voice;
        }
        let output = one(
            &keyed("elevenlabs"),
            "speech.synthesize",
            job("speech.synthesize", input),
            &script,
        )
        .await;
        let Content::Speech(speech) = &output.content else {
            panic!("{output:?}")
        };
        assert_eq!(speech.audio.to_bytes().unwrap(), "ID3 sound");
        assert!((output.usage.cost_usd.unwrap() - 5.0 * 80e-6).abs() < 1e-12);
        let sent = script.sent.lock().unwrap();
        assert_eq!(
            sent[0].line,
            format!(
                "POST https://api.elevenlabs.io/v1/text-to-speech/{path}?output_format=opus_48000_128"
            )
        );
        assert_eq!(
            sent[0].json(),
            json!({ "text": "Hello", "model_id": "eleven_multilingual_v2", "voice_settings": { "speed": 1.1 } })
        );
    }
}

#[tokio::test]
async fn groq_answers_in_the_dialect_and_bills_ten_seconds_at_least() {
    let answer = json!({ "task": "transcribe", "language": "English", "duration": 2.0, "text": " Hello there.",
        "segments": [{ "id": 0, "start": 0.0, "end": 1.5, "text": " Hello there.", "avg_logprob": -0.25, "no_speech_prob": 0.01 }],
        "words": [{ "word": "Hello", "start": 0.0, "end": 0.5 }, { "word": "there.", "start": 0.5, "end": 1.5 }], "x_groq": { "id": "req" } });
    let hour = |usd: f64| usd * 10.0 / 3_600.0;
    for (model, sent_as, usd) in [
        (None, "whisper-large-v3-turbo", hour(0.04)),
        (
            Some("groq/whisper-large-v3"),
            "whisper-large-v3",
            hour(0.111),
        ),
    ] {
        let script = Script::of(&[(200, answer.clone())]);
        let mut input = json!({ "language": "nb-NO", "keywords": ["a", "b"] });
        if let Some(model) = model {
            input["model"] = json!(model);
        }
        let output = one(
            &keyed("groq"),
            "speech.transcribe",
            job("speech.transcribe", input),
            &script,
        )
        .await;
        let heard = transcript(&output);
        assert_eq!(
            (heard.text.as_str(), heard.language.as_deref()),
            ("Hello there.", Some("en"))
        );
        assert_eq!(
            (words(heard), heard.segments.len()),
            (vec!["Hello", "there."], 1)
        );
        assert!(
            (output.usage.billed - 10.0).abs() < 1e-9
                && (output.usage.cost_usd.unwrap() - usd).abs() < 1e-12,
            "{:?}",
            output.usage
        );
        let sent = script.sent.lock().unwrap();
        assert_eq!(
            sent[0].line,
            "POST https://api.groq.com/openai/v1/audio/transcriptions"
        );
        assert_eq!(sent[0].header("authorization"), "Bearer a-key");
        let parts = sent[0].parts();
        assert_eq!(part(&parts, "model"), [sent_as]);
        assert_eq!(part(&parts, "language"), ["no"]);
        assert_eq!(part(&parts, "prompt"), ["a, b"]);
        assert_eq!(
            part(&parts, "timestamp_granularities[]"),
            ["word", "segment"]
        );
    }
}

#[tokio::test]
async fn groq_failures_are_told_apart() {
    let told = |code: &str| json!({ "error": { "message": "…", "type": "x", "code": code } });
    let table = [
        (401, told("invalid_api_key"), Kind::Auth),
        (429, told("rate_limit_exceeded"), Kind::RateLimited),
        (429, told("insufficient_quota"), Kind::Quota),
        (413, told("request_too_large"), Kind::TooLarge),
        (404, told("model_not_found"), Kind::Unsupported),
        (
            400,
            json!({ "error": { "message": "could not process file", "type": "invalid_request_error" } }),
            Kind::Invalid,
        ),
        (498, json!({}), Kind::Unavailable),
        (503, json!({}), Kind::Unavailable),
    ];
    kinds(&keyed("groq"), "speech.transcribe", json!({}), &table).await;
}

fn item(kind: &str, content: &str, start: f64, speaker: &str, attaches: Option<&str>) -> Value {
    let mut item = json!({ "type": kind, "start_time": start, "end_time": start + 0.2,
        "alternatives": [{ "content": content, "confidence": 0.9, "language": "es", "speaker": speaker }] });
    if let Some(to) = attaches {
        item["attaches_to"] = json!(to);
    }
    item
}

fn recognised(language: &str, delimiter: &str, results: &[Value]) -> Value {
    json!({ "format": "2.9", "job": { "id": "abc", "duration": 3, "data_name": "tone.wav", "created_at": "2026-11-25T00:00:00Z" },
        "metadata": { "type": "transcription", "transcription_config": { "language": language }, "language_pack_info": { "word_delimiter": delimiter } },
        "results": results })
}

#[tokio::test]
async fn speechmatics_punctuation_joins_the_words_beside_it() {
    let status = |status: &str| (200, json!({ "job": { "id": "abc", "status": status } }));
    let early = |text: &str| (404, json!({ "code": 404, "error": text }));
    let results = [
        item("punctuation", "¿", 0.0, "UU", Some("next")),
        item("word", "Hola", 0.1, "UU", None),
        item("punctuation", "?", 0.3, "UU", Some("previous")),
        item("entity", "17", 0.3, "UU", None),
        item("word", "Sí", 0.5, "S2", None),
        item("punctuation", ".", 0.7, "S2", None),
    ];
    let script = Script::of(&[
        (201, json!({ "id": "abc" })),
        status("running"),
        status("done"),
        early("Job In Progress"),
        early("Transcription not ready"),
        (200, recognised("es", " ", &results)),
    ]);
    let account = at("speechmatics", &[("key", "a-key"), ("region", "us1")]);
    let input = json!({ "language": "es-MX", "speakers": true, "keywords": ["Isobar"] });
    let output = one(
        &account,
        "speech.transcribe",
        job("speech.transcribe", input),
        &script,
    )
    .await;
    let heard = transcript(&output);
    assert_eq!(
        (
            heard.text.as_str(),
            heard.language.as_deref(),
            heard.duration
        ),
        ("¿Hola? Sí.", Some("es"), Some(3.0))
    );
    assert_eq!(words(heard), ["¿Hola?", "Sí."]);
    assert_eq!(heard.words[0].speaker, None);
    assert_eq!(heard.words[1].speaker.as_deref(), Some("speaker_1"));
    assert_eq!(
        script.lines(),
        [
            "POST https://us1.asr.api.speechmatics.com/v2/jobs",
            "GET https://us1.asr.api.speechmatics.com/v2/jobs/abc",
            "GET https://us1.asr.api.speechmatics.com/v2/jobs/abc",
            "GET https://us1.asr.api.speechmatics.com/v2/jobs/abc/transcript?format=json-v2",
            "GET https://us1.asr.api.speechmatics.com/v2/jobs/abc/transcript?format=json-v2",
            "GET https://us1.asr.api.speechmatics.com/v2/jobs/abc/transcript?format=json-v2",
        ]
    );
    let parts = script.sent.lock().unwrap()[0].parts();
    let config: Value = serde_json::from_str(part(&parts, "config")[0]).unwrap();
    assert_eq!(
        config,
        json!({ "type": "transcription", "transcription_config": { "language": "es", "operating_point": "enhanced",
            "diarization": "speaker", "additional_vocab": [{ "content": "Isobar" }] } })
    );
    assert_eq!(part(&parts, "data_file"), ["audio/wav"]);
}

#[tokio::test]
async fn speechmatics_detects_a_language_and_writes_some_without_blanks() {
    let mut answer = recognised(
        "auto",
        "",
        &[
            item("word", "こん", 0.0, "UU", None),
            item("word", "にちは", 0.3, "UU", None),
            item("punctuation", "。", 0.6, "UU", Some("previous")),
        ],
    );
    answer["metadata"]["language_identification"] = json!({ "results": [{ "start_time": 0, "end_time": 3, "alternatives": [{ "language": "ja", "confidence": 0.99 }] }] });
    let script = Script::of(&[
        (201, json!({ "id": "abc" })),
        (200, json!({ "job": { "status": "done" } })),
        (200, answer),
    ]);
    let output = one(
        &keyed("speechmatics"),
        "speech.transcribe",
        job("speech.transcribe", json!({})),
        &script,
    )
    .await;
    let heard = transcript(&output);
    assert_eq!(
        (heard.text.as_str(), heard.language.as_deref()),
        ("こんにちは。", Some("ja"))
    );
    let parts = script.sent.lock().unwrap()[0].parts();
    let config: Value = serde_json::from_str(part(&parts, "config")[0]).unwrap();
    assert_eq!(
        config["transcription_config"],
        json!({ "language": "auto", "operating_point": "enhanced" })
    );
}

#[tokio::test]
async fn speechmatics_failures_are_told_apart() {
    let told = |code: u16, error: &str| json!({ "code": code, "error": error, "detail": "…" });
    let table = [
        (401, told(401, "Permission Denied"), Kind::Auth),
        (403, told(403, "Forbidden"), Kind::Quota),
        (
            429,
            told(429, "Max concurrent running jobs exceeded"),
            Kind::RateLimited,
        ),
        (400, told(400, "Job rejected"), Kind::Invalid),
        (
            400,
            json!({ "code": 400, "error": "Job rejected", "detail": "lang pack [xx] is not supported" }),
            Kind::Unsupported,
        ),
        (413, told(413, "Malformed request"), Kind::TooLarge),
        (500, told(500, "Internal Server Error"), Kind::Internal),
        (503, json!({}), Kind::Unavailable),
    ];
    kinds(
        &keyed("speechmatics"),
        "speech.transcribe",
        json!({}),
        &table,
    )
    .await;
    let rejected = json!({ "job": { "status": "rejected", "errors": [{ "timestamp": "…", "message": "no audio" }] } });
    let script = Script::of(&[(201, json!({ "id": "abc" })), (200, rejected)]);
    let failure = failed(
        &keyed("speechmatics"),
        "speech.transcribe",
        job("speech.transcribe", json!({})),
        &script,
    )
    .await;
    assert_eq!(failure.message, "the vendor's job failed: no audio");
}

#[tokio::test]
async fn gladia_takes_a_recording_a_job_and_a_result() {
    let result = json!({ "id": "j", "status": "done", "result": {
        "metadata": { "audio_duration": 17.25, "number_of_distinct_channels": 1, "billing_time": 17.25, "transcription_time": 2 },
        "transcription": { "languages": ["en"], "full_transcript": "Unit 1, page 14.", "utterances": [
            { "text": "Unit 1,", "language": "en", "start": 0.25, "end": 0.89, "confidence": 0.9, "channel": 0, "speaker": 0,
              "words": [{ "word": "Unit", "start": 0.25, "end": 0.47, "confidence": 0.7 }, { "word": " 1,", "start": 0.65, "end": 0.89, "confidence": 0.02 }] },
            { "text": "page 14.", "language": "en", "start": 1.49, "end": 2.55, "confidence": 0.8, "channel": 0, "speaker": 1,
              "words": [{ "word": " page", "start": 1.49, "end": 1.85, "confidence": 0.21 }, { "word": " 14.", "start": 1.93, "end": 2.55, "confidence": 0.01 }] },
        ] } } });
    let script = Script::of(&[
        (
            200,
            json!({ "audio_url": "https://api.gladia.io/file/f", "audio_metadata": { "id": "f" } }),
        ),
        (
            201,
            json!({ "id": "j", "result_url": "https://api.gladia.io/v2/pre-recorded/j" }),
        ),
        (200, json!({ "id": "j", "status": "queued" })),
        (200, json!({ "id": "j", "status": "processing" })),
        (200, result),
    ]);
    let input =
        json!({ "language": "en-US", "speakers": true, "speakers_max": 3, "keywords": ["Isobar"] });
    let output = one(
        &keyed("gladia"),
        "speech.transcribe",
        job("speech.transcribe", input),
        &script,
    )
    .await;
    let heard = transcript(&output);
    assert_eq!(
        (
            heard.text.as_str(),
            heard.language.as_deref(),
            heard.duration
        ),
        ("Unit 1, page 14.", Some("en"), Some(17.25))
    );
    assert_eq!(words(heard), ["Unit", "1,", "page", "14."]);
    assert_eq!(
        (
            heard.segments.len(),
            heard.segments[1].speaker.as_deref(),
            heard.words[3].speaker.as_deref()
        ),
        (2, Some("speaker_2"), Some("speaker_2"))
    );
    let sent = script.sent.lock().unwrap();
    assert_eq!(
        (sent[0].line.as_str(), sent[0].header("x-gladia-key")),
        ("POST https://api.gladia.io/v2/upload", "a-key")
    );
    assert_eq!(part(&sent[0].parts(), "audio"), ["audio/wav"]);
    assert_eq!(sent[1].line, "POST https://api.gladia.io/v2/pre-recorded");
    assert_eq!(
        sent[1].json(),
        json!({ "audio_url": "https://api.gladia.io/file/f", "language_config": { "languages": ["en"] }, "diarization": true,
            "diarization_config": { "max_speakers": 3 }, "custom_vocabulary": true, "custom_vocabulary_config": { "vocabulary": ["Isobar"] } })
    );
    assert_eq!(sent[4].line, "GET https://api.gladia.io/v2/pre-recorded/j");
}

#[tokio::test]
async fn gladia_failures_are_told_apart() {
    let told = |status: u16, message: &str| json!({ "statusCode": status, "message": message, "request_id": "G-1", "timestamp": "…", "path": "…" });
    let table = [
        (401, told(401, "gladia key not found"), Kind::Auth),
        (403, told(403, "Monthly limit reached"), Kind::Quota),
        (429, told(429, "Too many requests"), Kind::RateLimited),
        (
            400,
            told(400, "Content-Type is missing Multipart Boundary."),
            Kind::Invalid,
        ),
        (422, told(422, "Invalid parameter"), Kind::Invalid),
        (413, told(413, "File too large"), Kind::TooLarge),
        (500, told(500, "…"), Kind::Internal),
    ];
    kinds(&keyed("gladia"), "speech.transcribe", json!({}), &table).await;
    for (code, kind) in [
        (400, Kind::Invalid),
        (422, Kind::Invalid),
        (500, Kind::Internal),
        (503, Kind::Unavailable),
    ] {
        let script = Script::of(&[
            (200, json!({ "audio_url": "https://api.gladia.io/file/f" })),
            (201, json!({ "id": "j" })),
            (
                200,
                json!({ "id": "j", "status": "error", "error_code": code }),
            ),
        ]);
        let failure = failed(
            &keyed("gladia"),
            "speech.transcribe",
            job("speech.transcribe", json!({})),
            &script,
        )
        .await;
        assert_eq!(failure.kind, kind, "{code}");
    }
}

fn translated(texts: &[&str]) -> Value {
    let translations = texts.iter().map(|text| json!({ "detected_source_language": "EN", "text": text, "billed_characters": text.len() }));
    json!({ "translations": translations.collect::<Vec<_>>() })
}

#[tokio::test]
async fn deepl_keys_know_their_host() {
    for (key, host) in [
        ("secret:fx", "api-free.deepl.com"),
        ("secret", "api.deepl.com"),
    ] {
        let script = Script::of(&[(200, translated(&["Hallo"]))]);
        one(
            &at("deepl", &[("key", key)]),
            "translation.translate",
            job(
                "translation.translate",
                json!({ "text": "Hello", "to": "de" }),
            ),
            &script,
        )
        .await;
        let sent = script.sent.lock().unwrap();
        assert_eq!(sent[0].line, format!("POST https://{host}/v2/translate"));
        assert_eq!(
            sent[0].header("authorization"),
            format!("DeepL-Auth-Key {key}")
        );
    }
}

#[tokio::test]
async fn deepl_languages_are_upper_case_and_targets_have_variants() {
    for (to, target) in [
        ("en", "EN-US"),
        ("en-GB", "EN-GB"),
        ("en-AU", "EN-GB"),
        ("en-US", "EN-US"),
        ("pt", "PT-BR"),
        ("pt-PT", "PT-PT"),
        ("zh", "ZH-HANS"),
        ("zh-TW", "ZH-HANT"),
        ("zh-CN", "ZH-HANS"),
        ("de-AT", "DE"),
        ("no", "NB"),
        ("es-419", "ES-419"),
        ("es-ES", "ES"),
        ("fil", "TL"),
    ] {
        let script = Script::of(&[(200, translated(&["x"]))]);
        let input = json!({ "text": "y", "to": to, "from": "en-GB" });
        let output = one(
            &keyed("deepl"),
            "translation.translate",
            job("translation.translate", input),
            &script,
        )
        .await;
        assert_eq!(translation(&output).from.as_deref(), Some("en"));
        let body = script.sent.lock().unwrap()[0].json();
        assert_eq!(
            (&body["target_lang"], &body["source_lang"]),
            (&json!(target), &json!("EN")),
            "{to}"
        );
    }
}

#[tokio::test]
async fn deepl_translates_many_texts_in_one_call_and_says_what_it_bills() {
    let input = |text: &str| json!({ "text": text, "to": "de", "from": "en", "format": "html", "formality": "less", "glossary": "g", "context": "c", "model": "deepl/latency_optimized" });
    let jobs: Vec<Job> = ["one", "two"]
        .iter()
        .map(|text| job("translation.translate", input(text)))
        .collect();
    let script = Script::of(&[(200, translated(&["eins", "zwei!"]))]);
    let answers = perform(&keyed("deepl"), "translation.translate", &jobs, &script).await;
    let answers: Vec<Output> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        answers
            .iter()
            .map(|answer| translation(answer).text.as_str())
            .collect::<Vec<_>>(),
        ["eins", "zwei!"]
    );
    assert!(
        (answers[1].usage.billed - 5.0).abs() < 1e-9
            && (answers[1].usage.quantity - 3.0).abs() < 1e-9
    );
    assert_eq!(
        script.sent.lock().unwrap()[0].json(),
        json!({ "text": ["one", "two"], "source_lang": "EN", "target_lang": "DE", "formality": "prefer_less", "tag_handling": "html",
            "glossary_id": "g", "context": "c", "model_type": "latency_optimized", "show_billed_characters": true })
    );
}

#[tokio::test]
async fn deepl_calls_hold_fifty_texts_and_no_more_than_fits_a_body() {
    let jobs = |count: usize, length: usize| {
        (0..count)
            .map(|_| {
                job(
                    "translation.translate",
                    json!({ "text": "x".repeat(length), "to": "de" }),
                )
            })
            .collect::<Vec<_>>()
    };
    for (count, length, sizes) in [
        (120, 1, vec![50, 50, 20]),
        (5, 40_000, vec![2, 2, 1]),
        (2, 100_000, vec![1, 1]),
    ] {
        let answers: Vec<(u16, Value)> = sizes
            .iter()
            .map(|size| (200, translated(&vec!["y"; *size])))
            .collect();
        let script = Script::of(&answers);
        let answers = perform(
            &keyed("deepl"),
            "translation.translate",
            &jobs(count, length),
            &script,
        )
        .await;
        assert!(answers.len() == count && answers.iter().all(Result::is_ok));
        let sent = script.sent.lock().unwrap();
        let texts: Vec<usize> = sent
            .iter()
            .map(|sent| sent.json()["text"].as_array().unwrap().len())
            .collect();
        assert_eq!(texts, sizes);
        assert!(sent.iter().all(|sent| sent.body.len() <= 128 * 1024));
    }
}

#[tokio::test]
async fn deepl_failures_are_told_apart() {
    let told = |message: &str| json!({ "message": message });
    let table = [
        (403, told("Forbidden"), Kind::Auth),
        (
            456,
            json!({ "message": "Quota Exceeded", "detail": "…" }),
            Kind::Quota,
        ),
        (429, told("Too many requests"), Kind::RateLimited),
        (529, told("Too many requests"), Kind::RateLimited),
        (413, told("Request Entity Too Large"), Kind::TooLarge),
        (
            400,
            told("Value for 'target_lang' not supported."),
            Kind::Unsupported,
        ),
        (400, told("Bad request"), Kind::Invalid),
        (503, json!({}), Kind::Unavailable),
        (500, json!({}), Kind::Internal),
    ];
    kinds(
        &keyed("deepl"),
        "translation.translate",
        json!({ "text": "Hello", "to": "de" }),
        &table,
    )
    .await;
}

#[test]
fn deepl_glossaries_go_with_a_source_language() {
    let account = keyed("deepl");
    let operation = account.vendor.operation("translation.translate").unwrap();
    let gap = |input: Value| operation.gap(&job("translation.translate", input), &account);
    assert_eq!(
        gap(json!({ "text": "x", "to": "de", "glossary": "g" })).unwrap(),
        "offers `glossary` only with `from`"
    );
    assert_eq!(
        gap(json!({ "text": "x", "to": "de", "from": "en", "glossary": "g" })),
        None
    );
    assert_eq!(
        gap(json!({ "text": "x", "to": "tlh" })).unwrap(),
        "does not offer `tlh` as `to`"
    );
}

#[tokio::test]
async fn libretranslate_translates_and_detects_with_a_key_or_without() {
    let answer = json!({ "translatedText": "¡Hola!", "detectedLanguage": { "confidence": 90.0, "language": "en" } });
    let script = Script::of(&[(200, answer)]);
    let output = one(
        &at("libretranslate", &[]),
        "translation.translate",
        job(
            "translation.translate",
            json!({ "text": "Hello!", "to": "es" }),
        ),
        &script,
    )
    .await;
    let done = translation(&output);
    assert_eq!(
        (
            done.text.as_str(),
            done.from.as_deref(),
            done.from_confidence
        ),
        ("¡Hola!", Some("en"), Some(0.9))
    );
    assert_eq!(
        script.lines(),
        ["POST https://libretranslate.com/translate"]
    );
    assert_eq!(
        script.sent.lock().unwrap()[0].json(),
        json!({ "q": "Hello!", "source": "auto", "target": "es", "format": "text" })
    );

    let script = Script::of(&[(200, json!({ "translatedText": "x" }))]);
    let input = json!({ "text": "<b>Hello</b>", "to": "zh-TW", "from": "en-GB", "format": "html" });
    let output = one(
        &keyed("libretranslate"),
        "translation.translate",
        job("translation.translate", input),
        &script,
    )
    .await;
    assert_eq!(translation(&output).from.as_deref(), Some("en-GB"));
    assert_eq!(
        script.sent.lock().unwrap()[0].json(),
        json!({ "q": "<b>Hello</b>", "source": "en", "target": "zt", "format": "html", "api_key": "a-key" })
    );

    let script = Script::of(&[(
        200,
        json!([{ "confidence": 0.6, "language": "zt" }, { "confidence": 0.2, "language": "ja" }]),
    )]);
    let output = one(
        &keyed("libretranslate"),
        "translation.detect",
        job("translation.detect", json!({ "text": "你好" })),
        &script,
    )
    .await;
    let Content::Language(Language {
        language,
        confidence,
        languages,
    }) = &output.content
    else {
        panic!("{output:?}")
    };
    assert_eq!(
        (language.as_str(), *confidence, languages.len()),
        ("zh-Hant", Some(0.6), 2)
    );
}

#[tokio::test]
async fn a_list_of_languages_may_be_empty_but_must_be_there() {
    let account = at("libretranslate", &[]);
    let asked = || job("translation.detect", json!({ "text": "…" }));
    let script = Script::of(&[(200, json!([]))]);
    let output = one(&account, "translation.detect", asked(), &script).await;
    let Content::Language(found) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(found.language, "und");
    let script = Script::of(&[(200, json!({ "ok": true }))]);
    let failure = failed(&account, "translation.detect", asked(), &script).await;
    assert_eq!(failure.kind, Kind::Misread);
}

#[tokio::test]
async fn libretranslate_failures_are_told_apart() {
    let told = |message: &str| json!({ "error": message });
    let table = [
        (403, told("Invalid API key"), Kind::Auth),
        (
            400,
            told("Please contact the server operator to get an API key"),
            Kind::Auth,
        ),
        (429, told("Slowdown: 5 per 1 minute"), Kind::RateLimited),
        (400, told("xx is not supported"), Kind::Unsupported),
        (
            400,
            told("Invalid request: request (5000) exceeds text limit (2000)"),
            Kind::TooLarge,
        ),
        (
            400,
            told("Invalid request: missing q parameter"),
            Kind::Invalid,
        ),
        (500, told("Cannot translate text"), Kind::Internal),
    ];
    kinds(
        &at("libretranslate", &[]),
        "translation.translate",
        json!({ "text": "Hello", "to": "es" }),
        &table,
    )
    .await;
}
