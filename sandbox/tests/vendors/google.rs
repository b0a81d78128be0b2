//! Google.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use isobar_sandbox::faults::{Class, Fault, Rule};
use reqwest::RequestBuilder;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Map, Value, json};

use crate::support::{
    Bench, Got, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, mixed_texts, send,
};

const KEY: &str = "sandbox-google-key";
const V3: &str = "/v3/projects/isobar-sandbox/locations/global";

fn post(bench: &Bench, path: &str, body: &Value) -> RequestBuilder {
    bench.post(path).header("x-goog-api-key", KEY).json(body)
}

/// The schemas of a discovery document as JSON Schema: nothing beside the named fields, durations and 64-bit numbers
/// in their written form.
fn discovery(path: &str) -> Option<Value> {
    let schemas = contract(path)?["schemas"].take();
    let schemas = schemas.as_object().unwrap().iter();
    let definitions: Map<_, _> = schemas
        .map(|(name, schema)| (name.clone(), converted(schema)))
        .collect();
    Some(json!({ "definitions": definitions }))
}

fn converted(schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return json!({ "$ref": format!("#/definitions/{name}") });
    }
    let Some(kind) = schema["type"].as_str().filter(|kind| *kind != "any") else {
        return json!({});
    };
    let mut made = json!({ "type": kind });
    match schema["format"].as_str() {
        Some("int64" | "uint64") => made["pattern"] = json!("^-?[0-9]+$"),
        Some("google-duration") => {
            made["pattern"] = json!(r"^-?[0-9]+(\.[0-9]{3}|\.[0-9]{6}|\.[0-9]{9})?s$");
        }
        _ => {}
    }
    if schema["enum"].is_array() {
        made["enum"] = schema["enum"].clone();
    }
    if schema["items"].is_object() {
        made["items"] = converted(&schema["items"]);
    }
    if schema["additionalProperties"].is_object() {
        made["additionalProperties"] = converted(&schema["additionalProperties"]);
    } else if let Some(properties) = schema["properties"].as_object() {
        let properties = properties.iter();
        let properties: Map<_, _> = properties
            .map(|(name, schema)| (name.clone(), converted(schema)))
            .collect();
        made["properties"] = properties.into();
        made["additionalProperties"] = json!(false);
    }
    made
}

fn fits(path: &str, name: &str, body: &Value) {
    if let Some(description) = discovery(path) {
        conforms(&description, &format!("#/definitions/{name}"), body);
    }
}

const SPEECH: &str = "speech/google-speech.v1.discovery.json";
const LANGUAGE: [&str; 2] = [
    "language/google-language.v1.discovery.json",
    "language/google-language.v2.discovery.json",
];
const BASIC: &str = "translation/google-translate.v2.discovery.json";
const ADVANCED: &str = "translation/google-translate.v3.discovery.json";
const VOICE: &str = "speech/google-texttospeech.v1.discovery.json";

/// `recognize` with this configuration.
fn recognize(bench: &Bench, config: &Value, audio: &[u8]) -> RequestBuilder {
    let body = json!({ "config": config, "audio": { "content": STANDARD.encode(audio) } });
    post(bench, "/v1/speech:recognize", &body)
}

/// A WAV of these channels and seconds.
fn wav(channels: u16, seconds: u32, sample: u8) -> Vec<u8> {
    let size = 8000 * seconds * u32::from(channels) * 2;
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    bytes.extend_from_slice(&channels.to_le_bytes());
    bytes.extend_from_slice(&8000_u32.to_le_bytes());
    bytes.extend_from_slice(&(16_000 * u32::from(channels)).to_le_bytes());
    bytes.extend_from_slice(b"\x02\0\x10\0data");
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.resize(44 + usize::try_from(size).unwrap(), sample);
    bytes
}

/// The status and the first violated field of an error, which must have Google's shape.
fn refusal(got: &Got) -> (u64, String, String) {
    let error = &got.json()["error"];
    assert_eq!(error["code"], got.status, "{error}");
    assert!(error["message"].is_string(), "{error}");
    let field = error["details"][0]["fieldViolations"][0]["field"].as_str();
    let status = error["status"].as_str().unwrap().to_owned();
    let code = error["code"].as_u64().unwrap();
    (code, status, field.unwrap_or_default().to_owned())
}

#[test]
fn descriptions_refuse_what_they_do_not_name() {
    if let Some(description) = discovery(SPEECH) {
        let check = |body: &Value| {
            conforms(&description, "#/definitions/RecognizeResponse", body);
        };
        check(&json!({ "totalBilledTime": "1.500s", "requestId": "1" }));
        for bad in [
            json!({ "totalBilledTime": 1.5 }),
            json!({ "totalBilledTime": "1.5s" }),
            json!({ "billed": 1 }),
            json!({ "results": [{ "alternatives": [{ "text": "x" }] }] }),
        ] {
            assert!(std::panic::catch_unwind(|| check(&bad)).is_err(), "{bad}");
        }
    }
}

