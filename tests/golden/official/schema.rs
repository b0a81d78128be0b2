//! Schemas as descriptions write them, as JSON Schema 2020-12 that takes nothing that is not described.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The validator of a part of a document, made once: `make` gives a complete JSON Schema.
pub(super) fn validator(
    document: &'static Value,
    part: &Value,
    make: impl FnOnce() -> Value,
) -> Arc<Validator> {
    static MADE: LazyLock<Mutex<HashMap<(usize, String), Arc<Validator>>>> =
        LazyLock::new(Mutex::default);
    let key = (std::ptr::from_ref(document).addr(), part.to_string());
    if let Some(made) = MADE.lock().unwrap().get(&key) {
        return Arc::clone(made);
    }
    let made = jsonschema::draft202012::new(&make()).unwrap_or_else(|error| panic!("{error}"));
    let made = Arc::new(made);
    MADE.lock().unwrap().insert(key, Arc::clone(&made));
    made
}

/// What is wrong with an instance.
pub(super) fn check(validator: &Validator, instance: &Value) -> Vec<String> {
    validator
        .iter_errors(instance)
        .map(|mistake| {
            let mut told = mistake.to_string();
            if let Some((at, _)) = told.char_indices().nth(400) {
                told.truncate(at);
            }
            format!("at `{}`: {told}", mistake.instance_path())
        })
        .collect()
}

/// Words that mean the same in a description and in JSON Schema.
const SAME: [&str; 13] = [
    "type",
    "enum",
    "const",
    "required",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "pattern",
];

/// Turns the schemas of one `OpenAPI` or Swagger document into JSON Schema.
pub(super) struct Converter<'d> {
    document: &'d Value,
    defs: Map<String, Value>,
}

impl<'d> Converter<'d> {
    pub(super) fn new(document: &'d Value) -> Self {
        Self {
            document,
            defs: Map::new(),
        }
    }

    /// A complete schema.
    pub(super) fn complete(mut self, schema: &Value) -> Value {
        let converted = self.convert(schema, false);
        json!({ "allOf": [converted], "$defs": self.defs })
    }

    /// `open` schemas stand beside others that describe more fields of the same object.
    fn convert(&mut self, schema: &Value, open: bool) -> Value {
        let Some(object) = schema.as_object() else {
            return schema.clone();
        };
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, open);
        }
        let mut out = Map::new();
        for name in SAME {
            if let Some(value) = object.get(name) {
                out.insert(name.to_owned(), value.clone());
            }
        }
        if object.get("type") == Some(&json!("file")) {
            out.insert("type".to_owned(), json!("string"));
        }
        for (name, limit) in [
            ("exclusiveMinimum", "minimum"),
            ("exclusiveMaximum", "maximum"),
        ] {
            match object.get(name) {
                // Version 3.0 says beside the limit that it is not included.
                Some(Value::Bool(true)) => {
                    if let Some(value) = out.remove(limit) {
                        out.insert(name.to_owned(), value);
                    }
                }
                Some(number @ Value::Number(_)) => {
                    out.insert(name.to_owned(), number.clone());
                }
                _ => {}
            }
        }
        let properties = object.get("properties").and_then(Value::as_object);
        if let Some(properties) = properties {
            let converted = properties
                .iter()
                .map(|(name, schema)| (name.clone(), self.convert(schema, false)));
            let converted: Map<String, Value> = converted.collect();
            out.insert("properties".to_owned(), converted.into());
        }
        for name in ["items", "additionalProperties"] {
            // Schemas that stand together mean: no more than all of them describe.
            let closes =
                object.get(name) == Some(&json!(false)) && (open || object.contains_key("allOf"));
            if let Some(schema) = object.get(name).filter(|_| !closes) {
                let converted = self.convert(schema, false);
                out.insert(name.to_owned(), converted);
            }
        }
        let together = properties.is_some() || object.contains_key("allOf");
        for name in ["allOf", "anyOf", "oneOf"] {
            if let Some(choices) = object.get(name).and_then(Value::as_array) {
                let open = open || together || name == "allOf";
                let converted: Vec<Value> = choices
                    .iter()
                    .map(|schema| self.convert(schema, open))
                    .collect();
                // Schemas that take nothing undescribed tell alternatives apart well enough, and some that are meant
                // to exclude each other do not.
                let name = if name == "oneOf" { "anyOf" } else { name };
                out.insert(name.to_owned(), converted.into());
            }
        }
        if !open && together && !out.contains_key("additionalProperties") {
            out.insert("unevaluatedProperties".to_owned(), json!(false));
        }
        let nullable = |name: &str| object.get(name) == Some(&json!(true));
        if nullable("nullable") || nullable("x-nullable") {
            return json!({ "anyOf": [out, { "type": "null" }] });
        }
        out.into()
    }

    fn reference(&mut self, reference: &str, open: bool) -> Value {
        let name = reference
            .trim_start_matches("#/")
            .replace(['/', '.', ' '], "_");
        let name = if open { format!("{name}__open") } else { name };
        if !self.defs.contains_key(&name) {
            self.defs.insert(name.clone(), Value::Bool(true));
            let target = self
                .document
                .pointer(&reference[1..])
                .unwrap_or_else(|| panic!("{reference}"));
            let converted = match target.get("discriminator").and_then(Value::as_str) {
                Some(field) if !open => self
                    .kinds(reference, field)
                    .unwrap_or_else(|| self.convert(target, open)),
                _ => self.convert(target, open),
            };
            self.defs.insert(name.clone(), converted);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// What a definition is that others build on, told apart by a field; Swagger says it from their side.
    fn kinds(&mut self, base: &str, field: &str) -> Option<Value> {
        let definitions = self.document.get("definitions")?.as_object()?;
        let builds = |schema: &Value| {
            let all = schema.get("allOf").and_then(Value::as_array);
            all.into_iter()
                .flatten()
                .any(|part| part.get("$ref") == Some(&json!(base)))
        };
        let mut kinds = Vec::new();
        for (_, schema) in definitions.iter().filter(|(_, schema)| builds(schema)) {
            let value = schema.get("x-ms-discriminator-value")?;
            let mut kind = self.convert(schema, false);
            kind["properties"][field] = json!({ "const": value });
            kinds.push(kind);
        }
        (!kinds.is_empty()).then(|| json!({ "anyOf": kinds }))
    }
}

/// What a text may be in JSON: itself, or the number or truth that it writes.
pub(super) fn readings(text: &str) -> Vec<Value> {
    let mut readings = vec![Value::String(text.to_owned())];
    if let Ok(value @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(text) {
        readings.push(value);
    }
    readings
}

/// What values of one name may be: one of them, or a list.
pub(super) fn readings_of_all(texts: &[&str]) -> Vec<Value> {
    let mut all = match texts {
        [one] => readings(one),
        _ => Vec::new(),
    };
    all.push(
        texts
            .iter()
            .map(|text| Value::String((*text).to_owned()))
            .collect(),
    );
    all.push(
        texts
            .iter()
            .filter_map(|text| readings(text).pop())
            .collect(),
    );
    all
}
