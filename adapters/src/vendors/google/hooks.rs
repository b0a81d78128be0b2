//! What the manifests of this vendor cannot say as data.

use serde_json::{Map, Value, json};

/// With speakers told apart, the last result repeats every word of the recording, now with its speaker: those become
/// `words`, and the other results keep the text. An empty answer is one with no results: nothing was said.
pub(super) fn words_of_speakers(mut answer: Value) -> Result<Value, &'static str> {
    if answer.as_object().is_some_and(Map::is_empty) {
        return Ok(json!({ "results": [] }));
    }
    let Some(results) = answer.get_mut("results").and_then(Value::as_array_mut) else {
        return Ok(answer);
    };
    let words = results
        .last()
        .and_then(|last| last.pointer("/alternatives/0/words"))
        .filter(|words| {
            words
                .as_array()
                .is_some_and(|words| words.iter().any(is_told))
        })
        .cloned();
    if words.is_some() && results.len() > 1 {
        results.pop();
    }
    if let (Some(words), Some(answer)) = (words, answer.as_object_mut()) {
        answer.insert("words".to_owned(), words);
    }
    Ok(answer)
}

/// Whether the word has a speaker; tag 0 is none.
fn is_told(word: &Value) -> bool {
    let tag = word.get("speakerTag").and_then(Value::as_u64);
    tag.is_some_and(|tag| tag > 0) || word.get("speakerLabel").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_speakers_are_taken_from_the_last_result_alone() {
        let first = json!({ "alternatives": [{ "transcript": "hi you", "words": [{ "word": "hi" }, { "word": "you" }] }] });
        let told = json!([{ "word": "hi", "speakerTag": 1 }, { "word": "you", "speakerTag": 2 }]);
        let last = json!({ "alternatives": [{ "words": told }] });
        let read = |results: Value| words_of_speakers(json!({ "results": results })).unwrap();
        assert_eq!(
            read(json!([first, last])),
            json!({ "results": [first], "words": told })
        );
        assert_eq!(
            read(json!([last])),
            json!({ "results": [last], "words": told })
        );
        let untold = json!({ "alternatives": [{ "transcript": "hi", "words": [{ "word": "hi", "speakerTag": 0 }] }] });
        for plain in [
            json!([first]),
            json!([first, untold]),
            json!([]),
            json!([{}]),
            json!(5),
        ] {
            assert_eq!(read(plain.clone()), json!({ "results": plain }));
        }
        let silent = json!({ "requestId": "1" });
        assert_eq!(words_of_speakers(silent.clone()).unwrap(), silent);
        assert_eq!(
            words_of_speakers(json!({})).unwrap(),
            json!({ "results": [] })
        );
    }
}
