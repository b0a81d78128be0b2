//! `LibreTranslate`.

use isobar_sandbox::faults::Class;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, conforms, contract, every_class, form, multipart, send};

const KEY: &str = "sandbox-libretranslate-key";
const SUNNY: &str = "The weather in London is sunny today.";

fn translate(bench: &Bench, mut body: Value) -> RequestBuilder {
    body["api_key"] = json!(KEY);
    bench.post("/translate").json(&body)
}

fn schema(name: &str, body: &Value) {
    if let Some(description) = contract("translation/libretranslate.openapi.json") {
        conforms(&description, &format!("#/components/schemas/{name}"), body);
    }
}

#[tokio::test]
async fn one_text_or_a_list_is_translated() {
    let bench = Bench::new("libretranslate").await;
    let body = json!({ "q": SUNNY, "source": "en", "target": "de" });
    let answer = send(translate(&bench, body)).await.expect(200).json();
    assert_eq!(
        answer,
        json!({ "translatedText": "Das Wetter in London ist heute sonnig." })
    );
    schema("translate", &answer);
    let entry = bench.last();
    assert_eq!(entry.operation.as_deref(), Some("translation.translate"));
    assert_eq!(
        (entry.executed, &entry.facts["characters"]),
        (true, &json!(37))
    );

    let body = json!({ "q": SUNNY, "source": "auto", "target": "zt" });
    let answer = send(translate(&bench, body)).await.expect(200).json();
    assert_eq!(answer["translatedText"], "今天伦敦天气晴朗。");
    assert_eq!(answer["detectedLanguage"]["language"], "en");
    assert!(answer["detectedLanguage"]["confidence"].as_f64().unwrap() > 50.0);

    let body = json!({ "q": [SUNNY, "Hallo Welt!"], "source": "auto", "target": "fr" });
    let answer = send(translate(&bench, body)).await.expect(200).json();
    assert_eq!(
        answer["translatedText"],
        json!(["Il fait beau à Londres aujourd'hui.", "Bonjour le monde !"])
    );
    assert_eq!(answer["detectedLanguage"][1]["language"], "de");
    schema("translate", &answer);

    let body =
        json!({ "q": format!("<p>{SUNNY}</p>"), "source": "en", "target": "es", "format": "html" });
    let answer = send(translate(&bench, body)).await.expect(200).json();
    assert_eq!(
        answer["translatedText"],
        "<p>El tiempo en Londres está soleado hoy.</p>"
    );
}

#[tokio::test]
async fn forms_say_the_same() {
    let bench = Bench::new("libretranslate").await;
    let fields = [
        ("q", SUNNY),
        ("source", "en"),
        ("target", "de"),
        ("api_key", KEY),
    ];
    let (content_type, body) = multipart(&fields, None);
    let parts = bench
        .post("/translate")
        .header("content-type", content_type);
    for request in [form(bench.post("/translate"), &fields), parts.body(body)] {
        let answer = send(request).await.expect(200).json();
        assert_eq!(
            answer["translatedText"],
            "Das Wetter in London ist heute sonnig."
        );
    }
}

#[tokio::test]
async fn languages_are_detected_and_listed() {
    let bench = Bench::new("libretranslate").await;
    let body = json!({ "q": "Das Wetter ist heute nicht sehr gut", "api_key": KEY });
    let answer = send(bench.post("/detect").json(&body))
        .await
        .expect(200)
        .json();
    assert_eq!(answer[0]["language"], "de");
    let confidence = answer[0]["confidence"].as_f64().unwrap();
    assert!((1.0..=100.0).contains(&confidence), "{answer}");
    // Its description says at most 1; the program's own scale is up to 100.
    let mut scaled = answer.clone();
    scaled[0]["confidence"] = json!(confidence / 100.0);
    schema("detections", &scaled);
    let languages = send(bench.get("/languages")).await.expect(200).json();
    schema("languages", &languages);
    let all = languages.as_array().unwrap();
    let chinese = all.iter().find(|one| one["code"] == "zt").unwrap();
    assert!(
        chinese["targets"]
            .as_array()
            .unwrap()
            .contains(&json!("en"))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let bench = Bench::new("libretranslate").await;
    let long = "x".repeat(10_001);
    for (body, message) in [
        (
            json!({ "source": "en", "target": "de" }),
            "missing q parameter",
        ),
        (
            json!({ "q": "", "source": "en", "target": "de" }),
            "missing q parameter",
        ),
        (
            json!({ "q": [1], "source": "en", "target": "de" }),
            "missing q parameter",
        ),
        (
            json!({ "q": "x", "target": "de" }),
            "missing source parameter",
        ),
        (
            json!({ "q": "x", "source": "en" }),
            "missing target parameter",
        ),
        (
            json!({ "q": "x", "source": "en", "target": "xx" }),
            "xx is not supported",
        ),
        (
            json!({ "q": "x", "source": "EN", "target": "de" }),
            "EN is not supported",
        ),
        (
            json!({ "q": "x", "source": "en", "target": "auto" }),
            "auto is not supported",
        ),
        (
            json!({ "q": "x", "source": "en", "target": "de", "format": "md" }),
            "md format is not supported",
        ),
        (
            json!({ "q": long, "source": "en", "target": "de" }),
            "request (10001) exceeds text limit (10000)",
        ),
    ] {
        let got = send(translate(&bench, body)).await.expect(400).json();
        schema("error-response", &got);
        assert!(got["error"].as_str().unwrap().contains(message), "{got}");
        assert!(!bench.last().executed);
    }
    let broken = bench
        .post("/translate")
        .header("content-type", "application/json");
    send(broken.body("[]")).await.expect(400);
    send(bench.get("/translate?api_key=sandbox-libretranslate-key"))
        .await
        .expect(405);
    send(bench.get("/nothing")).await.expect(404);
}

#[tokio::test]
async fn keys_are_checked() {
    let bench = Bench::new("libretranslate").await;
    let with = |key: Value| {
        let body = json!({ "q": SUNNY, "source": "en", "target": "de", "api_key": key });
        send(bench.post("/translate").json(&body))
    };
    assert_eq!(
        with(json!("nonsense")).await.expect(403).json(),
        json!({ "error": "Invalid API key" })
    );
    assert_eq!(bench.last().account, None);
    let missing = with(Value::Null).await.expect(400).json();
    assert!(missing["error"].as_str().unwrap().contains("API key"));
    with(json!("sandbox-libretranslate-key-2"))
        .await
        .expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("libretranslate-2"));
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("libretranslate").await;
    let request = || {
        translate(
            &bench,
            json!({ "q": SUNNY, "source": "en", "target": "de" }),
        )
    };
    every_class(&bench, request, |class, got| {
        if [Class::NotFound, Class::Unavailable].contains(&class) {
            assert!(got.header("content-type").starts_with("text/html"));
            return;
        }
        schema("error-response", &got.json());
        let error = got.json()["error"].as_str().unwrap().to_owned();
        let (status, start) = match class {
            Class::Auth => (403, "Invalid API key"),
            Class::Quota => (403, "Too many request limits violations"),
            Class::Rate => (429, "Slowdown:"),
            Class::Invalid => (400, "Invalid request"),
            Class::TooLarge => (400, "Invalid request: request (10001) exceeds"),
            Class::Unsupported => (400, "xx is not supported"),
            _ => (500, "Cannot translate text"),
        };
        assert!(
            got.status == status && error.starts_with(start),
            "{class:?} {error}"
        );
    })
    .await;
}
