//! `speech.transcribe` and `speech.synthesize`.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Stand, WEATHER, for_each, words};

const SAID: &str = "The weather in London is sunny today. Please call me back at three o'clock.";

pub(crate) fn trials() -> Vec<Trial> {
    let transcribe = "speech.transcribe";
    let synthesize = "speech.synthesize";
    [
        for_each(
            transcribe,
            "transcribes_a_recording",
            transcribes_a_recording,
        ),
        for_each(
            transcribe,
            "gives_times_in_seconds_in_order",
            gives_times_in_seconds_in_order,
        ),
        for_each(
            transcribe,
            "speaks_the_openai_dialect",
            speaks_the_openai_dialect,
        ),
        for_each(transcribe, "says_what_it_used", says_what_it_used),
        for_each(synthesize, "speaks_a_text", speaks_a_text),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn transcribes_a_recording(stand: Stand) {
    let seen = stand
        .form(WEATHER, &[("response_format", "full"), ("language", "en")])
        .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert_eq!(
        (seen.vendor(), seen.attempts()),
        (stand.vendor.as_str(), "1")
    );
    let answer = seen.json();
    assert_eq!(words(answer["text"].as_str().unwrap()), words(SAID));
    let language = answer["language"].as_str().unwrap_or("en");
    assert!(
        language == "en" || language.starts_with("en-"),
        "{language}"
    );
}

async fn gives_times_in_seconds_in_order(stand: Stand) {
    let seen = stand
        .form(WEATHER, &[("response_format", "full"), ("language", "en")])
        .await;
    let answer = seen.json();
    let duration = answer["duration"].as_f64().unwrap();
    assert!((4.0..5.1).contains(&duration), "{duration}");
    for kind in ["words", "segments"] {
        let mut last = 0.0;
        for item in answer[kind].as_array().unwrap() {
            let (start, end) = (
                item["start"].as_f64().unwrap(),
                item["end"].as_f64().unwrap(),
            );
            assert!(
                last <= start && start <= end && end <= duration + 0.5,
                "{kind}: {item} after {last} in {duration}"
            );
            last = start;
            let confidence = &item["confidence"];
            assert!(
                confidence.is_null() || (0.0..=1.0).contains(&confidence.as_f64().unwrap()),
                "{item}"
            );
        }
    }
    let spoken: Vec<String> = answer["words"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|word| words(word["text"].as_str().unwrap()))
        .collect();
    if !spoken.is_empty() {
        assert_eq!(spoken, words(SAID), "the words are those of the text");
    }
}

async fn speaks_the_openai_dialect(stand: Stand) {
    let ask = async |format: &'static str| {
        stand
            .form(
                WEATHER,
                &[
                    ("model", "whisper-1"),
                    ("language", "en"),
                    ("response_format", format),
                ],
            )
            .await
    };
    let json: Value = ask("json").await.json();
    assert_eq!(words(json["text"].as_str().unwrap()), words(SAID));
    let verbose = ask("verbose_json").await.json();
    assert_eq!(verbose["task"], "transcribe");
    let text = ask("text").await;
    assert_eq!(words(&text.text()), words(SAID));
    assert!(text.header("content-type").starts_with("text/plain"));
    let srt = ask("srt").await.text();
    assert!(
        srt.starts_with("1\n00:00:0") && srt.contains(" --> "),
        "{srt}"
    );
    let vtt = ask("vtt").await.text();
    assert!(vtt.starts_with("WEBVTT\n"), "{vtt}");
}

async fn says_what_it_used(stand: Stand) {
    let answer = stand
        .form(WEATHER, &[("response_format", "full"), ("language", "en")])
        .await
        .json();
    let usage = &answer["usage"];
    // Most bill by time, some by the recording.
    let expected = if usage["unit"] == "requests" {
        1.0..1.1
    } else {
        assert_eq!(usage["unit"], "seconds");
        4.0..5.1
    };
    assert!(
        expected.contains(&usage["quantity"].as_f64().unwrap()),
        "{usage}"
    );
    assert!(
        usage["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0),
        "{usage}"
    );
}

async fn speaks_a_text(stand: Stand) {
    let seen = stand.json(&json!({ "text": "Good morning." })).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert!(
        seen.header("content-type").starts_with("audio/"),
        "{}",
        seen.header("content-type")
    );
    assert!(seen.body.len() > 100);
    // The OpenAI dialect has other names for the same.
    let seen = stand.json(&json!({ "model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "mp3" })).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
}
