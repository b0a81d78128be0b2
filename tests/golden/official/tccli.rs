//! Tencent Cloud's descriptions: actions, and objects with members.

use serde_json::{Map, Value, json};

use super::schema::{check, validator};
use crate::exchange::Sent;

const USUAL: [&str; 5] = [
    "host",
    "content-type",
    "authorization",
    "x-tc-timestamp",
    "x-tc-token",
];

/// Actions that the vendor has announced the end of, and still serves to those who had them before.
const ENDING: [&str; 2] = ["AnalyzeSentiment", "ParseWords"];

pub(super) fn mistakes(described: &'static Value, sent: &Sent) -> Vec<String> {
    let header = |name: &str| {
        sent.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let mut mistakes = Vec::new();
    if (sent.method.as_str(), sent.uri.path(), sent.uri.query()) != ("POST", "/", None) {
        mistakes.push("actions go to `POST /`".to_owned());
    }
    let version = header("x-tc-version");
    if described["metadata"]["apiVersion"] != version {
        mistakes.push(format!("the version is `{version}`"));
    }
    for (name, _) in &sent.headers {
        if !USUAL.contains(&name.as_str())
            && !["x-tc-action", "x-tc-version", "x-tc-region"].contains(&name.as_str())
        {
            mistakes.push(format!("the header `{name}` is not known"));
        }
    }
    let action = header("x-tc-action");
    let Some(input) = described["actions"][action]["input"].as_str() else {
        return vec![format!("no action `{action}`")];
    };
    if described["actions"][action]["status"] != "online" && !ENDING.contains(&action) {
        mistakes.push(format!(
            "`{action}` is {}",
            described["actions"][action]["status"]
        ));
    }
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    mistakes.extend(check(
        &validator(described, &json!(input), || object(described, input)),
        &body,
    ));
    mistakes
}

fn object(described: &Value, name: &str) -> Value {
    let members = described["objects"][name]["members"].as_array().unwrap();
    let there = || members.iter().filter(|member| member["disabled"] != true);
    let text = |member: &Value| member["name"].as_str().unwrap().to_owned();
    let properties: Map<String, Value> = there()
        .map(|member| {
            (
                text(member),
                value(described, member["type"].as_str().unwrap(), member),
            )
        })
        .collect();
    let required: Vec<String> = there()
        .filter(|member| member["required"] == true)
        .map(text)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn value(described: &Value, kind: &str, member: &Value) -> Value {
    match kind {
        "string" | "binary" | "datetime" | "date" => json!({ "type": "string" }),
        "int" | "uint64" | "int64" => json!({ "type": "integer" }),
        "float" | "double" => json!({ "type": "number" }),
        "bool" => json!({ "type": "boolean" }),
        "list" => {
            let item = member["member"].as_str().unwrap();
            json!({ "type": "array", "items": value(described, item, &Value::Null) })
        }
        "object" => object(described, member["member"].as_str().unwrap()),
        name => object(described, name),
    }
}
