//! Answers that vendors really gave, as our manifests read them.
//!
//! They are the recordings of the contracts (`ISOBAR_CONTRACTS`), whose long lists are cut: what is checked is what is
//! left. The examples that the vendors' documentation prints, here in short, are always run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and what they share"
)]

use std::{fs, path::PathBuf, sync::Arc};

use http::{HeaderMap, StatusCode};
use isobar_adapters::{
    Account, Content, Failure, Job, Kind, Output, Response, built_in,
    capabilities::{
        speech::Transcript,
        text::{Classification, Entities, Entity, Feeling, KeyPhrases, Language, Sentiment},
        translation::Translation,
    },
};
use serde_json::{Value, json};

const REVIEW: &str = "Overall I am satisfied with my experience at Amazon, but two areas of major improvement needed. First is the product reviews and pricing. There are thousands of positive reviews for so many items, and it's clear that the reviews are bogus or not really associated with that product. There needs to be a way to only view products sold by Amazon directly, because many market sellers way overprice items that can be purchased cheaper elsewhere (like Walmart, Target, etc). The second issue is they make it too difficult to get help when there's an issue with an order.";
const LIFE: &str = "Barack Hussein Obama is an American politician who served as the 44th president of the United States from 2009 to 2017. A member of the Democratic Party, Obama was the first African-American president of the United States. He previously served as a U.S. senator from Illinois from 2005 to 2008 and an Illinois state senator from 1997 to 2004.";

/// The recorded answer of a vendor; `None`, aloud, where the contracts are not there.
fn recorded(area: &str, task: &str, vendor: &str) -> Option<Value> {
    let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
        eprintln!("skipped: ISOBAR_CONTRACTS is not set");
        return None;
    };
    let file = PathBuf::from(folder)
        .join(area)
        .join("recorded-responses.json");
    let all: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut answer = all[task][vendor]["vendor_response"].clone();
    assert!(!answer.is_null(), "no answer of {vendor} to {task}");
    uncut(&mut answer);
    // The recorder counted its documents from 1; we count ours from 0.
    if let Some(id) = answer.pointer_mut("/results/documents/0/id") {
        assert_eq!(*id, "1");
        *id = json!("0");
    }
    Some(answer)
}

/// Leaves out the notes that stand where lists were cut.
fn uncut(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| {
                !item
                    .as_str()
                    .is_some_and(|text| text.ends_with("items cut"))
            });
            items.iter_mut().for_each(uncut);
        }
        Value::Object(members) => members.values_mut().for_each(uncut),
        _ => {}
    }
}

fn read(
    vendor: &str,
    operation: &str,
    inputs: &[Value],
    body: &Value,
) -> Vec<Result<Output, Failure>> {
    let (vendors, _) = built_in();
    let vendor = Arc::clone(vendors.get(vendor).unwrap());
    let account = Account::new("mine".to_owned(), Arc::clone(&vendor), None, Vec::new());
    let job = |input: &Value| Job {
        input: input.as_object().unwrap().clone(),
        blobs: Vec::new(),
    };
    let jobs: Vec<Job> = inputs.iter().map(job).collect();
    let response = Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.to_string().into(),
    };
    let operation = vendor.operation(operation).unwrap();
    operation.interpret(&account, &jobs, &response)
}

fn one(vendor: &str, operation: &str, input: Value, body: &Value) -> Content {
    let mut outputs = read(vendor, operation, &[input], body);
    assert_eq!(outputs.len(), 1);
    outputs.remove(0).unwrap().content
}

fn sentiment(vendor: &str, text: &str, body: &Value) -> Sentiment {
    match one(vendor, "text.sentiment", json!({ "text": text }), body) {
        Content::Sentiment(sentiment) => sentiment,
        other => panic!("{other:?}"),
    }
}

fn entities(vendor: &str, text: &str, body: &Value) -> Vec<Entity> {
    match one(vendor, "text.entities", json!({ "text": text }), body) {
        Content::Entities(Entities { entities, .. }) => entities,
        other => panic!("{other:?}"),
    }
}