#[tokio::test]
async fn recognize_hears_the_recording() {
    let bench = Bench::new("google").await;
    let config = json!({
        "languageCode": "en-US", "enableWordTimeOffsets": true, "enableWordConfidence": true,
        "enableAutomaticPunctuation": true,
    });
    let got = send(recognize(&bench, &config, WEATHER)).await.expect(200);
    assert_eq!(
        got.header("content-type"),
        "application/json; charset=UTF-8"
    );
    let body = got.json();
    fits(SPEECH, "RecognizeResponse", &body);
    let results = body["results"].as_array().unwrap();
    let all: String = results
        .iter()
        .map(|result| {
            result["alternatives"][0]["transcript"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        (all.as_str(), results[0]["languageCode"].as_str()),
        (WEATHER_TEXT, Some("en-us"))
    );
    assert_eq!(
        results[0]["alternatives"][0]["words"][0],
        json!({ "startTime": "0.180s", "endTime": "0.360s", "word": "The", "confidence": 0.96 })
    );
    assert_eq!(
        (&body["totalBilledTime"], &results[1]["resultEndTime"]),
        (&json!("5s"), &json!("4.010s"))
    );

    // Bare: lower case, no punctuation, no words; names as numbers and in the other case are understood.
    let config = json!({ "language_code": "en-US", "encoding": 1, "sampleRateHertz": 16000 });
    let body = send(recognize(&bench, &config, &WEATHER[44..]))
        .await
        .expect(200)
        .json();
    let first = &body["results"][0]["alternatives"][0];
    assert_eq!(first["transcript"], "the weather in London is sunny today");
    assert!(first.get("words").is_none());
    assert_eq!(bench.last().facts["seconds"], 4.185);
}

#[tokio::test]
async fn speakers_channels_and_silence_are_told() {
    let bench = Bench::new("google").await;
    let config = json!({
        "languageCode": "fr-FR", "alternativeLanguageCodes": ["en-GB"],
        "diarizationConfig": { "enableSpeakerDiarization": true, "maxSpeakerCount": 2 },
    });
    let body = send(recognize(&bench, &config, HOTEL))
        .await
        .expect(200)
        .json();
    fits(SPEECH, "RecognizeResponse", &body);
    let results = body["results"].as_array().unwrap();
    assert_eq!(results[0]["languageCode"], "en-gb");
    let last = &results.last().unwrap()["alternatives"][0];
    assert!(last.get("transcript").is_none());
    let tags: Vec<_> = last["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word["speakerTag"].as_u64().unwrap())
        .collect();
    assert_eq!(
        (tags.len(), tags[0], tags[14], &last["words"][11]["word"]),
        (15, 1, 2, &json!("Maria"))
    );

    let config = json!({
        "languageCode": "en-US", "audioChannelCount": 2, "enableSeparateRecognitionPerChannel": true,
    });
    let body = send(recognize(&bench, &config, &wav(2, 1, 3)))
        .await
        .expect(200)
        .json();
    fits(SPEECH, "RecognizeResponse", &body);
    let tags: Vec<_> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["channelTag"].as_u64().unwrap())
        .collect();
    assert_eq!((tags, &body["totalBilledTime"]), (vec![1, 2], &json!("2s")));

    let config = json!({ "languageCode": "en-US", "enableWordTimeOffsets": true });
    let body = send(recognize(&bench, &config, &wav(1, 1, 0)))
        .await
        .expect(200)
        .json();
    assert!(body.get("results").is_none() && body["totalBilledTime"] == "1s");
    let words = send(recognize(&bench, &config, &wav(1, 1, 3))).await.json();
    let first = &words["results"][0]["alternatives"][0]["words"][0];
    assert!(
        first.get("startTime").is_none(),
        "zero is left out: {first}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_recognition_is_said() {
    let bench = Bench::new("google").await;
    let english = json!({ "languageCode": "en-US" });
    let with = |name: &str, value: Value| {
        let mut config = english.clone();
        config[name] = value;
        recognize(&bench, &config, WEATHER)
    };
    let audio = |audio: Value| {
        let body = json!({ "config": english, "audio": audio });
        post(&bench, "/v1/speech:recognize", &body)
    };
    for (request, field) in [
        (
            recognize(&bench, &json!({}), WEATHER),
            "config.language_code",
        ),
        (with("languageCode", json!("xx-XX")), "config.language_code"),
        (with("model", json!("nova-3")), "config.model"),
        (with("punctuate", json!(true)), "config"),
        (with("encoding", json!("TAPE")), "config.encoding"),
        (with("encoding", json!("FLAC")), "config.encoding"),
        (
            with("sampleRateHertz", json!(8000)),
            "config.sample_rate_hertz",
        ),
        (
            with("sampleRateHertz", json!(1)),
            "config.sample_rate_hertz",
        ),
        (
            with("audioChannelCount", json!(2)),
            "config.audio_channel_count",
        ),
        (
            with("maxAlternatives", json!(31)),
            "config.max_alternatives",
        ),
        (
            recognize(&bench, &english, b"not audio at all"),
            "config.encoding",
        ),
        (recognize(&bench, &english, &wav(1, 61, 3)), "audio.content"),
        (recognize(&bench, &english, b""), "audio"),
        (audio(json!({ "content": "&&&" })), "audio.content"),
        (
            audio(json!({ "uri": "https://example.com/a.wav" })),
            "audio.uri",
        ),
        (
            audio(json!({ "uri": "gs://b/a.wav", "content": "UklGRg==" })),
            "audio",
        ),
        (audio(json!({ "data": "UklGRg==" })), "audio"),
        (
            bench
                .post("/v1/speech:recognize")
                .header("x-goog-api-key", KEY)
                .body("{"),
            "",
        ),
    ] {
        let got = send(request).await.expect(400);
        let (_, status, found) = refusal(&got);
        assert_eq!(
            (status.as_str(), found.as_str()),
            ("INVALID_ARGUMENT", field)
        );
        assert!(!bench.last().executed);
    }
    let got = send(audio(json!({ "uri": "gs://bucket/a.wav" })))
        .await
        .expect(404);
    assert_eq!(refusal(&got).1, "NOT_FOUND");
    for request in [
        bench.get("/v1/speech:recognize"),
        bench.post("/v1/speech:listen"),
        bench.post("/nothing"),
    ] {
        let got = send(request.header("x-goog-api-key", KEY))
            .await
            .expect(404);
        assert_eq!(refusal(&got).1, "NOT_FOUND");
    }
    let large = recognize(&bench, &english, &wav(1, 600, 1));
    let got = send(large).await.expect(400);
    assert!(got.text().contains("exceeds the limit"), "{}", got.text());
}

#[tokio::test]
async fn long_recognitions_are_submitted_and_polled() {
    let bench = Bench::new("google").await;
    let submit = |audio: &[u8]| {
        let body = json!({
            "config": { "languageCode": "en-US" }, "audio": { "content": STANDARD.encode(audio) },
        });
        post(&bench, "/v1/speech:longrunningrecognize", &body)
    };
    let poll = |name: &str, key: &str| {
        let request = bench.get(&format!("/v1/operations/{name}"));
        request.header("x-goog-api-key", key)
    };
    let body = send(submit(WEATHER)).await.expect(200).json();
    fits(SPEECH, "Operation", &body);
    let name = body["name"].as_str().unwrap().to_owned();
    assert_eq!(body, json!({ "name": name }));
    send(poll(&name, "sandbox-google-key-2")).await.expect(404);
    let running = send(poll(&name, KEY)).await.expect(200).json();
    fits(SPEECH, "Operation", &running);
    assert!(running.get("done").is_none() && running["metadata"]["progressPercent"] == 40);
    let mut done = send(poll(&name, KEY)).await.expect(200).json();
    fits(SPEECH, "Operation", &done);
    assert_eq!((&done["done"], &done["name"]), (&json!(true), &json!(name)));
    let response = done["response"].as_object_mut().unwrap();
    assert!(response.remove("@type").is_some());
    fits(SPEECH, "RecognizeResponse", &done["response"]);

    for during in ["LongRunningRecognize", "GetOperation"] {
        let rule = Rule::at("google", Fault::FailJob).during(during);
        bench.sandbox.faults().set([rule]);
        let name = send(submit(HOTEL)).await.json()["name"]
            .as_str()
            .unwrap()
            .to_owned();
        send(poll(&name, KEY)).await.expect(200);
        let failed = send(poll(&name, KEY)).await.expect(200).json();
        fits(SPEECH, "Operation", &failed);
        assert_eq!(
            (&failed["done"], &failed["error"]["code"]),
            (&json!(true), &json!(13))
        );
    }
    send(submit(&wav(1, 61, 3))).await.expect(400);
    send(poll("404", KEY)).await.expect(404);
    bench.sandbox.reset();
    send(poll(&name, KEY)).await.expect(404);
}

fn document(text: &str) -> Value {
    json!({ "type": "PLAIN_TEXT", "content": text })
}

const REVIEW: &str = "The hotel was wonderful. The food was terrible and awful. We left on Monday.";

#[tokio::test]
async fn sentiment_leaves_zeros_out() {
    let bench = Bench::new("google").await;
    for version in [1_u8, 2] {
        let path = format!("/v{version}/documents:analyzeSentiment");
        let body = json!({ "document": document(REVIEW), "encodingType": "UTF32" });
        let body = send(post(&bench, &path, &body)).await.expect(200).json();
        fits(
            LANGUAGE[usize::from(version) - 1],
            "AnalyzeSentimentResponse",
            &body,
        );
        let sentences = body["sentences"].as_array().unwrap();
        assert_eq!(
            sentences[0]["text"],
            json!({ "content": "The hotel was wonderful." })
        );
        assert_eq!(sentences[1]["text"]["beginOffset"], 25);
        let scores: Vec<_> = sentences
            .iter()
            .map(|sentence| sentence["sentiment"]["score"].as_f64().unwrap_or_default())
            .collect();
        assert!(scores[0] > 0.5 && scores[1] < -0.5, "{scores:?}");
        assert_eq!(sentences[2]["sentiment"], json!({}));
        assert!(body["documentSentiment"]["magnitude"].as_f64().unwrap() > 2.0);
        let language = if version == 1 {
            "language"
        } else {
            "languageCode"
        };
        assert_eq!(body[language], "en");
        assert_eq!(body.get("languageSupported").is_some(), version == 2);
    }
}

#[tokio::test]
async fn entities_are_grouped_with_their_mentions() {
    let bench = Bench::new("google").await;
    let text = "Barack Hussein Obama met Maria in London. Maria paid $300 for the weather in 2009, and 12 more to a@b.com.";
    let ask = |version: u8| {
        let path = format!("/v{version}/documents:analyzeEntities");
        let body = json!({ "document": document(text), "encodingType": "UTF32" });
        post(&bench, &path, &body)
    };
    let named = |body: &Value, name: &str| {
        let mut entities = body["entities"].as_array().unwrap().iter();
        let found = entities.find(|entity| entity["name"] == name);
        found.cloned().unwrap_or_default()
    };
    let first = send(ask(1)).await.expect(200).json();
    fits(LANGUAGE[0], "AnalyzeEntitiesResponse", &first);
    let maria = named(&first, "Maria");
    assert_eq!(
        (&maria["type"], maria["mentions"].as_array().unwrap().len()),
        (&json!("PERSON"), 2)
    );
    assert!(maria["salience"].as_f64().unwrap() > 0.0);
    let weather = named(&first, "weather");
    assert_eq!(
        (&weather["type"], &weather["mentions"][0]["type"]),
        (&json!("OTHER"), &json!("COMMON"))
    );
    let price = named(&first, "$300");
    assert_eq!(
        price["metadata"],
        json!({ "value": "300", "currency": "USD" })
    );
    assert_eq!(named(&first, "2009")["metadata"], json!({ "year": "2009" }));
    let second = send(ask(2)).await.expect(200).json();
    fits(LANGUAGE[1], "AnalyzeEntitiesResponse", &second);
    let maria = named(&second, "Maria");
    assert!(maria.get("salience").is_none() && maria["mentions"][0]["probability"].is_number());
    assert!(named(&second, "weather").is_null());
}

#[tokio::test]
async fn offsets_count_what_was_asked_for() {
    let bench = Bench::new("google").await;
    for text in mixed_texts() {
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let letters: Vec<char> = text.chars().collect();
        for encoding in ["UTF8", "UTF16", "UTF32", "NONE", ""] {
            for (call, list) in [
                ("analyzeEntities", "entities"),
                ("analyzeSentiment", "sentences"),
            ] {
                let mut body = json!({ "document": document(&text) });
                body["document"]["languageCode"] = json!("zh");
                if !encoding.is_empty() {
                    body["encodingType"] = json!(encoding);
                }
                let path = format!("/v2/documents:{call}");
                let body = send(post(&bench, &path, &body)).await.expect(200).json();
                let spans: Vec<_> = body[list]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|found| match found["mentions"].as_array() {
                        Some(mentions) => mentions.iter().map(|one| one["text"].clone()).collect(),
                        None => vec![found["text"].clone()],
                    })
                    .collect();
                assert!(!spans.is_empty(), "{text}");
                for span in spans {
                    let content = span["content"].as_str().unwrap();
                    let offset = span["beginOffset"].as_i64().unwrap_or(0);
                    let Ok(offset) = usize::try_from(offset) else {
                        assert!(["NONE", ""].contains(&encoding) && offset == -1);
                        continue;
                    };
                    let slice = match encoding {
                        "UTF8" => text[offset..offset + content.len()].to_owned(),
                        "UTF16" => {
                            let length = content.encode_utf16().count();
                            String::from_utf16(&utf16[offset..offset + length]).unwrap()
                        }
                        "UTF32" => {
                            let length = content.chars().count();
                            letters[offset..offset + length].iter().collect()
                        }
                        _ => panic!("an offset without an encoding: {span}"),
                    };
                    assert_eq!(slice, content, "{text} {encoding}");
                }
            }
        }
    }
}

#[tokio::test]
async fn texts_are_classified_by_either_scheme() {
    let bench = Bench::new("google").await;
    let long = "The hotel room in Paris was large, the flight to the airport was late, and the trip to the beach was a long travel for all of us.";
    let ask = |version: u8, body: &Value| {
        post(&bench, &format!("/v{version}/documents:classifyText"), body)
    };
    let first = send(ask(1, &json!({ "document": document(long) })))
        .await
        .expect(200)
        .json();
    fits(LANGUAGE[0], "ClassifyTextResponse", &first);
    assert_eq!(
        first["categories"][0]["name"],
        "/Travel/Hotels & Accommodations"
    );
    let newer = json!({
        "document": document(long),
        "classificationModelOptions": { "v2Model": { "contentCategoriesVersion": "V2" } },
    });
    for (version, body) in [(1, &newer), (2, &json!({ "document": document(long) }))] {
        let body = send(ask(version, body)).await.expect(200).json();
        fits(
            LANGUAGE[usize::from(version) - 1],
            "ClassifyTextResponse",
            &body,
        );
        assert_eq!(
            body["categories"][0]["name"],
            "/Travel & Transportation/Hotels & Accommodations"
        );
    }
    let short = json!({ "document": document("The weather is sunny.") });
    assert_eq!(
        refusal(&send(ask(1, &short)).await.expect(400)).2,
        "document.content"
    );
    send(ask(2, &short)).await.expect(200);
    let all = json!({
        "document": document(REVIEW),
        "features": { "extractEntities": true, "extractDocumentSentiment": true, "classifyText": true },
    });
    let body = send(post(&bench, "/v2/documents:annotateText", &all))
        .await
        .expect(200)
        .json();
    fits(LANGUAGE[1], "AnnotateTextResponse", &body);
    assert!(body["categories"].is_array() && body["sentences"].is_array());
    assert_eq!(body["entities"][0]["name"], "Monday");
}

#[tokio::test]
async fn what_is_wrong_with_a_text_is_said() {
    let bench = Bench::new("google").await;
    let plain = |text: &str| json!({ "document": document(text) });
    let with = |name: &str, value: Value| {
        let mut body = plain("Hello.");
        body["document"][name] = value;
        body
    };
    let large = "x".repeat(1_000_001);
    for (path, body, field) in [
        (
            "/v1/documents:analyzeSentiment",
            plain(""),
            "document.content",
        ),
        (
            "/v1/documents:analyzeSentiment",
            plain(&large),
            "document.content",
        ),
        (
            "/v1/documents:analyzeSentiment",
            with("type", json!(0)),
            "document.type",
        ),
        (
            "/v1/documents:analyzeSentiment",
            with("type", json!("RTF")),
            "document.type",
        ),
        (
            "/v1/documents:analyzeSentiment",
            with("languageCode", json!("en")),
            "document",
        ),
        (
            "/v2/documents:analyzeSentiment",
            with("language", json!("en")),
            "document",
        ),
        (
            "/v1/documents:analyzeSentiment",
            with("language", json!("uk")),
            "document.language",
        ),
        (
            "/v2/documents:analyzeEntities",
            with("languageCode", json!("xx")),
            "document.language_code",
        ),
        (
            "/v1/documents:classifyText",
            with("language", json!("fr")),
            "document.language",
        ),
        (
            "/v1/documents:analyzeEntities",
            json!({ "document": plain("x")["document"], "encoding": 1 }),
            "",
        ),
        ("/v2/documents:annotateText", plain("Hello."), "features"),
    ] {
        let got = send(post(&bench, path, &body)).await.expect(400);
        let (_, status, found) = refusal(&got);
        assert_eq!(
            (status.as_str(), found.as_str()),
            ("INVALID_ARGUMENT", field),
            "{path}"
        );
    }
    let html = json!({ "document": { "type": "HTML", "content": "<b>Good</b> <i>hotel</i>" }, "encodingType": "UTF8" });
    let body = send(post(&bench, "/v2/documents:analyzeSentiment", &html))
        .await
        .expect(200)
        .json();
    assert_eq!(body["sentences"][0]["text"]["beginOffset"], 3);
}

#[tokio::test]
async fn basic_translation_takes_html_unless_told_otherwise() {
    let bench = Bench::new("google").await;
    let path = "/language/translate/v2";
    let body = json!({ "q": ["Tom's <b>Hello, world!</b>", "Hello, world!"], "target": "fr" });
    let mut body = send(post(&bench, path, &body)).await.expect(200).json();
    fits(BASIC, "TranslationsListResponse", &body["data"].take());
    let body = json!({ "q": ["Tom's <b>Hello, world!</b>", "Hello, world!"], "target": "fr" });
    let body = send(post(&bench, path, &body)).await.expect(200).json();
    assert_eq!(
        body["data"]["translations"],
        json!([
            { "translatedText": "[fr] Tom&#39;s <b>Bonjour le monde !</b>", "detectedSourceLanguage": "en" },
            { "translatedText": "Bonjour le monde !", "detectedSourceLanguage": "en" },
        ])
    );
    let plain = json!({ "q": "Il fait l'été.", "source": "fr", "target": "zh-CN", "format": "text", "model": "nmt" });
    let body = send(post(&bench, path, &plain)).await.expect(200).json();
    assert_eq!(
        body["data"]["translations"][0],
        json!({ "translatedText": "[zh] Il fait l'été.", "model": "nmt" })
    );
    // All in the query, and as a form.
    let query = format!("{path}?key={KEY}&q=Hello%2C+world!&q=x&target=de&format=text");
    let body = send(bench.get(&query)).await.expect(200).json();
    assert_eq!(
        body["data"]["translations"][0]["translatedText"],
        "Hallo Welt!"
    );
    let form = bench.post(&format!("{path}?key={KEY}"));
    let form = form
        .header("content-type", "application/x-www-form-urlencoded")
        .body("q=Hello%2C+world!&target=es");
    let body = send(form).await.expect(200).json();
    assert_eq!(
        body["data"]["translations"][0]["translatedText"],
        "¡Hola, mundo!"
    );

    let detect = json!({ "q": ["今天天气很好", "Das Wetter ist gut"] });
    let body = send(post(&bench, "/language/translate/v2/detect", &detect))
        .await
        .expect(200)
        .json();
    fits(BASIC, "DetectionsListResponse", &body["data"]);
    let found = &body["data"]["detections"];
    assert_eq!(
        (&found[0][0]["language"], &found[1][0]["language"]),
        (&json!("zh-CN"), &json!("de"))
    );
    let languages = bench.get("/language/translate/v2/languages?target=en");
    let body = send(languages.header("x-goog-api-key", KEY))
        .await
        .expect(200)
        .json();
    fits(BASIC, "LanguagesListResponse", &body["data"]);
    let list = body["data"]["languages"].as_array().unwrap();
    assert!(list.contains(&json!({ "language": "zh-TW", "name": "Chinese (Traditional)" })));
}

#[tokio::test]
async fn what_is_wrong_with_a_basic_translation_is_said() {
    let bench = Bench::new("google").await;
    let many = vec!["x"; 129];
    let long = "x".repeat(30_721);
    for (body, reason) in [
        (json!({ "target": "fr" }), "required"),
        (json!({ "q": "x" }), "required"),
        (json!({ "q": "x", "target": "xx" }), "invalid"),
        (json!({ "q": "x", "target": "zh-Hans" }), "invalid"),
        (
            json!({ "q": "x", "target": "fr", "source": "tlh" }),
            "invalid",
        ),
        (
            json!({ "q": "x", "target": "fr", "source": "fr" }),
            "invalid",
        ),
        (json!({ "q": many, "target": "fr" }), "invalid"),
        (json!({ "q": long, "target": "fr" }), "invalid"),
        (
            json!({ "q": "x", "target": "fr", "model": "llm" }),
            "invalid",
        ),
        (
            json!({ "q": "x", "target": "fr", "format": "rtf" }),
            "invalidParameter",
        ),
        (json!({ "q": [7], "target": "fr" }), "badRequest"),
    ] {
        let got = send(post(&bench, "/language/translate/v2", &body))
            .await
            .expect(400);
        assert_eq!(refusal(&got).1, "INVALID_ARGUMENT");
        assert_eq!(
            got.json()["error"]["errors"][0]["reason"],
            reason,
            "{}",
            got.text()
        );
    }
    let most = json!({ "q": vec!["x"; 128], "target": "fr" });
    send(post(&bench, "/language/translate/v2", &most))
        .await
        .expect(200);
}

/// The key file that the sandbox prints.
fn key_file(bench: &Bench) -> Value {
    let config: Value = serde_saphyr::from_str(&bench.sandbox.print_config()).unwrap();
    let file = config["accounts"]["google"]["service_account"]
        .as_str()
        .unwrap();
    serde_json::from_str(file).unwrap()
}

/// An assertion signed with a key file's key.
fn assertion(file: &Value, header: &Value, claims: &Value) -> String {
    let pem = file["private_key"].as_str().unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.collect::<String>()).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn header(file: &Value) -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": file["private_key_id"] })
}

fn claims(file: &Value) -> Value {
    json!({
        "iss": file["client_email"], "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": file["token_uri"], "iat": now(), "exp": now() + 3600,
    })
}

fn exchange(bench: &Bench, assertion: &str) -> RequestBuilder {
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
    );
    bench
        .post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
}

