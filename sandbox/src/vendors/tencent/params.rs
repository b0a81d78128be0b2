//! Parameters of a call, checked against the catalogue: names, types, and which must be there.

use serde_json::{Map, Value};

use super::failure;
use crate::{answer::Answer, call::Call};

/// One parameter that an action takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// A whole number from zero.
    Natural,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A list of strings.
    Texts,
    /// A list of objects.
    Objects,
}

/// One that must be there.
pub(super) const fn must(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// One that may be there.
pub(super) const fn may(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// Parameters of the right names and types.
#[derive(Debug)]
pub(super) struct Params(Map<String, Value>);

impl Params {
    /// Reads the body; the refusal is the vendor's own. `null` is as good as absent.
    pub(super) fn read(call: &Call, fields: &[Field]) -> Result<Self, Answer> {
        if call.media_type() != "application/json" {
            let message = "The content type is not application/json.";
            return Err(failure(call, "InvalidRequest", message));
        }
        let Ok(Value::Object(mut given)) = call.json() else {
            let message = "The request body is not a JSON object.";
            return Err(failure(call, "InvalidParameter", message));
        };
        given.retain(|_, value| !value.is_null());
        for (name, value) in &given {
            let Some(field) = fields.iter().find(|field| field.name == name) else {
                let message = format!("The parameter `{name}` is not recognized.");
                return Err(failure(call, "UnknownParameter", &message));
            };
            if !field.kind.holds(value) {
                let message = format!("The value type of parameter `{name}` is not valid.");
                return Err(failure(call, "InvalidParameter", &message));
            }
        }
        let missing = |field: &&Field| field.required && !given.contains_key(field.name);
        if let Some(field) = fields.iter().find(missing) {
            let name = field.name;
            let message = format!("The request is missing a required parameter `{name}`.");
            return Err(failure(call, "MissingParameter", &message));
        }
        Ok(Self(given))
    }

    /// A string; empty if absent.
    pub(super) fn text(&self, name: &str) -> &str {
        let value = self.0.get(name).and_then(Value::as_str);
        value.unwrap_or_default()
    }

    /// A whole number, if there.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// A number, if there.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    /// A list of strings; empty if absent.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }
}

impl Kind {
    fn holds(self, value: &Value) -> bool {
        let all =
            |right: fn(&Value) -> bool| value.as_array().is_some_and(|list| list.iter().all(right));
        match self {
            Self::Text => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Natural => value.is_u64(),
            Self::Number => value.is_number(),
            Self::Flag => value.is_boolean(),
            Self::Texts => all(Value::is_string),
            Self::Objects => all(Value::is_object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ACTIONS, *};

    /// The kind that a member of the vendor's catalogue has.
    fn kind(member: &Value) -> Kind {
        match (
            member["type"].as_str().unwrap(),
            member["member"].as_str().unwrap(),
        ) {
            ("string", _) => Kind::Text,
            ("int", "int64") => Kind::Integer,
            ("int", "uint64") => Kind::Natural,
            ("float", _) => Kind::Number,
            ("bool", _) => Kind::Flag,
            ("list", "string") => Kind::Texts,
            ("list", _) => Kind::Objects,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_action_takes_what_the_catalogue_says() {
        let Ok(folder) = std::env::var("ISOBAR_CONTRACTS") else {
            eprintln!("skipped: ISOBAR_CONTRACTS is not set");
            return;
        };
        for action in ACTIONS {
            let file = match action.service {
                "nlp" => "language/tencent-nlp.tccli.json",
                "tmt" => "translation/tencent-tmt.tccli.json",
                "tts" => "speech/tencent-tts.tccli.json",
                _ => "speech/tencent-asr.tccli.json",
            };
            let path = std::path::Path::new(&folder).join(file);
            let catalogue: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            assert_eq!(catalogue["metadata"]["apiVersion"], action.version);
            assert_eq!(catalogue["metadata"]["serviceShortName"], action.service);
            let name = action.operation.call;
            let input = catalogue["actions"][name]["input"].as_str().unwrap();
            let members = catalogue["objects"][input]["members"].as_array().unwrap();
            let theirs: Vec<_> = members
                .iter()
                .map(|member| {
                    let required = member["required"].as_bool().unwrap_or_default();
                    (member["name"].as_str().unwrap(), kind(member), required)
                })
                .collect();
            let ours: Vec<_> = action
                .fields
                .iter()
                .map(|field| (field.name, field.kind, field.required))
                .collect();
            assert_eq!(ours, theirs, "{name}");
        }
    }
}
