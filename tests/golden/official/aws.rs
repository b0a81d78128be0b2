//! AWS's service models: JSON with the operation in a header, and REST with members in paths, queries, headers and bodies.

use std::sync::Arc;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::{
    is_of,
    schema::{check, readings, validator},
};
use crate::{exchange::Sent, render::pairs};

/// Headers of the signature and of HTTP, which no operation describes.
const USUAL: [&str; 6] = [
    "host",
    "content-type",
    "authorization",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
];

pub(super) fn mistakes(model: &'static Value, sent: &Sent) -> Vec<String> {
    if !sent.headers.contains_key("authorization") {
        return vec!["the request is not signed".to_owned()];
    }
    let protocols = model["metadata"]["protocols"].as_array();
    let own = model["metadata"]["protocol"].as_str();
    let speaks = |name: &str| {
        own == Some(name) || protocols.is_some_and(|known| known.contains(&json!(name)))
    };
    if speaks("json") {
        by_header(model, sent)
    } else {
        by_path(model, sent)
    }
}

fn by_header(model: &'static Value, sent: &Sent) -> Vec<String> {
    let header = |name: &str| {
        sent.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let metadata = &model["metadata"];
    let mut mistakes = Vec::new();
    let version = metadata["jsonVersion"].as_str().unwrap();
    if header("content-type") != format!("application/x-amz-json-{version}") {
        mistakes.push(format!("the media type is `{}`", header("content-type")));
    }
    if (sent.method.as_str(), sent.uri.path(), sent.uri.query()) != ("POST", "/", None) {
        mistakes.push("JSON goes to `POST /`".to_owned());
    }
    let Some((prefix, name)) = header("x-amz-target").split_once('.') else {
        return vec!["no operation in `x-amz-target`".to_owned()];
    };
    let Some(operation) = model["operations"].get(name) else {
        return vec![format!("no operation `{name}`")];
    };
    if metadata["targetPrefix"] != prefix {
        mistakes.push(format!("the target is `{prefix}`"));
    }
    for (name, _) in &sent.headers {
        if !USUAL.contains(&name.as_str()) && name != "x-amz-target" {
            mistakes.push(format!("the header `{name}` is not described"));
        }
    }
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let shape = operation["input"]["shape"].as_str().unwrap();
    mistakes.extend(check(&of(model, shape, |_| true), &body));
    mistakes
}

fn by_path(model: &'static Value, sent: &Sent) -> Vec<String> {
    let fits = |operation: &&'static Value| {
        let template = operation["http"]["requestUri"].as_str().unwrap();
        let path = template.split('?').next().unwrap();
        operation["http"]["method"] == sent.method.as_str()
            // Others of the same path are told apart by their query.
            && !template.contains('?')
            && is_of(path, sent.uri.path())
    };
    let operations = model["operations"].as_object().unwrap();
    // The plainest of those that share a path is the one without members that must be in the query or in headers.
    let candidates: Vec<&'static Value> = operations.values().filter(fits).collect();
    let tried = candidates
        .iter()
        .map(|operation| against(model, operation, sent));
    tried
        .min_by_key(Vec::len)
        .unwrap_or_else(|| vec!["no such path".to_owned()])
}

fn against(model: &'static Value, operation: &'static Value, sent: &Sent) -> Vec<String> {
    let shape = &model["shapes"][operation["input"]["shape"].as_str().unwrap()];
    let members = shape["members"].as_object().unwrap();
    let required = |name: &str| {
        shape["required"]
            .as_array()
            .is_some_and(|all| all.contains(&json!(name)))
    };
    let at = |place: &'static str| {
        members
            .iter()
            .filter(move |(_, member)| member["location"] == place)
    };
    let one = |member: &Value, text: &str| {
        let validator = of(model, member["shape"].as_str().unwrap(), |_| true);
        readings(text).iter().any(|value| validator.is_valid(value))
    };
    let mut mistakes = Vec::new();
    let query = pairs(sent.uri.query().unwrap_or_default());
    for (name, value) in &query {
        match at("querystring").find(|(_, member)| member["locationName"] == name.as_str()) {
            Some((_, member)) if one(member, value) => {}
            Some(_) => mistakes.push(format!("`{name}` in the query is {value:?}")),
            None => mistakes.push(format!("`{name}` is no parameter of the query")),
        }
    }
    for (name, value) in &sent.headers {
        let value = value.to_str().unwrap();
        let named = |member: &Value| {
            member["locationName"]
                .as_str()
                .is_some_and(|known| known.eq_ignore_ascii_case(name.as_str()))
        };
        match at("header").find(|(_, member)| named(member)) {
            Some((_, member)) if one(member, value) => {}
            Some(_) => mistakes.push(format!("the header `{name}` is {value:?}")),
            None if USUAL.contains(&name.as_str()) => {}
            None => mistakes.push(format!("the header `{name}` is not described")),
        }
    }
    for (name, member) in at("querystring").filter(|(name, _)| required(name)) {
        if !query
            .iter()
            .any(|(known, _)| member["locationName"] == known.as_str())
        {
            mistakes.push(format!("`{name}` is missing in the query"));
        }
    }
    for (name, member) in at("header").filter(|(name, _)| required(name)) {
        if !sent
            .headers
            .contains_key(member["locationName"].as_str().unwrap())
        {
            mistakes.push(format!("`{name}` is missing in the headers"));
        }
    }
    if let Some(payload) = shape["payload"].as_str() {
        let shape = members[payload]["shape"].as_str().unwrap();
        if model["shapes"][shape]["type"] != "blob" && !sent.body.is_empty() {
            mistakes.push(format!(
                "the body is `{payload}`, which this test cannot read"
            ));
        }
    } else if members
        .values()
        .any(|member| member.get("location").is_none())
    {
        let schema = of(
            model,
            operation["input"]["shape"].as_str().unwrap(),
            |member| member.get("location").is_none(),
        );
        match serde_json::from_slice(&sent.body) {
            Ok(body) => mistakes.extend(check(&schema, &body)),
            Err(_) => mistakes.push("the body is not JSON".to_owned()),
        }
    } else if !sent.body.is_empty() {
        mistakes.push("a body, where none is described".to_owned());
    }
    mistakes
}

