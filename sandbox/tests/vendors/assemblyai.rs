//! `AssemblyAI`.

use isobar_sandbox::faults::{Fault, Rule};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, send};

const KEY: &str = "sandbox-assemblyai-key";

fn at(request: RequestBuilder) -> RequestBuilder {
    request.header("authorization", KEY)
}

async fn upload(bench: &Bench, audio: &'static [u8]) -> String {
    let got = send(at(bench.post("/v2/upload")).body(audio))
        .await
        .expect(200)
        .json();
    got["upload_url"].as_str().unwrap().to_owned()
}

async fn order(bench: &Bench, extra: Value) -> Value {
    let mut body = json!({ "speech_models": ["universal"] });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    send(at(bench.post("/v2/transcript")).json(&body))
        .await
        .expect(200)
        .json()
}

async fn poll(bench: &Bench, id: &Value) -> Value {
    let path = format!("/v2/transcript/{}", id.as_str().unwrap());
    send(at(bench.get(&path))).await.expect(200).json()
}

fn transcript(body: &Value) {
    if let Some(description) = contract("speech/assemblyai.openapi.json") {
        conforms(&description, "#/components/schemas/Transcript", body);
    }
}

#[tokio::test]
async fn an_order_is_queued_then_processed_then_done() {
    let bench = Bench::new("assemblyai").await;
    let url = upload(&bench, WEATHER).await;
    assert!(url.starts_with(&bench.url("/upload/")), "{url}");
    let ordered = order(
        &bench,
        json!({ "audio_url": url, "language_detection": true }),
    )
    .await;
    assert_eq!(
        (&ordered["status"], &ordered["text"]),
        (&json!("queued"), &Value::Null)
    );
    transcript(&ordered);
    assert_eq!(poll(&bench, &ordered["id"]).await["status"], "processing");
    let done = poll(&bench, &ordered["id"]).await;
    assert_eq!(
        (&done["status"], &done["text"]),
        (&json!("completed"), &json!(WEATHER_TEXT))
    );
    assert_eq!(
        done["words"][0],
        json!({ "text": "The", "start": 180, "end": 360, "confidence": 0.96, "speaker": null })
    );
    assert_eq!(
        (&done["language_code"], &done["audio_duration"]),
        (&json!("en"), &json!(5))
    );
    transcript(&done);
    let id = done["id"].as_str().unwrap();
    let part = |part: &str| send(at(bench.get(&format!("/v2/transcript/{id}/{part}"))));
    assert!(part("srt").await.text().starts_with("1\n00:00:00,180 --> "));
    assert!(part("vtt").await.text().starts_with("WEBVTT"));
    let sentences = part("sentences").await.json();
    assert_eq!(sentences["sentences"].as_array().unwrap().len(), 2);
    if let Some(description) = contract("speech/assemblyai.openapi.json") {
        conforms(
            &description,
            "#/components/schemas/SentencesResponse",
            &sentences,
        );
        conforms(
            &description,
            "#/components/schemas/ParagraphsResponse",
            &part("paragraphs").await.json(),
        );
    }
    let deleted = send(at(bench
        .client
        .delete(bench.url(&format!("/v2/transcript/{id}")))))
    .await
    .expect(200)
    .json();
    transcript(&deleted);
    send(at(bench.get(&format!("/v2/transcript/{id}"))))
        .await
        .expect(404);
}

