//! `DeepL`.

use isobar_sandbox::faults::{Class, Fault};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Bench, conforms, contract, every_class, form, send};

const KEY: &str = "DeepL-Auth-Key sandbox-deepl-key";
const SUNNY: &str = "The weather in London is sunny today.";

fn translate(bench: &Bench, body: &Value) -> RequestBuilder {
    let request = bench.post("/v2/translate").header("authorization", KEY);
    request.json(body)
}

fn get(bench: &Bench, path: &str) -> RequestBuilder {
    bench.get(path).header("authorization", KEY)
}

/// Checks a body against the answer that the description has for a path (with `~1` for its slashes).
fn described(call: &str, status: &str, body: &Value) {
    if let Some(description) = contract("translation/deepl.openapi.json") {
        let pointer = format!("#/paths/{call}/responses/{status}/content/application~1json/schema");
        conforms(&description, &pointer, body);
    }
}

fn is_error(body: &Value) {
    if let Some(description) = contract("translation/deepl.openapi.json") {
        conforms(&description, "#/components/schemas/ErrorResponse", body);
    }
    assert!(body["message"].is_string(), "{body}");
}

#[tokio::test]
async fn texts_are_translated_in_order() {
    let bench = Bench::new("deepl").await;
    let body = json!({
        "text": [SUNNY, "Bonjour le monde !", "12 345", ""],
        "target_lang": "DE",
        "formality": "prefer_more",
        "model_type": "prefer_quality_optimized",
        "show_billed_characters": true,
    });
    let got = send(translate(&bench, &body)).await.expect(200);
    let answer = got.json();
    assert_eq!(
        answer["translations"][0],
        json!({ "detected_source_language": "EN", "text": "Das Wetter in London ist heute sonnig.", "billed_characters": 37, "model_type_used": "quality_optimized" })
    );
    assert_eq!(answer["translations"][1]["detected_source_language"], "FR");
    assert_eq!(answer["translations"][1]["text"], "Hallo Welt!");
    assert_eq!(answer["translations"][3]["text"], "");
    assert_eq!(got.header("x-trace-id").len(), 32);
    described("~1v2~1translate/post", "200", &answer);
    let entry = bench.last();
    assert_eq!(
        (entry.operation.as_deref(), entry.executed),
        (Some("translation.translate"), true)
    );
    assert_eq!(
        (&entry.facts["characters"], &entry.facts["texts"]),
        (&json!(61), &json!(4))
    );
}

#[tokio::test]
async fn a_form_says_the_same() {
    let bench = Bench::new("deepl").await;
    let fields = [
        ("text", SUNNY),
        ("text", "I am here."),
        ("source_lang", "EN"),
        ("target_lang", "fr"),
        ("show_billed_characters", "1"),
    ];
    let request = bench.post("/v2/translate").header("authorization", KEY);
    let answer = send(form(request, &fields)).await.expect(200).json();
    assert_eq!(
        answer["translations"][0]["text"],
        "Il fait beau à Londres aujourd'hui."
    );
    assert_eq!(
        answer["translations"][1],
        json!({ "detected_source_language": "EN", "text": "[fr] I am here.", "billed_characters": 10 })
    );
}

#[tokio::test]
async fn the_phrase_of_the_official_clients_is_translated_into_every_language() {
    let bench = Bench::new("deepl").await;
    let to = |text: &str, target: &str| {
        let body = json!({ "text": [text], "target_lang": target });
        let request = translate(&bench, &body);
        async move { send(request).await.expect(200).json()["translations"][0].clone() }
    };
    assert_eq!(
        to("proton beam", "DE").await,
        json!({ "detected_source_language": "EN", "text": "Protonenstrahl" })
    );
    assert_eq!(
        to("Protonenstrahl", "EN-US").await,
        json!({ "detected_source_language": "DE", "text": "proton beam" })
    );
    assert_eq!(
        to("Proton beam\n\nproton beam\n", "JA").await["text"],
        "陽子線\n\n陽子線\n"
    );
    let Some(texts) = contract("translation/deepl-mock-texts.json") else {
        return;
    };
    for (code, phrase) in texts.as_object().unwrap() {
        if !["en", "pt"].contains(&code.as_str()) {
            assert_eq!(to("proton beam", code).await["text"], *phrase, "{code}");
        }
    }
}