fn phrases(vendor: &str, text: &str, body: &Value) -> KeyPhrases {
    match one(vendor, "text.key_phrases", json!({ "text": text }), body) {
        Content::KeyPhrases(phrases) => phrases,
        other => panic!("{other:?}"),
    }
}

fn language(vendor: &str, operation: &str, text: &str, body: &Value) -> Language {
    match one(vendor, operation, json!({ "text": text }), body) {
        Content::Language(language) => language,
        other => panic!("{other:?}"),
    }
}

fn classification(vendor: &str, input: Value, body: &Value) -> Classification {
    match one(vendor, "text.classify", input, body) {
        Content::Classification(classification) => classification,
        other => panic!("{other:?}"),
    }
}

fn translation(vendor: &str, body: &Value) -> Translation {
    match one(
        vendor,
        "translation.translate",
        json!({ "text": "人工智能", "to": "en" }),
        body,
    ) {
        Content::Translation(translation) => translation,
        other => panic!("{other:?}"),
    }
}

fn transcript(vendor: &str, body: &Value) -> Transcript {
    match one(
        vendor,
        "speech.transcribe",
        json!({ "language": "en" }),
        body,
    ) {
        Content::Transcript(transcript) => transcript,
        other => panic!("{other:?}"),
    }
}

/// What stands at a place of a text, counted in code points.
fn at(text: &str, offset: Option<usize>, length: Option<usize>) -> String {
    let (offset, length) = (offset.unwrap(), length.unwrap());
    text.chars().skip(offset).take(length).collect()
}

#[test]
fn the_review_feels_bad_or_mixed_to_every_vendor() {
    for (name, vendor, label, score) in [
        ("google", "google", Feeling::Negative, -0.4),
        ("amazon", "aws", Feeling::Mixed, -0.398),
        ("microsoft", "azure", Feeling::Mixed, -0.34),
    ] {
        let Some(body) = recorded("language", "sentiment_analysis", name) else {
            return;
        };
        let found = sentiment(vendor, REVIEW, &body);
        assert_eq!(found.label, label, "{vendor}");
        assert!((found.score - score).abs() < 0.001, "{vendor}: {found:?}");
        assert_eq!(found.magnitude.is_some(), vendor == "google");
        assert_eq!(found.probabilities.is_some(), vendor != "google");
        for sentence in &found.sentences {
            assert_eq!(
                at(REVIEW, sentence.offset, sentence.length),
                sentence.text,
                "{vendor}"
            );
        }
        if vendor != "aws" {
            assert_eq!(found.sentences.len(), 5, "{vendor}");
            assert_eq!(found.sentences[4].label, Feeling::Negative, "{vendor}");
            assert!(found.sentences[4].score < -0.5, "{vendor}");
        }
    }
}

#[test]
fn the_names_in_a_life_stand_where_they_are_said_to() {
    for (name, vendor) in [
        ("google", "google"),
        ("amazon", "aws"),
        ("microsoft", "azure"),
    ] {
        let Some(body) = recorded("language", "named_entity_recognition", name) else {
            return;
        };
        let found = entities(vendor, LIFE, &body);
        assert!(found.len() >= 10, "{vendor}: {found:?}");
        for entity in &found {
            let there = at(LIFE, entity.offset, entity.length);
            assert_eq!(there, entity.name, "{vendor}");
            assert!(entity.vendor_type.is_some(), "{vendor}: {entity:?}");
        }
        let offsets: Vec<_> = found.iter().map(|entity| entity.offset).collect();
        assert!(offsets.is_sorted(), "{vendor}");
        let kind = |name: &str, offset: usize| {
            let entity = found
                .iter()
                .find(|entity| entity.name == name && entity.offset == Some(offset));
            entity.map(|entity| entity.kind.as_str())
        };
        assert_eq!(kind("Barack Hussein Obama", 0), Some("person"), "{vendor}");
        assert_eq!(kind("Obama", 154), Some("person"), "{vendor}");
        assert_eq!(
            kind("Democratic Party", 136),
            Some("organization"),
            "{vendor}"
        );
        assert_eq!(kind("United States", 208), Some("location"), "{vendor}");
        match vendor {
            "google" => {
                let first = &found[0];
                assert!(first.salience.unwrap() > 0.7);
                assert!(first.wikipedia_url.as_ref().unwrap().contains("wikipedia"));
                assert_eq!(kind("2009", 106), Some("datetime"));
                // Common nouns are no names.
                assert_eq!(kind("politician", 36), None);
            }
            "aws" => assert_eq!(kind("44th president", 65), Some("quantity")),
            _ => {
                assert_eq!(kind("from 2009 to 2017", 101), Some("datetime"));
                assert_eq!(kind("American", 27), Some("person_type"));
            }
        }
    }
}

