//! Translation: version 2 (`/language/translate/v2`, key, query or body, HTML unless told otherwise) and version 3
//! (`/v3/projects/…:translateText`, bearer tokens only).

use serde_json::{Map, Value, json};

use super::{
    access, answer, errors,
    fields::{self, Field, Kind},
};
use crate::{
    answer::Answer,
    answers::{
        language, markup,
        translation::{self, primary},
    },
    call::Call,
    vendor::Class,
};

/// Most strings and code points in a call.
const STRINGS_2: usize = 128;
const STRINGS_3: usize = 1024;
const CODE_POINTS: usize = 30_720;
/// Codes with a region that version 2 knows.
const REGIONAL: [&str; 5] = ["zh-CN", "zh-TW", "pt-PT", "pt-BR", "fr-CA"];

/// A detected language as the vendor names it.
fn code(detected: &str) -> &str {
    match detected {
        "zh" => "zh-CN",
        other => other,
    }
}

fn facts(answer: Answer, texts: &[String]) -> Answer {
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    answer.fact("characters", characters)
}

/// Parameters of version 2, from the query, a form or JSON alike.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(call: &Call) -> Result<Self, Answer> {
        let mut pairs = call.query_pairs();
        if call.media_type() == "application/x-www-form-urlencoded" {
            pairs.extend(call.form());
        } else if !call.body.is_empty() {
            let wrong = |error: String| {
                let message = format!("Invalid JSON payload received. {error}");
                errors::failure(call, 400, &message, &[])
            };
            let body = call.json().map_err(wrong)?;
            let body = body.as_object().cloned().unwrap_or_default();
            for (name, value) in body {
                let values = match value {
                    Value::Array(values) => values,
                    Value::Null => continue,
                    value => vec![value],
                };
                for value in values {
                    let Value::String(value) = value else {
                        let message = format!("Invalid value at '{name}'");
                        return Err(errors::invalid(call, &name, &message));
                    };
                    pairs.push((name.clone(), value));
                }
            }
        }
        Ok(Self(pairs))
    }

    fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        let found = found.map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// The texts, within the limits.
    fn texts(&self, call: &Call) -> Result<Vec<String>, Answer> {
        let texts = self.0.iter().filter(|(name, _)| name == "q");
        let texts: Vec<_> = texts.map(|(_, text)| text.clone()).collect();
        let wrong = |reason: &str, message: &str| {
            errors::with_reason(call, 400, message, ("global", reason), &[])
        };
        if texts.is_empty() {
            return Err(wrong("required", "Required Text"));
        }
        if texts.len() > STRINGS_2 {
            return Err(wrong("invalid", "Too many text segments"));
        }
        let points: usize = texts.iter().map(|text| text.chars().count()).sum();
        if points > CODE_POINTS {
            return Err(wrong("invalid", "Text too long"));
        }
        Ok(texts)
    }
}

/// Whether version 2 has this language.
fn offered(code: &str) -> bool {
    let regional = REGIONAL
        .iter()
        .any(|known| known.eq_ignore_ascii_case(code));
    regional || code == "iw" || (!code.contains(['-', '_']) && language::name(code).is_some())
}

/// `POST` or `GET /language/translate/v2`.
pub(super) fn basic(call: &Call) -> Result<Answer, Answer> {
    let parameters = Parameters::read(call)?;
    let texts = parameters.texts(call)?;
    let wrong = |reason: &str, message: &str| {
        errors::with_reason(call, 400, message, ("global", reason), &[])
    };
    let target = parameters
        .first("target")
        .ok_or_else(|| wrong("required", "Missing target language"))?;
    let source = parameters.first("source");
    if !offered(target) || source.is_some_and(|source| !offered(source)) {
        return Err(wrong("invalid", "Invalid Value"));
    }
    if let Some(source) = source
        && source.eq_ignore_ascii_case(target)
    {
        let message = format!("Bad language pair: {source}|{target}");
        return Err(wrong("invalid", &message));
    }
    let format = parameters.first("format").unwrap_or("html");
    if !["html", "text"].contains(&format) {
        return Err(wrong(
            "invalidParameter",
            "Invalid string value for format.",
        ));
    }
    let model = parameters.first("model");
    if model.is_some_and(|model| !["nmt", "base"].contains(&model)) {
        return Err(wrong("invalid", "Invalid Value"));
    }
    let translate = |text: &String| {
        let done = match format {
            "html" => translation::translate_html(text, source, target, markup::escaped),
            _ => translation::translate(text, source, target),
        };
        let mut told = Map::new();
        told.insert("translatedText".to_owned(), json!(done.text));
        if source.is_none() {
            let detected = code(&done.source);
            told.insert("detectedSourceLanguage".to_owned(), json!(detected));
        }
        told.extend(model.map(|model| ("model".to_owned(), json!(model))));
        Value::Object(told)
    };
    let translations: Vec<_> = texts.iter().map(translate).collect();
    let body = json!({ "data": { "translations": translations } });
    Ok(facts(answer(&body), &texts))
}

