//! `OpenAPI` 3 and Swagger 2.

use std::{collections::BTreeSet, sync::Arc};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::{
    is_of,
    schema::{Converter, check, readings_of_all, validator},
};
use crate::{
    exchange::Sent,
    render::{media_type, pairs, parts},
};

/// Headers that every request has, and that say how the caller proves who it is where the description is silent.
const USUAL: [&str; 5] = [
    "host",
    "content-type",
    "accept",
    "authorization",
    "user-agent",
];

/// Bodies that vendors take by their own pages and leave out of their files: addresses, media types, and why.
const OTHERWISE: [(&str, &str, &str); 2] = [
    (
        "api.deepgram.com/v1/listen",
        "audio/",
        "the file describes recordings by address alone",
    ),
    (
        "libretranslate.com/",
        "application/json",
        "the file says of every body that it is a text, and no more",
    ),
];

pub(super) fn mistakes(document: &'static Value, sent: &Sent) -> Vec<String> {
    let Some((template, item)) = find(document, sent.uri.path()) else {
        return vec!["no such path".to_owned()];
    };
    let Some(operation) = item.get(sent.method.as_str().to_lowercase()) else {
        return vec![format!("`{template}` has no such method")];
    };
    let parameters = parameters(document, item, operation);
    let mut mistakes = Vec::new();
    query(document, &parameters, sent, &mut mistakes);
    headers(document, &parameters, sent, &mut mistakes);
    match body_schema(document, operation, &parameters, sent) {
        Body::None if sent.body.is_empty() => {}
        Body::None => mistakes.push("a body, where none is described".to_owned()),
        Body::Raw => {}
        Body::Undescribed(kinds) => mistakes.push(format!(
            "a body of `{}`; described: {kinds}",
            media_type(sent)
        )),
        Body::Json(schema) => match serde_json::from_slice(&sent.body) {
            Ok(body) => mistakes.extend(check(&of(document, &schema), &body)),
            Err(_) => mistakes.push("the body is not JSON".to_owned()),
        },
        Body::Form(schema) => form(document, &schema, sent, &mut mistakes),
    }
    mistakes
}

fn of(document: &'static Value, schema: &Value) -> Arc<Validator> {
    validator(document, schema, || {
        Converter::new(document).complete(schema)
    })
}

/// The path's template and what stands under it.
fn find(document: &'static Value, path: &str) -> Option<(&'static str, &'static Value)> {
    let swagger = document.get("swagger").is_some();
    for base in bases(document) {
        let Some(rest) = path.strip_prefix(base.trim_end_matches('/')) else {
            continue;
        };
        for (template, item) in document["paths"].as_object().into_iter().flatten() {
            // Swagger's authors at one vendor write paths in any case.
            let same = is_of(template, rest)
                || swagger && is_of(&template.to_lowercase(), &rest.to_lowercase());
            if same {
                return Some((template, item));
            }
        }
    }
    None
}

/// Paths below which the description's own begin.
fn bases(document: &'static Value) -> Vec<String> {
    let path = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.find('/')
            .map_or_else(String::new, |at| rest[at..].to_owned())
    };
    let mut bases: Vec<String> = Vec::new();
    for server in document["servers"].as_array().into_iter().flatten() {
        bases.extend(server["url"].as_str().map(path));
    }
    bases.extend(document["basePath"].as_str().map(str::to_owned));
    bases.extend(
        document["x-ms-parameterized-host"]["hostTemplate"]
            .as_str()
            .map(path),
    );
    if bases.is_empty() {
        bases.push(String::new());
    }
    bases
}

fn resolved<'d>(document: &'static Value, value: &'d Value) -> &'d Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(&reference[1..]).unwrap_or(value),
        None => value,
    }
}

fn parameters<'d>(
    document: &'static Value,
    item: &'d Value,
    operation: &'d Value,
) -> Vec<&'d Value> {
    let of = |value: &'d Value| {
        value
            .get("parameters")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    of(item)
        .chain(of(operation))
        .map(|parameter| resolved(document, parameter))
        .collect()
}