#[test]
fn key_phrases_are_words_of_the_text() {
    for (name, vendor) in [("amazon", "aws"), ("microsoft", "azure")] {
        let Some(body) = recorded("language", "keyword_extraction", name) else {
            return;
        };
        let found = phrases(vendor, LIFE, &body).phrases;
        assert!(found.len() >= 9, "{vendor}");
        for phrase in &found {
            assert_eq!(
                at(LIFE, phrase.offset, phrase.length),
                phrase.text,
                "{vendor}"
            );
            assert_eq!(phrase.score.is_some(), vendor == "aws");
        }
        assert!(
            found
                .iter()
                .any(|phrase| phrase.text.ends_with("first African-American president"))
        );
    }
}

#[test]
fn italian_is_italian() {
    for (name, vendor) in [("amazon", "aws"), ("microsoft", "azure")] {
        let Some(body) = recorded("language", "language_detection", name) else {
            return;
        };
        let found = language(vendor, "text.language", "Ciao a tutti", &body);
        assert_eq!(found.language, "it", "{vendor}");
        assert!(found.confidence.unwrap() > 0.99, "{vendor}");
    }
}

#[test]
fn categories_have_the_vendors_scheme() {
    let Some(body) = recorded("language", "topic_extraction", "google") else {
        return;
    };
    let found = classification("google", json!({ "text": "…" }), &body);
    assert_eq!(
        found.label.unwrap(),
        "/Arts & Entertainment/TV & Video/TV Shows & Programs"
    );
    assert_eq!(
        (found.confidence, found.scheme.as_str()),
        (Some(0.52), "google-v2")
    );
}

#[test]
fn translations_are_whole() {
    for (name, vendor) in [
        ("amazon", "aws"),
        ("microsoft", "azure"),
        ("deepl", "deepl"),
    ] {
        let Some(body) = recorded("translation", "automatic_translation", name) else {
            return;
        };
        if built_in().0.get(vendor).is_none() {
            eprintln!("skipped: there is no `{vendor}` yet");
            continue;
        }
        let found = translation(vendor, &body);
        assert!(
            found
                .text
                .starts_with("Artificial intelligence, also known as"),
            "{vendor}: {found:?}"
        );
        assert_eq!(found.to, "en", "{vendor}");
        let from = (vendor != "azure").then_some("zh");
        assert_eq!(found.from.as_deref(), from, "{vendor}");
    }
}

