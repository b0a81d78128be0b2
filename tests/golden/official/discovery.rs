//! Google's discovery documents.

use std::{collections::BTreeSet, sync::Arc};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::{
    is_of,
    schema::{check, readings_of_all, validator},
};
use crate::{
    exchange::Sent,
    render::{media_type, pairs},
};

/// Headers that every service takes: a key, and the project that pays for a token's calls.
const USUAL: [&str; 5] = [
    "host",
    "content-type",
    "authorization",
    "x-goog-api-key",
    "x-goog-user-project",
];

pub(super) fn mistakes(document: &'static Value, sent: &Sent) -> Vec<String> {
    let service = document["servicePath"].as_str().unwrap_or_default();
    let mut methods = Vec::new();
    gather(document, &mut methods);
    let path = sent.uri.path().trim_start_matches('/');
    let fits = |method: &&&Value| {
        let template = format!("{service}{}", method["path"].as_str().unwrap());
        method["httpMethod"] == sent.method.as_str() && is_of(&template, path)
    };
    let Some(method) = methods.iter().find(fits) else {
        return vec!["no such method".to_owned()];
    };
    let mut mistakes = Vec::new();
    for (name, _) in &sent.headers {
        if !USUAL.contains(&name.as_str()) {
            mistakes.push(format!("the header `{name}` is not known"));
        }
    }
    query(document, method, sent, &mut mistakes);
    match method["request"]["$ref"].as_str() {
        Some(schema) if media_type(sent) == "application/json" => {
            match serde_json::from_slice(&sent.body) {
                Ok(body) => {
                    mistakes.extend(check(&of(document, &json!({ "$ref": schema })), &body))
                }
                Err(_) => mistakes.push("the body is not JSON".to_owned()),
            }
        }
        Some(_) => mistakes.push(format!("a body of `{}`", media_type(sent))),
        None if sent.body.is_empty() => {}
        None => mistakes.push("a body, where none is described".to_owned()),
    }
    mistakes
}

fn gather<'d>(level: &'d Value, methods: &mut Vec<&'d Value>) {
    methods.extend(
        level["methods"]
            .as_object()
            .into_iter()
            .flat_map(Map::values),
    );
    for resource in level["resources"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
    {
        gather(resource, methods);
    }
}

fn query(document: &'static Value, method: &Value, sent: &Sent, mistakes: &mut Vec<String>) {
    let pairs = pairs(sent.uri.query().unwrap_or_default());
    let names: BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    for name in &names {
        let of_method = method["parameters"]
            .get(name)
            .filter(|known| known["location"] == "query");
        let Some(described) = of_method.or_else(|| document["parameters"].get(name)) else {
            mistakes.push(format!("`{name}` is no parameter of the query"));
            continue;
        };
        let mut described = described.clone();
        described.as_object_mut().unwrap().remove("required");
        let validator = of(document, &described);
        let values: Vec<&str> = pairs
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect();
        if !readings_of_all(&values)
            .iter()
            .any(|value| validator.is_valid(value))
        {
            mistakes.push(format!("`{name}` in the query is {values:?}"));
        }
    }
    for (name, parameter) in method["parameters"].as_object().into_iter().flatten() {
        if parameter["location"] == "query"
            && parameter["required"] == true
            && !names.contains(name.as_str())
        {
            mistakes.push(format!("`{name}` is missing in the query"));
        }
    }
}

fn of(document: &'static Value, schema: &Value) -> Arc<Validator> {
    validator(document, schema, || complete(document, schema))
}

fn complete(document: &'static Value, schema: &Value) -> Value {
    let mut defs = Map::new();
    let outer = convert(document, schema, &mut defs);
    json!({ "allOf": [outer], "$defs": defs })
}

fn convert(document: &'static Value, schema: &Value, defs: &mut Map<String, Value>) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        if !defs.contains_key(name) {
            defs.insert(name.to_owned(), Value::Bool(true));
            let converted = convert(document, &document["schemas"][name], defs);
            defs.insert(name.to_owned(), converted);
        }
        return json!({ "$ref": format!("#/$defs/{name}") });
    }
    let mut out = Map::new();
    for name in ["enum", "pattern", "minimum", "maximum"] {
        if let Some(value) = schema.get(name) {
            // Limits are written as texts.
            let number = value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            let value = number
                .filter(|_| name.ends_with("imum"))
                .unwrap_or_else(|| value.clone());
            out.insert(name.to_owned(), value);
        }
    }
    match schema["type"].as_str() {
        None | Some("any") => return json!(true),
        Some("object") => {
            out.insert("type".to_owned(), json!("object"));
            if let Some(values) = schema.get("additionalProperties") {
                let values = convert(document, values, defs);
                out.insert("additionalProperties".to_owned(), values);
            } else {
                let properties = schema["properties"].as_object().into_iter().flatten();
                let properties: Map<String, Value> = properties
                    .map(|(name, schema)| (name.clone(), convert(document, schema, defs)))
                    .collect();
                out.insert("properties".to_owned(), properties.into());
                out.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Some("array") => {
            let items = convert(document, &schema["items"], defs);
            out.insert("type".to_owned(), json!("array"));
            out.insert("items".to_owned(), items);
        }
        Some(other) => {
            out.insert("type".to_owned(), json!(other));
        }
    }
    out.into()
}