/// A parameter's schema: its own key, or in Swagger the parameter itself.
fn schema_of(parameter: &Value) -> Value {
    parameter.get("schema").cloned().unwrap_or_else(|| {
        let mut schema = parameter.clone();
        if let Some(object) = schema.as_object_mut() {
            // In a parameter this is a truth, in a schema a list.
            object.remove("required");
        }
        schema
    })
}

fn fits(document: &'static Value, schema: &Value, texts: &[&str]) -> Option<Value> {
    let validator = of(document, schema);
    readings_of_all(texts)
        .into_iter()
        .find(|value| validator.is_valid(value))
}

fn is_in(parameter: &Value, place: &str) -> bool {
    parameter["in"] == place
}

fn is_required(parameter: &Value) -> bool {
    parameter["required"] == true
}

fn query(document: &'static Value, parameters: &[&Value], sent: &Sent, mistakes: &mut Vec<String>) {
    let pairs = pairs(sent.uri.query().unwrap_or_default());
    let names: BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let described = || {
        parameters
            .iter()
            .filter(|parameter| is_in(parameter, "query"))
    };
    for name in &names {
        let Some(parameter) = described().find(|parameter| parameter["name"] == *name) else {
            mistakes.push(format!("`{name}` is no parameter of the query"));
            continue;
        };
        let values: Vec<&str> = pairs
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect();
        if fits(document, &schema_of(parameter), &values).is_none() {
            mistakes.push(format!("`{name}` in the query is {values:?}"));
        }
    }
    for parameter in described().filter(|parameter| is_required(parameter)) {
        let name = parameter["name"].as_str().unwrap();
        if !names.contains(name) {
            mistakes.push(format!("`{name}` is missing in the query"));
        }
    }
}

fn headers(
    document: &'static Value,
    parameters: &[&Value],
    sent: &Sent,
    mistakes: &mut Vec<String>,
) {
    let schemes = ["/components/securitySchemes", "/securityDefinitions"]
        .into_iter()
        .filter_map(|place| document.pointer(place)?.as_object())
        .flatten()
        .filter(|(_, scheme)| is_in(scheme, "header"))
        .filter_map(|(_, scheme)| scheme["name"].as_str());
    let schemes: Vec<String> = schemes.map(str::to_lowercase).collect();
    let described = || {
        parameters
            .iter()
            .filter(|parameter| is_in(parameter, "header"))
    };
    let is_named = |parameter: &Value, name: &str| {
        parameter["name"]
            .as_str()
            .is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    for (name, value) in &sent.headers {
        let name = name.as_str();
        match described().find(|parameter| is_named(parameter, name)) {
            Some(parameter) => {
                let value = value.to_str().unwrap();
                if fits(document, &schema_of(parameter), &[value]).is_none() {
                    mistakes.push(format!("the header `{name}` is {value:?}"));
                }
            }
            None if USUAL.contains(&name) || schemes.iter().any(|scheme| scheme == name) => {}
            None => mistakes.push(format!("the header `{name}` is not described")),
        }
    }
    // What proves who the caller is may stand among the headers, and another way be used.
    for parameter in described().filter(|parameter| is_required(parameter)) {
        let name = parameter["name"].as_str().unwrap();
        if !sent.headers.contains_key(name) {
            mistakes.push(format!("the header `{name}` is missing"));
        }
    }
}

enum Body {
    None,
    Raw,
    Json(Value),
    Form(Value),
    Undescribed(String),
}

fn body_schema(
    document: &'static Value,
    operation: &Value,
    parameters: &[&Value],
    sent: &Sent,
) -> Body {
    let own = media_type(sent);
    if let Some(body) = parameters.iter().find(|parameter| is_in(parameter, "body")) {
        return Body::Json(body["schema"].clone());
    }
    let fields: Vec<&&Value> = parameters
        .iter()
        .filter(|parameter| is_in(parameter, "formData"))
        .collect();
    if !fields.is_empty() {
        let properties: Map<String, Value> = fields
            .iter()
            .map(|field| (field["name"].as_str().unwrap().to_owned(), schema_of(field)))
            .collect();
        let required: Vec<&Value> = fields
            .iter()
            .filter(|field| is_required(field))
            .map(|field| &field["name"])
            .collect();
        return Body::Form(
            json!({ "type": "object", "properties": properties, "required": required }),
        );
    }
    let Some(body) = operation.get("requestBody") else {
        return Body::None;
    };
    let content = resolved(document, body)["content"].as_object().unwrap();
    match content.get(&own) {
        Some(media) if own.contains("json") => Body::Json(media["schema"].clone()),
        Some(media) if own.starts_with("multipart/") || own.contains("form") => {
            Body::Form(media["schema"].clone())
        }
        Some(_) => Body::Raw,
        None if OTHERWISE.iter().any(|(address, kind, _)| {
            super::address(sent).starts_with(address) && own.starts_with(kind)
        }) =>
        {
            Body::Raw
        }
        None => Body::Undescribed(content.keys().cloned().collect::<Vec<_>>().join(", ")),
    }
}

/// The schema of a field, wherever in the form's schema it stands.
fn field<'d>(document: &'static Value, schema: &'d Value, name: &str) -> Option<&'d Value> {
    let schema = resolved(document, schema);
    if let Some(found) = schema["properties"].get(name) {
        return Some(found);
    }
    ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema[*key].as_array())
        .flatten()
        .find_map(|part| field(document, part, name))
}

