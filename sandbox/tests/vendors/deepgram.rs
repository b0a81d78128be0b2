//! Deepgram.

use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::{Bench, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, send};

const KEY: &str = "Token sandbox-deepgram-key";

fn listen(bench: &Bench, query: &str, audio: &'static [u8]) -> RequestBuilder {
    let request = bench.post(&format!("/v1/listen?{query}"));
    request
        .header("authorization", KEY)
        .header("content-type", "audio/wav")
        .body(audio)
}

#[tokio::test]
async fn listen_hears_the_recording() {
    let bench = Bench::new("deepgram").await;
    let query = "model=nova-3&smart_format=true&detect_language=true&utterances=true&diarize=true&detect_entities=true&sentiment=true&topics=true";
    let got = send(listen(&bench, query, WEATHER)).await.expect(200);
    let body = got.json();
    let channel = &body["results"]["channels"][0];
    let best = &channel["alternatives"][0];
    assert_eq!(best["transcript"], WEATHER_TEXT);
    assert_eq!(best["words"][3]["word"], "london");
    assert_eq!(best["words"][3]["punctuated_word"], "London");
    assert_eq!(best["words"][0]["start"], 0.18);
    assert_eq!(best["entities"][0]["value"], "London");
    assert_eq!(channel["detected_language"], "en");
    assert_eq!(body["results"]["utterances"].as_array().unwrap().len(), 2);
    assert_eq!(body["metadata"]["duration"], 4.185);
    assert_eq!(got.header("dg-request-id"), body["metadata"]["request_id"]);
    if let Some(description) = contract("speech/deepgram.openapi.json") {
        conforms(&description, "#/components/schemas/ListenV1Response", &body);
    }
    let plain = send(listen(&bench, "model=nova-2", WEATHER))
        .await
        .expect(200)
        .json();
    let best = &plain["results"]["channels"][0]["alternatives"][0];
    assert_eq!(
        best["transcript"],
        WEATHER_TEXT.to_lowercase().replace('.', "")
    );
    assert!(best["words"][0].get("punctuated_word").is_none());
    assert!(plain["results"].get("utterances").is_none());
}

#[tokio::test]
async fn speakers_are_told_apart_when_asked() {
    let bench = Bench::new("deepgram").await;
    let body = send(listen(&bench, "model=nova-3&diarize=true", HOTEL))
        .await
        .json();
    let words = &body["results"]["channels"][0]["alternatives"][0]["words"];
    assert_eq!(
        (&words[0]["speaker"], &words[14]["speaker"]),
        (&json!(0), &json!(1))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let bench = Bench::new("deepgram").await;
    let at = |path: &str| bench.post(path).header("authorization", KEY);
    let remote = at("/v1/listen").json(&json!({ "url": "https://example.com/a.wav" }));
    for (request, status, code) in [
        (listen(&bench, "model=nova-9000-not", WEATHER), 200, ""),
        (listen(&bench, "model=gpt", WEATHER), 400, "Bad Request"),
        (
            listen(&bench, "model=nova-3&language=xx", WEATHER),
            400,
            "Bad Request",
        ),
        (listen(&bench, "", b"not audio at all"), 400, "Bad Request"),
        (listen(&bench, "", b""), 400, "Bad Request"),
        (remote, 400, "REMOTE_CONTENT_ERROR"),
        (
            at("/v1/listen").json(&json!({ "uri": 1 })),
            400,
            "Bad Request",
        ),
        (at("/v1/nothing"), 404, "NOT_FOUND"),
        (
            bench.get("/v1/listen").header("authorization", KEY),
            405,
            "METHOD_NOT_ALLOWED",
        ),
        (
            at("/v1/speak").json(&json!({ "text": "" })),
            400,
            "Bad Request",
        ),
        (
            at("/v1/speak").json(&json!({ "text": "x".repeat(2001) })),
            413,
            "PAYLOAD_TOO_LARGE",
        ),
        (
            at("/v1/speak?encoding=tape").json(&json!({ "text": "x" })),
            400,
            "Bad Request",
        ),
        (at("/v1/read?sentiment=true").body("{"), 400, "Bad Request"),
        (
            at("/v1/read").json(&json!({ "text": "x" })),
            400,
            "Bad Request",
        ),
        (
            at("/v1/read?sentiment=true&language=fr").json(&json!({ "text": "x" })),
            400,
            "Bad Request",
        ),
    ] {
        let got = send(request).await.expect(status);
        if status != 200 {
            assert_eq!(got.json()["err_code"], code);
            assert!(got.json()["request_id"].is_string() && !bench.last().executed);
        }
    }
}

#[tokio::test]
async fn keys_and_tokens_are_checked() {
    let bench = Bench::new("deepgram").await;
    let with = |key: &str| {
        bench
            .post("/v1/listen")
            .header("authorization", key)
            .body(WEATHER)
    };
    for wrong in [
        "Token nonsense",
        "Bearer sandbox-deepgram-key",
        "sandbox-deepgram-key",
        "Token sandbox-deepgram-key-3",
    ] {
        assert_eq!(
            send(with(wrong)).await.expect(401).json()["err_code"],
            "INVALID_AUTH"
        );
    }
    send(bench.post("/v1/listen").body(WEATHER))
        .await
        .expect(401);
    assert_eq!(bench.last().account, None);
    let grant = send(
        bench
            .post("/v1/auth/grant")
            .header("authorization", KEY)
            .json(&json!({ "ttl_seconds": 60 })),
    )
    .await;
    let token = grant.expect(200).json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    send(with(&format!("Bearer {token}"))).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("deepgram"));
    send(with("Token sandbox-deepgram-key-2")).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("deepgram-2"));
}