#[test]
fn the_recording_is_heard_alike() {
    for (name, vendor) in [
        ("amazon", "aws"),
        ("assembly", "assemblyai"),
        ("deepgram", "deepgram"),
        ("openai", "openai"),
        ("gladia", "gladia"),
        ("speechmatics", "speechmatics"),
    ] {
        let Some(body) = recorded("speech", "speech_to_text_async", name) else {
            return;
        };
        if built_in().0.get(vendor).is_none() {
            eprintln!("skipped: there is no `{vendor}` yet");
            continue;
        }
        let found = transcript(vendor, &body);
        heard(vendor, &found);
        let words = match vendor {
            "openai" => continue,
            // Less their punctuation, as the recordings were cut.
            "aws" => 10,
            "speechmatics" => 9,
            _ => 12,
        };
        assert!(found.words.len() >= words, "{vendor}: {:?}", found.words);
        let third = &found.words[..3];
        let said: Vec<String> = third
            .iter()
            .map(|word| word.text.to_lowercase().replace([',', '.'], ""))
            .collect();
        assert!(said[0] == "unit" && ["one", "1"].contains(&said[1].as_str()));
        assert_eq!(said[2], "page", "{vendor}");
        let confident = found.words.iter().all(|word| word.confidence.is_some());
        assert!(confident, "{vendor}");
        assert_eq!(found.words[0].speaker.as_deref(), Some("speaker_1"));
        if vendor == "aws" || vendor == "speechmatics" {
            // Punctuation is an item of its own there.
            assert!(found.words.iter().any(|word| word.text.ends_with('.')));
        }
    }
}

/// What holds for every reading of the recording of seventeen seconds.
fn heard(vendor: &str, found: &Transcript) {
    let text = found.text.to_lowercase();
    assert!(text.starts_with("unit "), "{vendor}: {text}");
    assert!(text.contains("real conversations"), "{vendor}: {text}");
    assert_eq!(found.language.as_deref().map(|tag| &tag[..2]), Some("en"));
    if let Some(duration) = found.duration {
        assert!((duration - 17.0).abs() < 0.2, "{vendor}: {duration}");
    }
    let most = found.duration.unwrap_or(17.1) + 0.5;
    let times = |start: f64, end: f64| {
        assert!(
            0.0 <= start && start <= end && end <= most,
            "{vendor}: {start} to {end}"
        );
    };
    found
        .words
        .iter()
        .for_each(|word| times(word.start, word.end));
    found
        .segments
        .iter()
        .for_each(|segment| times(segment.start, segment.end));
    assert!(found.words.is_sorted_by(|a, b| a.start <= b.start));
}

#[test]
fn results_of_another_version_of_the_vendor_follow_one_another() {
    let Some(body) = recorded("speech", "speech_to_text_async", "google") else {
        return;
    };
    // Version 2 wraps the results of version 1, and calls the time of their end otherwise.
    let files = body["response"]["results"].as_object().unwrap();
    let results = &files.values().next().unwrap()["transcript"]["results"];
    let found = transcript("google", &json!({ "results": results }));
    heard("google", &found);
    assert!(
        found
            .text
            .starts_with("unit 1 page 14 real conversations hello hi")
    );
    assert_eq!(found.segments.len(), 2);
    assert_eq!(found.language.as_deref(), Some("en-US"));
    assert!(found.confidence.unwrap() > 0.8);
}

#[test]
fn fast_transcription_is_in_milliseconds() {
    let body = json!({
        "durationMilliseconds": 4185,
        "combinedPhrases": [{ "text": "The weather in London is sunny today." }],
        "phrases": [{
            "offsetMilliseconds": 80, "durationMilliseconds": 3220, "text": "The weather in London is sunny today.",
            "locale": "en-GB", "confidence": 0.94, "speaker": 3,
            "words": [
                { "text": "The", "offsetMilliseconds": 80, "durationMilliseconds": 160 },
                { "text": "weather", "offsetMilliseconds": 240, "durationMilliseconds": 400 },
            ],
        }],
    });
    let found = transcript("azure", &body);
    assert_eq!(found.text, "The weather in London is sunny today.");
    assert_eq!(found.language.as_deref(), Some("en-GB"));
    assert_eq!(found.duration, Some(4.185));
    let words: Vec<_> = found
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.start, word.end))
        .collect();
    assert_eq!(words, [("The", 0.08, 0.24), ("weather", 0.24, 0.64)]);
    assert_eq!(found.words[1].speaker.as_deref(), Some("speaker_1"));
    let segment = &found.segments[0];
    assert_eq!((segment.start, segment.end), (0.08, 3.3));
    let silent = json!({ "durationMilliseconds": 900, "combinedPhrases": [], "phrases": [] });
    assert_eq!(transcript("azure", &silent).text, "");
    let failure = failure("azure", "speech.transcribe", &json!({ "phrases": [] }));
    assert_eq!(failure.kind, Kind::Misread);
}

