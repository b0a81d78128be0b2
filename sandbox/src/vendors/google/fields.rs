//! Requests as protocol buffers in JSON: unknown fields and wrong types are refused, names may be in either case, enum
//! values may be numbers, and what is zero counts as absent.

use serde_json::{Map, Value};

use super::errors;
use crate::{answer::Answer, call::Call};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// Base64.
    Bytes,
    /// A boolean.
    Flag,
    /// A whole number of 32 bits.
    Whole,
    /// A number.
    Number,
    /// One of these names, by name or place.
    One(&'static [&'static str]),
    /// A message.
    Message(&'static [Field]),
    /// A message that is not looked into.
    Any,
    /// Many of something.
    List(&'static Kind),
}

/// A field, by its name in camel case.
pub(super) type Field = (&'static str, Kind);

/// A message that was read: fields in camel case, enum values by name, no nulls.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    held: Map<String, Value>,
}

impl Message {
    /// A string; `None` if absent or empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.held.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    /// A boolean; absent is false.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.held
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// A whole number; absent is 0.
    pub(super) fn whole(&self, name: &str) -> i64 {
        self.held
            .get(name)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    }

    /// A number; absent is 0.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.held
            .get(name)
            .and_then(Value::as_f64)
            .unwrap_or_default()
    }

    /// A message; absent is empty.
    pub(super) fn message(&self, name: &str) -> Self {
        let held = self.held.get(name).and_then(Value::as_object);
        Self {
            held: held.cloned().unwrap_or_default(),
        }
    }

    /// Strings; absent is none.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.held.get(name).and_then(Value::as_array);
        let list = list.map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect()
    }

    /// Whether a field is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.held.contains_key(name)
    }
}

/// Reads the body of a call as a message of these fields.
pub(super) fn read(call: &Call, fields: &'static [Field]) -> Result<Message, Answer> {
    let body = if call.body.is_empty() {
        Value::Object(Map::new())
    } else {
        let wrong = |error: String| {
            let message = format!("Invalid JSON payload received. {error}");
            errors::failure(call, 400, &message, &[])
        };
        call.json().map_err(wrong)?
    };
    let mut wrong = Vec::new();
    let held = message(fields, body, "", &mut wrong);
    if wrong.is_empty() {
        Ok(Message { held })
    } else {
        Err(errors::violations(call, &wrong))
    }
}

type Wrong = Vec<(String, String)>;

fn message(
    fields: &'static [Field],
    value: Value,
    place: &str,
    wrong: &mut Wrong,
) -> Map<String, Value> {
    let mut held = Map::new();
    let Value::Object(object) = value else {
        wrong.push((place.to_owned(), invalid(place, &value)));
        return held;
    };
    for (name, value) in object {
        let Some((known, kind)) = fields
            .iter()
            .find(|(known, _)| *known == name || snake(known) == name)
        else {
            let sentence = format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."
            );
            wrong.push((place.to_owned(), sentence));
            continue;
        };
        let inner = if place.is_empty() {
            snake(known)
        } else {
            format!("{place}.{}", snake(known))
        };
        if let Some(value) = field(*kind, value, &inner, wrong) {
            held.insert((*known).to_owned(), value);
        }
    }
    held
}

fn field(kind: Kind, value: Value, place: &str, wrong: &mut Wrong) -> Option<Value> {
    let read = match (kind, &value) {
        (_, Value::Null) => return None,
        (Kind::Text | Kind::Bytes, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => {
            Some(value.clone())
        }
        (Kind::Any, Value::Object(_)) => return Some(value),
        (Kind::Whole, _) => whole(&value).map(Value::from),
        (Kind::Number, Value::Number(_)) => Some(value.clone()),
        (Kind::Number, Value::String(text)) => text.parse::<f64>().ok().map(Value::from),
        (Kind::One(names), Value::String(name)) => {
            let known = names.contains(&name.as_str());
            known.then(|| value.clone())
        }
        (Kind::One(names), Value::Number(number)) => {
            let place = number
                .as_u64()
                .and_then(|place| usize::try_from(place).ok());
            let name = place.and_then(|place| names.get(place));
            name.map(|name| Value::from(*name))
        }
        (Kind::Message(fields), Value::Object(_)) => {
            return Some(Value::Object(message(fields, value, place, wrong)));
        }
        (Kind::List(kind), Value::Array(list)) => {
            let each = list.iter().enumerate().filter_map(|(number, value)| {
                field(*kind, value.clone(), &format!("{place}[{number}]"), wrong)
            });
            return Some(each.collect());
        }
        _ => None,
    };
    if read.is_none() {
        wrong.push((place.to_owned(), invalid(place, &value)));
    }
    read
}

/// A whole number of 32 bits, also written as text or with a fraction of zero.
fn whole(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let text = number.to_string();
            text.strip_suffix(".0")?.parse().ok()
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| i32::try_from(*number).is_ok())
}

fn invalid(place: &str, value: &Value) -> String {
    let mut shown = value.to_string();
    shown.truncate(shown.floor_char_boundary(80));
    format!("Invalid value at '{place}', {shown}")
}

/// `sampleRateHertz` as `sample_rate_hertz`.
fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INNER: &[Field] = &[("encoding", Kind::One(&["NONE", "LINEAR16"]))];
    const FIELDS: &[Field] = &[
        ("languageCode", Kind::Text),
        ("sampleRateHertz", Kind::Whole),
        ("useEnhanced", Kind::Flag),
        ("boost", Kind::Number),
        ("config", Kind::Message(INNER)),
        ("phrases", Kind::List(&Kind::Text)),
    ];

    fn check(body: &Value) -> Result<Message, Value> {
        let body = body.to_string();
        let call = Call::test(
            "POST",
            "google",
            "/v1/speech:recognize",
            &[],
            body.as_bytes(),
        );
        read(&call, FIELDS).map_err(|answer| match answer.content {
            crate::answer::Content::Whole(bytes) => serde_json::from_slice(&bytes).unwrap(),
            _ => panic!("not whole"),
        })
    }

    #[test]
    fn both_cases_numbers_for_names_and_text_for_numbers_are_read() {
        let read = check(&json!({
            "language_code": "en", "sampleRateHertz": "16000", "boost": 2, "config": { "encoding": 1 },
            "phrases": ["a"], "useEnhanced": null,
        }))
        .unwrap();
        assert_eq!(read.text("languageCode"), Some("en"));
        assert_eq!(read.whole("sampleRateHertz"), 16_000);
        assert_eq!(read.message("config").text("encoding"), Some("LINEAR16"));
        assert_eq!(read.texts("phrases"), ["a"]);
        assert!(!read.flag("useEnhanced") && read.number("boost") > 1.0);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let body = json!({
            "languageCode": 7, "sampleRateHertz": 1.5, "useEnhanced": "yes", "model": "x",
            "config": { "encoding": "TAPE", "rate": 1 }, "phrases": [1],
        });
        let error = check(&body).unwrap_err();
        let violations = error["error"]["details"][0]["fieldViolations"]
            .as_array()
            .unwrap();
        let places: Vec<_> = violations
            .iter()
            .map(|violation| violation["field"].as_str().unwrap())
            .collect();
        assert_eq!(
            places,
            [
                "language_code",
                "sample_rate_hertz",
                "use_enhanced",
                "",
                "config.encoding",
                "config",
                "phrases[0]"
            ]
        );
        assert_eq!(error["error"]["status"], "INVALID_ARGUMENT");
        assert!(check(&json!([])).is_err() && check(&json!("x")).is_err());
    }
}