/// `POST` or `GET /language/translate/v2/detect`.
pub(super) fn basic_detect(call: &Call) -> Result<Answer, Answer> {
    let texts = Parameters::read(call)?.texts(call)?;
    let detect = |text: &String| {
        let best = language::detect(text).into_iter().next();
        let told = best.map(|best| {
            json!({ "confidence": best.confidence, "isReliable": false, "language": code(best.code) })
        });
        json!([told])
    };
    let detections: Vec<_> = texts.iter().map(detect).collect();
    let body = json!({ "data": { "detections": detections } });
    Ok(facts(answer(&body), &texts))
}

/// Codes and English names of what is offered.
fn languages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let plain = language::NAMES.iter().filter(|(code, _)| *code != "zh");
    let chinese = [
        ("zh-CN", "Chinese (Simplified)"),
        ("zh-TW", "Chinese (Traditional)"),
    ];
    plain.copied().chain(chinese)
}

/// `POST` or `GET /language/translate/v2/languages`.
pub(super) fn basic_languages(call: &Call) -> Result<Answer, Answer> {
    let parameters = Parameters::read(call)?;
    let target = parameters.first("target");
    if target.is_some_and(|target| !offered(target)) {
        let reason = ("global", "invalid");
        return Err(errors::with_reason(call, 400, "Invalid Value", reason, &[]));
    }
    let list = languages().map(|(code, name)| match target {
        Some(_) => json!({ "language": code, "name": name }),
        None => json!({ "language": code }),
    });
    let list: Vec<_> = list.collect();
    Ok(answer(&json!({ "data": { "languages": list } })))
}

const GLOSSARY: &[Field] = &[
    ("glossary", Kind::Text),
    ("ignoreCase", Kind::Flag),
    ("contextualTranslationEnabled", Kind::Flag),
];
const TRANSLITERATION: &[Field] = &[("enableTransliteration", Kind::Flag)];
const TRANSLATE: &[Field] = &[
    ("contents", Kind::List(&Kind::Text)),
    ("mimeType", Kind::Text),
    ("sourceLanguageCode", Kind::Text),
    ("targetLanguageCode", Kind::Text),
    ("model", Kind::Text),
    ("glossaryConfig", Kind::Message(GLOSSARY)),
    ("transliterationConfig", Kind::Message(TRANSLITERATION)),
    ("labels", Kind::Any),
    ("parent", Kind::Text),
];
const DETECT: &[Field] = &[
    ("content", Kind::Text),
    ("mimeType", Kind::Text),
    ("model", Kind::Text),
    ("labels", Kind::Any),
    ("documentInputConfig", Kind::Any),
    ("parent", Kind::Text),
];

/// The project and place that the path names: `projects/P` or `projects/P/locations/L`.
fn parent(call: &Call) -> Result<String, Answer> {
    let path = call.path.trim_start_matches("/v3/");
    let path = path.split(':').next().unwrap_or_default();
    let path = path.trim_end_matches("/supportedLanguages");
    let segments: Vec<_> = path.split('/').collect();
    match segments.as_slice() {
        ["projects", project] | ["projects", project, "locations", "global" | "us-central1"] => {
            if *project == access::PROJECT {
                return Ok(path.to_owned());
            }
            let message = format!("Permission denied on resource project {project}.");
            let detail = errors::info(call, "CONSUMER_INVALID", &[("consumer", path)]);
            Err(errors::failure(call, 403, &message, &[detail]))
        }
        ["projects", _, "locations", _] => {
            Err(errors::invalid(call, "parent", "Invalid location name."))
        }
        _ => Err(errors::class(call, Class::NotFound, "Method not found.")),
    }
}

/// Checks the format of the texts: whether it is HTML.
fn marked(call: &Call, kind: Option<&str>) -> Result<bool, Answer> {
    match kind {
        None | Some("text/html") => Ok(true),
        Some("text/plain") => Ok(false),
        Some(_) => Err(errors::invalid(
            call,
            "mime_type",
            "Mime type must be text/html or text/plain.",
        )),
    }
}