#[tokio::test]
async fn tags_stay_and_are_not_billed() {
    let bench = Bench::new("deepl").await;
    let text = format!("<p>{SUNNY}</p><code>{SUNNY}</code>");
    let body = json!({ "text": [text], "target_lang": "FR", "tag_handling": "xml", "ignore_tags": ["code"], "show_billed_characters": true });
    let answer = send(translate(&bench, &body)).await.expect(200).json();
    assert_eq!(
        answer["translations"][0],
        json!({
            "detected_source_language": "EN",
            "text": format!("<p>Il fait beau à Londres aujourd'hui.</p><code>{SUNNY}</code>"),
            "billed_characters": 74,
            "tag_handling_version": "v1",
        })
    );
    described("~1v2~1translate/post", "200", &answer);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let bench = Bench::new("deepl").await;
    let many: Vec<_> = (0..51).map(|number| number.to_string()).collect();
    let large = "x".repeat(131_072);
    for (body, status, message) in [
        (
            json!({ "text": ["x"] }),
            400,
            "Parameter 'target_lang' not specified.",
        ),
        (
            json!({ "target_lang": "DE" }),
            400,
            "Parameter 'text' not specified.",
        ),
        (
            json!({ "text": "x", "target_lang": "DE" }),
            400,
            "Parameter 'text' not specified.",
        ),
        (
            json!({ "text": [1], "target_lang": "DE" }),
            400,
            "Parameter 'text' not specified.",
        ),
        (
            json!({ "text": [], "target_lang": "DE" }),
            400,
            "from 1 to 50",
        ),
        (
            json!({ "text": many, "target_lang": "DE" }),
            400,
            "from 1 to 50",
        ),
        (
            json!({ "text": ["x"], "target_lang": "XX" }),
            400,
            "Value for 'target_lang' not supported.",
        ),
        (
            json!({ "text": ["x"], "target_lang": "EN" }),
            400,
            "Value for 'target_lang' not supported.",
        ),
        (
            json!({ "text": ["x"], "target_lang": "DE", "source_lang": "EN-US" }),
            400,
            "Value for 'source_lang' not supported.",
        ),
        (
            json!({ "text": ["x"], "target_lang": "EN-US", "formality": "more" }),
            400,
            "'formality' is not supported",
        ),
        (
            json!({ "text": ["x"], "target_lang": "DE", "formality": "rude" }),
            400,
            "Value for 'formality' not supported.",
        ),
        (
            json!({ "text": ["x"], "target_lang": "DE", "formality": 1 }),
            400,
            "Value for 'formality' not supported.",
        ),
        (
            json!({ "text": ["x"], "target_lang": "DE", "tag_handling": "md" }),
            400,
            "Value for 'tag_handling' not supported.",
        ),
        (
            json!({ "text": ["x"], "target_lang": "DE", "glossary_id": "none" }),
            400,
            "requires the source_lang",
        ),
        (
            json!({ "text": ["x"], "target_lang": "DE", "source_lang": "EN", "glossary_id": "none" }),
            404,
            "Not found",
        ),
        (
            json!({ "text": [large], "target_lang": "DE" }),
            413,
            "Request Entity Too Large",
        ),
        (json!([]), 400, "not a JSON object"),
    ] {
        let got = send(translate(&bench, &body)).await.expect(status).json();
        is_error(&got);
        assert!(got["message"].as_str().unwrap().contains(message), "{got}");
        assert!(!bench.last().executed);
    }
    for target in [
        "DE", "ES-419", "FR", "IT", "JA", "NL", "PL", "PT-BR", "PT-PT", "RU",
    ] {
        let body = json!({ "text": ["x"], "target_lang": target, "formality": "less" });
        send(translate(&bench, &body)).await.expect(200);
    }
    let request = bench.post("/v2/translate").header("authorization", KEY);
    let got = send(request.body("text=x")).await.expect(400).json();
    assert_eq!(got["code"], "invalid_content_type");
    send(get(&bench, "/v2/translate")).await.expect(405);
    send(get(&bench, "/v2/nothing")).await.expect(404);
}

