//! JSON Schema of a composition file, for editors: follows from the checker's table and the operations' contracts.

use isobar_adapters::{CONTRACTS, Contract};
use serde_json::{Map, Value, json};

use crate::check::table::{
    EACH, EFFECTS, FAILED, FILE, FROM, HTTP, IDEMPOTENCY, INPUT, LIMITS, METHODS, RETRY, Record,
    STEP, UNDO, WAY,
};

pub(crate) const DURATION: &str = "^([0-9]+(ms|s|m|h|d))+$";
const NAME: &str = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let schema = record(&FILE, &|key| match key {
        "composition" => json!({ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$" }),
        "expose" => json!({ "type": "string", "pattern": "^[A-Z]+ /" }),
        "anonymous" | "stream" => json!({ "type": "boolean" }),
        "input" => json!({
            "type": ["object", "null"],
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/input" }, { "$ref": "#/$defs/type" }] },
        }),
        "deadline" => json!({ "type": "string", "pattern": DURATION }),
        "limits" => json!({ "$ref": "#/$defs/limits" }),
        "idempotency" => {
            json!({ "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/idempotency" }] })
        }
        "hosts" => json!({ "type": "array", "items": { "type": "string" } }),
        "scopes" => json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        "steps" => json!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 200,
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "$ref": "#/$defs/step" },
        }),
        "status" => value_or(json!({ "type": "integer", "minimum": 200, "maximum": 599 })),
        "headers" => json!({ "type": "object" }),
        "about" => json!({ "type": "string" }),
        _ => json!(true),
    });
    let defs = json!({
        "type": { "anyOf": [{ "$ref": "#/$defs/notation" }, { "type": "object", "additionalProperties": { "$ref": "#/$defs/type" } }] },
        "notation": {
            "type": "string",
            "pattern": "^\\s*(string|integer|number|boolean|any|object|blob(\\(.*\\))?|list\\(.*\\)|enum\\(.*\\))\\s*\\??\\s*$",
            "examples": ["string", "string?", "integer", "number", "boolean", "any", "object", "blob(25MB)", "list(string)", "enum(a, b)"],
        },
        "input": record(&INPUT, &|key| match key {
            "type" => json!({ "$ref": "#/$defs/type" }),
            "from" => json!({ "enum": FROM }),
            "default" => json!(true),
            _ => json!({ "type": "string" }),
        }),
        "limits": record(&LIMITS, &|key| match key {
            "body" => json!({ "type": ["string", "integer"] }),
            "calls" => json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
            _ => json!({ "type": "integer", "minimum": 1, "maximum": 64 }),
        }),
        "idempotency": record(&IDEMPOTENCY, &|key| match key {
            "required" => json!({ "type": "boolean" }),
            "keep" => json!({ "type": "string", "pattern": DURATION }),
            _ => json!({ "type": "string" }),
        }),
        "each": record(&EACH, &|key| match key {
            "failed" => {
                let mut words: Vec<Value> = FAILED.iter().map(|word| json!(word)).collect();
                words.push(Value::Null);
                json!({ "enum": words })
            }
            "at_once" => json!({ "type": "integer", "minimum": 1, "maximum": 64 }),
            "most" => json!({ "type": "integer", "minimum": 1, "maximum": 1_000 }),
            _ => json!(true),
        }),
        "retry": record(&RETRY, &|key| match key {
            "times" => json!({ "type": "integer", "minimum": 1, "maximum": 5 }),
            _ => json!({ "type": "string", "pattern": DURATION }),
        }),
        "http": record(&HTTP, &|key| match key {
            "method" => json!({ "enum": METHODS }),
            "effect" => json!({ "enum": EFFECTS }),
            "accept" => json!({ "type": "array", "items": { "type": "integer", "minimum": 300, "maximum": 599 } }),
            "path" | "query" | "headers" => json!({ "type": "object" }),
            "returns" => json!({ "$ref": "#/$defs/type" }),
            "most" => json!({ "type": ["string", "integer"] }),
            "url" | "bearer" | "key" => json!({ "type": "string" }),
            _ => json!(true),
        }),
        "step": called(&STEP, 3),
        "way": called(&WAY, 2),
        "undo": called(&UNDO, 2),
        "operation": operations(),
    });
    named(schema, "Isobar composition", defs)
}

