//! Amazon Comprehend: one text, or up to twenty-five of them.

use serde_json::{Map, Value, json};

use super::{constraint, failure, required, success};
use crate::{
    answer::Answer,
    answers::{language, recorded, text},
    call::Call,
    vendor::Operation,
};

const LANGUAGES: [&str; 12] = [
    "en", "es", "fr", "de", "it", "pt", "ar", "hi", "ja", "ko", "zh", "zh-TW",
];
/// Most documents of a batch, and most bytes of one of them.
const BATCH: (usize, usize) = (25, 5000);

/// What is found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Sentiment,
    Entities,
    KeyPhrases,
    Language,
    Pii,
}

impl Task {
    fn of(action: &str) -> Option<Self> {
        Some(match action.trim_start_matches("Batch") {
            "DetectSentiment" => Self::Sentiment,
            "DetectEntities" => Self::Entities,
            "DetectKeyPhrases" => Self::KeyPhrases,
            "DetectDominantLanguage" => Self::Language,
            "DetectPiiEntities" if !action.starts_with("Batch") => Self::Pii,
            _ => return None,
        })
    }

    /// Most bytes of a text outside a batch.
    fn limit(self) -> usize {
        match self {
            Self::Sentiment => 5000,
            _ => 100_000,
        }
    }

    fn find(self, text: &str) -> Value {
        match self {
            Self::Sentiment => sentiment(text),
            Self::Entities => json!({ "Entities": entities(text) }),
            Self::KeyPhrases => json!({ "KeyPhrases": key_phrases(text) }),
            Self::Language => languages(text),
            Self::Pii => json!({ "Entities": pii(text) }),
        }
    }
}

pub(super) fn operation(action: &str) -> Operation {
    match action {
        "DetectSentiment" => Operation::new("DetectSentiment", "text.sentiment"),
        "BatchDetectSentiment" => Operation::new("BatchDetectSentiment", "text.sentiment"),
        "DetectEntities" => Operation::new("DetectEntities", "text.entities"),
        "BatchDetectEntities" => Operation::new("BatchDetectEntities", "text.entities"),
        "DetectKeyPhrases" => Operation::new("DetectKeyPhrases", "text.key_phrases"),
        "BatchDetectKeyPhrases" => Operation::new("BatchDetectKeyPhrases", "text.key_phrases"),
        "DetectDominantLanguage" => Operation::new("DetectDominantLanguage", "text.language"),
        "BatchDetectDominantLanguage" => {
            Operation::new("BatchDetectDominantLanguage", "text.language")
        }
        "DetectPiiEntities" => Operation::new("DetectPiiEntities", "text.pii"),
        _ => Operation::other("UnknownComprehend"),
    }
}

pub(super) fn serve(call: &Call, input: &Map<String, Value>) -> Result<Answer, Answer> {
    let target = call.header("x-amz-target").unwrap_or_default();
    let action = target.split_once('.').map_or("", |(_, action)| action);
    let task =
        Task::of(action).ok_or_else(|| failure(call, 400, "UnknownOperationException", ""))?;
    if task != Task::Language {
        check_language(call, input, task)?;
    }
    if action.starts_with("Batch") {
        return batch(call, input, task);
    }
    let text = required(call, input, "Text")?;
    if text.len() > task.limit() {
        return Err(too_long(call, task.limit()));
    }
    Ok(success(call, &task.find(text)).fact("characters", text.chars().count()))
}

fn check_language(call: &Call, input: &Map<String, Value>, task: Task) -> Result<(), Answer> {
    let code = required(call, input, "LanguageCode")?;
    if !LANGUAGES.contains(&code) {
        let rule = format!(
            "Member must satisfy enum value set: [{}]",
            LANGUAGES.join(", ")
        );
        return Err(constraint(call, "languageCode", &json!(code), &rule));
    }
    if task == Task::Pii && !["en", "es"].contains(&code) {
        let message =
            "Input language is not supported for this operation. Supported languages: en, es.";
        return Err(failure(call, 400, "UnsupportedLanguageException", message));
    }
    Ok(())
}

fn too_long(call: &Call, most: usize) -> Answer {
    let message = format!(
        "Input text size exceeds limit. Max length of request text allowed is {most} bytes while in this request the text size is larger"
    );
    failure(call, 400, "TextSizeLimitExceededException", &message)
}

