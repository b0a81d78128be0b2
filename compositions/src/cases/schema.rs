//! JSON Schema of a file of cases, for editors: follows from the tables that it is read by.

use serde_json::{Value, json};

use super::table::{ANSWER, CASE, ERROR, EXPECT, FILE};
use crate::{
    check::table::Record,
    schema::{DURATION, named, record},
};

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let schema = record(&FILE, &|key| match key {
        "composition" => json!({ "type": "string" }),
        _ => json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "$ref": "#/$defs/case" },
        }),
    });
    let defs = json!({
        "case": record(&CASE, &|key| match key {
            "answers" => json!({
                "type": ["object", "null"],
                "additionalProperties": { "$ref": "#/$defs/reply" },
            }),
            "sandbox" => json!({ "anyOf": [{ "type": "boolean" }, texts()] }),
            "faults" => json!({ "type": "array", "items": { "type": "object", "required": ["fault"] } }),
            "expect" => json!({ "$ref": "#/$defs/expect" }),
            _ => json!({ "type": ["object", "null"] }),
        }),
        "reply": { "anyOf": [
            { "type": "null" },
            { "$ref": "#/$defs/answer" },
            { "type": "array", "items": { "$ref": "#/$defs/reply" } },
        ] },
        "answer": answer(),
        "expect": record(&EXPECT, &expected),
        "error": record(&ERROR, &|key| match key {
            "status" => status(400),
            _ => json!({ "type": "string" }),
        }),
    });
    named(schema, "Isobar composition cases", defs)
}

fn expected(key: &str) -> Value {
    let counts = || json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 10_000 } });
    match key {
        "status" => status(200),
        "holds" => json!({ "anyOf": [{ "type": "string" }, texts()] }),
        "degraded" | "skipped" | "failed" | "cancelled" | "undone" | "pending" | "review" => {
            texts()
        }
        "calls" | "attempts" => counts(),
        "headers" => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "integer"] } })
        }
        "vendors" => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        "sent" => json!({ "type": "object" }),
        "error" => json!({ "$ref": "#/$defs/error" }),
        "within" => json!({ "type": "string", "pattern": DURATION }),
        _ => json!(true),
    }
}

/// An answer has members of its output beside these keys, which alone begin with `$`.
fn answer() -> Value {
    let mut schema = record(&ANSWER, &|key| match key {
        "$fails" => status(400),
        "$unknown" => json!({ "type": "boolean" }),
        "$takes" => json!({ "type": "string", "pattern": DURATION }),
        _ => json!({ "type": "string" }),
    });
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("additionalProperties");
        fields.insert("propertyNames".to_owned(), either(&ANSWER));
    }
    schema
}

fn either(own: &Record) -> Value {
    let own: Vec<&str> = own.keys().collect();
    json!({ "anyOf": [{ "not": { "pattern": "^\\$" } }, { "enum": own }] })
}

fn status(least: u16) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": 599 })
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}
