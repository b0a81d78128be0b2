//! Amazon Translate: one text of ten thousand bytes.

use serde_json::{Map, Value, json};

use super::{constraint, failure, failure_with, required, success};
use crate::{answer::Answer, answers::translation, call::Call, vendor::Operation};

/// Languages, each with its English name.
const LANGUAGES: [(&str, &str); 75] = [
    ("af", "Afrikaans"),
    ("sq", "Albanian"),
    ("am", "Amharic"),
    ("ar", "Arabic"),
    ("hy", "Armenian"),
    ("az", "Azerbaijani"),
    ("bn", "Bengali"),
    ("bs", "Bosnian"),
    ("bg", "Bulgarian"),
    ("ca", "Catalan"),
    ("zh", "Chinese (Simplified)"),
    ("zh-TW", "Chinese (Traditional)"),
    ("hr", "Croatian"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("fa-AF", "Dari"),
    ("nl", "Dutch"),
    ("en", "English"),
    ("et", "Estonian"),
    ("fa", "Farsi (Persian)"),
    ("tl", "Filipino, Tagalog"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("fr-CA", "French (Canada)"),
    ("ka", "Georgian"),
    ("de", "German"),
    ("el", "Greek"),
    ("gu", "Gujarati"),
    ("ht", "Haitian Creole"),
    ("ha", "Hausa"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hu", "Hungarian"),
    ("is", "Icelandic"),
    ("id", "Indonesian"),
    ("ga", "Irish"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("kn", "Kannada"),
    ("kk", "Kazakh"),
    ("ko", "Korean"),
    ("lv", "Latvian"),
    ("lt", "Lithuanian"),
    ("mk", "Macedonian"),
    ("ms", "Malay"),
    ("ml", "Malayalam"),
    ("mt", "Maltese"),
    ("mr", "Marathi"),
    ("mn", "Mongolian"),
    ("no", "Norwegian"),
    ("ps", "Pashto"),
    ("pl", "Polish"),
    ("pt", "Portuguese (Brazil)"),
    ("pt-PT", "Portuguese (Portugal)"),
    ("pa", "Punjabi"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sr", "Serbian"),
    ("si", "Sinhala"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("so", "Somali"),
    ("es", "Spanish"),
    ("es-MX", "Spanish (Mexico)"),
    ("sw", "Swahili"),
    ("sv", "Swedish"),
    ("ta", "Tamil"),
    ("te", "Telugu"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("ur", "Urdu"),
    ("uz", "Uzbek"),
    ("vi", "Vietnamese"),
    ("cy", "Welsh"),
];
/// Languages in which names can be listed. Here they are listed in English only.
const DISPLAY: [&str; 10] = [
    "de", "en", "es", "fr", "it", "ja", "ko", "pt", "zh", "zh-TW",
];
/// Targets that know a formal and an informal tone.
const TONED: [&str; 10] = [
    "nl", "fr", "fr-CA", "de", "hi", "it", "ja", "ko", "es", "es-MX",
];
const MOST: usize = 10_000;

pub(super) fn operation(action: &str) -> Operation {
    match action {
        "TranslateText" => Operation::new("TranslateText", "translation.translate"),
        "ListLanguages" => Operation::other("ListLanguages"),
        _ => Operation::other("UnknownTranslate"),
    }
}

pub(super) fn serve(call: &Call, input: &Map<String, Value>) -> Result<Answer, Answer> {
    let target = call.header("x-amz-target").unwrap_or_default();
    match target.split_once('.').map_or("", |(_, action)| action) {
        "TranslateText" => translate(call, input),
        "ListLanguages" => list(call, input),
        _ => Err(failure(call, 400, "UnknownOperationException", "")),
    }
}

fn translate(call: &Call, input: &Map<String, Value>) -> Result<Answer, Answer> {
    let text = required(call, input, "Text")?;
    let source = required(call, input, "SourceLanguageCode")?;
    let target = required(call, input, "TargetLanguageCode")?;
    if text.len() > MOST {
        let message = format!(
            "Input text size exceeds limit. Max length of request text allowed is {MOST} bytes while in this request the text size is {} bytes",
            text.len()
        );
        return Err(failure(
            call,
            400,
            "TextSizeLimitExceededException",
            &message,
        ));
    }
    let settings = input.get("Settings").and_then(Value::as_object);
    let applied = tone(call, settings, target)?;
    if let Some(name) = input
        .get("TerminologyNames")
        .and_then(|names| names.get(0))
        .and_then(Value::as_str)
    {
        let message = format!("The terminology {name} could not be found.");
        return Err(failure(call, 404, "ResourceNotFoundException", &message));
    }
    let known = |code: &str| LANGUAGES.iter().any(|(known, _)| *known == code);
    if !(known(target) && (source == "auto" || known(source)) && source != target) {
        return Err(unsupported(call, source, target));
    }
    let done = translation::translate(text, (source != "auto").then_some(source), target);
    if done.confidence.is_some_and(|confidence| confidence < 0.1) {
        let more = json!({ "DetectedLanguageCode": done.source });
        let more = more.as_object().cloned().unwrap_or_default();
        let message = "The confidence that the source language was detected is low.";
        return Err(failure_with(
            call,
            400,
            "DetectedLanguageLowConfidenceException",
            message,
            more,
        ));
    }
    // A detected language is named without region; a given one as it was given.
    let source = if source == "auto" {
        done.source.as_str()
    } else {
        source
    };
    let mut body = json!({ "TranslatedText": done.text, "SourceLanguageCode": source, "TargetLanguageCode": target });
    if let (Some(applied), Some(body)) = (applied, body.as_object_mut()) {
        body.insert("AppliedSettings".to_owned(), applied);
    }
    Ok(success(call, &body).fact("characters", text.chars().count()))
}

/// What of the settings is applied for this target; `None` if nothing was asked or fits.
fn tone(
    call: &Call,
    settings: Option<&Map<String, Value>>,
    target: &str,
) -> Result<Option<Value>, Answer> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let mut applied = Map::new();
    for (name, values) in [
        ("Formality", &["FORMAL", "INFORMAL"][..]),
        ("Profanity", &["MASK"]),
        ("Brevity", &["ON"]),
    ] {
        let Some(value) = settings.get(name) else {
            continue;
        };
        if !value.as_str().is_some_and(|value| values.contains(&value)) {
            let rule = format!(
                "Member must satisfy enum value set: [{}]",
                values.join(", ")
            );
            return Err(constraint(
                call,
                &format!("settings.{}", name.to_lowercase()),
                value,
                &rule,
            ));
        }
        if name != "Formality" || TONED.contains(&target) {
            applied.insert(name.to_owned(), value.clone());
        }
    }
    Ok((!applied.is_empty()).then_some(Value::Object(applied)))
}

fn unsupported(call: &Call, source: &str, target: &str) -> Answer {
    let message = format!("Unsupported language pair: {source} to {target}.");
    let more = json!({ "SourceLanguageCode": source, "TargetLanguageCode": target });
    failure_with(
        call,
        400,
        "UnsupportedLanguagePairException",
        &message,
        more.as_object().cloned().unwrap_or_default(),
    )
}

fn list(call: &Call, input: &Map<String, Value>) -> Result<Answer, Answer> {
    let display = input
        .get("DisplayLanguageCode")
        .and_then(Value::as_str)
        .unwrap_or("en");
    if !DISPLAY.contains(&display) {
        let more = json!({ "DisplayLanguageCode": display });
        let message = "The display language code is not supported.";
        return Err(failure_with(
            call,
            400,
            "UnsupportedDisplayLanguageCodeException",
            message,
            more.as_object().cloned().unwrap_or_default(),
        ));
    }
    let invalid = |message: &str| failure(call, 400, "InvalidParameterValueException", message);
    let most = input.get("MaxResults").map_or(Some(500), Value::as_u64);
    let most = most
        .filter(|most| (1..=500).contains(most))
        .ok_or_else(|| invalid("MaxResults must be from 1 to 500."))?;
    let most = usize::try_from(most).unwrap_or(500);
    // The token is the number of languages already given.
    let start = match input.get("NextToken").and_then(Value::as_str) {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| invalid("The next token is not valid."))?,
    };
    let auto = [("auto", "Auto")];
    let all = auto.iter().chain(&LANGUAGES);
    let page: Vec<_> = all
        .clone()
        .skip(start)
        .take(most)
        .map(|(code, name)| json!({ "LanguageName": name, "LanguageCode": code }))
        .collect();
    let end = start + page.len();
    let mut body = json!({ "Languages": page, "DisplayLanguageCode": display });
    if let Some(body) = body.as_object_mut().filter(|_| end < all.count()) {
        body.insert("NextToken".to_owned(), json!(end.to_string()));
    }
    Ok(success(call, &body))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_language_that_can_be_detected_can_be_translated() {
        for (code, _) in crate::answers::language::NAMES {
            assert!(
                super::LANGUAGES.iter().any(|(known, _)| *known == code),
                "{code}"
            );
        }
    }
}