async fn token(bench: &Bench) -> String {
    let file = key_file(bench);
    let assertion = assertion(&file, &header(&file), &claims(&file));
    let body = send(exchange(bench, &assertion)).await.expect(200).json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(3599))
    );
    body["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn service_accounts_get_tokens_for_good_assertions_alone() {
    let bench = Bench::new("google").await;
    let file = key_file(&bench);
    assert_eq!(file["token_uri"], bench.url("/token"));
    let token = token(&bench).await;
    assert_eq!(bench.last().account.as_deref(), Some("google"));
    let body = json!({ "document": document(REVIEW) });
    let ask = |bearer: &str| {
        let request = bench.post("/v2/documents:analyzeSentiment").json(&body);
        request.header("authorization", format!("Bearer {bearer}"))
    };
    send(ask(&token)).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("google"));

    let with = |name: &str, value: Value| {
        let mut claims = claims(&file);
        claims[name] = value;
        claims
    };
    let good = claims(&file);
    let other = json!({ "alg": "RS256", "kid": "another" });
    for (header, claims, error) in [
        (
            header(&file),
            with("iss", json!("nobody@example.com")),
            "invalid_grant",
        ),
        (
            header(&file),
            with("aud", json!("https://example.com/token")),
            "invalid_grant",
        ),
        (
            header(&file),
            with("exp", json!(now() + 7200)),
            "invalid_grant",
        ),
        (
            header(&file),
            with("iat", json!(now() + 3000)),
            "invalid_grant",
        ),
        (
            header(&file),
            json!({ "iss": good["iss"], "aud": good["aud"], "scope": good["scope"], "iat": now() - 9000, "exp": now() - 5400 }),
            "invalid_grant",
        ),
        (header(&file), with("exp", Value::Null), "invalid_grant"),
        (header(&file), with("scope", Value::Null), "invalid_scope"),
        (
            header(&file),
            with("scope", json!("https://www.googleapis.com/auth/drive")),
            "invalid_scope",
        ),
        (other, good.clone(), "invalid_grant"),
        (json!({ "alg": "HS256" }), good.clone(), "invalid_grant"),
    ] {
        let assertion = assertion(&file, &header, &claims);
        let got = send(exchange(&bench, &assertion)).await.expect(400).json();
        assert_eq!(got["error"], error, "{claims}");
        assert!(got["error_description"].is_string() && !bench.last().executed);
    }
    let mut changed = assertion(&file, &header(&file), &good);
    let place = changed.len() - 40;
    let other = if changed[place..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    changed.replace_range(place..=place, other);
    let got = send(exchange(&bench, &changed)).await.expect(400).json();
    assert_eq!(got["error_description"], "Invalid JWT Signature.");
    let request = bench.post("/token").body("grant_type=password");
    let got = send(request).await.expect(400).json();
    assert_eq!(got["error"], "unsupported_grant_type");

    // An assertion for the service itself is as good as a token.
    let own = with("aud", json!("https://language.googleapis.com/"));
    send(ask(&assertion(&file, &header(&file), &own)))
        .await
        .expect(200);
    let elsewhere = with("aud", json!("https://speech.googleapis.com/"));
    send(ask(&assertion(&file, &header(&file), &elsewhere)))
        .await
        .expect(401);
    let second = with(
        "iss",
        json!("sandbox-google-2@isobar-sandbox.iam.gserviceaccount.com"),
    );
    let id = json!({ "alg": "RS256", "kid": "sandbox-google-key-id-2" });
    send(exchange(&bench, &assertion(&file, &id, &second)))
        .await
        .expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("google-2"));

    bench.sandbox.reset();
    let got = send(ask(&token)).await.expect(401);
    assert_eq!(refusal(&got).1, "UNAUTHENTICATED");
}