#[test]
fn speakers_are_told_by_the_last_result_only() {
    let body = json!({
        "results": [
            { "alternatives": [{ "transcript": "hello there", "confidence": 0.9, "words": [
                { "startTime": "0s", "endTime": "0.400s", "word": "hello" }, { "startTime": "0.400s", "endTime": "0.900s", "word": "there" },
              ] }], "resultEndTime": "1.180s", "languageCode": "en-us" },
            { "alternatives": [{ "transcript": " hi", "words": [{ "startTime": "1.200s", "endTime": "1.500s", "word": "hi" }] }],
              "resultEndTime": "1.600s", "languageCode": "en-us" },
            { "alternatives": [{ "words": [
                { "endTime": "0.400s", "word": "hello", "speakerTag": 2 },
                { "startTime": "0.400s", "endTime": "0.900s", "word": "there", "speakerTag": 2, "confidence": 0.8 },
                { "startTime": "1.200s", "endTime": "1.500s", "word": "hi", "speakerTag": 1 },
              ] }] },
        ],
        "totalBilledTime": "2s",
    });
    let found = transcript("google", &body);
    assert_eq!(found.text, "hello there hi");
    let words: Vec<_> = found
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.start, word.speaker.as_deref()))
        .collect();
    assert_eq!(
        words,
        [
            ("hello", 0.0, Some("speaker_1")),
            ("there", 0.4, Some("speaker_1")),
            ("hi", 1.2, Some("speaker_2"))
        ]
    );
    assert_eq!(found.words[1].confidence, Some(0.8));
    let segments: Vec<_> = found
        .segments
        .iter()
        .map(|segment| (segment.text.as_str(), segment.end))
        .collect();
    assert_eq!(segments, [("hello there", 1.18), ("hi", 1.6)]);
    // Nothing said is an answer without results.
    for silent in [
        json!({}),
        json!({ "totalBilledTime": "1s", "requestId": "1" }),
    ] {
        assert_eq!(transcript("google", &silent).text, "");
    }
    let failure = failure("google", "speech.transcribe", &json!({ "other": 1 }));
    assert_eq!(failure.kind, Kind::Misread);
}

#[test]
fn zeros_that_are_left_out_are_zeros() {
    let body = json!({ "documentSentiment": {}, "languageCode": "en", "sentences": [{ "text": { "content": "It is." }, "sentiment": {} }] });
    let found = sentiment("google", "It is.", &body);
    assert_eq!((found.label, found.score), (Feeling::Neutral, 0.0));
    assert_eq!(found.magnitude, Some(0.0));
    assert_eq!(found.sentences[0].offset, Some(0));
    for wrong in [json!({ "languageCode": "en" }), json!([]), json!(null)] {
        let failure = failure("google", "text.sentiment", &wrong);
        assert_eq!(failure.kind, Kind::Misread, "{wrong}");
    }
}

#[test]
fn places_count_code_points() {
    let text = "🙂 Zoë met 李雷 in Zürich.";
    let body = json!({ "Entities": [
        { "Score": 0.9, "Type": "PERSON", "Text": "Zoë", "BeginOffset": 2, "EndOffset": 5 },
        { "Score": 0.9, "Type": "PERSON", "Text": "李雷", "BeginOffset": 10, "EndOffset": 12 },
        { "Score": 0.9, "Type": "LOCATION", "Text": "Zürich", "BeginOffset": 16, "EndOffset": 22 },
    ] });
    for entity in entities("aws", text, &body) {
        assert_eq!(at(text, entity.offset, entity.length), entity.name);
    }
    let documents = json!([{ "id": "0", "warnings": [], "entities": [
        { "text": "李雷", "category": "Person", "offset": 10, "length": 2, "confidenceScore": 0.9 },
        { "text": "Zürich", "category": "Location", "subcategory": "GPE", "offset": 16, "length": 6, "confidenceScore": 0.9 },
    ] }]);
    let body = json!({ "kind": "EntityRecognitionResults", "results": { "documents": documents, "errors": [], "modelVersion": "1" } });
    let found = entities("azure", text, &body);
    assert_eq!(
        found.iter().map(|entity| entity.offset).collect::<Vec<_>>(),
        [Some(10), Some(16)]
    );
}

