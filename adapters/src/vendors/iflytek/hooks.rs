//! Dictation answers in sentences that later messages may replace, word by word.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// All messages of a session → the whole text, and its words with the frame that each begins in.
pub(super) fn dictation(messages: Value) -> Result<Value, &'static str> {
    let Value::Array(messages) = messages else {
        return Err("the session has no messages");
    };
    let status = messages
        .last()
        .and_then(|last| last.pointer("/data/status"));
    if status.and_then(Value::as_i64) != Some(2) {
        return Err("the session has no end");
    }
    let mut sentences = BTreeMap::new();
    for result in messages
        .iter()
        .filter_map(|message| message.pointer("/data/result"))
    {
        let number = |path: &str| result.pointer(path).and_then(Value::as_i64);
        let own = number("/sn").ok_or("a result has no number")?;
        // With `rg: [a, b]` a sentence takes the place of earlier ones.
        let replaces = result.get("pgs").and_then(Value::as_str) == Some("rpl");
        if let (true, Some(first), Some(last)) = (replaces, number("/rg/0"), number("/rg/1")) {
            sentences.retain(|number, _| !(first..=last).contains(number));
        }
        sentences.insert(own, result.get("ws").and_then(Value::as_array));
    }
    let (mut text, mut words, mut latest) = (String::new(), Vec::new(), 0);
    for item in sentences.values().flatten().copied().flatten() {
        let word = item
            .pointer("/cw/0/w")
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.push_str(word);
        // Punctuation begins at frame 0, whatever comes before it.
        let frame = item.get("bg").and_then(Value::as_i64).unwrap_or_default();
        latest = frame.max(latest);
        let spoken = word.chars().any(char::is_alphanumeric);
        let kind = if spoken { "word" } else { "punctuation" };
        words.push(json!({ "text": word, "start": latest, "kind": kind }));
    }
    Ok(json!({ "text": text, "words": words }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: &Value) -> Value {
        json!({ "code": 0, "message": "success", "data": { "status": 1, "result": result } })
    }

    fn end() -> Value {
        json!({ "code": 0, "data": { "status": 2 } })
    }

    fn check(messages: &[Value], text: &str, starts: &[(&str, i64, &str)]) {
        let words: Vec<Value> = starts
            .iter()
            .map(|(text, start, kind)| json!({ "text": text, "start": start, "kind": kind }))
            .collect();
        assert_eq!(
            dictation(Value::from(messages)),
            Ok(json!({ "text": text, "words": words }))
        );
    }

    #[test]
    fn words_are_joined_in_order_of_their_sentences() {
        let second =
            message(&json!({ "sn": 2, "ws": [{ "bg": 0, "cw": [{ "w": ".", "sc": 0 }] }] }));
        let first = message(
            &json!({ "sn": 1, "ws": [{ "bg": 12, "cw": [{ "w": "hello" }, { "w": "yellow" }] }, { "bg": 53, "cw": [{ "w": " world" }] }] }),
        );
        check(
            &[second, first, json!({ "code": 0, "data": { "status": 2 } })],
            "hello world.",
            &[
                ("hello", 12, "word"),
                (" world", 53, "word"),
                (".", 53, "punctuation"),
            ],
        );
    }

    #[test]
    fn a_sentence_takes_the_place_of_those_that_it_corrects() {
        let said = |sn: i64, word: &str| json!({ "sn": sn, "pgs": "apd", "ws": [{ "bg": sn, "cw": [{ "w": word }] }] });
        let better = json!({ "sn": 3, "pgs": "rpl", "rg": [1, 2], "ws": [{ "bg": 4, "cw": [{ "w": "right" }] }] });
        check(
            &[
                message(&said(1, "wr")),
                message(&said(2, "ong")),
                message(&better),
                end(),
            ],
            "right",
            &[("right", 4, "word")],
        );
    }

    #[test]
    fn silence_is_an_empty_text_and_nonsense_an_error() {
        check(
            &[
                json!({ "code": 0, "data": { "status": 2, "result": { "sn": 1, "ls": true, "ws": [] } } }),
            ],
            "",
            &[],
        );
        let unnumbered = message(&json!({ "ws": [] }));
        let cut_short = message(&json!({ "sn": 1, "ws": [] }));
        for nonsense in [
            json!({}),
            json!([]),
            json!([{ "unexpected": true }]),
            json!([cut_short]),
            json!([unnumbered, end()]),
        ] {
            assert!(dictation(nonsense.clone()).is_err(), "{nonsense}");
        }
    }
}