/// The definition of the JSON that a text holds, which Swagger can say in words only: "JSON containing a `JobConfig` model".
fn model(described: &Value) -> Option<&str> {
    let words = described["description"].as_str()?;
    let (_, after) = words.split_once("JSON containing a `")?;
    after.split('`').next()
}

/// A form's parts, each read as what its field's schema wants, against the schema of them all.
fn form(document: &'static Value, schema: &Value, sent: &Sent, mistakes: &mut Vec<String>) {
    let parts = parts(sent);
    let mut object = Map::new();
    for part in &parts {
        // A list's name is often written so, described or not.
        let bare = part.name.trim_end_matches("[]");
        let found = [part.name.as_str(), bare]
            .into_iter()
            .find_map(|name| Some((name, field(document, schema, name)?)));
        let Some((name, described)) = found else {
            mistakes.push(format!("`{}` is no part of the form", part.name));
            continue;
        };
        if object.contains_key(name) {
            continue;
        }
        let texts: Vec<String> = parts
            .iter()
            .filter(|other| other.name == part.name)
            .map(|part| {
                if part.file.is_some() {
                    "a file".to_owned()
                } else {
                    String::from_utf8(part.content.clone()).unwrap()
                }
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let is_json = part.file.is_none()
            && part
                .media_type
                .as_deref()
                .is_some_and(|kind| kind.contains("json"));
        if let (true, Some(model)) = (is_json, model(described)) {
            match serde_json::from_slice(&part.content) {
                Ok(value) => mistakes.extend(check(
                    &of(
                        document,
                        &json!({ "$ref": format!("#/definitions/{model}") }),
                    ),
                    &value,
                )),
                Err(_) => mistakes.push(format!("the part `{}` is not JSON", part.name)),
            }
        }
        let value = match part.media_type.as_deref() {
            Some(_) if is_json && described["type"] != "string" => {
                serde_json::from_slice(&part.content).ok()
            }
            _ => fits(document, described, &texts),
        };
        match value {
            Some(value) => {
                object.insert(name.to_owned(), value);
            }
            None => mistakes.push(format!("the part `{}` is {texts:?}", part.name)),
        }
    }
    mistakes.extend(check(&of(document, schema), &object.into()));
}