#[tokio::test]
async fn keys_are_checked() {
    let bench = Bench::new("deepl").await;
    let with = |key: Option<&str>| {
        let mut request = bench.post("/v2/translate");
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        request.json(&json!({ "text": [SUNNY], "target_lang": "DE" }))
    };
    for wrong in [
        None,
        Some("DeepL-Auth-Key nonsense"),
        Some("Bearer sandbox-deepl-key"),
        Some("sandbox-deepl-key"),
    ] {
        is_error(&send(with(wrong)).await.expect(403).json());
        assert_eq!(bench.last().account, None);
    }
    let free = send(with(Some("DeepL-Auth-Key sandbox-deepl-key:fx"))).await;
    let message = free.expect(403).json()["message"].clone();
    assert!(message.as_str().unwrap().contains("api-free"), "{message}");
    let second = Some("DeepL-Auth-Key sandbox-deepl-key-2");
    send(with(second)).await.expect(200);
    assert_eq!(bench.last().account.as_deref(), Some("deepl-2"));
}

#[tokio::test]
async fn usage_counts_what_was_translated() {
    let bench = Bench::new("deepl").await;
    let usage = async || {
        let body = send(get(&bench, "/v2/usage")).await.expect(200).json();
        described("~1v2~1usage/get", "200", &body);
        body["character_count"].as_u64().unwrap()
    };
    assert_eq!(usage().await, 0);
    let body = json!({ "text": ["four", "é"], "target_lang": "DE" });
    send(translate(&bench, &body)).await.expect(200);
    bench.fault(Fault::error(Class::Quota));
    send(translate(&bench, &body)).await.expect(456);
    bench.sandbox.faults().clear();
    assert_eq!(usage().await, 5, "nothing is counted on failure");
    bench.sandbox.reset();
    assert_eq!(usage().await, 0);
}

#[tokio::test]
async fn languages_are_listed_by_direction() {
    let bench = Bench::new("deepl").await;
    let sources = send(get(&bench, "/v2/languages")).await.expect(200).json();
    described("~1v2~1languages/get", "200", &sources);
    let german = json!({ "language": "DE", "name": "German" });
    let listed = |languages: &Value, code: &str| {
        let languages = languages.as_array().unwrap();
        languages.iter().any(|one| one["language"] == code)
    };
    assert!(sources.as_array().unwrap().contains(&german));
    assert!(listed(&sources, "EN") && !listed(&sources, "EN-US") && !listed(&sources, "YUE"));
    let targets = send(get(&bench, "/v2/languages?type=target")).await.json();
    described("~1v2~1languages/get", "200", &targets);
    assert!(!listed(&targets, "EN") && listed(&targets, "EN-US"));
    let portuguese = json!({ "language": "PT-BR", "name": "Portuguese (Brazilian)", "supports_formality": true });
    assert!(targets.as_array().unwrap().contains(&portuguese));
    let in_body = form(get(&bench, "/v2/languages"), &[("type", "target")]);
    assert_eq!(send(in_body).await.json(), targets);
    send(get(&bench, "/v2/languages?type=both"))
        .await
        .expect(400);
}