fn of(model: &'static Value, shape: &str, wanted: fn(&Value) -> bool) -> Arc<Validator> {
    let all = wanted(&json!({ "location": "header" }));
    validator(model, &json!([shape, all]), || {
        complete(model, shape, &wanted)
    })
}

/// A shape as JSON Schema; `wanted` says which members of the outermost are in it.
fn complete(model: &'static Value, shape: &str, wanted: &dyn Fn(&Value) -> bool) -> Value {
    let mut defs = Map::new();
    let outer = convert(model, shape, wanted, &mut defs);
    json!({ "allOf": [outer], "$defs": defs })
}

fn reference(model: &'static Value, shape: &Value, defs: &mut Map<String, Value>) -> Value {
    let name = shape["shape"].as_str().unwrap();
    if !defs.contains_key(name) {
        defs.insert(name.to_owned(), Value::Bool(true));
        let converted = convert(model, name, &|_| true, defs);
        defs.insert(name.to_owned(), converted);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn convert(
    model: &'static Value,
    name: &str,
    wanted: &dyn Fn(&Value) -> bool,
    defs: &mut Map<String, Value>,
) -> Value {
    let shape = &model["shapes"][name];
    let mut out = Map::new();
    let mut limits = |least: &str, most: &str| {
        for (name, limit) in [(least, "min"), (most, "max")] {
            if let Some(value) = shape.get(limit) {
                out.insert(name.to_owned(), value.clone());
            }
        }
    };
    let kind = match shape["type"].as_str().unwrap() {
        "structure" => {
            let members = shape["members"].as_object().unwrap();
            let members: Vec<_> = members
                .iter()
                .filter(|(_, member)| wanted(member))
                .collect();
            let properties: Map<String, Value> = members
                .iter()
                .map(|(name, member)| ((*name).clone(), reference(model, member, defs)))
                .collect();
            let required = shape["required"].as_array().into_iter().flatten();
            let required: Vec<&Value> = required
                .filter(|name| properties.contains_key(name.as_str().unwrap()))
                .collect();
            out.insert("required".to_owned(), json!(required));
            out.insert("properties".to_owned(), properties.into());
            out.insert("additionalProperties".to_owned(), json!(false));
            "object"
        }
        "list" => {
            limits("minItems", "maxItems");
            let items = reference(model, &shape["member"], defs);
            out.insert("items".to_owned(), items);
            "array"
        }
        "map" => {
            limits("minProperties", "maxProperties");
            let values = reference(model, &shape["value"], defs);
            out.insert("additionalProperties".to_owned(), values);
            "object"
        }
        "string" => {
            limits("minLength", "maxLength");
            for name in ["enum", "pattern"] {
                if let Some(value) = shape.get(name) {
                    // AWS writes the whole text's pattern where it means the whole text.
                    out.insert(name.to_owned(), value.clone());
                }
            }
            "string"
        }
        "blob" | "timestamp" => "string",
        "integer" | "long" => {
            limits("minimum", "maximum");
            "integer"
        }
        "float" | "double" => {
            limits("minimum", "maximum");
            "number"
        }
        "boolean" => "boolean",
        other => panic!("a shape of type `{other}`"),
    };
    out.insert("type".to_owned(), json!(kind));
    out.into()
}
