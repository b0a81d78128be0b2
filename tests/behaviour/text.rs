//! `text.*`: one scale and one way to count for all vendors.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{LONG, Stand, for_each};

pub(crate) fn trials() -> Vec<Trial> {
    [
        for_each("text.sentiment", "tells_good_from_bad", tells_good_from_bad),
        for_each("text.sentiment", "takes_many_at_once", takes_many_at_once),
        for_each(
            "text.entities",
            "finds_names_where_they_stand",
            finds_names_where_they_stand,
        ),
        for_each(
            "text.key_phrases",
            "finds_words_of_the_text",
            finds_words_of_the_text,
        ),
        for_each("text.language", "tells_the_language", tells_the_language),
        for_each("text.classify", "names_categories", names_categories),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn tells_good_from_bad(stand: Stand) {
    let texts = stand.texts();
    let ask = async |text: &str| {
        let seen = stand
            .json(&json!({ "text": text, "language": texts.language }))
            .await;
        assert_eq!(seen.status, 200, "{}", seen.text());
        seen.json()
    };
    let good = ask(texts.moods[0]).await;
    let bad = ask(texts.moods[1]).await;
    assert_eq!(good["label"], "positive", "{good}");
    assert_eq!(bad["label"], "negative", "{bad}");
    let (high, low) = (
        good["score"].as_f64().unwrap(),
        bad["score"].as_f64().unwrap(),
    );
    assert!(
        (0.0..=1.0).contains(&high) && (-1.0..=0.0).contains(&low),
        "{high} {low}"
    );
    for answer in [good, bad] {
        let parts = &answer["probabilities"];
        if !parts.is_null() {
            let sum: f64 = ["positive", "negative", "neutral", "mixed"]
                .iter()
                .filter_map(|part| parts[part].as_f64())
                .sum();
            assert!((0.9..=1.1).contains(&sum), "{answer}");
        }
    }
}

async fn takes_many_at_once(stand: Stand) {
    let texts = stand.texts();
    let documents: Vec<Value> = (0..13)
        .map(|at| json!({ "text": texts.moods[at % 3], "language": texts.language }))
        .collect();
    let answer = stand.json(&json!({ "documents": documents })).await.json();
    assert_eq!(answer["errors"], json!([]), "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 13);
    for (at, result) in results.iter().enumerate() {
        assert_eq!(result["index"], at);
        let expected = if at % 3 == 1 { "negative" } else { "positive" };
        assert_eq!(result["label"], expected, "{at}: {result}");
    }
}

async fn finds_names_where_they_stand(stand: Stand) {
    // Emoji and Chinese before the names: places are counted in code points.
    let texts = stand.texts();
    let text = format!("😀 你好 {}", texts.long);
    let seen = stand
        .json(&json!({ "text": text, "language": texts.language }))
        .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let answer = seen.json();
    let entities = answer["entities"].as_array().unwrap();
    assert!(
        entities
            .iter()
            .any(|entity| entity["name"].as_str().unwrap().contains(texts.place)),
        "{answer}"
    );
    for entity in entities {
        let name = entity["name"].as_str().unwrap();
        let (Some(offset), Some(length)) = (entity["offset"].as_u64(), entity["length"].as_u64())
        else {
            continue;
        };
        let there: String = text
            .chars()
            .skip(usize::try_from(offset).unwrap())
            .take(usize::try_from(length).unwrap())
            .collect();
        assert_eq!(there, name, "{entity}");
        assert!(
            entity["type"]
                .as_str()
                .is_some_and(|kind| kind == kind.to_lowercase()),
            "{entity}"
        );
    }
}

async fn finds_words_of_the_text(stand: Stand) {
    let texts = stand.texts();
    let seen = stand
        .json(&json!({ "text": texts.long, "language": texts.language }))
        .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let answer = seen.json();
    let phrases = answer["phrases"].as_array().unwrap();
    assert!(!phrases.is_empty(), "{answer}");
    for phrase in phrases {
        let text = phrase["text"].as_str().unwrap().to_lowercase();
        assert!(texts.long.to_lowercase().contains(&text), "{phrase}");
    }
}

async fn tells_the_language(stand: Stand) {
    for (text, expected) in [
        (LONG, "en"),
        (
            "Das Wetter ist heute wirklich sehr schön, und wir gehen mit den Kindern in den Park.",
            "de",
        ),
    ] {
        let seen = stand.json(&json!({ "text": text })).await;
        assert_eq!(seen.status, 200, "{}", seen.text());
        let answer = seen.json();
        assert_eq!(answer["language"], expected, "{answer}");
    }
}

async fn names_categories(stand: Stand) {
    let seen = stand.json(&json!({ "text": LONG, "language": "en" })).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let answer = seen.json();
    assert!(answer["categories"].is_array(), "{answer}");
    for category in answer["categories"].as_array().unwrap() {
        assert!(
            category["label"]
                .as_str()
                .is_some_and(|label| !label.is_empty()),
            "{category}"
        );
    }
}
