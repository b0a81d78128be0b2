//! Azure.

use isobar_sandbox::faults::{Class, Fault, Rule};
use reqwest::RequestBuilder;
use serde_json::{Map, Value, json};

use crate::support::{
    Bench, Got, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, mixed_texts,
    multipart, send,
};

const KEY: &str = "sandbox-azure-key";
const SAS: &str = "sandbox-azure-sas";
const REVIEW: &str = "The hotel was wonderful. The food was terrible and awful. We left on Monday.";

fn keyed(request: RequestBuilder) -> RequestBuilder {
    request.header("ocp-apim-subscription-key", KEY)
}

/// A description in which nothing beside the named fields is allowed, save where another definition adds some.
fn strict(path: &str) -> Option<Value> {
    let mut description = contract(path)?;
    let text = description.to_string();
    let definitions = description["definitions"].as_object_mut().unwrap();
    for (name, definition) in definitions {
        let base = format!(r##""allOf":[{{"$ref":"#/definitions/{name}"}}]"##);
        if definition["properties"].is_object() && !text.contains(&base) {
            definition["unevaluatedProperties"] = json!(false);
        }
    }
    Some(description)
}

fn fits(path: &str, name: &str, body: &Value) {
    if let Some(description) = strict(path) {
        conforms(&description, &format!("#/definitions/{name}"), body);
    }
}

const LANGUAGE: &str = "language/azure-language-2023-04-01.swagger.json";
const TRANSLATOR: &str = "translation/azure-texttranslation-v3.0-typespec.swagger.json";
const BATCH: &str = "speech/azure-speechtotext-v3.2.swagger.json";

fn fast(bench: &Bench, definition: &Value, audio: Option<&[u8]>) -> RequestBuilder {
    let definition = definition.to_string();
    let file = audio.map(|audio| ("audio", "a.wav", audio));
    let (kind, body) = multipart(&[("definition", &definition)], file);
    let path = "/speechtotext/transcriptions:transcribe?api-version=2025-10-15";
    keyed(bench.post(path))
        .header("content-type", kind)
        .body(body)
}

/// The code of an error that has nothing around it, and its inner code.
fn bare(got: &Got) -> (String, String) {
    let body = got.json();
    assert!(body["message"].is_string(), "{body}");
    let inner = body["innerError"]["code"].as_str().unwrap_or_default();
    (body["code"].as_str().unwrap().to_owned(), inner.to_owned())
}

#[test]
fn descriptions_refuse_what_they_do_not_name() {
    if let Some(description) = strict(LANGUAGE) {
        let good = json!({ "error": { "code": "NotFound", "message": "" } });
        conforms(&description, "#/definitions/ErrorResponse", &good);
        let bad = json!({ "error": { "code": "NotFound", "message": "", "reason": "" } });
        let refused = std::panic::catch_unwind(|| {
            conforms(&description, "#/definitions/ErrorResponse", &bad);
        });
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn fast_transcription_answers_in_milliseconds() {
    let bench = Bench::new("azure").await;
    let definition = json!({ "locales": ["de-DE", "en-GB"], "profanityFilterMode": "Masked" });
    let got = send(fast(&bench, &definition, Some(WEATHER)))
        .await
        .expect(200);
    assert!(!got.header("apim-request-id").is_empty());
    let body = got.json();
    if let Some(description) = contract("speech/azure-transcription-2025-10-15.derived.json") {
        conforms(
            &description,
            "#/components/schemas/TranscriptionResult",
            &body,
        );
    }
    assert_eq!(body["durationMilliseconds"], 4185);
    assert_eq!(body["combinedPhrases"], json!([{ "text": WEATHER_TEXT }]));
    let phrase = &body["phrases"][0];
    assert_eq!(
        (
            &phrase["offsetMilliseconds"],
            &phrase["durationMilliseconds"],
            &phrase["locale"]
        ),
        (&json!(180), &json!(1750), &json!("en-GB"))
    );
    assert_eq!(
        phrase["words"][6],
        json!({ "text": "today.", "offsetMilliseconds": 1630, "durationMilliseconds": 300 })
    );
    assert!(phrase.get("speaker").is_none());

    let definition = json!({ "diarization": { "enabled": true, "maxSpeakers": 2 } });
    let body = send(fast(&bench, &definition, Some(HOTEL)))
        .await
        .expect(200)
        .json();
    let speakers: Vec<_> = body["phrases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phrase| phrase["speaker"].as_u64().unwrap())
        .collect();
    assert_eq!(speakers, [0, 1]);
    let definition = json!({ "channels": [0] });
    let body = send(fast(&bench, &definition, Some(WEATHER)))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (
            &body["phrases"][0]["channel"],
            &body["combinedPhrases"][0]["channel"]
        ),
        (&json!(0), &json!(0))
    );
    let mut silence = WEATHER[..44 + 32_000].to_vec();
    silence[44..].fill(0);
    let body = send(fast(&bench, &json!({}), Some(&silence)))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&body["phrases"], &body["combinedPhrases"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_fast_transcription_is_said() {
    let bench = Bench::new("azure").await;
    let with = |definition: Value| fast(&bench, &definition, Some(WEATHER));
    let at = |path: &str| keyed(bench.post(path)).json(&json!({}));
    for (request, status, code, inner) in [
        (
            with(json!({ "locales": ["en"] })),
            400,
            "InvalidArgument",
            "InvalidLocale",
        ),
        (
            with(json!({ "locales": ["xx-XX"] })),
            400,
            "InvalidArgument",
            "InvalidLocale",
        ),
        (
            with(json!({ "profanityFilterMode": "Loud" })),
            400,
            "InvalidArgument",
            "InvalidPayload",
        ),
        (
            with(json!({ "diarization": { "maxSpeakers": 1 } })),
            400,
            "InvalidArgument",
            "InvalidPayload",
        ),
        (
            with(json!({ "channels": [1] })),
            400,
            "InvalidArgument",
            "InvalidChannels",
        ),
        (
            with(json!("definition")),
            400,
            "InvalidArgument",
            "InvalidPayload",
        ),
        (
            fast(&bench, &json!({}), None),
            400,
            "InvalidArgument",
            "InvalidPayload",
        ),
        (
            fast(
                &bench,
                &json!({ "audioUrl": "https://example.com/a.wav" }),
                None,
            ),
            400,
            "InvalidArgument",
            "InvalidPayload",
        ),
        (
            fast(&bench, &json!({}), Some(b"not audio at all")),
            422,
            "UnprocessableEntity",
            "InvalidPayload",
        ),
        (
            fast(&bench, &json!({}), Some(b"")),
            422,
            "UnprocessableEntity",
            "InvalidPayload",
        ),
        (
            at("/speechtotext/transcriptions:transcribe"),
            400,
            "InvalidArgument",
            "InvalidParameterValue",
        ),
        (
            at("/speechtotext/transcriptions:transcribe?api-version=2025-10-15"),
            400,
            "InvalidArgument",
            "InvalidRequestBodyFormat",
        ),
        (at("/speechtotext/v9/transcriptions"), 404, "NotFound", ""),
    ] {
        let got = send(request).await.expect(status);
        assert_eq!(bare(&got), (code.to_owned(), inner.to_owned()));
        assert!(!bench.last().executed);
    }
}

fn short(bench: &Bench, query: &str, kind: &str, audio: &[u8]) -> RequestBuilder {
    let path = format!("/speech/recognition/conversation/cognitiveservices/v1{query}");
    keyed(bench.post(&path))
        .header("content-type", kind)
        .body(audio.to_vec())
}

#[tokio::test]
async fn short_audio_answers_in_ticks() {
    let bench = Bench::new("azure").await;
    let wav = "audio/wav; codecs=audio/pcm; samplerate=16000";
    let body = send(short(&bench, "?language=en-US", wav, WEATHER))
        .await
        .expect(200)
        .json();
    assert_eq!(
        body,
        json!({
            "RecognitionStatus": "Success", "Offset": 1_800_000, "Duration": 38_300_000,
            "DisplayText": WEATHER_TEXT,
        })
    );
    let query = "?language=en-US&format=detailed&wordLevelTimestamps=true";
    let body = send(short(&bench, query, wav, WEATHER))
        .await
        .expect(200)
        .json();
    let best = &body["NBest"][0];
    assert_eq!(
        (&best["Display"], &best["ITN"]),
        (&json!(WEATHER_TEXT), &json!(WEATHER_TEXT.replace('.', "")))
    );
    assert_eq!(
        best["Lexical"],
        WEATHER_TEXT.to_lowercase().replace('.', "")
    );
    assert_eq!(
        best["Words"][0],
        json!({ "Word": "the", "Offset": 1_800_000, "Duration": 1_800_000 })
    );
    let mut silence = WEATHER[..44 + 32_000].to_vec();
    silence[44..].fill(0);
    let body = send(short(&bench, "?language=en-US", wav, &silence))
        .await
        .expect(200)
        .json();
    assert_eq!(body["RecognitionStatus"], "InitialSilenceTimeout");
    let mut long = WEATHER[..44].to_vec();
    long[40..44].copy_from_slice(&1_952_000_u32.to_le_bytes());
    long.resize(44 + 1_952_000, 1);
    for (request, status) in [
        (short(&bench, "", wav, WEATHER), 400),
        (short(&bench, "?language=en", wav, WEATHER), 400),
        (
            short(&bench, "?language=en-US&format=long", wav, WEATHER),
            400,
        ),
        (short(&bench, "?language=en-US", "audio/mpeg", WEATHER), 415),
        (short(&bench, "?language=en-US", wav, b"not audio"), 400),
        (short(&bench, "?language=en-US", wav, &long), 400),
        (
            keyed(bench.post("/speech/recognition/dreams/cognitiveservices/v1")),
            404,
        ),
        (
            keyed(bench.get("/speech/recognition/conversation/cognitiveservices/v1")),
            405,
        ),
    ] {
        send(request).await.expect(status);
        assert!(!bench.last().executed);
    }
}

/// Puts a recording into storage; its URL.
async fn stored(bench: &Bench, name: &str, audio: &[u8]) -> String {
    let path = format!("/blob/recordings/{name}?sv=2024-08-04&sig={SAS}");
    let put = bench.client.put(bench.url(&path));
    let put = put.header("x-ms-blob-type", "BlockBlob");
    send(put.body(audio.to_vec())).await.expect(201);
    bench.url(&path)
}

fn job(bench: &Bench, body: &Value) -> RequestBuilder {
    keyed(bench.post("/speechtotext/v3.2/transcriptions")).json(body)
}

async fn linked(bench: &Bench, url: &Value) -> Got {
    send(keyed(bench.client.get(url.as_str().unwrap()))).await
}

#[tokio::test]
async fn batch_transcription_is_a_job_with_files() {
    let bench = Bench::new("azure").await;
    let weather = stored(&bench, "weather.wav", WEATHER).await;
    let hotel = stored(&bench, "hotel.wav", HOTEL).await;
    let body = json!({
        "contentUrls": [weather, hotel, "https://example.com/none.wav"], "locale": "en-US", "displayName": "two",
        "properties": {
            "diarizationEnabled": true, "wordLevelTimestampsEnabled": true,
            "displayFormWordLevelTimestampsEnabled": true,
        },
    });
    let got = send(job(&bench, &body)).await.expect(201);
    let created = got.json();
    fits(BATCH, "Transcription", &created);
    assert_eq!(
        (&json!(got.header("location")), &created["status"]),
        (&created["self"], &json!("NotStarted"))
    );
    assert!(created.get("contentUrls").is_none());
    let files = &created["links"]["files"];
    assert_eq!(linked(&bench, files).await.json()["values"], json!([]));
    let running = linked(&bench, &created["self"]).await.expect(200);
    assert_eq!(
        (running.header("retry-after"), &running.json()["status"]),
        ("10", &json!("Running"))
    );
    let done = linked(&bench, &created["self"]).await.expect(200).json();
    fits(BATCH, "Transcription", &done);
    assert_eq!(
        (&done["status"], &done["properties"]["duration"]),
        (&json!("Succeeded"), &json!("PT9.185S"))
    );
    let listed = linked(&bench, files).await.expect(200).json();
    fits(BATCH, "PaginatedFiles", &listed);
    let kinds: Vec<_> = listed["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["Transcription", "Transcription", "TranscriptionReport"]
    );
    let second = &listed["values"][1];
    assert_eq!(linked(&bench, &second["self"]).await.json(), *second);
    // The content comes without any key, by its signature alone.
    let content = |file: &Value| {
        bench
            .client
            .get(file["links"]["contentUrl"].as_str().unwrap())
    };
    let result = send(content(second)).await.expect(200).json();
    if let Some(schema) = contract("speech/azure-transcriptionresult-v3.schema.json") {
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mistakes: Vec<_> = validator
            .iter_errors(&result)
            .map(|m| m.to_string())
            .collect();
        assert!(mistakes.is_empty(), "{mistakes:#?}");
    }
    if let Some(mut schema) = contract("speech/azure-transcriptionresult-v3.1.schema.json") {
        schema.as_object_mut().unwrap().remove("allOf");
        let validator = jsonschema::validator_for(&schema).unwrap();
        // Locales belong to jobs that tell languages apart.
        let mistakes: Vec<_> = validator
            .iter_errors(&result)
            .map(|m| m.to_string())
            .collect();
        assert!(mistakes.is_empty(), "{mistakes:#?}");
    }
    assert_eq!(result["duration"], "PT5S");
    let phrase = &result["recognizedPhrases"][1];
    assert_eq!(
        (
            &phrase["speaker"],
            &phrase["offset"],
            &phrase["nBest"][0]["display"]
        ),
        (
            &json!(2),
            &json!("PT3.39S"),
            &json!("Maria was very helpful.")
        )
    );
    let word = &phrase["nBest"][0]["words"][0];
    assert_eq!(
        (&word["word"], &word["offsetInTicks"]),
        (&json!("maria"), &json!(33_900_000.0))
    );
    let report = send(content(&listed["values"][2])).await.json();
    assert_eq!(
        (
            &report["successfulTranscriptionsCount"],
            &report["failedTranscriptionsCount"]
        ),
        (&json!(2), &json!(1))
    );
    let own = created["self"].as_str().unwrap();
    send(
        bench
            .client
            .get(own)
            .header("ocp-apim-subscription-key", format!("{KEY}-2")),
    )
    .await
    .expect(404);
    send(keyed(bench.client.delete(own))).await.expect(204);
    linked(&bench, &created["self"]).await.expect(404);
}

#[tokio::test]
async fn batch_transcriptions_fail_in_their_own_way() {
    let bench = Bench::new("azure").await;
    let weather = stored(&bench, "weather.wav", WEATHER).await;
    let text = stored(&bench, "text.wav", b"not audio at all").await;
    let unsigned = bench.url("/blob/recordings/weather.wav?sig=wrong");
    let english =
        |urls: &[&str]| json!({ "contentUrls": urls, "locale": "en-US", "displayName": "x" });
    let end = async |body: &Value| {
        let created = send(job(&bench, body)).await.expect(201).json();
        linked(&bench, &created["self"]).await.expect(200);
        let done = linked(&bench, &created["self"]).await.expect(200).json();
        fits(BATCH, "Transcription", &done);
        done
    };
    let done = end(&english(&[&text, &unsigned])).await;
    assert_eq!(
        (&done["status"], &done["properties"]["error"]["code"]),
        (&json!("Failed"), &json!("InvalidData"))
    );
    for during in ["Transcriptions_Create", "Transcriptions_Get"] {
        let rule = Rule::at("azure", Fault::FailJob).during(during);
        bench.sandbox.faults().set([rule]);
        let done = end(&english(&[&weather])).await;
        assert_eq!(
            (&done["status"], &done["properties"]["error"]["code"]),
            (&json!("Failed"), &json!("InternalServerError"))
        );
        let files = linked(&bench, &done["links"]["files"]).await.json();
        assert_eq!(files, json!({ "values": [] }));
    }
    bench.sandbox.faults().clear();
    let container = bench.url(&format!("/blob/recordings?sig={SAS}"));
    let body = json!({ "contentContainerUrl": container, "locale": "en-US", "displayName": "all" });
    assert_eq!(end(&body).await["status"], "Succeeded");
    let newer = keyed(bench.post("/speechtotext/transcriptions:submit?api-version=2024-11-15"));
    let created = send(newer.json(&english(&[&weather])))
        .await
        .expect(201)
        .json();
    assert!(
        created["self"]
            .as_str()
            .unwrap()
            .ends_with("?api-version=2024-11-15")
    );
    linked(&bench, &created["self"]).await.expect(200);

    let with = |name: &str, value: Value| {
        let mut body = english(&[&weather]);
        body[name] = value;
        job(&bench, &body)
    };
    for (request, code, inner) in [
        (
            with("locale", Value::Null),
            "InvalidRequest",
            "InvalidPayload",
        ),
        (
            with("locale", json!("xx-XX")),
            "InvalidArgument",
            "InvalidLocale",
        ),
        (
            with("displayName", json!("")),
            "InvalidRequest",
            "InvalidPayload",
        ),
        (
            with("contentUrls", json!([])),
            "InvalidRequest",
            "InvalidRecordingsUri",
        ),
        (
            with("contentUrls", json!(["file:///a"])),
            "InvalidRequest",
            "InvalidRecordingsUri",
        ),
        (
            with("contentUrls", Value::Null),
            "InvalidRequest",
            "OnlyOneOfUrlsOrContainerOrDataset",
        ),
        (
            with("contentUrls", json!(vec![&weather; 1001])),
            "InvalidRequest",
            "ExceededNumberOfRecordingsUris",
        ),
        (
            with("properties", json!({ "punctuationMode": "Loud" })),
            "InvalidRequest",
            "InvalidPayload",
        ),
        (
            keyed(bench.post("/speechtotext/v3.2/transcriptions")).body("{"),
            "InvalidRequest",
            "InvalidPayload",
        ),
    ] {
        let got = send(request).await.expect(400);
        fits(BATCH, "Error", &got.json());
        assert_eq!(bare(&got), (code.to_owned(), inner.to_owned()));
    }
    let path = bench.url("/blob/recordings/a.wav");
    send(bench.client.put(&path).body("x")).await.expect(403);
    let bad = bench.client.put(format!("{path}?sig={SAS}")).body("x");
    let got = send(bad).await.expect(400);
    assert_eq!(got.header("x-ms-error-code"), "MissingRequiredHeader");
    let got = send(bench.client.get(format!("{path}?sig={SAS}"))).await;
    assert_eq!(got.expect(404).header("x-ms-error-code"), "BlobNotFound");
}

#[tokio::test]
async fn speech_comes_in_the_form_asked_for() {
    let bench = Bench::new("azure").await;
    let ssml = "<speak version='1.0' xml:lang='en-US'><voice name='en-US-JennyNeural'>Hello there</voice></speak>";
    let ask = |body: &str, kind: &str, format: &str| {
        keyed(bench.post("/cognitiveservices/v1"))
            .header("content-type", kind)
            .header("x-microsoft-outputformat", format)
            .header("user-agent", "tests")
            .body(body.to_owned())
    };
    let kind = "application/ssml+xml";
    for (format, content_type, head) in [
        (
            "audio-24khz-48kbitrate-mono-mp3",
            "audio/mpeg",
            &b"\xff\xfb"[..],
        ),
        ("riff-16khz-16bit-mono-pcm", "audio/x-wav", b"RIFF"),
        ("ogg-24khz-16bit-mono-opus", "audio/ogg", b"OggS"),
    ] {
        let got = send(ask(ssml, kind, format)).await.expect(200);
        assert_eq!(got.header("content-type"), content_type);
        assert!(got.body.starts_with(head), "{format}");
    }
    assert_eq!(bench.last().facts["characters"], 11);
    let mp3 = "audio-24khz-48kbitrate-mono-mp3";
    let other = |from: &str, to: &str| ask(&ssml.replace(from, to), kind, mp3);
    for (request, status) in [
        (ask(ssml, "text/plain", mp3), 415),
        (ask(ssml, kind, "mp3"), 400),
        (ask("Hello", kind, mp3), 400),
        (other("en-US-JennyNeural", "nova"), 400),
        (other(" xml:lang='en-US'", ""), 400),
        (other("Hello there", " "), 400),
        (other("</voice>", ""), 400),
        (
            ask(ssml, kind, mp3).header("ocp-apim-subscription-key", "x"),
            200,
        ),
        (bench.post("/cognitiveservices/v1").body(ssml), 401),
        (keyed(bench.get("/cognitiveservices/v1")), 405),
        (keyed(bench.get("/cognitiveservices/nothing")), 404),
    ] {
        send(request).await.expect(status);
    }
    let list = send(keyed(bench.get("/cognitiveservices/voices/list")))
        .await
        .expect(200)
        .json();
    let voices = list.as_array().unwrap();
    let named = |voice: &&Value| voice["ShortName"] == "en-US-JennyNeural";
    let voice = voices.iter().find(named).unwrap();
    assert_eq!(
        (&voice["Locale"], &voice["LocaleName"]),
        (&json!("en-US"), &json!("English"))
    );
}

fn analyze(bench: &Bench, kind: &str, documents: &Value, parameters: &Value) -> RequestBuilder {
    let body = json!({
        "kind": kind, "analysisInput": { "documents": documents }, "parameters": parameters,
    });
    keyed(bench.post("/language/:analyze-text?api-version=2023-04-01")).json(&body)
}

fn one(text: &str) -> Value {
    json!([{ "id": "1", "language": "en", "text": text }])
}

#[tokio::test]
async fn sentiment_is_weighed_for_sentences_and_documents() {
    let bench = Bench::new("azure").await;
    let documents = json!([
        { "id": "a", "language": "en", "text": REVIEW },
        { "id": "b", "text": "" },
        { "id": "c", "language": "xx", "text": "Hello." },
        { "id": "d", "text": "x".repeat(5121) },
        { "id": "e", "language": "zh-Hans", "text": "这家酒店很好。" },
    ]);
    let parameters = json!({ "opinionMining": true, "stringIndexType": "UnicodeCodePoint" });
    let request = analyze(&bench, "SentimentAnalysis", &documents, &parameters);
    let body = send(request).await.expect(200).json();
    fits(LANGUAGE, "SentimentTaskResult", &body);
    assert_eq!(body["kind"], "SentimentAnalysisResults");
    let document = &body["results"]["documents"][0];
    assert_eq!(
        (&document["id"], &document["sentiment"]),
        (&json!("a"), &json!("mixed"))
    );
    let labels: Vec<_> = document["sentences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sentence| sentence["sentiment"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["positive", "negative", "neutral"]);
    let first = &document["sentences"][0];
    assert_eq!(
        (&first["text"], &first["length"]),
        (&json!("The hotel was wonderful. "), &json!(25))
    );
    assert_eq!(
        (
            &first["assessments"][0]["text"],
            &first["targets"][0]["text"],
            &first["targets"][0]["relations"][0]["ref"]
        ),
        (
            &json!("wonderful"),
            &json!("hotel"),
            &json!("#/documents/0/sentences/0/assessments/0")
        )
    );
    assert_eq!(
        body["results"]["documents"][1]["sentiment"],
        json!("positive")
    );
    let errors = body["results"]["errors"].as_array().unwrap();
    let codes: Vec<_> = errors
        .iter()
        .map(|error| {
            let inner = error["error"]["innererror"]["code"].as_str().unwrap();
            (error["id"].as_str().unwrap(), inner)
        })
        .collect();
    assert_eq!(
        codes,
        [
            ("b", "InvalidDocument"),
            ("c", "UnsupportedLanguageCode"),
            ("d", "InvalidDocument")
        ]
    );
    assert!(bench.last().executed);
    // Graphemes are counted, not what they are made of.
    let text = "e\u{301}".repeat(5120);
    send(analyze(
        &bench,
        "SentimentAnalysis",
        &one(&text),
        &json!({}),
    ))
    .await
    .expect(200);
    assert!(bench.last().executed);
    send(analyze(&bench, "SentimentAnalysis", &one(" "), &json!({})))
        .await
        .expect(200);
    assert!(!bench.last().executed, "no document was analysed");
}

#[tokio::test]
async fn every_kind_of_analysis_has_its_shape() {
    let bench = Bench::new("azure").await;
    let text = "Maria works at Acme Corp in London since Monday, 9:30. Call 06 21 32 43 54 or a@b.com, it costs $12.";
    let ask = async |kind: &str, result: &str, documents: &Value, parameters: &Value| {
        let body = send(analyze(&bench, kind, documents, parameters))
            .await
            .expect(200)
            .json();
        fits(LANGUAGE, result, &body);
        body["results"]["documents"][0].clone()
    };
    let found = ask(
        "EntityRecognition",
        "EntitiesTaskResult",
        &one(text),
        &json!({}),
    )
    .await;
    let categories: Vec<_> = found["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entity| {
            (
                entity["text"].as_str().unwrap(),
                entity["category"].as_str().unwrap(),
            )
        })
        .collect();
    for wanted in [
        ("Maria", "Person"),
        ("Acme Corp", "Organization"),
        ("London", "Location"),
        ("Monday", "DateTime"),
        ("$12", "Quantity"),
        ("a@b.com", "Email"),
    ] {
        assert!(categories.contains(&wanted), "{wanted:?} {categories:?}");
    }
    let found = ask(
        "KeyPhraseExtraction",
        "KeyPhraseTaskResult",
        &one(text),
        &json!({}),
    )
    .await;
    assert!(
        found["keyPhrases"]
            .as_array()
            .unwrap()
            .contains(&json!("Maria works"))
    );
    let found = ask(
        "PiiEntityRecognition",
        "PiiTaskResult",
        &one(text),
        &json!({}),
    )
    .await;
    assert!(
        found["redactedText"]
            .as_str()
            .unwrap()
            .starts_with("***** works at ********* in London"),
        "{found}"
    );
    let phones = json!({ "piiCategories": ["PhoneNumber"] });
    let found = ask("PiiEntityRecognition", "PiiTaskResult", &one(text), &phones).await;
    assert_eq!(
        found["redactedText"],
        text.replace("06 21 32 43 54", "**************")
    );
    let found = ask(
        "EntityLinking",
        "EntityLinkingTaskResult",
        &one(text),
        &json!({}),
    )
    .await;
    assert_eq!(
        found["entities"][2]["url"],
        "https://en.wikipedia.org/wiki/London"
    );
    let documents = json!([{ "id": "1", "text": "今天天气很好", "countryHint": "" }]);
    let found = ask(
        "LanguageDetection",
        "LanguageDetectionTaskResult",
        &documents,
        &json!({}),
    )
    .await;
    assert_eq!(found["detectedLanguage"]["iso6391Name"], "zh_chs");
    let documents = json!([{ "id": "1", "text": "12345" }]);
    let found = ask(
        "LanguageDetection",
        "LanguageDetectionTaskResult",
        &documents,
        &json!({}),
    )
    .await;
    assert_eq!(found["detectedLanguage"]["name"], "(Unknown)");
    let documents = json!([{ "id": "1", "text": "Hello", "countryHint": "England" }]);
    let request = analyze(&bench, "LanguageDetection", &documents, &json!({}));
    let body = send(request).await.expect(200).json();
    fits(LANGUAGE, "LanguageDetectionTaskResult", &body);
    assert_eq!(
        body["results"]["errors"][0]["error"]["innererror"]["code"],
        "InvalidCountryHint"
    );

    let body =
        json!({ "kind": "KeyPhraseExtraction", "analysisInput": { "documents": one(text) } });
    let path = "/language/:analyze-text?api-version=2023-04-01&showStats=true";
    let body = send(keyed(bench.post(path)).json(&body))
        .await
        .expect(200)
        .json();
    fits(LANGUAGE, "KeyPhraseTaskResult", &body);
    assert_eq!(
        body["results"]["statistics"],
        json!({ "documentsCount": 1, "validDocumentsCount": 1, "erroneousDocumentsCount": 0, "transactionsCount": 1 })
    );
}

#[tokio::test]
async fn offsets_count_what_was_asked_for() {
    let bench = Bench::new("azure").await;
    for text in mixed_texts() {
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let letters: Vec<char> = text.chars().collect();
        let clusters: Vec<String> = graphemes(&text);
        for unit in ["UnicodeCodePoint", "Utf16CodeUnit", "TextElements_v8", ""] {
            for (kind, list) in [
                ("EntityRecognition", "entities"),
                ("SentimentAnalysis", "sentences"),
                ("PiiEntityRecognition", "entities"),
            ] {
                let mut parameters = Map::new();
                if !unit.is_empty() {
                    parameters.insert("stringIndexType".to_owned(), json!(unit));
                }
                let request = analyze(&bench, kind, &one(&text), &parameters.into());
                let body = send(request).await.expect(200).json();
                let found = body["results"]["documents"][0][list].as_array().unwrap();
                assert!(!found.is_empty(), "{text} {kind}");
                for span in found {
                    let place = |name: &str| usize::try_from(span[name].as_u64().unwrap()).unwrap();
                    let (start, end) = (place("offset"), place("offset") + place("length"));
                    let slice = match unit {
                        "UnicodeCodePoint" => letters[start..end].iter().collect(),
                        "Utf16CodeUnit" => String::from_utf16(&utf16[start..end]).unwrap(),
                        _ => clusters[start..end].concat(),
                    };
                    assert_eq!(slice, span["text"].as_str().unwrap(), "{text} {unit}");
                }
            }
        }
    }
}

/// Clusters of the letters that these tests use, written out: a mark or a joiner belongs to the letter before it, two
/// flags' letters and a line end are one.
fn graphemes(text: &str) -> Vec<String> {
    let mut clusters: Vec<String> = Vec::new();
    for letter in text.chars() {
        let flag = |letter: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&letter);
        let last = clusters.last().and_then(|cluster| cluster.chars().last());
        let joins = match (last, letter) {
            (Some(_), '\u{301}' | '\u{200d}') | (Some('\r'), '\n') => true,
            (Some(last), letter) => flag(last) && flag(letter),
            _ => false,
        };
        match clusters.last_mut().filter(|_| joins) {
            Some(cluster) => cluster.push(letter),
            None => clusters.push(letter.to_string()),
        }
    }
    clusters
}

#[tokio::test]
async fn what_is_wrong_with_an_analysis_is_said() {
    let bench = Bench::new("azure").await;
    let many = |count: usize| -> Value {
        let each = (0..count).map(|id| json!({ "id": id.to_string(), "text": "Hello." }));
        each.collect()
    };
    let ask = |kind: &str, documents: Value| analyze(&bench, kind, &documents, &json!({}));
    let with = |parameters: Value| analyze(&bench, "EntityRecognition", &one("x"), &parameters);
    let path = "/language/:analyze-text";
    let twice = json!([{ "id": "1", "text": "a" }, { "id": "1", "text": "b" }]);
    for (request, inner) in [
        (ask("SentimentAnalysis", many(11)), "InvalidDocumentBatch"),
        (ask("KeyPhraseExtraction", many(11)), "InvalidDocumentBatch"),
        (ask("EntityRecognition", many(6)), "InvalidDocumentBatch"),
        (ask("PiiEntityRecognition", many(6)), "InvalidDocumentBatch"),
        (ask("LanguageDetection", many(1001)), "InvalidDocumentBatch"),
        (ask("SentimentAnalysis", json!([])), "MissingInputDocuments"),
        (ask("SentimentAnalysis", twice), "InvalidDocument"),
        (
            ask("SentimentAnalysis", json!([{ "id": "1" }])),
            "InvalidRequestBodyFormat",
        ),
        (
            ask("SentimentAnalysis", json!([{ "id": "", "text": "x" }])),
            "InvalidRequestBodyFormat",
        ),
        (ask("Astrology", one("x")), "InvalidRequestBodyFormat"),
        (
            with(json!({ "stringIndexType": "Bytes" })),
            "InvalidParameterValue",
        ),
        (
            with(json!({ "modelVersion": "1999" })),
            "ModelVersionIncorrect",
        ),
        (
            keyed(bench.post(&format!("{path}?api-version=2023-04-01")))
                .header("content-type", "application/json")
                .body("{"),
            "InvalidRequestBodyFormat",
        ),
        (
            keyed(bench.post(path)).json(&json!({})),
            "InvalidParameterValue",
        ),
    ] {
        let got = send(request).await.expect(400);
        let body = got.json();
        fits(LANGUAGE, "ErrorResponse", &body);
        assert_eq!(body["error"]["innererror"]["code"], inner);
        assert_eq!(got.header("x-ms-error-code"), "InvalidRequest");
    }
    for (kind, count) in [
        ("SentimentAnalysis", 10),
        ("EntityRecognition", 5),
        ("LanguageDetection", 1000),
    ] {
        let body = send(ask(kind, many(count))).await.expect(200).json();
        assert_eq!(
            body["results"]["documents"].as_array().unwrap().len(),
            count
        );
    }
    let bytes = keyed(bench.post(&format!("{path}?api-version=2023-04-01"))).body("{}");
    send(bytes).await.expect(415);
    send(keyed(bench.get(path))).await.expect(405);
    send(keyed(bench.post("/language/other"))).await.expect(404);
}

fn translator(bench: &Bench, rest: &str, body: &Value) -> RequestBuilder {
    keyed(bench.post(&format!("/{rest}")))
        .header("ocp-apim-subscription-region", "westeurope")
        .json(body)
}

#[tokio::test]
async fn texts_are_translated_into_every_target() {
    let bench = Bench::new("azure").await;
    let body = json!([{ "Text": "Hello, world!" }, { "text": "Tom is here." }]);
    let rest = "translate?api-version=3.0&to=fr&to=zh-Hans&includeSentenceLength=true&includeAlignment=true";
    let got = send(translator(&bench, rest, &body)).await.expect(200);
    assert_eq!(got.header("x-metered-usage"), "50");
    assert!(!got.header("x-requestid").is_empty());
    let body = got.json();
    let items = body.as_array().unwrap();
    for item in items {
        fits(TRANSLATOR, "TranslatedTextItem", item);
    }
    assert_eq!(items[0]["detectedLanguage"]["language"], "en");
    let texts: Vec<_> = items
        .iter()
        .flat_map(|item| item["translations"].as_array().unwrap())
        .map(|one| (one["to"].as_str().unwrap(), one["text"].as_str().unwrap()))
        .collect();
    assert_eq!(
        texts,
        [
            ("fr", "Bonjour le monde !"),
            ("zh-Hans", "你好，世界！"),
            ("fr", "[fr] Tom is here."),
            ("zh-Hans", "[zh] Tom is here."),
        ]
    );
    assert_eq!(
        items[0]["translations"][0]["sentLen"],
        json!({ "srcSentLen": [13], "transSentLen": [18] })
    );
    let body = json!([{ "Text": "<p>Hello, world!</p>" }]);
    let rest = "translate?api-version=3.0&from=en&to=de&textType=html";
    let body = send(translator(&bench, rest, &body))
        .await
        .expect(200)
        .json();
    assert_eq!(
        body,
        json!([{ "translations": [{ "text": "<p>Hallo Welt!</p>", "to": "de" }] }])
    );

    let body = json!([{ "Text": "今天天气很好" }, { "Text": "Das Wetter ist gut" }]);
    let body = send(translator(&bench, "detect?api-version=3.0", &body))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&body[0]["language"], &body[1]["language"]),
        (&json!("zh-Hans"), &json!("de"))
    );
    let languages = bench.get("/Languages?api-version=3.0");
    let body = send(languages).await.expect(200).json();
    fits(TRANSLATOR, "GetSupportedLanguagesResult", &body);
    assert_eq!(
        (
            &body["translation"]["ar"]["dir"],
            &body["translation"]["zh-Hant"]["name"]
        ),
        (&json!("rtl"), &json!("Chinese Traditional"))
    );
    assert_eq!(bench.last().account.as_deref(), Some("anonymous"));
}

#[tokio::test]
async fn the_newer_dialect_has_its_targets_in_the_body() {
    let bench = Bench::new("azure").await;
    let ask = |body: &Value| translator(&bench, "translate?api-version=2026-06-06", body);
    let body = json!({ "inputs": [
        { "text": "Hello, world!", "targets": [{ "language": "fr" }, { "language": "zh-Hans" }] },
        { "text": "<b>Hello, world!</b>", "language": "en", "textType": "Html", "targets": [{ "language": "de" }] },
    ] });
    let body = send(ask(&body)).await.expect(200).json();
    if let Some(mut description) = contract("translation/azure-translator-2026-06-06.derived.json")
    {
        let place = "/paths/~1translate/post/responses/200/content/application~1json/schema";
        let schema = description.pointer_mut(place).unwrap().take();
        let definitions = json!({ "definitions": { "Answer": schema } });
        conforms(&definitions, "#/definitions/Answer", &body);
    }
    assert_eq!(
        body["value"],
        json!([
            {
                "detectedLanguage": { "language": "en", "score": 0.99 },
                "translations": [
                    { "language": "fr", "sourceCharacters": 13, "text": "Bonjour le monde !" },
                    { "language": "zh-Hans", "sourceCharacters": 13, "text": "你好，世界！" },
                ],
            },
            { "translations": [{ "language": "de", "sourceCharacters": 20, "text": "<b>Hallo Welt!</b>" }] },
        ])
    );
    let one = |input: Value| json!({ "inputs": [input] });
    let french = json!([{ "language": "fr" }]);
    for (body, code) in [
        (json!([{ "Text": "x" }]), 400_074),
        (json!({ "inputs": [] }), 400_005),
        (one(json!({ "targets": french })), 400_020),
        (one(json!({ "text": "x" })), 400_036),
        (
            one(json!({ "text": "x", "targets": [{ "language": "xx" }] })),
            400_036,
        ),
        (
            one(json!({ "text": "x", "language": "xx", "targets": french })),
            400_035,
        ),
        (
            one(json!({ "text": "x", "textType": "rtf", "targets": french })),
            400_071,
        ),
        (
            one(json!({ "text": "x".repeat(50_001), "targets": french })),
            400_050,
        ),
    ] {
        let got = send(ask(&body)).await.expect(400);
        assert_eq!(got.json()["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_translation_has_six_digits() {
    let bench = Bench::new("azure").await;
    let text = json!([{ "Text": "Hello." }]);
    let ask = |query: &str, body: &Value| translator(&bench, &format!("translate?{query}"), body);
    let good = "api-version=3.0&to=fr";
    let long = json!([{ "Text": "x".repeat(50_001) }]);
    let half = json!([{ "Text": "x".repeat(25_001) }]);
    let many: Value = (0..1001).map(|_| json!({ "Text": "x" })).collect();
    let hundred: Value = (0..101).map(|_| json!({ "Text": "x" })).collect();
    for (request, code) in [
        (ask("to=fr", &text), 400_021),
        (ask("api-version=3.0", &text), 400_036),
        (ask("api-version=3.0&to=xx", &text), 400_036),
        (ask("api-version=3.0&to=zh", &text), 400_036),
        (ask(&format!("{good}&from=xx"), &text), 400_035),
        (ask(&format!("{good}&textType=rtf"), &text), 400_071),
        (ask(&format!("{good}&category=mine"), &text), 400_079),
        (
            ask(&format!("{good}&profanityAction=Shout"), &text),
            400_042,
        ),
        (ask(good, &json!({ "Text": "x" })), 400_074),
        (ask(good, &json!([])), 400_005),
        (ask(good, &json!([{ "q": "x" }])), 400_020),
        (ask(good, &many), 400_072),
        (ask(good, &long), 400_050),
        (ask(&format!("{good}&to=de"), &half), 400_077),
        (
            translator(&bench, "detect?api-version=3.0", &hundred),
            400_072,
        ),
        (bench.get("/languages?api-version=3.0&scope=songs"), 400_001),
        (
            keyed(bench.get("/translate?api-version=3.0"))
                .header("ocp-apim-subscription-region", "westeurope"),
            405_000,
        ),
        (
            keyed(bench.post("/translate?api-version=3.0&to=fr"))
                .header("ocp-apim-subscription-region", "westeurope")
                .body("[]"),
            415_000,
        ),
    ] {
        let got = send(request).await;
        let body = got.json();
        fits(TRANSLATOR, "ErrorResponse", &body);
        assert_eq!(body["error"]["code"], code, "{body}");
        assert_eq!(u32::from(got.status), code / 1000);
        assert!(!bench.last().executed);
    }
    send(ask(good, &half)).await.expect(200);
}

#[tokio::test]
async fn keys_regions_and_tokens_are_checked() {
    let bench = Bench::new("azure").await;
    let text = json!([{ "Text": "Hello." }]);
    let translate = |path: &str| {
        let path = format!("{path}?api-version=3.0&to=fr");
        bench.post(&path).json(&text)
    };
    for request in [
        translate("/translate"),
        keyed(translate("/translate")),
        keyed(translate("/translate")).header("ocp-apim-subscription-region", "mars"),
        translate("/translate").header("ocp-apim-subscription-key", "wrong"),
    ] {
        let got = send(request).await.expect(401);
        assert_eq!(got.json()["error"]["code"], 401_000);
        assert_eq!(bench.last().account, None);
    }
    send(keyed(translate("/translator/text/v3.0/translate")))
        .await
        .expect(200);
    let second = translate("/translator/text/v3.0/translate")
        .header("ocp-apim-subscription-key", format!("{KEY}-2"));
    send(second).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("azure-2"));

    let issue = bench.post("/sts/v1.0/issueToken");
    send(bench.post("/sts/v1.0/issueToken")).await.expect(401);
    let token = send(keyed(issue)).await.expect(200).text();
    let bearer = format!("Bearer {token}");
    send(translate("/translate").header("authorization", &bearer))
        .await
        .expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("azure"));

    let login = |form: &str| {
        bench
            .post("/some-tenant/oauth2/v2.0/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
    };
    let good = "grant_type=client_credentials&client_id=sandbox-azure-client-2&client_secret=sandbox-azure-secret-2&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
    let body = send(login(good)).await.expect(200).json();
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    let analyze = || {
        let body = json!({ "kind": "LanguageDetection", "analysisInput": { "documents": [{ "id": "1", "text": "Hello" }] } });
        bench
            .post("/language/:analyze-text?api-version=2023-04-01")
            .json(&body)
    };
    send(analyze().header("authorization", &bearer))
        .await
        .expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("azure-2"));
    for (form, status, error) in [
        (good.replace("secret-2", "secret"), 401, "invalid_client"),
        (
            good.replace("client-2", "nobody"),
            400,
            "unauthorized_client",
        ),
        (
            good.replace("client_credentials", "password"),
            400,
            "unsupported_grant_type",
        ),
        (good.replace(".default", "read"), 400, "invalid_scope"),
    ] {
        let got = send(login(&form)).await.expect(status).json();
        assert_eq!(got["error"], error);
        assert!(
            got["error_description"]
                .as_str()
                .unwrap()
                .starts_with("AADSTS")
        );
    }
    bench.sandbox.reset();
    let got = send(analyze().header("authorization", &bearer))
        .await
        .expect(401);
    assert_eq!(got.json()["error"]["code"], "401");
}

#[tokio::test]
async fn every_error_has_its_service_s_shape() {
    let bench = Bench::new("azure").await;
    every_class(
        &bench,
        || analyze(&bench, "SentimentAnalysis", &one(REVIEW), &json!({})),
        |class, got| {
            let error = &got.json()["error"];
            match class {
                // The gateway refuses before the service is asked.
                Class::Auth => assert_eq!((got.status, &error["code"]), (401, &json!("401"))),
                _ => fits(LANGUAGE, "ErrorResponse", &got.json()),
            }
            match class {
                Class::Quota => {
                    assert_eq!((got.status, &error["code"]), (403, &json!("QuotaExceeded")));
                }
                Class::Rate => assert_eq!((got.status, got.header("retry-after")), (429, "2")),
                Class::Unsupported => {
                    assert_eq!(error["innererror"]["code"], "UnsupportedLanguageCode");
                }
                _ => {}
            }
        },
    )
    .await;
    every_class(
        &bench,
        || fast(&bench, &json!({}), Some(WEATHER)),
        |class, got| match class {
            Class::Auth => assert_eq!(got.json()["error"]["code"], "401"),
            Class::Rate => assert_eq!((got.status, got.header("retry-after")), (429, "2")),
            _ => {
                fits(BATCH, "Error", &got.json());
                bare(got);
            }
        },
    )
    .await;
    every_class(
        &bench,
        || {
            translator(
                &bench,
                "translate?api-version=3.0&to=fr",
                &json!([{ "Text": "x" }]),
            )
        },
        |class, got| {
            fits(TRANSLATOR, "ErrorResponse", &got.json());
            let code = got.json()["error"]["code"].as_u64().unwrap();
            assert_eq!(code / 1000, u64::from(got.status));
            match class {
                Class::Quota => assert_eq!(code, 403_001),
                Class::Rate => assert_eq!(code, 429_001),
                _ => {}
            }
        },
    )
    .await;
    let wav = "audio/wav";
    every_class(
        &bench,
        || short(&bench, "?language=en-US", wav, WEATHER),
        |class, got| assert_eq!(got.status == 429, class == Class::Rate),
    )
    .await;
    bench.fault(Fault::busy(9));
    let got = send(fast(&bench, &json!({}), Some(WEATHER))).await;
    assert_eq!(got.expect(429).header("retry-after"), "9");
}

#[tokio::test]
async fn any_code_of_a_service_s_own_can_be_scripted() {
    let bench = Bench::new("azure").await;
    let text = json!([{ "Text": "x" }]);
    bench.fault(Fault::code("429002"));
    let got = send(translator(&bench, "translate?api-version=3.0&to=fr", &text)).await;
    assert_eq!(got.expect(429).json()["error"]["code"], 429_002);
    for status in ["NoMatch", "BabbleTimeout", "Error"] {
        bench.fault(Fault::code(status));
        let got = send(short(&bench, "?language=en-US", "audio/wav", WEATHER)).await;
        assert_eq!(got.expect(200).json()["RecognitionStatus"], status);
        assert!(!bench.last().executed);
    }
    for (code, status) in [("QuotaExceeded", 403), ("Timeout", 408), ("Conflict", 409)] {
        bench.fault(Fault::code(code));
        let got = send(analyze(
            &bench,
            "SentimentAnalysis",
            &one(REVIEW),
            &json!({}),
        ))
        .await;
        let body = got.expect(status).json();
        fits(LANGUAGE, "ErrorResponse", &body);
        assert_eq!(body["error"]["code"], code);
    }
    bench.fault(Fault::code("UnprocessableEntity"));
    let got = send(fast(&bench, &json!({}), Some(WEATHER)))
        .await
        .expect(422);
    fits(BATCH, "Error", &got.json());
    bench.fault(Fault::code("TooManyRequests"));
    let got = send(fast(&bench, &json!({}), Some(WEATHER)))
        .await
        .expect(429);
    assert_eq!(got.header("retry-after"), "2");
}
