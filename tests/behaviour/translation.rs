//! `translation.*`.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Stand, for_each};

pub(crate) fn trials() -> Vec<Trial> {
    [
        for_each("translation.translate", "translates", translates),
        for_each(
            "translation.translate",
            "detects_the_language_when_it_is_not_said",
            detects_when_not_said,
        ),
        for_each(
            "translation.translate",
            "keeps_the_order_of_many",
            keeps_the_order_of_many,
        ),
        for_each(
            "translation.translate",
            "keeps_text_as_text",
            keeps_text_as_text,
        ),
        for_each(
            "translation.detect",
            "tells_the_language",
            tells_the_language,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn translates(stand: Stand) {
    let seen = stand
        .json(&json!({ "text": "The weather is good.", "from": "en", "to": "fr" }))
        .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let answer = seen.json();
    let text = answer["text"].as_str().unwrap();
    assert!(
        !text.is_empty() && text != "The weather is good.",
        "{answer}"
    );
    assert_eq!(
        (&answer["to"], &answer["from"]),
        (&json!("fr"), &json!("en"))
    );
    assert_eq!(answer["usage"]["unit"], "characters");
}

async fn detects_when_not_said(stand: Stand) {
    let seen = stand.json(&json!({ "text": "Das Wetter ist heute sehr schön und die Sonne scheint.", "to": "en" })).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let answer = seen.json();
    assert!(
        answer["from"]
            .as_str()
            .is_none_or(|tag| tag == "de" || tag.starts_with("de-")),
        "{answer}"
    );
}

async fn keeps_the_order_of_many(stand: Stand) {
    let texts: Vec<String> = (0..7)
        .map(|at| format!("This is sentence number {at}."))
        .collect();
    let answer = stand
        .json(&json!({ "texts": texts, "from": "en", "to": "fr" }))
        .await
        .json();
    assert_eq!(answer["errors"], json!([]), "{answer}");
    for (at, result) in answer["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(result["index"], at);
        assert!(
            result["text"].as_str().unwrap().contains(&at.to_string()),
            "{result}"
        );
    }
    assert_eq!(answer["results"].as_array().unwrap().len(), 7);
}

async fn keeps_text_as_text(stand: Stand) {
    let answer = stand
        .json(&json!({ "text": "Tom & Jerry's \"house\" <big>", "from": "en", "to": "fr" }))
        .await
        .json();
    let text = answer["text"].as_str().unwrap();
    assert!(
        text.contains('&')
            && !text.contains("&amp;")
            && !text.contains("&#39;")
            && !text.contains("&quot;"),
        "{answer}"
    );
}

async fn tells_the_language(stand: Stand) {
    let seen = stand
        .json(&json!({ "text": "Das Wetter ist heute wirklich sehr schön in Berlin." }))
        .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert_eq!(seen.json()["language"], "de", "{}", seen.text());
}
