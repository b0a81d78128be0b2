//! `DeepL`: several texts in one call, glossaries, and its own statuses (456 for a spent quota, 529 for overload).
//!
//! `POST /v2/translate` as JSON or form, `/v2/languages`, `/v2/usage`, `/v2/glossary-language-pairs`, and
//! `/v2/glossaries` and `/v3/glossaries` (create, list, get, delete; of version 2 also the entries). Key behind the word
//! `DeepL-Auth-Key`; keys that end in `:fx` belong to another host and are told so. English and Portuguese targets need
//! their variant (`EN-US`), as in the official clients. Overload is 503; 529 comes from a scripted status.

mod glossaries;
mod languages;
mod translate;

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    auth::{Keys, keys::after_scheme},
    call::Call,
    jobs::Jobs,
    vendor::{Class, Operation, Vendor},
};

const KEYS: Keys = Keys { vendor: "deepl" };
const TRANSLATE: Operation = Operation::new("translate", "translation.translate");
const LANGUAGES: Operation = Operation::other("languages");
const USAGE: Operation = Operation::other("usage");
const PAIRS: Operation = Operation::other("glossary-language-pairs");
const GLOSSARIES: Operation = Operation::other("glossaries");
const UNKNOWN: Operation = Operation::other("unknown");

/// Most bytes of a body with texts.
const TEXTS: usize = 128 * 1024;
/// Most bytes of a body with a glossary.
const GLOSSARY: usize = 10 * 1024 * 1024;
/// Characters that an account may have translated.
const ALLOWANCE: u64 = 1_000_000_000_000;

/// The simulator.
#[derive(Debug, Default)]
pub(super) struct DeepL {
    glossaries: Jobs<glossaries::Glossary>,
    /// Characters translated, by account.
    used: Mutex<BTreeMap<String, u64>>,
}

impl Vendor for DeepL {
    fn name(&self) -> &'static str {
        KEYS.vendor
    }

    fn account(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("base", base.to_owned()), ("key", KEYS.first())]
    }

    fn body_limit(&self) -> usize {
        GLOSSARY + 65_536
    }

    fn operation(&self, call: &Call) -> Operation {
        let segments = call.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["v2", "translate"] => TRANSLATE,
            ["v2", "languages"] => LANGUAGES,
            ["v2", "usage"] => USAGE,
            ["v2", "glossary-language-pairs"] => PAIRS,
            ["v2" | "v3", "glossaries"]
            | ["v2" | "v3", "glossaries", _]
            | ["v2", "glossaries", _, "entries"] => GLOSSARIES,
            _ => UNKNOWN,
        }
    }

    fn authenticate(&self, call: &Call) -> Result<String, Answer> {
        if let Some(owner) = KEYS.authorization(call, "DeepL-Auth-Key") {
            return Ok(owner);
        }
        let free = after_scheme(call, "DeepL-Auth-Key").is_some_and(|key| key.ends_with(":fx"));
        Err(if free {
            let body = json!({ "message": "Wrong endpoint. Use https://api-free.deepl.com" });
            finish(call, Answer::json(403, &body))
        } else {
            self.error(call, Class::Auth, "no valid DeepL-Auth-Key was sent")
        })
    }

    fn serve(&self, call: &Call) -> Result<Answer, Answer> {
        let operation = self.operation(call);
        if operation == UNKNOWN {
            return Err(self.error(call, Class::NotFound, "there is no such path"));
        }
        let allowed: &[&str] = match operation.call {
            "translate" => &["POST"],
            "glossaries" => &["GET", "POST", "DELETE"],
            "glossary-language-pairs" => &["GET"],
            _ => &["GET", "POST"],
        };
        if !allowed.contains(&call.method.as_str()) {
            return Err(finish(call, refusal(405, "Method not allowed")));
        }
        let answer = match operation.call {
            "translate" => self.translate(call),
            "languages" => languages_of(call),
            "usage" => Ok(self.usage(call)),
            "glossary-language-pairs" => Ok(Answer::json(200, &languages::pairs())),
            _ => self.glossaries(call),
        };
        answer
            .map(|answer| finish(call, answer))
            .map_err(|refusal| finish(call, refusal))
    }

    fn error(&self, call: &Call, class: Class, message: &str) -> Answer {
        let (status, known) = match class {
            Class::Auth => (403, "Authorization failed"),
            Class::Quota => (456, "Quota Exceeded"),
            Class::Rate => (429, "Too many requests"),
            Class::Invalid => (400, "Bad request"),
            Class::Unsupported => (400, "Value for 'target_lang' not supported."),
            Class::TooLarge => (413, "Request Entity Too Large"),
            Class::NotFound => (404, "Not found"),
            Class::Internal => (500, "Internal error"),
            Class::Unavailable => (503, "Resource currently unavailable"),
        };
        let body = json!({ "message": known, "detail": message });
        finish(call, Answer::json(status, &body))
    }

    fn reset(&self) {
        self.glossaries.clear();
        self.used.lock().clear();
    }
}