#[tokio::test]
async fn keys_are_checked() {
    let bench = Bench::new("google").await;
    let body = json!({ "document": document(REVIEW) });
    let ask = |query: &str| {
        let path = format!("/v2/documents:analyzeSentiment{query}");
        bench.post(&path).json(&body)
    };
    send(ask(&format!("?key={KEY}-2"))).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("google-2"));
    send(ask("").header("x-goog-api-key", KEY))
        .await
        .expect(200);
    let got = send(ask("?key=nonsense")).await.expect(400);
    let error = &got.json()["error"];
    assert_eq!(
        (&error["status"], &error["details"][0]["reason"]),
        (&json!("INVALID_ARGUMENT"), &json!("API_KEY_INVALID"))
    );
    assert_eq!(
        error["details"][0]["metadata"]["service"],
        "language.googleapis.com"
    );
    assert_eq!(
        refusal(&send(ask("")).await.expect(403)).1,
        "PERMISSION_DENIED"
    );
    assert_eq!(bench.last().account, None);
    let got = send(ask("").header("authorization", format!("Bearer {KEY}"))).await;
    assert_eq!(refusal(&got.expect(401)).1, "UNAUTHENTICATED");
    let v3 = post(&bench, &format!("{V3}:translateText"), &json!({}));
    assert_eq!(refusal(&send(v3).await.expect(401)).1, "UNAUTHENTICATED");
}

