//! `LibreTranslate`: the key is a field beside the text, and one text or a list of them is translated.
//!
//! `POST /translate`, `POST /detect`, `GET /languages`; JSON or a form. This instance wants a key for all but the
//! languages: without one it answers 400, with a wrong one 403. Confidences go from 0 to 100, as the program's do,
//! although its description of `/detect` says 1. There is no quota: a banned caller takes its place.

use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    answers::{audio::rounded, language, markup, translation},
    auth::Keys,
    call::Call,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys {
    vendor: "libretranslate",
};
const TRANSLATE: Operation = Operation::new("translate", "translation.translate");
const DETECT: Operation = Operation::new("detect", "translation.detect");
const LANGUAGES: Operation = Operation::other("languages");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most characters of one call, as an instance may be set.
const CHARACTERS: usize = 10_000;
/// Chinese in traditional script.
const TRADITIONAL: (&str, &str) = ("zt", "Chinese (traditional)");

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct LibreTranslate;

impl Vendor for LibreTranslate {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("base", base.to_owned()), ("key", KEYS.first())]
    }

    fn operation(&self, call: &Call) -> Operation {
        match call.path.as_str() {
            "/translate" => TRANSLATE,
            "/detect" => DETECT,
            "/languages" => LANGUAGES,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        if ![TRANSLATE, DETECT].contains(&self.operation(call)) {
            return Ok("anonymous".to_owned());
        }
        match Fields::read(call).map(|fields| fields.text("api_key")) {
            Ok(Some(key)) => KEYS
                .owner(&key)
                .ok_or_else(|| self.error(call, Class::Auth, "")),
            Ok(None) => Err(bad("Please contact the server operator to get an API key")),
            Err(unreadable) => Err(unreadable),
        }
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        let expected = if operation == LANGUAGES {
            "GET"
        } else {
            "POST"
        };
        if operation != UNKNOWN && call.method.as_str() != expected {
            return Err(page(405, "Method Not Allowed"));
        }
        match operation.call {
            "translate" => translate(call),
            "detect" => detect(call),
            "languages" => Ok(languages()),
            _ => Err(self.error(call, Class::NotFound, "")),
        }
    }

    fn error(&self, _call: &Call, class: Class, message: &str) -> Answer {
        let (status, text) = match class {
            Class::Auth => (403, "Invalid API key".to_owned()),
            Class::Quota => (403, "Too many request limits violations".to_owned()),
            Class::Rate => (429, "Slowdown: 80 per 1 minute".to_owned()),
            Class::Invalid => (400, format!("Invalid request: {message}")),
            Class::TooLarge => (400, too_long(CHARACTERS + 1)),
            Class::Unsupported => (400, "xx is not supported".to_owned()),
            Class::Internal => (500, format!("Cannot translate text: {message}")),
            // These two are answered by the servers around the program.
            Class::NotFound => return page(404, "Not Found"),
            Class::Unavailable => return page(503, "Service Unavailable"),
        };
        failure(status, &text)
    }
}

fn failure(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": message }))
}

fn bad(message: &str) -> Answer {
    failure(400, message)
}

fn missing(name: &str) -> Answer {
    bad(&format!("Invalid request: missing {name} parameter"))
}

fn too_long(size: usize) -> String {
    format!("Invalid request: request ({size}) exceeds text limit ({CHARACTERS})")
}

/// What a web server answers of its own.
fn page(status: u16, title: &str) -> Answer {
    let text = format!(
        "<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n"
    );
    Answer::text(status, "text/html; charset=utf-8", text)
}

/// Parameters, from any kind of body; in a form, also from the query.
enum Fields {
    Json(Map<String, Value>),
    Form(Vec<(String, String)>),
}

impl Fields {
    fn read(call: &Call) -> Result<Self, Answer> {
        match call.media_type().as_str() {
            "application/json" => match call.json() {
                Ok(Value::Object(fields)) => Ok(Self::Json(fields)),
                _ => Err(bad("Invalid JSON format")),
            },
            "multipart/form-data" => {
                let parts = call.multipart().map_err(|mistake| bad(&mistake))?;
                let pairs = parts.iter().map(|part| (part.name.clone(), part.text()));
                Ok(Self::Form(pairs.collect()))
            }
            _ => {
                let mut pairs = call.query_pairs();
                pairs.extend(call.form());
                Ok(Self::Form(pairs))
            }
        }
    }