#[tokio::test]
async fn speakers_moods_names_and_phrases_come_when_asked_for() {
    let bench = Bench::new("assemblyai").await;
    let url = upload(&bench, HOTEL).await;
    let asked = json!({ "audio_url": url, "speaker_labels": true, "sentiment_analysis": true, "entity_detection": true, "auto_highlights": true, "language_code": "en_us" });
    let id = order(&bench, asked).await["id"].clone();
    poll(&bench, &id).await;
    let done = poll(&bench, &id).await;
    let speakers: Vec<_> = done["utterances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|utterance| &utterance["speaker"])
        .collect();
    assert_eq!(speakers, ["A", "B"]);
    assert_eq!(
        done["sentiment_analysis_results"][0]["sentiment"],
        "POSITIVE"
    );
    assert_eq!(
        done["entities"][0],
        json!({ "entity_type": "location", "text": "Paris", "start": 2910, "end": 3250 })
    );
    assert_eq!(
        done["auto_highlights_result"]["results"][0]["text"],
        "wonderful service"
    );
    transcript(&done);
}

#[tokio::test]
async fn a_job_fails_inside_a_200() {
    let bench = Bench::new("assemblyai").await;
    let text = upload(&bench, b"this is no audio").await;
    for (url, reason) in [
        ("https://example.com/a.wav".to_owned(), "Download error"),
        (bench.url("/upload/nothing"), "Download error"),
        (text, "Transcoding failed"),
    ] {
        let id = order(&bench, json!({ "audio_url": url })).await["id"].clone();
        poll(&bench, &id).await;
        let failed = poll(&bench, &id).await;
        assert_eq!(failed["status"], "error");
        assert!(
            failed["error"].as_str().unwrap().starts_with(reason),
            "{failed}"
        );
        transcript(&failed);
    }
    let url = upload(&bench, WEATHER).await;
    bench
        .sandbox
        .faults()
        .set([Rule::at("assemblyai", Fault::FailJob).during("submit")]);
    let id = order(&bench, json!({ "audio_url": url })).await["id"].clone();
    poll(&bench, &id).await;
    assert_eq!(poll(&bench, &id).await["status"], "error");
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said() {
    let bench = Bench::new("assemblyai").await;
    let ok = json!("http://x/upload/y");
    for body in [
        json!([]),
        json!({}),
        json!({ "speech_models": ["universal"] }),
        json!({ "speech_models": ["universal"], "audio_url": "ftp://x" }),
        json!({ "audio_url": ok }),
        json!({ "audio_url": ok, "speech_models": [] }),
        json!({ "audio_url": ok, "speech_models": ["whisper-1"] }),
        json!({ "audio_url": ok, "speech_models": ["universal"], "colour": 1 }),
        json!({ "audio_url": ok, "speech_models": ["universal"], "speaker_labels": "yes" }),
        json!({ "audio_url": ok, "speech_models": ["universal"], "language_code": "xx" }),
        json!({ "audio_url": ok, "speech_models": ["universal"], "language_code": "en", "language_detection": true }),
    ] {
        let got = send(at(bench.post("/v2/transcript")).json(&body))
            .await
            .expect(400);
        assert!(got.json()["error"].is_string(), "{body}");
        assert!(!bench.last().executed);
    }
    send(at(bench.post("/v2/upload"))).await.expect(400);
    send(at(bench.get("/v2/transcript/nothing")))
        .await
        .expect(404);
    send(at(bench.get("/v2/nothing"))).await.expect(404);
}

#[tokio::test]
async fn the_key_is_the_whole_header_and_accounts_do_not_see_each_other_s_orders() {
    let bench = Bench::new("assemblyai").await;
    for wrong in [
        "Bearer sandbox-assemblyai-key",
        "sandbox-assemblyai-key-3",
        "",
    ] {
        let got = send(
            bench
                .post("/v2/upload")
                .header("authorization", wrong)
                .body(WEATHER),
        )
        .await
        .expect(401);
        assert_eq!(
            got.json(),
            json!({ "error": "Authentication error, API token missing/invalid" })
        );
    }
    let url = upload(&bench, WEATHER).await;
    let id = order(&bench, json!({ "audio_url": url })).await["id"].clone();
    let path = format!("/v2/transcript/{}", id.as_str().unwrap());
    send(
        bench
            .get(&path)
            .header("authorization", "sandbox-assemblyai-key-2"),
    )
    .await
    .expect(404);
    assert_eq!(bench.last().account.as_deref(), Some("assemblyai-2"));
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("assemblyai").await;
    every_class(
        &bench,
        || at(bench.get("/v2/transcript")),
        |_, got| {
            if let Some(description) = contract("speech/assemblyai.openapi.json") {
                conforms(&description, "#/components/schemas/Error", &got.json());
            }
            assert!(got.json()["error"].is_string());
        },
    )
    .await;
    let url = upload(&bench, WEATHER).await;
    let ordered = order(&bench, json!({ "audio_url": url })).await;
    let list = send(at(bench.get("/v2/transcript")))
        .await
        .expect(200)
        .json();
    if let Some(description) = contract("speech/assemblyai.openapi.json") {
        conforms(&description, "#/components/schemas/TranscriptList", &list);
    }
    assert_eq!(list["transcripts"][0]["id"], ordered["id"]);
    let none = send(at(bench.get("/v2/transcript?status=completed")))
        .await
        .json();
    assert_eq!(none["page_details"]["result_count"], 0);
}