#[tokio::test]
async fn advanced_translation_takes_tokens_only() {
    let bench = Bench::new("google").await;
    let bearer = format!("Bearer {}", token(&bench).await);
    let at = |path: &str, body: &Value| {
        let request = bench.post(path).json(body);
        request.header("authorization", &bearer)
    };
    let translate = |body: &Value| at(&format!("{V3}:translateText"), body);
    let model = format!("{}/models/general/nmt", V3.trim_start_matches("/v3/"));
    let body = json!({
        "contents": ["Hello, world!", "It's <b>good</b>."], "mimeType": "text/plain",
        "targetLanguageCode": "fr", "model": model,
    });
    let body = send(translate(&body)).await.expect(200).json();
    fits(ADVANCED, "TranslateTextResponse", &body);
    assert_eq!(
        body["translations"],
        json!([
            { "translatedText": "Bonjour le monde !", "model": model, "detectedLanguageCode": "en" },
            { "translatedText": "[fr] It's <b>good</b>.", "model": model, "detectedLanguageCode": "en" },
        ])
    );
    let body = json!({ "contents": ["It's <b>good</b>."], "sourceLanguageCode": "en-US", "targetLanguageCode": "de" });
    let body = send(translate(&body)).await.expect(200).json();
    assert_eq!(
        body["translations"][0],
        json!({ "translatedText": "[de] It&#39;s <b>good</b>." })
    );

    let many = vec!["x"; 1025];
    let long = "x".repeat(30_721);
    for (body, field) in [
        (json!({ "targetLanguageCode": "fr" }), "contents"),
        (json!({ "contents": ["x"] }), "target_language_code"),
        (
            json!({ "contents": many, "targetLanguageCode": "fr" }),
            "contents",
        ),
        (
            json!({ "contents": [long], "targetLanguageCode": "fr" }),
            "contents",
        ),
        (
            json!({ "contents": ["x"], "targetLanguageCode": "xx" }),
            "target_language_code",
        ),
        (
            json!({ "contents": ["x"], "targetLanguageCode": "fr", "sourceLanguageCode": "fr" }),
            "target_language_code",
        ),
        (
            json!({ "contents": ["x"], "targetLanguageCode": "fr", "mimeType": "text/rtf" }),
            "mime_type",
        ),
        (
            json!({ "contents": ["x"], "targetLanguageCode": "fr", "model": "nmt" }),
            "model",
        ),
        (json!({ "q": ["x"], "targetLanguageCode": "fr" }), ""),
    ] {
        let got = send(translate(&body)).await.expect(400);
        assert_eq!(refusal(&got).2, field, "{}", got.text());
    }
    let glossary = json!({
        "contents": ["x"], "targetLanguageCode": "fr", "glossaryConfig": { "glossary": "g" },
    });
    send(translate(&glossary)).await.expect(404);
    let other = at("/v3/projects/other:translateText", &json!({}));
    assert_eq!(
        refusal(&send(other).await.expect(403)).1,
        "PERMISSION_DENIED"
    );
    send(at(
        "/v3/projects/isobar-sandbox/locations/moon:translateText",
        &json!({}),
    ))
    .await
    .expect(400);

    let body = json!({ "content": "今天天气很好", "mimeType": "text/plain" });
    let body = send(at("/v3/projects/isobar-sandbox:detectLanguage", &body))
        .await
        .expect(200)
        .json();
    fits(ADVANCED, "DetectLanguageResponse", &body);
    assert_eq!(body["languages"][0]["languageCode"], "zh-CN");
    send(at(&format!("{V3}:detectLanguage"), &json!({})))
        .await
        .expect(400);
    let list = bench
        .get(&format!("{V3}/supportedLanguages?displayLanguageCode=en"))
        .header("authorization", &bearer);
    let body = send(list).await.expect(200).json();
    fits(ADVANCED, "SupportedLanguages", &body);
    assert!(body["languages"].as_array().unwrap().len() > 20);
}