#[test]
fn a_document_that_fails_alone_leaves_the_others() {
    let body = json!({ "kind": "SentimentAnalysisResults", "results": {
        "documents": [
            { "id": "2", "sentiment": "positive", "confidenceScores": { "positive": 0.9, "neutral": 0.1, "negative": 0.0 }, "sentences": [], "warnings": [] },
            { "id": "0", "sentiment": "negative", "confidenceScores": { "positive": 0.0, "neutral": 0.2, "negative": 0.8 }, "sentences": [], "warnings": [] },
        ],
        "errors": [{ "id": "1", "error": { "code": "InvalidArgument", "message": "Invalid Language Code.",
            "innererror": { "code": "UnsupportedLanguageCode", "message": "Supplied language not supported." } } }],
        "modelVersion": "2022-11-01",
    } });
    let inputs = [
        json!({ "text": "a" }),
        json!({ "text": "b" }),
        json!({ "text": "c" }),
        json!({ "text": "d" }),
    ];
    let mut outputs = read("azure", "text.sentiment", &inputs, &body).into_iter();
    let mut next = || outputs.next().unwrap().map(|output| output.content);
    assert!(
        matches!(next(), Ok(Content::Sentiment(sentiment)) if sentiment.label == Feeling::Negative)
    );
    let failure = next().unwrap_err();
    assert_eq!(failure.kind, Kind::Unsupported);
    assert_eq!(failure.code.as_deref(), Some("UnsupportedLanguageCode"));
    assert!(
        matches!(next(), Ok(Content::Sentiment(sentiment)) if sentiment.label == Feeling::Positive)
    );
    // Forgotten by the vendor.
    assert_eq!(next().unwrap_err().kind, Kind::Misread);
}

#[test]
fn batches_without_names_are_in_order() {
    let inputs = [
        json!({ "text": "a", "to": "fr" }),
        json!({ "text": "b", "to": "fr" }),
    ];
    let google = json!({ "data": { "translations": [{ "translatedText": "A", "detectedSourceLanguage": "en" }, { "translatedText": "B" }] } });
    let azure = json!([
        { "detectedLanguage": { "language": "en", "score": 0.7 }, "translations": [{ "text": "A", "to": "fr" }] },
        { "translations": [{ "text": "B", "to": "fr" }] },
    ]);
    for (vendor, body) in [("google", google), ("azure", azure)] {
        let found: Vec<Translation> = read(vendor, "translation.translate", &inputs, &body)
            .into_iter()
            .map(|output| match output.unwrap().content {
                Content::Translation(translation) => translation,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((found[0].text.as_str(), found[1].text.as_str()), ("A", "B"));
        assert_eq!(found[0].from.as_deref(), Some("en"), "{vendor}");
        assert_eq!(found[1].from, None, "{vendor}");
    }
    let google = json!({ "data": { "detections": [[{ "language": "iw", "confidence": 0.9, "isReliable": false }]] } });
    let azure = json!([{ "language": "he", "score": 0.9, "isTranslationSupported": true }]);
    for (vendor, body) in [("google", google), ("azure", azure)] {
        let found = language(vendor, "translation.detect", "שלום", &body);
        assert_eq!(
            (found.language.as_str(), found.confidence),
            ("he", Some(0.9))
        );
    }
    let unknown = json!({ "kind": "LanguageDetectionResults", "results": { "documents": [
        { "id": "0", "detectedLanguage": { "name": "(Unknown)", "iso6391Name": "(Unknown)", "confidenceScore": 0.0 }, "warnings": [] },
    ], "errors": [], "modelVersion": "1" } });
    assert_eq!(
        language("azure", "text.language", "1 2 3", &unknown).language,
        "und"
    );
}

/// A chat completion whose message is this.
fn completion(content: &Value, refusal: &Value) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18", "choices": [{
        "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": content, "refusal": refusal },
    }] })
}