impl DeepL {
    fn usage(&self, call: &Call) -> Answer {
        let used = self.used.lock().get(&call.account).copied();
        let body =
            json!({ "character_count": used.unwrap_or_default(), "character_limit": ALLOWANCE });
        Answer::json(200, &body)
    }

    /// Counts characters; the refusal when they are more than is left.
    fn spend(&self, call: &Call, characters: usize) -> Result<(), Answer> {
        let mut used = self.used.lock();
        let count = used.entry(call.account.clone()).or_default();
        let after = count.saturating_add(u64::try_from(characters).unwrap_or(u64::MAX));
        if after > ALLOWANCE {
            let message = "the allowance of this billing period is spent";
            return Err(self.error(call, Class::Quota, message));
        }
        *count = after;
        Ok(())
    }
}

fn languages_of(call: &Call) -> Result<Answer, Answer> {
    // The official client sends it in the body of a GET.
    let fields = Fields::Form(call.form());
    let kind = call.query("type").or_else(|| fields.text("type"));
    match kind.as_deref().unwrap_or("source") {
        "source" => Ok(Answer::json(200, &languages::sources())),
        "target" => Ok(Answer::json(200, &languages::targets())),
        _ => Err(bad(
            "Parameter 'type' is invalid. 'source' and 'target' are valid values.",
        )),
    }
}

/// Parameters, from either kind of body.
enum Fields {
    Json(Map<String, Value>),
    Form(Vec<(String, String)>),
}

impl Fields {
    fn read(call: &Call) -> Result<Self, Answer> {
        match call.media_type().as_str() {
            "application/json" => match call.json() {
                Ok(Value::Object(fields)) => Ok(Self::Json(fields)),
                _ => Err(bad("Bad request. Reason: the body is not a JSON object")),
            },
            "application/x-www-form-urlencoded" => Ok(Self::Form(call.form())),
            _ => {
                let message = "Bad request. Reason: unsupported content type";
                let body = json!({ "message": message, "code": "invalid_content_type" });
                Err(Answer::json(400, &body))
            }
        }
    }

    /// A parameter that is one string; `None` if it is absent or something else.
    fn text(&self, name: &str) -> Option<String> {
        match self {
            Self::Json(fields) => fields.get(name)?.as_str().map(str::to_owned),
            Self::Form(pairs) => {
                let found = pairs.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone())
            }
        }
    }

    /// A parameter that is several strings: an array, or repeated; `None` if it is absent or something else.
    fn texts(&self, name: &str) -> Option<Vec<String>> {
        match self {
            Self::Json(fields) => {
                let items = fields.get(name)?.as_array()?.iter();
                items.map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Self::Form(pairs) => {
                let found = pairs.iter().filter(|(key, _)| key == name);
                let values: Vec<_> = found.map(|(_, value)| value.clone()).collect();
                (!values.is_empty()).then_some(values)
            }
        }
    }

    /// Whether a parameter is set: `true`, or `1` in a form.
    fn flag(&self, name: &str) -> bool {
        match self {
            Self::Json(fields) => fields.get(name) == Some(&Value::Bool(true)),
            Self::Form(_) => {
                let value = self.text(name);
                value.is_some_and(|value| value == "1" || value == "true")
            }
        }
    }

    /// A parameter that is one of a few words.
    fn one_of(&self, name: &str, allowed: &[&str]) -> Result<Option<String>, Answer> {
        let absent = match self {
            Self::Json(fields) => fields.get(name).is_none_or(Value::is_null),
            Self::Form(_) => self.text(name).is_none(),
        };
        match self.text(name) {
            Some(value) if allowed.contains(&value.as_str()) => Ok(Some(value)),
            None if absent => Ok(None),
            _ => Err(not_supported(name)),
        }
    }
}

fn bad(message: &str) -> Answer {
    refusal(400, message)
}

fn not_supported(name: &str) -> Answer {
    bad(&format!("Value for '{name}' not supported."))
}

fn missing(name: &str) -> Answer {
    bad(&format!("Parameter '{name}' not specified."))
}

fn refusal(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "message": message }))
}

/// The header that every answer has.
fn finish(call: &Call, answer: Answer) -> Answer {
    answer.header("x-trace-id", call.hex_id("trace", 32))
}