    /// A parameter that is a string; empty ones are absent.
    fn text(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Json(fields) => fields.get(name)?.as_str()?.to_owned(),
            Self::Form(pairs) => {
                let found = pairs.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone())?
            }
        };
        Some(value).filter(|value| !value.is_empty())
    }

    /// The texts, and whether they came as a list.
    fn texts(&self) -> Result<(Vec<String>, bool), Answer> {
        if let Self::Json(fields) = self
            && let Some(list) = fields.get("q").and_then(Value::as_array)
        {
            let texts = list.iter().map(|item| item.as_str().map(str::to_owned));
            let texts: Option<Vec<_>> = texts.collect();
            let texts = texts.filter(|texts| !texts.is_empty());
            return texts.map(|texts| (texts, true)).ok_or_else(|| missing("q"));
        }
        let text = self.text("q").ok_or_else(|| missing("q"))?;
        Ok((vec![text], false))
    }
}

fn is_offered(code: &str) -> bool {
    code == TRADITIONAL.0 || language::NAMES.iter().any(|(known, _)| *known == code)
}

fn translate(call: &Call) -> Result<Answer, Answer> {
    let fields = Fields::read(call)?;
    let (texts, batch) = fields.texts()?;
    let source = fields.text("source").ok_or_else(|| missing("source"))?;
    let target = fields.text("target").ok_or_else(|| missing("target"))?;
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    if characters > CHARACTERS {
        return Err(bad(&too_long(characters)));
    }
    let unknown = [&source, &target]
        .into_iter()
        .find(|code| !is_offered(code) && *code != "auto");
    if let Some(code) = unknown.or(Some(&target).filter(|code| *code == "auto")) {
        return Err(bad(&format!("{code} is not supported")));
    }
    let format = fields.text("format").unwrap_or_else(|| "text".to_owned());
    if !["text", "html"].contains(&format.as_str()) {
        return Err(bad(&format!("{format} format is not supported")));
    }
    let html = format == "html";
    let given = (source != "auto").then_some(source.as_str());
    let (mut translated, mut detected) = (Vec::new(), Vec::new());
    for text in &texts {
        let (code, confidence) = match given {
            Some(code) => (code.to_owned(), 1.0),
            None => guess(text, html),
        };
        translated.push(json!(in_language(text, &code, &target, html)));
        detected.push(json!({ "confidence": percent(confidence), "language": code }));
    }
    let mut body = Map::new();
    if given.is_none() {
        body.insert("detectedLanguage".to_owned(), one_or_all(detected, batch));
    }
    body.insert("translatedText".to_owned(), one_or_all(translated, batch));
    let answer = Answer::json(200, &Value::Object(body));
    Ok(answer
        .fact("texts", texts.len())
        .fact("characters", characters)
        .fact("target", target))
}

fn one_or_all(values: Vec<Value>, batch: bool) -> Value {
    if batch {
        return Value::Array(values);
    }
    values.into_iter().next().unwrap_or_default()
}

fn guess(text: &str, html: bool) -> (String, f64) {
    let bare = if html {
        markup::without_tags(text)
    } else {
        text.to_owned()
    };
    let found = language::detect(&bare).into_iter().next();
    found.map_or(("en".to_owned(), 0.0), |detected| {
        (detected.code.to_owned(), detected.confidence)
    })
}

fn percent(confidence: f64) -> f64 {
    rounded(confidence * 100.0)
}

fn in_language(text: &str, source: &str, target: &str, html: bool) -> String {
    let plain = |code: &str| if code == TRADITIONAL.0 { "zh" } else { code }.to_owned();
    let (source, target) = (plain(source), plain(target));
    let one = |text: &str| translation::translate(text, Some(&source), &target).text;
    if html {
        markup::between_tags(text, &[], one)
    } else {
        one(text)
    }
}

fn detect(call: &Call) -> Result<Answer, Answer> {
    let (texts, _) = Fields::read(call)?.texts()?;
    let found = language::detect(&texts.join("\n")).into_iter();
    let all: Vec<_> = found
        .map(|one| json!({ "confidence": percent(one.confidence), "language": one.code }))
        .collect();
    Ok(Answer::json(200, &json!(all)).fact("texts", texts.len()))
}

fn languages() -> Answer {
    let all = || language::NAMES.into_iter().chain([TRADITIONAL]);
    let targets: Vec<_> = all().map(|(code, _)| code).collect();
    let languages: Vec<_> = all()
        .map(|(code, name)| json!({ "code": code, "name": name, "targets": targets }))
        .collect();
    Answer::json(200, &json!(languages))
}