#[tokio::test]
async fn glossaries_put_their_terms_in() {
    let bench = Bench::new("deepl").await;
    let create = |path: &str, body: &Value| {
        let request = bench.post(path).header("authorization", KEY);
        send(request.json(body))
    };
    let body = json!({ "name": "Beams", "source_lang": "en", "target_lang": "de", "entries": "proton beam\tProtonenbündel\nhere\thier", "entries_format": "tsv" });
    let made = create("/v2/glossaries", &body).await.expect(201).json();
    assert_eq!(
        (&made["ready"], &made["entry_count"]),
        (&json!(true), &json!(2))
    );
    let id = made["glossary_id"].as_str().unwrap();
    let using = |text: &str, target: &str| {
        let body = json!({ "text": [text], "source_lang": "EN", "target_lang": target, "glossary_id": id });
        send(translate(&bench, &body))
    };
    let text = async |text: &str| {
        using(text, "DE").await.expect(200).json()["translations"][0]["text"].clone()
    };
    assert_eq!(text("proton beam").await, "Protonenbündel");
    assert_eq!(text("I am here.").await, "[de] I am hier.");
    using("x", "FR").await.expect(400);
    let entries = send(get(&bench, &format!("/v2/glossaries/{id}/entries"))).await;
    assert_eq!(entries.text(), "proton beam\tProtonenbündel\nhere\thier");
    assert!(
        entries
            .header("content-type")
            .starts_with("text/tab-separated-values")
    );
    assert_eq!(
        send(get(&bench, &format!("/v2/glossaries/{id}")))
            .await
            .json(),
        made
    );

    let both = json!({ "name": "Both ways", "dictionaries": [
        { "source_lang": "en", "target_lang": "de", "entries": "a,b", "entries_format": "csv" },
        { "source_lang": "DE", "target_lang": "EN-US", "entries": "b\ta" },
    ] });
    let made = create("/v3/glossaries", &both).await.expect(201).json();
    described("~1v3~1glossaries/post", "201", &made);
    assert_eq!(
        made["dictionaries"][1],
        json!({ "source_lang": "de", "target_lang": "en", "entry_count": 1 })
    );
    let listed = send(get(&bench, "/v3/glossaries")).await.json();
    described("~1v3~1glossaries/get", "200", &listed);
    assert_eq!(listed["glossaries"].as_array().unwrap().len(), 2);
    let listed = send(get(&bench, "/v2/glossaries")).await.json();
    assert_eq!(
        listed["glossaries"].as_array().unwrap().len(),
        1,
        "of one pair only"
    );

    let other = bench.get("/v3/glossaries");
    let other = other.header("authorization", "DeepL-Auth-Key sandbox-deepl-key-2");
    assert_eq!(send(other).await.json(), json!({ "glossaries": [] }));
    let delete = || {
        let request = bench
            .client
            .delete(bench.url(&format!("/v2/glossaries/{id}")));
        send(request.header("authorization", KEY))
    };
    delete().await.expect(204);
    delete().await.expect(404);
    using("x", "DE").await.expect(404);
    for (name, value) in [
        ("name", json!("")),
        ("source_lang", json!("xx")),
        ("target_lang", json!("en")),
        ("entries", json!("no tab")),
        ("entries", json!("a\tb\na\tc")),
        ("entries", json!("\n")),
        ("entries_format", json!("xml")),
    ] {
        let mut wrong = body.clone();
        wrong[name] = value;
        let got = create("/v2/glossaries", &wrong).await.expect(400).json();
        assert!(got["message"].is_string(), "{name}");
    }
    let pairs = send(get(&bench, "/v2/glossary-language-pairs"))
        .await
        .json();
    let pair = json!({ "source_lang": "en", "target_lang": "de" });
    assert!(
        pairs["supported_languages"]
            .as_array()
            .unwrap()
            .contains(&pair)
    );
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("deepl").await;
    let request = || translate(&bench, &json!({ "text": [SUNNY], "target_lang": "DE" }));
    every_class(&bench, request, |class, got| {
        is_error(&got.json());
        let expected = match class {
            Class::Auth => 403,
            Class::Quota => 456,
            Class::Rate => 429,
            Class::TooLarge => 413,
            Class::Invalid | Class::Unsupported => 400,
            Class::NotFound => 404,
            Class::Internal => 500,
            Class::Unavailable => 503,
        };
        assert_eq!(got.status, expected, "{class:?}");
    })
    .await;
    bench.fault(Fault::status(529));
    is_error(&send(request()).await.expect(529).json());
    assert!(!bench.last().executed);
}
