//! Texts whose language nobody says: vendors that must be told find it out, of each text alone.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Stand, for_each};

const GERMAN: &str = "Das Essen in Berlin war sehr gut, und das Wetter war heute wirklich schön.";
const ENGLISH: &str = "The food in London was very good, and the weather was lovely today.";

pub(crate) fn trials() -> Vec<Trial> {
    [
        for_each("text.sentiment", "finds_the_language_out", finds_it_out),
        for_each("text.entities", "finds_the_language_out", finds_it_out),
        for_each("text.key_phrases", "finds_the_language_out", finds_it_out),
        for_each("text.sentiment", "tells_languages_apart", tells_them_apart),
        for_each("text.entities", "tells_languages_apart", tells_them_apart),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn finds_it_out(stand: Stand) {
    let seen = stand.json(&json!({ "text": GERMAN })).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let answer = seen.json();
    // Vendors that say nothing of it may leave it open, but none may be wrong.
    let language = &answer["language"];
    assert!(language.is_null() || language == "de", "{answer}");
}

async fn tells_them_apart(stand: Stand) {
    let documents: Vec<_> = (0..6)
        .map(|at| json!({ "text": if at % 2 == 0 { GERMAN } else { ENGLISH } }))
        .collect();
    let answer = stand.json(&json!({ "documents": documents })).await.json();
    assert_eq!(answer["errors"], json!([]), "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 6);
    for (at, result) in results.iter().enumerate() {
        let expected = if at % 2 == 0 { "de" } else { "en" };
        let language = &result["language"];
        assert!(language.is_null() || language == expected, "{at}: {result}");
    }
}