#[tokio::test]
async fn speech_comes_in_the_form_asked_for() {
    let bench = Bench::new("deepgram").await;
    for (query, content_type, head) in [
        ("", "audio/mpeg", &b"\xff\xfb"[..]),
        ("?encoding=linear16&sample_rate=16000", "audio/wav", b"RIFF"),
        (
            "?model=aura-2-thalia-en&encoding=opus",
            "audio/ogg;codecs=opus",
            b"OggS",
        ),
        ("?encoding=flac", "audio/flac", b"fLaC"),
    ] {
        let request = bench
            .post(&format!("/v1/speak{query}"))
            .header("authorization", KEY);
        let got = send(request.json(&json!({ "text": "Hello there" })))
            .await
            .expect(200);
        assert_eq!(
            (got.header("content-type"), got.header("dg-char-count")),
            (content_type, "11")
        );
        assert!(got.body.starts_with(head), "{query}");
    }
}

#[tokio::test]
async fn read_weighs_each_sentence() {
    let bench = Bench::new("deepgram").await;
    let request = bench
        .post("/v1/read?sentiment=true&topics=true&summarize=true&intents=true")
        .header("authorization", KEY);
    let text = "The hotel was wonderful. The food was terrible and awful. We left on Monday.";
    let body = send(request.json(&json!({ "text": text })))
        .await
        .expect(200)
        .json();
    let segments = &body["results"]["sentiments"]["segments"];
    let labels: Vec<_> = (0..3)
        .map(|place| segments[place]["sentiment"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["positive", "negative", "neutral"]);
    assert_eq!(
        (&segments[1]["start_word"], &segments[1]["end_word"]),
        (&json!(4), &json!(9))
    );
    if let Some(description) = contract("language/deepgram-read.openapi.json") {
        conforms(&description, "#/components/schemas/ReadV1Response", &body);
    }
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("deepgram").await;
    every_class(
        &bench,
        || listen(&bench, "", WEATHER),
        |_, got| {
            let body = got.json();
            assert!(
                body["err_code"].is_string()
                    && body["err_msg"].is_string()
                    && body["request_id"].is_string()
            );
        },
    )
    .await;
}