fn batch(call: &Call, input: &Map<String, Value>, task: Task) -> Result<Answer, Answer> {
    let list = input.get("TextList").and_then(Value::as_array);
    let list =
        list.ok_or_else(|| constraint(call, "textList", &Value::Null, "Member must not be null"))?;
    if list.is_empty() {
        let rule = "Member must have length greater than or equal to 1";
        return Err(constraint(call, "textList", &json!([]), rule));
    }
    if list.len() > BATCH.0 {
        let message = format!(
            "The number of documents in the request exceeds the limit of {}.",
            BATCH.0
        );
        return Err(failure(
            call,
            400,
            "BatchSizeLimitExceededException",
            &message,
        ));
    }
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for (index, document) in list.iter().enumerate() {
        let text = document.as_str().unwrap_or_default();
        let mistake = if text.is_empty() {
            Some((
                "InvalidRequestException",
                "The document is empty.".to_owned(),
            ))
        } else if text.len() > BATCH.1 {
            Some((
                "TextSizeLimitExceededException",
                format!(
                    "Input text size exceeds limit. Max length of request text allowed is {} bytes.",
                    BATCH.1
                ),
            ))
        } else {
            None
        };
        if let Some((code, message)) = mistake {
            errors.push(json!({ "Index": index, "ErrorCode": code, "ErrorMessage": message }));
            continue;
        }
        let mut result = task.find(text);
        if let Some(result) = result.as_object_mut() {
            result.insert("Index".to_owned(), json!(index));
        }
        results.push(result);
    }
    let answer = success(call, &json!({ "ResultList": results, "ErrorList": errors }));
    Ok(answer.fact("documents", list.len()))
}

fn sentiment(given: &str) -> Value {
    if let Some(known) = recorded::answer("aws", "text.sentiment", given) {
        return known.clone();
    }
    let mood = text::mood(given);
    json!({
        "Sentiment": mood.label.name().to_uppercase(),
        "SentimentScore": { "Positive": mood.positive, "Negative": mood.negative, "Neutral": mood.neutral, "Mixed": mood.mixed },
    })
}

fn languages(given: &str) -> Value {
    if let Some(known) = recorded::answer("aws", "text.language", given) {
        return known.clone();
    }
    let found = language::detect(given);
    let one = |found: &language::Detected| json!({ "LanguageCode": found.code, "Score": found.confidence });
    json!({ "Languages": found.iter().map(one).collect::<Vec<_>>() })
}

fn entities(given: &str) -> Vec<Value> {
    let named = |kind| match kind {
        text::Kind::Person => "PERSON",
        text::Kind::Organization => "ORGANIZATION",
        text::Kind::Location => "LOCATION",
        text::Kind::DateTime => "DATE",
        text::Kind::Quantity | text::Kind::Money => "QUANTITY",
        text::Kind::Email | text::Kind::Url | text::Kind::Other => "OTHER",
    };
    let one = |entity: &text::Entity| {
        placed(
            &entity.span,
            json!({ "Score": entity.confidence, "Type": named(entity.kind) }),
        )
    };
    text::entities(given).iter().map(one).collect()
}

fn key_phrases(given: &str) -> Vec<Value> {
    let found = text::key_phrases(given);
    found
        .iter()
        .map(|(span, score)| placed(span, json!({ "Score": score })))
        .collect()
}

/// Adds the text and its place; the end is the first letter behind it.
fn placed(span: &text::Span, mut value: Value) -> Value {
    if let Some(value) = value.as_object_mut() {
        value.insert("Text".to_owned(), json!(span.text));
        value.insert("BeginOffset".to_owned(), json!(span.offset));
        value.insert("EndOffset".to_owned(), json!(span.offset + span.length));
    }
    value
}

/// The text itself is not repeated.
fn pii(given: &str) -> Vec<Value> {
    let named = |kind| match kind {
        text::Kind::Person => Some("NAME"),
        text::Kind::Email => Some("EMAIL"),
        text::Kind::Url => Some("URL"),
        text::Kind::DateTime => Some("DATE_TIME"),
        _ => None,
    };
    let found = text::entities(given).into_iter().filter_map(|entity| {
        let span = &entity.span;
        Some(json!({ "Score": entity.confidence, "Type": named(entity.kind)?, "BeginOffset": span.offset, "EndOffset": span.offset + span.length }))
    });
    found.collect()
}
