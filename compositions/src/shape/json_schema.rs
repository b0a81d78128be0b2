//! A shape as JSON Schema, for API descriptions.

use serde_json::{Map, Value, json};

use super::Shape;

impl Shape {
    /// JSON Schema (2020-12) of the values that have this shape.
    pub fn json_schema(&self) -> Value {
        match self {
            Self::Any => json!({}),
            Self::Nothing => json!({ "type": "null" }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::Integer => json!({ "type": "integer" }),
            Self::Number => json!({ "type": "number" }),
            Self::Text(choices) if choices.is_empty() => json!({ "type": "string" }),
            Self::Text(choices) => json!({ "type": "string", "enum": choices }),
            Self::Blob => json!({ "type": "string", "contentEncoding": "base64" }),
            Self::List(item) => json!({ "type": "array", "items": item.json_schema() }),
            Self::Object { fields, others } => {
                let mut properties = Map::new();
                let mut required = Vec::new();
                for (name, shape) in fields {
                    properties.insert(name.clone(), shape.json_schema());
                    if !shape.is_optional() {
                        required.push(name.as_str());
                    }
                }
                let mut schema = json!({ "type": "object", "properties": properties });
                if let Some(schema) = schema.as_object_mut() {
                    if !required.is_empty() {
                        schema.insert("required".to_owned(), json!(required));
                    }
                    let others = others
                        .as_ref()
                        .map_or(Value::Bool(false), |others| others.json_schema());
                    schema.insert("additionalProperties".to_owned(), others);
                }
                schema
            }
            Self::Optional(shape) => match shape.json_schema() {
                Value::Object(mut schema) if schema.get("type").is_some_and(Value::is_string) => {
                    let kind = schema.get("type").cloned().unwrap_or_default();
                    schema.insert("type".to_owned(), json!([kind, "null"]));
                    if let Some(Value::Array(choices)) = schema.get_mut("enum") {
                        choices.push(Value::Null);
                    }
                    Value::Object(schema)
                }
                schema => schema,
            },
        }
    }
}
