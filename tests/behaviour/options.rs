//! Options: every vendor does what it is asked, or is passed over before anything is sent; none is asked in words that
//! it refuses.

use isobar_tests::Seen;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Stand, WEATHER, for_each, words};

pub(crate) fn trials() -> Vec<Trial> {
    let title = "does_or_declines_each_option";
    [
        for_each("speech.transcribe", title, hears),
        for_each("speech.synthesize", title, speaks),
        for_each("translation.translate", title, translates),
        for_each("text.classify", title, classifies),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Done, or declined for a reason that names the option and without an attempt.
fn done_or_declined(seen: &Seen, option: &str) -> bool {
    if seen.status == 200 {
        return true;
    }
    let told = seen.text();
    assert!((400..500).contains(&seen.status), "{option}: {told}");
    assert!(told.contains(option), "{option}: {told}");
    let attempts = seen.json()["attempts"].clone();
    let sent = attempts.as_array().is_some_and(|attempts| {
        let verdicts = attempts
            .iter()
            .filter_map(|attempt| attempt["verdict"].as_str());
        verdicts
            .into_iter()
            .any(|verdict| verdict != "skipped" && verdict != "not_sent")
    });
    assert!(!sent, "{option} was asked for in vain: {told}");
    false
}

async fn hears(stand: Stand) {
    for (option, value) in [
        ("speakers", "true"),
        ("speakers_max", "2"),
        ("keywords", "London"),
        ("prompt", "About the weather."),
        ("temperature", "0"),
        ("words", "true"),
        ("language", "en-GB"),
    ] {
        let mut fields = vec![("response_format", "full"), (option, value)];
        if option != "language" {
            fields.push(("language", "en"));
        }
        if option == "speakers_max" {
            fields.push(("speakers", "true"));
        }
        let seen = stand.form(WEATHER, &fields).await;
        // Of several options, the first that is not offered is named.
        let named = if seen.text().contains("`speakers`") {
            "speakers"
        } else {
            option
        };
        if !done_or_declined(&seen, named) {
            continue;
        }
        let answer = seen.json();
        assert!(
            words(answer["text"].as_str().unwrap()).contains(&"london".to_owned()),
            "{option}: {answer}"
        );
        if option == "speakers" {
            let speakers: Vec<&Value> = answer["words"]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| &word["speaker"])
                .collect();
            assert!(
                speakers.iter().all(|speaker| speaker.is_null())
                    || speakers.iter().all(|speaker| speaker
                        .as_str()
                        .is_some_and(|name| name.starts_with("speaker_"))),
                "{answer}"
            );
        }
    }
}

async fn speaks(stand: Stand) {
    for (option, value) in [
        ("voice", json!("male")),
        ("voice", json!("female")),
        ("language", json!("en-GB")),
        ("language", json!("de")),
        ("speed", json!(1.25)),
        ("speed", json!(4.0)),
        ("instructions", json!("Softly.")),
        ("format", json!("mp3")),
        ("format", json!("wav")),
        ("format", json!("opus")),
        ("format", json!("flac")),
        ("format", json!("aac")),
        ("format", json!("pcm")),
    ] {
        let seen = stand
            .json(&json!({ "text": "Good <morning> & 'evening'.", option: value }))
            .await;
        if done_or_declined(&seen, option) {
            let content_type = seen.header("content-type");
            assert!(
                content_type.starts_with("audio/"),
                "{option} {value}: {content_type}"
            );
            if value == "wav" {
                assert!(seen.body.starts_with(b"RIFF"), "no WAV file");
            }
            if value == "pcm" {
                assert!(
                    !seen.body.starts_with(b"RIFF"),
                    "a header before the samples"
                );
            }
        }
    }
}

async fn translates(stand: Stand) {
    for (option, value) in [
        ("format", json!("text")),
        ("format", json!("html")),
        ("formality", json!("more")),
        ("formality", json!("less")),
        ("context", json!("A weather report.")),
    ] {
        let text = if value == "html" {
            "<p>The <b>weather</b> is good.</p>"
        } else {
            "The weather is good."
        };
        let seen = stand
            .json(&json!({ "text": text, "from": "en", "to": "de", option: value }))
            .await;
        if done_or_declined(&seen, option) {
            let told = seen.json();
            let translated = told["text"].as_str().unwrap();
            assert!(!translated.is_empty(), "{told}");
            assert_eq!(translated.contains("<b>"), value == "html", "{told}");
        }
    }
    // Regions and scripts are the vendor's to know.
    for to in ["pt-BR", "pt-PT", "zh", "zh-TW", "zh-Hant", "fr-CA"] {
        let seen = stand
            .json(&json!({ "text": "The weather is good.", "from": "en", "to": to }))
            .await;
        if done_or_declined(&seen, "to") {
            assert_eq!(seen.json()["to"], to);
        }
    }
}

async fn classifies(stand: Stand) {
    let labels = ["weather", "politics", "sport"];
    let seen = stand
        .json(&json!({ "text": crate::support::LONG, "language": "en", "labels": labels }))
        .await;
    if done_or_declined(&seen, "labels") {
        let answer = seen.json();
        assert_eq!(answer["scheme"], "custom", "{answer}");
        for category in answer["categories"].as_array().unwrap() {
            assert!(
                labels.contains(&category["label"].as_str().unwrap()),
                "{answer}"
            );
        }
    }
}