#[test]
fn a_models_answer_is_read_out_of_its_message() {
    let said = |value: Value| completion(&Value::String(value.to_string()), &Value::Null);
    let found = sentiment(
        "openai",
        REVIEW,
        &said(json!({ "sentiment": "mixed", "score": -0.3, "language": "en" })),
    );
    assert_eq!((found.label, found.score), (Feeling::Mixed, -0.3));
    assert_eq!(found.language.as_deref(), Some("en"));
    let named = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let found = entities(
        "openai",
        LIFE,
        &said(json!({ "language": "en", "entities": [
            named("United States", "location"), named("Obama", "person"), named("United States", "location"), named("Nobody", "person"),
        ] })),
    );
    let places: Vec<_> = found
        .iter()
        .map(|entity| (entity.name.as_str(), entity.offset))
        .collect();
    assert_eq!(
        places,
        [
            ("Obama", Some(15)),
            ("United States", Some(87)),
            ("United States", Some(208)),
            ("Nobody", None)
        ]
    );
    let found = phrases(
        "openai",
        LIFE,
        &said(json!({ "key_phrases": ["44th president"], "language": "en" })),
    );
    assert_eq!(found.phrases[0].offset, Some(65));
    let found = language(
        "openai",
        "text.language",
        "Ciao",
        &said(json!({ "language": "it" })),
    );
    assert_eq!((found.language.as_str(), found.confidence), ("it", None));
    let labels = json!({ "text": "…", "labels": ["sport", "politics"] });
    let found = classification(
        "openai",
        labels,
        &said(json!({ "categories": [{ "label": "politics" }, { "label": "sport" }] })),
    );
    assert_eq!(found.label.as_deref(), Some("politics"));
    assert_eq!(found.scheme, "custom");
    let found = translation(
        "openai",
        &said(json!({ "translation": "Artificial intelligence", "source_language": "zh" })),
    );
    assert_eq!(found.text, "Artificial intelligence");
    assert_eq!(found.from.as_deref(), Some("zh"));
    for (answer, kind) in [
        (
            completion(&Value::Null, &json!("I can't help with that.")),
            Kind::Unsupported,
        ),
        (
            completion(&json!("Sure! Here it is"), &Value::Null),
            Kind::Misread,
        ),
        (completion(&json!("{}"), &Value::Null), Kind::Misread),
        (completion(&Value::Null, &Value::Null), Kind::Misread),
        (json!({ "choices": [] }), Kind::Misread),
    ] {
        for operation in [
            "text.sentiment",
            "text.entities",
            "text.key_phrases",
            "text.language",
            "text.classify",
            "translation.translate",
        ] {
            assert_eq!(
                failure("openai", operation, &answer).kind,
                kind,
                "{operation} of {answer}"
            );
        }
    }
}

fn failure(vendor: &str, operation: &str, body: &Value) -> Failure {
    let input = json!({ "text": "a", "to": "fr" });
    let mut outputs = read(vendor, operation, &[input], body);
    outputs.remove(0).unwrap_err()
}

#[test]
fn an_answer_says_which_model_it_is_of() {
    let body = completion(&json!("{\"language\":\"it\"}"), &Value::Null);
    let model = |input: Value| {
        let mut outputs = read("openai", "text.language", &[input], &body);
        outputs.remove(0).unwrap().model
    };
    assert_eq!(
        model(json!({ "text": "Ciao" })).as_deref(),
        Some("gpt-4o-mini")
    );
    let named = json!({ "text": "Ciao", "model": "openai/gpt-4.1" });
    assert_eq!(model(named).as_deref(), Some("gpt-4.1"));
}