#[tokio::test]
async fn speech_comes_as_base64_in_the_form_asked_for() {
    let bench = Bench::new("google").await;
    let ask = |input: Value, voice: Value, audio: Value| {
        let body = json!({ "input": input, "voice": voice, "audioConfig": audio });
        post(&bench, "/v1/text:synthesize", &body)
    };
    let english = json!({ "languageCode": "en-US" });
    for (encoding, head) in [
        ("LINEAR16", &b"RIFF"[..]),
        ("MP3", b"\xff\xfb"),
        ("OGG_OPUS", b"OggS"),
        ("MULAW", b"RIFF"),
    ] {
        let request = ask(
            json!({ "text": "Hello there" }),
            english.clone(),
            json!({ "audioEncoding": encoding }),
        );
        let body = send(request).await.expect(200).json();
        fits(VOICE, "SynthesizeSpeechResponse", &body);
        let audio = STANDARD
            .decode(body["audioContent"].as_str().unwrap())
            .unwrap();
        assert!(audio.starts_with(head), "{encoding}");
    }
    let mp3 = json!({ "audioEncoding": "MP3" });
    let text = json!({ "text": "Hello" });
    let ssml = json!({ "ssml": "<speak>Hello <break time='1s'/>there</speak>" });
    let named = json!({ "languageCode": "en-US", "name": "en-US-Neural2-C" });
    send(ask(ssml, named, mp3.clone())).await.expect(200);
    assert_eq!(bench.last().facts["voice"], "en-US-Neural2-C");
    for (input, voice, audio, field) in [
        (json!({}), english.clone(), mp3.clone(), "input"),
        (
            json!({ "text": "x".repeat(5001) }),
            english.clone(),
            mp3.clone(),
            "input",
        ),
        (
            json!({ "ssml": "<speak>x" }),
            english.clone(),
            mp3.clone(),
            "input.ssml",
        ),
        (text.clone(), json!({}), mp3.clone(), "voice.language_code"),
        (
            text.clone(),
            json!({ "languageCode": "xx" }),
            mp3.clone(),
            "voice.language_code",
        ),
        (
            text.clone(),
            json!({ "languageCode": "en-US", "name": "nova" }),
            mp3.clone(),
            "voice.name",
        ),
        (
            text.clone(),
            json!({ "languageCode": "de-DE", "name": "en-US-Neural2-C" }),
            mp3.clone(),
            "voice.language_code",
        ),
        (
            text.clone(),
            english.clone(),
            json!({}),
            "audio_config.audio_encoding",
        ),
        (
            text.clone(),
            english.clone(),
            json!({ "audioEncoding": "MP3", "speakingRate": 4.0 }),
            "audio_config",
        ),
        (
            text.clone(),
            english.clone(),
            json!({ "audioEncoding": "MP3", "sampleRateHertz": 1 }),
            "audio_config.sample_rate_hertz",
        ),
    ] {
        let got = send(ask(input, voice, audio)).await.expect(400);
        assert_eq!(refusal(&got).2, field, "{}", got.text());
    }
    let list = bench.get("/v1/voices?languageCode=en");
    let body = send(list.header("x-goog-api-key", KEY))
        .await
        .expect(200)
        .json();
    fits(VOICE, "ListVoicesResponse", &body);
    assert_eq!(body["voices"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn every_error_has_google_s_shape_and_status() {
    let bench = Bench::new("google").await;
    let config = json!({ "languageCode": "en-US" });
    let status = |class: Class| match class {
        Class::Auth => (401, "UNAUTHENTICATED"),
        Class::Quota | Class::Rate => (429, "RESOURCE_EXHAUSTED"),
        Class::Invalid | Class::TooLarge | Class::Unsupported => (400, "INVALID_ARGUMENT"),
        Class::NotFound => (404, "NOT_FOUND"),
        Class::Internal => (500, "INTERNAL"),
        Class::Unavailable => (503, "UNAVAILABLE"),
    };
    every_class(
        &bench,
        || recognize(&bench, &config, WEATHER),
        |class, got| {
            let (code, name, _) = refusal(got);
            assert_eq!((code, name.as_str()), status(class), "{class:?}");
            let error = &got.json()["error"];
            fits(
                SPEECH,
                "Status",
                &json!({ "code": code, "message": error["message"] }),
            );
            match class {
                Class::Rate => assert_eq!(error["details"][1]["retryDelay"], "3s"),
                Class::Quota => assert!(error["message"].as_str().unwrap().contains("per day")),
                _ => {}
            }
        },
    )
    .await;
    let body = json!({ "q": "x", "target": "fr" });
    every_class(
        &bench,
        || post(&bench, "/language/translate/v2", &body),
        |class, got| {
            refusal(got);
            let error = &got.json()["error"];
            let reason = error["errors"][0]["reason"].as_str().unwrap();
            match class {
                Class::Quota => assert_eq!((got.status, reason), (403, "dailyLimitExceeded")),
                Class::Rate => assert_eq!((got.status, reason), (403, "userRateLimitExceeded")),
                Class::Auth => assert_eq!((got.status, reason), (401, "authError")),
                _ => assert!(got.status >= 400),
            }
        },
    )
    .await;
    let file = key_file(&bench);
    every_class(
        &bench,
        || exchange(&bench, &assertion(&file, &header(&file), &claims(&file))),
        |_, got| assert!(got.json()["error"].is_string(), "{}", got.text()),
    )
    .await;
}

#[tokio::test]
async fn any_status_and_reason_can_be_scripted() {
    let bench = Bench::new("google").await;
    let config = json!({ "languageCode": "en-US" });
    for (code, status) in [
        ("FAILED_PRECONDITION", 400),
        ("ABORTED", 409),
        ("UNIMPLEMENTED", 501),
        ("DEADLINE_EXCEEDED", 504),
    ] {
        bench.fault(Fault::code(code));
        let got = send(recognize(&bench, &config, WEATHER)).await;
        assert_eq!(refusal(&got.expect(status)).1, code);
        assert!(!bench.last().executed);
    }
    bench.fault(Fault::code("API_KEY_INVALID"));
    let got = send(recognize(&bench, &config, WEATHER)).await.expect(400);
    assert_eq!(
        got.json()["error"]["details"][0]["reason"],
        "API_KEY_INVALID"
    );
    let body = json!({ "q": "x", "target": "fr" });
    bench.fault(Fault::code("rateLimitExceeded"));
    let got = send(post(&bench, "/language/translate/v2", &body)).await;
    let got = got.expect(403).json();
    assert_eq!(got["error"]["errors"][0]["reason"], "rateLimitExceeded");
}