/// `POST /v3/{parent}:translateText`.
pub(super) fn advanced(call: &Call) -> Result<Answer, Answer> {
    let parent = parent(call)?;
    let request = fields::read(call, TRANSLATE)?;
    let wrong = |field: &str, message: &str| errors::invalid(call, field, message);
    let texts: Vec<_> = request
        .texts("contents")
        .into_iter()
        .map(str::to_owned)
        .collect();
    if texts.is_empty() {
        return Err(wrong("contents", "Contents is empty."));
    }
    if texts.len() > STRINGS_3 {
        let message = format!("The number of contents must be at most {STRINGS_3}.");
        return Err(wrong("contents", &message));
    }
    let points: usize = texts.iter().map(|text| text.chars().count()).sum();
    if points > CODE_POINTS {
        let message = format!(
            "The total codepoints in the request must be less than {CODE_POINTS}, actual: {points}"
        );
        return Err(wrong("contents", &message));
    }
    let html_wanted = marked(call, request.text("mimeType"))?;
    let target = request
        .text("targetLanguageCode")
        .ok_or_else(|| wrong("target_language_code", "Target language is required."))?;
    let source = request.text("sourceLanguageCode");
    for (field, code) in [
        ("target_language_code", Some(target)),
        ("source_language_code", source),
    ] {
        if code.is_some_and(|code| language::name(code).is_none()) {
            let message = format!("{field}: the language is not supported.");
            return Err(wrong(field, &message));
        }
    }
    if source.is_some_and(|source| source.eq_ignore_ascii_case(target)) {
        let message = "Target language can't be equal to source language.";
        return Err(wrong("target_language_code", message));
    }
    let model = request.text("model");
    if let Some(model) = model
        && !["general/nmt", "general/translation-llm", "general/base"]
            .iter()
            .any(|name| model == format!("{parent}/models/{name}"))
    {
        return Err(wrong("model", "Model not found or in another location."));
    }
    if request.has("glossaryConfig") {
        let name = request.message("glossaryConfig");
        let name = name.text("glossary").unwrap_or_default().to_owned();
        let message = format!("Glossary not found: {name}");
        return Err(errors::failure(call, 404, &message, &[]));
    }
    let translate = |text: &String| {
        let done = if html_wanted {
            translation::translate_html(text, source, target, markup::escaped)
        } else {
            translation::translate(text, source, target)
        };
        let mut told = Map::new();
        told.insert("translatedText".to_owned(), json!(done.text));
        told.extend(model.map(|model| ("model".to_owned(), json!(model))));
        if source.is_none() {
            let detected = code(&done.source);
            told.insert("detectedLanguageCode".to_owned(), json!(detected));
        }
        Value::Object(told)
    };
    let translations: Vec<_> = texts.iter().map(translate).collect();
    Ok(facts(
        answer(&json!({ "translations": translations })),
        &texts,
    ))
}

/// `POST /v3/{parent}:detectLanguage`.
pub(super) fn advanced_detect(call: &Call) -> Result<Answer, Answer> {
    parent(call)?;
    let request = fields::read(call, DETECT)?;
    let text = request
        .text("content")
        .ok_or_else(|| errors::invalid(call, "content", "Content is required."))?;
    if text.chars().count() > CODE_POINTS {
        let message =
            format!("The total codepoints in the request must be less than {CODE_POINTS}.");
        return Err(errors::invalid(call, "content", &message));
    }
    let plain = if marked(call, request.text("mimeType"))? {
        markup::unescaped(&markup::blanked(text))
    } else {
        text.to_owned()
    };
    let best = language::detect(&plain).into_iter().next();
    let told = best.map(|best| {
        let mut told = Map::new();
        told.insert("languageCode".to_owned(), json!(code(best.code)));
        if best.confidence > 0.0 {
            told.insert("confidence".to_owned(), json!(best.confidence));
        }
        told
    });
    Ok(facts(
        answer(&json!({ "languages": [told] })),
        &[text.to_owned()],
    ))
}

/// `GET /v3/{parent}/supportedLanguages`.
pub(super) fn advanced_languages(call: &Call) -> Result<Answer, Answer> {
    parent(call)?;
    let display = call.query("displayLanguageCode");
    if display.is_some_and(|code| language::name(&primary(&code)).is_none()) {
        let message = "The display language is not supported.";
        return Err(errors::invalid(call, "display_language_code", message));
    }
    let named = call.query("displayLanguageCode").is_some();
    let list = languages().map(|(code, name)| {
        let mut told = Map::new();
        told.insert("languageCode".to_owned(), json!(code));
        if named {
            told.insert("displayName".to_owned(), json!(name));
        }
        told.insert("supportSource".to_owned(), json!(true));
        told.insert("supportTarget".to_owned(), json!(true));
        Value::Object(told)
    });
    let list: Vec<_> = list.collect();
    Ok(answer(&json!({ "languages": list })))
}
