//! What callers give, held against what a composition asks for.

use isobar_adapters::Blob;
use serde_json::{Map, Value};

use super::slot::Slot;
use crate::{plan::Plan, shape::Shape};

/// An input that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

impl Plan {
    /// Checks what a caller gives: every input by its own name, values already of their JSON kind.
    pub fn accept(
        &self,
        mut fields: Map<String, Value>,
        mut blobs: Vec<(String, Blob)>,
    ) -> Result<Slot, BadInput> {
        let mut slot = Slot {
            json: Value::Object(Map::new()),
            ..Slot::default()
        };
        let mut taken = Map::new();
        for input in &self.inputs {
            let name = &input.name;
            let (optional, shape) = match &input.shape {
                Shape::Optional(shape) => (true, &**shape),
                shape => (input.default.is_some(), shape),
            };
            if *shape == Shape::Blob {
                match blobs.iter().position(|(known, _)| known == name) {
                    Some(at) => {
                        let (_, blob) = blobs.swap_remove(at);
                        if blob.length() > input.most {
                            return Err(BadInput(format!(
                                "`{name}` has {} bytes; at most {} are taken",
                                blob.length(),
                                input.most
                            )));
                        }
                        slot.put(name, blob);
                    }
                    None if optional => {}
                    None => return Err(missing(name)),
                }
                continue;
            }
            match fields
                .remove(name.as_str())
                .filter(|value| !value.is_null())
            {
                Some(mut value) => {
                    if let Some(why) = misfit(shape, &value, &format!("`{name}`")) {
                        return Err(BadInput(why));
                    }
                    floats(shape, &mut value);
                    taken.insert(name.clone(), value);
                }
                None => match &input.default {
                    Some(default) => {
                        taken.insert(name.clone(), default.clone());
                    }
                    None if optional => {}
                    None => return Err(missing(name)),
                },
            }
        }
        let unknown = fields
            .keys()
            .chain(blobs.iter().map(|(name, _)| name))
            .next();
        if let Some(name) = unknown {
            let known: Vec<String> = self
                .inputs
                .iter()
                .map(|input| format!("`{}`", input.name))
                .collect();
            return Err(BadInput(format!(
                "there is no input `{name}`; known are {}",
                known.join(", ")
            )));
        }
        if let Some(all) = slot.json.as_object_mut() {
            all.extend(taken);
        }
        Ok(slot)
    }
}

/// Writes whole numbers as floats where any number may be: expressions do not mix the two kinds.
fn floats(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Optional(inner), value) => floats(inner, value),
        (Shape::Number, value) => {
            if let Some(number) = value.as_f64().and_then(serde_json::Number::from_f64) {
                *value = Value::Number(number);
            }
        }
        (Shape::List(inner), Value::Array(items)) => {
            for item in items {
                floats(inner, item);
            }
        }
        (Shape::Object { fields, .. }, Value::Object(members)) => {
            for (name, shape) in fields {
                if let Some(member) = members.get_mut(name) {
                    floats(shape, member);
                }
            }
        }
        _ => {}
    }
}

fn missing(name: &str) -> BadInput {
    BadInput(format!("the input `{name}` is missing"))
}

/// A text from a path, a query, a header or a form as the JSON that its input wants.
pub fn from_text(shape: &Shape, text: &str) -> Value {
    match shape {
        Shape::Optional(shape) => from_text(shape, text),
        Shape::Bool => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            other => Value::from(other),
        },
        Shape::Integer => text
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from),
        Shape::Number => text
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Value::from(text), Value::Number),
        Shape::List(_) | Shape::Object { .. } | Shape::Any => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
        }
        Shape::Text(_) | Shape::Nothing | Shape::Blob => Value::from(text),
    }
}

/// Why a value is not of a shape; `None` when it is. `at` names the value.
pub(crate) fn misfit(shape: &Shape, value: &Value, at: &str) -> Option<String> {
    let is = |what: &str| Some(format!("{at} is {}, not {what}", kind(value)));
    match shape {
        Shape::Any => None,
        Shape::Nothing => (!value.is_null()).then(|| format!("{at} is not nothing")),
        Shape::Optional(inner) => (!value.is_null())
            .then(|| misfit(inner, value, at))
            .flatten(),
        Shape::Bool => (!value.is_boolean()).then(|| is("true or false")).flatten(),
        Shape::Integer => {
            let whole = value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0);
            (!whole).then(|| is("a whole number")).flatten()
        }
        Shape::Number => (!value.is_number()).then(|| is("a number")).flatten(),
        Shape::Text(choices) => match value {
            Value::String(text) if choices.is_empty() || choices.contains(text) => None,
            Value::String(text) => {
                let shown: String = text.chars().take(40).collect();
                Some(format!(
                    "{at} is `{shown}`, which is none of {}",
                    choices.join(", ")
                ))
            }
            _ => is("a text"),
        },
        Shape::Blob => is("a file"),
        Shape::List(inner) => match value {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| misfit(inner, item, &format!("{at}[{index}]"))),
            _ => is("a list"),
        },
        Shape::Object { fields, others } => {
            let Value::Object(members) = value else {
                return is("an object");
            };
            let known = fields
                .iter()
                .find_map(|(name, shape)| match (members.get(name), shape) {
                    (Some(member), shape) => misfit(shape, member, &format!("{at}.{name}")),
                    (None, Shape::Optional(_) | Shape::Any | Shape::Nothing) => None,
                    (None, _) => Some(format!("{at} has no `{name}`")),
                });
            known.or_else(|| {
                let mut more = members
                    .iter()
                    .filter(|(name, _)| !fields.contains_key(*name));
                match others {
                    Some(shape) => more
                        .find_map(|(name, member)| misfit(shape, member, &format!("{at}.{name}"))),
                    None => more
                        .next()
                        .map(|(name, _)| format!("{at} has `{name}`, which is not known")),
                }
            })
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
