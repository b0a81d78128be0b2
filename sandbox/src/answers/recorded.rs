//! Texts that vendors have really been asked about, with what they answered (`fixtures/recorded.json`).

use std::sync::LazyLock;

use serde_json::Value;

static RECORDED: LazyLock<Value> = LazyLock::new(|| {
    // A test reads it too; a broken file records nothing.
    serde_json::from_str(include_str!("../../fixtures/recorded.json")).unwrap_or_default()
});

/// What a vendor answered to this very text in an operation (`text.sentiment`), in its own shape; of a batch, the one
/// document's part.
pub(crate) fn answer(vendor: &str, operation: &str, text: &str) -> Option<&'static Value> {
    let texts = RECORDED.get("texts")?.as_array()?;
    let found = texts
        .iter()
        .find(|entry| entry.get("text").and_then(Value::as_str) == Some(text))?;
    found.get("answers")?.get(operation)?.get(vendor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_answers_are_found_by_their_text() {
        let review = RECORDED["texts"][0]["text"].as_str().unwrap();
        assert_eq!(
            answer("aws", "text.sentiment", review).unwrap()["Sentiment"],
            "MIXED"
        );
        assert_eq!(
            answer("azure", "text.sentiment", review).unwrap()["sentiment"],
            "mixed"
        );
        assert!(answer("aws", "text.language", review).is_none());
        assert!(answer("aws", "text.sentiment", "something else").is_none());
    }
}