/// A whole schema, with what it refers to.
pub(crate) fn named(mut schema: Value, title: &str, defs: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        fields.insert("title".to_owned(), json!(title));
        fields.insert("$defs".to_owned(), defs);
    }
    schema
}

/// A map with known keys, described.
pub(crate) fn record(record: &Record, shape: &dyn Fn(&str) -> Value) -> Value {
    let mut properties = Map::new();
    for field in record.fields {
        let mut schema = match shape(field.key) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        schema.insert("description".to_owned(), json!(field.doc));
        properties.insert(field.key.to_owned(), Value::Object(schema));
    }
    let required: Vec<&str> = record
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.key)
        .collect();
    json!({
        "type": "object",
        "description": record.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// What uses an operation, with the inputs of each; the first `ways` of `use`, `http` and `race` are how it says what it does.
fn called(of: &Record, ways: usize) -> Value {
    let mut schema = record(of, &|key| match key {
        "use" => json!({ "anyOf": [
            { "$ref": "#/$defs/operation" },
            { "type": "string", "pattern": "^composition\\.[A-Za-z][A-Za-z0-9_-]*$" },
        ] }),
        "with" => json!({ "type": ["object", "null"] }),
        "http" => {
            json!({ "anyOf": [{ "type": "string", "pattern": "^([A-Z]+ )?https?://" }, { "$ref": "#/$defs/http" }] })
        }
        "race" => {
            json!({ "type": "array", "minItems": 2, "maxItems": 8, "items": { "$ref": "#/$defs/way" } })
        }
        "when" => json!({ "type": "string", "pattern": "^=" }),
        "each" => {
            json!({ "anyOf": [{ "type": "string", "pattern": "^[$=]" }, { "type": "array" }, { "$ref": "#/$defs/each" }] })
        }
        "after" => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        "timeout" | "cache" | "hedge" => json!({ "type": "string", "pattern": DURATION }),
        "retry" => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 5 }, { "$ref": "#/$defs/retry" }] })
        }
        "pool" => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }] })
        }
        "undo" => json!({ "$ref": "#/$defs/undo" }),
        _ => json!(true),
    });
    let does: Vec<Value> = ["use", "http", "race"]
        .iter()
        .take(ways)
        .map(|key| json!({ "required": [key] }))
        .collect();
    let inputs: Vec<Value> = CONTRACTS.iter().map(given).collect();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("oneOf".to_owned(), json!(does));
        fields.insert("allOf".to_owned(), json!(inputs));
    }
    schema
}

/// Names of operations, with what each does.
fn operations() -> Value {
    let one = |contract: &Contract| json!({ "const": contract.name, "description": format!("{}.", contract.summary) });
    json!({ "oneOf": CONTRACTS.iter().map(one).collect::<Vec<_>>() })
}

/// What an operation is given, where it is used.
fn given(contract: &Contract) -> Value {
    let schema = contract.input_schema();
    let mut properties = Map::new();
    for blob in contract.blobs {
        properties.insert(
            (*blob).to_owned(),
            json!({ "type": "string", "pattern": "^\\$", "description": "A blob: an input, or one of a step." }),
        );
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let mut shown = Map::new();
        if let Some(said) = property.get("description") {
            shown.insert("description".to_owned(), said.clone());
        }
        if let Some(words) = words(property, &schema) {
            let literal = json!({ "enum": words });
            if let Value::Object(fields) = value_or(literal) {
                shown.extend(fields);
            }
        }
        properties.insert(name.clone(), Value::Object(shown));
    }
    let required: Vec<Value> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .cloned()
        .chain(contract.blobs.iter().map(|blob| json!(blob)))
        .collect();
    json!({
        "if": { "properties": { "use": { "const": contract.name } }, "required": ["use"] },
        "then": {
            "required": ["with"],
            "properties": { "with": {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            } },
        },
    })
}

/// The words of a choice.
fn words(property: &Value, whole: &Value) -> Option<Vec<String>> {
    match crate::shape::in_schema(property, whole).present() {
        crate::Shape::Text(words) if !words.is_empty() => Some(words.clone()),
        _ => None,
    }
}

/// A value that may be worked out in a run.
fn value_or(literal: Value) -> Value {
    json!({ "anyOf": [literal, { "type": "string", "pattern": "^[$=]" }] })
}
