//! Translation: one text, several texts, and which language a text is in.

use serde_json::json;

use super::{
    Action, Tencent, failure,
    params::{Kind, Params, may, must},
    success,
};
use crate::{
    answer::Answer,
    answers::{language, translation},
    call::Call,
    vendor::Operation,
};

const SERVICE: &str = "tmt";
const VERSION: &str = "2018-03-21";
/// A call has fewer characters than this.
const TRANSLATED: usize = 6000;
/// A text whose language is asked for has fewer characters than this.
const DETECTED: usize = 2000;

/// One text.
pub(super) const TEXT_TRANSLATE: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("TextTranslate", "translation.translate"),
    fields: &[
        must("SourceText", Kind::Text),
        must("Source", Kind::Text),
        must("Target", Kind::Text),
        must("ProjectId", Kind::Integer),
        may("UntranslatedText", Kind::Text),
        may("TermRepoIDList", Kind::Texts),
        may("SentRepoIDList", Kind::Texts),
    ],
    serve: one,
};

/// Several texts of one language.
pub(super) const TEXT_TRANSLATE_BATCH: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("TextTranslateBatch", "translation.translate"),
    fields: &[
        must("Source", Kind::Text),
        must("Target", Kind::Text),
        must("ProjectId", Kind::Integer),
        must("SourceTextList", Kind::Texts),
        may("TermRepoIDList", Kind::Texts),
        may("SentRepoIDList", Kind::Texts),
    ],
    serve: several,
};

/// The language of a text.
pub(super) const LANGUAGE_DETECT: Action = Action {
    service: SERVICE,
    version: VERSION,
    operation: Operation::new("LanguageDetect", "text.language"),
    fields: &[must("Text", Kind::Text), must("ProjectId", Kind::Integer)],
    serve: detect,
};

/// Languages among which any is translated into any other, but for the two Chinese ones, which go with all of [`FAR`].
const NEAR: [&str; 8] = ["fr", "es", "it", "de", "tr", "ru", "pt", "en"];
/// Languages that are translated into English and Chinese, and from them.
const FAR: [&str; 7] = ["ja", "ko", "vi", "id", "th", "ms", "ar"];
const CHINESE: [&str; 2] = ["zh", "zh-TW"];

/// Whether there is a way from one language to the other.
fn pair(source: &str, target: &str) -> bool {
    let near = |code| NEAR.contains(&code);
    let far = |code| FAR.contains(&code);
    let hub = |code| code == "en" || CHINESE.contains(&code);
    let known = |code| near(code) || far(code) || hub(code);
    if source == target {
        return false;
    }
    match (source, target) {
        ("hi", "en") | ("en", "hi") | ("ja", "ko") | ("ko", "ja") => true,
        _ => {
            known(source)
                && known(target)
                && (hub(source) || hub(target) || near(source) && near(target))
        }
    }
}

/// The source of these texts, given or found out, once it is sure that there is a way to the target.
fn route(call: &Call, params: &Params, texts: &[&str]) -> Result<(String, String), Answer> {
    let (source, target) = (params.text("Source"), params.text("Target"));
    let known = |code: &str| {
        code == "hi" || NEAR.contains(&code) || FAR.contains(&code) || CHINESE.contains(&code)
    };
    if !known(target) {
        let message = "The target language is not supported.";
        let code = "UnsupportedOperation.UnSupportedTargetLanguage";
        return Err(failure(call, code, message));
    }
    let detected = || {
        language::detect(&texts.join("\n"))
            .first()
            .map(|found| found.code)
    };
    let source = match source {
        "auto" => detected().unwrap_or("en"),
        source => source,
    };
    if !known(source) {
        let message = "The source language is not supported.";
        let code = "UnsupportedOperation.UnsupportedSourceLanguage";
        return Err(failure(call, code, message));
    }
    // A text that is in the target language already comes back as it is.
    let found = params.text("Source") == "auto" && source == target;
    if !found && !pair(source, target) {
        let message = format!("There is no translation from `{source}` to `{target}`.");
        let code = "UnsupportedOperation.UnsupportedLanguage";
        return Err(failure(call, code, &message));
    }
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    if characters >= TRANSLATED {
        let message = format!("The texts must have fewer than {TRANSLATED} characters.");
        return Err(failure(call, "UnsupportedOperation.TextTooLong", &message));
    }
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        let message = "A text to be translated must not be empty.";
        return Err(failure(call, "InvalidParameter", message));
    }
    Ok((source.to_owned(), target.to_owned()))
}

fn one(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let text = params.text("SourceText");
    let (source, target) = route(call, params, &[text])?;
    let translated = translation::translate(text, Some(&source), &target);
    let members = json!({ "TargetText": translated.text, "Source": source, "Target": target });
    Ok(success(call, members).fact("characters", text.chars().count()))
}

fn several(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let texts = params.texts("SourceTextList");
    let (source, target) = route(call, params, &texts)?;
    let translate = |text: &&str| translation::translate(text, Some(&source), &target).text;
    let translated: Vec<_> = texts.iter().map(translate).collect();
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let members = json!({ "Source": source, "Target": target, "TargetTextList": translated });
    Ok(success(call, members).fact("characters", characters))
}

fn detect(_: &Tencent, call: &Call, params: &Params) -> Result<Answer, Answer> {
    let text = params.text("Text");
    if text.trim().is_empty() {
        let message = "The text must not be empty.";
        return Err(failure(call, "InvalidParameter", message));
    }
    if text.chars().count() >= DETECTED {
        let message = format!("The text must have fewer than {DETECTED} characters.");
        return Err(failure(call, "UnsupportedOperation.TextTooLong", &message));
    }
    // This call has names of its own for two languages that the others call `ja` and `ko`.
    let code = match language::detect(text).first().map(|found| found.code) {
        Some("ja") => "jp",
        Some("ko") => "kr",
        code => code.unwrap_or("en"),
    };
    Ok(success(call, json!({ "Lang": code })).fact("characters", text.chars().count()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The catalogue's list in prose: `ja（日语）：zh（中文）、…` per source.
    #[test]
    fn pairs_are_those_of_the_catalogue() {
        let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
            eprintln!("skipped: ISOBAR_CONTRACTS is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("translation/tencent-tmt.tccli.json");
        let catalogue: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let members = catalogue["objects"]["TextTranslateRequest"]["members"]
            .as_array()
            .unwrap();
        let target = members
            .iter()
            .find(|member| member["name"] == "Target")
            .unwrap();
        let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in target["document"].as_str().unwrap().lines() {
            let Some(line) = line.trim().strip_prefix("<li>") else {
                continue;
            };
            let (source, targets) = line.split_once('：').unwrap();
            let code = |text: &str| text.split('（').next().unwrap().trim().to_owned();
            let mut targets: Vec<_> = targets
                .trim_end_matches("</li>")
                .split('、')
                .map(code)
                .collect();
            targets.sort();
            theirs.insert(code(source), targets);
        }
        assert_eq!(theirs.len(), 18);
        let all: Vec<_> = theirs.keys().cloned().collect();
        for (source, targets) in &theirs {
            let mut ours: Vec<_> = all
                .iter()
                .filter(|target| pair(source, target))
                .cloned()
                .collect();
            ours.sort();
            assert_eq!(&ours, targets, "{source}");
        }
    }
}
